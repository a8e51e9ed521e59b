// A plain read on its way: nearly all statements are one, and need to wait for nothing but their answer.

import type { BackendConnection, ClientRequest, Reply, ReplyTo } from '../protocol/protocol.ts'
import type { Need } from '../routing/floors.ts'
import type { SessionTraits } from '../routing/policy.ts'
import type { Route, SessionView } from '../routing/router.ts'
import type { Classification } from '../sql/classification.ts'

/** Whose read it is: a session that holds nothing anywhere, and has no wishes of its own. */
export interface PlainReader extends SessionTraits {
  /** Neither throws. */
  answeredPlain(read: PlainRead, reply: Reply): void
  failedPlain(read: PlainRead, error: unknown): void
}

/** All that is remembered of it until it is answered, and what the router sees of its session. */
export class PlainRead implements ReplyTo, SessionView {
  readonly classification: Classification
  readonly request: ClientRequest
  readonly need: Need | null
  readonly startedMs: number
  /** Where it went. */
  decision: Route | null = null
  connection: BackendConnection | null = null
  readonly #reader: PlainReader

  constructor(
    reader: PlainReader,
    classification: Classification,
    request: ClientRequest,
    need: Need | null,
    startedMs: number,
  ) {
    this.#reader = reader
    this.classification = classification
    this.request = request
    this.need = need
    this.startedMs = startedMs
  }

  /** It was sent as soon as it had come. */
  get arrivedMs(): number {
    return this.startedMs
  }

  get user(): string {
    return this.#reader.user
  }

  get schema(): string | null {
    return this.#reader.schema
  }

  get clientAddress(): string {
    return this.#reader.clientAddress
  }

  get attribute(): string | null {
    return this.request.routeAttribute
  }

  get pinned(): boolean {
    return false
  }

  get autocommit(): boolean {
    return true
  }

  get override(): null {
    return null
  }

  get lastBackend(): null {
    return null
  }

  get variablesAt(): null {
    return null
  }

  get waited(): boolean {
    return false
  }

  answered(reply: Reply): void {
    this.#reader.answeredPlain(this, reply)
  }

  failed(error: unknown): void {
    this.#reader.failedPlain(this, error)
  }
}

/** Nothing in it but rows: the session is as it was. */
export function isPlainReply(reply: Reply): boolean {
  return (
    reply.outcome === 'ok' &&
    reply.rows >= 0 &&
    reply.changed === null &&
    reply.transaction === 'none' &&
    reply.autocommit &&
    !(reply.warned || reply.stateChanged || reply.unmovable || reply.cursorOpen || reply.disturbed) &&
    reply.warnings === 0 &&
    reply.insertId === 0n
  )
}
