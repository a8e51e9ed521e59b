// One client's life: take a request, decide, act, remember, repeat. The only place where deciding and acting meet.

import { type CloseReason, ProxyError } from '../errors.ts'
import {
  type BackendConnection,
  BackendLost,
  type ClientConnection,
  ClientLost,
  type ClientRequest,
  ConnectFailed,
  type Refusal,
  type Reply,
  type Settings,
} from '../protocol/protocol.ts'
import { type Route, route } from '../routing/router.ts'
import { SessionState } from '../routing/session-state.ts'
import type { Classification, KillRequest } from '../sql/classification.ts'
import type { SqlContext } from '../sql/classifier.ts'
import { answerCommand } from './commands.ts'
import { Leases } from './leases.ts'
import { ATTEMPTS_MAX, lossOf, mayRepeat, REFUSALS_MAX, unknownOutcome } from './repeat.ts'
import type { SessionSnapshot } from './sessions.ts'
import type { Shared } from './shared.ts'

export class Session {
  readonly #client: ClientConnection
  readonly #shared: Shared
  readonly #state: SessionState
  readonly #leases: Leases
  #context: SqlContext | null = null
  #contextSettings: Settings | null = null
  #activity: SessionSnapshot['state'] = 'idle'
  #sinceMs: number
  #statements = 0
  #draining = false
  #ended = false

  constructor(client: ClientConnection, shared: Shared) {
    this.#client = client
    this.#shared = shared
    this.#state = new SessionState(client.loginSettings)
    this.#leases = new Leases(client, this.#state, shared)
    this.#sinceMs = shared.nowMs()
    client.onGone = () => this.end('client lost')
  }

  get id(): number {
    return this.#client.sessionId
  }

  get user(): string {
    return this.#client.account.user
  }

  get snapshot(): SessionSnapshot {
    return {
      id: this.id,
      cluster: this.#shared.cluster,
      user: this.user,
      schema: this.#state.settings.schema,
      clientAddress: this.#client.peerAddress,
      state: this.#activity,
      sinceMs: this.#sinceMs,
      transaction: this.#state.transaction,
      autocommit: this.#state.autocommit,
      override: this.#state.override,
      pins: this.#state.pins,
      variables: this.#state.settings.variables,
      backend: this.#leases.current?.connection.backend.id ?? null,
      statements: this.#statements,
    }
  }

  /** Serves the client until it goes. Never throws. */
  async run(): Promise<void> {
    try {
      this.end((await this.open()) ? await this.serveAll() : 'backend refused')
    } catch (error) {
      this.#shared.log.error({ err: error, session: this.id }, 'session ended by a bug')
      this.#client.fail(new ProxyError('INTERNAL', 'the proxy met a bug of its own; its log has the details'))
      this.end('proxy error')
    }
  }

  /** Ends now if nothing is in flight, else after the statement or transaction in flight. */
  drain(): void {
    this.#draining = true
    if (this.#activity === 'idle' && this.#leases.current === null) this.end('proxy draining')
  }

  /** Stops the statement in flight, and for `connection` ends the session, as KILL does on a server. */
  async kill(what: KillRequest['what']): Promise<void> {
    const connection = this.#activity === 'active' ? this.#leases.current?.connection : undefined
    await connection?.cancel()
    if (what === 'connection') this.end('client killed')
  }

  end(reason: CloseReason): void {
    if (this.#ended) return
    this.#ended = true
    // Whatever a session leaves in the middle of something is nobody else's business.
    this.#leases.discard('proxy in doubt')
    this.#leases.forget()
    this.#client.end(reason)
    this.#shared.metrics.clientCloses.labels(reason).value += 1
  }

  /** Completes the login. A schema must exist and be ours to use, or the login fails as it would on the server. */
  private async open(): Promise<boolean> {
    const writer = this.#shared.topology().backends.find(({ role, health }) => role === 'writer' && health === 'up')
    // Whoever comes while there is no writer may wait with the first statement.
    if (this.#state.settings.schema !== null && writer !== undefined) {
      try {
        const lease = await this.#leases.acquire(writer)
        const refusal = await lease.connection.align(this.#state.settings)
        if (refusal !== null) return this.refuse(refusal)
        this.#leases.giveBack()
      } catch (error) {
        if (error instanceof ConnectFailed && error.kind === 'login' && error.refusal !== null)
          return this.refuse(error.refusal)
        if (!(error instanceof ConnectFailed || error instanceof BackendLost || error instanceof ProxyError))
          throw error
        this.#leases.discard('backend lost')
        this.#shared.suspect(writer, error.message)
      }
    }
    this.#client.welcome()
    return true
  }

  private refuse(refusal: Refusal): false {
    this.#leases.discard('proxy in doubt')
    this.#client.refuse(refusal)
    return false
  }

  private async serveAll(): Promise<CloseReason> {
    while (!this.#ended) {
      const request = await this.#client.next()
      if (request === null) return 'client quit'
      this.#sinceMs = this.#shared.nowMs()
      this.#activity = 'active'
      try {
        await this.serve(request)
      } catch (error) {
        if (error instanceof ClientLost) return 'client lost'
        if (error instanceof ConnectFailed && error.refusal !== null) this.refuse(error.refusal)
        else if (!(error instanceof ProxyError)) throw error
        else if (this.fail(error)) return 'proxy error'
      }
      this.#activity = 'idle'
      if (this.#draining && this.#leases.current === null) return 'proxy draining'
    }
    return 'client killed'
  }

  private async serve(request: ClientRequest): Promise<void> {
    if (request.kind === 'reset' || request.kind === 'login') return this.startOver(request.kind)
    const classification = this.classify(request)
    if (classification.command !== null) return answerCommand(classification.command, this, this.#client, this.#shared)
    const { kill } = classification
    if (kill?.id != null && this.#shared.sessions.issued(kill.id)) {
      await this.#shared.sessions.kill(kill.id, kill.what, this)
      return this.#client.ok()
    }
    this.#statements += 1
    this.#state.expect(classification)
    if (!this.#state.pinned) this.#leases.giveBack()
    const reply = await this.exchange(classification, request)
    this.observe(classification, reply)
    if (!this.#state.pinned) this.#leases.giveBack()
  }

  /** What the statement does; for a prepared one, what it did when it was prepared. */
  classify(request: Pick<ClientRequest, 'kind' | 'sql' | 'prepared'>): Classification {
    const { kind, sql, prepared } = request
    if (prepared !== null && prepared.classification !== null && kind !== 'prepare') return prepared.classification
    if (this.#context === null || this.#contextSettings !== this.#state.settings) {
      this.#contextSettings = this.#state.settings
      this.#context = this.#shared.sqlContext(this.#state.settings, this.#client.identity)
    }
    const classification = this.#shared.classify(sql, this.#context)
    if (prepared !== null) prepared.classification = classification
    return classification
  }

  /** Where a statement would go just now, and why. */
  route(classification: Classification, attribute: string | null): Route {
    const view = {
      pinned: this.#leases.current !== null,
      autocommit: this.#state.autocommit,
      override: this.#state.override,
      user: this.user,
      schema: this.#state.settings.schema,
      clientAddress: this.#client.peerAddress,
      lastBackend: this.#leases.lastBackend,
      attribute,
    }
    return route(classification, view, this.#shared.topology(), this.#shared.policy, this.#shared)
  }

  /** Sends the request where it belongs, and elsewhere for as long as that is needed and safe. */
  private async exchange(classification: Classification, request: ClientRequest): Promise<Reply> {
    let decided = classification
    for (let attempts = 1; attempts <= ATTEMPTS_MAX; attempts++) {
      const decision = this.route(decided, request.routeAttribute)
      if (this.#leases.current === null && !(await this.obtain(decision, decided))) continue
      const startedMs = this.#shared.nowMs()
      const { connection } = this.#leases.current!
      try {
        const reply = await this.exchangeOnce(decided, request, attempts <= REFUSALS_MAX)
        if (reply !== null && reply.outcome !== 'refused' && reply.outcome !== 'behind') {
          this.#shared.tally.count(targetOf(decision, connection), classification.access, this.#sinceMs, startedMs)
          return reply
        }
        decided = this.afterRefusal(reply?.outcome ?? 'behind', connection, classification, request)
        if (reply !== null) this.#leases.giveBack()
      } catch (error) {
        if (!(error instanceof BackendLost)) throw error
        this.#leases.discard('backend lost')
        this.#shared.suspect(connection.backend, error.message)
        const loss = lossOf(error, classification, this.#state.losePins(), connection.backend.id)
        if (loss !== null) throw loss
        if (!mayRepeat(error, classification, attempts)) throw unknownOutcome(error, connection.backend.id)
        this.#shared.metrics.retries.labels(error.progress).value += 1
      }
    }
    throw new ProxyError('BACKEND_CONNECT_FAILED', `no backend could serve the statement in ${ATTEMPTS_MAX} attempts`)
  }

  /** The backend executed nothing, and another can do better: how the statement is to be taken from now on. */
  private afterRefusal(
    outcome: Reply['outcome'],
    { backend }: BackendConnection,
    classification: Classification,
    request: ClientRequest,
  ): Classification {
    if (backend.role === 'writer') {
      // It has been demoted, and who is the writer now will be known in a moment.
      if (outcome === 'refused') this.#shared.suspect(backend, 'it says that it is read-only')
      return classification
    }
    const asWrite: Classification = {
      ...classification,
      access: 'write',
      because: 'a reader cannot serve it',
      hint: null,
    }
    if (outcome === 'refused') {
      this.#shared.learn(asWrite)
      if (request.prepared !== null) request.prepared.classification = asWrite
    }
    return asWrite
  }

  /** Null: the backend could not take on the session's settings, so the request was not sent. */
  private async exchangeOnce(
    classification: Classification,
    request: ClientRequest,
    mayWait: boolean,
  ): Promise<Reply | null> {
    const { connection } = this.#leases.current!
    const onReader = connection.backend.role === 'reader'
    const aligning = connection.align(this.#state.settings)
    const refusal = aligning === null ? null : await aligning
    if (refusal !== null) {
      if (this.#state.pinned) throw new ProxyError('BACKEND_REFUSED_SETTINGS', refusal.message)
      this.#leases.discard('proxy in doubt')
      if (onReader) return null
      if (refusal.what !== 'schema') throw new ProxyError('BACKEND_REFUSED_SETTINGS', refusal.message)
      this.#state.loseSchema()
      return null
    }
    if (classification.facts.length > 0) await this.#leases.restore(classification.facts)
    const isFree = !this.#state.pinned && classification.transaction === 'none'
    return connection.exchange(request, this.#client, {
      holdRefused: isFree && mayWait,
      holdBehind: isFree && onReader,
    })
  }

  /** A connection as decided. False: decide again. */
  private async obtain(decision: Route, classification: Classification): Promise<boolean> {
    if (decision.action === 'reject') throw new ProxyError(decision.code, decision.because)
    if (decision.action === 'stay') throw new ProxyError('INTERNAL', 'pinned, but to nothing')
    this.#activity = 'waiting'
    try {
      if (decision.action === 'hold') {
        await this.#shared.hold.wait(() => this.route(classification, null).action !== 'hold', decision.because)
        return false
      }
      const lease = this.#leases.acquire(decision.backend)
      if (lease instanceof Promise) await lease
      return true
    } catch (error) {
      if (!(error instanceof ConnectFailed) || decision.action !== 'send') throw error
      if (error.kind === 'login') throw error
      this.#shared.suspect(decision.backend, error.message)
      return false
    } finally {
      this.#activity = 'active'
      if (this.#ended) this.gone()
    }
  }

  private gone(): never {
    this.#leases.giveBack()
    throw new ClientLost('the session ended while it waited')
  }

  private observe(classification: Classification, reply: Reply): void {
    const { connection } = this.#leases.current!
    const { metrics } = this.#shared
    const begun = this.#state.observe(classification, reply, this.#shared.nowMs())
    for (const reason of begun) metrics.pins.labels(reason).value += 1
    this.#leases.ran(reply.insertId !== 0n)
    if (this.#state.leavesTraces || classification.assigns.some(({ scope }) => scope === 'user'))
      connection.dirty = true
  }

  /** COM_RESET_CONNECTION and COM_CHANGE_USER: as if just logged in. */
  private async startOver(kind: 'reset' | 'login'): Promise<void> {
    const current = this.#leases.current
    // On the server a transaction is rolled back and locks are released before the answer.
    if (current !== null && !(await current.connection.reset().catch(() => false)))
      this.#leases.discard('proxy reset failed')
    this.#leases.giveBack()
    this.#leases.forget()
    // A reset keeps the schema, and everything else goes back to the server's defaults, not to the login's wishes.
    const { loginSettings } = this.#client
    this.#state.startOver(kind === 'login' ? loginSettings : this.#client.settingsAfterReset(this.#state.settings))
    this.#client.ok()
  }

  /** True if the session is over with it. */
  private fail(error: ProxyError): boolean {
    const { log, metrics } = this.#shared
    log[error.traits.level]({ session: this.id, code: error.code, why: error.message }, 'statement failed')
    metrics.errors.labels(error.code).value += 1
    this.#client.fail(error)
    return error.traits.ends === 'session'
  }
}

/** The target as metrics name it; a pinned session's is what its backend is. */
function targetOf(decision: Route, connection: BackendConnection): string {
  if (decision.action === 'send') return decision.target
  return connection.backend.role === 'reader' ? 'reader' : 'writer'
}
