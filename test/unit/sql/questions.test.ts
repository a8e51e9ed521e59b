// Questions about the last statement: found in every place a text can have them, answered without another byte changed.

import { describe, expect, test } from 'vitest'
import { mysql, type SqlContext } from '../../../src/sql/classifier.ts'
import { questionIn } from '../../../src/sql/questions.ts'

const CONTEXT: SqlContext = {
  dialect: mysql,
  version: 90700,
  ansiQuotes: false,
  noBackslashEscapes: false,
  ignoreSpace: false,
  charset: '',
}
const ANSWERS = { rowCount: 3, foundRows: 40, conditions: 2, errors: 1 }
const ask = (sql: string) => questionIn(Buffer.from(sql), CONTEXT, ANSWERS)

const rephrased = (sql: string) => {
  const question = ask(sql)
  return question?.kind === 'text' ? question.sql.toString() : question
}

describe('a text that asks', () => {
  test.each([
    ['SELECT ROW_COUNT()', 'SELECT IF(1,3,ROW_COUNT()) AS `ROW_COUNT()`'],
    ['SELECT row_count ( ) ;', 'SELECT IF(1,3,row_count ( )) AS `row_count ( )` ;'],
    ['SELECT ROW_COUNT() AS n', 'SELECT IF(1,3,ROW_COUNT()) AS n'],
    ['SELECT ROW_COUNT() n, 1', 'SELECT IF(1,3,ROW_COUNT()) n, 1'],
    [
      'SELECT FOUND_ROWS(), LAST_INSERT_ID(), ROW_COUNT()+1 FROM t',
      'SELECT IF(1,40,FOUND_ROWS()) AS `FOUND_ROWS()`, LAST_INSERT_ID(), IF(1,3,ROW_COUNT())+1 AS `ROW_COUNT()+1` FROM t',
    ],
    ["SELECT ROW_COUNT() = 3 'three'", "SELECT IF(1,3,ROW_COUNT()) = 3 'three'"],
    ['SELECT 1 AND ROW_COUNT()', 'SELECT 1 AND IF(1,3,ROW_COUNT()) AS `1 AND ROW_COUNT()`'],
    ['SELECT ROW_COUNT() IS NULL', 'SELECT IF(1,3,ROW_COUNT()) IS NULL AS `ROW_COUNT() IS NULL`'],
    ['SELECT DISTINCT FOUND_ROWS() LIMIT 1', 'SELECT DISTINCT IF(1,40,FOUND_ROWS()) AS `FOUND_ROWS()` LIMIT 1'],
    ['SELECT (SELECT FOUND_ROWS()) f', 'SELECT (SELECT IF(1,40,FOUND_ROWS()) AS `FOUND_ROWS()`) f'],
    ['INSERT INTO log VALUES (ROW_COUNT(), 2)', 'INSERT INTO log VALUES (IF(1,3,ROW_COUNT()), 2)'],
    ['SET @n = FOUND_ROWS()', 'SET @n = IF(1,40,FOUND_ROWS())'],
    ['SELECT @@warning_count', 'SELECT IF(1,CAST(2 AS UNSIGNED),@@warning_count) AS `@@warning_count`'],
    ['SELECT @@session.error_count e', 'SELECT IF(1,CAST(1 AS UNSIGNED),@@session.error_count) e'],
    ['SHOW COUNT(*) WARNINGS', 'SELECT IF(1,CAST(2 AS UNSIGNED),@@session.warning_count) AS `@@session.warning_count`'],
    ['show count(*) errors;', 'SELECT IF(1,CAST(1 AS UNSIGNED),@@session.error_count) AS `@@session.error_count`;'],
    ["SELECT 'ROW_COUNT()', ROW_COUNT()", "SELECT 'ROW_COUNT()', IF(1,3,ROW_COUNT()) AS `ROW_COUNT()`"],
    ['SELECT ROW_COUNT(); SELECT ROW_COUNT()', 'SELECT IF(1,3,ROW_COUNT()) AS `ROW_COUNT()`; SELECT ROW_COUNT()'],
    [
      'SET @a = 1; SELECT FOUND_ROWS(), ROW_COUNT()',
      'SET @a = 1; SELECT IF(1,40,FOUND_ROWS()) AS `FOUND_ROWS()`, ROW_COUNT()',
    ],
    ['SELECT FOUND_ROWS(); SELECT FOUND_ROWS()', 'SELECT IF(1,40,FOUND_ROWS()) AS `FOUND_ROWS()`; SELECT FOUND_ROWS()'],
    [
      'SHOW COUNT(*) ERRORS; SELECT @@warning_count; SELECT @@error_count',
      'SELECT IF(1,CAST(1 AS UNSIGNED),@@session.error_count) AS `@@session.error_count`; SELECT IF(1,CAST(2 AS UNSIGNED),@@warning_count) AS `@@warning_count`; SELECT @@error_count',
    ],
    [
      'SELECT db.row_count(), `a``b`+ROW_COUNT()',
      'SELECT db.row_count(), `a``b`+IF(1,3,ROW_COUNT()) AS ```a````b``+ROW_COUNT()`',
    ],
  ])('%s', (sql, expected) => {
    expect(rephrased(sql)).toBe(expected)
  })

  test('keeps every byte that is no question, in any character set', () => {
    const bytes = Buffer.concat([
      Buffer.from("SELECT '"),
      Buffer.from([0xe9, 0xff, 0x80]),
      Buffer.from("', ROW_COUNT() r"),
    ])
    const question = ask(bytes.toString('latin1'))
    expect(question?.kind).toBe('text')
    const asked = questionIn(bytes, { ...CONTEXT, charset: 'latin1' }, ANSWERS)
    expect(asked?.kind === 'text' && asked.sql.toString('latin1')).toBe(
      bytes.toString('latin1').replace('ROW_COUNT()', 'IF(1,3,ROW_COUNT())'),
    )
  })

  test('keeps asking the server for what is not known', () => {
    const question = questionIn(Buffer.from('SELECT FOUND_ROWS()'), CONTEXT, { ...ANSWERS, foundRows: null })
    expect(question?.kind === 'text' && question.sql.toString()).toBe('SELECT FOUND_ROWS()')
  })
})

describe('a list of conditions', () => {
  test.each([
    ['SHOW WARNINGS', { errorsOnly: false, offset: 0, limit: Number.POSITIVE_INFINITY }],
    ['show errors ;', { errorsOnly: true, offset: 0, limit: Number.POSITIVE_INFINITY }],
    ['SHOW WARNINGS LIMIT 3', { errorsOnly: false, offset: 0, limit: 3 }],
    ['SHOW ERRORS LIMIT 2, 5', { errorsOnly: true, offset: 2, limit: 5 }],
    ['SHOW WARNINGS LIMIT 5 OFFSET 2', { errorsOnly: false, offset: 2, limit: 5 }],
  ])('%s', (sql, range) => {
    expect(ask(sql)).toEqual({ kind: 'list', ...range, rest: null })
  })

  test('what the text has behind it is for the server', () => {
    const question = ask('SHOW WARNINGS LIMIT 1; UPDATE t SET n = 5; SELECT 1')
    expect(question?.kind === 'list' && question.rest?.toString()).toBe('UPDATE t SET n = 5; SELECT 1')
  })

  test.each(['SHOW WARNINGS LIMIT ?', 'GET DIAGNOSTICS @n = NUMBER', ''])('%s is for the server', (sql) => {
    expect(ask(sql)).toBeNull()
  })
})
