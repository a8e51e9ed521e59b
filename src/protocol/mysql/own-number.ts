// CONNECTION_ID() asked for by itself, as drivers and people do, answers with our number for the session: the one the
// client was greeted with, and that KILL takes. Pure.

import { frame, Message } from './frames.ts'

/** `SELECT CONNECTION_ID()`, with a name for it or without. */
const ASKED = /^\s*select\s+(connection_id\s*\(\s*\))(?:\s+(?:as\s+)?(`[^`]+`|(?!from\b|as\b)[a-z_]\w*))?\s*;?\s*$/i
/** No longer text is looked at. */
const BYTES_MAX = 96

/** The statement that gives `id` where this one asks for the connection's, with the same column; null: it does not ask. */
export function withOwnNumber(sql: Buffer, id: number): Buffer | null {
  if (sql.length > BYTES_MAX) return null
  const asked = ASKED.exec(sql.toString('latin1'))
  if (asked === null) return null
  const name = asked[2] ?? `\`${asked[1]}\``
  return Buffer.from(`SELECT CAST(${id} AS UNSIGNED) AS ${name}`, 'latin1')
}

/** A message with another statement from `sqlAt` of its payload on. */
export function withSql(message: Message, sqlAt: number, sql: Buffer): Message {
  const bytes = frame(Buffer.concat([message.payload.subarray(0, sqlAt), sql]), message.sequence)
  return new Message(bytes, message.sequence, message.sequence)
}
