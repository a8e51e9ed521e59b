// When which table was written last, so that a read of what nobody has just written need not wait for anything. What is not
// surely a plain table counts as all of them: a view reads others, and a trigger or a foreign key may write others. Pure.

import type { Classification } from '../sql/classification.ts'
import type { TableFacts, TableName } from '../topology/claim.ts'

/** One table, as far as it is known. */
export interface TableFloor extends TableName {
  readonly key: string
  /** The version of the last write of it. */
  version: number
  /** Null: nobody has asked yet, or what was answered may not be true any more. */
  facts: TableFacts | null
  askedMs: number
  /** It is asked for, or will be. */
  wanted: boolean
}

/** The tables of one kind of statement, in one schema. */
interface Resolved {
  readonly schema: string | null
  readonly epoch: number
  /** Null: they are not known. */
  readonly tables: readonly TableFloor[] | null
}

export interface TableFloorsOptions {
  readonly tablesMax: number
  readonly nowMs: () => number
  /** There are tables to ask for: see `takeWanted`. */
  readonly onWanted: () => void
}

/** What was asked of a catalogue holds for so long, for others may change it without a word to us … */
const FACTS_MS_MAX = 10_000
/** … and is asked again from here on. */
const FACTS_MS_FRESH = 5_000
/** Reads the same whatever the server does with names. */
const PLAIN_NAME = /^[\w$]+$/

export class TableFloors {
  readonly #options: TableFloorsOptions
  readonly #tables = new Map<string, TableFloor>()
  #wanted: TableFloor[] = []
  readonly #resolved = new WeakMap<Classification, Resolved>()
  /** Grows whenever a table is given up: what was resolved before is resolved anew. */
  #epoch = 0
  /** Grows whenever what was known is forgotten: what was asked before that is not believed. */
  #generation = 0
  /** The version of the last write of nobody knows what. */
  #unknown = 0
  /** Names that differ in case are the same; null: not known yet, and so no table is. */
  #foldsCase: boolean | null = null

  constructor(options: TableFloorsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#tables.size
  }

  /** What a read of these tables must see; null: all there is. */
  neededBy(classification: Classification, schema: string | null): number | null {
    if (classification.tables?.length === 0) return 0
    const tables = this.resolve(classification, schema)
    if (tables === null) return null
    const nowMs = this.#options.nowMs()
    let version = this.#unknown
    for (const table of tables) {
      if (this.factsOf(table, nowMs)?.plain !== true) return null
      if (table.version > version) version = table.version
    }
    return version
  }

  /** These tables were written, and all that was written with them; null: nobody knows which. */
  raise(version: number, written: Iterable<TableFloor> | null): void {
    const nowMs = this.#options.nowMs()
    let isKnown = false
    for (const table of written ?? []) {
      table.version = version
      // One that was given up meanwhile stands for nothing any more.
      isKnown = this.#tables.get(table.key) === table && this.factsOf(table, nowMs)?.alone === true
      if (!isKnown) break
    }
    if (!isKnown) this.#unknown = version
  }

  /** The same, of tables known by their keys, as another process has them. */
  raiseNamed(version: number, keys: readonly string[] | null): void {
    const tables = this.#foldsCase === null ? null : (keys?.map((key) => this.one(key, null)) ?? null)
    const known = tables?.filter((table) => table !== null) ?? null
    this.raise(version, known?.length === keys?.length ? known : null)
  }

  /** The tables that a statement names; null: they are not known. */
  resolve(classification: Classification, schema: string | null): readonly TableFloor[] | null {
    const known = this.#resolved.get(classification)
    if (known !== undefined && known.schema === schema && known.epoch === this.#epoch) return known.tables
    const tables = this.find(classification, schema)
    // Which names are one is not known yet.
    if (this.#foldsCase === null) return null
    this.#resolved.set(classification, { schema, epoch: this.#epoch, tables })
    return tables
  }

  /** Something was defined anew: what was known of tables may not be true any more. */
  forget(): void {
    this.#generation += 1
    for (const table of this.#tables.values()) table.facts = null
  }

  /** The tables to ask for next, and with what to say that it was before anything was forgotten. */
  takeWanted(countMax: number): { readonly tables: readonly TableFloor[]; readonly generation: number } {
    const tables = this.#wanted.slice(0, countMax)
    this.#wanted = this.#wanted.slice(countMax)
    const nowMs = this.#options.nowMs()
    for (const table of tables) table.askedMs = nowMs
    return { tables, generation: this.#generation }
  }

  /** What was answered; null: nobody can tell. */
  learn(tables: readonly TableFloor[], generation: number, facts: readonly TableFacts[] | null): void {
    for (const [index, table] of tables.entries()) {
      table.wanted = false
      table.facts = generation === this.#generation ? (facts?.[index] ?? null) : null
    }
  }

  /** How the server takes names. */
  learnCase(foldsCase: boolean): void {
    if (this.#foldsCase === foldsCase) return
    this.#foldsCase = foldsCase
    this.#epoch += 1
  }

  private find({ tables, assigns }: Classification, schema: string | null): readonly TableFloor[] | null {
    if (tables === null || this.#options.tablesMax < tables.length) return null
    if (this.#foldsCase === null) {
      this.#options.onWanted()
      return null
    }
    // A text that changes the schema on its way: whose names are these?
    if (assigns.some(({ scope }) => scope === 'schema')) return null
    const found: TableFloor[] = []
    for (const name of tables) {
      const table = this.one(name, schema)
      if (table === null) return null
      found.push(table)
    }
    return found
  }

  private one(written: string, schema: string | null): TableFloor | null {
    const dot = written.indexOf('.')
    const full = dot >= 0 || schema === null ? written : `${schema}.${written}`
    const key = this.#foldsCase === true ? full.toLowerCase() : full
    const known = this.#tables.get(key)
    if (known !== undefined) return known
    const [owner, table, ...more] = key.split('.')
    if (table === undefined || more.length > 0 || !PLAIN_NAME.test(owner!) || !PLAIN_NAME.test(table)) return null
    if (this.#tables.size >= this.#options.tablesMax) this.giveUpOldest()
    const made = { key, schema: owner!, table, version: 0, facts: null, askedMs: 0, wanted: false }
    this.#tables.set(key, made)
    return made
  }

  private giveUpOldest(): void {
    const [key, { version }] = this.#tables.entries().next().value!
    this.#tables.delete(key)
    this.#unknown = Math.max(this.#unknown, version)
    this.#epoch += 1
  }

  private factsOf(table: TableFloor, nowMs: number): TableFacts | null {
    const ageMs = nowMs - table.askedMs
    if (table.facts !== null && ageMs >= FACTS_MS_MAX) table.facts = null
    if (!table.wanted && (table.facts === null || ageMs >= FACTS_MS_FRESH)) this.want(table)
    return table.facts
  }

  private want(table: TableFloor): void {
    table.wanted = true
    this.#wanted.push(table)
    this.#options.onWanted()
  }
}
