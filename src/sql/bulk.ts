// The rest of a bulk INSERT, looked at without reading it.

import { FOLDED } from './bytes.ts'
import { SEMICOLON } from './tokens.ts'

/**
 * Whether the rest of a bulk INSERT holds nothing but more of the same: no further statement, no variable, no question
 * about the session. Looks at bytes only, so it may say no where strings contain such text.
 */
export function holdsRowsOnly(sql: Buffer, from: number): boolean {
  if (sql.indexOf(SEMICOLON, from) >= 0 || sql.indexOf(0, from) >= 0) return false
  // 1 AND@a:=2 looks like an address of mail otherwise.
  if (sql.indexOf(':=', from) >= 0) return false
  for (let at = sql.indexOf(0x40, from); at >= 0; at = sql.indexOf(0x40, at + 1)) {
    if (FOLDED[sql[at - 1]!] === 0) return false
  }
  const end = sql.length - 2
  let at = sql.indexOf(0x5f, from)
  if (at < 0) return true
  for (; at < end; at++) if (sql[at] === 0x5f && isTelling(sql, at + 1)) return false
  return true
}

/** last_INSERt_id, row_COUNt, found_ROWS, get_LOCK, release_ALL, connection_ID. */
function isTelling(sql: Buffer, from: number): boolean {
  const first = sql[from]! | 0x20
  const second = sql[from + 1]! | 0x20
  switch (first) {
    case 0x69:
      return second === 0x6e || second === 0x64
    case 0x63:
      return second === 0x6f
    case 0x72:
      return second === 0x6f
    case 0x6c:
      return second === 0x6f
    case 0x61:
      return second === 0x6c
    default:
      return false
  }
}
