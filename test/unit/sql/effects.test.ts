// What statements leave behind in a session: pins, facts, assignments, transactions; and what the answer says besides.

import { describe, expect, test } from 'vitest'
import type { Classification, PinChange } from '../../../src/sql/classification.ts'
import { createClassifier } from '../../../src/sql/classifier.ts'
import { classifyIn, classifyMariadb, classifyMysql, MARIADB, MYSQL } from './support.ts'

/** `+reason name` for a start, `-reason name` for an end; `*` for all names or none. */
function shown({ pins, assigned }: Classification): string {
  const one = ({ change, reason, name, renamed, parameter, perhaps }: PinChange) => {
    const named = name ?? (parameter === undefined ? '*' : `?${parameter}`)
    const sign = change === 'start' ? '+' : perhaps === true ? '-?' : '-'
    return `${sign}${reason} ${named}${renamed === undefined ? '' : ` if ${renamed}`}`
  }
  return [...pins.map(one), ...assigned.map((name) => `@${name}`)].join(', ')
}

describe('pins', () => {
  test.each([
    ['SELECT 1', ''],
    ['CREATE TEMPORARY TABLE t (a INT)', '+temporary-table t'],
    ['CREATE TEMPORARY TABLE IF NOT EXISTS `d b`.`t``x` SELECT 1', '+temporary-table d b.t`x'],
    ['/*!50000 CREATE TEMPORARY */ TABLE t (a INT)', '+temporary-table t'],
    ['CREATE TEMPORARY TABLE `d.b`.`t.x` SELECT 1', '+temporary-table d\u2024b.t\u2024x'],
    ['USE d; CREATE TEMPORARY TABLE t (a INT)', '+temporary-table d.t'],
    [
      'CREATE TEMPORARY TABLE t (a INT); USE `d.b`; DROP TABLE t, c.t',
      '+temporary-table t, -temporary-table d\u2024b.t, -temporary-table c.t',
    ],
    ['USE d; ALTER TABLE t RENAME u', '+temporary-table d.u if d.t, -temporary-table d.t'],
    ['USE d; USE e; SELECT 1; DROP TABLE t', '-temporary-table e.t'],
    ['CREATE TABLE t (a INT)', ''],
    ['DROP TABLE t', '-temporary-table t'],
    ['DROP TEMPORARY TABLE IF EXISTS a, d.b, `c`', '-temporary-table a, -temporary-table d.b, -temporary-table c'],
    ['DROP VIEW v', ''],
    ['ALTER TABLE a ADD b INT, RENAME TO c', '+temporary-table c if a, -temporary-table a'],
    ['ALTER TABLE d.a RENAME = `c`', '+temporary-table c if d.a, -temporary-table d.a'],
    ['ALTER TABLE a RENAME c', '+temporary-table c if a, -temporary-table a'],
    ['ALTER TABLE a RENAME COLUMN b TO c', ''],
    ['ALTER TABLE a RENAME INDEX b TO c', ''],
    ['ALTER TABLE a ADD b INT', ''],
    [
      'RENAME TABLE a TO b, d.c TO d.e',
      '+temporary-table b if a, -temporary-table a, +temporary-table d.e if d.c, -temporary-table d.c',
    ],
    ['LOCK TABLES a READ, b WRITE', '+table-lock tables'],
    ['UNLOCK TABLES', '-table-lock tables, -table-lock global read lock, -table-lock backup'],
    ['FLUSH TABLES', ''],
    ['FLUSH TABLES WITH READ LOCK', '+table-lock global read lock'],
    ['FLUSH LOCAL TABLES a, b WITH READ LOCK', '+table-lock tables'],
    ['FLUSH TABLES a FOR EXPORT', '+table-lock tables'],
    ['LOCK INSTANCE FOR BACKUP', '+table-lock instance'],
    ['UNLOCK INSTANCE', '-table-lock instance'],
    ['BEGIN', '-table-lock tables'],
    ["SELECT GET_LOCK('Job', 10)", '+advisory-lock Job'],
    ["SELECT GET_LOCK(CONCAT('a', 'b'), 10)", '+advisory-lock *'],
    ['SELECT GET_LOCK(?, 10)', '+advisory-lock ?0'],
    ['SELECT ?, GET_LOCK(?, ?), GET_LOCK(?, 1)', '+advisory-lock ?1, +advisory-lock ?3'],
    ['SELECT GET_LOCK(CONCAT(?), 10)', '+advisory-lock *'],
    ["SELECT GET_LOCK('é', 10)", '+advisory-lock *'],
    ["SELECT GET_LOCK('it''s', 1), GET_LOCK('b', 1)", "+advisory-lock it's, +advisory-lock b"],
    ["DO GET_LOCK('a', 1)", '+advisory-lock a'],
    ["INSERT INTO t SELECT GET_LOCK('a', 1)", '+advisory-lock a'],
    ["SELECT RELEASE_LOCK('Job')", '-advisory-lock Job'],
    ["SELECT RELEASE_LOCK('a') AS released FROM dual", '-advisory-lock a'],
    ["DO RELEASE_LOCK('a')", '-advisory-lock a'],
    // Perhaps never called, so nothing that is certain.
    ["SELECT IF(0, RELEASE_LOCK('a'), 1)", '-?advisory-lock *'],
    ["SELECT RELEASE_LOCK('a') FROM t WHERE 0", '-?advisory-lock *'],
    ['SELECT RELEASE_LOCK(@a)', '-?advisory-lock *'],
    ["SELECT RELEASE_LOCK(@a), RELEASE_LOCK('b')", '-?advisory-lock *'],
    ["SELECT RELEASE_LOCK('a') LIMIT 0", '-?advisory-lock *'],
    ['SELECT RELEASE_ALL_LOCKS()', '-advisory-lock *'],
    ['SELECT 1 WHERE RELEASE_ALL_LOCKS()', '-?advisory-lock *'],
    ['HANDLER t OPEN', '+handler t'],
    ['HANDLER db.t OPEN', '+handler t'],
    ['HANDLER t OPEN AS h', '+handler h'],
    ['HANDLER t OPEN h', '+handler h'],
    ['HANDLER h READ NEXT', ''],
    ['HANDLER `h` CLOSE', '-handler h'],
    ["PREPARE S FROM 'SELECT 1'", '+sql-prepared s'],
    ["PREPARE s FROM 'CREATE TEMPORARY TABLE t (a INT)'", '+sql-prepared s, +temporary-table t'],
    ["PREPARE s FROM 'SELECT GET_LOCK(''x'', 1)'", '+sql-prepared s, +advisory-lock x'],
    ["PREPARE s FROM 'SELECT \\'x\\''", '+sql-prepared s, +unknown-state *'],
    ['PREPARE s FROM @sql', '+sql-prepared s, +unknown-state *'],
    ['EXECUTE s', ''],
    ['DEALLOCATE PREPARE `S`', '-sql-prepared s'],
    ['DROP PREPARE s', '-sql-prepared s'],
    ["XA START 'a','b',1", "+xa 'a','b',1"],
    ["XA BEGIN 'x' JOIN", "+xa 'x'"],
    ["XA END 'x'", ''],
    ["XA PREPARE 'x'", ''],
    ["XA COMMIT 'x' ONE PHASE", "-xa 'x'"],
    ["XA ROLLBACK 'x'", "-xa 'x'"],
    ['SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1', '+found-rows *'],
    ['SET @A = 1, b = 2, @`c d` := 3', '@a, @c d'],
    ['SELECT @a := 1, @b:=2', '@a, @b'],
    ['SELECT 1, 2 INTO @a, @b', '@a, @b'],
    ['SET @a = (@b := 1)', '@a, @b'],
    ['UPDATE t SET a = (@a := a + 1)', '@a'],
    ["LOAD DATA INFILE 'x' INTO TABLE t (a, @b) SET c = @b", '@b'],
    ['CALL p(1, @out)', '@out'],
    ['GET DIAGNOSTICS @n = NUMBER, @r = ROW_COUNT', '@n, @r'],
    ['SET ROLE r', '+unknown-state role'],
    ['SET unknown', '+unknown-state *'],
    ['EXPLAIN FORMAT=JSON INTO @x SELECT 1', '@x'],
    ['SELECT 1; CREATE TEMPORARY TABLE t (a INT); LOCK TABLES t READ', '+temporary-table t, +table-lock tables'],
    ["GRANT ALL ON d.* TO 'u'@'h'", ''],
    ["CREATE USER 'u'@'h'", ''],
    ["INSERT INTO t VALUES ('@a := 1')", ''],
  ])('%s', (sql, pins) => {
    expect(shown(classifyMysql(sql))).toBe(pins)
  })

  test.each([
    ['CREATE OR REPLACE TEMPORARY TABLE t (a INT)', '+temporary-table t'],
    ['CREATE TEMPORARY SEQUENCE s', '+temporary-table s'],
    ['DROP SEQUENCE s', '-temporary-table s'],
    ['BACKUP STAGE START', '+table-lock backup stage'],
    ['BACKUP STAGE END', '-table-lock backup stage'],
    ['BACKUP LOCK t', '+table-lock backup lock'],
    ['BACKUP UNLOCK', '-table-lock backup lock'],
    ["EXECUTE IMMEDIATE 'CREATE TEMPORARY TABLE t (a INT)'", '+temporary-table t'],
    ["EXECUTE IMMEDIATE 'EXECUTE IMMEDIATE ''SET @a = 1'''", '@a'],
    ['EXECUTE IMMEDIATE @sql', '+unknown-state *'],
    ['BEGIN NOT ATOMIC SET @a = 1; CREATE TEMPORARY TABLE t (a INT); END', '+temporary-table t, @a'],
    ["BEGIN NOT ATOMIC IF 1 THEN DO GET_LOCK('x', 1); END IF; END", '+advisory-lock x'],
  ])('MariaDB: %s', (sql, pins) => {
    expect(shown(classifyMariadb(sql))).toBe(pins)
  })
})

test.each([
  ['SELECT 1, COUNT(*) FROM t', []],
  ['SELECT f(1), d.g() FROM t', ['f', 'd.g']],
  ['INSERT INTO t (a) VALUES (f(1))', ['f']],
  ['INSERT INTO d.t (a) SELECT a FROM v', []],
  ['CREATE TEMPORARY TABLE t (a INT)', []],
  ['CREATE TEMPORARY TABLE IF NOT EXISTS d.t (a INT, INDEX i (a)) SELECT f() AS a', ['f']],
  ['SET @a = f()', ['f']],
  ['CALL p', ['p']],
  ['CALL d.p(f(@a))', ['d.p', 'f']],
  ["PREPARE s FROM 'CALL p()'", ['p']],
])('%s: routines %j', (sql, routines) => {
  expect(classifyMysql(sql).routines).toEqual(routines)
})

test.each([
  ['SELECT 1', 'none'],
  ['BEGIN', 'begin'],
  ['BEGIN WORK', 'begin'],
  ['START TRANSACTION', 'begin'],
  ['START TRANSACTION WITH CONSISTENT SNAPSHOT', 'begin'],
  ['START TRANSACTION READ WRITE', 'begin'],
  ['START TRANSACTION READ ONLY', 'begin-read-only'],
  ['START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY', 'begin-read-only'],
  ['COMMIT', 'end'],
  ['COMMIT AND NO CHAIN RELEASE', 'end'],
  ['COMMIT AND CHAIN', 'begin'],
  ['ROLLBACK', 'end'],
  ['ROLLBACK TO a', 'none'],
  ['SAVEPOINT a', 'none'],
  ['SET TRANSACTION READ ONLY', 'next'],
  ['SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'next'],
  ["SET @@transaction_isolation = 'SERIALIZABLE'", 'next'],
  ["SET transaction_isolation = 'SERIALIZABLE'", 'none'],
  ["SET @@session.transaction_isolation = 'SERIALIZABLE'", 'none'],
  ['SET SESSION TRANSACTION READ ONLY', 'none'],
  ['SET autocommit = 1', 'implicit-commit'],
  ['SET autocommit = 0', 'none'],
  ['CREATE TABLE t (a INT)', 'implicit-commit'],
  ['CREATE TEMPORARY TABLE t (a INT)', 'none'],
  ['DROP TEMPORARY TABLE t', 'none'],
  ['DROP TABLE t', 'implicit-commit'],
  ['ALTER TABLE t ADD a INT', 'implicit-commit'],
  ['TRUNCATE t', 'implicit-commit'],
  ['RENAME TABLE a TO b', 'implicit-commit'],
  ['LOCK TABLES t READ', 'implicit-commit'],
  ['GRANT ALL ON *.* TO u', 'implicit-commit'],
  ['ANALYZE TABLE t', 'implicit-commit'],
  ['FLUSH TABLES', 'implicit-commit'],
  ["LOAD DATA INFILE 'x' INTO TABLE t", 'none'],
  ['LOAD INDEX INTO CACHE t', 'implicit-commit'],
  ['INSERT INTO t VALUES (1)', 'none'],
  ['BEGIN; INSERT INTO t VALUES (1); COMMIT', 'end'],
  ['COMMIT; BEGIN', 'begin'],
  ['SET SESSION TRANSACTION READ WRITE; START TRANSACTION READ ONLY', 'begin-read-only'],
  ['START TRANSACTION READ ONLY; SELECT a FROM t', 'begin-read-only'],
  ['START TRANSACTION READ ONLY; SET @a = 1', 'begin'],
  ['START TRANSACTION READ ONLY; SELECT a FROM t FOR UPDATE', 'begin'],
])('%s: transaction %s', (sql, transaction) => {
  expect(classifyMysql(sql).transaction).toBe(transaction)
})

test.each([
  ['SELECT 1', []],
  ['SELECT LAST_INSERT_ID(), ROW_COUNT()', ['last-insert-id', 'row-count']],
  ['INSERT INTO t VALUES (LAST_INSERT_ID())', ['last-insert-id']],
  ['INSERT INTO t VALUES (@a)', ['user-variable']],
  ['SELECT a FROM t WHERE b = @a', ['user-variable']],
  ['SELECT FOUND_ROWS()', ['found-rows']],
  ['SELECT CONNECTION_ID()', ['connection-id']],
  ['SELECT @@warning_count, @@error_count', ['condition-count']],
  ['SHOW WARNINGS', ['diagnostics']],
  ['GET DIAGNOSTICS @a = NUMBER', ['diagnostics']],
  ['GET DIAGNOSTICS CONDITION 1 @a = MESSAGE_TEXT, @b = MYSQL_ERRNO', ['diagnostics']],
  ['GET DIAGNOSTICS CONDITION @n @a = MESSAGE_TEXT', ['diagnostics', 'user-variable']],
  ['SELECT @@identity', ['last-insert-id']],
  ['SET @a = LAST_INSERT_ID()', ['last-insert-id']],
  ['SET @a = 1', []],
  ['SET @a = @b', ['user-variable']],
  ['EXECUTE s USING @a', ['user-variable']],
  ['SELECT \'@a\', `@b`, "LAST_INSERT_ID()"', []],
  ["SHOW GRANTS FOR 'u'@'h'", []],
  ['SHOW CREATE USER root@localhost', []],
  ['SELECT a FROM t WHERE b LIKE@x', ['user-variable']],
])('%s: facts %j', (sql, facts) => {
  expect(classifyMysql(sql).facts).toEqual(facts)
})

test.each([
  ['SET a = 1', ['session a 1']],
  ['SET a = \'x\', @@b = "y", @@session.c = ON', ["session a 'x'", 'session b "y"', 'session c ON']],
  ['SET a = -1, b = DEFAULT, c = 1 + 1', ['session a -1', 'session b DEFAULT', 'session c null']],
  ['SET GLOBAL a = 1, b = 2, SESSION c = 3, @@d = 4', ['global a 1', 'global b 2', 'session c 3', 'session d 4']],
  ['SET PERSIST a = 1, @@persist_only.b = 2', ['persist a 1', 'persist b 2']],
  ['SET LOCAL `a` := 1', ['session a 1']],
  ['SET @a = 1, @`B c` := NOW()', ['user a 1', 'user b c null']],
  ['SET NAMES utf8mb4', ['names names utf8mb4']],
  [
    "SET NAMES 'utf8mb4' COLLATE utf8mb4_bin, time_zone = '+00:00'",
    ["names names 'utf8mb4'", 'names collate utf8mb4_bin', "session time_zone '+00:00'"],
  ],
  ['SET CHARACTER SET latin1', ['names character set latin1']],
  ["SET CHARSET 'latin1'", ["names character set 'latin1'"]],
  ['SET NAMES DEFAULT', ['names names DEFAULT']],
  ['SET sql_mode = (SELECT @@sql_mode), a = f(1, 2)', ['session sql_mode null', 'session a null']],
  ['SET SESSION TRANSACTION READ ONLY', ['session transaction_read_only 1']],
  [
    'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE',
    ["session transaction_isolation 'READ-COMMITTED'", 'session transaction_read_only 0'],
  ],
  ['SET hot.key_buffer_size = 1', ['session hot.key_buffer_size 1']],
  ['USE `my db`', ['schema schema my db']],
  ['USE db', ['schema schema db']],
  ["SET @sluice_route = 'reader'", ["user sluice_route 'reader'"]],
  ['SET ROLE admin', ['role role admin']],
])('%s: assigns %j', (sql, expected) => {
  expect(classifyMysql(sql).assigns.map(({ scope, name, value }) => `${scope} ${name} ${value}`)).toEqual(expected)
})

test.each([
  ['SELECT * FROM a', ['a']],
  ['SELECT * FROM a, `b c` x JOIN d.e ON 1 LEFT JOIN (f, g) USING (h)', ['a', 'b c', 'd.e', 'f', 'g']],
  ['SELECT * FROM (SELECT * FROM a) d JOIN b', ['a', 'b']],
  ['WITH c AS (SELECT * FROM a) SELECT * FROM c, b', ['a', 'b']],
  ['WITH c (x) AS (SELECT * FROM a) SELECT * FROM c', ['a']],
  ['SELECT a FROM b WHERE c IN (SELECT d FROM e) UNION SELECT f FROM g', ['b', 'e', 'g']],
  ['SELECT EXTRACT(YEAR FROM a), TRIM(b FROM c), SUBSTRING(d FROM 1) FROM e', ['e']],
  ["SELECT * FROM t, JSON_TABLE(t.a, '$' COLUMNS (b INT PATH '$')) j", ['t']],
  ["SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (b INT PATH '$')) j, t", ['t']],
  ['WITH c AS (SELECT * FROM c) SELECT * FROM c', ['c']],
  ['WITH RECURSIVE c AS (SELECT 1 UNION SELECT 1 FROM c) SELECT * FROM c', []],
  ['WITH c AS (SELECT 1), d AS (SELECT * FROM c) SELECT * FROM d', []],
  ['SELECT * FROM c WHERE a IN (WITH c AS (SELECT 1) SELECT * FROM c)', ['c']],
  ['(WITH c AS (SELECT 1) SELECT * FROM c) UNION SELECT * FROM c', ['c']],
  ['WITH c AS (SELECT 1) SELECT * FROM d.c', ['d.c']],
  ['SELECT * FROM `a.b`', null],
  ['SELECT * FROM quick', null],
  ['SELECT * FROM (quick) WHERE 1', null],
  ['SELECT * FROM quick WHERE a = 1', null],
  ['SELECT * FROM { OJ a LEFT JOIN b ON 1 }', null],
  ['SELECT 1', []],
  ['SELECT 1 FROM dual', []],
  ['SELECT a FROM t INTO @x', ['t']],
  ['INSERT INTO a (b, c) VALUES (1, 2)', ['a']],
  ['INSERT a SELECT * FROM b', ['a', 'b']],
  ['REPLACE INTO d.a VALUES (1)', ['d.a']],
  ['UPDATE a, b SET a.x = b.x', ['a', 'b']],
  ['DELETE FROM a WHERE b = 1', ['a']],
  ['DELETE x FROM a AS x JOIN b', ['a', 'b']],
  ['INSERT INTO a VALUES (1) ON DUPLICATE KEY UPDATE b = 2', ['a']],
  ['TABLE a', ['a']],
  ['SELECT * FROM a FOR UPDATE', ['a']],
  ['SELECT * FROM a; SELECT * FROM b', ['a', 'b']],
  ['CALL p()', null],
  ['CREATE TABLE a (b INT)', null],
])('%s: tables %j', (sql, tables) => {
  expect(classifyMysql(sql).tables).toEqual(tables)
})

test.each([
  ['SELECT 1', 1],
  ['SELECT 1;', 1],
  [';;SELECT 1;;', 1],
  ['SELECT 1; -- c', 1],
  ['SELECT 1; /* c */ ;', 1],
  ['SELECT 1; SELECT 2', 2],
  ['SELECT \';\'; SELECT `;`; SELECT ";" -- ;\n; SELECT /* ; */ 4 # ;', 4],
  ['', 0],
  ['-- c', 0],
  ['CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END', 1],
  ['CREATE PROCEDURE p() BEGIN SELECT 1; END; SELECT 2', 2],
  ['CREATE PROCEDURE p() SELECT 1; SELECT 2', 2],
  ['CREATE DEFINER=`a`@`b` PROCEDURE p() BEGIN IF 1 THEN SELECT 1; ELSE SELECT IF(1,2,3); END IF; END; SELECT 2', 2],
  ['CREATE PROCEDURE p() BEGIN CASE 1 WHEN 1 THEN SELECT CASE 1 WHEN 1 THEN 1 END; END CASE; END', 1],
  ['CREATE PROCEDURE p() x: LOOP LEAVE x; END LOOP x; SELECT 1', 2],
  ['CREATE PROCEDURE p() WHILE 1 DO SELECT 1; END WHILE; SELECT 1', 2],
  ['CREATE PROCEDURE p() REPEAT SELECT 1; UNTIL 1 END REPEAT', 1],
  ["CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN REPEAT('a', 1); SELECT 1", 2],
  ['CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET NEW.b = 1; SET NEW.c = 2; END; SELECT 1', 2],
  ['CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.b = IF(1, 2, 3); SELECT 1', 2],
  ['CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW IF NEW.b THEN SET NEW.b = 1; END IF; SELECT 1', 2],
  ['CREATE PROCEDURE IF NOT EXISTS p() SELECT 1; SELECT 2', 2],
  ['CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM a; DELETE FROM b; END', 1],
  ['CREATE PROCEDURE p() BEGIN DECLARE CONTINUE HANDLER FOR NOT FOUND BEGIN END; SELECT 1; END; SELECT 1', 2],
  ['CREATE TABLE t (a INT); SELECT 1', 2],
])('%s: %i statements', (sql, statements) => {
  expect(classifyMysql(sql).statements).toBe(statements)
})

test.each([
  ['BEGIN NOT ATOMIC SELECT 1; SELECT 2; END', 1],
  ['BEGIN NOT ATOMIC SELECT 1; END; SELECT 2', 2],
  ['IF 1 THEN SELECT 1; ELSE SELECT 2; END IF; SELECT 3', 2],
  ['FOR i IN 1..3 DO SELECT i; SELECT 2; END FOR; SELECT 3', 2],
  ['BEGIN; SELECT 1', 2],
  ['BEGIN', 1],
])('MariaDB: %s: %i statements', (sql, statements) => {
  expect(classifyMariadb(sql).statements).toBe(statements)
})

test.each([
  ['/* sluice:writer */ SELECT 1', { to: 'writer', endpoint: null }],
  ['/* sluice:reader */ SELECT 1', { to: 'reader', endpoint: null }],
  ['/* sluice:auto */ SELECT 1', { to: 'auto', endpoint: null }],
  ['/* sluice:endpoint=analytics */ SELECT 1', { to: 'endpoint', endpoint: 'analytics' }],
  ['/*sluice:endpoint=a-b.c_1*/SELECT 1', { to: 'endpoint', endpoint: 'a-b.c_1' }],
  ['/*@writer*/SELECT 1', { to: 'writer', endpoint: null }],
  ['/*@reader*/ SELECT 1', { to: 'reader', endpoint: null }],
  ['/*master*/ SELECT 1', { to: 'writer', endpoint: null }],
  ['/* slave */ SELECT 1', { to: 'reader', endpoint: null }],
  ['/* SLUICE:READER */ SELECT 1', { to: 'reader', endpoint: null }],
  ['/* trace=1 */ /* sluice:reader */ SELECT 1', { to: 'reader', endpoint: null }],
  ['/* app=x, sluice:reader, trace=y */ SELECT 1', { to: 'reader', endpoint: null }],
  ['-- sluice:reader\nSELECT 1', { to: 'reader', endpoint: null }],
  ['# sluice:writer\nSELECT 1', { to: 'writer', endpoint: null }],
  ['/* sluice:writer */ /* sluice:reader */ SELECT 1', { to: 'writer', endpoint: null }],
  ['SELECT 1 /* sluice:reader */', null],
  ['SELECT /* sluice:reader */ 1', null],
  ['/* the master of puppets */ SELECT 1', null],
  ['/* sluice:readers */ SELECT 1', null],
  ['/* xsluice:reader */ SELECT 1', null],
  ['/*+ sluice:reader */ SELECT 1', null],
  ["SELECT '/* sluice:reader */'", null],
])('%s: hint %j', (sql, hint) => {
  expect(classifyMysql(sql).hint).toEqual(hint)
})

test.each([
  ['/* sluice:consistency=eventual */ SELECT 1', { consistency: 'eventual', monotonic: null, after: null }],
  ['/*sluice:consistency=GLOBAL*/ SELECT 1', { consistency: 'global', monotonic: null, after: null }],
  ['/* sluice:after=0-1-100,1-1-5 */ SELECT 1', { consistency: null, monotonic: null, after: '0-1-100,1-1-5' }],
  [
    '/* sluice:after=3E11FA47-71CA-11E1-9E33-C80AA9429562:t:1-5:7 */ SELECT 1',
    {
      consistency: null,
      monotonic: null,
      after: '3E11FA47-71CA-11E1-9E33-C80AA9429562:t:1-5:7',
    },
  ],
  [
    '/* sluice:reader sluice:consistency=session, sluice:after=0-1-1 */ SELECT 1',
    {
      consistency: 'session',
      monotonic: null,
      after: '0-1-1',
    },
  ],
  [
    '/* sluice:writer */ /* sluice:consistency=session */ SELECT 1',
    { consistency: 'session', monotonic: null, after: null },
  ],
  ['/* sluice:monotonic=true */ SELECT 1', { consistency: null, monotonic: true, after: null }],
  [
    '/* sluice:monotonic=FALSE, sluice:consistency=global */ SELECT 1',
    { consistency: 'global', monotonic: false, after: null },
  ],
  ['/* sluice:monotonic=perhaps */ SELECT 1', null],
  ['/* sluice:consistency=sometimes */ SELECT 1', null],
  ['/* sluice:reader */ SELECT 1', null],
  ['SELECT 1 /* sluice:consistency=eventual */', null],
])('%s: fresh as %j', (sql, freshness) => {
  expect(classifyMysql(sql).freshness).toEqual(freshness)
})

test('two positions in the hints of one statement are two answers', () => {
  const after = (position: string) => classifyMysql(`/* sluice:after=${position} */ SELECT 1`).freshness?.after
  expect([after('0-1-1'), after('0-1-2'), after('0-1-1')]).toEqual(['0-1-1', '0-1-2', '0-1-1'])
})

test.each([
  ['KILL 5', { what: 'connection', id: 5, user: null }],
  ['KILL CONNECTION 5;', { what: 'connection', id: 5, user: null }],
  ['KILL QUERY 17', { what: 'query', id: 17, user: null }],
  ['KILL @a', { what: 'connection', id: null, user: null }],
  ['KILL CONNECTION_ID()', { what: 'connection', id: null, user: null }],
  ['KILL 5 + 1', { what: 'connection', id: null, user: null }],
  ['KILL QUERY (SELECT 1)', { what: 'query', id: null, user: null }],
  ['KILL USER root', { what: 'connection', id: null, user: null }],
  ['SELECT 1', null],
])('%s: kill %j', (sql, kill) => {
  expect(classifyMysql(sql).kill).toEqual(kill)
})

test.each([
  ['KILL HARD QUERY 5', { what: 'query', id: 5, user: null }],
  ['KILL SOFT CONNECTION 5', { what: 'connection', id: 5, user: null }],
  ['KILL USER root', { what: 'connection', id: null, user: 'root' }],
  ["KILL HARD CONNECTION USER 'root'@'%'", { what: 'connection', id: null, user: 'root' }],
  ['KILL QUERY USER `a``b`', { what: 'query', id: null, user: 'a`b' }],
  ['KILL USER CURRENT_USER()', { what: 'connection', id: null, user: '' }],
  ["KILL USER root@'10.0.0.1'", { what: 'connection', id: null, user: null }],
  ['KILL QUERY ID 5', { what: 'query', id: null, user: null }],
])('MariaDB: %s: kill %j', (sql, kill) => {
  expect(classifyMariadb(sql).kill).toEqual(kill)
})

test.each([
  ['SLUICE EXPLAIN SELECT 1', { name: 'explain', sql: 'SELECT 1' }],
  [
    "sluice  explain -- c\n delete from t where a = 'ü';",
    { name: 'explain', sql: "-- c\n delete from t where a = 'ü';" },
  ],
  ['SLUICE EXPLAIN SELECT 1; SELECT 2', { name: 'explain', sql: 'SELECT 1; SELECT 2' }],
  ['SLUICE EXPLAIN /* sluice:writer */ SELECT 1', { name: 'explain', sql: '/* sluice:writer */ SELECT 1' }],
  ['SLUICE SHOW SESSION', { name: 'show session' }],
  ['sluice show topology ;', { name: 'show topology' }],
  ['SLUICE EXPLAIN', null],
  ['SLUICE SHOW SESSIONS', null],
  ['SLUICE SHOW SESSION; DELETE FROM t', null],
  ['SLUICE', null],
  ['SELECT 1', null],
])('%s: command %j', (sql, command) => {
  expect(classifyMysql(sql).command).toEqual(command)
})

describe('what depends on the session', () => {
  test.each([
    ['"a"', { ansiQuotes: true }, 'SELECT "f"(1)', 'write'],
    ['a string', {}, 'SELECT "FOR UPDATE"', 'read'],
    ['quotes that hide a lock', { ansiQuotes: true }, 'SELECT "a\\" FROM t FOR UPDATE -- "', 'write'],
    ['no backslashes', { noBackslashEscapes: true }, "SELECT 'a\\' FROM t FOR UPDATE -- '", 'write'],
    ['backslashes', {}, "SELECT 'a\\' FROM t FOR UPDATE -- '", 'read'],
    ['a space before the parenthesis', { ignoreSpace: true }, 'SELECT COUNT (*), MAX\n(a) FROM t', 'read'],
    ['a comment before the parenthesis', { ignoreSpace: true }, 'SELECT COUNT/**/(a) FROM t', 'write'],
    [
      'a comment and a space before the parenthesis',
      { ignoreSpace: true },
      'SELECT COUNT/**/ (*), MAX (a) FROM t',
      'write',
    ],
    ['a schema of the server', { systemSchema: true }, 'SELECT * FROM threads', 'write'],
    ['letters', { charset: 'utf8mb4' }, 'SELECT größe FROM t', 'read'],
    ['letters of which we know little', { charset: 'latin1' }, 'SELECT größe FROM t', 'write'],
    ['quoted letters', { charset: 'latin1' }, 'SELECT `größe` FROM t', 'read'],
  ])('%s', (_, modes, sql, access) => {
    expect(classifyIn({ ...MYSQL, ...modes }, sql).access).toBe(access)
  })

  const bytes = (...parts: readonly (string | number)[]) =>
    Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.from([part]) : Buffer.from(part, 'latin1'))))

  test.each([
    // 0xbf5c is one character in these sets: what follows it is outside of the string in all others.
    ['gbk', bytes("SELECT '", 0xbf, "\\' , f(1) -- '"), 'write'],
    ['gbk', bytes("SELECT '", 0xbf, "\\', 1"), 'read'],
    ['utf8mb4', bytes("SELECT '", 0xbf, "\\' , f(1) -- '"), 'read'],
    ['sjis', bytes("SELECT '", 0x83, "\\' FROM t FOR UPDATE -- '"), 'write'],
    ['cp932', bytes("SELECT '", 0x83, "\\' FROM t FOR UPDATE -- '"), 'write'],
    ['big5', bytes("SELECT '", 0xa4, "\\' FROM t FOR UPDATE -- '"), 'write'],
    ['gb18030', bytes("SELECT '", 0x81, "\\' FROM t FOR UPDATE -- '"), 'write'],
    ['gb18030', bytes("SELECT '", 0x81, '0', 0x81, "0' FROM t"), 'read'],
    ['gbk', bytes('SELECT `', 0xbf, '` FROM t FOR UPDATE -- `'), 'read'],
    ['latin1', bytes('SELECT `', 0xbf, '` FROM t FOR UPDATE -- `'), 'write'],
    ['latin1', bytes('SELECT a FROM t FOR', 0xa0, 'UPDATE'), 'write'],
    ['utf8mb4', bytes('SELECT `', 0xe2, '` FROM t FOR UPDATE -- ```'), 'write'],
  ])('%s: %s', (charset, sql, access) => {
    expect(classifyIn({ ...MYSQL, charset }, sql).access).toBe(access)
  })

  test.each([
    [80000, 'SELECT 1 /*!80001 FOR UPDATE */', 'write'],
    [80036, 'SELECT * FROM t /*!80036 FOR UPDATE */', 'write'],
    [80036, 'SELECT * FROM t /*!99999 FOR UPDATE */', 'read'],
    [80036, "SELECT MD5('a')", 'read'],
    [80036, 'SELECT STRING_TO_VECTOR(a) FROM t', 'write'],
    [50744, 'SELECT RANK() OVER (ORDER BY a) FROM t', 'write'],
  ])('MySQL %i: %s', (version, sql, access) => {
    expect(classifyIn({ ...MYSQL, version }, sql).access).toBe(access)
  })

  test.each([
    [101119, 'SELECT UUID_v7()', 'write'],
    [110800, 'SELECT UUID_v7()', 'read'],
  ])('MariaDB %i: %s', (version, sql, access) => {
    expect(classifyIn({ ...MARIADB, version }, sql).access).toBe(access)
  })
})

// With two arguments these are points, with three they call a function of a user's.
test.each([
  ['SELECT `point`(1, 2)', 'SELECT `point`(1, 2, 3)'],
  ['SELECT point((1), (2))', 'SELECT point((1), (2), (3))'],
])('a point before does not make a read of a call: %s, %s', (point, call) => {
  expect([point, call].map((sql) => classifyMariadb(sql).access)).toEqual(['read', 'write'])
})

describe('what the operator vouches for', () => {
  const vouching = createClassifier({
    digestsMax: 8,
    safeFunctions: ['Tax', 'shop.vat'],
    readProcedures: ['report', 'db.list'],
  })
  test.each([
    ['SELECT tax(1)', 'read'],
    ['SELECT `TAX`(1)', 'read'],
    ['SELECT any_db.tax(1)', 'read'],
    ['SELECT shop.vat(1)', 'read'],
    ['SELECT vat(1)', 'write'],
    ['SELECT other.vat(1)', 'write'],
    ['SELECT tax(other(1))', 'write'],
    ['CALL report()', 'read'],
    ['CALL any_db.Report(1, NOW())', 'read'],
    ['CALL db.list', 'read'],
    ['CALL list()', 'write'],
    ['CALL report(f(1))', 'write'],
    ['CALL report(@out)', 'write'],
    ["CALL report(GET_LOCK('a', 1))", 'write'],
  ])('%s: %s', (sql, access) => {
    expect(vouching.classify(Buffer.from(sql), MYSQL).access).toBe(access)
  })
})

test.each([
  ['SELECT c FROM t WHERE id = 1', true],
  ['select a.x, count(*) from a join b using (id) where b.y in (select y from c) group by 1 order by 2 limit 3', true],
  ['SELECT 1', false],
  ['SELECT NOW()', false],
  ['SELECT c FROM t FOR UPDATE', false],
  ['SELECT c FROM t LOCK IN SHARE MODE', false],
  ['SELECT SQL_CALC_FOUND_ROWS c FROM t', false],
  ['SELECT c, FOUND_ROWS() FROM t', false],
  ['SELECT c, CONNECTION_ID() FROM t', false],
  ['SELECT c FROM t WHERE id = @id', false],
  ['SELECT @c := c FROM t', false],
  ['SELECT c INTO @c FROM t', false],
  ['SELECT f(c) FROM t', false],
  ['SELECT GET_LOCK(c, 1) FROM t', false],
  ['SELECT c FROM t; SELECT d FROM t', false],
  ['/* sluice:reader */ SELECT c FROM t', false],
  ['/* sluice:monotonic=true */ SELECT c FROM t', false],
  ['(SELECT c FROM t)', false],
  ['WITH w AS (SELECT c FROM t) SELECT c FROM w', false],
  ['TABLE t', false],
  ['SHOW TABLES', false],
  ['UPDATE t SET c = 1', false],
])('a plain read is a SELECT from tables and nothing besides: %s', (sql, plain) => {
  expect(classifyMysql(sql).plain).toBe(plain)
})

test('what a reader has refused is no plain read any more', () => {
  const classifier = createClassifier({ digestsMax: 10 })
  const sql = Buffer.from('SELECT c FROM t')
  const before = classifier.classify(sql, MYSQL)
  classifier.learn(before)
  expect([before.plain, classifier.classify(sql, MYSQL).plain]).toEqual([true, false])
})
