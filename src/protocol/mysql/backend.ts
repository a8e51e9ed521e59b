// A connection to a backend: carries one request and its reply at a time, and is made clean again. What it is set to is
// in alignment.ts, what we ask on it for ourselves in questions.ts, and how a busy one is stopped in killing.ts.

import { type CloseReason, ProxyError } from '../../errors.ts'
import type { Position } from '../../topology/claim.ts'
import {
  type BackendConnection,
  BackendLost,
  type ClientConnection,
  type ClientRequest,
  type Collected,
  type Conditions,
  type ConnectOptions,
  type ExchangeOptions,
  type ReadOut,
  type ReadOutWish,
  type Refusal,
  type Reply,
  type ReplyTo,
  replyOf,
  type SavedVariable,
  type Settings,
  type SettingsChange,
} from '../protocol.ts'
import { NO_SETTINGS } from '../settings.ts'
import type { Transport } from '../transport.ts'
import { type Aligned, Alignment } from './alignment.ts'
import type { MysqlClient } from './client.ts'
import { type BackendLogin, changeUser, openBackend, targetOf } from './connect.ts'
import { Exchange, type Line, TOO_MANY_PREPARED } from './exchange.ts'
import { closeFrames, executeBytes, needsUntold, withStatementId } from './execute.ts'
import { frame, Heads } from './frames.ts'
import { BYTE_MEANING, type MysqlIdentity } from './identity.ts'
import { Killing } from './killing.ts'
import {
  buildCommand,
  buildQuery,
  CAPABILITY,
  COMMAND,
  MalformedMessage,
  STATUS,
  STATUS_OF_MODES,
  STATUS_OF_SESSION,
} from './messages.ts'
import { errorIn, type OwnCommand, OwnReplies, type OwnReply, type Rows, refusalOf, rowsIn } from './own-replies.ts'
import { PreparedCache, type PreparedEntry } from './prepared.ts'
import { CLEAR, catchUpSql, readOut } from './questions.ts'
import { type ReplyForm, ReplyTracker } from './reply-tracker.ts'
import { collectReports, completed, noteReports, type Reporting } from './reports.ts'
import type { ClientStatement, MysqlRequest } from './request.ts'
import { READERS_WAIT } from './variables.ts'

/** What the connection is busy with. */
type Work = Exchange | { readonly replies: OwnReplies; readonly done: (lost: BackendLost | null) => void }

const NO_VARIABLES: readonly SavedVariable[] = []
const CONDITIONS: ReadOutWish = { conditions: true, counters: false, variables: null }

/** ER_UNKNOWN_SYSTEM_VARIABLE. */
const UNKNOWN_VARIABLE = 1193
const NO_PRESETS: ReadonlyMap<string, string> = new Map()

export class MysqlBackend implements BackendConnection, Aligned, Reporting {
  backend: BackendConnection['backend']
  readonly identity: MysqlIdentity
  readonly openedMs: number
  readonly engine: 'mysql' | 'mariadb'
  readonly capabilities: number
  readonly serverId: number
  insertId: bigint | null = 0n
  dirty = false
  broken = false
  stained = false
  unreported = false
  untold = false
  putBack = false
  /** What a refused prepare has left for SHOW WARNINGS, until the answer that it is. */
  #leftByPrepare: Conditions | null = null
  onLost: () => void = () => {}
  readonly #options: ConnectOptions
  readonly #login: BackendLogin
  readonly #transport: Transport
  readonly form: ReplyForm
  /** As the exchange in progress sees the connection. */
  readonly #line: { -readonly [K in keyof Line]: Line[K] }
  readonly #prepared: PreparedCache
  readonly #alignment: Alignment
  readonly #killing: Killing
  /** Status flags as the server told them last. */
  #status: number
  #work: Work | null = null
  /** What it executes, or executed last. */
  #executing: PreparedEntry | null = null
  /** Set, it ends with what it is busy with. */
  #endsBecause: string | null = null
  #whyLost = 'the connection was lost before the statement was sent'
  /** Called when the exchange that nobody waits for is over. */
  #finished: () => void = () => {}

  constructor(login: BackendLogin, options: ConnectOptions, nowMs: number) {
    this.backend = options.backend
    this.identity = options.identity as MysqlIdentity
    this.openedMs = nowMs
    this.#options = options
    this.#alignment = new Alignment(this, options.readersWait ? READERS_WAIT : NO_PRESETS)
    this.#login = login
    this.engine = login.engine
    this.capabilities = login.capabilities
    this.serverId = login.connectionId
    this.#status = login.status
    this.#transport = login.transport
    this.#prepared = new PreparedCache(options.preparedMax)
    const connect = async () => new MysqlBackend(await logInto(options), options, nowMs)
    this.#killing = new Killing(options, login.connectionId, connect)
    this.form = {
      deprecateEof: (login.capabilities & CAPABILITY.DEPRECATE_EOF) !== 0,
      optionalMetadata: (login.capabilities & CAPABILITY.OPTIONAL_RESULTSET_METADATA) !== 0,
    }
    this.#line = {
      transport: login.transport,
      tracker: new ReplyTracker(),
      form: this.form,
      capabilities: login.capabilities,
      settings: NO_SETTINGS,
      status: login.status,
      onWriter: false,
      mayMakeRoom: false,
      tellsPositions: true,
      heads: new Heads(),
      heed: (exchange) => this.heed(exchange),
    }
    this.attach()
  }

  get settings(): Settings {
    return this.#alignment.settings
  }

  get attributes(): boolean {
    return (this.capabilities & CAPABILITY.QUERY_ATTRIBUTES) !== 0
  }

  get inTransaction(): boolean {
    return (this.#status & STATUS.IN_TRANS) !== 0
  }

  /** Opens, logs in and arms a connection. Throws ConnectFailed. */
  static async open(options: ConnectOptions, nowMs: number): Promise<MysqlBackend> {
    const login = await logInto(options)
    const missing = (options.identity as MysqlIdentity).capabilities & ~login.capabilities & BYTE_MEANING
    const connection = new MysqlBackend(login, options, nowMs)
    if (missing !== 0) {
      connection.close('proxy error')
      throw new BackendLost('unsent', false, `${options.backend.id} lacks what the client was offered (${missing})`)
    }
    await connection.arm()
    return connection
  }

  align(settings: Settings, variables = NO_VARIABLES): Promise<Refusal | null> | null {
    if (variables.length === 0 && this.#alignment.fits(settings)) return null
    return this.#alignment.align(settings, variables)
  }

  fits(settings: Settings): boolean {
    return this.#alignment.fits(settings)
  }

  exchange(request: ClientRequest, client: ClientConnection, options: ExchangeOptions, to: ReplyTo): void {
    if (this.broken) return to.failed(new BackendLost('unsent', true, this.#whyLost))
    // A listener speaks one protocol, so these are ours: the one assertion at the seam.
    this.begin(new Exchange(request as MysqlRequest, client as MysqlClient, options, to))
  }

  private begin(exchange: Exchange): void {
    const { request } = exchange
    const { prepared, message } = request
    if (prepared === null) return this.start(exchange, message.bytes)
    if (request.kind === 'prepare') {
      prepared.prepareUnder(this.settings)
      return this.start(exchange, message.bytes)
    }
    const entry = this.entryFor(request, prepared)
    if (entry !== null) return this.execute(exchange, entry)
    this.prepareFirst(exchange, prepared).catch((error: unknown) => exchange.fail(error))
  }

  /** What is prepared here for the statement, and can be used for this request. */
  private entryFor(request: MysqlRequest, statement: ClientStatement): PreparedEntry | null {
    const entry = this.#prepared.get(statement)
    if (entry === null || !needsUntold(request, entry, this.attributes)) return entry
    this.#prepared.remove(statement)
    return null
  }

  private async prepareFirst(exchange: Exchange, statement: ClientStatement): Promise<void> {
    const entry = await this.prepare(statement)
    if ('id' in entry) return this.execute(exchange, entry)
    this.#executing = null
    // The backend would not prepare what it is to execute: its error is the answer to the execution.
    exchange.begin(this.lineFor(exchange.request))
    exchange.feed(frame(entry.frame, exchange.client.sequence))
  }

  private execute(exchange: Exchange, entry: PreparedEntry): void {
    const { request } = exchange
    this.#executing = entry
    const isExecution = request.kind === 'execute'
    const bytes = isExecution
      ? executeBytes(request, entry, this.attributes)
      : withStatementId(request.message, entry.id)
    this.start(exchange, bytes)
  }

  private start(exchange: Exchange, bytes: Buffer): void {
    exchange.begin(this.lineFor(exchange.request))
    this.#work = exchange
    this.send(bytes)
  }

  /** It is over: what that means for the connection, and what only the server can tell of it. */
  private heed(exchange: Exchange): Reply | Promise<Reply> {
    const { cancelling } = this.#killing
    if (cancelling !== null) return cancelling.then(() => this.heedNow(exchange))
    return this.heedNow(exchange)
  }

  private heedNow(exchange: Exchange): Reply | Promise<Reply> {
    const { request, client, options } = exchange
    if (exchange.isFull) {
      this.#work = null
      this.#prepared.abandonAll()
      return replyOf(this, request, client, options)
    }
    const reply = this.learned(exchange, request, client)
    noteReports(this, exchange, reply)
    const completing = completed(this, exchange, reply, this.#options.diagnosticsBytesMax)
    if (completing !== null) return completing.finally(() => this.leaveDoubtful())
    this.leaveDoubtful()
    return reply
  }

  follow(changed: SettingsChange): void {
    this.#alignment.follow(changed)
  }

  private leaveDoubtful(): void {
    if (this.#endsBecause !== null) this.giveUp(this.#endsBecause)
    if (this.#killing.doubtful) this.broken = true
  }

  async query(sql: string): Promise<Rows | Refusal> {
    const [reply] = await this.ask([[buildQuery(sql, this.attributes), 'query']])
    const error = errorIn(reply!)
    // MariaDB keeps what a session's statement left over one of ours that has no table.
    this.stained = error !== null || (this.stained && this.engine === 'mariadb')
    return error === null ? rowsIn(reply!, this.form) : refusalOf('variables', reply!, error)
  }

  async catchUp(position: Position, msMax: number): Promise<boolean> {
    const answer = await this.query(catchUpSql(this.engine, position, msMax))
    return Array.isArray(answer) && answer[0]?.[0] === '0'
  }

  async readOut(wish: ReadOutWish): Promise<ReadOut> {
    const found = await readOut(this, wish, this.#options.diagnosticsBytesMax)
    this.stained = false
    return found
  }

  async clear(): Promise<void> {
    await this.query(CLEAR)
    this.stained = false
  }

  async beginReadOnly(savepoints: readonly string[]): Promise<void> {
    await this.mustDo('START TRANSACTION READ ONLY')
    for (const name of savepoints) await this.mustDo(`SAVEPOINT ${name}`)
  }

  endReadOnly(): Promise<void> {
    // Whatever completion_type says, none begins here, and the connection stays.
    return this.mustDo('COMMIT AND NO CHAIN NO RELEASE')
  }

  private async mustDo(sql: string): Promise<void> {
    const answer = await this.query(sql)
    if ('message' in answer)
      throw new BackendLost('unsent', true, `${this.backend.id} refused a ${sql}: ${answer.message}`)
  }

  collect(client: ClientConnection): Promise<Collected> {
    return collectReports(this, client as MysqlClient)
  }

  cancel(): Promise<void> {
    const work = this.#work
    if (!(work instanceof Exchange)) return Promise.resolve()
    return this.#killing.cancel(() => this.#work === work)
  }

  kill(): Promise<void> {
    return this.#killing.kill(() => !this.broken)
  }

  async finish(msMax: number | null): Promise<'ended' | 'running' | 'closing'> {
    const work = this.#work
    if (this.broken || !(work instanceof Exchange)) return 'closing'
    const isEnding = work.orphan(() => {
      this.#work = null
      this.#finished()
    })
    if (!isEnding) return 'closing'
    if (this.#work !== null) {
      await new Promise<void>((resolve) => {
        const deadline = msMax === null ? null : setTimeout(resolve, msMax)
        this.#finished = () => {
          if (deadline !== null) clearTimeout(deadline)
          resolve()
        }
      })
      this.#finished = () => {}
    }
    if (this.#killing.cancelling !== null) await this.#killing.cancelling
    if (this.broken || this.#killing.doubtful) return 'closing'
    return this.#work === null ? 'ended' : 'running'
  }

  async reset(): Promise<boolean> {
    const { schema } = this.settings
    const replies = await this.ask([
      [buildCommand(COMMAND.RESET_CONNECTION), 'single'],
      this.#alignment.arming,
      // Servers keep the schema, but MariaDB forgets which collation it has.
      ...(schema === null ? [] : [[buildCommand(COMMAND.INIT_DB, schema), 'single'] as const]),
    ])
    if (replies.some((reply) => errorIn(reply) !== null)) return false
    this.#prepared.clear()
    this.insertId = 0n
    this.#alignment.armed(schema)
    this.dirty = false
    this.unreported = false
    this.untold = false
    return true
  }

  giveUp(why: string): void {
    this.#transport.destroy()
    this.lost(why)
  }

  giveUpSoon(why: string): void {
    if (this.#work === null) this.giveUp(why)
    else this.#endsBecause = why
  }

  close(reason: CloseReason): void {
    if (!this.broken && this.#work === null) this.#transport.write(frame(buildCommand(COMMAND.QUIT), 0))
    this.broken = true
    this.onLost = () => {}
    if (this.#work === null) this.#transport.end()
    else this.#transport.destroy()
    this.abandon(reason)
  }

  /** The client closed a statement whose cursor is open here. */
  closeCursor(statement: ClientStatement): void {
    statement.cursorHome = null
    this.#prepared.remove(statement)
    if (!this.broken && this.#work === null) this.send(null)
  }

  async leaveSchema(): Promise<void> {
    const { account, connectMsMax } = this.#options
    const user = { user: account.backendUser, password: account.backendPassword ?? '' }
    try {
      await changeUser(this.#login, user, null, connectMsMax)
    } catch (error) {
      this.broken = true
      throw new BackendLost('unsent', true, `lost ${this.backend.id} while leaving a schema`, { cause: error })
    }
    this.attach()
    await this.arm()
  }

  /** Everything the server remembered for sessions is gone; it is told again what to report. */
  private async arm(): Promise<void> {
    this.#prepared.clear()
    this.insertId = 0n
    const [reply] = await this.ask([this.#alignment.arming])
    const error = errorIn(reply!)
    if (error?.errno === UNKNOWN_VARIABLE && this.#options.readersWait) {
      const text = `${this.backend.id}: ${error.message}; reads.auroraReadConsistency is for Aurora MySQL from 3.04 on`
      throw new ProxyError('BACKEND_REFUSED_SETTINGS', text)
    }
    if (error !== null) throw new BackendLost('unsent', false, `${this.backend.id}: ${error.message}`)
    this.#alignment.armed(null)
  }

  private attach(): void {
    this.#transport.onBytes = (bytes) => this.receive(bytes)
    this.#transport.onClosed = (error) => this.lost(error?.message ?? 'the server closed the connection')
    this.#transport.resume()
  }

  private async prepare(statement: ClientStatement): Promise<PreparedEntry | Refusal> {
    const { settings } = this
    const wanted = statement.settingsToPrepare(settings)
    // A session without a schema lost the one it had, and what was prepared there cannot be prepared.
    if (wanted === settings || settings.schema === null) return this.prepareNow(statement)
    const refusal = await this.align(wanted)
    if (refusal !== null) return refusal
    const entry = await this.prepareNow(statement)
    // To MySQL, what aligns the connection again is a statement like any other.
    if ('message' in entry) this.#leftByPrepare = (await this.readOut(CONDITIONS)).conditions
    return (await this.align(settings)) ?? entry
  }

  private async prepareNow(statement: ClientStatement): Promise<PreparedEntry | Refusal> {
    const [reply] = await this.ask([[buildCommand(COMMAND.STMT_PREPARE, statement.text), 'prepare']])
    const error = errorIn(reply!)
    if (error?.errno === TOO_MANY_PREPARED && this.#prepared.idle > 0) {
      this.#prepared.abandonAll()
      return this.prepareNow(statement)
    }
    if (error !== null) return refusalOf('prepare', reply!, error)
    return this.#prepared.add(statement, reply![0]!.readUInt32LE(1))
  }

  private lineFor({ kind }: ClientRequest): Line {
    const line = this.#line
    line.settings = this.settings
    line.status = this.#status
    line.onWriter = this.backend.role === 'writer'
    line.mayMakeRoom = kind === 'prepare' && this.#prepared.idle > 0
    line.tellsPositions = this.#alignment.tellsPositions
    return line
  }

  /** What a reply means for the connection itself. */
  private learned(end: Exchange, request: MysqlRequest, client: MysqlClient): Reply {
    this.#work = null
    // What SET STATEMENT sets is put back behind its answer.
    const kept = end.options.passing.includes('sql_mode') ? STATUS_OF_MODES : 0
    this.#status = (end.status & STATUS_OF_SESSION & ~kept) | (this.#status & kept)
    const { reply } = end
    const statement = request.prepared
    if (statement !== null && request.kind === 'prepare') {
      if (end.prepared !== null) {
        statement.parameterCount = end.prepared.parameters
        statement.columnCount = end.prepared.columns
        this.#prepared.add(statement, end.prepared.id)
      } else if (reply.outcome === 'error') client.forget(statement)
    } else if (statement !== null) this.followCursor(statement, end, request)
    if (reply.changed !== null) this.#alignment.follow(reply.changed)
    client.status = this.#status
    // An error does not tell whether it has begun a transaction, or ended one; to prepare does neither.
    const mayDiffer = (this.#status & STATUS.AUTOCOMMIT) === 0 || (this.#status & STATUS.IN_TRANS) !== 0
    if (request.kind !== 'prepare') client.isInDoubt = reply.outcome === 'error' && mayDiffer
    const leaves = reply.warned || reply.outcome !== 'ok'
    // MariaDB keeps warnings over statements that have neither a table nor a subquery.
    this.stained = leaves || (this.stained && this.engine === 'mariadb')
    // MySQL answers a PING with the count of conditions that the last statement left.
    client.warnings = this.engine === 'mariadb' ? 0 : reply.outcome === 'error' ? 1 : reply.warnings
    reply.cursorOpen = this.#prepared.cursors > 0
    if (this.#leftByPrepare !== null) {
      reply.conditions = this.#leftByPrepare
      reply.disturbed = true
      this.#leftByPrepare = null
    }
    return reply
  }

  private followCursor(statement: ClientStatement, end: Exchange, request: MysqlRequest): void {
    // Whoever else would execute it here is to get a sound one.
    if (statement.isMisgiven) {
      statement.cursorHome = null
      return this.#prepared.remove(statement)
    }
    statement.forgetLongData()
    const entry = this.#executing
    if (entry === null) return
    const { status } = end
    const opens = request.reply === 'cursor' && (status & STATUS.CURSOR_EXISTS) !== 0
    const open = request.kind === 'execute' ? opens : entry.cursor
    const isOver = (status & STATUS.LAST_ROW_SENT) !== 0 || request.reply === 'single' || end.reply.outcome !== 'ok'
    this.#prepared.setCursor(entry, open && !isOver)
    statement.cursorHome = entry.cursor ? this : null
  }

  ask(commands: readonly OwnCommand[]): Promise<readonly OwnReply[]> {
    if (this.broken) return Promise.reject(new BackendLost('unsent', true, this.#whyLost))
    this.#options.ownRoundTrips.value += 1
    return new Promise((resolve, reject) => {
      const replies = new OwnReplies(
        commands.map(([, kind]) => kind),
        this.form,
      )
      this.#work = {
        replies,
        done: (lost) => {
          this.#work = null
          if (lost !== null) return reject(lost)
          if (replies.status !== -1) this.#status = replies.status
          resolve(replies.replies)
        },
      }
      this.send(Buffer.concat(commands.map(([payload]) => frame(payload, 0))))
    })
  }

  /** Behind the closing of what was given up here. */
  private send(bytes: Buffer | null): void {
    const abandoned = closeFrames(this.#prepared.takeAbandoned())
    if (abandoned !== null) this.#transport.write(bytes === null ? abandoned : Buffer.concat([abandoned, bytes]), true)
    else if (bytes !== null) this.#transport.write(bytes, true)
  }

  private receive(bytes: Buffer): void {
    const work = this.#work
    try {
      if (work === null) throw new MalformedMessage('bytes that nobody asked for')
      if (work instanceof Exchange) work.feed(bytes)
      else if (work.replies.feed(bytes)) work.done(null)
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
      this.#transport.destroy()
      this.lost(`it sent what cannot be understood (${error.message})`)
    }
  }

  private lost(why: string): void {
    if (this.broken) return
    this.broken = true
    const work = this.#work
    this.#work = null
    const message = `lost ${this.backend.id}: ${why}`
    this.#whyLost = message
    if (work instanceof Exchange) work.backendLost(message)
    else if (work !== null) work.done(new BackendLost('unsent', true, message))
    this.#finished()
    this.onLost()
  }

  /** Closed by us under whoever uses it. */
  private abandon(reason: CloseReason): void {
    const work = this.#work
    this.#work = null
    if (work instanceof Exchange) work.abandon()
    else if (work !== null) work.done(new BackendLost('unsent', true, `closed: ${reason}`))
  }
}

/** A login as somebody, for what `options` want. */
function logInto(options: ConnectOptions): Promise<BackendLogin> {
  const { account, identity } = options
  const { capabilities, extendedCapabilities } = identity as MysqlIdentity
  const user = { user: account.backendUser, password: account.backendPassword ?? '' }
  return openBackend(targetOf(options), user, capabilities, extendedCapabilities)
}
