// Which statements a backend connection has prepared. Shared by all sessions that use the connection; bounded; the least
// recently used is closed first.

import type { ClientStatement } from './request.ts'

export interface PreparedEntry {
  /** The server's number for it on this connection. */
  readonly id: number
  /** The parameter types this server was told last. */
  types: Buffer | null
  /** A cursor is open on it: it must not be closed. */
  readonly cursor: boolean
}

type Entry = { -readonly [K in keyof PreparedEntry]: PreparedEntry[K] }

export class PreparedCache {
  readonly #max: number
  readonly #entries = new Map<string, Entry>()
  /** The key of the one used last: it is at the end already. */
  #newest = ''
  #cursors = 0
  /** Numbers to be closed with the next command. */
  #abandoned: number[] = []

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#entries.size
  }

  /** Those that could be given up. */
  get idle(): number {
    return this.size - this.cursors
  }

  get cursors(): number {
    return this.#cursors
  }

  setCursor(entry: PreparedEntry, isOpen: boolean): void {
    if (entry.cursor === isOpen) return
    ;(entry as Entry).cursor = isOpen
    this.#cursors += isOpen ? 1 : -1
  }

  get(statement: ClientStatement): PreparedEntry | null {
    const key = statement.key
    const entry = this.#entries.get(key)
    if (entry === undefined || key === this.#newest) return entry ?? null
    // Back in at the end: the order is the order of use.
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    this.#newest = key
    return entry
  }

  add(statement: ClientStatement, id: number): PreparedEntry {
    this.remove(statement)
    const entry: Entry = { id, types: null, cursor: false }
    this.#entries.set(statement.key, entry)
    this.#newest = statement.key
    if (this.#entries.size > this.#max) this.evict()
    return entry
  }

  remove(statement: ClientStatement): void {
    const key = statement.key
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.setCursor(entry, false)
    this.#entries.delete(key)
    this.#abandoned.push(entry.id)
  }

  /** The numbers to close now; asked for once. */
  takeAbandoned(): readonly number[] {
    const abandoned = this.#abandoned
    if (abandoned.length > 0) this.#abandoned = []
    return abandoned
  }

  /** Gives up all but those with an open cursor: the server has no room for more. */
  abandonAll(): void {
    for (const [key, entry] of this.#entries) {
      if (entry.cursor) continue
      this.#entries.delete(key)
      this.#abandoned.push(entry.id)
    }
  }

  /** The server has forgotten them all. */
  clear(): void {
    this.#entries.clear()
    this.#cursors = 0
    this.#abandoned = []
  }

  private evict(): void {
    for (const [key, entry] of this.#entries) {
      if (entry.cursor) continue
      this.#entries.delete(key)
      this.#abandoned.push(entry.id)
      return
    }
  }
}
