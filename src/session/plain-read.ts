// A plain read on its way: nearly all statements are one, and need to wait for nothing but their answer.

import type { BackendConnection, ClientRequest, Reply, ReplyTo } from '../protocol/protocol.ts'
import type { Need } from '../routing/floors.ts'
import type { Send } from '../routing/router.ts'
import type { Classification } from '../sql/classification.ts'

/** Whose read it is. */
export interface PlainReader {
  /** Throws nothing. */
  answeredPlain(read: PlainRead, reply: Reply): void
  failedPlain(read: PlainRead, error: unknown): void
}

/** All that is remembered of it until it is answered. */
export class PlainRead implements ReplyTo {
  readonly classification: Classification
  readonly request: ClientRequest
  readonly decision: Send
  readonly need: Need | null
  readonly connection: BackendConnection
  readonly startedMs: number
  readonly #reader: PlainReader

  constructor(
    reader: PlainReader,
    classification: Classification,
    request: ClientRequest,
    decision: Send,
    need: Need | null,
    connection: BackendConnection,
    startedMs: number,
  ) {
    this.#reader = reader
    this.classification = classification
    this.request = request
    this.decision = decision
    this.need = need
    this.connection = connection
    this.startedMs = startedMs
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
