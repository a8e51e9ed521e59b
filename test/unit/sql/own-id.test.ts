// A session's own number in a text: every place that asks gets it, and no column changes its name.

import { describe, expect, test } from 'vitest'
import { createClassifier } from '../../../src/sql/classifier.ts'
import { MARIADB, MYSQL } from './support.ts'

/** `#` stands for our number as an expression, `@#` for the variable's. */
function reworded(sql: string, context = MYSQL): string | null {
  const changed = createClassifier({ digestsMax: 10 }).withOwnId(Buffer.from(sql), context, 7)
  return (
    changed
      ?.toString()
      .replaceAll('IF(1,CAST(7 AS UNSIGNED),@@pseudo_thread_id)', '@#')
      .replaceAll('CAST(7 AS UNSIGNED)', '#') ?? null
  )
}

describe('a column keeps its name', () => {
  test.each([
    ['select connection_id()', 'select # AS `connection_id()`'],
    ['SELECT CONNECTION_ID( ) ;', 'SELECT # AS `CONNECTION_ID( )` ;'],
    ['SELECT  CONNECTION_ID()\n+ 1 FROM t', 'SELECT  #\n+ 1 AS `CONNECTION_ID()\n+ 1` FROM t'],
    ['SELECT 1, CONNECTION_ID(), v FROM t', 'SELECT 1, # AS `CONNECTION_ID()`, v FROM t'],
    ['SELECT DISTINCT SQL_NO_CACHE `connection_id`() x', 'SELECT DISTINCT SQL_NO_CACHE # x'],
    ['SELECT CONNECTION_ID() AS id, CONNECTION_ID() "me"', 'SELECT # AS id, # "me"'],
    ['SELECT CONNECTION_ID() AS `null`, CONNECTION_ID() AS NULL', 'SELECT # AS `null`, # AS NULL'],
    ['SELECT CONNECTION_ID() IS NULL', 'SELECT # IS NULL AS `CONNECTION_ID() IS NULL`'],
    ['SELECT CONNECTION_ID() IS NULL x', 'SELECT # IS NULL x'],
    ['SELECT CONNECTION_ID() + v', 'SELECT # + v AS `CONNECTION_ID() + v`'],
    ['SELECT CONNECTION_ID() = t.v', 'SELECT # = t.v AS `CONNECTION_ID() = t.v`'],
    ['SELECT CONNECTION_ID() DIV v LIMIT 1', 'SELECT # DIV v AS `CONNECTION_ID() DIV v` LIMIT 1'],
    ['SELECT CONNECTION_ID() rank', 'SELECT # rank'],
    [
      'SELECT CASE CONNECTION_ID() WHEN 1 THEN v END FROM t',
      'SELECT CASE # WHEN 1 THEN v END AS `CASE CONNECTION_ID() WHEN 1 THEN v END` FROM t',
    ],
    ['SELECT CASE CONNECTION_ID() WHEN 1 THEN v END end', 'SELECT CASE # WHEN 1 THEN v END end'],
    ['SELECT {fn CONNECTION_ID()} x', 'SELECT {fn #} x'],
    ["SELECT CONCAT('a', CONNECTION_ID())", "SELECT CONCAT('a', #) AS `CONCAT('a', CONNECTION_ID())`"],
    [
      'SELECT `a``b`(CONNECTION_ID())',
      'SELECT `a``b`(#) AS `\\`\\`a\\`\\`\\`\\`b\\`\\`(CONNECTION_ID())`'.replaceAll('\\`', '`'),
    ],
    ['SELECT (SELECT CONNECTION_ID())', 'SELECT (SELECT # AS `CONNECTION_ID()`) AS `(SELECT CONNECTION_ID())`'],
    [
      'SELECT CONNECTION_ID() UNION SELECT CONNECTION_ID()',
      'SELECT # AS `CONNECTION_ID()` UNION SELECT # AS `CONNECTION_ID()`',
    ],
    ['SELECT * FROM (SELECT CONNECTION_ID()) d', 'SELECT * FROM (SELECT # AS `CONNECTION_ID()`) d'],
    ['WITH c AS (SELECT CONNECTION_ID() i) SELECT i FROM c', 'WITH c AS (SELECT # i) SELECT i FROM c'],
    ['SELECT CONNECTION_ID() INTO @x', 'SELECT # AS `CONNECTION_ID()` INTO @x'],
    ['SELECT @@pseudo_thread_id', 'SELECT @# AS `@@pseudo_thread_id`'],
    ['SELECT @@session . pseudo_thread_id x', 'SELECT @# x'],
    ['SELECT CONNECTION_ID() /*!40000 + 1 */', 'SELECT # /*!40000 + 1 */'],
    ["SELECT CONNECTION_ID() + 'é'", "SELECT # + 'é'"],
  ])('%s', (sql, expected) => {
    expect(reworded(sql)).toBe(expected)
  })

  test('in what MariaDB returns of a write', () => {
    const sql = 'INSERT INTO t VALUES (CONNECTION_ID()) RETURNING CONNECTION_ID(), id'
    expect(reworded(sql, MARIADB)).toBe('INSERT INTO t VALUES (#) RETURNING # AS `CONNECTION_ID()`, id')
  })
})

describe('where there is no column', () => {
  test.each([
    ['INSERT INTO t (a, b) VALUES (CONNECTION_ID(), 1)', 'INSERT INTO t (a, b) VALUES (#, 1)'],
    ['UPDATE t SET a = CONNECTION_ID() WHERE b = CONNECTION_ID()', 'UPDATE t SET a = # WHERE b = #'],
    ['SELECT a FROM t WHERE b = CONNECTION_ID() ORDER BY CONNECTION_ID()', 'SELECT a FROM t WHERE b = # ORDER BY #'],
    ['SET @x = CONNECTION_ID()', 'SET @x = #'],
    ['DO CONNECTION_ID()', 'DO #'],
    ['KILL QUERY CONNECTION_ID()', 'KILL QUERY #'],
    ['CALL p(CONNECTION_ID())', 'CALL p(#)'],
    ['SELECT 1; DELETE FROM t WHERE a = CONNECTION_ID()', 'SELECT 1; DELETE FROM t WHERE a = #'],
    ['CREATE TABLE t AS SELECT CONNECTION_ID()', 'CREATE TABLE t AS SELECT # AS `CONNECTION_ID()`'],
    ["PREPARE s FROM 'SELECT CONNECTION_ID(), ''a'''", "PREPARE s FROM 'SELECT # AS `CONNECTION_ID()`, ''a'''"],
    ["EXECUTE IMMEDIATE 'DO CONNECTION_ID()'", "EXECUTE IMMEDIATE 'DO #'"],
  ])('%s', (sql, expected) => {
    expect(reworded(sql)).toBe(expected)
  })
})

describe('left alone', () => {
  test.each([
    ['what only looks like it', "SELECT 'CONNECTION_ID()', connection_id, s.connection_id() /* CONNECTION_ID() */"],
    ['what is stored for later: a view', 'CREATE VIEW v AS SELECT CONNECTION_ID()'],
    ['what is stored for later: a routine', 'CREATE FUNCTION f() RETURNS INT RETURN CONNECTION_ID()'],
    ['what is stored for later: a default', 'CREATE TABLE t (a INT DEFAULT (CONNECTION_ID()))'],
    ['what is stored for later: a change', 'ALTER TABLE t ALTER a SET DEFAULT (CONNECTION_ID())'],
    ['a variable that is set', 'SET @@pseudo_thread_id = 5'],
    ["the server's own numbers", 'SELECT * FROM information_schema.processlist WHERE id = CONNECTION_ID()'],
    ["the server's own threads", 'SELECT * FROM performance_schema.threads WHERE processlist_id = CONNECTION_ID()'],
    ["the server's own number for a lock's owner", "SELECT IS_USED_LOCK('l') = CONNECTION_ID()"],
    ['a text that cannot be read', "SELECT CONNECTION_ID(), 'open"],
  ])('%s', (_what, sql) => {
    expect(reworded(sql)).toBeNull()
  })
})
