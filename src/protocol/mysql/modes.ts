// How sql_mode changes the reading of a text, and what of it the status flags tell clients. Pure.

import type { ServerVersion } from './login-messages.ts'
import { STATUS } from './numbers.ts'

export interface Modes {
  readonly ansiQuotes: boolean
  readonly noBackslashEscapes: boolean
  readonly ignoreSpace: boolean
}

/** Names that stand for several modes, the first and the last of these three among them. */
const COMBINATIONS: readonly string[] = ['ANSI', 'DB2', 'MAXDB', 'MSSQL', 'ORACLE', 'POSTGRESQL']

export function modesOf(sqlMode: string): Modes {
  const names = new Set(
    sqlMode
      .toUpperCase()
      .split(',')
      .map((name) => name.trim()),
  )
  const combined = COMBINATIONS.some((name) => names.has(name))
  return {
    ansiQuotes: combined || names.has('ANSI_QUOTES'),
    noBackslashEscapes: names.has('NO_BACKSLASH_ESCAPES'),
    ignoreSpace: combined || names.has('IGNORE_SPACE'),
  }
}

/** Servers list modes in an order of their own, and these stand before it. */
const BEFORE_IGNORE_SPACE: readonly string[] = ['REAL_AS_FLOAT', 'PIPES_AS_CONCAT', 'ANSI_QUOTES']

/** As a server would report it, so that sessions that mean the same have the same settings. */
export function withIgnoreSpace(sqlMode: string): string {
  const names = sqlMode === '' ? [] : sqlMode.split(',')
  if (names.includes('IGNORE_SPACE')) return sqlMode
  const at = names.findLastIndex((name) => BEFORE_IGNORE_SPACE.includes(name)) + 1
  return names.toSpliced(at, 0, 'IGNORE_SPACE').join(',')
}

/** The status flags of a session that has just begun: clients escape their strings by them. */
export function freshStatus({ engine }: Pick<ServerVersion, 'engine'>, sqlMode: string): number {
  const { ansiQuotes, noBackslashEscapes } = modesOf(sqlMode)
  let status = STATUS.AUTOCOMMIT
  if (noBackslashEscapes) status |= STATUS.NO_BACKSLASH_ESCAPES
  if (ansiQuotes && engine === 'mariadb') status |= STATUS.ANSI_QUOTES
  return status
}
