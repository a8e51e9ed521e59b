// What clients of this worker were told is committed is told to the other workers, and theirs is heeded here. A read waits
// until all is known that clients of any worker were told before it came.

import type { OtherProcesses, Raised as Told } from '../session/freshness.ts'
import type { Board } from './board.ts'
import type { GlobalsSet, Raised } from './messages.ts'

export interface RelayOptions {
  readonly board: Board
  readonly worker: number
  send(raised: Raised): void
  sendGlobals(globals: GlobalsSet): void
  /** Takes in what a client of another worker was told. */
  heed(raised: Raised): void
  readonly clusters: readonly string[]
  readonly nowMs: () => number
}

interface Wait {
  readonly counts: readonly number[]
  readonly deadline: NodeJS.Timeout
  readonly resolve: () => void
}

/** A worker whose message takes longer has gone, or hangs; the writer knows what it would have told. */
const MESSAGE_MS_MAX = 50

export class Relay implements OtherProcesses {
  readonly #options: RelayOptions
  #waits: Wait[] = []

  constructor(options: RelayOptions) {
    this.#options = options
  }

  /** Takes in what was told before this worker began, and owns up for the one before it, whose last words may be lost. */
  start(): void {
    const { board, worker, clusters, send } = this.#options
    const { counts } = board
    this.learnAll(counts)
    if (counts[worker - 1] === 0) return
    // The last of these makes it good, and so it alone has a number.
    const last = clusters.at(-1)
    for (const cluster of clusters) send(this.unknown(cluster, cluster === last ? board.post() : 0))
  }

  /** Called before the client hears of it. */
  tell(cluster: string, told: Told): void {
    const { board, worker, send } = this.#options
    send({ ...told, cluster, position: told.position?.text ?? null, worker, count: board.post() })
  }

  tellGlobals(cluster: string, backend: string, names: readonly string[]): void {
    this.#options.sendGlobals({ cluster, backend, names })
  }

  /** Another worker's word; every worker's arrive in the order in which it spoke. */
  hear(raised: Raised): void {
    const { board, heed } = this.#options
    heed(raised)
    board.learn(raised.worker, raised.count)
    this.settle()
  }

  /** Resolves once all is known that clients of other workers were told until now; null: it is. */
  get unheard(): Promise<void> | null {
    const { board } = this.#options
    if (!board.hasNews) return null
    const { counts } = board
    return new Promise((resolve) => {
      const deadline = setTimeout(() => this.learnAll(counts), MESSAGE_MS_MAX)
      this.#waits.push({ counts, deadline, resolve })
    })
  }

  private learnAll(counts: readonly number[]): void {
    const { board, clusters, heed } = this.#options
    if (!board.knows(counts)) for (const cluster of clusters) heed(this.unknown(cluster, 0))
    for (const [at, count] of counts.entries()) board.learn(at + 1, count)
    this.settle()
  }

  /** Something was committed; the writer has it by now, and is asked how far it is. */
  private unknown(cluster: string, count: number): Raised {
    const { worker, nowMs } = this.#options
    return { cluster, position: null, atMs: nowMs(), tables: null, rights: false, worker, count }
  }

  private settle(): void {
    if (this.#waits.length === 0) return
    const { board } = this.#options
    const settled = this.#waits.filter(({ counts }) => board.knows(counts))
    this.#waits = this.#waits.filter((wait) => !settled.includes(wait))
    for (const { deadline, resolve } of settled) {
      clearTimeout(deadline)
      resolve()
    }
  }
}
