// A result whose rows are ours to change on their way to the client: its columns stay as the server described them. Pure.

import type { Row, RowEdit } from '../protocol.ts'
import { FieldReader, FieldWriter } from './fields.ts'
import { frame, frameCount } from './frames.ts'
import { COLUMN_TYPE, LEAD } from './numbers.ts'
import { payloadsOf } from './own-replies.ts'
import { buildTextRow, parseTextRow } from './results.ts'

/** Rows of an execution are binary, those of a query text. */
export type RowForm = 'text' | 'binary'

interface Column {
  readonly name: string
  readonly type: number
}

/** From the end of a column's definition: the type, two bytes of flags, the decimals, two bytes of nothing. */
const TYPE_FROM_END = 6
const BITS_RESERVED = 2

/** `bytes` is a whole reply; the same with other rows, or as it is if it is no result. */
export function editedResult(bytes: Buffer, edit: RowEdit, form: RowForm, deprecateEof: boolean): Buffer {
  const payloads = payloadsOf(bytes, bytes.length)
  const [first] = payloads
  if (first === undefined || first[0] === LEAD.OK || first[0] === LEAD.ERROR) return bytes
  const columns = payloads.slice(1, 1 + first[0]!).map(parseColumn)
  const rowsFrom = 1 + columns.length + (deprecateEof ? 0 : 1)
  const parse = form === 'text' ? parseText : parseBinary
  const build = form === 'text' ? buildTextRow : buildBinary
  const rows = payloads.slice(rowsFrom, -1).map((payload) => parse(payload, columns))
  const edited = edit(
    columns.map(({ name }) => name),
    rows,
  )
  const all = [...payloads.slice(0, rowsFrom), ...edited.map((row) => build(row, columns)), payloads.at(-1)!]
  let sequence = bytes[3]!
  const frames = all.map((payload) => {
    const framed = frame(payload, sequence)
    sequence = (sequence + frameCount(payload.length)) & 0xff
    return framed
  })
  return Buffer.concat(frames)
}

function parseColumn(payload: Buffer): Column {
  const reader = new FieldReader(payload)
  // The catalogue, the schema, the table and its own name stand before the column's.
  for (let nth = 0; nth < 4; nth++) reader.string()
  return { name: reader.string().toString(), type: payload[payload.length - TYPE_FROM_END]! }
}

function parseText(payload: Buffer, columns: readonly Column[]): Row {
  return parseTextRow(payload, columns.length).map((value) => value?.toString() ?? null)
}

function parseBinary(payload: Buffer, columns: readonly Column[]): Row {
  const nulls = payload.subarray(1)
  const reader = new FieldReader(payload, 1 + nullBytes(columns.length))
  return columns.map(({ type }, at) => {
    const bit = at + BITS_RESERVED
    if ((nulls[bit >> 3]! & (1 << (bit & 7))) !== 0) return null
    const bytes = widthOf(type) === 0 ? reader.string() : reader.take(widthOf(type))
    if (type === COLUMN_TYPE.DOUBLE) return String(bytes.readDoubleLE())
    if (type === COLUMN_TYPE.FLOAT) return String(bytes.readFloatLE())
    if (type === COLUMN_TYPE.LONGLONG) return String(bytes.readBigInt64LE())
    return widthOf(type) === 0 ? bytes.toString() : String(bytes.readIntLE(0, bytes.length))
  })
}

function buildBinary(row: Row, columns: readonly Column[]): Buffer {
  const nulls = Buffer.alloc(nullBytes(columns.length))
  const writer = new FieldWriter().u8(0).put(nulls)
  for (const [at, { type }] of columns.entries()) {
    const value = row[at] ?? null
    const bit = at + BITS_RESERVED
    if (value === null) nulls[bit >> 3]! |= 1 << (bit & 7)
    else if (widthOf(type) === 0) writer.string(value)
    else writer.put(numberBytes(value, type))
  }
  return writer.bytes()
}

function numberBytes(value: string, type: number): Buffer {
  const bytes = Buffer.alloc(widthOf(type))
  if (type === COLUMN_TYPE.DOUBLE) bytes.writeDoubleLE(Number(value))
  else if (type === COLUMN_TYPE.FLOAT) bytes.writeFloatLE(Number(value))
  else if (type === COLUMN_TYPE.LONGLONG) bytes.writeBigInt64LE(BigInt(value))
  else bytes.writeIntLE(Number(value), 0, bytes.length)
  return bytes
}

/** Bytes of a number of this type; 0: a text with its length in front. */
function widthOf(type: number): number {
  switch (type) {
    case COLUMN_TYPE.TINY:
      return 1
    case COLUMN_TYPE.SHORT:
    case COLUMN_TYPE.YEAR:
      return 2
    case COLUMN_TYPE.LONG:
    case COLUMN_TYPE.INT24:
    case COLUMN_TYPE.FLOAT:
      return 4
    case COLUMN_TYPE.LONGLONG:
    case COLUMN_TYPE.DOUBLE:
      return 8
    default:
      return 0
  }
}

function nullBytes(columns: number): number {
  return (columns + BITS_RESERVED + 7) >> 3
}
