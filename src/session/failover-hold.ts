// Where statements wait while there is nobody to serve them: bounded in number and time, let go in the order they came.

import { ProxyError } from '../errors.ts'
import type { Topology } from '../topology/topology.ts'

export interface HoldLimits {
  readonly waitMsMax: number
  readonly heldMax: number
}

interface Held {
  /** Is there somebody for it now? */
  readonly served: (topology: Topology) => boolean
  readonly letGo: (error: ProxyError | null) => void
}

export class FailoverHold {
  readonly #limits: HoldLimits
  readonly #held = new Set<Held>()

  constructor(limits: HoldLimits) {
    this.#limits = limits
  }

  get held(): number {
    return this.#held.size
  }

  /** Waits until a published topology satisfies `served`. Rejects with ProxyError at the bounds. */
  wait(served: (topology: Topology) => boolean, because: string): Promise<void> {
    const { heldMax, waitMsMax } = this.#limits
    if (this.#held.size >= heldMax) {
      return Promise.reject(
        new ProxyError('NO_WRITER', `${because}; ${heldMax} statements already wait (hold.heldMax)`),
      )
    }
    return new Promise((resolve, reject) => {
      const tooLate = () =>
        held.letGo(new ProxyError('NO_WRITER', `${because}, and none came within ${waitMsMax} ms (hold.waitMsMax)`))
      const deadline = setTimeout(tooLate, waitMsMax)
      const held: Held = {
        served,
        letGo: (error) => {
          clearTimeout(deadline)
          this.#held.delete(held)
          if (error === null) resolve()
          else reject(error)
        },
      }
      this.#held.add(held)
    })
  }

  /** A new topology was published: those it can serve go on, first in, first out. */
  follow(topology: Topology): void {
    for (const held of this.#held) if (held.served(topology)) held.letGo(null)
  }

  /** Nobody will come any more. */
  close(error: ProxyError): void {
    for (const held of this.#held) held.letGo(error)
  }
}
