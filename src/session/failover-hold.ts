// Where statements wait while there is nobody to serve them: bounded in number, bytes and time, let go in the order they came.

import { type ErrorCode, ProxyError } from '../errors.ts'
import type { Histogram } from '../metrics.ts'
import type { Topology } from '../topology/topology.ts'

export interface HoldLimits {
  readonly heldMax: number
  readonly heldBytesMax: number
}

/** One statement's wait. */
export interface Wait {
  /** Is there somebody for it now? Asked at every new topology. */
  readonly served: (topology: Topology) => boolean
  readonly because: string
  /** What the client is told when it was in vain. */
  readonly code: ErrorCode
  readonly bytes: number
  readonly waitMsMax: number
  /** The setting that `waitMsMax` comes from, for the message. */
  readonly setting: string
  /** Is handed what ends the wait early. */
  readonly waiting?: (giveUp: (error: Error) => void) => void
}

interface Held extends Wait {
  readonly sinceMs: number
  readonly letGo: (error: Error | null) => void
}

export class FailoverHold {
  readonly #limits: HoldLimits
  readonly #seconds: Histogram
  readonly #held = new Set<Held>()
  #heldBytes = 0

  constructor(limits: HoldLimits, seconds: Histogram) {
    this.#limits = limits
    this.#seconds = seconds
  }

  get held(): number {
    return this.#held.size
  }

  /** Waits until a published topology satisfies `served`. Rejects with ProxyError at the bounds. */
  wait(wait: Wait): Promise<void> {
    const { because, code, bytes, waitMsMax, setting } = wait
    const { heldMax, heldBytesMax } = this.#limits
    if (this.#held.size >= heldMax) {
      return Promise.reject(new ProxyError(code, `${because}; ${heldMax} statements already wait (hold.heldMax)`))
    }
    if (this.#heldBytes + bytes > heldBytesMax) {
      const text = `${because}; statements of ${this.#heldBytes} bytes already wait (hold.heldBytesMax)`
      return Promise.reject(new ProxyError(code, text))
    }
    this.#heldBytes += bytes
    return new Promise((resolve, reject) => {
      const tooLate = () =>
        held.letGo(new ProxyError(code, `${because}, and that lasted longer than ${waitMsMax} ms (${setting})`))
      const deadline = setTimeout(tooLate, waitMsMax)
      const held: Held = {
        ...wait,
        sinceMs: performance.now(),
        letGo: (error) => {
          clearTimeout(deadline)
          this.#held.delete(held)
          this.#heldBytes -= bytes
          this.#seconds.observeMs(performance.now() - held.sinceMs)
          if (error === null) resolve()
          else reject(error)
        },
      }
      this.#held.add(held)
      wait.waiting?.((error) => held.letGo(error))
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
