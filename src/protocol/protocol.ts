// The seam between the core and a protocol's folder: what a client asks, what a backend answered, and who carries it.
// The core knows these shapes only; what the bytes mean stays in protocol/<name>.

import type { Duplex } from 'node:stream'
import type { CloseReason, ErrorCode, ProxyError } from '../errors.ts'
import type { Classification } from '../sql/classification.ts'
import type { SqlContext } from '../sql/classifier.ts'
import type { Position } from '../topology/claim.ts'
import type { Prober } from '../topology/monitor.ts'
import type { TopologyKind } from '../topology/roles.ts'
import type { Backend } from '../topology/topology.ts'
import type { Turns } from './turns.ts'

/** Who logs in: one row of the settings' `users`. */
export interface Account {
  readonly user: string
  /** Null: only its hash is known, and no client has proved it yet. */
  readonly password: string | null
  /** What a server would keep of it; null: the password itself is in the settings. */
  readonly passwordHash: string | null
  /** The login used towards backends; the same unless the settings map it. */
  readonly backendUser: string
  /** Null: the one that the client proves to know. Who has logged in has one. */
  readonly backendPassword: string | null
  readonly requireTls: boolean
  /** A route by default for this user, as in a listener's `route`; null: the listener's. */
  readonly route: string | null
}

export interface Accounts {
  find(user: string): Account | null
}

/** What a pool is for: the login, and the options of the client that change what bytes mean. Opaque to the core. */
export interface Identity {
  readonly key: string
  readonly user: string
}

/**
 * The session state that any backend connection can be given: the schema and session variables that differ from the
 * server's defaults. Immutable and compared by reference first, so equal states should share one object (see `settings.ts`).
 */
export interface Settings {
  readonly schema: string | null
  /** Variable name in lower case -> value as the server prints it. */
  readonly variables: ReadonlyMap<string, string>
  /** The same for equal content. */
  readonly key: string
}

/** A statement a client prepared. Its classification is the one of the moment it was prepared. */
export interface PreparedStatement {
  readonly sql: Buffer
  classification: Classification | null
  /** In which names without a schema are meant. */
  schema: string | null
}

/**
 * What a client asks. Commands that are not SQL carry the SQL that means the same in `sql` (a change of schema is
 * `USE …`), so the core has one thing to classify; what is sent are the bytes as they came.
 *
 * `statement`: one request, one reply. `prepare`, `execute`: of `prepared`. `continue`: more of what the session's
 * connection holds open (a cursor). `reset`: forget the session's state; `login`: the same, as another user, who has
 * already been checked. `relay`: from here on bytes go both ways unread (replication clients).
 */
export type RequestKind = 'statement' | 'prepare' | 'execute' | 'continue' | 'reset' | 'login' | 'relay'

export interface ClientRequest {
  readonly kind: RequestKind
  readonly sql: Buffer
  readonly prepared: PreparedStatement | null
  /** The `sluice.route` attribute that came with the statement. */
  readonly routeAttribute: string | null
  /** Its answer stays on the server, to be fetched in parts. */
  readonly opensCursor?: boolean
  /** How long it is; the bytes themselves are the protocol's own business. */
  readonly bytes: number
}

/** Whoever serves a client's requests. */
export interface RequestTaker {
  /** Null: the client has gone. */
  take(request: ClientRequest | null): void
  /** By a bug of the client's side. */
  failed(error: unknown): void
}

/** What all clients of a listener have in common: one object for all of them, as long as it is true. */
export interface AcceptOptions {
  readonly accounts: Accounts
  /** The writer's version string as last seen; what the client is greeted with. */
  readonly serverVersion: string
  /** As `ServerWords.modes`. */
  readonly serverModes: string
  /** The number of the collation that the writer greets with; null: what is usual for its version. */
  readonly serverCollation: number | null
  readonly tls: ClientTls
  /** The private key for passwords that come without TLS. */
  readonly rsaKey: () => Promise<import('node:crypto').KeyObject>
  readonly loginMsMax: number
  readonly loginBytesMax: number
  readonly requestBytesMax: number
  readonly preparedMax: number
  readonly compression: boolean
}

/** What is one client's own. */
export interface Arrival {
  /** The number the client will know this connection by. */
  readonly sessionId: number
  /** Aborts, with a ProxyError as its reason, when the login is not to be waited for any longer. */
  readonly signal?: AbortSignal
}

/** `secureContext` holds key and certificate; null only with mode `off`. */
export interface ClientTls {
  readonly mode: 'off' | 'preferred' | 'required'
  readonly secureContext: import('node:tls').SecureContext | null
}

/** A client that has proved who it is. Its login is still to be answered: by `welcome` or by `fail`/`refuse`. */
export interface ClientConnection {
  readonly sessionId: number
  readonly peerAddress: string
  readonly peerPort: number
  /** These three change when a `login` request succeeds. */
  readonly account: Account
  readonly identity: Identity
  readonly loginSettings: Settings
  /** What is given for a parameter of an execution (counted from 0), if it is a text; null: it is not, or not known. */
  parameter(request: ClientRequest, index: number): string | null
  /** With a `login` request: why it is not granted; the session still has to start over, as on the server. */
  readonly loginRefusal: Refusal | null
  /**
   * The `login` request came to nothing. What the session is left with, if servers let the client go on as who it was;
   * null: they close the connection.
   */
  keepUser(before: Settings): Settings | null
  /** What the login of another user makes of the session's settings. */
  settingsAfterLogin(before: Settings): Settings
  /** What a reset of the session leaves. */
  settingsAfterReset(before: Settings): Settings
  /** True once the client has gone; `next` then takes null to whoever asks. */
  readonly gone: boolean
  /** It was given an answer that no backend knows of, as of a statement that changed no rows; the session takes it back. */
  answered: boolean
  /** Whether there is a transaction after a statement whose answer did not tell. */
  settleTransaction(transaction: Reply['transaction']): void
  /** Called at once when the client goes away in the middle of something. */
  onGone: () => void
  /** Completes the login, or the change to another user. */
  welcome(): void
  /** The next request goes to `taker`, also before this returns. Not asking is the backpressure. */
  next(taker: RequestTaker): void
  /** The request with another text in place of its own; a statement being prepared is prepared so. */
  reword(request: ClientRequest, sql: Buffer): ClientRequest
  /** Answers a request with success and nothing else. `more`: of its answer; the next request's answer goes on behind it. */
  ok(more?: boolean): void
  /** Answers a request with rows of text. */
  rows(columns: readonly string[], rows: readonly (readonly (string | null)[])[]): void
  /** May it send several statements in one text, in a session with these settings? */
  takesSeveral(settings: Settings): boolean
  /** Answers `request` with the conditions that SHOW WARNINGS or SHOW ERRORS would list; null: none. `more`: as for `ok`. */
  conditions(conditions: Conditions | null, range: ConditionRange, request: ClientRequest, more: boolean): boolean
  /** Answers with an error of our own. The caller ends the connection where the error says so. */
  fail(error: ProxyError): void
  /** Answers with the error a backend gave while it was being aligned, or one that was held back. */
  refuse(refusal: Refusal): void
  /** How long a session with these settings may say nothing, where it asked for a limit of its own. */
  idleMsMax(settings: Settings): number | null
  /** Tells a client that said nothing for too long what a server tells it. The caller ends the connection. */
  idledOut(): void
  /** Answers as a server does whoever kills itself. The caller ends the connection where that was killed. */
  killed(what: 'query' | 'connection'): void
  end(reason: CloseReason): void
}

/** A backend's own error, met while preparing the ground for a request; goes to the client as it is. */
export interface Refusal {
  readonly what: 'schema' | 'variables' | 'login' | 'prepare' | 'kill'
  readonly message: string
  /** Opaque to the core. */
  readonly frame: Buffer
}

export interface ConnectOptions {
  readonly backend: Backend
  readonly account: Account
  readonly identity: Identity
  readonly tls: BackendTls
  readonly connectMsMax: number
  readonly preparedMax: number
  /** Readers wait by themselves, before they answer, for all that is committed: Aurora's can, where they forward writes. */
  readonly readersWait: boolean
  /** Counts the round trips that no client asked for. */
  readonly ownRoundTrips: { value: number }
  /** Of a list of conditions that is read out. */
  readonly diagnosticsBytesMax: number
  /** Connections that are opened to stop a statement on this backend take turns. */
  readonly killing: Turns
}

export interface BackendTls {
  readonly mode: 'disabled' | 'preferred' | 'required' | 'verify-ca' | 'verify-identity'
  /** PEM text of the authorities to trust; null: the system's. */
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
}

/** What a backend's answer said, once all of it has gone to the client. */
export interface Reply {
  /**
   * `refused`: the backend is read-only and said so first; it executed nothing and nothing went to the client.
   * `behind`: a reader did not know a table, column, schema or right that the writer may know; nothing went to the client.
   * `unknown-session`: the backend knows no session of the number that was to be killed, and the client was not told so.
   */
  readonly outcome: 'ok' | 'error' | 'refused' | 'behind' | 'unknown-session'
  /** The session that was not known, and the backend's own words about it. */
  readonly unknownSession: { readonly id: number; readonly refusal: Refusal } | null
  readonly transaction: 'none' | 'open'
  readonly autocommit: boolean
  /** The schema and variables that changed, as far as the backend reported them; null when nothing was. */
  readonly changed: SettingsChange | null
  /** The backend says that the session's state changed in a way that the other fields need not show. */
  readonly stateChanged: boolean
  /** Something was set that no other connection can be given. */
  readonly unmovable: boolean
  readonly warnings: number
  /** Rows affected, or -1 after a result set or an error. */
  readonly affectedRows: number
  /** Rows of the last result set, whole or not, or -1 where there was none. */
  readonly rows: number
  /** The id an insert generated, 0 if none. */
  readonly insertId: bigint
  readonly cursorOpen: boolean
  /** The connection was asked something of ours since: its answers about the last statement are about that. */
  readonly disturbed: boolean
  /** What the statement left for SHOW WARNINGS, where the connection was asked for it before it was disturbed. */
  readonly conditions: Conditions | null
  /** The same of FOUND_ROWS(). */
  readonly foundRows: number | null
  /** It failed before anything of it was carried out: it cannot be read, or what it was to execute does not exist. */
  readonly didNothing: boolean
  /** It failed where its tables and columns are looked up; what a routine did before, this does not tell. */
  readonly unresolved: boolean
  /** Some statement of the text left something for SHOW WARNINGS. */
  readonly warned: boolean
  /** It was a command that leaves what the statement before it left for SHOW WARNINGS. */
  readonly keepsConditions: boolean
}

/** Whoever waits for a reply, and is called back with it: a promise for each statement would cost more than all the rest of it. */
export interface ReplyTo {
  answered(reply: Reply): void
  failed(error: unknown): void
}

export interface SettingsChange {
  /** Undefined: unchanged. */
  readonly schema: string | null | undefined
  readonly variables: ReadonlyMap<string, string>
}

/** A row as text, whatever it travels as. */
export type Row = readonly (string | null)[]

/** Gives the rows that a client is to see, in place of those a backend gave; `columns` by name. */
export type RowEdit = (columns: readonly string[], rows: readonly Row[]) => readonly Row[]

/** What to read out of a connection before another session gets it. */
export interface ReadOutWish {
  readonly conditions: boolean
  readonly counters: boolean
  readonly variables: VariableWish | null
}

/** Which user variables, and how much all of them together may take to remember. */
export interface VariableWish {
  readonly names: readonly string[]
  readonly bytesMax: number
}

/** What was read; null: not asked for. */
export interface ReadOut {
  readonly conditions: Conditions | null
  readonly counters: Counters | null
  /** Null also where they are too much, or nothing that could be set on another connection. */
  readonly variables: readonly SavedVariable[] | null
}

/** FOUND_ROWS() and LAST_INSERT_ID(). */
export interface Counters {
  readonly foundRows: number
  readonly insertId: bigint
}

/** The conditions a statement left, as SHOW WARNINGS lists them. */
export interface Conditions {
  readonly count: number
  readonly errors: number
  /** The list in the protocol's own shape; opaque to the core. */
  readonly list: Buffer
}

/** Which of them are asked for. */
export interface ConditionRange {
  readonly errorsOnly: boolean
  readonly offset: number
  readonly limit: number
}

/** A user variable as it was read out of a connection; what its value is, is the protocol's own business. */
export interface SavedVariable {
  readonly name: string
  /** What it takes to remember it. */
  readonly bytes: number
  /** False: the server knows no such variable. */
  readonly set: boolean
}

export interface ExchangeOptions {
  /** Hold back a first answer that says `refused`, instead of passing it on. */
  readonly holdRefused: boolean
  /** The same for `behind`. */
  readonly holdBehind: boolean
  /** The same for `unknown-session`. */
  readonly holdUnknownSession: boolean
  /** The statement may change the session unseen: that must be known before anybody else gets the connection. */
  readonly mayChange: boolean
  /** It may begin a transaction, or set something, and fail all the same, which an error does not tell: the same. */
  readonly mayFailLate: boolean
  /** Changes the rows of the answer, which is held back until it is whole; null: it passes as it comes. */
  readonly edit: RowEdit | null
  /** Variables it sets in a way that a server may not report: if it does not, they are asked for afterwards. */
  readonly sets: readonly string[]
  /** It sets more than one thing: those before one that is refused may be set. */
  readonly setsSeveral: boolean
  /** It sets what the server is to report: nothing is told of what `sets` names, nor of what the text does behind it. */
  readonly hushes: boolean
  /** It sets the session's clock going again: servers do not report that so, but a moment at which it would stand. */
  readonly startsClock: boolean
  /** Variables it sets for itself alone: a server may report them, and never that they are again as they were. */
  readonly passing: readonly string[]
  /** It may call what sets variables that nobody can name. */
  readonly calls: boolean
  /** The client asked for a read-only transaction: a refusal must read as that transaction's, whatever refuses. */
  readonly readOnlyTransaction: boolean
  readonly committed: Committed
}

/**
 * Called before the client hears of it: something was committed, and this is how far the backend was then. At the end of
 * an answer that told no position: null, and whether anything may have been committed all the same. `none`: nothing that
 * has a position; `failed`: the answer is an error; `untold`: it is of a form that cannot tell.
 */
export type Committed = (position: Position | null, doubt: 'none' | 'failed' | 'untold') => void

/** What a backend told afterwards of the last statement. */
export interface Collected {
  readonly changed: SettingsChange | null
  /** Something changed that is no setting. */
  readonly stateChanged: boolean
  readonly unmovable: Reply['unmovable']
  readonly transaction: Reply['transaction']
}

export interface BackendConnection {
  /** As it was when the connection was opened, or when it was last asked whether it leads to a writer. */
  backend: Backend
  readonly identity: Identity
  /** What this connection's session state is now. */
  readonly settings: Settings
  /** What LAST_INSERT_ID() answers there; null: not known. */
  insertId: bigint | null
  /** Something was left behind that `align` cannot undo; only `reset` can. */
  dirty: boolean
  readonly broken: boolean
  /** The last session's statement left warnings or an error there. */
  readonly stained: boolean
  /** Called once if the connection is lost while nobody uses it. */
  onLost: () => void
  readonly openedMs: number
  /** What the server calls this connection. */
  readonly serverId: number
  /**
   * Brings the connection to `settings`, and sets user variables. At once (null) when there is nothing to do. At most one
   * round trip.
   */
  align(settings: Settings, variables?: readonly SavedVariable[]): Promise<Refusal | null> | null
  /** Nothing needs to be done to bring the connection to `settings`. */
  fits(settings: Settings): boolean
  /** One request and its whole reply; `to` is told once how it ended, also before this returns: BackendLost, ClientLost. */
  exchange(request: ClientRequest, client: ClientConnection, options: ExchangeOptions, to: ReplyTo): void
  /** The backend may know more than it has told: where a client is told no more than that rows end, or of an error. */
  readonly unreported: boolean
  /** It changed something, and will never say what: to ask for it wipes out what the last statement left. */
  readonly untold: boolean
  /** Asks for it. Throws BackendLost. */
  collect(client: ClientConnection): Promise<Collected>
  /** Reads what the last statement left for questions about it, and clears it away. Throws BackendLost. */
  readOut(wish: ReadOutWish): Promise<ReadOut>
  /** Clears away what the last statement left in the server's diagnostics. Throws BackendLost. */
  clear(): Promise<void>
  /** Runs a statement of our own; its answer stays here. Rows as text. Throws BackendLost. */
  query(sql: string): Promise<readonly (readonly (string | null)[])[] | Refusal>
  /** Begins a READ ONLY transaction, and sets savepoints of these names in it, as they are written. Throws BackendLost. */
  beginReadOnly(savepoints: readonly string[]): Promise<void>
  /** Ends the transaction there is, in which nothing was written. Throws BackendLost. */
  endReadOnly(): Promise<void>
  /** Waits until the backend has all of `position`, at most `msMax`. False: it has not. Throws BackendLost. */
  catchUp(position: Position, msMax: number): Promise<boolean>
  /** Has the server stop the exchange in progress, by a second connection. `exchange` does not end before that is done. */
  cancel(): Promise<void>
  /**
   * Whoever asked has gone: the exchange rejects with ClientLost, and the rest of its answer is read and dropped, for
   * `msMax` (null: as long as it takes). `ended`: a reset makes the connection fit for others. `running`: the server is
   * still at it. `closing`: all there is to do is to close it.
   */
  finish(msMax: number | null): Promise<'ended' | 'running' | 'closing'>
  /** Has the server end this connection and what it is doing, by a second connection. Never rejects. */
  kill(): Promise<void>
  /** Makes everything a session left behind disappear. False: close it. */
  reset(): Promise<boolean>
  /** Its backend answers no more: what it is at fails with BackendLost, as if the backend had closed it. */
  giveUp(why: string): void
  /** The same, but what it is at may come to its end first. */
  giveUpSoon(why: string): void
  close(reason: CloseReason): void
}

/** One request and its whole reply. Rejects with BackendLost, ClientLost. */
export function replyOf(
  connection: BackendConnection,
  request: ClientRequest,
  client: ClientConnection,
  options: ExchangeOptions,
): Promise<Reply> {
  return new Promise((answered, failed) => connection.exchange(request, client, options, { answered, failed }))
}

/** The backend went away under a request. `progress` decides whether the request may be sent again. */
export class BackendLost extends Error {
  override readonly name = 'BackendLost'
  /** `unsent`: it never left; `sent`: no byte of the reply has reached the client; `replying`: some have. */
  readonly progress: 'unsent' | 'sent' | 'replying'
  /** The client has whole frames only, so an error may still follow in the middle of a result. */
  readonly resumable: boolean

  constructor(progress: 'unsent' | 'sent' | 'replying', resumable: boolean, message: string, options?: ErrorOptions) {
    super(message, options)
    this.progress = progress
    this.resumable = resumable
  }
}

/** The client went away under a request. */
export class ClientLost extends Error {
  override readonly name = 'ClientLost'
}

/** A backend could not be reached, or would not let us in. `refusal` is its own error where it gave one. */
export class ConnectFailed extends Error {
  override readonly name = 'ConnectFailed'
  readonly refusal: Refusal | null
  /** `capacity`: too many connections there (try later); `login`: wrong user, password or host; `network`: everything else. */
  readonly kind: 'network' | 'login' | 'capacity'

  constructor(
    kind: 'network' | 'login' | 'capacity',
    message: string,
    refusal: Refusal | null,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.kind = kind
    this.refusal = refusal
  }
}

/** A table that somebody writes the time to on the writer, and that replicas get like any other. */
export interface Heartbeat {
  readonly table: string
  readonly column: string
  /** The time is in UTC; else in the time zone of the servers. */
  readonly utc: boolean
}

/** What the writer says of itself. */
export interface ServerWords {
  readonly version: string
  /** How it reads SQL where a session has not said otherwise. */
  readonly modes: string
}

export interface ProbeTarget {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly tls: BackendTls
  readonly timeoutMs: number
  /** What lists of members are looked for. */
  readonly kind: TopologyKind
  /** Null: the lag is what the servers say themselves. */
  readonly heartbeat: Heartbeat | null
}

/** A database protocol. One object per proxy; stateless towards the core. */
export interface Protocol {
  readonly name: 'mysql' | 'postgres'
  /** The engine and modes the classifier must assume for a session with these settings. */
  sqlContext(settings: Settings, server: ServerWords): SqlContext
  /** Greets and authenticates. Throws ProxyError once the client was told, or the client just went away. */
  accept(stream: Duplex, options: AcceptOptions, arrival: Arrival): Promise<ClientConnection>
  /** Tells a client that it cannot be served, before any login, and closes. */
  turnAway(stream: Duplex, error: ProxyError): void
  /** Throws ConnectFailed. */
  connect(options: ConnectOptions): Promise<BackendConnection>
  /** A position as people and servers write it; null where it is none. */
  position(text: string): Position | null
  prober(target: ProbeTarget): Prober
}

/** For `Record<ErrorCode, …>` tables in the protocols. */
export type WireErrorTable<T> = Readonly<Record<ErrorCode, T>>
