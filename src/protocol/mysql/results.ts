// Result sets of our own, and the first message of a prepare's answer. Pure.

import { FieldReader, FieldWriter, MalformedMessage } from './fields.ts'
import { frame } from './frames.ts'
import { CAPABILITY, COLUMN_TYPE, LEAD, MARIADB_CAPABILITY } from './numbers.ts'
import { buildEof, buildOk } from './ok.ts'

export interface ResultForm {
  /** Of the client. */
  readonly capabilities: number
  readonly mariadbCapabilities: number
  readonly status: number
  /** Collation of the text. */
  readonly collation: number
  /** Of the first frame. */
  readonly sequence: number
}

const TEXT_COLUMN_BYTES_MAX = 1024

/** Frames of a whole result set in the text protocol. */
export function buildTextResult(
  columns: readonly string[],
  rows: readonly (readonly (string | Buffer | null)[])[],
  form: ResultForm,
): Buffer {
  const frames: Buffer[] = []
  let sequence = form.sequence
  const add = (payload: Buffer) => {
    frames.push(frame(payload, sequence))
    sequence = (sequence + 1) & 0xff
  }
  const count = new FieldWriter().integer(columns.length)
  if ((form.capabilities & CAPABILITY.OPTIONAL_RESULTSET_METADATA) !== 0) count.u8(1)
  add(count.bytes())
  for (const column of columns) add(buildColumn(column, form))
  const deprecateEof = (form.capabilities & CAPABILITY.DEPRECATE_EOF) !== 0
  if (!deprecateEof) add(buildEof(form.status))
  for (const row of rows) add(buildTextRow(row))
  add(deprecateEof ? buildOk({ lead: LEAD.EOF, status: form.status }, form.capabilities) : buildEof(form.status))
  return Buffer.concat(frames)
}

function buildColumn(name: string, form: ResultForm): Buffer {
  const writer = new FieldWriter().string('def').string('').string('').string('').string(name).string('')
  const extended =
    (form.capabilities & CAPABILITY.LONG_PASSWORD) === 0 &&
    (form.mariadbCapabilities & MARIADB_CAPABILITY.EXTENDED_METADATA) !== 0
  if (extended) writer.string('')
  return writer
    .u8(0x0c)
    .u16(form.collation)
    .u32(TEXT_COLUMN_BYTES_MAX)
    .u8(COLUMN_TYPE.VAR_STRING)
    .u16(0)
    .u8(NOT_FIXED_DECIMALS)
    .u16(0)
    .bytes()
}

const NOT_FIXED_DECIMALS = 31
const NULL_VALUE = Buffer.from([0xfb])

export function buildTextRow(row: readonly (string | Buffer | null)[]): Buffer {
  const writer = new FieldWriter()
  for (const value of row) {
    if (value === null) writer.put(NULL_VALUE)
    else writer.string(value)
  }
  return writer.bytes()
}

/** The values of a row in the text protocol. */
export function parseTextRow(payload: Buffer, columns: number): (Buffer | null)[] {
  const reader = new FieldReader(payload)
  const values: (Buffer | null)[] = []
  for (let column = 0; column < columns; column++) {
    if (payload[reader.at] === NULL_VALUE[0]) {
      reader.skip(1)
      values.push(null)
    } else values.push(reader.string())
  }
  return values
}

export interface PrepareOk {
  readonly statementId: number
  readonly columns: number
  readonly parameters: number
  readonly warnings: number
  /** Definitions of columns and parameters follow (always, but for OPTIONAL_RESULTSET_METADATA). */
  readonly definitions: boolean
}

export function parsePrepareOk(payload: Buffer, capabilities: number): PrepareOk {
  const reader = new FieldReader(payload)
  if (reader.u8() !== LEAD.OK) throw new MalformedMessage('not the answer to a prepare')
  const statementId = reader.u32()
  const columns = reader.u16()
  const parameters = reader.u16()
  reader.skip(1)
  const warnings = reader.left >= 2 ? reader.u16() : 0
  const optional = (capabilities & CAPABILITY.OPTIONAL_RESULTSET_METADATA) !== 0 && reader.left > 0
  return { statementId, columns, parameters, warnings, definitions: optional ? reader.u8() !== 0 : true }
}

export function buildPrepareOk(prepared: PrepareOk, capabilities: number): Buffer {
  const writer = new FieldWriter()
    .u8(LEAD.OK)
    .u32(prepared.statementId)
    .u16(prepared.columns)
    .u16(prepared.parameters)
    .u8(0)
    .u16(prepared.warnings)
  if ((capabilities & CAPABILITY.OPTIONAL_RESULTSET_METADATA) !== 0) writer.u8(prepared.definitions ? 1 : 0)
  return writer.bytes()
}
