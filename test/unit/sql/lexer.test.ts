// The lexer's promises: tokens as the server sees them, a digest that does not hang on literals, no exception, linear time.

import { describe, expect, test } from 'vitest'
import { familyOf } from '../../../src/sql/charsets.ts'
import type { SqlContext } from '../../../src/sql/dialects.ts'
import { scan } from '../../../src/sql/lexer.ts'
import { Tokens } from '../../../src/sql/tokens.ts'
import { classifyMariadb, classifyMysql, MARIADB, MYSQL } from './support.ts'

const KINDS = ['', 'w', 'q', 's', 'n', '?', '@', '@@', 'h', 'o', ':=']

function scanned(sql: string | Buffer, context: SqlContext): { readonly tokens: Tokens; readonly shown: string } {
  const bytes = Buffer.from(sql as string)
  const tokens = new Tokens()
  const mariadb = context.dialect.engine === 'mariadb'
  scan(bytes, { ...context, mariadb, family: familyOf(context.charset), secret: 1 }, tokens)
  const shown = Array.from(
    { length: tokens.count },
    (_, at) => `${KINDS[tokens.kinds[at]!]}<${bytes.toString('latin1', tokens.starts[at], tokens.ends[at])}>`,
  )
  return { tokens, shown: shown.join(' ') }
}

test.each([
  ['select 1', 'w<select> n<1>'],
  ['\'a\'\'b\' "c""d" `e``f`', 's<\'a\'\'b\'> s<"c""d"> q<`e``f`>'],
  ["'a\\'b' 'c\\\\'", "s<'a\\'b'> s<'c\\\\'>"],
  ["N'a' n'b' x'41' B'01' _utf8'c'", "s<N'a'> s<n'b'> s<x'41'> s<B'01'> w<_utf8> s<'c'>"],
  ['1 1.5 .5 5. 1e3 1.5e-3 1E+5 0x1F 0b01', 'n<1> n<1.5> n<.5> n<5.> n<1e3> n<1.5e-3> n<1E+5> n<0x1F> n<0b01>'],
  ['1a 1e 0x 0xg 0b12 1_2 0X1', 'w<1a> w<1e> w<0x> w<0xg> w<0b12> w<1_2> w<0X1>'],
  ['1e+x', 'w<1e> o<+> w<x>'],
  ['t.5 `t`.5 t .5 t.1a t.select', 'w<t> o<.> w<5> q<`t`> n<.5> w<t> n<.5> w<t> o<.> w<1a> w<t> o<.> w<select>'],
  [
    '@a @`b c` @\'d\' @"e" @f.g @ h @@i @@global.j',
    '@<@a> @<@`b c`> @<@\'d\'> @<@"e"> @<@f.g> @<@> w<h> @@<@@> w<i> @@<@@> w<global> o<.> w<j>',
  ],
  ['a:=1 a: =1', 'w<a> :=<:=> n<1> w<a> o<:> o<=> n<1>'],
  ['1 --1 -- c\n2 --\t3\n4 --', 'n<1> o<-> o<-> n<1> n<2> n<4>'],
  ['1 # c\n2', 'n<1> n<2>'],
  ['1 /* c */ 2 /**/ 3 /*/ 4 */ 5', 'n<1> n<2> n<3> n<5>'],
  ['/*! 1 */ /*!50000 2*/ /*!500003*/ /*!99999 4 /* 5 */ 6 */ 7', 'n<1> n<2> n<3> n<7>'],
  ['/*!090000 1 */ /*!0900001 */ /*!100000 2 */', 'n<1> n<01>'],
  ['/*!50000 1 /* c */ 2 */ 3', 'n<1> n<2> n<3>'],
  ['/*!50000 1 -- */ 2\n */ 3', 'n<1> n<3>'],
  ['select /*+ NO_ICP(t) */ 1 /*+ c */', 'w<select> h</*+ NO_ICP(t) */> n<1>'],
  ['a\x0bb\x0cc', 'w<a> w<b> w<c>'],
  ['größe', 'w<gr\xc3\xb6\xc3\x9fe>'],
  ["{d 'x'}", "o<{> w<d> s<'x'> o<}>"],
])('MySQL reads %s', (sql, shown) => {
  expect(scanned(sql, MYSQL).shown).toBe(shown)
})

test.each([
  ['/*!50699 1*/ /*!50700 2*/ /*!99999 3*/ /*!100100 4*/ /*!101200 5*/', 'n<1> n<4>'],
  ['/*M! 1*/ /*M!50700 2*/ /*M!101100 3*/ /*M!110000 4*/ /*m! 5*/', 'n<1> n<2> n<3>'],
  ['/*M!999999\\- enable the sandbox mode */ 1', 'n<1>'],
])('MariaDB reads %s', (sql, shown) => {
  expect(scanned(sql, MARIADB).shown).toBe(shown)
})

test.each([
  [{ ansiQuotes: true }, '"a""b" \'c\'', 'q<"a""b"> s<\'c\'>'],
  [{ noBackslashEscapes: true }, "'a\\' 'b'", "s<'a\\'> s<'b'>"],
  [{ ansiQuotes: true }, '@"a b"', '@<@"a b">'],
])('with %j: %s', (modes, sql, shown) => {
  expect(scanned(sql, { ...MYSQL, ...modes }).shown).toBe(shown)
})

test.each([
  "'open",
  '`open',
  '/* open',
  '/*!50000 open',
  '/*!99999 open /* nested */',
  'a \x00',
  '1.e(1)',
  '$a',
  '\\N',
  '`\xe2`',
])('is in doubt about %j', (sql) => {
  expect(scanned(Buffer.from(sql, 'latin1'), MYSQL).tokens.doubt).not.toBeNull()
})

describe('the digest', () => {
  const same: readonly (readonly [string, ...string[]])[] = [
    [
      'SELECT 1',
      'select 2',
      "SELECT 'x'",
      'SELECT "x"',
      'SELECT ?',
      'SELECT 0x1F',
      'SELECT -1',
      'SELECT +1.5e3',
      "SELECT 'a' 'b'",
    ],
    ['SELECT 1', 'SELECT 1;', ' ; SELECT/* c */1 -- c', '/* a */ SELECT 1', '# c\nSELECT\n\t1'],
    [
      'SELECT a FROM t WHERE b IN (1)',
      'SELECT a FROM t WHERE b IN (1, 2, 3)',
      'select a from t where b in (?,?)',
      'SELECT a FROM t WHERE b IN (-1, NULL)',
    ],
    [
      'INSERT INTO t VALUES (1, 2)',
      "INSERT INTO t VALUES (1, 'x'), (3, 4)",
      'INSERT INTO t VALUES (-1, NULL), (DEFAULT, 4), (5, 6)',
    ],
    ['SELECT a FROM t WHERE (a, b) IN ((1, 2))', 'SELECT a FROM t WHERE (a, b) IN ((1, 2), (3, 4))'],
    ['SELECT COUNT(*) FROM t', 'select count(*) from t'],
    ['SELECT a FROM t LIMIT 5', 'SELECT a FROM t LIMIT 500'],
    ['SET a = 1', 'SET a = -2'],
    ['SELECT a-1', 'SELECT a - 2'],
  ]
  test.each(same)('is one for %j and its kin', (first, ...others) => {
    const { digest, digestText } = classifyMysql(first)
    for (const sql of others) {
      expect([sql, classifyMysql(sql).digest]).toEqual([sql, digest])
      expect(classifyMysql(sql).digestText.toLowerCase()).toBe(digestText.toLowerCase())
    }
  })

  test.each([
    ['SELECT a', 'SELECT b'],
    ['SELECT a', 'SELECT A'],
    ['SELECT a', 'SELECT `a`'],
    ['SELECT a - 1', 'SELECT a'],
    ['SELECT 1', 'SELECT 1; SELECT 1'],
    ['SELECT 1; (SELECT 1)', 'SELECT 1 (SELECT 1)'],
    ['SELECT f(1)', 'SELECT `f`(1)'],
    ['SELECT count(a)', 'SELECT count (a)'],
    ['SELECT rank() OVER ()', 'SELECT rank () OVER ()'],
    ['SELECT a FROM t', 'SELECT /*+ NO_ICP(t) */ a FROM t'],
    ['SELECT a FROM t', 'SELECT a FROM t /*! LIMIT 1 */'],
    ['SELECT @a', 'SELECT @b'],
    ['SELECT a, b', 'SELECT a b'],
    ['SELECT ab', 'SELECT a b'],
    ['SELECT LAST_INSERT_ID()', 'SELECT LAST_INSERT_ID(1)'],
    ['SELECT a FROM Status', 'SELECT a FROM STATUS'],
    ['SELECT (1, a)', 'SELECT (1)'],
    ['SELECT ()', 'SELECT (1)'],
  ])('tells %s from %s', (one, other) => {
    expect(classifyMysql(one).digest).not.toBe(classifyMysql(other).digest)
  })

  test('is 16 hexadecimal digits, and the same in every process', () => {
    expect(classifyMysql('SELECT * FROM t WHERE id = 5').digest).toBe('995ee28499568e04')
    expect(classifyMariadb('SELECT * FROM t WHERE id = 5').digest).toBe(
      classifyMysql('SELECT * FROM t WHERE id = 6').digest,
    )
  })

  test.each([
    [
      "SELECT a.b, count(*) FROM `t` WHERE x IN (1,2) AND y = -5 AND z = 'q' 'r'",
      'SELECT a.b, COUNT(*) FROM `t` WHERE x IN (?) AND y = ? AND z = ?',
    ],
    [
      'insert into t (a,b) values (1,2),(3,4) on duplicate key update a=1',
      'INSERT INTO t(a, b) VALUES (?) ON DUPLICATE KEY UPDATE a = ?',
    ],
    ['SELECT @@session.a, @b := 1; SELECT f(x, 1)', 'SELECT @@session.a, @b := ?; SELECT f(x, ?)'],
    [
      'select id, t.Port from t where id = 7 and Status in (1, 2)',
      'SELECT id, t.Port FROM t WHERE id = ? AND status IN (?)',
    ],
    ['/* secret */ SELECT /*+ NO_ICP(t) */ 1 -- secret', 'SELECT /*+ NO_ICP(t) */ ?'],
  ])('shows %s as %s', (sql, text) => {
    expect(classifyMysql(sql).digestText).toBe(text)
  })

  test('is shown in at most 1 kB', () => {
    expect(classifyMysql(`SELECT ${'a, '.repeat(5000)}b`).digestText.length).toBe(1024)
  })
})

describe('a bulk INSERT', () => {
  const bulk = (rows: number, tail = '', value = "'some text of a customer'") =>
    `INSERT INTO t (a, b) VALUES ${Array.from({ length: rows }, (_, at) => `(${at}, ${value})`).join(', ')}${tail}`

  test('has the digest of one row, whatever its length', () => {
    const { digest } = classifyMysql(bulk(1))
    for (const rows of [2, 50, 100, 1000]) expect(classifyMysql(bulk(rows)).digest).toBe(digest)
  })

  test('is read no further than its head where the rest is rows', () => {
    const sql = bulk(1000)
    const { tokens } = scanned(sql, MYSQL)
    expect(tokens.headOnly).toBe(true)
    expect(tokens.ends[tokens.count - 1]).toBeLessThan(2200)
  })

  test.each([
    ['; DELETE FROM t', { statements: 2 }],
    [', (1, LAST_INSERT_ID())', { facts: ['last-insert-id'] }],
    [', (1, last_insert_id ())', { facts: ['last-insert-id'] }],
    [', (1, ROW_COUNT()), (1, FOUND_ROWS())', { facts: ['row-count', 'found-rows'] }],
    [', (1, CONNECTION_ID())', { facts: ['connection-id'] }],
    [', (1, @a)', { facts: ['user-variable'] }],
    [', (1,@a)', { facts: ['user-variable'] }],
    [', (1, 1 AND@x:=1)', { assigned: ['x'] }],
    [' ON DUPLICATE KEY UPDATE a = (@x := 1)', { assigned: ['x'] }],
    [", (1, GET_LOCK('x', 1))", { pins: [{ change: 'start', reason: 'advisory-lock', name: 'x' }] }],
    ['; SET @a = 1', { statements: 2, assigns: [{ scope: 'user', name: 'a', value: '1' }] }],
  ])('is read to its end for the sake of %s', (tail, expected) => {
    expect(classifyMysql(bulk(500, tail))).toMatchObject({ access: 'write', ...expected })
  })

  test.each(["'a;b'", "'me@example.com'", "'last_insert_id() @a'", "'it''s; \\' x'"])(
    'is one statement whatever its strings say: %s',
    (value) => {
      expect(classifyMysql(bulk(500, '', value))).toMatchObject({ statements: 1, facts: [], pins: [], access: 'write' })
    },
  )

  test('is not cut before its rows begin', () => {
    const columns = Array.from({ length: 500 }, (_, at) => `column_${at}`).join(', ')
    expect(classifyMysql(`INSERT INTO t (${columns}) SELECT @a`)).toMatchObject({ facts: ['user-variable'] })
  })
})

describe('a giant statement', () => {
  test('is read to its end, and its memory let go', () => {
    const list = '1,'.repeat(300_000)
    expect(classifyMysql(`SELECT a FROM t WHERE b IN (${list}1)`).access).toBe('read')
    expect(classifyMysql(`SELECT a FROM t WHERE b IN (${list}f(1))`).access).toBe('write')
    expect(classifyMysql(`SELECT a FROM t WHERE b IN (${list}1) FOR UPDATE`).access).toBe('write')
  })

  test('beyond all measure is not read on, and is a write', () => {
    const { access, because } = classifyMysql(`SELECT ${'1,'.repeat(2_200_000)}1`)
    expect(access).toBe('write')
    expect(because).toMatch(/too long/)
  }, 60_000)
})

describe('time', () => {
  // Twice the bytes may cost some more than twice the time, but never four times.
  test.each([
    ['parentheses', (n: number) => `SELECT ${'('.repeat(n)}1${')'.repeat(n)}`],
    ['calls', (n: number) => `SELECT ${'f('.repeat(n)}1${')'.repeat(n)}`],
    ['tables of JSON', (n: number) => `SELECT ${'json_table('.repeat(n)}1${')'.repeat(n)}`],
    ['common table expressions', (n: number) => `WITH ${'a(b) AS (SELECT 1), '.repeat(n)} c AS (SELECT 1) SELECT 1`],
    ['open common table expressions', (n: number) => `WITH ${'a(b) AS ('.repeat(n)}`],
    ['comments', (n: number) => `SELECT ${'/* x */'.repeat(n)} 1`],
    ['open comments', (n: number) => `SELECT ${'/*!99999 /* x'.repeat(n)}`],
    ['quotes', (n: number) => `SELECT ${"'a' ".repeat(n)}`],
    ['dollars', (n: number) => `SELECT ${'$a$ '.repeat(n)}`],
    ['different dollars', (n: number) => `SELECT ${Array.from({ length: n }, (_, at) => `$a${at}$`).join(' ')}`],
    ['semicolons', (n: number) => 'SELECT 1;'.repeat(n)],
    ['begins', (n: number) => `BEGIN NOT ATOMIC ${'BEGIN '.repeat(n)}`],
    ['routines', (n: number) => 'CREATE PROCEDURE p() BEGIN SELECT 1; END;'.repeat(n)],
    ['creates', (n: number) => `CREATE ${'a '.repeat(n)}`],
    ['SET STATEMENT', (n: number) => `${'SET STATEMENT a = 1 FOR '.repeat(n)} SELECT 1`],
    ['assignments', (n: number) => `SET ${'a = (1), '.repeat(n)} b = 1`],
    ['EXPLAIN', (n: number) => `${'EXPLAIN '.repeat(n)} SELECT 1`],
    ['literals in literals', (n: number) => `EXECUTE IMMEDIATE '${"EXECUTE IMMEDIATE ''a'' ".repeat(n)}'`],
    ['rows', (n: number) => `INSERT INTO t VALUES ${"('@x_last_;'), ".repeat(n)} (1)`],
    ['columns', (n: number) => `SELECT ${'a.b.c, '.repeat(n)} d FROM ${'t, '.repeat(n)} u`],
    ['FROM', (n: number) => `SELECT ${'(SELECT 1 FROM '.repeat(n)} t ${')'.repeat(n)}`],
    ['locks', (n: number) => `SELECT ${"RELEASE_LOCK('a'), ".repeat(n)} 1`],
  ])('is linear in the number of %s', { timeout: 60_000 }, (_, make) => {
    for (const classify of [classifyMysql, classifyMariadb]) {
      const took = (n: number) => {
        const sql = make(n)
        let best = Number.POSITIVE_INFINITY
        for (let round = 0; round < 4; round++) {
          // Processor time: others may run on this machine as well.
          const before = process.cpuUsage()
          classify(sql)
          const { user, system } = process.cpuUsage(before)
          best = Math.min(best, (user + system) / 1000)
        }
        return best
      }
      took(500)
      const small = took(2000)
      expect(took(16_000)).toBeLessThan(Math.max(small, 2) * 8 * 4)
    }
  })
})
