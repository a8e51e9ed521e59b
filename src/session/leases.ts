// One session's hold on backend connections: the one in use, the one used last, and which facts the server itself
// remembers for the session on which of them.

import type { CloseReason } from '../errors.ts'
import type { Keeper, Lease, Pool } from '../pool/pool.ts'
import type { ClientConnection, Settings } from '../protocol/protocol.ts'
import { asksAboutLast, asksForConditions } from '../routing/diagnostics.ts'
import type { SessionState } from '../routing/session-state.ts'
import type { SessionFact } from '../sql/classification.ts'
import type { Backend } from '../topology/topology.ts'
import type { Shared } from './shared.ts'

/** A lease as it was when this session used it; stale once somebody else did. */
interface Trace {
  readonly lease: Lease
  readonly hands: number
}

/** Where LAST_INSERT_ID() has been set, or may have been. */
interface InsertIdHome extends Trace {
  /** What the server answers there is the session's own, and nobody's before it. */
  certain: boolean
  /** What it answered before; null: not known. */
  readonly before: bigint | null
  /** What statements said they had inserted since: generated, or given by the client. */
  readonly told: Set<bigint>
}

/** More ids than these need not be told from what another session has left. */
const TOLD_MAX = 1000

/** Leaves no warnings; MariaDB keeps them over a statement that has no table. */
const CLEAR = 'DO (SELECT 0 FROM (SELECT 0) AS t)'

export class Leases implements Keeper {
  readonly #client: ClientConnection
  readonly #state: SessionState
  readonly #shared: Shared
  #current: Lease | null = null
  /** Where a connection has been asked for and not been given yet. */
  #awaited: Pool | null = null
  /** Where the session's last statement ran: ROW_COUNT() and FOUND_ROWS() are there. */
  #last: Trace | null = null
  /** What of it that connection no longer knows, since it was asked something of our own. */
  #asked: 'nothing' | 'row-count' | 'all' = 'nothing'
  /** Where the conditions are that SHOW WARNINGS lists, if there are any. */
  #conditionsHome: Trace | null = null
  /** What is being read out of a connection that somebody else needs. */
  #readingOut: Promise<void> | null = null
  /** Where the server itself knows the session's LAST_INSERT_ID. */
  #insertIdHome: InsertIdHome | null = null

  constructor(client: ClientConnection, state: SessionState, shared: Shared) {
    this.#client = client
    this.#state = state
    this.#shared = shared
  }

  get settings(): Settings {
    return this.#state.settings
  }

  /** The connection in use: during a statement, and between statements while pinned. */
  get current(): Lease | null {
    return this.#current
  }

  /** The backend where the session's last statement ran, while that connection is still as it was. */
  get lastBackend(): Backend | null {
    return isFresh(this.#last) ? this.#last.lease.connection.backend : null
  }

  /** Takes the connection used last again, if it leads to `backend` and is free. */
  reclaim(backend: Backend): boolean {
    const last = this.#last?.lease ?? null
    if (last === null || last.connection.backend.id !== backend.id) return false
    if (last.connection.identity.key !== this.#client.identity.key || !last.pool.reclaim(last, this)) return false
    this.use(last)
    return true
  }

  /** Takes a connection to `backend`; at once if one is free. Rejects with ProxyError or ConnectFailed. */
  acquire(backend: Backend): Lease | Promise<Lease> {
    if (this.reclaim(backend)) return this.#current!
    const { identity, account } = this.#client
    const pool = this.#shared.pools.of(backend, identity, account)
    const lease = pool.acquire(this)
    if (!(lease instanceof Promise)) return this.use(lease)
    this.#awaited = pool
    return lease.then((granted) => this.use(granted)).finally(() => this.awaitNothing())
  }

  /** Whoever waits for a connection gives up. */
  withdraw(error: Error): void {
    this.#awaited?.withdraw(this, error)
  }

  /** The session is gone in the middle of a statement: `msMax` is left to it, or what the settings say. */
  abandon(reason: CloseReason, msMax?: number): void {
    const lease = this.#current
    if (lease === null) return
    this.#current = null
    lease.pool.abandon(lease, reason, msMax)
  }

  /** The current connection goes back; it is ours again as long as nobody else needs it. */
  giveBack(): void {
    const lease = this.#current
    if (lease === null) return
    this.#current = null
    lease.pool.release(lease)
  }

  /** The same, and nothing that was left there may stay. */
  giveBackDirty(): void {
    if (this.#current !== null) this.#current.connection.dirty = true
    this.giveBack()
  }

  discard(reason: CloseReason): void {
    const lease = this.#current
    if (lease === null) return
    this.#current = null
    lease.pool.discard(lease, reason)
  }

  /** The session is over, or starts anew: nobody will come back for what it left. */
  forget(): void {
    if (this.#last !== null) this.#last.lease.pool.forget(this.#last.lease, this)
    this.#last = null
    this.#conditionsHome = null
    this.#insertIdHome = null
  }

  leaves(lease: Lease): boolean {
    const { conditions, foundRows, insertId } = this.unknownAt(lease)
    return conditions || foundRows || insertId
  }

  readOut(lease: Lease): Promise<void> {
    const { conditions, foundRows, insertId } = this.unknownAt(lease)
    const { diagnostics } = this.#state
    const home = this.#insertIdHome
    const reading = lease.connection.readOut({ conditions, counters: foundRows || insertId }).then((found) => {
      if (conditions) diagnostics.saveConditions(found.conditions)
      if (foundRows) diagnostics.saveFoundRows(found.counters!.foundRows)
      if (insertId) this.saveInsertId(found.counters!.insertId, home!)
    })
    const before = this.#readingOut
    const over = async () => {
      await before
      if (this.#readingOut === waited) this.#readingOut = null
    }
    const waited = reading.then(over, over)
    this.#readingOut = waited
    return reading
  }

  /**
   * Sees to it that questions about the last statement can be answered. True: on the connection used last, by the server.
   * False: from what was read out of it.
   */
  async recall(facts: readonly SessionFact[]): Promise<boolean> {
    if (this.#readingOut !== null) await this.#readingOut
    const { diagnostics } = this.#state
    const last = this.#last
    if (isFresh(last)) {
      const isKnown = this.#asked === 'nothing' || (this.#asked === 'row-count' && !facts.includes('row-count'))
      const asksElsewhere =
        (asksForConditions(facts) && diagnostics.some && !isAt(this.#conditionsHome, last.lease)) ||
        (facts.includes('last-insert-id') && diagnostics.insertId === null && !this.hasInsertId(last.lease, facts))
      if (isKnown && !asksElsewhere) return true
    }
    // They may still lie on a connection of ours, and not on the one used last.
    for (const home of [this.#conditionsHome, last, this.#insertIdHome]) {
      if (isFresh(home) && this.leaves(home.lease)) this.vacate(home)
    }
    if (this.#readingOut !== null) await this.#readingOut
    return false
  }

  /** Nobody could tell afterwards whether a statement that sets LAST_INSERT_ID() without a word has done so. */
  async prepareInsertId(): Promise<void> {
    const lease = this.#current
    if (lease !== null && lease.insertId === null && !isAt(this.#insertIdHome, lease)) await this.restoreInsertId(lease)
  }

  /**
   * A statement ran on the current connection, and left its own conditions there, if it left any. `insertId`: it may have
   * set LAST_INSERT_ID(), and said this.
   */
  ran(insertId: bigint | null, replacedConditions: boolean): void {
    const lease = this.#current
    if (lease === null) return
    if (this.#last?.lease !== lease || this.#last.hands !== lease.hands) this.#last = { lease, hands: lease.hands }
    this.#asked = 'nothing'
    if (insertId !== null) this.inserted(insertId, lease)
    if (replacedConditions) this.#conditionsHome = this.#last
  }

  /** The connection used last was asked something of our own, and answers these questions about that from now on. */
  disturbed(what: 'row-count' | 'all'): void {
    this.#asked = what
  }

  /** What the session may ask about its last statement is known here, and nowhere else any more. */
  get isReadOut(): boolean {
    return this.#asked === 'all' && this.#current !== null && !this.leaves(this.#current)
  }

  /** Facts that live on a connection are given to the current one if the statement asks for them. Throws BackendLost. */
  async restore(facts: readonly SessionFact[]): Promise<void> {
    const lease = this.#current
    if (lease === null || (facts.length === 0 && !lease.connection.stained)) return
    if (facts.includes('last-insert-id') && !this.hasInsertId(lease, facts)) await this.restoreInsertId(lease)
    // Nothing is what this session has left of its own, and nobody else's warnings may be seen.
    const asks = facts.includes('diagnostics')
    if (lease.connection.stained ? !isAt(this.#conditionsHome, lease) : asks && !isAt(this.#last, lease)) {
      await lease.connection.query(CLEAR)
    }
  }

  /** What nobody but this connection knows. */
  private unknownAt(lease: Lease): Readonly<Record<'conditions' | 'foundRows' | 'insertId', boolean>> {
    const { some, conditions, foundRows, insertId } = this.#state.diagnostics
    return {
      conditions: some && conditions === null && isAt(this.#conditionsHome, lease),
      foundRows: foundRows === null && this.#asked !== 'all' && isAt(this.#last, lease),
      insertId: insertId === null && isAt(this.#insertIdHome, lease),
    }
  }

  /** What the last statement left in the server's diagnostics is not what its client was told. */
  async clear(): Promise<void> {
    await this.#current?.connection.query(CLEAR)
  }

  private inserted(id: bigint, lease: Lease): void {
    let home = this.#insertIdHome
    if (!isAt(home, lease)) {
      home = { lease, hands: lease.hands, certain: false, before: lease.insertId, told: new Set() }
      this.#insertIdHome = home
    }
    lease.insertId = null
    if (id !== 0n && home.told.size < TOLD_MAX) home.told.add(id)
  }

  /** What the connection answers has been read out. It may be what another session has left there. */
  private saveInsertId(id: bigint, home: InsertIdHome): void {
    const { diagnostics } = this.#state
    const isOwn = home.certain || home.told.has(id) || (home.before !== null && home.before !== id)
    // Another statement may have set it elsewhere meanwhile.
    diagnostics.saveInsertId(isOwn ? id : diagnostics.insertIdBefore, home === this.#insertIdHome)
    home.lease.insertId = id
  }

  /** In a transaction it cannot be made sure of without losing what else is asked about the last statement. */
  private hasInsertId(lease: Lease, facts: readonly SessionFact[]): boolean {
    return (
      isAt(this.#insertIdHome, lease) &&
      (this.#insertIdHome.certain || (asksAboutLast(facts) && this.#current !== null))
    )
  }

  /** The connection answers LAST_INSERT_ID() for this session. What that costs of the diagnostics, the question does too. */
  private async restoreInsertId(lease: Lease): Promise<void> {
    const home = this.#insertIdHome
    const { diagnostics } = this.#state
    if (isAt(home, lease)) {
      const rows = await lease.connection.query('SELECT LAST_INSERT_ID()')
      if (!('message' in rows)) this.saveInsertId(BigInt(rows[0]?.[0] ?? 0), home)
    } else if (diagnostics.insertId === null) {
      this.vacate(this.#insertIdHome)
      if (this.#readingOut !== null) await this.#readingOut
    }
    const id = diagnostics.insertId ?? diagnostics.insertIdBefore
    await lease.connection.query(`SET last_insert_id = ${id}`)
    lease.insertId = id
    this.#insertIdHome = { lease, hands: lease.hands, certain: true, before: id, told: new Set() }
  }

  private vacate(home: Trace | null): void {
    if (isFresh(home)) home.lease.pool.vacate(home.lease, this)
  }

  private awaitNothing(): void {
    this.#awaited = null
  }

  private use(lease: Lease): Lease {
    this.#current = lease
    return lease
  }
}

function isFresh<T extends Trace>(trace: T | null): trace is T {
  return trace !== null && trace.hands === trace.lease.hands && trace.lease.place !== 'closed'
}

function isAt<T extends Trace>(trace: T | null, lease: Lease): trace is T {
  return isFresh(trace) && trace.lease === lease
}
