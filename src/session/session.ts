// One client's life: take a request, decide, act, remember, repeat. The only place where deciding and acting meet.

import { type CloseReason, ProxyError } from '../errors.ts'
import type { Lease } from '../pool/pool.ts'
import {
  BackendLost,
  type ClientConnection,
  ClientLost,
  type ClientRequest,
  type Collected,
  ConnectFailed,
  type Refusal,
  type Reply,
  type RequestKind,
  type RequestTaker,
  type Settings,
} from '../protocol/protocol.ts'
import { maySetInsertId } from '../routing/diagnostics.ts'
import type { Route } from '../routing/router.ts'
import { SessionState } from '../routing/session-state.ts'
import type { Assignment, Classification, KillRequest } from '../sql/classification.ts'
import type { SqlContext } from '../sql/classifier.ts'
import { writerOf } from '../topology/topology.ts'
import { answerCommand } from './commands.ts'
import { Dispatch } from './dispatch.ts'
import type { Freshness } from './freshness.ts'
import { type Killer, killSession, killUser } from './kills.ts'
import { type Asker, answerAboutLast } from './last-statement.ts'
import { Leases } from './leases.ts'
import { heldLocks, touchesLocks, withLockNames } from './locks.ts'
import { isPlainReply, type PlainRead, type PlainReader } from './plain-read.ts'
import type { Process } from './processes.ts'
import { conditionsEdit, processEdit } from './row-edits.ts'
import type { SessionSnapshot } from './sessions.ts'
import type { Shared } from './shared.ts'

/** After these nothing is left to a statement in flight. */
const AT_ONCE: ReadonlySet<CloseReason> = new Set(['client killed', 'proxy draining'])

const isForAll = ({ scope }: Assignment) => scope === 'global' || scope === 'persist'

/** Whoever logs in waits no longer for a look at its schema: clients give up a login sooner than a statement. */
const SCHEMA_WAIT_MS_MAX = 3_000

/** Longer statements are shown cut, however whole they were asked for. */
const TEXT_BYTES_MAX = 1024 * 1024

/** What servers call what a session does. */
const COMMANDS: Readonly<Record<RequestKind, string>> = {
  statement: 'Query',
  prepare: 'Prepare',
  execute: 'Execute',
  continue: 'Fetch',
  reset: 'Reset Connection',
  login: 'Connect',
  relay: 'Binlog Dump',
}

const UNMOVABLE_NAME = 'it has a user variable whose name reads differently in other character sets'

export class Session implements RequestTaker, PlainReader {
  readonly #client: ClientConnection
  readonly #shared: Shared
  readonly #state: SessionState
  readonly #leases: Leases
  readonly #dispatch: Dispatch
  #context: SqlContext | null = null
  #contextSettings: Settings | null = null
  /** Between statements; a session that is still logging in is not. */
  #isIdle = false
  /** Its login has been answered. */
  #isIn = false
  #sinceMs: number
  /** What is in flight. */
  #request: ClientRequest | null = null
  #statements = 0
  #draining = false
  #ended = false
  #over: () => void = () => {}
  /** Runs while the client says nothing, where its session has set a limit to that. */
  #silence: NodeJS.Timeout | null = null

  constructor(client: ClientConnection, shared: Shared) {
    this.#client = client
    this.#shared = shared
    this.#state = new SessionState(client.loginSettings, shared.keepsDiagnostics)
    this.#leases = new Leases(client, this.#state, shared)
    this.#dispatch = new Dispatch(client, this.#state, this.#leases, shared)
    this.#sinceMs = shared.nowMs()
    client.onGone = () => this.end('client lost')
  }

  get id(): number {
    return this.#client.sessionId
  }

  get user(): string {
    return this.#client.account.user
  }

  get schema(): string | null {
    return this.#state.settings.schema
  }

  get clientAddress(): string {
    return this.#client.peerAddress
  }

  get cluster(): string {
    return this.#shared.cluster
  }

  uses(backend: string, serverId: number): boolean {
    const connection = this.#leases.current?.connection
    return connection?.serverId === serverId && connection.backend.id === backend
  }

  get snapshot(): SessionSnapshot {
    return {
      id: this.id,
      cluster: this.#shared.cluster,
      user: this.user,
      schema: this.#state.settings.schema,
      clientAddress: this.#client.peerAddress,
      state: this.#isIdle ? 'idle' : this.#dispatch.waiting ? 'waiting' : 'active',
      sinceMs: this.#sinceMs,
      transaction: this.#state.transaction,
      autocommit: this.#state.autocommit,
      override: this.#state.override,
      pins: this.#state.pins,
      variables: this.#state.settings.variables,
      unreadVariables: this.#state.variables.unreadNames,
      backend: this.#leases.current?.connection.backend.id ?? null,
      statements: this.#statements,
    }
  }

  get process(): Process {
    const { account, peerAddress, peerPort } = this.#client
    const request = this.#isIdle ? null : this.#request
    const connection = this.#leases.current?.connection ?? null
    const isElsewhere = request !== null && connection !== null && connection.backend.role !== 'writer'
    const where = isElsewhere ? `executing on ${connection.backend.id}` : ''
    return {
      id: this.id,
      user: account.user,
      host: `${peerAddress}:${peerPort}`,
      schema: this.#state.settings.schema,
      command: this.#isIdle ? null : COMMANDS[request?.kind ?? 'login'],
      sinceMs: this.#sinceMs,
      state: this.#dispatch.waiting ? 'waiting for a connection' : where,
      text: request === null || request.sql.length === 0 ? null : request.sql.toString('utf8', 0, TEXT_BYTES_MAX),
      connection: connection === null ? null : { backend: connection.backend.id, serverId: connection.serverId },
    }
  }

  /** Serves the client; resolves when it has gone. Never throws. */
  run(): Promise<void> {
    const over = new Promise<void>((resolve) => {
      this.#over = resolve
    })
    this.open().then(
      (isOpen) => (isOpen ? this.rest() : this.end('backend refused')),
      (error) => this.failed(error),
    )
    return over
  }

  failed(error: unknown): void {
    if (error instanceof ClientLost) return this.end('client lost')
    this.#shared.log.error({ err: error, session: this.id }, 'session ended by a bug')
    this.#client.fail(new ProxyError('INTERNAL', 'the proxy met a bug of its own; its log has the details'))
    this.end('proxy error')
  }

  /** Ends now if nothing is in flight, else after the statement or transaction in flight. */
  drain(): void {
    this.#draining = true
    if ((this.#isIn && !this.#isIdle) || !this.isFree) return
    if (!this.#isIn) this.#client.fail(new ProxyError('SHUTTING_DOWN', 'Server shutdown in progress'))
    this.end('proxy draining')
  }

  /** Stops the statement in flight, and for `connection` ends the session, as KILL does on a server. */
  async kill(what: KillRequest['what']): Promise<void> {
    if (what === 'connection') this.end('client killed')
    else if (!this.#isIdle) {
      await this.#dispatch.interrupt(new ProxyError('QUERY_KILLED', 'Query execution was interrupted'))
    }
  }

  end(reason: CloseReason): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#silence !== null) clearTimeout(this.#silence)
    this.#dispatch.stop()
    // What a session leaves behind is wiped out; what it leaves running is ended soon, or at once if that was asked for.
    if (this.#isIdle) this.#leases.giveBackDirty()
    else this.#leases.abandon(reason, AT_ONCE.has(reason) ? 0 : undefined)
    this.#leases.forget()
    this.#client.end(reason)
    this.#shared.metrics.clientCloses.labels(reason).value += 1
    this.#shared.failovers.sessionEnded(this.id, reason)
    this.#over()
  }

  /** Completes the login. A schema must exist and be ours to use, or the login fails as it would on the server. */
  private async open(): Promise<boolean> {
    await this.renew()
    const refusal = await this.schemaRefusal()
    if (this.#ended) return false
    if (refusal !== null) return this.refuse(refusal)
    this.#client.welcome()
    this.#isIn = true
    this.#isIdle = true
    return true
  }

  /** Whoever logs in has the rights of now, whichever process their change went through. */
  private async renew(): Promise<void> {
    const { freshness, renewals } = this.#shared
    if (freshness.others !== null && freshness.others.unheard !== null) await freshness.others.unheard
    renewals.comes()
  }

  /** Why the session cannot have its schema, as far as there is somebody to ask. */
  private async schemaRefusal(): Promise<Refusal | null> {
    const writer = writerOf(this.#shared.topology())
    // Whoever comes while there is no writer may wait with the first statement.
    if (this.#state.settings.schema === null || writer === null) return null
    try {
      const lease = await this.#leases.acquire(writer, SCHEMA_WAIT_MS_MAX)
      const refusal = await lease.connection.align(this.#state.settings)
      if (refusal === null) this.#leases.giveBack()
      return refusal
    } catch (error) {
      if (this.#ended) return null
      if (error instanceof ConnectFailed && error.kind === 'login' && error.refusal !== null) return error.refusal
      const isLost = error instanceof BackendLost || (error instanceof ConnectFailed && error.kind === 'network')
      if (!isLost && !(error instanceof ConnectFailed || error instanceof ProxyError)) throw error
      this.#leases.discard('backend lost')
      // A writer whose connections are all in use is a good one.
      if (isLost) this.#shared.suspect(writer, error.message)
      return null
    }
  }

  /** Nothing would be lost with its connection but what only the very next statement could ask for. */
  private get isFree(): boolean {
    return this.#leases.current === null || (this.#isIn && this.#state.pinnedForNextOnly)
  }

  private refuse(refusal: Refusal): false {
    this.#leases.discard('proxy in doubt')
    this.#client.refuse(refusal)
    return false
  }

  /** Waits for the next request. */
  private rest(): void {
    this.#isIdle = true
    this.#request = null
    this.#sinceMs = this.#shared.recentMs()
    if (this.#ended) return
    if (this.#draining && this.isFree) return this.end('proxy draining')
    const silentMsMax = this.#client.idleMsMax(this.#state.settings)
    // What the server would end, ends here.
    if (silentMsMax !== null) this.#silence = setTimeout(() => this.silentTooLong(), silentMsMax)
    this.#client.next(this)
  }

  private silentTooLong(): void {
    this.#client.idledOut()
    this.end('client timeout')
  }

  take(request: ClientRequest | null): void {
    if (this.#ended) return
    if (request === null) return this.end('client quit')
    if (this.#silence !== null) clearTimeout(this.#silence)
    this.#silence = null
    this.#request = request
    this.#sinceMs = this.#shared.nowMs()
    this.#isIdle = false
    try {
      this.begin(request)
    } catch (error) {
      this.failed(error)
    }
  }

  private begin(request: ClientRequest): void {
    const { kind } = request
    if (kind === 'reset' || kind === 'login') return this.await(this.startOver(kind))
    const classification = this.classify(request)
    if (!this.servesPlain(classification, request)) this.await(this.serve(classification, request))
  }

  /** Never holds a request in a variable of its own: that would keep a long statement while the session waits for the next. */
  private await(serving: Promise<void>): void {
    serving.then(
      () => this.rest(),
      (error) => this.refused(error),
    )
  }

  /** The statement came to nothing, and the session goes on, if it can. */
  private refused(error: unknown): void {
    const isRefusal = error instanceof ConnectFailed && error.refusal !== null
    if (!isRefusal && !(error instanceof ProxyError)) return this.failed(error)
    this.countFailed(error.message)
    if (isRefusal) this.refuse(error.refusal!)
    else if (this.fail(error as ProxyError)) return this.end('proxy error')
    this.rest()
  }

  /** A plain read of a session that holds nothing is on its way. False: it takes `serve`. */
  private servesPlain(classification: Classification, request: ClientRequest): boolean {
    if (!classification.plain || request.opensCursor === true || request.kind === 'prepare') return false
    if (this.#leases.current !== null || !this.#state.isPlain || this.#client.answered) return false
    this.#statements += 1
    if (this.#dispatch.sendPlain(classification, request, this.#sinceMs, this)) return true
    this.await(this.answerWith(classification, request, this.#dispatch.send(classification, request, this.#sinceMs)))
    return true
  }

  answeredPlain(read: PlainRead, reply: Reply): void {
    if (this.#ended) return
    if (!isPlainReply(reply) || read.connection!.unreported) return this.goOn(read, Promise.resolve(reply))
    try {
      this.#dispatch.answeredPlain(read)
      this.#state.diagnostics.observePlain(reply.rows)
      this.#leases.ran(null, true)
      this.#leases.giveBack()
      this.rest()
    } catch (error) {
      this.failed(error)
    }
  }

  failedPlain(read: PlainRead, error: unknown): void {
    if (!this.#ended) this.goOn(read, Promise.reject(error))
  }

  private goOn(read: PlainRead, reply: Promise<Reply>): void {
    const { classification, request } = read
    const sending = this.#dispatch.send(classification, request, this.#sinceMs, null, { read, reply })
    this.await(this.answerWith(classification, request, sending))
  }

  private async answerWith(
    classification: Classification,
    request: ClientRequest,
    sending: Promise<Reply>,
  ): Promise<void> {
    const reply = await sending
    if (this.#ended) return
    await this.takeIn(classification, classification, request, reply)
  }

  /** To ROW_COUNT() the client's own answer was one more statement. */
  private noteAnswer(): void {
    this.#client.answered = false
    this.#state.diagnostics.answered()
    this.#leases.disturbed('row-count')
  }

  private async serve(classification: Classification, request: ClientRequest): Promise<void> {
    if (classification.command !== null) {
      answerCommand(classification.command, this, this.#client, this.#shared)
      return this.countOwn(classification, 'asks Sluice')
    }
    const { kill, facts } = classification
    if (kill?.id != null && classification.statements === 1 && request.kind !== 'prepare') {
      if (await killSession(this.killer, { id: kill.id, what: kill.what }))
        return this.countOwn(classification, 'kills a session of ours')
    }
    const isUserKill = kill?.user != null && classification.statements === 1 && request.kind !== 'prepare'
    const userKilled = isUserKill ? await killUser(this.killer, kill.user!, kill.what) : null
    if (this.#client.answered) this.noteAnswer()
    this.#statements += 1
    this.#state.expect(classification)
    if (!this.#state.pinned) this.#leases.giveBack()
    if (this.#leases.comesBack) await this.#leases.takeBack()
    const edit = facts.includes('sessions')
      ? await processEdit(classification, this.killer)
      : conditionsEdit(classification, this.#state)
    let asked = facts.includes('connection-id') ? this.withOwnId(request) : request
    if (facts.length > 0 && request.kind !== 'prepare') await this.#leases.readOutCurrent(facts)
    if (facts.length > 0 && (this.#leases.current === null || this.#leases.isReadOut)) {
      const recalled = await answerAboutLast(classification, asked, this.asker)
      if (recalled.asks === null) return this.goOnBehind(classification, recalled.behind)
      asked = recalled.asks
    }
    const named = withLockNames(classification, request, this.#client)
    const reply = await this.#dispatch.send(classification, asked, this.#sinceMs, edit)
    if (this.#ended) throw new ClientLost('the session has ended')
    if (reply.unknownSession !== null && kill !== null) return this.killWhomItMeans(classification, request, reply)
    if (userKilled === this.user && kill?.what === 'connection' && reply.outcome === 'ok') this.end('client killed')
    if (this.#ended) return
    await this.takeIn(classification, named, request, reply)
  }

  /** The first statement of a text was answered from here: what stands behind it is carried out as a text of its own. */
  private async goOnBehind(classification: Classification, behind: ClientRequest | null): Promise<void> {
    if (behind !== null) await this.serve(this.classify(behind), behind)
    this.countOwn(classification, 'answered from what was read out')
  }

  /** What an answered statement means for the session. `named`: with the names of locks that came as parameters. */
  private async takeIn(
    classification: Classification,
    named: Classification,
    request: ClientRequest,
    reply: Reply,
  ): Promise<void> {
    this.observe(named, request.kind, reply)
    if (request.kind !== 'prepare' && reply.outcome === 'ok' && this.#state.isReleasedBy(classification)) {
      // The server is closing the connection: nobody else may get it.
      this.#leases.discard('client quit')
      return this.end('client quit')
    }
    if (request.kind !== 'prepare' && touchesLocks(classification)) await this.settleLocks()
    if (!this.#state.pinned && this.#leases.current?.connection.unreported === true) await this.collect(classification)
    if (!this.#state.pinned) this.#leases.giveBack()
  }

  /** What the statement does; for a prepared one, what it did when it was prepared. */
  classify(request: Pick<ClientRequest, 'kind' | 'sql' | 'prepared'>): Classification {
    const { kind, sql, prepared } = request
    if (prepared !== null && prepared.classification !== null && kind !== 'prepare') return prepared.classification
    const classification = this.#shared.classify(sql, this.contextNow())
    if (prepared !== null) {
      prepared.classification = classification
      prepared.schema = this.#state.settings.schema
    }
    return classification
  }

  /** How the session's statements are to be read. */
  private contextNow(): SqlContext {
    if (this.#context === null || this.#contextSettings !== this.#state.settings) {
      this.#contextSettings = this.#state.settings
      this.#context = this.#shared.sqlContext(this.#state.settings)
    }
    return this.#context
  }

  /** The request with our number for this session where it asks for the connection's. */
  private withOwnId(request: ClientRequest): ClientRequest {
    // What was prepared has it already. Whoever could set the server's number, by a variable, wants that one back.
    if (!['statement', 'prepare'].includes(request.kind) || this.#state.has('unknown-state')) return request
    const sql = this.#shared.withOwnId(request.sql, this.contextNow(), this.id)
    return sql === null ? request : this.#client.reword(request, sql)
  }

  get freshness(): Freshness {
    return this.#dispatch.freshness
  }

  /** Where a statement would go just now, and why. */
  route(classification: Classification, attribute: string | null): Route {
    return this.#dispatch.route(classification, attribute)
  }

  private observe(classification: Classification, kind: RequestKind, reply: Reply): void {
    const { connection } = this.#leases.current!
    const { metrics } = this.#shared
    const { diagnostics } = this.#state
    const replaced =
      kind === 'prepare'
        ? diagnostics.prepared(classification, reply)
        : diagnostics.observe(classification, reply, this.#request?.sql ?? null)
    const done = kind === 'prepare' ? inert(classification) : classification
    const begun = this.#state.observe(done, reply, this.#shared.recentMs())
    for (const reason of begun) metrics.pins.labels(reason).value += 1
    if (connection.backend.role === 'reader') this.#state.forgetNext()
    const insertId = kind !== 'prepare' && maySetInsertId(classification, reply) ? reply.insertId : null
    this.#leases.ran(insertId, replaced, kind === 'prepare' && reply.outcome === 'ok')
    if (reply.disturbed) this.#leases.disturbed('all')
    if (reply.conditions !== null) diagnostics.saveConditions(reply.conditions)
    if (reply.foundRows !== null && diagnostics.foundRows === null) diagnostics.saveFoundRows(reply.foundRows)
    const mayHaveSet = reply.outcome === 'ok' || done.statements > 1
    // So a server reads what may be done in a schema.
    if (mayHaveSet && done.assigns.some(({ scope }) => scope === 'schema')) this.#shared.renewals.comes()
    if (mayHaveSet && done.assigns.some(isForAll)) {
      const names = done.assigns.filter(isForAll).map(({ name }) => name)
      const { renewals, freshness, cluster } = this.#shared
      renewals.globalsSet(connection.backend.id, names)
      freshness.others?.tellGlobals(cluster, connection.backend.id, names)
    }
    // A routine may set variables that its caller does not name, and servers do not tell.
    const mayHide = kind !== 'prepare' && classification.routines.length > 0
    // Nobody else may read in LASTVAL() what this session took.
    const tookNext = classification.pins.some(({ reason }) => reason === 'sequence')
    if (mayHide || tookNext || this.#state.leavesTraces || classification.assigns.some(({ scope }) => scope === 'user'))
      connection.dirty = true
    if (kind !== 'prepare') this.observeVariables(classification)
  }

  /** Whatever came of the statement, it may have assigned some before it failed. */
  private observeVariables(classification: Classification): void {
    const { variables } = this.#state
    const isMovable = variables.observe(classification, this.#state.has('sql-prepared'))
    if (isMovable === null) return
    this.#leases.assignedVariables()
    const { countMax } = this.#shared.userVariables
    if (isMovable && variables.count <= countMax) return
    const why = isMovable ? `it has more than ${countMax} user variables (limits.userVariablesMax)` : UNMOVABLE_NAME
    this.#leases.pinVariables(why)
  }

  /** The writer has said which number a KILL comes to, and that it knows nobody of it. What stands behind it goes on then. */
  private async killWhomItMeans(classification: Classification, request: ClientRequest, reply: Reply): Promise<void> {
    const { id, refusal } = reply.unknownSession!
    const isText = request.kind === 'statement' && classification.statements > 1
    const rest = isText ? this.#shared.behindKill(request.sql, this.contextNow(), id) : null
    try {
      const isOurs = await killSession(this.killer, { id, what: classification.kill!.what }, rest !== null)
      if (!isOurs) this.#client.refuse(refusal)
      if (this.#ended) return
      this.observe(classification, 'statement', isOurs ? { ...reply, outcome: 'ok' } : reply)
      if (!isOurs) return
      await this.#leases.clear()
      if (id === this.id) return
    } finally {
      if (!this.#state.pinned) this.#leases.giveBack()
    }
    if (rest === null) return
    const reworded = this.#client.reword(request, rest)
    await this.serve(this.classify(reworded), reworded)
  }

  private get asker(): Asker {
    const { keepsDiagnostics } = this.#shared
    const context = this.contextNow()
    return { client: this.#client, state: this.#state, leases: this.#leases, context, keepsDiagnostics }
  }

  private get killer(): Killer {
    return { self: this, client: this.#client, leases: this.#leases, shared: this.#shared }
  }

  /** What the backend has not told yet is this session's, and must not become the next one's. */
  private async collect(classification: Classification): Promise<void> {
    const connection = this.#leases.current?.connection
    if (connection?.unreported !== true) return
    const isUntold = connection.untold
    const collected = await this.collectFrom(this.#leases.current!).catch(() => {
      // The statement was answered; only what it changed is not known. In doubt the connection goes.
      this.#leases.discard('proxy in doubt')
      return null
    })
    this.#leases.disturbed(isUntold ? 'all' : 'row-count')
    if (collected === null) return
    this.#client.settleTransaction(collected.transaction)
    for (const reason of this.#state.adopt(collected, classification, this.#shared.nowMs())) {
      this.#shared.metrics.pins.labels(reason).value += 1
    }
  }

  private async collectFrom(lease: Lease): Promise<Collected> {
    if (lease.connection.untold && this.#leases.leaves(lease)) await this.#leases.readOut(lease)
    return lease.connection.collect(this.#client)
  }

  /** Pins of named locks end when the server says so, and not before. */
  private async settleLocks(): Promise<void> {
    const lease = this.#leases.current
    const { locks } = this.#state
    if (lease === null || locks.length === 0) return
    try {
      // What the session may ask about its last statement must not become what it is told about ours.
      if (this.#leases.leaves(lease)) await this.#leases.readOut(lease)
      const held = await heldLocks(lease.connection, locks)
      this.#leases.disturbed('all')
      if (held !== null) this.#state.holdsLocks(held)
    } catch (error) {
      // The statement was answered; the next one learns that the connection is lost, and the locks with it.
      if (!(error instanceof BackendLost)) throw error
    }
  }

  /** COM_RESET_CONNECTION and COM_CHANGE_USER: as if just logged in. */
  private async startOver(kind: 'reset' | 'login'): Promise<void> {
    const current = this.#leases.current
    // On the server a transaction is rolled back and locks are released before the answer.
    if (current !== null && !(await current.connection.reset().catch(() => false)))
      this.#leases.discard('proxy reset failed')
    this.#leases.giveBack()
    this.#leases.forget()
    const before = this.#state.settings
    if (kind === 'login') return this.becomeUser(before)
    // A reset keeps the schema, and everything else goes back to the server's defaults, not to the login's wishes.
    this.#state.startOver(this.#client.settingsAfterReset(before))
    this.#client.ok()
  }

  private async becomeUser(before: Settings): Promise<void> {
    this.#state.startOver(this.#client.settingsAfterLogin(before))
    await this.renew()
    const refusal = this.#client.loginRefusal ?? (await this.schemaRefusal())
    if (refusal === null) return this.#client.welcome()
    this.#shared.log.info({ session: this.id, why: refusal.message }, 'change of user refused')
    const settings = this.#client.keepUser(before)
    if (settings !== null) this.#state.startOver(settings)
    this.refuse(refusal)
    if (settings === null) this.end('backend refused')
  }

  /** No backend had a part in the answer. */
  private countOwn(classification: Classification, because: string, failed = false): void {
    this.#shared.tally.countOwn(classification, because, failed, this.#sinceMs)
  }

  private countFailed(because: string): void {
    const request = this.#request!
    if (request.kind !== 'reset' && request.kind !== 'login') this.countOwn(this.classify(request), because, true)
  }

  /** True if the session is over with it. */
  private fail(error: ProxyError): boolean {
    const { log, metrics } = this.#shared
    log[error.traits.level]({ session: this.id, code: error.code, why: error.message }, 'statement failed')
    metrics.errors.labels(error.code).value += 1
    this.#shared.failovers.failed(error.code)
    this.#client.fail(error)
    return error.traits.ends === 'session'
  }
}

/** What preparing a statement does to the session: nothing of what executing it will. */
function inert(classification: Classification): Classification {
  return { ...classification, access: 'session', tables: [], pins: [], assigns: [], transaction: 'none' }
}
