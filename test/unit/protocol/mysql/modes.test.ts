// What sql_mode means to the reader of a text, and to clients.

import { expect, test } from 'vitest'
import { createMysqlProtocol } from '../../../../src/protocol/mysql/index.ts'
import { freshStatus, modesOf, withIgnoreSpace } from '../../../../src/protocol/mysql/modes.ts'
import { NO_SETTINGS, settingsOf } from '../../../../src/protocol/settings.ts'

test.each<readonly [string, readonly string[]]>([
  ['', []],
  ['STRICT_TRANS_TABLES,PIPES_AS_CONCAT', []],
  ['ANSI_QUOTES', ['ansiQuotes']],
  ['strict_trans_tables,ansi_quotes', ['ansiQuotes']],
  ['NO_BACKSLASH_ESCAPES', ['noBackslashEscapes']],
  ['IGNORE_SPACE', ['ignoreSpace']],
  ...['ANSI', 'DB2', 'MAXDB', 'MSSQL', 'ORACLE', 'POSTGRESQL'].map((name): readonly [string, readonly string[]] => [
    name,
    ['ansiQuotes', 'ignoreSpace'],
  ]),
  ['MYSQL40', []],
])('sql_mode %j', (sqlMode, names) => {
  const modes = Object.entries(modesOf(sqlMode))
  expect(modes.filter(([, on]) => on).map(([name]) => name)).toEqual(names)
})

test.each([
  ['mysql', 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES', 0x202],
  ['mariadb', 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES', 0x8202],
  ['mariadb', 'ORACLE', 0x8002],
  ['mariadb', '', 2],
] as const)('the status flags of a fresh session of %s with %j', (engine, sqlMode, status) => {
  expect(freshStatus({ engine }, sqlMode)).toBe(status)
})

// As `SET sql_mode = …; SELECT @@sql_mode` answers on MySQL 9.7 and MariaDB 10.11.
test.each([
  ['', 'IGNORE_SPACE'],
  ['ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES', 'IGNORE_SPACE,ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES'],
  [
    'REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,NO_ENGINE_SUBSTITUTION',
    'REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,NO_ENGINE_SUBSTITUTION',
  ],
  ['ANSI_QUOTES,IGNORE_SPACE', 'ANSI_QUOTES,IGNORE_SPACE'],
])('%j with IGNORE_SPACE reads as servers report it', (modes, expected) => {
  expect(withIgnoreSpace(modes)).toBe(expected)
})

test('a session has the modes of its server until it says otherwise', () => {
  const { sqlContext } = createMysqlProtocol(() => 0)
  const server = { version: '9.7.0', modes: 'ANSI_QUOTES' }
  const own = settingsOf(null, new Map([['sql_mode', 'NO_BACKSLASH_ESCAPES']]))
  expect(sqlContext(NO_SETTINGS, server)).toMatchObject({ ansiQuotes: true, noBackslashEscapes: false })
  expect(sqlContext(own, server)).toMatchObject({ ansiQuotes: false, noBackslashEscapes: true })
})
