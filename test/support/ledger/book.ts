// What clients were told of the rows they appended, and what it is worth: held against the rows that are there. Pure.

/** `failed`: told that it was not executed. `unknown`: told that nobody can say, or cut off. */
export type Outcome = 'acknowledged' | 'failed' | 'unknown'

export interface Row {
  readonly client: number
  readonly number: number
}

/** Rows about which somebody was told something that is not so; all empty when all is well. */
export interface Audit {
  /** Acknowledged, and not there. */
  readonly lost: readonly string[]
  /** Failed, and there. */
  readonly ghosts: readonly string[]
  /** There more than once. */
  readonly doubled: readonly string[]
  /** There, and never appended. */
  readonly foreign: readonly string[]
}

export class Book {
  readonly #outcomes = new Map<string, Outcome>()
  readonly #counts: Record<Outcome, number> = { acknowledged: 0, failed: 0, unknown: 0 }
  /** Transactions that were told to start again, and did. */
  restarts = 0
  /** Client connections that ended without being asked to. */
  closed = 0
  reads = 0
  /** What no client should ever be told. */
  readonly surprises: string[] = []

  get counts(): Readonly<Record<Outcome, number>> {
    return this.#counts
  }

  enter(rows: readonly Row[], outcome: Outcome): void {
    for (const row of rows) this.#outcomes.set(keyOf(row), outcome)
    this.#counts[outcome] += rows.length
  }

  audit(found: readonly Row[]): Audit {
    const keys = found.map(keyOf)
    const there = new Set(keys)
    const told = [...this.#outcomes]
    return {
      lost: told.filter(([key, outcome]) => outcome === 'acknowledged' && !there.has(key)).map(([key]) => key),
      ghosts: told.filter(([key, outcome]) => outcome === 'failed' && there.has(key)).map(([key]) => key),
      doubled: there.size === keys.length ? [] : repeatedIn(keys),
      foreign: keys.filter((key) => !this.#outcomes.has(key)),
    }
  }
}

function keyOf({ client, number }: Row): string {
  return `${client}/${number}`
}

function repeatedIn(keys: readonly string[]): string[] {
  const seen = new Set<string>()
  return keys.filter((key) => seen.size === seen.add(key).size)
}
