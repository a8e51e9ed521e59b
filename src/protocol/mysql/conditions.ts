// The conditions a statement left, kept as SHOW WARNINGS answered, and given to a client as SHOW WARNINGS or SHOW ERRORS
// would. Pure.

import type { ConditionRange, Conditions } from '../protocol.ts'
import { FieldWriter } from './fields.ts'
import { frame } from './frames.ts'
import { LEAD, STATUS, STATUS_OF_SESSION } from './numbers.ts'
import { withoutChanges } from './ok.ts'
import { type OwnReply, payloadsOf, plainText, rowsIn } from './own-replies.ts'
import type { ReplyForm } from './reply-tracker.ts'
import { parseTextRow } from './results.ts'

/** Level, Code, Message. */
const COLUMNS = 3
/** Shortest message with 0xfe that is an OK: an EOF has 5 bytes. */
const OK_BYTES_MIN = 7
/** A row of three columns, however short its texts, does not begin with 0xfe and end before this. */
const LONGEST_END = 9

/** The list as it is kept: of at most so many bytes, the first conditions first, with the true counts beside it. */
export function conditionsIn(reply: OwnReply, form: ReplyForm, bytesMax: number): Conditions {
  const rows = rowsIn(reply, form)
  const list = shortened(reply, definitionsOf(form), bytesMax)
  const end = list.at(-1)!
  // What our own trackers report is nothing the client asked for.
  const isOk = form.deprecateEof && end.length >= OK_BYTES_MIN
  const kept = [...list.slice(0, -1), isOk ? withoutChanges(end) : end]
  const errors = rows.filter(([level]) => level === 'Error').length
  // One block of bytes, since thousands of sessions may have one.
  return { count: rows.length, errors, list: Buffer.concat(kept.map((payload) => frame(payload, 0))) }
}

export interface ListForm extends ReplyForm {
  readonly binary: boolean
  /** The session's, since MariaDB keeps conditions over the beginning and the end of a transaction; and whether there is more. */
  readonly status: number
  /** Of the first frame. */
  readonly sequence: number
}

/** The frames of the answer. */
export function listFrames({ list }: Conditions, range: ConditionRange, form: ListForm): Buffer {
  const payloads = payloadsOf(list).map((payload) => withStatus(payload, form.status))
  const definitions = definitionsOf(form)
  const isWanted = (row: Buffer) => !range.errorsOnly || plainText(parseTextRow(row, COLUMNS)[0]!) === 'Error'
  const rows = payloads.slice(definitions, -1).filter(isWanted)
  const chosen = rows.slice(range.offset, range.offset + range.limit)
  const given = [...payloads.slice(0, definitions), ...(form.binary ? chosen.map(asBinary) : chosen), payloads.at(-1)!]
  return Buffer.concat(given.map((payload, at) => frame(payload, (form.sequence + at) & 0xff)))
}

const STATUS_OF_LIST = STATUS_OF_SESSION | STATUS.MORE_RESULTS_EXISTS

/** Behind two counts, of one byte each in an OK that ends rows, and of two bytes for warnings in an EOF. */
const STATUS_AT = 3

/** An EOF or OK as it is for a session in this state; any other message as it is. */
function withStatus(payload: Buffer, status: number): Buffer {
  if (payload[0] !== LEAD.EOF || payload.length >= LONGEST_END) return payload
  const end = Buffer.from(payload)
  end.writeUInt16LE((end.readUInt16LE(STATUS_AT) & ~STATUS_OF_LIST) | (status & STATUS_OF_LIST), STATUS_AT)
  return end
}

/** How many messages stand in front of the rows. */
function definitionsOf({ deprecateEof }: ReplyForm): number {
  return 1 + COLUMNS + (deprecateEof ? 0 : 1)
}

function shortened(reply: OwnReply, definitions: number, bytesMax: number): OwnReply {
  let bytes = 0
  const isKept = (payload: Buffer, at: number) => {
    if (at < definitions || at === reply.length - 1) return true
    bytes += payload.length
    return bytes <= bytesMax
  }
  return reply.filter(isKept)
}

/** https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html */
function asBinary(row: Buffer): Buffer {
  const [level, code, message] = parseTextRow(row, COLUMNS)
  // No column is NULL, so the bitmap (two bits in front, three columns) is one empty byte.
  return new FieldWriter()
    .u8(LEAD.OK)
    .u8(0)
    .string(level!)
    .u32(Number(plainText(code!)))
    .string(message!)
    .bytes()
}
