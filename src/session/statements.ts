// What became of statements, kind by kind (by digest): how many, where they went and why, how they ended, how long they
// took. Bounded: a kind that was not met lately makes room for the next.

import { Durations } from '../metrics.ts'
import type { Access, Classification } from '../sql/classification.ts'

/** How often a statement went to a target: `writer`, `reader`, `proxy` or an endpoint's name. */
export interface TargetCount {
  readonly target: string
  count: number
}

/** One kind of statement. Times are as clients see them. */
export interface StatementKind {
  readonly cluster: string
  readonly digest: string
  /** Normalised: no literal of anybody's. */
  readonly text: string
  /** As it was classified last: what a reader refuses turns into a write. */
  access: Access
  classified: string
  /** Why it went where it went last. */
  because: string
  count: number
  /** Answered with an error, a server's or our own. */
  errors: number
  readonly targets: TargetCount[]
  readonly durations: Durations
  firstMs: number
  lastMs: number
}

interface Kept extends StatementKind {
  /** Met since room was made last. */
  met: boolean
}

export class Statements {
  readonly #cluster: string
  readonly #max: number
  readonly #kinds = new Map<string, Kept>()

  /** `max` kinds are kept; 0: none. */
  constructor(cluster: string, max: number) {
    this.#cluster = cluster
    this.#max = max
  }

  get kinds(): readonly StatementKind[] {
    return [...this.#kinds.values()]
  }

  /** One came at `arrivedMs` and was answered, with an error or not; `because`: why it went to `target`. On the proxy's clock. Called for every statement, so it takes no object. */
  count(
    classification: Classification,
    target: string,
    because: string,
    failed: boolean,
    arrivedMs: number,
    nowMs: number,
  ): void {
    if (this.#max === 0) return
    const kind = this.#kinds.get(classification.digest) ?? this.begin(classification, nowMs)
    kind.met = true
    kind.access = classification.access
    kind.classified = classification.because
    kind.because = because
    kind.count += 1
    if (failed) kind.errors += 1
    kind.lastMs = nowMs
    kind.durations.observeMs(nowMs - arrivedMs)
    targetOf(kind, target).count += 1
  }

  private begin({ digest, digestText, access, because }: Classification, nowMs: number): Kept {
    if (this.#kinds.size >= this.#max) this.makeRoom()
    const kind: Kept = {
      cluster: this.#cluster,
      digest,
      text: digestText,
      access,
      classified: because,
      because,
      count: 0,
      errors: 0,
      targets: [],
      durations: new Durations(),
      firstMs: nowMs,
      lastMs: nowMs,
      met: true,
    }
    this.#kinds.set(digest, kind)
    return kind
  }

  /** The first that was not met since it was last passed over goes; those passed over line up again. */
  private makeRoom(): void {
    for (const [digest, kind] of this.#kinds) {
      this.#kinds.delete(digest)
      if (!kind.met) return
      kind.met = false
      this.#kinds.set(digest, kind)
    }
  }
}

function targetOf({ targets }: StatementKind, target: string): TargetCount {
  for (const known of targets) if (known.target === target) return known
  const begun = { target, count: 0 }
  targets.push(begun)
  return begun
}
