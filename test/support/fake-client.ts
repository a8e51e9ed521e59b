// A client without a socket: asks what it is told to ask, one thing after the other, and keeps what it is answered.

import type { ProxyError } from '../../src/errors.ts'
import type {
  ClientConnection,
  ClientRequest,
  ConditionRange,
  Conditions,
  Refusal,
  RequestKind,
  RequestTaker,
  Settings,
} from '../../src/protocol/protocol.ts'
import { NO_SETTINGS, settingsOf } from '../../src/protocol/settings.ts'

export class FakeClient implements ClientConnection {
  readonly sessionId: number
  readonly peerAddress = '10.0.0.7'
  readonly peerPort = 50_007
  readonly account
  readonly identity
  readonly loginSettings: Settings
  readonly loginRefusal = null
  gone = false
  answered = false
  settleTransaction(): void {}
  onGone: () => void = () => {}
  /** What was answered by the proxy itself, in order. */
  readonly answers: string[] = []
  #asked: ClientRequest[] = []
  #taker: RequestTaker | null = null

  constructor(sessionId = 1, user = 'app', schema: string | null = null) {
    this.sessionId = sessionId
    this.account = {
      user,
      password: '',
      passwordHash: null,
      backendUser: user,
      backendPassword: '',
      requireTls: false,
      route: null,
    }
    this.identity = { key: user, user }
    this.loginSettings = schema === null ? NO_SETTINGS : settingsOf(schema, new Map())
  }

  ask(sql: string, kind: RequestKind = 'statement'): void {
    this.#asked.push({ kind, sql: Buffer.from(sql), prepared: null, routeAttribute: null, bytes: sql.length })
    this.give()
  }

  quit(): void {
    this.gone = true
    this.give()
  }

  parameter(): string | null {
    return null
  }

  keepUser(): Settings | null {
    return null
  }

  settingsAfterLogin(): Settings {
    return this.loginSettings
  }

  settingsAfterReset({ schema }: Settings): Settings {
    return settingsOf(schema, new Map())
  }

  welcome(): void {
    this.answers.push('welcome')
  }

  next(taker: RequestTaker): void {
    this.#taker = taker
    this.give()
  }

  /** Never before `next` returns. */
  private give(): void {
    queueMicrotask(() => {
      const taker = this.#taker
      if (taker === null || (this.#asked.length === 0 && !this.gone)) return
      this.#taker = null
      taker.take(this.#asked.shift() ?? null)
    })
  }

  reword(request: ClientRequest, sql: Buffer): ClientRequest {
    return { ...request, sql }
  }

  ok(more = false): void {
    this.answers.push(more ? 'ok, and more' : 'ok')
  }

  rows(_columns: readonly string[], rows: readonly (readonly (string | null)[])[]): void {
    this.answers.push(`${rows.length} rows`)
  }

  idleMsMax(): null {
    return null
  }

  idledOut(): void {
    this.answers.push('idled out')
  }

  takesSeveral(): boolean {
    return true
  }

  conditions(conditions: Conditions | null, { errorsOnly }: ConditionRange): boolean {
    if (conditions === null) return false
    this.answers.push(`${errorsOnly ? conditions.errors : conditions.count} conditions`)
    return true
  }

  rephrased(request: ClientRequest, sql: Buffer): ClientRequest {
    return { ...request, sql }
  }

  fail(error: ProxyError): void {
    this.answers.push(error.code)
  }

  refuse(refusal: Refusal): void {
    this.answers.push(`refused: ${refusal.message}`)
  }

  killed(what: 'query' | 'connection'): void {
    this.answers.push(`killed ${what}`)
  }

  end(): void {
    this.gone = true
    this.answers.push('end')
    this.give()
  }
}
