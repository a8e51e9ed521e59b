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

/** The status flags of a session that has just begun: clients escape their strings by them. */
export function freshStatus({ engine }: Pick<ServerVersion, 'engine'>, sqlMode: string): number {
  const { ansiQuotes, noBackslashEscapes } = modesOf(sqlMode)
  let status = STATUS.AUTOCOMMIT
  if (noBackslashEscapes) status |= STATUS.NO_BACKSLASH_ESCAPES
  if (ansiQuotes && engine === 'mariadb') status |= STATUS.ANSI_QUOTES
  return status
}
