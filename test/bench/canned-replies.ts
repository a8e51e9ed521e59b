// What the canned backend answers: one row to every point select, and just enough of a server for a proxy's monitor.

import { frame } from '../../src/protocol/mysql/frames.ts'
import {
  buildOk,
  buildPrepareOk,
  buildTextResult,
  buildTextRow,
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

/** Answers to a connection's point selects, made once. */
export interface CannedReplies {
  readonly textRow: Buffer
  readonly binaryRow: Buffer
  readonly ok: Buffer
}

/** `tracking`: the connection has asked for all of the server's reports. */
export function cannedReplies(capabilities: number, tracking: boolean): CannedReplies {
  const changes = tracking ? STATEMENT_ID : null
  const end = buildOk({ lead: LEAD.EOF, changes }, capabilities)
  const rows = (row: Buffer) => framed([Buffer.from([1]), columnOfTable(), row, end], 1)
  return {
    textRow: rows(buildTextRow([VALUE])),
    // A zero, the bitmap of NULLs, the value.
    binaryRow: rows(new FieldWriter().zeros(2).string(VALUE).bytes()),
    ok: framed([buildOk({ changes }, capabilities)], 1),
  }
}

/** The answer to preparing the point select; its only parameter is a number. */
export function cannedPrepared(statementId: number, capabilities: number): Buffer {
  const prepared = { statementId, columns: 1, parameters: 1, warnings: 0, definitions: true }
  return framed([buildPrepareOk(prepared, capabilities), parameter(), columnOfTable()], 1)
}

/** What the monitor asks, as text; null: it is no question of the monitor's. */
export function cannedClaim(sql: string, role: 'writer' | 'reader', capabilities: number): Buffer | null {
  const form = {
    capabilities,
    mariadbCapabilities: 0,
    status: STATUS.AUTOCOMMIT,
    sequence: 1,
    collation: UTF8MB4_GENERAL_CI,
  }
  const readOnly = role === 'reader' ? 'ON' : 'OFF'
  if (sql.startsWith('SHOW GLOBAL VARIABLES')) {
    const variables = [
      ['read_only', readOnly],
      ['super_read_only', readOnly],
      ['server_uuid', role === 'writer' ? WRITER_UUID : READER_UUID],
      ['version', CANNED_VERSION],
    ]
    return buildTextResult(['Variable_name', 'Value'], variables, form)
  }
  if (sql.startsWith('SHOW REPLICA STATUS')) {
    const status = {
      Source_Host: '127.0.0.1',
      Source_Port: '1',
      Source_UUID: WRITER_UUID,
      Replica_IO_Running: 'Yes',
      Replica_SQL_Running: 'Yes',
      Seconds_Behind_Source: '0',
    }
    return buildTextResult(Object.keys(status), role === 'writer' ? [] : [Object.values(status)], form)
  }
  return null
}

const WRITER_UUID = '00000000-0000-0000-0000-000000000001'
const READER_UUID = '00000000-0000-0000-0000-000000000002'

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
  return Buffer.concat(payloads.map((payload, index) => frame(payload, sequence + index)))
}
