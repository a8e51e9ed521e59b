// A client's side of a session: messages in, requests out; answers and errors of our own back. What needs no backend is
// answered here.

import { ProxyError } from '../../errors.ts'
import {
  type Account,
  type ClientConnection,
  ClientLost,
  type ClientRequest,
  type ConditionRange,
  type Conditions,
  type Refusal,
  type Reply,
  type RequestTaker,
  type Settings,
} from '../protocol.ts'
import { settingsOf } from '../settings.ts'
import type { Transport } from '../transport.ts'
import { acceptChangeUser, type ChangeUserOptions, type ClientLogin } from './accept.ts'
import { loginVariables } from './charsets.ts'
import { ClientStatements, parameterIn } from './client-statements.ts'
import { startCompression } from './compressed-transport.ts'
import { listFrames } from './conditions.ts'
import { FrameError, FrameNumbers, frame, Message, type MessageReader } from './frames.ts'
import { identityOf, type MysqlIdentity } from './identity.ts'
import {
  bareSql,
  buildOk,
  buildTextResult,
  CAPABILITY,
  COMMAND,
  MalformedMessage,
  parseQuery,
  STATUS,
  schemaChange,
  serverVersion,
  type TrackedChange,
} from './messages.ts'
import { freshStatus, withIgnoreSpace } from './modes.ts'
import { payloadsOf } from './own-replies.ts'
import { type ClientStatement, keptText, MysqlRequest, requestOf } from './request.ts'
import { hasMultiStatements, MULTI_STATEMENTS, quoteName } from './variables.ts'
import { buildWireError } from './wire-errors.ts'

/** Messages that arrive while a request is served wait here, up to about this much; then the client is not read. */
const AHEAD_BYTES_MAX = 64 * 1024
const NOTHING = Buffer.alloc(0)
const COUNT_WARNINGS = 'SHOW COUNT(*) WARNINGS'
const IDLE_ERROR_SINCE = 80024
const NO_VARIABLES: ReadonlyMap<string, string> = new Map()
const nothing = (): void => {}
const UTF8MB4_GENERAL_CI = 45

/** As many changes of user may fail, where that is not the end; any further one does. */
const FAILED_LOGINS_MAX = 3

export interface ClientOptions extends Omit<ChangeUserOptions, 'capabilities' | 'scramble'> {
  readonly requestBytesMax: number
  readonly preparedMax: number
  /** As `ServerWords.modes`. */
  readonly serverModes: string
}

/** The next request of what has come; null: the client has gone; undefined: there is none yet. */
type Taken = ClientRequest | null | undefined | Promise<ClientRequest | null>

export class MysqlClient implements ClientConnection {
  readonly sessionId: number
  account: Account
  identity: MysqlIdentity
  loginSettings: Settings
  gone = false
  answered = false
  onGone: () => void = nothing
  /** Called when everything written has gone out, after `send` gave false. */
  onDrained: () => void = nothing
  /** Sequence number of the next frame to the client. */
  sequence: number
  /** The session's status flags as some backend reported them last; what a PING is answered with. */
  status: number
  /** The session's last statement failed, which may have begun a transaction: no error tells. */
  isInDoubt = false
  /** Changes that the client has not been told of yet; null: there are none. */
  owed: readonly TrackedChange[] | null = null
  /** How many conditions the session's last statement left. */
  warnings = 0
  readonly capabilities: number
  readonly engine: 'mysql' | 'mariadb'
  readonly #options: ClientOptions
  readonly #extendedCapabilities: number
  readonly #reader: MessageReader
  /** Null until there is one. */
  #statements: ClientStatements | null = null
  #login: ClientLogin | null
  #transport: Transport
  /** Of the greeting, in Latin-1. */
  readonly #scramble: string
  #loginCharset: ReadonlyMap<string, string> = NO_VARIABLES
  loginRefusal: Refusal | null = null
  /** Who the client was when it last wished to be another. */
  #before: { account: Account; identity: MysqlIdentity; loginCharset: ReadonlyMap<string, string> } | null = null
  #failedLogins = 0
  #isDistrusted = false
  #compressed = false
  /** While the answers to parts of one text go out, one behind another; `sequence` is then that of the part. */
  #renumbering: FrameNumbers | null = null
  /** Takes the next request, when it has come. */
  #taker: RequestTaker | null = null
  #takeBytes: ((bytes: Buffer) => void) | null = null

  constructor(login: ClientLogin, sessionId: number, options: ClientOptions) {
    this.sessionId = sessionId
    this.#options = options
    this.engine = serverVersion(options.serverVersion).engine
    this.#login = login
    this.#reader = login.reader
    this.#scramble = login.scramble.toString('latin1')
    this.#transport = login.transport
    this.#extendedCapabilities = login.extendedCapabilities
    this.account = login.account
    this.status = this.freshStatus
    this.capabilities = login.capabilities
    this.sequence = login.sequence
    this.identity = identityOf(login.account, login.capabilities, login.extendedCapabilities)
    this.loginSettings = this.settingsAfter(login.schema, login.collation)
    this.attach(login.transport)
  }

  get peerAddress(): string {
    return this.#transport.peerAddress
  }

  get peerPort(): number {
    return this.#transport.peerPort
  }

  welcome(): void {
    const { schema } = this.loginSettings
    const changes = schema === null ? null : schemaChange(schema)
    this.reply(buildOk({ status: this.status, text: this.#login?.text ?? NOTHING, changes }, this.capabilities))
    const compression = this.#login?.compression ?? 'none'
    this.#login = null
    this.#reader.bytesMax = this.#options.requestBytesMax
    if (compression !== 'none') {
      this.#compressed = true
      this.attach(startCompression(this.#transport, compression))
    }
    this.#transport.resume()
  }

  next(taker: RequestTaker): void {
    this.#taker = taker
    this.awake()
    if (this.#taker !== null) this.#transport.resume()
  }

  reword(request: ClientRequest, sql: Buffer): MysqlRequest {
    const before = request as MysqlRequest
    if (before.kind === 'execute') {
      before.prepared?.rephrase(sql)
      return before
    }
    // What is not made of a text means the same as it, and that is all.
    if (before.command !== COMMAND.QUERY && before.command !== COMMAND.STMT_PREPARE) return before
    const { payload, sequence } = before.message
    // The text is the end of the message, whatever stands in front of it.
    const head = payload.subarray(0, payload.length - before.sql.length)
    const message = new Message(frame(Buffer.concat([head, sql]), sequence), sequence, sequence)
    if (before.prepared !== null) before.prepared.sql = keptText(sql)
    return before.with(message, sql)
  }

  ok(more = false): void {
    this.reply(buildOk({ status: this.status | (more ? STATUS.MORE_RESULTS_EXISTS : 0) }, this.capabilities))
    if (more) this.goOn()
  }

  /** What is answered next goes on behind what was. */
  private goOn(): void {
    this.#renumbering ??= new FrameNumbers()
    this.#renumbering.shift += this.sequence - 1
    this.sequence = 1
  }

  rows(columns: readonly string[], rows: readonly (readonly (string | null)[])[]): void {
    const { capabilities, status, sequence } = this
    const mariadbCapabilities = this.#extendedCapabilities
    const form = { capabilities, mariadbCapabilities, status, sequence, collation: UTF8MB4_GENERAL_CI }
    this.send(buildTextResult(columns, rows, form))
  }

  takesSeveral(settings: Settings): boolean {
    return hasMultiStatements(settings)
  }

  conditions(conditions: Conditions | null, range: ConditionRange, request: ClientRequest, more: boolean): boolean {
    if (conditions === null) return false
    const deprecateEof = (this.capabilities & CAPABILITY.DEPRECATE_EOF) !== 0
    const { sequence } = this
    const status = this.status | (more ? STATUS.MORE_RESULTS_EXISTS : 0)
    const form = { deprecateEof, optionalMetadata: false, binary: request.kind === 'execute', status, sequence }
    const frames = listFrames(conditions, range, form)
    if (more) this.sequence += payloadsOf(frames).length
    this.send(frames)
    if (more) this.goOn()
    // As if it had been answered like any other: with no warnings of its own.
    this.warnings = 0
    return true
  }

  fail(error: ProxyError): void {
    this.reply(buildWireError(error))
  }

  refuse(refusal: Refusal): void {
    this.reply(refusal.frame)
  }

  idleMsMax({ variables }: Settings): number | null {
    const seconds = variables.get('wait_timeout')
    // Longer than any timer: about 24 days.
    return seconds === undefined ? null : Math.min(Number(seconds) * 1000, 0x7fffffff)
  }

  idledOut(): void {
    // MariaDB, and MySQL before 8.0.24, close without a word.
    const { engine, number } = serverVersion(this.#options.serverVersion)
    if (engine === 'mariadb' || number < IDLE_ERROR_SINCE) return
    this.sequence = 0
    const text =
      'The client was disconnected by the server because of inactivity. See wait_timeout and interactive_timeout for configuring this behavior.'
    this.fail(new ProxyError('IDLE_TOO_LONG', text))
  }

  killed(what: 'query' | 'connection'): void {
    const isConnection = what === 'connection' && this.engine === 'mariadb'
    if (isConnection) this.fail(new ProxyError('KILLED', 'Connection was killed'))
    else this.fail(new ProxyError('QUERY_KILLED', 'Query execution was interrupted'))
  }

  end(): void {
    this.gone = true
    this.onGone = nothing
    this.#transport.end()
    this.awake()
  }

  /** A server would have told these with the next OK, and told us. */
  owe(changes: readonly TrackedChange[]): void {
    if ((this.capabilities & CAPABILITY.SESSION_TRACK) === 0 || changes.length === 0) return
    // Their bytes are part of a buffer that is used again.
    const kept = changes.map((change) => ({ ...change, bytes: Buffer.from(change.bytes) }))
    const isNewer = (old: TrackedChange) => kept.some(({ kind, name }) => kind === old.kind && name === old.name)
    this.owed = [...(this.owed ?? []).filter((old) => !isNewer(old)), ...kept]
  }

  settleTransaction(transaction: Reply['transaction']): void {
    this.isInDoubt = false
    if (transaction === 'open') this.status |= STATUS.IN_TRANS
    else this.status &= ~(STATUS.IN_TRANS | STATUS.IN_TRANS_READONLY)
  }

  private get freshStatus(): number {
    return freshStatus({ engine: this.engine }, this.#options.serverModes)
  }

  /** One message of ours, with the next sequence number. */
  reply(payload: Buffer): void {
    this.send(frame(payload, this.sequence))
    this.sequence = (this.sequence + 1) & 0xff
  }

  /** Bytes for the client, as they are. False: they stay in use, and no more should come, until `onDrained`. */
  send(bytes: Buffer): boolean {
    this.#renumbering?.renumber(bytes)
    return this.#transport.write(bytes)
  }

  /** From now on the client's bytes go to `take`, unread; null: back to requests. */
  divert(take: ((bytes: Buffer) => void) | null): void {
    this.#takeBytes = take
    this.#transport.resume()
  }

  /** Bytes that were diverted and belong to the next request. */
  unread(bytes: Buffer): void {
    this.receive(bytes)
  }

  pauseReading(): void {
    this.#transport.pause()
  }

  resumeReading(): void {
    this.#transport.resume()
  }

  /** A statement that no backend could prepare does not exist. */
  forget(statement: ClientStatement): void {
    this.#statements?.forget(statement)
  }

  /** MySQL goes back to its own character set and the modes of the login, MariaDB to the login's character set. */
  settingsAfterReset({ schema, variables }: Settings): Settings {
    const kept = this.engine === 'mysql' ? this.modes : this.#loginCharset
    return settingsOf(schema, new Map([...kept, ...multiStatementsOf(variables)]))
  }

  settingsAfterLogin({ variables }: Settings): Settings {
    // Of what the first login asked for, MariaDB remembers its capabilities, and not the mode that one of them stood for.
    const modes = this.engine === 'mysql' ? this.modes : NO_VARIABLES
    const kept = [...this.#loginCharset, ...modes, ...multiStatementsOf(variables)]
    return settingsOf(this.loginSettings.schema, new Map(kept))
  }

  private attach(transport: Transport): void {
    this.#transport = transport
    transport.onBytes = (bytes) => this.receive(bytes)
    transport.onDrain = () => this.onDrained()
    transport.onClosed = () => this.lost()
  }

  private receive(bytes: Buffer): void {
    if (this.#takeBytes !== null) return this.#takeBytes(bytes)
    if (this.#taker !== null) {
      const whole = this.#reader.whole(bytes)
      if (whole !== null) return this.awake(whole)
    }
    this.#reader.push(bytes)
    // Whoever sends ahead of the answers waits until they are given; who is not read cannot be seen to go.
    if (this.#taker !== null) this.awake()
    else if (this.#reader.bufferedBytes > AHEAD_BYTES_MAX) this.#transport.pause()
  }

  /** `whole`: what came, if that is one message; else what came is in the reader. */
  private take(whole: Message | null): Taken {
    let next = whole
    while (!this.gone) {
      try {
        const message = next ?? this.#reader.shift()
        next = null
        if (message === null) return undefined
        this.sequence = (message.lastSequence + 1) & 0xff
        this.#renumbering = null
        this.checkSequence(message)
        if (message.command === COMMAND.CHANGE_USER) return this.changeUser(message)
        const request = this.read(message)
        if (request !== null) return request
      } catch (error) {
        if (!this.answerBadBytes(error)) throw error
      }
    }
    return null
  }

  /** Something came for whoever waits for a request, or nothing will any more. */
  private awake(whole: Message | null = null): void {
    const taker = this.#taker
    if (taker === null) return
    let request: Taken
    try {
      request = this.take(whole)
      if (request === undefined) return
    } catch (error) {
      this.#taker = null
      return taker.failed(error)
    }
    this.#taker = null
    if (!(request instanceof Promise)) return taker.take(request)
    void request.then(
      (known) => taker.take(known),
      (error) => taker.failed(error),
    )
  }

  private lost(): void {
    this.gone = true
    this.onGone()
    this.awake()
  }

  /** The request in a message, or null if it is answered already. */
  private read(message: Message): MysqlRequest | null {
    const { command } = message
    if (command === -1) {
      this.fail(new ProxyError('UNKNOWN_REQUEST', 'Unknown command'))
      return null
    }
    if (command === COMMAND.QUERY) return this.query(message)
    switch (command) {
      case COMMAND.QUIT:
        this.gone = true
        return null
      case COMMAND.PING:
        // Leaves diagnostics alone, tells how many there are, and is part of a transaction: as this does.
        if (this.isInDoubt) return requestOf('statement', message, 'single', { sql: Buffer.from(COUNT_WARNINGS) })
        this.answered = true
        this.reply(buildOk({ status: this.status, warnings: this.warnings }, this.capabilities))
        return null
      case COMMAND.STMT_BULK_EXECUTE:
        return this.engine === 'mariadb' ? this.ofStatements(message) : this.readAsSql(message)
      case COMMAND.STMT_PREPARE:
      case COMMAND.STMT_EXECUTE:
      case COMMAND.STMT_SEND_LONG_DATA:
      case COMMAND.STMT_FETCH:
      case COMMAND.STMT_RESET:
      case COMMAND.STMT_CLOSE:
        return this.ofStatements(message)
      case COMMAND.RESET_CONNECTION:
        this.#statements?.forgetAll()
        this.status = this.freshStatus
        this.isInDoubt = false
        this.owed = null
        this.warnings = 0
        return requestOf('reset', message, 'single', { sql: NOTHING })
      case COMMAND.BINLOG_DUMP:
      case COMMAND.BINLOG_DUMP_GTID:
      case COMMAND.REGISTER_SLAVE:
        return requestOf('relay', message, 'single', { sql: Buffer.from('SHOW BINARY LOGS') })
      default:
        return this.readAsSql(message)
    }
  }

  private ofStatements(message: Message): MysqlRequest | null {
    this.#statements ??= new ClientStatements(this, this.#options)
    return this.#statements.read(message)
  }

  private query(message: Message): MysqlRequest {
    const attributes = (this.capabilities & CAPABILITY.QUERY_ATTRIBUTES) !== 0
    const sql = bareSql(message, attributes)
    if (sql !== null) return new MysqlRequest('statement', message, 'query', sql, null, null, false)
    return requestOf('statement', message, 'query', parseQuery(message.payload, attributes))
  }

  private readAsSql(message: Message): MysqlRequest {
    const { payload } = message
    const command = payload[0]!
    const as = (sql: string, reply: MysqlRequest['reply']) =>
      requestOf('statement', message, reply, { sql: Buffer.from(sql) })
    switch (command) {
      case COMMAND.INIT_DB:
        return as(`USE ${quoteName(payload.toString('utf8', 1))}`, 'single')
      case COMMAND.FIELD_LIST: {
        const end = payload.indexOf(0, 1)
        return as(
          `SHOW COLUMNS FROM ${quoteName(payload.toString('utf8', 1, end < 0 ? undefined : end))}`,
          'field-list',
        )
      }
      case COMMAND.STATISTICS:
        return as('SHOW STATUS', 'statistics')
      case COMMAND.PROCESS_INFO:
        return as('SHOW PROCESSLIST', 'query')
      case COMMAND.PROCESS_KILL:
        // Without a whole number the server is asked what it makes of it.
        return as(payload.length < 5 ? 'FLUSH STATUS' : `KILL ${payload.readUInt32LE(1)}`, 'single')
      case COMMAND.SET_OPTION:
        // Belongs to the session as its variables do, leaves diagnostics alone, and tells how many there are.
        return as(COUNT_WARNINGS, 'single')
      default:
        // Whatever it is, the writer knows what to answer.
        return as('FLUSH STATUS', 'single')
    }
  }

  parameter(request: ClientRequest, index: number): string | null {
    return parameterIn(request, index, this)
  }

  private async changeUser(message: Message): Promise<ClientRequest | null> {
    try {
      const request = await this.acceptOther(message)
      if (request !== null) return request
    } catch (error) {
      if (!this.answerBadBytes(error)) throw error
    }
    return new Promise((take, failed) => this.next({ take, failed }))
  }

  private async acceptOther(message: Message): Promise<MysqlRequest | null> {
    this.#before = { account: this.account, identity: this.identity, loginCharset: this.#loginCharset }
    const request = requestOf('login', message, 'single', { sql: NOTHING })
    this.#statements?.forgetAll()
    this.status = this.freshStatus
    this.isInDoubt = false
    this.owed = null
    this.warnings = 0
    if (this.#failedLogins >= FAILED_LOGINS_MAX) {
      const frame = buildWireError(new ProxyError('UNKNOWN_REQUEST', 'Unknown command'))
      this.loginRefusal = { what: 'login', message: 'too many changes of user that failed', frame }
      return request
    }
    const link = { transport: this.#transport, reader: this.#reader }
    const scramble = Buffer.from(this.#scramble, 'latin1')
    const options = { ...this.#options, capabilities: this.capabilities, scramble }
    const outcome = await acceptChangeUser(link, message.payload, this.sequence, options).catch((error: unknown) => {
      if (!(error instanceof ClientLost)) throw error
      return null
    })
    if (outcome === null) {
      this.lost()
      return null
    }
    this.attach(this.#transport)
    this.sequence = outcome.sequence
    this.loginRefusal = outcome.refusal
    if (outcome.refusal !== null) {
      this.#isDistrusted = outcome.closes
      return request
    }
    this.account = outcome.account
    this.identity = identityOf(outcome.account, this.capabilities, this.#extendedCapabilities)
    this.loginSettings = this.settingsAfter(outcome.schema, outcome.collation)
    return request
  }

  keepUser({ schema, variables }: Settings): Settings | null {
    this.#failedLogins += 1
    if (this.engine === 'mysql' || this.#isDistrusted || this.#before === null) return null
    const { account, identity, loginCharset } = this.#before
    this.account = account
    this.identity = identity
    this.#loginCharset = loginCharset
    return settingsOf(schema, multiStatementsOf(variables))
  }

  private settingsAfter(schema: string | null, collation: number | null): Settings {
    this.#loginCharset = loginVariables(collation, this.#options.serverVersion)
    return settingsOf(schema, new Map([...this.#loginCharset, ...this.modes, ...this.multiStatements]))
  }

  /** To the servers CLIENT_IGNORE_SPACE is one more mode of a session that has just logged in. */
  private get modes(): ReadonlyMap<string, string> {
    if ((this.capabilities & CAPABILITY.IGNORE_SPACE) === 0) return NO_VARIABLES
    const { serverModes } = this.#options
    return new Map([['sql_mode', withIgnoreSpace(serverModes)]])
  }

  /** As the client asked for at login. */
  private get multiStatements(): ReadonlyMap<string, string> {
    return new Map((this.capabilities & CAPABILITY.MULTI_STATEMENTS) === 0 ? [] : [[MULTI_STATEMENTS, 'ON']])
  }

  /** A command begins anew at 0; inside the compressed protocol servers do not look at it. */
  private checkSequence({ sequence }: Message): void {
    if (sequence === 0 || this.#compressed) return
    throw new FrameError('out of order', `a command with sequence ${sequence}`)
  }

  /** True if it was the client's fault, and it has been told. */
  private answerBadBytes(error: unknown): boolean {
    if (error instanceof MalformedMessage) {
      const stop = this.engine === 'mysql' ? '.' : ''
      this.fail(new ProxyError('MALFORMED_REQUEST', `Malformed communication packet${stop}`, { cause: error }))
      return true
    }
    if (!(error instanceof FrameError)) return false
    const isLarge = error.fault === 'too large'
    const { requestBytesMax } = this.#options
    const text = isLarge
      ? `Got a packet bigger than 'max_allowed_packet' bytes (limits.requestBytesMax is ${requestBytesMax})`
      : 'Got packets out of order'
    // Both servers begin anew to say this.
    if (!isLarge) this.sequence = 0
    this.fail(new ProxyError(isLarge ? 'REQUEST_TOO_LARGE' : 'OUT_OF_ORDER', text, { cause: error }))
    this.#transport.end()
    this.lost()
    return true
  }
}

/** What COM_SET_OPTION has set stays, whatever else is forgotten. */
function multiStatementsOf(variables: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const multi = variables.get(MULTI_STATEMENTS)
  return new Map(multi === undefined ? [] : [[MULTI_STATEMENTS, multi]])
}
