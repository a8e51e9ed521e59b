// One session's hold on backend connections: the one in use, the one used last, and which facts the server itself
// remembers for the session on which of them.

import { type CloseReason, ProxyError } from '../errors.ts'
import type { Keeper, Lease, Pool } from '../pool/pool.ts'
import { BackendLost, type ClientConnection, type SavedVariable, type Settings } from '../protocol/protocol.ts'
import { asksAboutLast, asksForConditions } from '../routing/diagnostics.ts'
import type { SessionState } from '../routing/session-state.ts'
import { goesWithoutVariables, mayUseVariables } from '../routing/user-variables.ts'
import type { Classification, SessionFact } from '../sql/classification.ts'
import type { Backend } from '../topology/topology.ts'
import type { Shared } from './shared.ts'
import { isAt, isFresh, type Trace, traceOf } from './trace.ts'
import { VariablePlaces } from './variable-places.ts'
import type { Unsaved } from './variable-saver.ts'

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

const CANNOT_MOVE = 'are more than limits.userVariableBytesMax allows, or of a kind that cannot be set elsewhere'
const NO_VARIABLES: readonly SavedVariable[] = []

export class Leases implements Keeper, Unsaved {
  readonly #client: ClientConnection
  readonly #state: SessionState
  readonly #shared: Shared
  #current: Lease | null = null
  /** Where a connection has been asked for and not been given yet. */
  #awaited: Pool | null = null
  /** Where the session's last statement ran: ROW_COUNT() is there. */
  #last: Trace | null = null
  /** What of it that connection no longer knows, since it was asked something of our own. */
  #asked: 'nothing' | 'row-count' | 'all' = 'nothing'
  /** Where the conditions are that SHOW WARNINGS lists, if there are any. */
  #conditionsHome: Trace | null = null
  /** Where the last statement ran that may have changed FOUND_ROWS(). */
  #foundRowsHome: Trace | null = null
  /** What is being read out of a connection that somebody else needs. */
  #readingOut: Promise<void> | null = null
  /** Counts how often the session has begun anew: what is read out for the one before is nobody's. */
  #life = 0
  /** Where the server itself knows the session's LAST_INSERT_ID. */
  #insertIdHome: InsertIdHome | null = null
  readonly #places: VariablePlaces
  /** A connection that came back to us because its user variables could not be read out. */
  #kept: Lease | null = null

  constructor(client: ClientConnection, state: SessionState, shared: Shared) {
    this.#client = client
    this.#state = state
    this.#shared = shared
    this.#places = new VariablePlaces(state.variables)
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

  /** The backend that alone knows the values of user variables. */
  get variablesAt(): Backend | null {
    return this.#places.unreadHome?.connection.backend ?? null
  }

  /** Takes the connection with the user variables or the one used last again, if it leads to `backend` and is free. */
  reclaim(backend: Backend): boolean {
    this.#shared.renewals.lends()
    return this.reclaimOne(this.#places.unreadHome, backend) || this.reclaimOne(this.#last?.lease ?? null, backend)
  }

  /** Takes a connection to `backend` if one is free. */
  takeNow(backend: Backend): Lease | null {
    if (this.reclaim(backend)) return this.#current
    const { identity, account } = this.#client
    const lease = this.#shared.pools.of(backend, identity, account).take(this)
    return lease === null ? null : this.use(lease)
  }

  /** Takes a connection to `backend`; at once if one is free. Rejects with ProxyError or ConnectFailed; see `Pool.acquire`. */
  acquire(backend: Backend, waitMsMax?: number): Lease | Promise<Lease> {
    if (this.reclaim(backend)) return this.#current!
    const { identity, account } = this.#client
    const pool = this.#shared.pools.of(backend, identity, account)
    const lease = pool.acquire(this, waitMsMax)
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

  /** The same where it is for nobody else any more, and the session wants it no more either. True: so it was. */
  leaveOutdated(): boolean {
    this.#shared.renewals.lends()
    const lease = this.#current
    if (lease === null || !lease.outdated) return false
    this.giveBack()
    lease.pool.vacate(lease, this)
    return true
  }

  /** The same, and nothing that was left there may stay. */
  giveBackDirty(): void {
    if (this.#current !== null) this.#current.connection.dirty = true
    this.forgetVariables()
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
    this.forgetVariables()
    this.#last = null
    this.#conditionsHome = null
    this.#foundRowsHome = null
    this.#insertIdHome = null
    this.#life += 1
  }

  leaves(lease: Lease): boolean {
    return this.answers(lease) || this.#places.isHome(lease)
  }

  readOut(lease: Lease): Promise<boolean> {
    const { conditions, foundRows, insertId } = this.unknownAt(lease)
    const { diagnostics, variables } = this.#state
    const insertIdHome = this.#insertIdHome
    const conditionsHome = this.#conditionsHome
    const life = this.#life
    const bytesMax = Math.max(0, this.#shared.userVariables.bytesMax - variables.bytes)
    const asked = this.#places.isHome(lease) ? { names: variables.unreadNames, bytesMax } : null
    const wish = { conditions, counters: foundRows || insertId, variables: asked }
    const reading = lease.connection.readOut(wish).then((found) => {
      // Meanwhile the session may have begun anew, or have run another statement elsewhere.
      const isSame = life === this.#life
      if (isSame && conditions && conditionsHome === this.#conditionsHome) diagnostics.saveConditions(found.conditions)
      if (isSame && foundRows && diagnostics.foundRows === null) diagnostics.saveFoundRows(found.counters!.foundRows)
      if (isSame && insertId) this.saveInsertId(found.counters!.insertId, insertIdHome!)
      if (isSame && found.variables !== null) variables.save(found.variables)
      return asked === null || found.variables !== null
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

  keeps(lease: Lease): boolean {
    if (!this.#places.isHome(lease)) return false
    this.#kept = lease
    return true
  }

  /** A connection came back to the session for its user variables, or may do so in a moment. */
  get comesBack(): boolean {
    return this.#kept !== null || (this.#readingOut !== null && this.#state.variables.unread)
  }

  /** If it does, it is the session's from now on, unless that has another. */
  async takeBack(): Promise<void> {
    if (this.#readingOut !== null) await this.#readingOut
    this.takeKept()
  }

  private takeKept(): void {
    if (this.#kept === null || this.#current !== null) return
    this.use(this.#kept)
    this.#kept = null
    this.pinVariables(`its user variables ${CANNOT_MOVE}`)
  }

  /** The current connection is the session's as long as it has user variables. */
  pinVariables(why: string): void {
    if (this.#state.has('user-variable')) return
    this.#state.pinVariables(why, this.#shared.nowMs())
    this.#shared.metrics.pins.labels('user-variable').value += 1
  }

  /** Must the values of user variables be fetched from another connection before this statement runs on the current one? */
  mustFetchVariables(classification: Classification): boolean {
    if (!this.#state.variables.unread || this.#places.isHome(this.#current!)) return false
    return mayUseVariables(classification)
  }

  /**
   * Fetches them. False: they cannot be moved, so their connection is the current one from now on. Throws ProxyError if
   * they are lost.
   */
  async fetchVariables(): Promise<boolean> {
    if (this.#readingOut !== null) await this.#readingOut
    const home = this.#places.unreadHome
    if (home !== null && home !== this.#kept) {
      if (home.pool.reclaim(home, this)) await this.fetchFrom(home, true)
    }
    if (this.#kept === null) {
      this.checkVariables()
      return true
    }
    if (this.#state.pinned) {
      throw new ProxyError('BACKEND_REFUSED_SETTINGS', `the session's user variables ${CANNOT_MOVE}`)
    }
    this.giveBack()
    this.takeKept()
    return false
  }

  /** What the current connection lacks of the user variables that a statement may use. */
  missingVariables(classification: Classification): readonly SavedVariable[] {
    if (!this.#state.variables.some) return NO_VARIABLES
    const needsNone = !mayUseVariables(classification) || goesWithoutVariables(classification)
    return needsNone ? NO_VARIABLES : this.#places.missing(this.#current!)
  }

  /** The current connection has them now. */
  gaveVariables(): void {
    this.#places.given(this.#current!)
  }

  /** A statement on the current connection may have assigned some. */
  assignedVariables(): void {
    if (this.#current === null) return
    this.#places.assigned(this.#current)
    this.#shared.saver.add(this)
  }

  saveVariables(sinceMs: number): boolean {
    const home = this.#places.unreadHome
    if (home === null) return true
    if (this.#current !== null || home.sinceMs > sinceMs || !home.pool.reclaim(home, this)) return false
    void this.fetchFrom(home, false)
    return true
  }

  /** The connection that knew some of them is gone: true, once. */
  loseVariables(): boolean {
    return this.#places.lost && this.#state.variables.loseUnread().length > 0
  }

  /** Reads out a connection of ours that is in no other use; `keeps`: what cannot be read is needed, so it stays ours. */
  private async fetchFrom(home: Lease, keeps: boolean): Promise<void> {
    try {
      const isRead = await this.readOut(home)
      if (isAt(this.#last, home)) this.disturbed('all')
      if (isRead || !keeps) home.pool.release(home)
      else this.#kept = home
    } catch (error) {
      home.pool.discard(home, 'backend lost')
      if (!(error instanceof BackendLost)) throw error
    }
  }

  private checkVariables(): void {
    if (!this.#state.variables.unread) return
    const names = this.#state.variables.loseUnread().map((name) => `@${name}`)
    const text = `a connection was lost, and with it the session's user variables ${names.join(', ')}; the session goes on without`
    throw new ProxyError('STATE_LOST', text)
  }

  private reclaimOne(lease: Lease | null, backend: Backend): boolean {
    if (lease === null || lease.connection.backend.id !== backend.id) return false
    if (lease.connection.identity.key !== this.#client.identity.key || !lease.pool.reclaim(lease, this)) return false
    this.use(lease)
    return true
  }

  /**
   * Sees to it that questions about the last statement can be answered. True: on the connection used last, by the server.
   * False: from what was read out of it.
   */
  async recall({ facts, access }: Classification): Promise<boolean> {
    if (this.#readingOut !== null) await this.#readingOut
    const { diagnostics } = this.#state
    const last = this.#last
    // What writes and was asked after a read goes to another server than that.
    if (isFresh(last) && (access !== 'write' || last.lease.connection.backend.role !== 'reader')) {
      const isKnown = this.#asked === 'nothing' || (this.#asked === 'row-count' && !facts.includes('row-count'))
      const mustRestoreId = asksAboutLast(facts)
        ? this.mustRestoreId(facts, last.lease)
        : facts.includes('last-insert-id') && diagnostics.insertId === null && !this.hasInsertId(last.lease)
      if (isKnown && !mustRestoreId && !this.asksElsewhere(facts, last.lease)) return true
    }
    // They may still lie on a connection of ours, and not on the one used last.
    for (const home of [this.#conditionsHome, this.#foundRowsHome, last, this.#insertIdHome]) {
      if (isFresh(home) && this.leaves(home.lease)) this.vacate(home)
    }
    if (this.#readingOut !== null) await this.#readingOut
    return false
  }

  /**
   * The session stays on its connection, which cannot answer what is asked there: another session has left its own, or
   * what must be given to the connection first overwrites it. It is read out, to be answered from here.
   */
  async readOutCurrent(facts: readonly SessionFact[]): Promise<void> {
    const lease = this.#current
    if (lease === null || this.isReadOut || !asksAboutLast(facts)) return
    const isLost = this.#asked === 'all' || (this.#asked === 'row-count' && facts.includes('row-count'))
    if (!isLost && !this.asksElsewhere(facts, lease) && !this.mustRestoreId(facts, lease)) return
    try {
      if (this.answers(lease)) await this.readOut(lease)
      this.disturbed('all')
    } catch (error) {
      // Whoever uses the connection next finds out as well.
      if (!(error instanceof BackendLost)) throw error
    }
  }

  /** Nobody could tell afterwards whether a statement that sets LAST_INSERT_ID() without a word has done so. */
  async prepareInsertId(): Promise<void> {
    if (this.#current !== null && this.lacksInsertId) await this.restoreInsertId(this.#current)
  }

  /** What the current connection answers is neither the session's LAST_INSERT_ID() nor known to be equal. */
  get lacksInsertId(): boolean {
    const lease = this.#current
    const home = this.#insertIdHome
    if (lease === null) return false
    if (isAt(home, lease)) return !home.certain && home.before === null
    return lease.connection.insertId === null || lease.connection.insertId !== this.#state.diagnostics.insertId
  }

  /**
   * A statement ran on the current connection, and left its own conditions there, if it left any. `insertId`: it may have
   * set LAST_INSERT_ID(), and said this. `keptRowCount`: it left ROW_COUNT() as it was.
   */
  ran(insertId: bigint | null, replacedConditions: boolean, keptRowCount = false): void {
    const lease = this.#current
    if (lease === null) return
    const isElsewhere = this.#last?.lease !== lease || this.#last.hands !== lease.hands
    if (isElsewhere) this.#last = traceOf(lease)
    this.#asked = keptRowCount && (isElsewhere || this.#asked !== 'nothing') ? 'row-count' : 'nothing'
    if (insertId !== null) this.inserted(insertId, lease)
    if (replacedConditions) this.#conditionsHome = this.#last
    if (!this.#state.diagnostics.keptFoundRows) this.#foundRowsHome = this.#last
  }

  /** The connection used last was asked something of our own, and answers these questions about that from now on. */
  disturbed(what: 'row-count' | 'all'): void {
    if (what === 'all' || this.#asked === 'nothing') this.#asked = what
  }

  /** What the session may ask about its last statement is known here, and nowhere else any more. Its LAST_INSERT_ID() is older. */
  get isReadOut(): boolean {
    return this.#asked === 'all' && this.#current !== null && !this.unknownAt(this.#current).conditions
  }

  /** Facts that live on a connection are given to the current one if the statement asks for them. Throws BackendLost. */
  async restore(facts: readonly SessionFact[]): Promise<void> {
    const lease = this.#current
    if (lease === null || (facts.length === 0 && !lease.connection.stained)) return
    if (facts.includes('last-insert-id') && !this.hasInsertId(lease)) await this.restoreInsertId(lease)
    // Nothing is what this session has left of its own, and nobody else's warnings may be seen.
    const asks = facts.includes('diagnostics')
    if (lease.connection.stained ? !isAt(this.#conditionsHome, lease) : asks && !isAt(this.#last, lease)) {
      await lease.connection.clear()
    }
  }

  /** Does nobody but this connection know what the session may ask about its last statement? */
  private answers(lease: Lease): boolean {
    const { conditions, foundRows, insertId } = this.unknownAt(lease)
    return conditions || foundRows || insertId
  }

  /** What nobody but this connection knows. */
  private unknownAt(lease: Lease): Readonly<Record<'conditions' | 'foundRows' | 'insertId', boolean>> {
    const { some, conditions, foundRows, insertId } = this.#state.diagnostics
    return {
      conditions: some && conditions === null && isAt(this.#conditionsHome, lease),
      foundRows:
        foundRows === null && isAt(this.#foundRowsHome, lease) && !(this.#asked === 'all' && isAt(this.#last, lease)),
      insertId: insertId === null && isAt(this.#insertIdHome, lease),
    }
  }

  /** What the last statement left in the server's diagnostics is not what its client was told. */
  async clear(): Promise<void> {
    await this.#current?.connection.clear()
  }

  private inserted(id: bigint, lease: Lease): void {
    let home = this.#insertIdHome
    if (!isAt(home, lease)) {
      home = { ...traceOf(lease), certain: false, before: lease.connection.insertId, told: new Set() }
      this.#insertIdHome = home
    }
    lease.connection.insertId = null
    if (id !== 0n && home.told.size < TOLD_MAX) home.told.add(id)
  }

  /** What the connection answers has been read out. It may be what another session has left there. */
  private saveInsertId(id: bigint, home: InsertIdHome): void {
    const { diagnostics } = this.#state
    const isOwn = home.certain || home.told.has(id) || (home.before !== null && home.before !== id)
    // Another statement may have set it elsewhere meanwhile.
    diagnostics.saveInsertId(isOwn ? id : diagnostics.insertIdBefore, home === this.#insertIdHome)
    home.lease.connection.insertId = id
  }

  private hasInsertId(lease: Lease): boolean {
    return isAt(this.#insertIdHome, lease) && this.#insertIdHome.certain
  }

  /** Giving the connection the session's LAST_INSERT_ID() loses what else is asked about the last statement. */
  private mustRestoreId(facts: readonly SessionFact[], lease: Lease): boolean {
    return facts.includes('last-insert-id') && !this.hasInsertId(lease)
  }

  /** What is asked about the last statement is not what this connection answers. */
  private asksElsewhere(facts: readonly SessionFact[], lease: Lease): boolean {
    const { some, conditions, keptFoundRows, foundRows } = this.#state.diagnostics
    return (
      (asksForConditions(facts) && some && (conditions !== null || !isAt(this.#conditionsHome, lease))) ||
      (facts.includes('found-rows') && keptFoundRows && (foundRows !== null || !isAt(this.#foundRowsHome, lease)))
    )
  }

  /** The connection answers LAST_INSERT_ID() for this session. What that costs of the diagnostics, the question does too. */
  private async restoreInsertId(lease: Lease): Promise<void> {
    const home = this.#insertIdHome
    const { diagnostics } = this.#state
    if (isAt(home, lease)) {
      // Of the rows found last the server knows nothing any more once it has answered.
      const { foundRows } = this.unknownAt(lease)
      const rows = await lease.connection.query('SELECT LAST_INSERT_ID(), FOUND_ROWS() LIMIT 1')
      if (!('message' in rows)) this.saveInsertId(BigInt(rows[0]?.[0] ?? 0), home)
      if (!('message' in rows) && foundRows) diagnostics.saveFoundRows(Number(rows[0]?.[1] ?? 0))
    } else if (diagnostics.insertId === null) {
      this.vacate(this.#insertIdHome)
      if (this.#readingOut !== null) await this.#readingOut
    }
    const id = diagnostics.insertId ?? diagnostics.insertIdBefore
    await lease.connection.query(`SET last_insert_id = ${id}`)
    lease.connection.insertId = id
    this.#insertIdHome = { ...traceOf(lease), certain: true, before: id, told: new Set() }
  }

  private vacate(home: Trace | null): void {
    if (isFresh(home)) home.lease.pool.vacate(home.lease, this)
  }

  private forgetVariables(): void {
    this.#shared.saver.remove(this)
    for (const lease of this.#places.forget()) lease.pool.forget(lease, this)
    if (this.#kept !== null) this.#kept.pool.release(this.#kept)
    this.#kept = null
  }

  private awaitNothing(): void {
    this.#awaited = null
  }

  private use(lease: Lease): Lease {
    this.#current = lease
    return lease
  }
}
