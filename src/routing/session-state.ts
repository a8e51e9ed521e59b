// What a session has built up: settings, transaction, pins. Changed by observe() and its few siblings, nowhere else. Pure.

import type { Collected, Reply, Settings } from '../protocol/protocol.ts'
import { withChange } from '../protocol/settings.ts'
import type { Assignment, Classification, PinChange, PinReason, RouteHint } from '../sql/classification.ts'
import { pinsInSchema } from '../sql/held.ts'
import { UNMOVABLE, UNMOVABLE_WHEN_ON } from '../sql/unmovable.ts'
import {
  CONSISTENCY_VARIABLE,
  type ConsistencyLevel,
  type ConsistencyWish,
  isConsistencyLevel,
  MONOTONIC_VARIABLE,
} from './consistency.ts'
import { asksForConditions, Diagnostics } from './diagnostics.ts'
import { type Savepoints, savepointsAfter } from './savepoints.ts'
import { ROUTE_VARIABLE, UserVariables } from './user-variables.ts'

/** One reason to stay on a connection. `names` counts what holds it (tables, locks …); empty where there is nothing to count. */
export interface Pin {
  readonly reason: PinReason
  readonly sinceMs: number
  /** The normalised text of the statement that caused it. */
  readonly because: string
  readonly names: ReadonlyMap<string, number>
}

/** What may hold a session on a reader: it ends with the transaction, or with what it is about. */
const ON_READERS: ReadonlySet<PinReason> = new Set([
  'transaction',
  'cursor',
  'diagnostics',
  'found-rows',
  'user-variable',
])
/** Pins that leave nothing behind when they end. */
const TRACELESS: ReadonlySet<PinReason> = new Set(['transaction', 'diagnostics', 'cursor'])

/** What would end a pin, in words for people. */
export const PIN_ENDS: Readonly<Record<PinReason, string>> = {
  transaction: 'COMMIT or ROLLBACK',
  'temporary-table': 'DROP TABLE of the last temporary table',
  'table-lock': 'UNLOCK TABLES',
  'advisory-lock': 'RELEASE_LOCK of the last lock, or RELEASE_ALL_LOCKS()',
  handler: 'HANDLER … CLOSE of the last open handler',
  'sql-prepared': 'DEALLOCATE PREPARE of the last prepared statement',
  cursor: 'the end of the cursor, or closing its statement',
  xa: 'XA COMMIT or XA ROLLBACK',
  'found-rows': 'the next statement that does not ask for FOUND_ROWS()',
  diagnostics: 'the next statement that does not ask for diagnostics',
  'user-variable': 'a reset of the connection (COM_RESET_CONNECTION, COM_CHANGE_USER) or its end',
  sequence: 'a reset of the connection (COM_RESET_CONNECTION, COM_CHANGE_USER) or its end',
  'load-data': 'the end of the upload',
  operator: 'a change of the rule or hint that asked for it',
  'unknown-state': 'a reset of the connection (COM_RESET_CONNECTION, COM_CHANGE_USER) or its end',
}

/** Statements of a kind that reads, whatever they call. */
const READ_VERBS: ReadonlySet<string> = new Set(['select', 'with', 'values', 'show', 'call'])
const END_VERBS: ReadonlySet<string> = new Set(['commit', 'rollback'])

/** Pins that are counted by name. What has none that is known ends only with all of them. */
const NAMED: ReadonlySet<PinReason> = new Set(['temporary-table', 'advisory-lock', 'handler', 'sql-prepared'])
const UNKNOWN = '(unknown)'

const NONE: readonly PinReason[] = []
const NO_SAVEPOINTS: readonly string[] = []
const NOTHING: ReadonlyMap<string, string> = new Map()

/** What SET TRANSACTION or SAVEPOINT said of the next transaction, as far as the connection still knows it. */
type NextSaid = 'nothing' | 'holds' | 'may hold'

export class SessionState {
  #settings: Settings
  #transaction: 'none' | 'open' | 'read-only' = 'none'
  /** In a READ ONLY transaction: what it reads is fixed by what it has read. */
  #hasSnapshot = false
  /** Of a READ ONLY transaction. */
  #savepoints: Savepoints = NO_SAVEPOINTS
  #next: NextSaid = 'nothing'
  /** The transaction is what it is because SET TRANSACTION or its own beginning said so. */
  #isSaid = false
  #autocommit = true
  #pins: Map<PinReason, Pin> | null = null
  #override: RouteHint | null = null
  #consistency: ConsistencyWish | null = null
  /** It reads its conditions with GET DIAGNOSTICS, which only their own connection can answer. */
  #getsDiagnostics = false
  /** It asks for what it took last from sequences, which only the connection knows. */
  #asksSequences = false
  readonly diagnostics: Diagnostics
  readonly variables = new UserVariables()

  /** `keepsDiagnostics`: on this engine a statement without tables leaves them as they are. */
  constructor(settings: Settings, keepsDiagnostics = false) {
    this.#settings = settings
    this.diagnostics = new Diagnostics(keepsDiagnostics)
  }

  get settings(): Settings {
    return this.#settings
  }

  get transaction(): 'none' | 'open' | 'read-only' {
    return this.#transaction
  }

  get autocommit(): boolean {
    return this.#autocommit
  }

  get pinned(): boolean {
    return this.#pins !== null && this.#pins.size > 0
  }

  /** It stays where it is for nothing but what its next statement may ask for. */
  get pinnedForNextOnly(): boolean {
    if (this.#pins === null) return false
    for (const reason of this.#pins.keys()) if (reason !== 'diagnostics') return false
    return this.#pins.size > 0
  }

  /** What was carried out has ended the server's session. */
  isReleasedBy(classification: Classification): boolean {
    const release = this.diagnostics.executed(classification)?.release ?? classification.release
    return release === 'yes' || (release === 'as set' && this.isReleasing)
  }

  /** The same for what was not answered to its end: statements of its text may have been carried out. */
  mayBeReleasedBy(classification: Classification): boolean {
    const { releaseMidway, assigns } = classification
    if (this.isReleasedBy(classification) || releaseMidway === 'yes') return true
    const mayBeSo = this.isReleasing || assigns.some(({ name }) => name === 'completion_type')
    return releaseMidway === 'as set' && mayBeSo
  }

  /** Every transaction ends the session with it, unless it says otherwise. */
  private get isReleasing(): boolean {
    return this.#settings.variables.get('completion_type') === 'RELEASE'
  }

  /** It has left something on its connection that only a reset wipes out. */
  get leavesTraces(): boolean {
    if (this.#next === 'may hold') return true
    if (this.#pins === null) return false
    for (const reason of this.#pins.keys()) if (!TRACELESS.has(reason)) return true
    return false
  }

  get pins(): readonly Pin[] {
    return this.#pins === null ? [] : [...this.#pins.values()]
  }

  /** Nothing holds it anywhere, and it has asked for nothing that a plain read would have to heed. */
  get isPlain(): boolean {
    return (
      (this.#pins === null || this.#pins.size === 0) &&
      this.#autocommit &&
      this.#transaction === 'none' &&
      this.#override === null &&
      this.#consistency === null &&
      !this.variables.some
    )
  }

  has(reason: PinReason): boolean {
    return this.#pins?.has(reason) ?? false
  }

  /** The session's own wish for a route. */
  get override(): RouteHint | null {
    return this.#override
  }

  /** The session's own wish for how fresh its reads must be. */
  get consistency(): ConsistencyWish | null {
    return this.#consistency
  }

  /** A statement has arrived: pins that only waited for it end, unless it asks for what they keep. */
  expect(classification: Classification): void {
    if (this.#pins === null) return
    for (const reason of this.#pins.keys()) if (!this.outlasts(reason, classification)) this.#pins.delete(reason)
  }

  /** Would this statement, if it came next, find the session pinned? */
  staysFor(classification: Classification): boolean {
    if (this.#pins === null) return false
    for (const reason of this.#pins.keys()) if (this.outlasts(reason, classification)) return true
    return false
  }

  /** Takes in one statement's outcome; gives the pins that began. The backend's own word beats what we read in the SQL. */
  observe(classification: Classification, reply: Reply, nowMs: number): readonly PinReason[] {
    const before = this.#pins === null ? NONE : [...this.#pins.keys()]
    const { schema } = this.#settings
    if (reply.changed !== null) this.#settings = withChange(this.#settings, reply.changed)
    this.#autocommit = reply.autocommit
    this.observeTransaction(classification, reply, nowMs)
    if (classification.facts.includes('sequence-value')) this.#asksSequences = true
    const failed = reply.outcome !== 'ok'
    if (!failed && this.#transaction === 'read-only') {
      this.#hasSnapshot ||= takesSnapshot(classification)
      this.#savepoints = classification.shapes.reduce(savepointsAfter, this.#savepoints)
    }
    // In a text of several statements, those before the one that failed took effect.
    if (!failed || classification.statements > 1) this.observePins(classification, { failed, schema }, nowMs)
    if (!failed) this.observeAssignments(classification)
    const isUnknown = reply.stateChanged && !explains(classification, reply)
    if (isUnknown || reply.unmovable) this.pin('unknown-state', null, classification, nowMs)
    if (reply.cursorOpen) this.pin('cursor', null, classification, nowMs)
    else this.unpin('cursor')
    if (classification.shapes.some(({ verb }) => verb === 'get')) this.#getsDiagnostics = true
    if (this.#getsDiagnostics && this.diagnostics.some) this.pin('diagnostics', null, classification, nowMs)
    else this.unpin('diagnostics')
    return this.#pins === null ? NONE : [...this.#pins.keys()].filter((reason) => !before.includes(reason))
  }

  /** It is in a READ ONLY transaction, and nothing else holds it where it is. */
  get canMoveTransaction(): boolean {
    return this.#transaction === 'read-only' && this.#pins?.size === 1 && this.#savepoints !== null
  }

  /** What must be set again where it goes on. */
  get savepoints(): readonly string[] {
    return this.#savepoints ?? NO_SAVEPOINTS
  }

  /**
   * A READ ONLY transaction was begun on a reader, and this statement's place is the writer: it writes or locks, ends others,
   * or what it leaves lives on after it. What a routine does, nobody knows, and reports are made of them.
   */
  outgrowsReader(classification: Classification): boolean {
    if (!this.canMoveTransaction) return false
    const { access, transaction, pins, routines, shapes, assigns } = classification
    if (transaction === 'end') return shapes.length > 1 && !readsToTheEnd(shapes)
    const writes = access === 'write' && routines.length === 0 && !setsAndLists(classification)
    if (transaction === 'begin' || writes) return true
    if (assigns.some(({ scope, name }) => scope === 'session' && mayStay(name))) return true
    return pins.some(({ change, reason }) => change === 'start' && !ON_READERS.has(reason))
  }

  /**
   * In a READ ONLY transaction this statement may read what was committed since it began: it has read nothing yet, or every
   * statement of it sees the newest. `isolation`: that of sessions who have not said otherwise.
   */
  mayReadNewer({ access, tables }: Classification, isolation: string): boolean {
    if (this.#transaction !== 'read-only' || access !== 'read' || tables?.length === 0) return false
    if (!this.#hasSnapshot) return true
    const { variables } = this.#settings
    const own = variables.get('transaction_isolation') ?? variables.get('tx_isolation')
    return (own ?? isolation).startsWith('READ-')
  }

  /** It is on another backend now, where it was begun anew. */
  moveTransaction(savepoints: readonly string[], classification: Classification, nowMs: number): void {
    this.#transaction = 'read-only'
    this.#savepoints = savepoints
    this.#hasSnapshot = false
    this.pin('transaction', null, classification, nowMs)
  }

  /** The backend told later what a statement had changed; gives the pins that began. */
  adopt(collected: Collected, classification: Classification, nowMs: number): readonly PinReason[] {
    const { changed, transaction, unmovable } = collected
    const began: PinReason[] = []
    if (changed !== null) this.#settings = withChange(this.#settings, changed)
    if (unmovable || (collected.stateChanged && !explains(classification, collected))) began.push('unknown-state')
    if (transaction === 'open' && !this.has('transaction')) {
      this.#transaction = classification.transaction === 'begin-read-only' ? 'read-only' : 'open'
      began.push('transaction')
    }
    for (const reason of began) this.pin(reason, null, classification, nowMs)
    return began
  }

  /** Of the next transaction nothing may be said on this connection: it is wiped out before anybody begins one there. */
  forgetNext(): void {
    if (this.#next !== 'holds') return
    this.#next = 'may hold'
    this.unpin('transaction')
  }

  /** What the session held on a connection that is gone. Its settings live on; these do not. */
  losePins(): readonly PinReason[] {
    const lost = this.#pins === null ? [] : [...this.#pins.keys()]
    this.#pins = null
    this.endTransaction()
    return lost
  }

  /** The schema was dropped: as on the server, the session is then without one. */
  loseSchema(): void {
    this.#settings = withChange(this.#settings, { schema: null, variables: NOTHING })
  }

  /** COM_RESET_CONNECTION and its kin: as if just logged in. */
  startOver(settings: Settings): void {
    this.#settings = settings
    this.endTransaction()
    this.#autocommit = true
    this.#pins = null
    this.#override = null
    this.#consistency = null
    this.#getsDiagnostics = false
    this.#asksSequences = false
    this.diagnostics.forget()
    this.variables.forget()
  }

  pin(reason: PinReason, name: string | null, classification: Classification, nowMs: number): void {
    this.#pins ??= new Map()
    const known = this.#pins.get(reason)
    const names = new Map(known?.names)
    const counted = name ?? (NAMED.has(reason) ? UNKNOWN : null)
    if (counted !== null) names.set(counted, (names.get(counted) ?? 0) + 1)
    const { sinceMs, because } = known ?? { sinceMs: nowMs, because: classification.digestText }
    this.#pins.set(reason, { reason, sinceMs, because, names })
  }

  /** Its user variables cannot be moved. */
  pinVariables(because: string, sinceMs: number): void {
    this.#pins ??= new Map()
    this.#pins.set('user-variable', { reason: 'user-variable', sinceMs, because, names: new Map() })
  }

  /** Ends a pin, or what `name` adds to it: the pin itself ends with its last name. */
  unpin(reason: PinReason, name: string | null = null): void {
    const known = this.#pins?.get(reason)
    if (known === undefined) return
    if (name !== null) {
      if (!known.names.has(name)) return
      const names = new Map(known.names)
      names.delete(name)
      if (names.size > 0) {
        this.#pins!.set(reason, { ...known, names })
        return
      }
    }
    this.#pins!.delete(reason)
  }

  /** Names of locks that the session may hold, as far as they are known. */
  get locks(): readonly string[] {
    return [...(this.#pins?.get('advisory-lock')?.names.keys() ?? [])].filter((name) => name !== UNKNOWN)
  }

  /** Of those that are known it holds these and no others: the server's word. */
  holdsLocks(held: ReadonlySet<string>): void {
    const known = this.#pins?.get('advisory-lock')
    if (known === undefined) return
    const names = new Map([...known.names].filter(([name]) => name === UNKNOWN || held.has(name)))
    if (names.size > 0) this.#pins!.set('advisory-lock', { ...known, names })
    else this.#pins!.delete('advisory-lock')
  }

  /** Does a pin hold on when this statement arrives? Diagnostics wait for nothing but questions. */
  private outlasts(reason: PinReason, { facts }: Classification): boolean {
    return reason !== 'diagnostics' || asksForConditions(facts)
  }

  private endTransaction(): void {
    this.#transaction = 'none'
    this.#hasSnapshot = false
    this.#savepoints = NO_SAVEPOINTS
    this.#next = 'nothing'
  }

  private observeTransaction(classification: Classification, reply: Reply, nowMs: number): void {
    if (reply.transaction === 'open') {
      if (this.#transaction === 'none') {
        const isReadOnly = classification.transaction === 'begin-read-only'
        this.#transaction = isReadOnly ? 'read-only' : 'open'
        this.#isSaid = isReadOnly || this.#next === 'holds'
      }
      this.#next = 'nothing'
      this.pin('transaction', null, classification, nowMs)
      return
    }
    const isLeft = this.#transaction !== 'none' && this.#isSaid && endsWithAutocommit(classification)
    const next = isLeft ? 'holds' : nextAfter(this.#next, classification, reply)
    this.endTransaction()
    this.#next = next
    // SET TRANSACTION … speaks of the next transaction on this very connection.
    if (next === 'holds') this.pin('transaction', null, classification, nowMs)
    else this.unpin('transaction')
  }

  /** `schema`: in which the statement found the session. */
  private observePins(
    classification: Classification,
    { failed, schema }: { readonly failed: boolean; readonly schema: string | null },
    nowMs: number,
  ): void {
    for (const pin of pinsInSchema(classification.pins, schema)) {
      const { change, reason, name, renamed } = pin
      if (change === 'start') {
        // FOUND_ROWS() is read out when the connection goes to somebody else.
        if (reason === 'found-rows') continue
        if (reason === 'sequence' && !this.#asksSequences) continue
        if (renamed !== undefined && !this.#pins?.get(reason)?.names.has(renamed)) continue
        this.pin(reason, name, classification, nowMs)
      } else if (!failed && !isServersToSay(pin)) this.unpin(reason, name)
    }
  }

  private wish(change: Partial<ConsistencyWish>): void {
    this.#consistency = { level: null, monotonic: null, ...this.#consistency, ...change }
  }

  private observeAssignments(classification: Classification): void {
    for (const assignment of classification.assigns) {
      if (assignment.scope !== 'user') continue
      if (assignment.name === ROUTE_VARIABLE) this.#override = routeOf(assignment)
      else if (assignment.name === CONSISTENCY_VARIABLE) this.wish({ level: levelIn(assignment) })
      else if (assignment.name === MONOTONIC_VARIABLE) this.wish({ monotonic: booleanIn(assignment) })
    }
  }
}

/**
 * What SET TRANSACTION has said, or SAVEPOINT has marked, holds until a transaction ends: one that was begun, or that of a statement which reads or
 * writes tables, unless they have no transactions.
 */
function nextAfter(next: NextSaid, classification: Classification, { outcome, autocommit }: Reply): NextSaid {
  const { transaction, tables, shapes } = classification
  if (transaction === 'next' && outcome === 'ok') return 'holds'
  // With autocommit off a savepoint belongs to the transaction that the next statement opens.
  if (!autocommit && outcome === 'ok' && transaction !== 'end' && shapes.some(({ saves }) => saves)) return 'holds'
  // How far they came, and in which order, nobody knows from here.
  if (shapes.length > 1 && (next === 'holds' || shapes.some(({ saysTransaction }) => saysTransaction)))
    return transaction === 'end' && outcome === 'ok' ? 'may hold' : 'holds'
  // These commit only what there is to commit, and what failed may have come to nothing before it did.
  const isInDoubt = outcome !== 'ok' || MAY_COMMIT.has(shapes[0]?.verb ?? '')
  const isOver = transaction === 'end' || (transaction === 'implicit-commit' && !isInDoubt)
  if (next !== 'holds' || isOver) return 'nothing'
  return tables?.length === 0 || outcome !== 'ok' || !autocommit ? 'holds' : 'may hold'
}

const MAY_COMMIT: ReadonlySet<string> = new Set(['set', 'unlock'])

/** Servers commit then, and forget to forget what was said of the transaction: it holds for the next one. */
function endsWithAutocommit({ transaction, assigns }: Classification): boolean {
  return transaction === 'implicit-commit' && assigns.some(({ name }) => name === 'autocommit')
}

/** Reads of the transaction see what was committed until this statement, and nothing newer. */
function takesSnapshot({ transaction, tables, shapes }: Classification): boolean {
  if (transaction === 'none') return tables === null || tables.length > 0
  return shapes.some((shape) => shape.takesSnapshot)
}

/** Whoever sets it may belong to that connection from then on. */
function mayStay(name: string): boolean {
  return UNMOVABLE.has(name) || UNMOVABLE_WHEN_ON.has(name)
}

/** Of several statements, the last ends the transaction, and those before it are of a kind that reads. */
function readsToTheEnd(shapes: Classification['shapes']): boolean {
  const last = shapes.length - 1
  return shapes.every(({ verb }, at) => (at === last ? END_VERBS : READ_VERBS).has(verb))
}

/** A lock may be held several times over, and whether it was released is in the answer only: see `holdsLocks`. */
function isServersToSay({ reason, name, perhaps }: PinChange): boolean {
  return perhaps === true || (reason === 'advisory-lock' && name !== null)
}

/** Do the text or the other reports say what it was that changed? A procedure may have done anything. */
function explains(
  { pins, assigns, assigned, routines, facts }: Classification,
  { changed }: Pick<Reply, 'changed'>,
): boolean {
  if (changed !== null || pins.length > 0 || assigns.length > 0) return true
  // A write that reads a variable which was never set makes it, for the binary log: NULL it was, and NULL it is.
  return (assigned.length > 0 || facts.includes('user-variable')) && routines.length === 0
}

/** What is set is the session's own, and the conditions that are asked for behind it are where the transaction is. */
function setsAndLists({ shapes, assigns }: Classification): boolean {
  if (!shapes.some(({ keepsConditions }) => keepsConditions) || !assigns.every(({ scope }) => OWN.has(scope)))
    return false
  return shapes.every(({ verb, keepsConditions, hasNoTable }) => keepsConditions || (verb === 'set' && hasNoTable))
}

const OWN: ReadonlySet<Assignment['scope']> = new Set(['session', 'names', 'user'])

/** The text of a literal without its quotes. */
function wordIn({ value }: Assignment): string | null {
  return value?.replace(/^(['"])(.*)\1$/s, '$2') ?? null
}

function levelIn(assignment: Assignment): ConsistencyLevel | null {
  const word = wordIn(assignment)?.toLowerCase() ?? ''
  return isConsistencyLevel(word) ? word : null
}

function booleanIn(assignment: Assignment): boolean | null {
  const word = wordIn(assignment)?.toLowerCase() ?? ''
  if (['1', 'true', 'on'].includes(word)) return true
  return ['0', 'false', 'off'].includes(word) ? false : null
}

function routeOf(assignment: Assignment): RouteHint | null {
  const value = wordIn(assignment)
  if (value === null || value === 'auto' || value.toUpperCase() === 'NULL' || value === '') return null
  if (value === 'writer' || value === 'reader') return { to: value, endpoint: null }
  return { to: 'endpoint', endpoint: value }
}
