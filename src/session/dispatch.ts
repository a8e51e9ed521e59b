// Gets a statement to where it belongs: route, connection, alignment, exchange; and elsewhere for as long as that is
// needed and safe.

import { ProxyError } from '../errors.ts'
import {
  type BackendConnection,
  BackendLost,
  type ClientConnection,
  ClientLost,
  type ClientRequest,
  ConnectFailed,
  type ExchangeOptions,
  type Refusal,
  type Reply,
  type RowEdit,
  replyOf,
} from '../protocol/protocol.ts'
import { maySetInsertIdSilently } from '../routing/diagnostics.ts'
import { type Route, route, type Send } from '../routing/router.ts'
import type { SessionState } from '../routing/session-state.ts'
import type { Classification, PinReason } from '../sql/classification.ts'
import { exchangeOptions, PLAIN_ON_READER } from './exchange-options.ts'
import { Freshness } from './freshness.ts'
import type { Leases } from './leases.ts'
import { PlainRead, type PlainReader } from './plain-read.ts'
import { ATTEMPTS_MAX, lossOf, mayRepeat, unknownOutcome } from './repeat.ts'
import { type Answered, type BegunRead, type Sending, sendingOf } from './sending.ts'
import type { Shared } from './shared.ts'

export class Dispatch {
  readonly #client: ClientConnection
  readonly #state: SessionState
  readonly #leases: Leases
  readonly #shared: Shared
  readonly freshness: Freshness
  /** Of a transaction that has left its reader. */
  #savepoints: readonly string[] = []
  /** Made for a plain read that needs more than `sendPlain` does. */
  #decision: Route | null = null
  #waiting = false
  #stopped = false
  /** The statement is to come to nothing, and what its client is told. */
  #interruption: Error | null = null
  /** What is done to the rows of the statement's answer. */
  #edit: RowEdit | null = null
  /** Ends a wait for a backend. */
  #giveUp: (error: Error) => void = nothing

  constructor(client: ClientConnection, state: SessionState, leases: Leases, shared: Shared) {
    this.#client = client
    this.#state = state
    this.#leases = leases
    this.#shared = shared
    this.freshness = new Freshness(client, state, shared)
  }

  /** The statement waits for a connection or for a backend. */
  get waiting(): boolean {
    return this.#waiting
  }

  /** The session has ended: whatever still waits gives up. */
  stop(): void {
    this.#stopped = true
    this.giveUp(ENDED)
  }

  /** What waits fails with `error`; what a backend is at, it is told to stop, and says so itself. */
  interrupt(error: Error): Promise<void> {
    this.giveUp(error)
    return this.#leases.current?.connection.cancel() ?? Promise.resolve()
  }

  /** Where a statement would go just now, and why. */
  route(
    classification: Classification,
    attribute: string | null,
    need = this.freshness.needNow(classification, attribute),
    waited = false,
  ): Route {
    const view = {
      pinned: this.#leases.current !== null && this.#state.staysFor(classification),
      autocommit: this.#state.autocommit,
      override: this.#state.override,
      user: this.#client.account.user,
      schema: this.#state.settings.schema,
      clientAddress: this.#client.peerAddress,
      lastBackend: this.#leases.lastBackend,
      variablesAt: this.#state.variables.unread ? this.#leases.variablesAt : null,
      attribute,
      need,
      waited,
    }
    return route(classification, view, this.#shared.topology(), this.#shared.policy, this.#shared)
  }

  /**
   * Sends a plain read of a session that holds nothing where it belongs; its answer goes to `reader`. False: it must wait for
   * more than its answer, or be prepared for; then `send` goes on from here.
   */
  sendPlain(classification: Classification, request: ClientRequest, arrivedMs: number, reader: PlainReader): boolean {
    this.#interruption = null
    this.#edit = null
    this.#decision = null
    const need = this.freshness.needAtOnce(classification, request)
    if (need === undefined) return false
    const read = new PlainRead(reader, classification, request, need, arrivedMs)
    const { policy } = this.#shared
    const decision = route(classification, read, this.#shared.topology(), policy, this.#shared)
    this.#decision = decision
    if (decision.action !== 'send' || decision.awaits !== undefined || this.mustQueue(decision)) return false
    const lease = this.#leases.takeNow(decision.backend)
    if (lease === null) return false
    const { connection } = lease
    if (connection.stained || !connection.fits(this.#state.settings)) return false
    this.#decision = null
    read.decision = decision
    read.connection = connection
    if (connection.backend.role === 'reader') connection.exchange(request, this.#client, PLAIN_ON_READER, read)
    else connection.exchange(request, this.#client, this.optionsFor(classification, request), read)
    return true
  }

  /** The answer to a plain read has come, and is like most answers. */
  answeredPlain(read: PlainRead): void {
    this.count(read, read.connection!, 'ok')
  }

  /**
   * Sends the request where it belongs, and elsewhere for as long as that is needed and safe. `begun`: a plain read that was
   * sent, and whose answer is none of a plain read's.
   */
  async send(
    classification: Classification,
    request: ClientRequest,
    arrivedMs: number,
    edit: RowEdit | null = null,
    begun: BegunRead | null = null,
  ): Promise<Reply> {
    this.#edit = edit
    const sending = sendingOf(classification, request, arrivedMs, begun?.read ?? null)
    if (begun === null) {
      this.#interruption = null
      const isPinned = this.#leases.current !== null && this.#state.staysFor(classification)
      sending.movesTransaction = isPinned && this.outgrowsReader(sending)
      if (sending.movesTransaction) await this.leaveReader()
      const need = isPinned ? null : this.freshness.needAtOnce(classification, request)
      sending.need = need === undefined ? await this.freshness.need(classification, request) : need
    }
    let coming: Promise<Reply | null> | null = begun?.reply ?? null
    for (let attempts = 1; attempts <= ATTEMPTS_MAX || this.mayWaitOn(sending.heldSinceMs); attempts++) {
      try {
        if (coming === null) {
          this.checkInterruption()
          sending.decision = this.#decision ?? this.decide(sending)
          this.#decision = null
          if (!this.isReady(sending) && !(await this.makeReady(sending))) continue
          coming = this.exchangeOnce(sending)
        }
        const reply = await coming
        coming = null
        if (reply !== null && reply.outcome !== 'refused' && reply.outcome !== 'behind') {
          this.count(sending, sending.connection!, reply.outcome)
          return reply
        }
        this.takeRefusal(sending, reply)
      } catch (error) {
        coming = null
        if (!(error instanceof BackendLost)) throw error
        this.takeLoss(sending, error, this.#leases.current?.connection ?? sending.connection!)
      }
    }
    throw new ProxyError('BACKEND_CONNECT_FAILED', `no backend could serve the statement in ${ATTEMPTS_MAX} attempts`)
  }

  private decide({ classification, decided, request, need, waited }: Sending): Route {
    // What a reader could not serve is for the writer, whoever vouched for it.
    return this.route(decided, decided === classification ? request.routeAttribute : null, need, waited)
  }

  /** There is a connection as decided, with nothing to be done before the statement. */
  private isReady(sending: Sending): boolean {
    const { decision, decided } = sending
    const mustWait = decision!.action === 'hold' || (sending.heldSinceMs === null && this.mustQueue(decision!))
    if (mustWait || sending.movesTransaction || (decision!.action === 'send' && decision!.awaits !== undefined))
      return false
    if (this.#leases.current === null && !this.obtainNow(decision!)) return false
    if (this.#leases.mustFetchVariables(decided)) return false
    if (decision!.action === 'stay') {
      if (this.mayReadNewer(sending)) return false
      if (decision!.ignoredHint) this.#shared.metrics.ignoredHints.value += 1
    }
    sending.startedMs = this.#shared.nowMs()
    return true
  }

  /** Waits for all that. False: decide again. */
  private async makeReady(sending: Sending): Promise<boolean> {
    const { classification, request, decided } = sending
    const decision = sending.decision!
    if (decision.action === 'hold' || (sending.heldSinceMs === null && this.mustQueue(decision))) {
      sending.heldSinceMs ??= this.#shared.nowMs()
      await this.hold(decision, () => this.decide(sending), request, sending.heldSinceMs)
      return false
    }
    const isObtained = this.#leases.current !== null || this.obtainNow(decision)
    if (!isObtained && !(await this.obtain(decision))) return false
    if (this.#leases.mustFetchVariables(decided) && !(await this.fetchVariables())) return false
    if (decision.action === 'stay' && decision.ignoredHint) this.#shared.metrics.ignoredHints.value += 1
    sending.startedMs = this.#shared.nowMs()
    if (decision.action === 'send' && decision.awaits !== undefined) {
      if (!(await this.catchUp(sending, decision))) return false
    }
    if (decision.action === 'stay' && this.mayReadNewer(sending)) {
      const missed = await this.freshness.missedWithin(classification, request, this.#leases.current!.connection)
      this.checkInterruption()
      if (missed !== null && this.#state.canMoveTransaction) {
        sending.need = missed
        sending.waited = true
        sending.movesTransaction = true
        await this.leaveReader()
        return false
      }
    }
    if (sending.movesTransaction && (await this.takeOverTransaction(classification))) sending.movesTransaction = false
    return true
  }

  /** The reader is waited for. False: another is to serve. Throws ProxyError where none may. */
  private async catchUp(sending: Sending, decision: Send): Promise<boolean> {
    const isThere = await this.freshness.catchUp(
      this.#leases.current!.connection,
      decision.awaits!,
      decision.isLast === true,
    )
    sending.waited = true
    this.checkInterruption()
    // It may have rights from before the reader heard of new ones.
    if (isThere) return !this.#leases.leaveOutdated()
    const error = decision.isLast === true ? this.freshness.giveUp(decision) : null
    if (error === null && decision.isLast === true) return true
    this.#leases.giveBack()
    if (error !== null) throw error
    return false
  }

  /** The backend would not serve it, or not take on the session's settings (null), and executed nothing. */
  private takeRefusal(sending: Sending, reply: Reply | null): void {
    const connection = sending.connection!
    if (reply?.outcome === 'refused' && this.#state.pinned) {
      throw new BackendLost('unsent', true, `${connection.backend.id} has become read-only`)
    }
    const { classification, request } = sending
    sending.decided = this.afterRefusal(reply?.outcome ?? 'behind', connection, classification, request)
    if (reply !== null) this.#leases.giveBack()
  }

  /** Throws what the client is told, unless the statement may be sent again. */
  private takeLoss(sending: Sending, error: BackendLost, { backend }: BackendConnection): void {
    if (this.#stopped) this.gone()
    const { classification } = sending
    this.#leases.discard('backend lost')
    if (error.progress !== 'unsent' && this.#state.mayBeReleasedBy(classification)) throw RELEASED
    this.#shared.suspect(backend, error.message)
    const held = { pins: this.losePins(), autocommit: this.#state.autocommit }
    const loss = lossOf(error, classification, held, backend.id)
    if (loss !== null) throw loss
    if (error.progress !== 'unsent') sending.losses += 1
    if (!mayRepeat(error, classification, sending.losses)) throw unknownOutcome(error, backend.id)
    this.#shared.metrics.retries.labels(error.progress).value += 1
  }

  private count(answered: Answered, connection: BackendConnection, outcome: Reply['outcome']): void {
    const { classification, decision, need, arrivedMs, startedMs } = answered
    const failed = outcome !== 'ok'
    this.#shared.tally.count(answered, targetOf(decision!, connection), failed)
    this.freshness.answered(classification, decision!, connection, need)
    const isWrite = classification.access === 'write' && !failed
    this.#shared.failovers.answered(connection.backend.id, isWrite, startedMs - arrivedMs)
  }

  /** A READ ONLY transaction on a reader meets a statement that only the writer should execute, a GET_LOCK() say. */
  private outgrowsReader({ classification, request }: Sending): boolean {
    const isOnReader = this.#leases.current?.connection.backend.role === 'reader'
    return isOnReader && request.kind !== 'prepare' && this.#state.outgrowsReader(classification)
  }

  /** A READ ONLY transaction on a reader is about to read, and may see what was committed since it began. */
  private mayReadNewer({ classification, request }: Sending): boolean {
    const { role, isolation } = this.#leases.current!.connection.backend
    return role === 'reader' && request.kind !== 'prepare' && this.#state.mayReadNewer(classification, isolation ?? '')
  }

  /** The transaction ends there; on another backend it will begin anew. */
  private async leaveReader(): Promise<void> {
    this.#savepoints = this.#state.savepoints
    try {
      await this.#leases.current!.connection.endReadOnly()
    } catch (error) {
      if (!(error instanceof BackendLost)) throw error
      this.#leases.discard('backend lost')
    }
    this.#state.losePins()
    this.#leases.giveBack()
    this.checkInterruption()
  }

  /** False: the connection did not take on the session's settings, and the statement will find out. */
  private async takeOverTransaction(classification: Classification): Promise<boolean> {
    const { connection } = this.#leases.current!
    if ((await connection.align(this.#state.settings)) !== null) return false
    await connection.beginReadOnly(this.#savepoints)
    this.#state.moveTransaction(this.#savepoints, classification, this.#shared.nowMs())
    return true
  }

  /** A writer that comes and goes is waited for as long as one that is gone. */
  private mayWaitOn(sinceMs: number | null): boolean {
    return sinceMs !== null && this.#shared.nowMs() < sinceMs + this.#shared.waits.writer.waitMsMax
  }

  /** What else a session held on a connection that is gone. What it can do without is said where it is missed. */
  private losePins(): readonly PinReason[] {
    const pins = this.#state.losePins()
    // Whoever runs a lost transaction again asks for no more than its error's number.
    if (pins.length === 0 || pins.includes('transaction') || pins.includes('user-variable')) return pins
    return this.#leases.loseVariables() ? [...pins, 'user-variable'] : pins
  }

  /** False: the session has another connection now. */
  private async fetchVariables(): Promise<boolean> {
    try {
      return await this.#leases.fetchVariables()
    } catch (error) {
      if (!this.#state.pinned) this.#leases.giveBack()
      throw error
    } finally {
      this.checkInterruption()
    }
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
      plain: false,
      transaction: classification.transaction === 'begin-read-only' ? 'begin' : classification.transaction,
    }
    if (outcome === 'refused') {
      this.#shared.learn(asWrite)
      if (request.prepared !== null) request.prepared.classification = asWrite
    }
    return asWrite
  }

  /** Null: the backend could not take on the session's settings, so the request was not sent. Waits for nothing it need not. */
  private exchangeOnce(sending: Sending): Promise<Reply | null> {
    const { decided: classification, request } = sending
    const { connection } = this.#leases.current!
    sending.connection = connection
    const missing = this.#leases.missingVariables(classification)
    const aligning = connection.align(this.#state.settings, missing)
    const isReady = aligning === null && classification.facts.length === 0 && !connection.stained
    if (isReady && !(this.#leases.lacksInsertId && maySetInsertIdSilently(classification))) {
      return this.exchangeNow(classification, request)
    }
    const given = missing.length === 0 || aligning === null ? aligning : this.giveVariables(aligning)
    return this.exchangeAligned(classification, request, given)
  }

  private async giveVariables(aligning: Promise<Refusal | null>): Promise<Refusal | null> {
    const refusal = await aligning
    if (refusal === null) this.#leases.gaveVariables()
    return refusal
  }

  private async exchangeAligned(
    classification: Classification,
    request: ClientRequest,
    aligning: Promise<Refusal | null> | null,
  ): Promise<Reply | null> {
    const { connection } = this.#leases.current!
    const onReader = connection.backend.role === 'reader'
    if (aligning !== null) this.#shared.metrics.alignments.value += 1
    const refusal = aligning === null ? null : await aligning
    this.checkInterruption()
    if (refusal !== null) {
      if (this.#state.pinned) throw new ProxyError('BACKEND_REFUSED_SETTINGS', refusal.message)
      this.#leases.discard('proxy in doubt')
      if (onReader) return null
      if (refusal.what !== 'schema') throw new ProxyError('BACKEND_REFUSED_SETTINGS', refusal.message)
      this.#state.loseSchema()
      return null
    }
    if (maySetInsertIdSilently(classification)) await this.#leases.prepareInsertId()
    if (classification.facts.length > 0 || connection.stained) await this.#leases.restore(classification.facts)
    this.checkInterruption()
    return this.exchangeNow(classification, request)
  }

  private exchangeNow(classification: Classification, request: ClientRequest): Promise<Reply | null> {
    const { connection } = this.#leases.current!
    return replyOf(connection, request, this.#client, this.optionsFor(classification, request))
  }

  private optionsFor(classification: Classification, request: ClientRequest): ExchangeOptions {
    const onReader = this.#leases.current!.connection.backend.role === 'reader'
    if (!onReader) this.freshness.begin(classification, request.prepared)
    const { pinned, autocommit, transaction } = this.#state
    const { committed } = this.freshness
    return exchangeOptions(classification, request, {
      onReader,
      pinned,
      autocommit,
      transaction,
      edit: this.#edit,
      committed,
    })
  }

  /** A connection as decided, if the one used last is free. */
  private obtainNow(decision: Route): boolean {
    return decision.action === 'send' && !this.#stopped && this.#leases.reclaim(decision.backend)
  }

  /** A connection as decided. False: decide again. */
  private async obtain(decision: Route): Promise<boolean> {
    if (decision.action === 'reject') throw new ProxyError(decision.code, decision.because)
    if (decision.action !== 'send') throw new ProxyError('INTERNAL', 'pinned, but to nothing')
    this.#waiting = true
    try {
      const lease = this.#leases.acquire(decision.backend)
      if (lease instanceof Promise) await lease
      return true
    } catch (error) {
      if (!(error instanceof ConnectFailed)) throw error
      // A writer that is full is the writer still: its own words are the answer. Readers have others beside them.
      const isFullWriter = error.kind === 'capacity' && decision.backend.role === 'writer'
      if (error.kind === 'login' || isFullWriter) throw error
      // A full one is as healthy as can be: the router leaves it alone for a moment.
      if (error.kind !== 'capacity') this.#shared.suspect(decision.backend, error.message)
      return false
    } finally {
      this.#waiting = false
      if (this.#stopped) this.gone()
    }
  }

  /** Others have waited for the writer longer. */
  private mustQueue(decision: Route): boolean {
    if (this.#shared.hold.state !== 'draining' || this.#leases.current !== null) return false
    return decision.action === 'send' && decision.backend.role === 'writer'
  }

  /** Writes wait for a writer, and reads for a reader where the settings say so. */
  private async hold(
    decision: Route & { readonly because: string },
    again: () => Route,
    request: ClientRequest,
    sinceMs: number,
  ): Promise<void> {
    const isForReader = decision.action === 'hold' && decision.target !== 'writer'
    const { failovers } = this.#shared
    this.#waiting = true
    if (!isForReader) failovers.holds()
    try {
      await this.#shared.hold.wait({
        target: isForReader ? 'reader' : 'writer',
        served: () => again().action !== 'hold',
        because: decision.because,
        sinceMs,
        code: isForReader ? 'NO_READER' : 'NO_WRITER',
        bytes: request.bytes,
        waiting: (giveUp) => {
          this.#giveUp = giveUp
        },
        ...(isForReader ? this.#shared.waits.reader : this.#shared.waits.writer),
      })
    } finally {
      if (!isForReader) failovers.letsGo()
      this.#waiting = false
      this.#giveUp = nothing
      if (this.#stopped) this.gone()
    }
  }

  private giveUp(error: Error): void {
    this.#interruption = error
    this.#giveUp(error)
    this.#leases.withdraw(error)
  }

  private checkInterruption(): void {
    if (this.#interruption === null) return
    if (!this.#state.pinned) this.#leases.giveBack()
    throw this.#interruption
  }

  private gone(): never {
    this.#leases.giveBack()
    throw new ClientLost('the session ended while it waited')
  }
}

const nothing = () => {}
/** One for all: to make an error takes longer than many a statement. */
const RELEASED = new ClientLost('the server ended the session, as its COMMIT or ROLLBACK asked')
const ENDED = new ClientLost('the session has ended')
/** The target as metrics name it; a pinned session's is what its backend is. */
function targetOf(decision: Route, connection: BackendConnection): string {
  if (decision.action === 'send') return decision.target
  return connection.backend.role === 'reader' ? 'reader' : 'writer'
}
