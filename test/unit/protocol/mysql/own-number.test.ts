// Who asks for the connection's number alone is given ours, under the name the server would use.

import { describe, expect, test } from 'vitest'
import { withOwnNumber } from '../../../../src/protocol/mysql/own-number.ts'

const rewritten = (sql: string) => withOwnNumber(Buffer.from(sql), 7)?.toString() ?? null

describe('the session number', () => {
  test.each([
    ['SELECT CONNECTION_ID()', 'SELECT CAST(7 AS UNSIGNED) AS `CONNECTION_ID()`'],
    ['select connection_id();', 'SELECT CAST(7 AS UNSIGNED) AS `connection_id()`'],
    ['SELECT   CONNECTION_ID()', 'SELECT CAST(7 AS UNSIGNED) AS `CONNECTION_ID()`'],
    [' Select Connection_Id( ) AS id ', 'SELECT CAST(7 AS UNSIGNED) AS id'],
    ['SELECT CONNECTION_ID() `my id`', 'SELECT CAST(7 AS UNSIGNED) AS `my id`'],
  ])('is the answer to %s', (sql, expected) => expect(rewritten(sql)).toBe(expected))

  test.each([
    'SELECT CONNECTION_ID() + 1',
    'SELECT CONNECTION_ID() FROM t',
    "SELECT 'CONNECTION_ID()'",
    'SELECT CONNECTION_ID(), 1',
    'KILL CONNECTION_ID()',
    'SELECT CONNECTION_ID(); DROP TABLE t',
    'SELECT CONNECTION_ID() AS `a``b`, 1',
  ])('is not put into %s', (sql) => expect(rewritten(sql)).toBe(null))
})
