// Whoever writes a session's moves: the chance, the names, and what is open just now.

import type { EngineName } from '../../../src/lab/index.ts'
import type { Value } from '../differential.ts'
import type { Move } from './moves.ts'
import { isOn, type Subject } from './off.ts'
import type { Random } from './random.ts'
import { TELLING, type Variable } from './variables.ts'

/** A statement the client has prepared, and what its parameters may be. */
interface Prepared {
  readonly slot: number
  readonly values: (random: Random) => readonly Value[]
  /** Its first parameter may be sent ahead, as text. */
  readonly takesText: boolean
}

/**
 * No two sessions' rows have the same number. An id that a session gives itself is not its LAST_INSERT_ID(); where another
 * session has just left the same number on the connection, nobody could tell.
 */
export function firstIdOf(name: string): number {
  return 1000 * (1 + Number(/\d+$/.exec(name)?.[0] ?? 0)) + 1
}

export class Author {
  readonly random: Random
  readonly engine: EngineName
  /** Every name a session gives to something begins with it, so that nobody waits for anybody else. */
  readonly name: string
  readonly schema: string
  readonly multi: boolean
  /** Of its first row in every table. */
  readonly firstId: number
  readonly moves: Move[] = []
  readonly prepared: Prepared[] = []
  /** Deep inside a block, only plain things happen. */
  depth = 0
  readonly #variables: readonly Variable[]
  readonly #telling: readonly Variable[]
  #slots = 0
  #names = 0

  constructor(
    random: Random,
    engine: EngineName,
    name: string,
    options: { multi: boolean; variables: readonly Variable[] },
  ) {
    this.random = random
    this.engine = engine
    this.name = name
    this.schema = name
    this.multi = options.multi
    this.firstId = firstIdOf(name)
    this.#variables = options.variables
    this.#telling = options.variables.filter((variable) => TELLING.includes(variable.name))
  }

  isOn(subject: Subject): boolean {
    return isOn(subject, this.engine)
  }

  variable(): Variable {
    return this.random.pick(this.random.chance(0.6) ? this.#telling : this.#variables)
  }

  /** A name that nothing has yet. */
  fresh(what: string): string {
    this.#names += 1
    return `${what}${this.#names}`
  }

  push(...moves: readonly Move[]): void {
    this.moves.push(...moves)
  }

  sql(...texts: readonly string[]): void {
    for (const sql of texts) this.push({ kind: 'sql', sql })
  }

  /** As text, or prepared and executed and closed. */
  either(sql: string): void {
    if (this.random.chance(0.8)) return this.sql(sql)
    const slot = this.slot()
    this.push({ kind: 'prepare', slot, sql }, { kind: 'execute', slot, values: [] })
    if (this.random.chance(0.8)) this.push({ kind: 'close', slot })
  }

  slot(): number {
    return this.#slots++
  }

  prepare(sql: string, values: Prepared['values'] = () => []): number {
    const slot = this.slot()
    this.push({ kind: 'prepare', slot, sql })
    this.prepared.push({ slot, values, takesText: /CONCAT\(\?/.test(sql) })
    return slot
  }

  /** What a reset forgets. */
  forget(): void {
    this.prepared.length = 0
  }

  text(): string {
    return this.random.pick([
      "'a'",
      "'b'",
      "'zz'",
      "'it''s'",
      'NULL',
      "''",
      "REPEAT('x', 90)",
      "'é'",
      '17',
      "CONCAT('p', 'q')",
    ])
  }

  number(): string {
    return this.random.pick(['0', '1', '2', '-5', 'NULL', '100', '7 + 1', '2147483647', '3.7'])
  }

  /** Of a row that is there, or of one that a session may give. */
  id(): number {
    return this.firstId + this.random.below(6)
  }
}
