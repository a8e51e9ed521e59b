// CONNECTION_ID() asked for by itself, as drivers and people do, answers with our number for the session: the one the
// client was greeted with, and that KILL takes. Pure.

import { frame, Message } from './frames.ts'

/** `SELECT CONNECTION_ID()`, with a name for it or without. */
const ASKED = /^\s*select\s+(connection_id\s*\(\s*\))(?:\s+(?:as\s+)?(`[^`]+`|(?!from\b|as\b)[a-z_]\w*))?\s*;?\s*$/i
/** No longer text is looked at. */
const BYTES_MAX = 96

/** The statement that gives `id` where this one asks for the connection's, with the same column; null: it does not ask. */
export function withOwnNumber(sql: Buffer, id: number): Buffer | null {
  if (sql.length > BYTES_MAX || !mayAsk(sql)) return null
  const asked = ASKED.exec(sql.toString('latin1'))
  if (asked === null) return null
  const name = asked[2] ?? `\`${asked[1]}\``
  return Buffer.from(`SELECT CAST(${id} AS UNSIGNED) AS ${name}`, 'latin1')
}

/** One look at nearly every statement: after `select ` there is no `c`. */
function mayAsk(sql: Buffer): boolean {
  const [first, eighth] = [sql[0]! | 0x20, sql[SELECT_BYTES]! | 0x20]
  return first !== LOWER_S || eighth === LOWER_C || eighth <= SPACE
}

const SELECT_BYTES = 'select '.length
const LOWER_S = 0x73
const LOWER_C = 0x63
const SPACE = 0x20

/** A message with another statement from `sqlAt` of its payload on. */
export function withSql(message: Message, sqlAt: number, sql: Buffer): Message {
  const bytes = frame(Buffer.concat([message.payload.subarray(0, sqlAt), sql]), message.sequence)
  return new Message(bytes, message.sequence, message.sequence)
}
