// What the canned backend answers: a row for every id that a SELECT asks for, and just enough of a server for a proxy's
// monitor.

import { frame, HEADER_BYTES, payloadLength } from '../../src/protocol/mysql/frames.ts'
import {
  buildEof,
  buildOk,
  buildPrepareOk,
  buildTextResult,
  buildTextRow,
  CAPABILITY,
  COLUMN_TYPE,
  FieldWriter,
  LEAD,
  STATUS,
  TRACK,
} from '../../src/protocol/mysql/messages.ts'

export const CANNED_VERSION = '9.7.0'

const UTF8MB4_GENERAL_CI = 45
const BINARY = 63
const CHAR_BYTES = 480
/** Rows of sysbench's tables have as many. */
const VALUE =
  '68487932199-96439406143-93774651418-41631865787-96406072701-20604855487-25459966574-28203206787-41238978918-19503783441'

/** As MySQL with `session_track_system_variables = '*'` adds it to nearly every answer. */
const STATEMENT_ID = new FieldWriter()
  .u8(TRACK.SYSTEM_VARIABLES)
  .string(new FieldWriter().string('statement_id').string('1000001').bytes())
  .bytes()

/** What a connection is in, and decides what an answer ends with. */
export interface CannedState {
  /** It has asked for all of the server's reports. */
  readonly tracking: boolean
  readonly inTransaction: boolean
}

/** The answers of all connections that can and are the same. */
export class CannedReplies {
  static readonly #all = new Map<string, CannedReplies>()
  readonly textRow: Buffer
  readonly binaryRow: Buffer
  readonly ok: Buffer
  /** Of the columns, for clients that want it said. */
  readonly #middle: readonly Buffer[]
  readonly #end: Buffer
  readonly #results = new Map<number, Buffer>()

  private constructor(capabilities: number, { tracking, inTransaction }: CannedState) {
    const changes = tracking ? STATEMENT_ID : null
    const status = STATUS.AUTOCOMMIT | (inTransaction ? STATUS.IN_TRANS : 0)
    const eof = (capabilities & CAPABILITY.DEPRECATE_EOF) === 0 ? buildEof(status) : null
    this.#middle = eof === null ? [] : [eof]
    this.#end = eof ?? buildOk({ lead: LEAD.EOF, changes, status }, capabilities)
    this.ok = framed([buildOk({ changes, status }, capabilities)], 1)
    this.textRow = this.rows(1)
    // A zero, the bitmap of NULLs, the value.
    this.binaryRow = this.result([new FieldWriter().zeros(2).string(VALUE).bytes()])
  }

  static of(capabilities: number, state: CannedState): CannedReplies {
    const key = `${capabilities} ${state.tracking} ${state.inTransaction}`
    const replies = CannedReplies.#all.get(key) ?? new CannedReplies(capabilities, state)
    CannedReplies.#all.set(key, replies)
    return replies
  }

  rows(count: number): Buffer {
    const result = this.#results.get(count) ?? this.result(new Array<Buffer>(count).fill(buildTextRow([VALUE])))
    this.#results.set(count, result)
    return result
  }

  private result(rows: readonly Buffer[]): Buffer {
    return framed([Buffer.from([1]), columnOfTable(), ...this.#middle, ...rows, this.#end], 1)
  }
}

/** The answer to preparing the point select; its only parameter is a number. */
export function cannedPrepared(statementId: number, capabilities: number): Buffer {
  const prepared = { statementId, columns: 1, parameters: 1, warnings: 0, definitions: true }
  return framed([buildPrepareOk(prepared, capabilities), parameter(), columnOfTable()], 1)
}

export type Role = 'writer' | 'reader'

/** The answer to what a proxy's monitor asks, one statement or several in one text; null: it asks nothing we know. */
export function cannedClaim(text: string, role: Role, capabilities: number): Buffer | null {
  const answers = text.split(';').map((sql) => rowsFor(sql.trim(), role))
  const results: Buffer[] = []
  let sequence = 1
  for (const [index, answer] of answers.entries()) {
    if (answer === null) return null
    const more = index < answers.length - 1 ? STATUS.MORE_RESULTS_EXISTS : 0
    const status = STATUS.AUTOCOMMIT | more
    const form = { capabilities, mariadbCapabilities: 0, status, sequence, collation: UTF8MB4_GENERAL_CI }
    const result = buildTextResult(answer.columns, answer.rows, form)
    results.push(result)
    sequence += framesIn(result)
  }
  return Buffer.concat(results)
}

interface Rows {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

function rowsFor(sql: string, role: Role): Rows | null {
  const variables = globals(role)
  if (sql.startsWith('SHOW GLOBAL VARIABLES')) return { columns: ['Variable_name', 'Value'], rows: [...variables] }
  if (sql.startsWith('SHOW REPLICA STATUS')) {
    return { columns: Object.keys(REPLICATION), rows: role === 'writer' ? [] : [Object.values(REPLICATION)] }
  }
  const asked = [...sql.matchAll(/@@(?:global\.)?(\w+)(?: AS (\w+))?/gi)]
  if (!/^SELECT @@/i.test(sql)) return null
  return {
    columns: asked.map(([text, , alias]) => alias ?? text),
    rows: [asked.map(([, name]) => variables.get(name!) ?? '')],
  }
}

const WRITER_UUID = '00000000-0000-0000-0000-000000000001'
const READER_UUID = '00000000-0000-0000-0000-000000000002'

function globals(role: Role): ReadonlyMap<string, string> {
  const readOnly = role === 'reader' ? 'ON' : 'OFF'
  return new Map([
    ['version', CANNED_VERSION],
    ['read_only', readOnly],
    ['super_read_only', readOnly],
    ['innodb_read_only', 'OFF'],
    ['performance_schema', 'OFF'],
    ['server_id', role === 'writer' ? '1' : '2'],
    ['server_uuid', role === 'writer' ? WRITER_UUID : READER_UUID],
    ['gtid_executed', `${WRITER_UUID}:1-5`],
    ['collation_connection', 'utf8mb4_general_ci'],
  ])
}

const REPLICATION = {
  Source_Host: '127.0.0.1',
  Source_Port: '1',
  Source_UUID: WRITER_UUID,
  Replica_IO_Running: 'Yes',
  Replica_SQL_Running: 'Yes',
  Seconds_Behind_Source: '0',
  Auto_Position: '1',
  Retrieved_Gtid_Set: `${WRITER_UUID}:1-5`,
}

function framesIn(bytes: Buffer): number {
  let count = 0
  for (let at = 0; at < bytes.length; count++) at += HEADER_BYTES + payloadLength(bytes, at)
  return count
}

function columnOfTable(): Buffer {
  const names = ['def', 'sbtest', 'sbtest1', 'sbtest1', 'c', 'c']
  return column(names, UTF8MB4_GENERAL_CI, CHAR_BYTES, COLUMN_TYPE.STRING)
}

function parameter(): Buffer {
  return column(['def', '', '', '', '?', ''], BINARY, 21, COLUMN_TYPE.LONGLONG)
}

function column(names: readonly string[], collation: number, length: number, type: number): Buffer {
  const writer = new FieldWriter()
  for (const name of names) writer.string(name)
  return writer.u8(0x0c).u16(collation).u32(length).u8(type).u16(0).u8(0).u16(0).bytes()
}

function framed(payloads: readonly Buffer[], sequence: number): Buffer {
  return Buffer.concat(payloads.map((payload, index) => frame(payload, (sequence + index) & 0xff)))
}
