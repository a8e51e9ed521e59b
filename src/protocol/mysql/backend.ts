// A connection to a backend: brings itself to a session's settings, carries one request and its reply at a time, and is
// made clean again. Replies pass through: only the frames that mean something are looked at.

import type { CloseReason } from '../../errors.ts'
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
  type SavedVariable,
  type Settings,
  type SettingsChange,
} from '../protocol.ts'
import { NO_SETTINGS, sameSettings, settingsOf, withChange } from '../settings.ts'
import type { Transport } from '../transport.ts'
import type { MysqlClient } from './client.ts'
import { conditionsIn } from './conditions.ts'
import { type BackendLogin, changeUser, openBackend, targetOf } from './connect.ts'
import { Exchange, type ExchangeEnd, type Line, TOO_MANY_PREPARED } from './exchange.ts'
import { closeFrames, executeFrames, needsUntold, withStatementId } from './execute.ts'
import { frame } from './frames.ts'
import { BYTE_MEANING, type MysqlIdentity } from './identity.ts'
import {
  buildCommand,
  buildQuery,
  CAPABILITY,
  COMMAND,
  MalformedMessage,
  parseChanges,
  parseOk,
  STATUS,
  TRACK,
  type TrackedChange,
} from './messages.ts'
import { errorIn, OwnReplies, type OwnReply, rowsIn } from './own-replies.ts'
import { PreparedCache, type PreparedEntry } from './prepared.ts'
import { type ReplyForm, type ReplyKind, ReplyTracker } from './reply-tracker.ts'
import type { ClientStatement, MysqlRequest } from './request.ts'
import { variableQuestions, variablesIn } from './user-variables.ts'
import {
  addResultsCollation,
  alignmentSql,
  armingSql,
  BASE_VARIABLES,
  gtidTracker,
  isInsertId,
  isKept,
  isTracker,
  isUnmovable,
  MULTI_STATEMENTS,
  quoteName,
} from './variables.ts'

/** What the connection is busy with. */
type Work =
  | { readonly kind: 'exchange'; readonly exchange: Exchange }
  | { readonly kind: 'own'; readonly replies: OwnReplies; readonly done: (lost: BackendLost | null) => void }

/** What an exchange is made from, besides the connection. */
type ToExchange = Pick<Exchange, 'request' | 'client' | 'options'>

/** Flags that stay true after the statement that told them. */
const STATUS_OF_SESSION =
  STATUS.IN_TRANS | STATUS.AUTOCOMMIT | STATUS.NO_BACKSLASH_ESCAPES | STATUS.IN_TRANS_READONLY | STATUS.ANSI_QUOTES

const SHOW_WARNINGS = 'SHOW WARNINGS'
/** SHOW WARNINGS leaves these as they are. */
const SELECT_COUNTERS = 'SELECT FOUND_ROWS(), LAST_INSERT_ID() LIMIT 1'
/** Leaves no warnings; MariaDB keeps them over a statement that has neither a table nor a subquery. */
const CLEAR = 'DO (SELECT 0)'

const NO_VARIABLES: readonly SavedVariable[] = []
const NO_CHANGES: readonly TrackedChange[] = []

/** What a session may set, by MariaDB's own list; NULL reads as the trackers would report it. */
const SESSION_AND_GLOBAL = `SELECT LOWER(VARIABLE_NAME), COALESCE(SESSION_VALUE, ''), COALESCE(GLOBAL_VALUE, '')
  FROM information_schema.SYSTEM_VARIABLES WHERE VARIABLE_SCOPE = 'SESSION' AND READ_ONLY = 'NO'`

/** ER_SPECIFIC_ACCESS_DENIED_ERROR. */
const ACCESS_DENIED = 1227

const SET_OPTION_ON = Buffer.from([COMMAND.SET_OPTION, 0, 0])
const SET_OPTION_OFF = Buffer.from([COMMAND.SET_OPTION, 1, 0])

export class MysqlBackend implements BackendConnection {
  backend: BackendConnection['backend']
  readonly identity: MysqlIdentity
  readonly openedMs: number
  dirty = false
  broken = false
  stained = false
  unreported = false
  untold = false
  onLost: () => void = () => {}
  readonly #options: ConnectOptions
  readonly #login: BackendLogin
  readonly #transport: Transport
  readonly #form: ReplyForm
  /** As the exchange in progress sees the connection. */
  readonly #line: { -readonly [K in keyof Line]: Line[K] }
  readonly #prepared: PreparedCache
  #settings: Settings = NO_SETTINGS
  /** The server's trackers tell us everything; a client that sets its own takes them from us for a moment. */
  #armed = true
  /** How it is set to tell what was committed. */
  #gtids: string | null = null
  /** Status flags as the server told them last. */
  #status: number
  #work: Work | null = null
  /** What it executes, or executed last. */
  #executing: PreparedEntry | null = null
  /** On its way to stop the exchange in progress; nobody else gets the connection before it has arrived. */
  #cancelling: Promise<void> | null = null
  /** What was told may still arrive, and would hit whoever uses the connection then: nobody must. */
  #doubtful = false
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
    this.#login = login
    this.#status = login.status
    this.#transport = login.transport
    this.#prepared = new PreparedCache(options.preparedMax)
    this.#form = {
      deprecateEof: (login.capabilities & CAPABILITY.DEPRECATE_EOF) !== 0,
      optionalMetadata: (login.capabilities & CAPABILITY.OPTIONAL_RESULTSET_METADATA) !== 0,
    }
    this.#line = {
      transport: login.transport,
      tracker: new ReplyTracker(),
      form: this.#form,
      capabilities: login.capabilities,
      settings: NO_SETTINGS,
      status: login.status,
      onWriter: false,
      mayMakeRoom: false,
      tellsPositions: true,
      heed: (end, exchange) => this.heed(end, exchange),
    }
    this.attach()
  }

  get settings(): Settings {
    return this.#settings
  }

  get serverId(): number {
    return this.#login.connectionId
  }

  /** Opens, logs in and arms a connection. Throws ConnectFailed. */
  static async open(options: ConnectOptions, nowMs: number): Promise<MysqlBackend> {
    const { account } = options
    const identity = options.identity as MysqlIdentity
    const user = { user: account.backendUser, password: account.backendPassword ?? '' }
    const login = await openBackend(targetOf(options), user, identity.capabilities, identity.extendedCapabilities)
    const missing = identity.capabilities & ~login.capabilities & BYTE_MEANING
    const connection = new MysqlBackend(login, options, nowMs)
    if (missing !== 0) {
      connection.close('proxy error')
      throw new BackendLost('unsent', false, `${options.backend.id} lacks what the client was offered (${missing})`)
    }
    await connection.arm()
    return connection
  }

  align(settings: Settings, variables: readonly SavedVariable[] = NO_VARIABLES): Promise<Refusal | null> | null {
    if (
      variables.length === 0 &&
      this.#armed &&
      (settings === this.#settings || sameSettings(settings, this.#settings))
    )
      return null
    return this.alignNow(settings, variables)
  }

  exchange(request: ClientRequest, client: ClientConnection, options: ExchangeOptions): Promise<Reply> {
    if (this.broken) return Promise.reject(new BackendLost('unsent', true, this.#whyLost))
    // A listener speaks one protocol, so these are ours: the one assertion at the seam.
    const exchange = { request: request as MysqlRequest, client: client as MysqlClient, options }
    const statement = exchange.request.prepared
    if (statement === null) return this.start(exchange, request.frames)
    if (request.kind === 'prepare') {
      statement.prepareUnder(this.#settings)
      return this.start(exchange, request.frames)
    }
    const entry = this.entryFor(exchange.request, statement)
    return entry === null ? this.prepareFirst(exchange, statement) : this.execute(exchange, entry)
  }

  /** What is prepared here for the statement, and can be used for this request. */
  private entryFor(request: MysqlRequest, statement: ClientStatement): PreparedEntry | null {
    const entry = this.#prepared.get(statement)
    if (entry === null || !needsUntold(request, entry, this.attributes)) return entry
    this.#prepared.remove(statement)
    return null
  }

  private async prepareFirst(exchange: ToExchange, statement: ClientStatement): Promise<Reply> {
    const entry = await this.prepare(statement)
    if ('id' in entry) return this.execute(exchange, entry)
    this.#executing = null
    return this.answer(entry.frame, exchange)
  }

  private execute(exchange: ToExchange, entry: PreparedEntry): Promise<Reply> {
    const { request } = exchange
    this.#executing = entry
    const isExecution = request.kind === 'execute'
    const frames = isExecution
      ? executeFrames(request, entry, this.attributes)
      : [withStatementId(request.message, entry.id)]
    return this.start(exchange, frames)
  }

  private start({ request, client, options }: ToExchange, frames: readonly Buffer[]): Promise<Reply> {
    const exchange = new Exchange(request, client, this.lineFor(request), options)
    this.#work = { kind: 'exchange', exchange }
    this.send(frames)
    return exchange.done
  }

  /** It is over: what that means for the connection, and what only the server can tell of it. */
  private heed(end: ExchangeEnd, exchange: Exchange): Reply | Promise<Reply> {
    if (this.#cancelling !== null) return this.#cancelling.then(() => this.heedNow(end, exchange))
    return this.heedNow(end, exchange)
  }

  private heedNow(end: ExchangeEnd, { request, client, options }: Exchange): Reply | Promise<Reply> {
    if (end.full) {
      this.#work = null
      this.#prepared.abandonAll()
      return this.exchange(request, client, options)
    }
    const reply = this.learned(end, request, client)
    const { mayChange, mayBegin } = options
    this.unreported = (end.endedInEof && mayChange) || (reply.outcome === 'error' && mayBegin)
    // MySQL tells it with the next OK.
    this.untold = this.unreported && end.changedInEof && this.#login.engine === 'mariadb'
    const { sets } = options
    const isUntold = sets.length > 0 && this.#login.engine === 'mariadb' && reply.outcome === 'ok'
    if (!isUntold && !end.collationUnknown) {
      this.leaveDoubtful()
      return reply
    }
    return (isUntold ? this.withUntold(reply, sets) : this.withCollation(reply))
      .catch((error: unknown) => {
        // The statement has run and was answered: only what it changed is not known, and goes with the connection.
        if (error instanceof BackendLost) return { ...reply, unmovable: true, disturbed: true }
        throw error
      })
      .finally(() => this.leaveDoubtful())
  }

  private leaveDoubtful(): void {
    if (this.#endsBecause !== null) this.giveUp(this.#endsBecause)
    if (this.#doubtful) this.broken = true
  }

  async query(sql: string): Promise<readonly (readonly (string | null)[])[] | Refusal> {
    const [reply] = await this.ask([[buildQuery(sql, this.attributes), 'query']])
    const error = errorIn(reply!)
    this.stained = error !== null
    if (error !== null) return refusalOf('variables', reply!, error.message.toString())
    return rowsIn(reply!, this.#form)
  }

  async catchUp(position: Position, msMax: number): Promise<boolean> {
    const wait = this.#login.engine === 'mysql' ? 'WAIT_FOR_EXECUTED_GTID_SET' : 'MASTER_GTID_WAIT'
    // No time at all would be for ever.
    const seconds = (Math.max(1, Math.round(msMax)) / 1000).toFixed(3)
    const answer = await this.query(`SELECT ${wait}('${position.text.replaceAll(/\s/g, '')}', ${seconds})`)
    return Array.isArray(answer) && answer[0]?.[0] === '0'
  }

  async readOut({ conditions, counters, variables }: ReadOutWish): Promise<ReadOut> {
    const aboutLast = [...(conditions ? [SHOW_WARNINGS] : []), ...(counters ? [SELECT_COUNTERS] : [])]
    const aboutVariables = variables === null ? [] : variableQuestions(variables.names, variables.bytesMax)
    const asked = [...aboutLast, ...aboutVariables, CLEAR]
    const replies = await this.ask(asked.map((sql) => [buildQuery(sql, this.attributes), 'query'] as const))
    const told = replies.slice(0, aboutLast.length)
    const failed = [...told, replies.at(-1)!].map(errorIn).find((error) => error !== null)
    if (failed !== undefined) throw new BackendLost('unsent', true, `nothing could be read out: ${failed.message}`)
    this.stained = false
    const [foundRows, insertId] = counters ? rowsIn(told.at(-1)!, this.#form)[0]! : []
    return {
      conditions: conditions ? this.conditionsIn(told[0]!) : null,
      counters: counters ? { foundRows: Number(foundRows), insertId: BigInt(insertId ?? 0) } : null,
      variables: variables === null ? null : variablesIn(variables, replies.slice(aboutLast.length)),
    }
  }

  async collect(): Promise<Collected> {
    // A PING leaves diagnostics and all the rest as they are.
    const [reply] = await this.ask([[buildCommand(COMMAND.PING), 'single']])
    this.unreported = false
    const { status } = parseOk(reply!.at(-1)!, this.#login.capabilities)
    const told = this.changesIn(reply!)
    const { untold } = this
    this.untold = false
    const changed = untold ? await this.askForChange() : changeOf(told)
    if (changed !== null) this.follow(changed)
    return {
      changed,
      stateChanged: untold ? await this.hasUserVariables() : told.some(({ kind }) => kind === TRACK.STATE_CHANGE),
      transaction: (status & STATUS.IN_TRANS) === 0 ? 'none' : 'open',
    }
  }

  /** MariaDB forgets at an EOF what it would have reported with an OK. */
  private async askForChange(): Promise<SettingsChange | null> {
    const rows = await this.query(SESSION_AND_GLOBAL)
    if (!Array.isArray(rows)) throw new BackendLost('unsent', true, `${this.backend.id} does not tell its variables`)
    const { variables } = this.#settings
    const changed = new Map<string, string>()
    for (const [name, value, ofAll] of rows as readonly (readonly string[])[]) {
      const isOurs = !isKept(name!) || isTracker(name!)
      if (!isOurs && value !== (variables.get(name!) ?? ofAll)) changed.set(name!, value!)
    }
    addResultsCollation(changed)
    return changed.size === 0 ? null : { schema: undefined, variables: changed }
  }

  /** In doubt it has. */
  private async hasUserVariables(): Promise<boolean> {
    const rows = await this.query('SELECT COUNT(*) FROM information_schema.USER_VARIABLES')
    return !Array.isArray(rows) || rows[0]?.[0] !== '0'
  }

  cancel(): Promise<void> {
    const work = this.#work
    if (work?.kind !== 'exchange') return Promise.resolve()
    this.#cancelling ??= this.tellServer('KILL QUERY', () => this.#work === work).finally(() => {
      this.#cancelling = null
    })
    return this.#cancelling
  }

  async kill(): Promise<void> {
    await this.tellServer('KILL', () => !this.broken)
  }

  async finish(msMax: number | null): Promise<'ended' | 'running' | 'closing'> {
    const work = this.#work
    if (this.broken || work?.kind !== 'exchange') return 'closing'
    const isEnding = work.exchange.orphan(() => {
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
    if (this.#cancelling !== null) await this.#cancelling
    if (this.broken || this.#doubtful) return 'closing'
    return this.#work === null ? 'ended' : 'running'
  }

  async reset(): Promise<boolean> {
    const gtids = this.gtidTrackerFor(NO_SETTINGS)
    const [reset, arming] = await this.ask([
      [buildCommand(COMMAND.RESET_CONNECTION), 'single'],
      [buildQuery(armingSql(gtids), this.attributes), 'single'],
    ])
    if (errorIn(reset!) !== null || errorIn(arming!) !== null) return false
    this.#prepared.clear()
    this.#armed = true
    this.#gtids = gtids
    this.dirty = false
    this.#settings = this.settingsLeft(this.#settings.schema)
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
    if (!this.broken && this.#work === null) this.send([])
  }

  /** By a connection of its own, when the turn comes and if it still makes sense then. */
  private tellServer(words: 'KILL' | 'KILL QUERY', makesSense: () => boolean): Promise<void> {
    const { account, identity, killing, connectMsMax } = this.#options
    return killing.take(async () => {
      if (!makesSense()) return
      const user = { user: account.backendUser, password: account.backendPassword ?? '' }
      const { capabilities, extendedCapabilities } = identity as MysqlIdentity
      try {
        const login = await openBackend(targetOf(this.#options), user, capabilities, extendedCapabilities)
        const killer = new MysqlBackend(login, this.#options, this.openedMs)
        const deadline = setTimeout(() => killer.close('proxy in doubt'), connectMsMax)
        try {
          if (!makesSense()) return
          this.#doubtful = true
          await killer.query(`${words} ${this.serverId}`)
          this.#doubtful = false
        } finally {
          clearTimeout(deadline)
          killer.close('proxy in doubt')
        }
      } catch {
        // It cannot be reached, or would not let us in: what it is at ends with its connection, or by itself.
      }
    })
  }

  private get attributes(): boolean {
    return (this.#login.capabilities & CAPABILITY.QUERY_ATTRIBUTES) !== 0
  }

  /** SET, the schema and the multi-statement option in one go: as many commands as needed, one round trip. */
  private async alignNow(settings: Settings, variables: readonly SavedVariable[]): Promise<Refusal | null> {
    const refusal = await this.alignAtOnce(settings, variables)
    const isDenied = refusal !== null && errorIn([refusal.frame])?.errno === ACCESS_DENIED
    return isDenied ? this.alignOneByOne(settings, variables, refusal) : refusal
  }

  /** Some variables only the mighty may set, and everybody to their defaults: the server tells which value that was. */
  private async alignOneByOne(
    settings: Settings,
    variables: readonly SavedVariable[],
    refusal: Refusal,
  ): Promise<Refusal | null> {
    for (const [name, value] of settings.variables) {
      const one = withChange(this.#settings, { schema: undefined, variables: new Map([[name, value]]) })
      if ((await this.alignAtOnce(one, NO_VARIABLES)) === null) continue
      const [reply] = await this.ask([
        [buildQuery(`SET SESSION ${quoteName(name)} = DEFAULT`, this.attributes), 'single'],
      ])
      const changed = errorIn(reply!) === null ? changeOf(this.changesIn(reply!)) : null
      if (changed !== null) this.follow(changed)
      if (this.#settings.variables.get(name) !== value) return refusal
    }
    return this.alignAtOnce(settings, variables)
  }

  private changesIn(reply: OwnReply): readonly TrackedChange[] {
    const { changes } = parseOk(reply.at(-1)!, this.#login.capabilities)
    return changes === null ? NO_CHANGES : parseChanges(changes)
  }

  private async alignAtOnce(settings: Settings, variables: readonly SavedVariable[]): Promise<Refusal | null> {
    const from = this.#settings
    const commands: [Buffer, ReplyKind][] = []
    const whats: Refusal['what'][] = []
    if (settings.schema === null && from.schema !== null) {
      await this.leaveSchema()
      return this.align(settings, variables)
    }
    const gtids = this.gtidTrackerFor(settings)
    // In a transaction it cannot be set.
    const isToSet = gtids !== this.#gtids && (this.#status & STATUS.IN_TRANS) === 0
    const arming = { armed: this.#armed, gtids: isToSet ? gtids : null }
    const sql = alignmentSql(from, settings, arming, variables)
    if (sql !== null) {
      commands.push([buildQuery(sql, this.attributes), 'single'])
      whats.push('variables')
    }
    if (settings.schema !== from.schema) {
      commands.push([buildCommand(COMMAND.INIT_DB, settings.schema!), 'single'])
      whats.push('schema')
    }
    const multi = hasMultiStatements(settings)
    if (multi !== hasMultiStatements(from)) {
      commands.push([multi ? SET_OPTION_ON : SET_OPTION_OFF, 'single'])
      whats.push('variables')
    }
    if (commands.length > 0) {
      const replies = await this.ask(commands)
      for (const [index, reply] of replies.entries()) {
        const error = errorIn(reply)
        if (error !== null) return refusalOf(whats[index]!, reply, error.message.toString())
      }
    }
    if (isToSet) this.#gtids = gtids
    this.#armed = gtids === this.#gtids
    this.#settings = settings
    return null
  }

  /** No command leaves a schema for none; to log in again without one does, and forgets everything else as well. */
  private async leaveSchema(): Promise<void> {
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
    const gtids = this.gtidTrackerFor(NO_SETTINGS)
    const [reply] = await this.ask([[buildQuery(armingSql(gtids), this.attributes), 'single']])
    const error = errorIn(reply!)
    if (error !== null) throw new BackendLost('unsent', false, `${this.backend.id}: ${error.message}`)
    this.#armed = true
    this.#gtids = gtids
    this.#settings = this.settingsLeft(null)
  }

  private gtidTrackerFor(settings: Settings): string | null {
    return gtidTracker(this.#login.engine, settings)
  }

  /** What a reset or a login leaves: neither touches the option to run several statements in one text. */
  private settingsLeft(schema: string | null): Settings {
    const multi = this.#settings.variables.get(MULTI_STATEMENTS)
    return settingsOf(
      schema,
      multi === undefined ? BASE_VARIABLES : new Map([...BASE_VARIABLES, [MULTI_STATEMENTS, multi]]),
    )
  }

  private attach(): void {
    this.#transport.onBytes = (bytes) => this.receive(bytes)
    this.#transport.onClosed = (error) => this.lost(error?.message ?? 'the server closed the connection')
    this.#transport.resume()
  }

  private async prepare(statement: ClientStatement): Promise<PreparedEntry | Refusal> {
    const settings = this.#settings
    const wanted = statement.settingsToPrepare(settings)
    // A session without a schema lost the one it had, and what was prepared there cannot be prepared.
    if (wanted === settings || settings.schema === null) return this.prepareNow(statement)
    const refusal = await this.align(wanted)
    if (refusal !== null) return refusal
    const entry = await this.prepareNow(statement)
    return (await this.align(settings)) ?? entry
  }

  private async prepareNow(statement: ClientStatement): Promise<PreparedEntry | Refusal> {
    const [reply] = await this.ask([[buildCommand(COMMAND.STMT_PREPARE, statement.text), 'prepare']])
    const error = errorIn(reply!)
    if (error?.errno === TOO_MANY_PREPARED && this.#prepared.idle > 0) {
      this.#prepared.abandonAll()
      return this.prepareNow(statement)
    }
    if (error !== null) return refusalOf('prepare', reply!, error.message.toString())
    return this.#prepared.add(statement, reply![0]!.readUInt32LE(1))
  }

  /** The backend would not prepare what it is to execute: its error is the answer to the execution. */
  private answer(error: Buffer, { request, client, options }: ToExchange): Promise<Reply> {
    const line = { ...this.lineFor(request), heed: (end: ExchangeEnd) => this.learned(end, request, client) }
    const exchange = new Exchange(request, client, line, options)
    exchange.feed(frame(error, client.sequence))
    return exchange.done
  }

  private lineFor({ kind }: ClientRequest): Line {
    const line = this.#line
    line.settings = this.#settings
    line.status = this.#status
    line.onWriter = this.backend.role === 'writer'
    line.mayMakeRoom = kind === 'prepare' && this.#prepared.idle > 0
    line.tellsPositions = this.#armed && this.#gtids === this.gtidTrackerFor(this.#settings)
    return line
  }

  /** What a reply means for the connection itself. */
  private learned(end: ExchangeEnd, request: MysqlRequest, client: MysqlClient): Reply {
    this.#work = null
    this.#status = end.status & STATUS_OF_SESSION
    const { reply } = end
    const statement = request.prepared
    if (statement !== null && request.kind === 'prepare') {
      if (end.prepared !== null) {
        statement.parameterCount = end.prepared.parameters
        this.#prepared.add(statement, end.prepared.id)
      } else if (reply.outcome === 'error') client.forget(statement)
    } else if (statement !== null) this.followCursor(statement, end, request)
    if (reply.changed !== null) this.follow(reply.changed)
    client.status = this.#status
    const leaves = end.warned || reply.outcome !== 'ok'
    // MariaDB keeps warnings over statements that have neither a table nor a subquery.
    this.stained = leaves || (this.stained && this.#login.engine === 'mariadb')
    // MySQL answers a PING with the count of conditions that the last statement left.
    client.warnings = this.#login.engine === 'mariadb' ? 0 : reply.outcome === 'error' ? 1 : reply.warnings
    reply.cursorOpen = this.#prepared.cursors > 0
    return reply
  }

  /** MariaDB does not report what is set as `@@name`. */
  private async withUntold(reply: Reply, names: readonly string[]): Promise<Reply> {
    // The collation may follow from what was set.
    const asked = [...names, 'collation_connection'].map((name) => `@@session.${quoteName(name)}`)
    const rows = await this.query(`SELECT ${asked.join(', ')}`)
    const values = Array.isArray(rows) ? (rows[0] ?? []) : []
    if (values.length === 0) return { ...reply, unmovable: true, disturbed: true }
    const variables = new Map(reply.changed?.variables ?? [])
    for (const [index, name] of names.entries()) if (isKept(name)) variables.set(name, values[index] ?? '')
    variables.set('collation_connection', values.at(-1) ?? '')
    addResultsCollation(variables)
    const changed = { schema: reply.changed?.schema, variables }
    this.follow(changed)
    const insertId = names.some(isInsertId) ? BigInt(values[names.findIndex(isInsertId)] ?? 0) : reply.insertId
    return {
      ...reply,
      changed,
      insertId,
      unmovable: reply.unmovable || names.some((name, index) => isUnmovable(name, values[index] ?? '')),
      disturbed: true,
    }
  }

  /** SET NAMES reports character sets only. The question wipes out what it warned of. */
  private async withCollation(reply: Reply): Promise<Reply> {
    const asked = [...(reply.warnings > 0 ? [SHOW_WARNINGS] : []), 'SELECT @@collation_connection']
    const replies = await this.ask(asked.map((sql) => [buildQuery(sql, this.attributes), 'query'] as const))
    if (replies.some((one) => errorIn(one) !== null)) return { ...reply, unmovable: true, disturbed: true }
    const conditions = reply.warnings > 0 ? this.conditionsIn(replies[0]!) : null
    const collation = rowsIn(replies.at(-1)!, this.#form)[0]![0]!
    const variables = new Map([...(reply.changed?.variables ?? []), ['collation_connection', collation]])
    addResultsCollation(variables)
    const changed = { schema: reply.changed?.schema, variables }
    this.follow(changed)
    return { ...reply, changed, conditions, disturbed: true }
  }

  private conditionsIn(shown: OwnReply): Conditions {
    return conditionsIn(shown, this.#form, this.#options.diagnosticsBytesMax)
  }

  private followCursor(statement: ClientStatement, end: ExchangeEnd, request: MysqlRequest): void {
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

  private follow(changed: NonNullable<Reply['changed']>): void {
    const schema = changed.schema === undefined ? this.#settings.schema : changed.schema
    const variables = new Map(this.#settings.variables)
    for (const [name, value] of changed.variables) {
      if (name.startsWith('session_track_')) this.#armed = false
      if (name === 'session_track_gtids') this.#gtids = value
      variables.set(name, value)
    }
    this.#settings = settingsOf(schema, variables)
  }

  /** Commands of our own, sent together; their replies in order. Throws BackendLost. */
  private ask(commands: readonly (readonly [Buffer, ReplyKind])[]): Promise<readonly OwnReply[]> {
    if (this.broken) return Promise.reject(new BackendLost('unsent', true, this.#whyLost))
    this.#options.ownRoundTrips.value += 1
    return new Promise((resolve, reject) => {
      const replies = new OwnReplies(
        commands.map(([, kind]) => kind),
        this.#form,
      )
      this.#work = {
        kind: 'own',
        replies,
        done: (lost) => {
          this.#work = null
          if (lost !== null) return reject(lost)
          if (replies.status !== -1) this.#status = replies.status
          resolve(replies.replies)
        },
      }
      this.send(commands.map(([payload]) => frame(payload, 0)))
    })
  }

  private send(frames: readonly Buffer[]): void {
    const abandoned = closeFrames(this.#prepared.takeAbandoned())
    const all = abandoned === null ? frames : [abandoned, ...frames]
    if (all.length === 0) return
    this.#transport.write(all.length === 1 ? all[0]! : Buffer.concat(all))
  }

  private receive(bytes: Buffer): void {
    const work = this.#work
    try {
      if (work === null) throw new MalformedMessage('bytes that nobody asked for')
      if (work.kind === 'exchange') work.exchange.feed(bytes)
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
    if (work?.kind === 'exchange') work.exchange.backendLost(message)
    else if (work !== null) work.done(new BackendLost('unsent', true, message))
    this.#finished()
    this.onLost()
  }

  /** Closed by us under whoever uses it. */
  private abandon(reason: CloseReason): void {
    const work = this.#work
    this.#work = null
    if (work?.kind === 'exchange') work.exchange.abandon()
    else if (work !== null) work.done(new BackendLost('unsent', true, `closed: ${reason}`))
  }
}

/** The schema and variables among what was reported. */
function changeOf(changes: readonly TrackedChange[]): SettingsChange | null {
  const variables = new Map<string, string>()
  let schema: string | null | undefined
  for (const { kind, name, value } of changes) {
    if (kind === TRACK.SYSTEM_VARIABLES && isKept(name)) variables.set(name, value?.toString() ?? '')
    else if (kind === TRACK.SCHEMA) schema = value === null || value.length === 0 ? null : value.toString()
  }
  addResultsCollation(variables)
  return schema === undefined && variables.size === 0 ? null : { schema, variables }
}

function hasMultiStatements({ variables }: Settings): boolean {
  return variables.get(MULTI_STATEMENTS) === 'ON'
}

function refusalOf(what: Refusal['what'], reply: OwnReply, message: string): Refusal {
  return { what, message, frame: reply.at(-1)! }
}
