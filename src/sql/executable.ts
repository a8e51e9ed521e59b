// Executable comments: which of them this server executes, and which it takes for comments.

import { isDigit, SPACE, STARTS } from './bytes.ts'
import type { LexRules, Tokens } from './tokens.ts'

/**
 * Where the code of an executable comment begins that is executed; negative: where the inside begins of one that is not;
 * 0: a plain comment.
 */
export function codeAt(sql: Buffer, from: number, rules: LexRules, tokens: Tokens): number {
  const third = from + 2 < sql.length ? sql[from + 2]! : 0
  const marked = third === 0x4d && from + 3 < sql.length && sql[from + 3] === 0x21
  if (marked && !rules.mariadb) tokens.doubt ??= 'a comment that MariaDB executes'
  const maria = marked && rules.mariadb
  if (third !== 0x21 && !maria) return 0
  const inside = from + (maria ? 4 : 3)
  const digits = versionDigits(sql, inside, rules.mariadb)
  const version = versionAt(sql, inside, digits)
  if (digits === 0 || appliesTo(rules, version, maria)) return inside + digits
  // Another server of the cluster may be newer, or of the other kind.
  const never = digits === 6 ? 999990 : 99990
  if (version > rules.version && version < never) tokens.doubt ??= 'a comment that another server executes'
  return -inside
}

/** How many digits of version stand at the head of an executable comment: 0, 5 or 6. */
function versionDigits(sql: Buffer, from: number, mariadb: boolean): number {
  let digits = 0
  while (digits < 6 && from + digits < sql.length && isDigit(sql[from + digits]!)) digits++
  if (digits < 5) return 0
  if (digits === 5 || mariadb) return digits
  // MySQL takes a sixth digit only before a space.
  return from + 6 < sql.length && STARTS[sql[from + 6]!] === SPACE ? 6 : 5
}

function versionAt(sql: Buffer, from: number, digits: number): number {
  let version = 0
  for (let at = from; at < from + digits; at++) version = version * 10 + sql[at]! - 0x30
  return version
}

function appliesTo(rules: LexRules, version: number, maria: boolean): boolean {
  if (version > rules.version) return false
  // MariaDB leaves to MySQL what MySQL 5.7 and later have of their own.
  return !rules.mariadb || maria || version < 50700 || version > 99999
}
