// Our error codes in this protocol's words: MySQL's own numbers where clients act on them, 9100 to 9199 elsewhere.

import type { ProxyError } from '../../errors.ts'
import type { WireErrorTable } from '../protocol.ts'
import { buildError } from './ok.ts'

export interface WireError {
  readonly errno: number
  readonly sqlState: string
}

/**
 * Drivers read 40001 as "run the transaction again" and 08xxx as "this connection is dead": neither may be said of
 * what is not so. 1290 is never ours: readers say it, and we learn from it.
 */
export const WIRE: WireErrorTable<WireError> = {
  ACCESS_DENIED: { errno: 1045, sqlState: '28000' },
  BAD_CHARSET: { errno: 1231, sqlState: '42000' },
  TLS_REQUIRED: { errno: 3159, sqlState: 'HY000' },
  LOGIN_UNSUPPORTED: { errno: 1251, sqlState: '08004' },
  LOGIN_TIMEOUT: { errno: 9100, sqlState: '08S01' },
  CLIENTS_MAX: { errno: 1040, sqlState: '08004' },
  SHUTTING_DOWN: { errno: 1053, sqlState: '08S01' },
  MALFORMED_REQUEST: { errno: 1835, sqlState: 'HY000' },
  OUT_OF_ORDER: { errno: 1156, sqlState: '08S01' },
  REQUEST_TOO_LARGE: { errno: 1153, sqlState: '08S01' },
  UNKNOWN_REQUEST: { errno: 1047, sqlState: '08S01' },
  UNKNOWN_STATEMENT: { errno: 1243, sqlState: 'HY000' },
  PREPARED_MAX: { errno: 1461, sqlState: '42000' },
  NO_CURSOR: { errno: 1421, sqlState: 'HY000' },
  KILL_DENIED: { errno: 1095, sqlState: 'HY000' },
  KILLED: { errno: 1927, sqlState: '70100' },
  IDLE_TOO_LONG: { errno: 4031, sqlState: 'HY000' },
  QUERY_KILLED: { errno: 1317, sqlState: '70100' },
  NO_WRITER: { errno: 9110, sqlState: 'HY000' },
  NO_READER: { errno: 9111, sqlState: 'HY000' },
  READERS_BEHIND: { errno: 9113, sqlState: 'HY000' },
  UNKNOWN_ENDPOINT: { errno: 9112, sqlState: 'HY000' },
  POOL_WAIT_TIMEOUT: { errno: 9120, sqlState: 'HY000' },
  POOL_WAITERS_MAX: { errno: 9121, sqlState: 'HY000' },
  BACKEND_CONNECT_FAILED: { errno: 9130, sqlState: 'HY000' },
  BACKEND_LOGIN_FAILED: { errno: 9131, sqlState: 'HY000' },
  BACKEND_REFUSED_SETTINGS: { errno: 9132, sqlState: 'HY000' },
  OUTCOME_UNKNOWN: { errno: 9140, sqlState: 'HY000' },
  COMMIT_UNKNOWN: { errno: 9141, sqlState: '08007' },
  TRANSACTION_LOST: { errno: 1213, sqlState: '40001' },
  STATE_LOST: { errno: 9142, sqlState: 'HY000' },
  REPLY_CUT: { errno: 9144, sqlState: 'HY000' },
  REPLY_BROKEN: { errno: 9143, sqlState: '08S01' },
  INTERNAL: { errno: 9199, sqlState: 'HY000' },
}

/** Texts beyond this are cut, as both servers do. */
const MESSAGE_BYTES_MAX = 511

/** The payload of the ERR for an error of ours. `knownClient`: it has said that it speaks protocol 4.1. */
export function buildWireError(error: ProxyError, knownClient = true): Buffer {
  const { errno, sqlState } = WIRE[error.code]
  return buildError(errno, knownClient ? sqlState : '', cut(Buffer.from(error.message), MESSAGE_BYTES_MAX))
}

/** At most `bytesMax` bytes, no character in halves. */
function cut(text: Buffer, bytesMax: number): Buffer {
  if (text.length <= bytesMax) return text
  let end = bytesMax
  while (end > 0 && (text[end]! & 0xc0) === 0x80) end--
  return text.subarray(0, end)
}
