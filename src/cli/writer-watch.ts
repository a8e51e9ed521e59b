// Asks the servers of a cluster again and again, past the proxy, whether they take writes: since when they do is what the
// proxy is measured by.

import type { Prober } from '../topology/claim.ts'

export interface Watched {
  readonly id: string
  readonly host: string
  readonly port: number
}

const PACE_MS = 10

export class WriterWatch {
  readonly #probers: readonly Prober[]
  readonly #lastNoMs = new Map<string, number>()
  readonly #acceptsMs = new Map<string, number>()
  readonly #runs: readonly Promise<void>[]
  #stopped = false

  constructor(members: readonly Watched[], prober: (host: string, port: number) => Prober) {
    const asked = members.map((member) => ({ ...member, prober: prober(member.host, member.port) }))
    this.#probers = asked.map((each) => each.prober)
    this.#runs = asked.map((each) => this.watch(each.id, each.prober))
  }

  /** Since when a server has taken writes, at the earliest: then it was last asked in vain. Null: nobody saw it begin. */
  acceptsMs(id: string): number | null {
    return this.#acceptsMs.get(id) ?? null
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const prober of this.#probers) prober.close()
    await Promise.all(this.#runs)
  }

  private async watch(id: string, prober: Prober): Promise<void> {
    let takesWrites = true
    while (!this.#stopped) {
      const askedMs = performance.now()
      const { readOnly } = await prober.probe('role').catch(() => ({ readOnly: true }))
      if (readOnly) this.#lastNoMs.set(id, askedMs)
      const lastNoMs = this.#lastNoMs.get(id)
      if (!readOnly && !takesWrites && lastNoMs !== undefined) this.#acceptsMs.set(id, lastNoMs)
      takesWrites = !readOnly
      await new Promise((resolve) => setTimeout(resolve, PACE_MS))
    }
  }
}
