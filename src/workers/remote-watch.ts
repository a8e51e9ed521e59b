// Who is there, by the word of the process that asks the servers. What sessions doubt is doubted here at once, and until
// that process has heeded it.

import type { Position } from '../topology/claim.ts'
import type { Progress } from '../topology/staleness.ts'
import type { Topology, TopologyStore } from '../topology/topology.ts'
import type { Watch } from '../topology/watch.ts'
import type { Heard } from './messages.ts'

export interface RemoteWatchOptions {
  readonly store: TopologyStore
  readonly nowMs: () => number
  readonly positionOf: (text: string) => Position | null
  /** Tells who asks the servers. */
  readonly doubt: (backend: string, why: string) => void
}

interface Doubt {
  readonly backend: string
  readonly why: string
  readonly sinceMs: number
}

export class RemoteWatch implements Watch {
  readonly #options: RemoteWatchOptions
  readonly #progress = new Map<string, Progress>()
  /** Those that are not heeded yet; `#heeded` were before them. */
  #doubts: Doubt[] = []
  #heeded = 0
  #told: Topology | null = null
  #begun: (() => void) | null = null

  constructor(options: RemoteWatchOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    if (this.#told !== null) return
    await new Promise<void>((resolve) => {
      this.#begun = resolve
    })
  }

  stop(): void {}

  suspect(backend: string, why: string): void {
    const known = this.#options.store.current.backends.find(({ id }) => id === backend)
    if (known?.health !== 'up' && known?.health !== 'behind') return
    this.#doubts.push({ backend, why, sinceMs: this.#options.nowMs() })
    this.#options.doubt(backend, why)
    this.publish()
  }

  /** Only who asks knows. */
  writableMs(): null {
    return null
  }

  progress(id: string): Progress | null {
    return this.#progress.get(id) ?? null
  }

  /** `doubts`: how many of ours are heeded in it. */
  told(topology: Topology, doubts: number): void {
    this.#doubts = this.#doubts.slice(doubts - this.#heeded)
    this.#heeded = doubts
    this.#told = topology
    this.publish()
    this.#begun?.()
    const known = new Set(topology.backends.map(({ id }) => id))
    for (const id of this.#progress.keys()) if (!known.has(id)) this.#progress.delete(id)
  }

  heard({ backend, position, asOfMs, askedMs }: Heard): void {
    const at = position === null ? null : this.#options.positionOf(position)
    this.#progress.set(backend, { position: at, asOfMs, askedMs })
  }

  private publish(): void {
    if (this.#told === null) return
    this.#options.store.publish(this.#doubts.reduce(doubted, this.#told))
  }
}

/** As it will be when the doubt is heeded. */
function doubted(topology: Topology, { backend: id, why, sinceMs }: Doubt): Topology {
  const isNews = topology.backends.some((each) => each.id === id && (each.health === 'up' || each.health === 'behind'))
  if (!isNews) return topology
  const backends = topology.backends.map((each) =>
    each.id === id ? { ...each, health: 'suspect' as const, why, sinceMs } : each,
  )
  return { ...topology, epoch: topology.epoch + 1, backends }
}
