// One request's reply on its way from a backend to a client. Bytes go through as they come; only the frames that mean
// something are looked at, and the few that must read differently for this client are replaced.

import { BackendLost, ClientLost, type ExchangeOptions, type Reply, type ReplyTo, type Settings } from '../protocol.ts'
import type { Transport } from '../transport.ts'
import type { MysqlClient } from './client.ts'
import { editedResult } from './edited-result.ts'
import { frame, HEADER_BYTES, type Heads, writeHeader } from './frames.ts'
import {
  buildError,
  COMMAND,
  dropChanges,
  LEAD,
  parseChanges,
  parseError,
  parseOk,
  rewriteOk,
  STATUS,
  TRACK,
  type TrackedChange,
  tellsStatementIdOnly,
  withChanges,
} from './messages.ts'
import { positionOf } from './positions.ts'
import type { ReplyForm, ReplyTracker, Stop } from './reply-tracker.ts'
import type { MysqlRequest } from './request.ts'
import { passOn, Uploading } from './uploading.ts'
import {
  addFollowing,
  isInsertId,
  isKept,
  isReported,
  isTracker,
  isUnmovable,
  MULTI_STATEMENTS,
  SOURCE_OF,
} from './variables.ts'

/** A backend that is read-only says one of these instead of executing anything. */
const READ_ONLY: ReadonlySet<number> = new Set([1792, 1836, 1874])
/** The transaction is read-only: so is every one on a reader, and on the writer those that asked for it. */
const READ_ONLY_TRANSACTION = 1792
/** Some option of the server's forbids the statement; the text tells which. */
const OPTION_PREVENTS = 1290
/** There is no connection of that number. */
const UNKNOWN_THREAD = 1094
/** What a reader may not know yet: tables, columns, schemas, routines, rights. */
const BEHIND: ReadonlySet<number> = new Set([1044, 1049, 1054, 1142, 1143, 1146, 1176, 1305, 1356, 1370, 1449])

/** The server's max_prepared_stmt_count is reached. */
export const TOO_MANY_PREPARED = 1461

/** What the connection is, as far as the exchange needs to know. */
export interface Line {
  readonly transport: Transport
  /** It follows one reply after the other. */
  readonly tracker: ReplyTracker
  readonly form: ReplyForm
  readonly capabilities: number
  /** The session's settings when the request was sent. */
  readonly settings: Settings
  /** Status flags before the request. */
  readonly status: number
  readonly onWriter: boolean
  /** Statements are prepared on it that nobody needs just now. */
  readonly mayMakeRoom: boolean
  /** The server tells with every OK what was committed. */
  readonly tellsPositions: boolean
  readonly heads: Heads
  /** The connection has its say on how the exchange ended; what it says is the reply. */
  heed(exchange: Exchange): Reply | Promise<Reply>
}

/** A reply until its connection has had its say. */
type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * ER_PARSE_ERROR, ER_UNKNOWN_STMT_HANDLER, ER_SP_DOES_NOT_EXIST, ER_SP_WRONG_NO_OF_ARGS, ER_PROCACCESS_DENIED_ERROR,
 * ER_SP_NOT_VAR_ARG.
 */
const NOTHING_DONE: ReadonlySet<number> = new Set([1064, 1243, 1305, 1318, 1370, 1414])

/**
 * ER_BAD_DB_ERROR, ER_NON_UNIQ_ERROR, ER_BAD_FIELD_ERROR, ER_NONUNIQ_TABLE, ER_TABLE_NOT_LOCKED, ER_UNKNOWN_TABLE,
 * ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR, ER_NO_SUCH_TABLE.
 */
const NOT_RESOLVED: ReadonlySet<number> = new Set([1049, 1052, 1054, 1066, 1100, 1109, 1142, 1143, 1146])

/** The answer to a prepare: the server's number for the statement, and how many parameters and columns it has. */
interface Prepared {
  readonly id: number
  readonly parameters: number
  readonly columns: number
}

export class Exchange {
  readonly client: MysqlClient
  readonly request: MysqlRequest
  readonly options: ExchangeOptions
  #line!: Line
  #tracker!: ReplyTracker
  /** Null once it was told how the exchange ended. */
  #to: ReplyTo | null
  /** Bytes that could not be understood yet, to be shown again in front of the next ones. */
  #held: Buffer | null = null
  #upload: Uploading | null = null
  #forwardedBytes = 0
  /** Up to where the frame that it stopped at was made shorter where it stands; 0: it was not. */
  #cutAt = 0
  /** The client has not taken all of it yet: nothing is read from the backend, whose buffer is still in use. */
  #blocked = false
  /** The client's drain is ours to hear of. */
  #hasDrain = false
  #isFull = false
  #reply: Mutable<Reply> | null = null
  #status = 0
  #schema: string | null | undefined = undefined
  #variables: Map<string, string> | null = null
  #stateChanged = false
  /** What only the server can tell by now. */
  #sources: readonly string[] = NO_SOURCES
  #warned = false
  #changedInEof = false
  #unmovable = false
  /** The server has told what was committed. */
  #positioned = false
  #insertId = 0n
  #prepared: Prepared | null = null
  #unknownSession: Reply['unknownSession'] = null
  /** A reply that is changed once it is whole, as far as it has come. */
  #collected: Buffer[] | null = null
  /** Called at the end of a reply that nobody waits for. */
  #orphaned: (() => void) | null = null

  constructor(request: MysqlRequest, client: MysqlClient, options: ExchangeOptions, to: ReplyTo) {
    this.request = request
    this.client = client
    this.options = options
    this.#to = to
  }

  /** The request goes out on this line, and what comes there next is the reply. */
  begin(line: Line): void {
    const { request } = this
    this.#line = line
    this.#status = line.status
    this.#tracker = line.tracker
    this.#tracker.begin(request.reply, line.form)
    const mayHaveRows = request.reply === 'query' || request.reply === 'cursor'
    if (this.options.edit !== null && mayHaveRows && !line.form.optionalMetadata) this.#collected = []
    if (request.kind === 'relay') this.client.divert((bytes) => passOn(bytes, this.client, line.transport))
  }

  /** What the finished exchange says; its connection completes it. */
  get reply(): Mutable<Reply> {
    return this.#reply!
  }

  /** Status flags, those of this one statement included. */
  get status(): number {
    return this.#status
  }

  /** The server has room for no more prepared statements; the client was not told. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** It ended with an EOF, which reports nothing; what there is to report comes with the next OK. */
  get endedInEof(): boolean {
    return this.#tracker.stop === 'eof' && !this.#tracker.okLayout
  }

  /** One of its results did, and said that something has changed. */
  get changedInEof(): boolean {
    return this.#changedInEof
  }

  /** Variables that say more than those that were told; only the server can tell what. */
  get unknownSources(): readonly string[] {
    if (this.#sources.length === 0) return NO_SOURCES
    return this.#sources.filter((name) => this.#variables?.has(name) !== true)
  }

  get prepared(): Prepared | null {
    return this.#prepared
  }

  /** Bytes from the backend. Throws MalformedMessage. */
  feed(bytes: Buffer): void {
    if (this.request.kind === 'relay') return this.forward(bytes)
    const chunk = this.#held === null ? bytes : Buffer.concat([this.#held, bytes])
    this.#held = null
    const tracker = this.#tracker
    /** Up to where the chunk has gone to the client. */
    let gone = 0
    let at = 0
    for (;;) {
      const stop = tracker.feed(chunk, at)
      if (stop === 'none') break
      at = tracker.end
      if (stop === 'error' && this.holdsBack(chunk, gone)) return
      if (stop === 'prepared') this.takePrepared(chunk)
      else if (stop === 'infile') this.startUpload()
      if (this.repeatsCount && tracker.ended && stop !== 'error') this.repeatCount(chunk)
      const replaced = this.replacement(stop, chunk)
      if (tracker.ended) this.endPositions()
      if (this.#cutAt > 0) {
        this.forward(gone === 0 ? this.#line.heads.of(chunk, this.#cutAt) : chunk.subarray(gone, this.#cutAt))
        this.#cutAt = 0
        gone = at
      } else if (replaced !== null) {
        const end = tracker.start + HEADER_BYTES + replaced.length
        // Written over what it replaces, it goes out with what stands before it.
        if (end <= at) {
          writeHeader(chunk, tracker.start, replaced.length, tracker.sequence)
          replaced.copy(chunk, tracker.start + HEADER_BYTES)
          this.forward(chunk.subarray(gone, end))
        } else {
          this.forward(Buffer.concat([chunk.subarray(gone, tracker.start), frame(replaced, tracker.sequence)]))
        }
        gone = at
      }
      if (tracker.ended) break
    }
    const end = tracker.ended ? Math.max(at, tracker.forwardable) : tracker.forwardable
    if (end > gone) this.forward(gone === 0 && end === chunk.length ? chunk : chunk.subarray(gone, end))
    if (tracker.ended) return this.finish(tracker.stop === 'error' ? 'error' : 'ok')
    if (end < chunk.length) this.#held = Buffer.from(chunk.subarray(end))
  }

  /** The backend has gone. */
  backendLost(message: string): void {
    if (this.#reply !== null) return this.settle()
    if (this.#upload !== null) return this.#upload.swallow(() => this.backendLost(message))
    this.client.divert(null)
    // A server closes a dump that has come to its end; there is nothing wrong with it.
    if (this.#orphaned !== null) return
    if (this.request.kind === 'relay') return this.fail(new ClientLost('the relay is over'))
    if (this.#forwardedBytes === 0) return this.fail(new BackendLost('sent', true, message))
    const resumable = this.#held === null && this.#tracker.atFrameBoundary
    this.client.sequence = (this.#tracker.sequence + 1) & 0xff
    this.fail(new BackendLost('replying', resumable, message))
  }

  /** Nobody waits any more: what still comes is read and dropped. False: it cannot come to an end without the client. */
  orphan(ended: () => void): boolean {
    if (this.#upload !== null || this.request.kind === 'relay') return false
    this.#orphaned = ended
    this.fail(new ClientLost('nobody waits for the answer any more'))
    if (this.#reply !== null) ended()
    else if (this.#blocked) this.#line.transport.resume()
    return true
  }

  /** The connection was closed on purpose. */
  abandon(): void {
    this.fail(new ClientLost('the connection was closed under its statement'))
  }

  /** A first answer that another backend can do better than. */
  private holdsBack(chunk: Buffer, gone: number): boolean {
    const { first, errno, start, end } = this.#tracker
    const { holdRefused, holdBehind, holdUnknownSession } = this.options
    if (end < chunk.length) return false
    if (holdUnknownSession && errno === UNKNOWN_THREAD) {
      this.forward(chunk.subarray(gone, start))
      this.holdUnknown(chunk.subarray(start + HEADER_BYTES, end))
      return true
    }
    if (!first || this.#forwardedBytes > 0) return false
    if (this.#line.mayMakeRoom && errno === TOO_MANY_PREPARED) {
      this.#isFull = true
      this.finish('error')
      return true
    }
    const isOwnDoing = errno === READ_ONLY_TRANSACTION && this.#line.onWriter
    const mayBeHeld = holdRefused && !isOwnDoing
    if (mayBeHeld && isReadOnly(errno, chunk.subarray(start + HEADER_BYTES, end))) this.finish('refused')
    else if (holdBehind && BEHIND.has(errno)) this.finish('behind')
    else return false
    return true
  }

  /** The server has worked out the number, whatever expression it was given as, and says it. */
  private holdUnknown(error: Buffer): void {
    const frame = Buffer.from(error)
    const message = parseError(frame).message.toString()
    const id = Number(/\d+/.exec(message)?.[0] ?? -1)
    this.client.sequence = this.#tracker.sequence
    this.#unknownSession = { id, refusal: { what: 'kill', message, frame } }
    this.finish('unknown-session')
  }

  /** What the stopped frame must read like for this client; null: as it does. */
  private replacement(stop: Stop, chunk: Buffer): Buffer | null {
    if (stop === 'ok' || stop === 'eof') return this.readEnd(chunk)
    if (stop !== 'error' || !this.options.readOnlyTransaction) return null
    const { errno, start, end } = this.#tracker
    const error = chunk.subarray(start + HEADER_BYTES, end)
    return errno !== READ_ONLY_TRANSACTION && isReadOnly(errno, error) ? readOnlyTransaction(error) : null
  }

  /** MySQL repeats here how many conditions the statement before left on the connection, whoever's that was. */
  private get repeatsCount(): boolean {
    const { command } = this.request
    return (command === COMMAND.INIT_DB || command === COMMAND.SET_OPTION) && this.client.engine === 'mysql'
  }

  private repeatCount(chunk: Buffer): void {
    const { warnings } = this.client
    // Before the status, an OK has two numbers that are 0, of one byte each; an EOF has the count itself.
    const at = this.#tracker.okLayout ? 5 : 1
    chunk.writeUInt16LE(warnings, this.#tracker.start + HEADER_BYTES + at)
    this.#tracker.warnings = warnings
  }

  private takePrepared(chunk: Buffer): void {
    const { start, statementId, parameterCount, columnCount } = this.#tracker
    this.#prepared = { id: statementId, parameters: parameterCount, columns: columnCount }
    // The chunk is ours, so the client's number can be put in place of the server's where it stands.
    chunk.writeUInt32LE(this.request.prepared!.id, start + HEADER_BYTES + 1)
  }

  /** An OK or EOF; gives its payload as this client must see it, or null if it may see it as it is. */
  private readEnd(chunk: Buffer): Buffer | null {
    const tracker = this.#tracker
    this.#status = tracker.status
    const { prepared } = this.request
    if (prepared !== null && prepared.columnCount > 0) this.tellColumns(chunk, prepared)
    if (tracker.warnings > 0) this.#warned = true
    if (!tracker.okLayout) {
      if (!tracker.hasStateChanges) return null
      this.#changedInEof = true
      return this.showsInEof ? null : quietEof(chunk, tracker)
    }
    if (tracker.hasInsertId) this.#insertId = tracker.insertId
    const start = tracker.start + HEADER_BYTES
    if (this.client.owed !== null) return this.repaid(chunk.subarray(start, tracker.end), tracker.hasStateChanges)
    if (!tracker.hasStateChanges) return null
    // MySQL reports a statement's number with nearly every answer.
    if (tellsStatementIdOnly(chunk, start, tracker.end)) {
      if (isReported(this.#line.settings, 'statement_id')) return null
      this.#cutAt = dropChanges(chunk, start, tracker.end)
      writeHeader(chunk, tracker.start, this.#cutAt - start, tracker.sequence)
      return null
    }
    const payload = chunk.subarray(start, tracker.end)
    const rewritten = this.withVisible(payload)
    return rewritten === payload ? null : rewritten
  }

  /**
   * Servers flag the first result with more or fewer columns than the one before. What the client was told last the
   * connection need not know, which may have prepared the statement a moment ago.
   */
  private tellColumns(chunk: Buffer, { columnCount: known }: { readonly columnCount: number }): void {
    const { status, columnCount, start } = this.#tracker
    const isOther = columnCount > 0 && columnCount !== known
    const isFlagged = (status & STATUS.METADATA_CHANGED) !== 0
    if (isOther === isFlagged || chunk[start + HEADER_BYTES] !== LEAD.EOF) return
    // Behind rows an OK has its status where an EOF has it.
    chunk.writeUInt16LE(status ^ STATUS.METADATA_CHANGED, start + HEADER_BYTES + 3)
  }

  /** An OK with changes, as the client's own trackers would have it. */
  private withVisible(payload: Buffer): Buffer {
    const { capabilities } = this.#line
    const { changes } = parseOk(payload, capabilities)
    if (changes !== null) for (const change of parseChanges(changes)) this.take(change)
    return rewriteOk(payload, capabilities, this.client.capabilities, (change) => this.isVisible(change))
  }

  /** The first OK since tells of them, to MariaDB the first that tells of anything, whichever connection it comes from. */
  private repaid(payload: Buffer, hasChanges: boolean): Buffer | null {
    const own = hasChanges ? this.withVisible(payload) : payload
    const { client } = this
    if (client.engine === 'mysql' || parseOk(own, client.capabilities).changes !== null) {
      const owed = client.owed!.filter((change) => this.isVisible(change))
      client.owed = null
      if (owed.length > 0) return withChanges(own, owed)
    }
    return own === payload ? null : own
  }

  private take({ kind, name, value }: TrackedChange): void {
    if (kind === TRACK.SYSTEM_VARIABLES) {
      if (this.options.passing.includes(name)) return
      const source = SOURCE_OF.get(name)
      if (source !== undefined) this.#sources = [...this.#sources, source]
      const text = name === 'timestamp' && this.options.startsClock ? 'DEFAULT' : (value?.toString() ?? '')
      if (isUnmovable(name, text)) this.#unmovable = true
      if (isKept(name)) this.keep(name, text)
      else if (isInsertId(name)) this.#insertId = BigInt(text)
      else if (name === 'last_gtid') this.positioned(value)
    } else if (kind === TRACK.SCHEMA) this.#schema = value === null || value.length === 0 ? null : value.toString()
    else if (kind === TRACK.STATE_CHANGE) this.#stateChanged = true
    else if (kind === TRACK.GTIDS) this.positioned(value)
  }

  private positioned(gtids: Buffer | null): void {
    const position = positionOf(gtids?.toString() ?? '')
    if (position === null) return
    this.#positioned = true
    this.options.committed(position, 'none')
  }

  /** Neither errors nor EOFs tell what was committed before them, and no later answer does. */
  private endPositions(): void {
    const { stop, okLayout } = this.#tracker
    const isMute = this.options.hushes || (this.#variables !== null && [...this.#variables.keys()].some(isTracker))
    const isUntold = !okLayout || !this.#line.tellsPositions || isMute
    const doubt = stop === 'error' ? 'failed' : isUntold ? 'untold' : 'none'
    if (doubt !== 'none' || !this.#positioned) this.options.committed(null, doubt)
  }

  private keep(name: string, value: string): void {
    this.#variables ??= new Map()
    this.#variables.set(name, value)
  }

  /** Would the server have told this client, whose trackers are not the connection's? */
  private isVisible({ kind, name }: TrackedChange): boolean {
    const { settings } = this.#line
    const tracker = (which: string) => settings.variables.get(`session_track_${which}`) ?? ''
    switch (kind) {
      case TRACK.SYSTEM_VARIABLES:
        return isReported(settings, name)
      case TRACK.SCHEMA:
        return tracker('schema') !== 'OFF'
      case TRACK.STATE_CHANGE:
        return tracker('state_change') === 'ON'
      case TRACK.GTIDS:
        return !['', 'OFF'].includes(tracker('gtids'))
      default:
        // MySQL tells every client that has trackers, whatever its session_track_transaction_info says.
        return true
    }
  }

  /** An EOF says only that something changed: would it say so to this client, whose trackers are not the connection's? */
  private get showsInEof(): boolean {
    const { settings } = this.#line
    const { passing, calls } = this.options
    if (calls || settings.variables.get('session_track_state_change') === 'ON') return true
    return passing.some((name) => isReported(settings, name))
  }

  private forward(bytes: Buffer): void {
    if (bytes.length === 0 || this.#orphaned !== null) return
    if (this.#collected !== null) {
      this.#collected.push(Buffer.from(bytes))
      return
    }
    this.#forwardedBytes += bytes.length
    if (this.client.send(bytes) || this.#blocked) return
    this.#blocked = true
    this.#hasDrain = true
    this.client.onDrained = () => this.drained()
    this.#line.transport.pause()
  }

  private drained(): void {
    if (!this.#blocked) return
    this.#blocked = false
    this.#line.transport.resume()
    if (this.#reply !== null) this.settle()
  }

  /** The server asks for a file of the client's. */
  private startUpload(): void {
    this.#upload = new Uploading(this.client, this.#line.transport, (sequence) => {
      this.#upload = null
      this.#tracker.sequence = sequence
    })
  }

  private hasRows(outcome: Reply['outcome']): boolean {
    const { stop, first } = this.#tracker
    // COM_SET_OPTION is answered with an EOF that ends nothing.
    if (outcome === 'ok') return stop !== 'ok' && this.request.reply !== 'single'
    // What fails amid its rows has found those before; what failed before them leaves what was found before.
    return !first
  }

  private finish(outcome: Reply['outcome']): void {
    // Servers read a file to its end before they answer; to one that does not, the rest of it would be commands.
    if (this.#upload !== null) return this.fail(new ClientLost('the server refused to read the upload'))
    if (this.#collected !== null) this.forwardEdited()
    const tracker = this.#tracker
    const { prepared } = this.request
    if (prepared !== null && prepared.columnCount > 0 && tracker.columnCount > 0) {
      prepared.columnCount = tracker.columnCount
    }
    this.#reply = {
      outcome,
      transaction: (this.#status & STATUS.IN_TRANS) !== 0 ? 'open' : 'none',
      autocommit: (this.#status & STATUS.AUTOCOMMIT) !== 0,
      changed: this.changes(outcome),
      stateChanged: this.#stateChanged,
      unmovable: this.#unmovable,
      warnings: outcome === 'ok' ? tracker.warnings : 0,
      affectedRows: outcome === 'ok' && tracker.okLayout && tracker.stop === 'ok' ? tracker.affectedRows : -1,
      insertId: this.#insertId,
      rows: this.hasRows(outcome) ? tracker.rows : -1,
      cursorOpen: false,
      unknownSession: this.#unknownSession,
      disturbed: false,
      conditions: null,
      foundRows: null,
      didNothing: outcome === 'error' && tracker.first && NOTHING_DONE.has(tracker.errno),
      unresolved: outcome === 'error' && tracker.first && NOT_RESOLVED.has(tracker.errno),
      warned: this.#warned,
      keepsConditions: this.repeatsCount && outcome === 'ok',
    }
    if (this.#orphaned !== null) this.#orphaned()
    else if (!this.#blocked) this.settle()
  }

  private forwardEdited(): void {
    const bytes = Buffer.concat(this.#collected!)
    this.#collected = null
    const form = this.request.kind === 'execute' ? 'binary' : 'text'
    this.forward(editedResult(bytes, this.options.edit!, form, this.#line.form.deprecateEof))
  }

  private settle(): void {
    if (this.#hasDrain) this.client.onDrained = noDrain
    let reply: Reply | Promise<Reply>
    try {
      reply = this.#line.heed(this)
    } catch (error) {
      return this.fail(error)
    }
    if (!(reply instanceof Promise)) return this.answer(reply)
    void reply.then(
      (complete) => this.answer(complete),
      (error) => this.fail(error),
    )
  }

  private answer(reply: Reply): void {
    const to = this.#to
    this.#to = null
    to?.answered(reply)
  }

  /** It comes to nothing. */
  fail(error: unknown): void {
    const to = this.#to
    this.#to = null
    to?.failed(error)
  }

  private changes(outcome: Reply['outcome']): Reply['changed'] {
    const { command, message } = this.request
    if (outcome === 'ok' && command === COMMAND.SET_OPTION) {
      this.keep(MULTI_STATEMENTS, message.payload[1] === 0 ? 'ON' : 'OFF')
    }
    // Before MySQL reported it, and where the client's own tracker is off, the command itself tells.
    if (outcome === 'ok' && command === COMMAND.INIT_DB) this.#schema ??= message.payload.toString('utf8', 1)
    if (this.#schema === undefined && this.#variables === null) return null
    if (this.#variables !== null) addFollowing(this.#variables)
    return { schema: this.#schema, variables: this.#variables ?? NOTHING }
  }
}

/** The EOF at which the tracker stopped, without the flag that says that something changed. */
function quietEof(chunk: Buffer, { start, end, status }: ReplyTracker): Buffer {
  const eof = Buffer.from(chunk.subarray(start + HEADER_BYTES, end))
  eof.writeUInt16LE(status & ~STATUS.SESSION_STATE_CHANGED, 3)
  return eof
}

/** On the writer the transaction would have refused; here the reader did, in words of its own. */
function readOnlyTransaction(error: Buffer): Buffer {
  const stop = error.includes('MariaDB') ? '' : '.'
  return buildError(1792, '25006', `Cannot execute statement in a READ ONLY transaction${stop}`)
}

function isReadOnly(errno: number, error: Buffer): boolean {
  if (errno !== OPTION_PREVENTS) return READ_ONLY.has(errno)
  return /read[-_]only/i.test(parseError(error).message.toString('latin1'))
}

const noDrain = () => {}
const NO_SOURCES: readonly string[] = []

const NOTHING: ReadonlyMap<string, string> = new Map()
