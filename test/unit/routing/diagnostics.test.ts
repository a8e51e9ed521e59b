// What a session knows of its last statement without asking a connection.

import { expect, test } from 'vitest'
import type { Reply } from '../../../src/protocol/protocol.ts'
import { Diagnostics } from '../../../src/routing/diagnostics.ts'
import { reply } from '../../support/values.ts'
import { classifyMariadb, classifyMysql } from '../sql/support.ts'

function after(...steps: readonly (readonly [sql: string, reply?: Partial<Reply>])[]): Diagnostics {
  const diagnostics = new Diagnostics(false)
  for (const [sql, change] of steps) diagnostics.observe(classifyMysql(sql), reply(change))
  return diagnostics
}

const two = ['SELECT * FROM t', { rows: 2 }] as const

test.each([
  'START TRANSACTION WITH CONSISTENT SNAPSHOT',
  'LOCK TABLES t READ',
  'CREATE TABLE u (a INT)',
  'CREATE VIEW w AS SELECT 1',
  'DROP TABLE u',
])('FOUND_ROWS() stays known over %s', (sql) => expect(after(two, [sql]).foundRows).toBe(2))

test.each([
  ['SELECT a FROM t ORDER BY a LIMIT 10, 2', 2, 12],
  ['SELECT a FROM t LIMIT 2 OFFSET 10', 1, 11],
  ['SELECT a FROM t LIMIT 2', 2, 2],
  ['SELECT a FROM t LIMIT 10, 2', 0, null],
  ['SELECT a FROM t LIMIT ?, ?', 2, null],
  ['SELECT a FROM t LIMIT 1, 2 -- LIMIT 5, 2', 2, null],
  ['SELECT a FROM t UNION SELECT a FROM u LIMIT 10, 2', 2, null],
  ['SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 10, 2', 2, null],
  ['SELECT a FROM (SELECT a FROM t LIMIT 10, 2) AS u', 2, null],
])('rows before an offset are found: %s, of which %i are answered', (sql, rows, expected) => {
  const diagnostics = new Diagnostics(false)
  diagnostics.observe(classifyMysql(sql), reply({ rows }), Buffer.from(sql))
  expect(diagnostics.foundRows).toBe(expected)
})

test.each([
  'INSERT INTO t SELECT 1',
  'INSERT INTO t TABLE u',
  'CREATE TABLE u SELECT 1',
  'CREATE TABLE u TABLE t',
  'DO (SELECT 1)',
  'CALL p()',
])('only the connection knows FOUND_ROWS() after %s', (sql) => expect(after(two, [sql]).foundRows).toBeNull())

test.each([
  ['only one of them warned', true],
  ['none of them warned', false],
])('of several statements those are left that the last does not clear: %s', (_what, warned) => {
  const diagnostics = new Diagnostics(true)
  diagnostics.observe(classifyMariadb("SELECT CAST('x' AS SIGNED); SELECT 1"), reply({ rows: 1, warned }))
  expect(diagnostics.some).toBe(warned)
})

test.each([
  ["PREPARE p FROM 'INSERT INTO t VALUES (1)'", 2],
  ["PREPARE p FROM 'SET time_zone = ?'", 2],
  ["PREPARE p FROM 'INSERT INTO t SELECT 1'", null],
  ["PREPARE p FROM 'INSERT INTO t VALUES (f())'", null],
  ["PREPARE p FROM 'UPDATE t SET a = 1'", null],
  ["PREPARE q FROM 'INSERT INTO t VALUES (1)'", null],
  ["PREPARE p FROM 'SET @a = 1'; DEALLOCATE PREPARE p", null],
])('FOUND_ROWS() after EXECUTE p, where %s', (prepare, expected) => {
  expect(after(two, ...prepare.split('; ').map((sql) => [sql] as const), ['EXECUTE P']).foundRows).toBe(expected)
})

test.each([
  ["PREPARE p FROM 'SELECT 1'", true],
  ['DEALLOCATE PREPARE p', true],
  ['SHOW CREATE TABLE t', false],
  ["XA END 'a'", true],
  ['UNLOCK TABLES', true],
  ['LOCK TABLES t READ', false],
  ['SELECT 1 FROM DUAL', true],
  ['SELECT EXTRACT(YEAR FROM NOW())', true],
  ["SELECT TRIM(LEADING 'x' FROM 'xy')", true],
  ['(SELECT 1) UNION (SELECT 2)', true],
  ['SELECT * FROM (SELECT 1) AS t', false],
  ['WITH x AS (SELECT 1 AS a) SELECT * FROM x', false],
])('conditions are kept over %s: %s', (sql, kept) => {
  const diagnostics = new Diagnostics(true)
  diagnostics.observe(classifyMariadb('SELECT * FROM nosuch'), reply({ outcome: 'error' }))
  diagnostics.observe(classifyMariadb(sql), reply({ rows: -1 }))
  expect(diagnostics.some).toBe(kept)
})

test('a command may leave the conditions as they are', () => {
  const warned = ["SELECT CAST('x' AS SIGNED)", { rows: 1, warnings: 1 }] as const
  expect(after(warned, ['USE other', { keepsConditions: true }]).some).toBe(true)
  expect(after(warned, ['USE other']).some).toBe(false)
})

test.each([
  ["PREPARE p FROM 'SELECT * FROM t'", 'p', false],
  ["PREPARE P FROM 'UPDATE t SET a = 1'", 'p', false],
  ["PREPARE p FROM 'SELECT 1'", 'P', true],
  ["PREPARE p FROM 'SELECT * FROM t'; PREPARE p FROM 'SELECT 1'", 'p', true],
  ["PREPARE p FROM 'SELECT * FROM t'; DEALLOCATE PREPARE p", 'p', true],
])('after %s conditions stay over EXECUTE on MariaDB only where no table is read', (prepare, name, stays) => {
  const diagnostics = new Diagnostics(true)
  // Behind what is prepared: to prepare a text that has a table forgets conditions, too.
  for (const sql of [...prepare.split('; '), "SELECT CAST('x' AS SIGNED)", `EXECUTE ${name}`]) {
    diagnostics.observe(classifyMariadb(sql), reply({ warnings: sql.includes('CAST') ? 1 : 0, rows: 1 }))
  }
  expect(diagnostics.some).toBe(stays)
})
