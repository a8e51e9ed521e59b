// What a session knows of its user variables: their names, and their values as far as they were read. Changed by the
// statements of the session, and by what is read out of connections. Pure.

import type { SavedVariable } from '../protocol/protocol.ts'
import type { Classification } from '../sql/classification.ts'
import { CONSISTENCY_VARIABLE, MONOTONIC_VARIABLE } from './consistency.ts'

interface Entry {
  /** Null while only the connection knows where it was assigned last. */
  saved: SavedVariable | null
  /** When it was assigned, in assignments of this session. */
  readonly since: number
}

/** Says which backend should serve, by `SET @sluice_route = …`. */
export const ROUTE_VARIABLE = 'sluice_route'
/** These are for us, and need not be anywhere else. */
const OURS: ReadonlySet<string> = new Set([ROUTE_VARIABLE, CONSISTENCY_VARIABLE, MONOTONIC_VARIABLE])

/** Reads the same in every character set and mode. */
const MOVABLE_NAME = /^[\x20-\x5b\x5d-\x7e]+$/

/** Shared by all sessions without any: never changed. */
const NONE = new Map<string, Entry>()
const NOTHING: readonly SavedVariable[] = []

export class UserVariables {
  /** In the order of their last assignment: two names may be one to the server (`é` and `e`), and then the last one counts. */
  #entries = NONE
  #assignments = 0
  #unread = 0

  /** There are some, or may be. */
  get some(): boolean {
    return this.#entries.size > 0
  }

  get count(): number {
    return this.#entries.size
  }

  /** Some have been assigned, and not been read since. */
  get unread(): boolean {
    return this.#unread > 0
  }

  /** A connection that had them all by this time has them all. */
  get newest(): number {
    return this.#assignments
  }

  get unreadNames(): readonly string[] {
    return [...this.#entries].filter(([, { saved }]) => saved === null).map(([name]) => name)
  }

  /** Bytes of those that were read. */
  get bytes(): number {
    let bytes = 0
    for (const [name, { saved }] of this.#entries) bytes += name.length + (saved?.bytes ?? 0)
    return bytes
  }

  /**
   * A statement ran. Null: it assigned none. False: one of those it may have assigned cannot be read out. `prepared`: the
   * session has prepared statements in SQL, which may assign whatever was named when they were prepared.
   */
  observe(classification: Classification, prepared: boolean): boolean | null {
    const { assigned, routines } = classification
    const names = assigned.filter((name) => !OURS.has(name))
    const any = (prepared || routines.length > 0) && this.some && !goesWithoutVariables(classification)
    if (!any && names.length === 0) return null
    return this.assigned(any ? [...new Set([...this.#entries.keys(), ...names])] : names)
  }

  /** A statement may have assigned these, also if it failed. False: one of them cannot be read out. */
  assigned(names: readonly string[]): boolean {
    let movable = true
    this.#assignments += 1
    if (this.#entries === NONE) this.#entries = new Map()
    for (const name of names) {
      const before = this.#entries.get(name)
      if (before === undefined || before.saved !== null) this.#unread += 1
      this.#entries.delete(name)
      this.#entries.set(name, { saved: null, since: this.#assignments })
      movable &&= MOVABLE_NAME.test(name)
    }
    return movable
  }

  /** What was read of them. Those that turned out not to be set are no more than a name in a statement that failed. */
  save(variables: readonly SavedVariable[]): void {
    for (const saved of variables) {
      const entry = this.#entries.get(saved.name)
      if (entry === undefined || entry.saved !== null) continue
      this.#unread -= 1
      if (saved.set) entry.saved = saved
      else this.#entries.delete(saved.name)
    }
  }

  /** Those assigned after `since`, in that order, as far as they were read. */
  after(since: number): readonly SavedVariable[] {
    if (since === this.#assignments) return NOTHING
    const found: SavedVariable[] = []
    for (const entry of this.#entries.values()) if (entry.since > since && entry.saved !== null) found.push(entry.saved)
    return found
  }

  /** The connection that alone knew some of them is gone; gives their names. */
  loseUnread(): readonly string[] {
    const lost = this.unreadNames
    for (const name of lost) this.#entries.delete(name)
    this.#unread = 0
    return lost
  }

  forget(): void {
    this.#entries = NONE
    this.#unread = 0
  }
}

/**
 * GET DIAGNOSTICS into user variables, without a word of any others: those it lacks must wait, since giving it them would
 * leave other conditions than it is to read.
 */
export function goesWithoutVariables({ access, facts, statements }: Classification): boolean {
  return access === 'session' && facts.length === 1 && facts[0] === 'diagnostics' && statements === 1
}

/**
 * May a statement read or assign user variables, wherever it hides that? Triggers may, and routines, and a function that
 * a view calls. A transaction keeps its connection, so all that comes later counts as well.
 */
export function mayUseVariables({ access, facts, assigned, tables, transaction }: Classification): boolean {
  if (assigned.length > 0 || access === 'write' || facts.includes('user-variable')) return true
  return tables === null || tables.length > 0 || transaction !== 'none'
}
