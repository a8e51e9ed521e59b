// What sessions do that leaves nothing on a connection: data, reads, settings, questions about themselves.

import type { Author } from './author.ts'
import type { Variable } from './variables.ts'
import { valueFor } from './variables.ts'

export type Idea = (author: Author) => void

export const insert: Idea = (author) => {
  const { random } = author
  const value = `(${author.text()}, ${author.number()})`
  const more = Array.from({ length: random.below(3) }, () => `, (${author.text()}, ${author.number()})`).join('')
  author.either(
    random.weighted<string>([
      [6, `INSERT INTO t (v, n) VALUES ${value}${more}`],
      [2, `INSERT INTO t (id, v) VALUES (${author.id()}, ${author.text()})`],
      [2, `INSERT IGNORE INTO t (id, v) VALUES (${author.id()}, ${author.text()})`],
      [2, `INSERT INTO t (id, n) VALUES (${author.id()}, 5) ON DUPLICATE KEY UPDATE n = n + 1`],
      [2, `INSERT INTO t (id, n) VALUES (${author.id()}, 5) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), n = 9`],
      [1, `REPLACE INTO t (id, v) VALUES (${author.id()}, ${author.text()})`],
      [1, 'INSERT INTO t (v, n) SELECT v, n FROM t ORDER BY id LIMIT 2'],
      [1, "INSERT INTO t (v, n) VALUES ('not', 'a number')"],
      [1, "INSERT INTO t (v, n) VALUES (REPEAT('long', 50), 99999999999)"],
      [1, `INSERT INTO noted (t_id, what) VALUES (LAST_INSERT_ID(), ${author.text()})`],
      [1, 'INSERT INTO t () VALUES ()'],
      [1, `INSERT INTO kept (k, at) VALUES (${author.text()}, '2024-02-30')`],
      [author.engine === 'mariadb' ? 1 : 0, `INSERT INTO t (v, n) VALUES ${value} RETURNING id, v`],
    ]),
  )
}

export const change: Idea = (author) => {
  author.either(
    author.random.weighted<string>([
      [3, `UPDATE t SET n = ${author.number()} WHERE id = ${author.id()}`],
      [1, `UPDATE t SET v = ${author.text()}`],
      [1, `UPDATE t SET n = n WHERE id < ${author.firstId + 2}`],
      [1, `UPDATE t SET id = ${author.id()} WHERE id = ${author.id()}`],
      [2, `DELETE FROM t WHERE id = ${author.id()}`],
      [1, 'DELETE FROM t ORDER BY id DESC LIMIT 1'],
      [1, 'UPDATE t JOIN noted ON t.id = noted.t_id SET t.n = 3, noted.what = NULL'],
      [1, 'DELETE FROM noted'],
    ]),
  )
}

export const read: Idea = (author) => {
  author.either(
    author.random.pick([
      'SELECT * FROM t ORDER BY id',
      'SELECT * FROM t ORDER BY id',
      `SELECT v, n + 1 AS m FROM t WHERE id = ${author.id()}`,
      'SELECT COUNT(*), MAX(id), SUM(n) FROM t',
      'SELECT v, COUNT(*) FROM t GROUP BY v ORDER BY v',
      'SELECT GROUP_CONCAT(v ORDER BY id) FROM t',
      'SELECT * FROM noted ORDER BY id',
      'SELECT * FROM kept ORDER BY k',
      'WITH RECURSIVE up (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM up WHERE x < 5) SELECT * FROM up',
      '(SELECT 1) UNION (SELECT 2)',
      'SELECT * FROM seen ORDER BY id',
      'SHOW TABLES',
      'SHOW CREATE TABLE t',
      'SHOW COLUMNS FROM t',
      `SELECT * FROM t WHERE id = ${author.firstId} FOR UPDATE`,
      `SELECT * FROM t WHERE id = ${author.firstId} LOCK IN SHARE MODE`,
      'SELECT twice(4), t.id FROM t ORDER BY id',
    ]),
  )
}

/** Answers that say which settings are in force. */
export const symptom: Idea = (author) => {
  author.sql(
    author.random.pick([
      'SELECT 10 / 3, 1 / 7',
      "SELECT DATE_FORMAT('2024-02-03', '%W %M'), WEEK('2024-01-01')",
      "SELECT FROM_UNIXTIME(0), UNIX_TIMESTAMP('2024-02-03')",
      `SELECT COLLATION('x'), CHARSET('x'), CHARSET(CONCAT('x', 1))`,
      `SELECT "text" FROM (SELECT 1 AS text) AS d`,
      "SELECT 'a' || 'b', '\\n', LENGTH('\\\\')",
      'SELECT 1 UNION SELECT 2 UNION SELECT 3',
      'SELECT COUNT (*) FROM t',
      'SELECT NOT 1 BETWEEN -5 AND 5',
      "SELECT HEX('é'), LENGTH('é'), _utf8mb4'ü'",
      "SELECT CAST('x' AS CHAR), CONVERT('x' USING latin1), CAST(5 AS CHAR)",
      "SELECT GROUP_CONCAT(x) FROM (SELECT 'aaaaaaaaaa' AS x UNION ALL SELECT 'bbbbb') AS d",
      'SELECT v, n FROM t GROUP BY v',
      'SELECT DATABASE(), USER(), SCHEMA()',
      "SELECT CAST('2024-00-00' AS DATE), DATE('nonsense')",
      'SELECT * FROM nosuch',
      'SELEC 1',
      'CREATE TEMPORARY TABLE s_ (a CHAR(3)) SELECT 1 AS x; SELECT 1',
      'SELECT @@sql_mode, @@time_zone, @@character_set_client, @@character_set_results, @@collation_connection',
      'SELECT @@autocommit, @@sql_select_limit, @@group_concat_max_len, @@max_error_count, @@div_precision_increment',
    ]),
  )
}

/** One variable set in one of the many ways there are, and often asked for. */
export const setVariable: Idea = (author) => {
  const { random } = author
  const variable = author.variable()
  const { name } = variable
  const value = valueFor(variable, random)
  const another = author.variable()
  const anothers = valueFor(another, random)
  const form = random.weighted<() => void>([
    [
      8,
      () =>
        author.either(
          `SET ${random.pick(['', 'SESSION ', 'LOCAL ', '@@', '@@session.', '@@local.'])}${name} = ${value}`,
        ),
    ],
    [1, () => author.sql(`set ${name.toUpperCase()} := ${value}`)],
    [1, () => author.sql(`SET ${name} = @@global.${name}`)],
    [1, () => author.sql(`SET ${name} = (SELECT @@${name})`)],
    [1, () => author.sql(`SET /* all of it */ ${name}=${value}, SESSION ${another.name} = ${anothers}`)],
    [1, () => author.sql(`SET ${name} = ${value}, nosuch = 1`)],
    [1, () => author.sql(`SET ${another.name} = ${anothers}, ${name} = ${value}, time_zone = 'nowhere'`)],
    [1, () => author.sql(`SET GLOBAL ${name} = ${value}`)],
    [1, () => byParameter(author, variable, value)],
    [1, () => routine(author, `CALL set_zone(${random.pick(["'+05:00'", "'-02:30'", "'nowhere'"])})`)],
    [1, () => routine(author, `SELECT zone(${random.pick(["'+06:00'", "'-03:30'"])})`)],
    [
      author.engine === 'mariadb' ? 1 : 0,
      () => {
        author.sql(`SET STATEMENT ${name} = ${value} FOR SELECT @@${name}, 10 / 3`)
        // What may not be put back leaves an error that no answer tells.
        if (value === 'DEFAULT') author.sql('SELECT 1 FROM t LIMIT 1')
      },
    ],
    [
      author.engine === 'mysql' ? 1 : 0,
      () => author.sql(`SELECT /*+ SET_VAR(${name} = ${value}) */ 10 / 3, @@${name}`),
    ],
    [
      author.multi ? 1 : 0,
      () => author.sql(`SET ${name} = ${value}; SELECT @@${another.name}; SET ${another.name} = ${anothers}`),
    ],
  ])
  form()
  if (random.chance(0.3)) author.sql('SHOW WARNINGS')
  if (random.chance(0.7)) ask(author, variable)
  if (random.chance(0.3)) ask(author, another)
  if (random.chance(0.4)) symptom(author)
}

function routine(author: Author, sql: string): void {
  author.sql(sql)
  if (author.engine === 'mariadb' && !author.isOn('conditions-over-call')) author.sql('SELECT 1 FROM t LIMIT 1')
}

function byParameter(author: Author, { name }: Variable, value: string): void {
  // Always of one type: MySQL takes what the first one was for the parameter's own, wherever that was.
  const values = [/^-?\d+$/.test(value) && value.length < 15 ? Number(value) : value.replaceAll("'", '')]
  const slot = author.prepare(`SET ${name} = ?`, () => values)
  author.push({ kind: 'execute', slot, values })
}

function ask(author: Author, { name }: Variable): void {
  author.either(
    author.random.pick([
      `SELECT @@${name}`,
      `SELECT @@session.${name}, @@${name} AS again`,
      `SHOW VARIABLES LIKE '${name}'`,
      `SHOW SESSION VARIABLES WHERE Variable_name = '${name}'`,
    ]),
  )
}

export const setNames: Idea = (author) => {
  author.sql(
    author.random.pick([
      'SET NAMES latin1',
      "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_bin'",
      'SET NAMES utf8mb4',
      'SET NAMES DEFAULT',
      "SET NAMES 'nonsense'",
      'SET NAMES utf8mb4 COLLATE latin1_bin',
      'SET CHARACTER SET latin1',
      'SET CHARACTER SET utf8mb4',
      'SET CHARSET DEFAULT',
      'SET NAMES utf8mb3',
      'SET NAMES binary',
      "SET NAMES latin1, time_zone = '+01:00'",
    ]),
  )
  if (author.random.chance(0.7)) {
    author.sql(
      'SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection',
    )
  }
  if (author.random.chance(0.5)) author.either("SELECT 'é', COLLATION('é'), HEX('é')")
}

/** Questions about what the last statements did. */
export const question: Idea = (author) => {
  const questions = [
    'SELECT LAST_INSERT_ID()',
    'SELECT LAST_INSERT_ID(), @@identity',
    'SELECT LAST_INSERT_ID() + 1 AS next, v FROM t ORDER BY id LIMIT 1',
    'SELECT @@last_insert_id',
    'SHOW WARNINGS',
    'SHOW WARNINGS',
    'SHOW ERRORS',
    'SHOW COUNT(*) WARNINGS',
    'SHOW COUNT(*) ERRORS',
    'SHOW WARNINGS LIMIT 1',
    'SELECT @@warning_count, @@error_count',
    'SELECT @@error_count',
  ]
  if (author.isOn('row-count')) questions.push('SELECT ROW_COUNT()', 'SELECT ROW_COUNT(), LAST_INSERT_ID()')
  if (author.isOn('found-rows')) questions.push('SELECT FOUND_ROWS()')
  author.sql(author.random.pick(questions))
}

/** Something that leaves warnings or an error, and whoever asks for them. */
export const trouble: Idea = (author) => {
  const { random } = author
  author.sql(
    random.pick([
      "SELECT CAST('abc' AS SIGNED), CAST('1x' AS DECIMAL)",
      'SELECT 1 / 0, 5 % 0',
      'DROP TABLE IF EXISTS nosuch, neither',
      `INSERT IGNORE INTO t (id, n) VALUES (${author.firstId}, 'x'), (${author.firstId}, 'y')`,
      'SELECT * FROM nosuch.nosuch',
      'SELECT nosuch FROM t',
      'SELECT twice(1, 2)',
      'CALL nosuch()',
      'CALL troubles()',
      'CALL fails()',
      `INSERT INTO t (id) VALUES (${author.firstId}), (${author.firstId})`,
      'UPDATE t SET nosuch = 1',
      "SELECT STR_TO_DATE('x', '%Y'), INET_ATON('no')",
      'ALTER TABLE t DROP COLUMN nosuch',
      'SELECT (SELECT 1 UNION SELECT 2)',
      "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine', MYSQL_ERRNO = 31001",
      "SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'only a warning'",
      'GRANT SELECT ON *.* TO app',
      'SET GLOBAL max_connections = 10',
    ]),
  )
  for (let questions = random.below(3); questions > 0; questions--) question(author)
}

export const ddl: Idea = (author) => {
  author.sql(
    author.random.pick([
      'ALTER TABLE t ADD COLUMN more INT DEFAULT 7',
      'ALTER TABLE t DROP COLUMN more',
      'CREATE TABLE later (id INT PRIMARY KEY, v TEXT)',
      'CREATE TABLE later (id INT PRIMARY KEY, v TEXT)',
      'CREATE TABLE IF NOT EXISTS later (id INT PRIMARY KEY)',
      'DROP TABLE later',
      'INSERT INTO later VALUES (1, DEFAULT)',
      'SELECT * FROM later',
      'CREATE OR REPLACE VIEW seen AS SELECT id, v FROM t',
      'CREATE INDEX by_v ON t (v)',
      'DROP INDEX by_v ON t',
      'TRUNCATE TABLE noted',
      'RENAME TABLE later TO latest',
      'DROP TABLE IF EXISTS latest',
      'ANALYZE TABLE kept',
    ]),
  )
}

/** What leaves what was there to be asked for, or what one would think does. */
export const aside: Idea = (author) => {
  const { random } = author
  if (random.chance(0.5)) trouble(author)
  author.either(
    random.pick([
      'SHOW GRANTS',
      'SHOW CREATE PROCEDURE rows_of_t',
      'SHOW PRIVILEGES',
      'SHOW PROFILES',
      'DO 1',
      'DO SLEEP(0), 1 / 0',
      'CHECKSUM TABLE kept',
      'DROP PROCEDURE IF EXISTS nosuch',
      `CREATE DATABASE IF NOT EXISTS ${author.schema}_more`,
      "SELECT * FROM JSON_TABLE('[1, 2]', '$[*]' COLUMNS (x INT PATH '$')) AS j",
      'SELECT * FROM (SELECT 1 AS x UNION SELECT 2) AS d',
      `SELECT id FROM t WHERE id > ${author.firstId} ORDER BY id LIMIT 1, 2`,
      'SELECT COUNT(*) INTO @counted FROM t LIMIT 1',
    ]),
  )
  question(author)
}

export const schemas: Idea = (author) => {
  const { random, schema } = author
  const elsewhere = random.pick(['information_schema', `${schema}_more`, 'nosuch', schema])
  if (random.chance(0.5)) author.sql(`USE ${elsewhere}`)
  else author.push({ kind: 'schema', schema: elsewhere })
  author.either(random.pick(['SELECT DATABASE()', 'SELECT * FROM t ORDER BY id', 'SELECT DATABASE(), 1']))
  if (random.chance(0.8))
    author.push(random.chance(0.5) ? { kind: 'sql', sql: `USE ${schema}` } : { kind: 'schema', schema })
}

export const ping: Idea = (author) => {
  author.push({ kind: 'ping' })
}

export const several: Idea = (author) => {
  author.sql(
    author.random.pick([
      'SELECT 1; SELECT 2',
      "INSERT INTO t (v) VALUES ('m'); SELECT LAST_INSERT_ID(); UPDATE t SET n = 4",
      'SELECT 1; SELEC 2; SELECT 3',
      'SELECT 1;',
      "SET time_zone = '+02:00'; SELECT @@time_zone; SELECT * FROM nosuch; SET time_zone = '+04:00'",
      "SELECT CAST('abc' AS SIGNED); SELECT 5",
      "SELECT 5; SELECT CAST('abc' AS SIGNED)",
      'BEGIN; INSERT INTO t (n) VALUES (1); ROLLBACK; SELECT COUNT(*) FROM t',
      'INSERT INTO t (n) VALUES (1); INSERT INTO t (n) VALUES (2), (3); DELETE FROM t WHERE id = 900',
      'CALL rows_of_t(); SELECT 1',
      "INSERT INTO t (v) VALUES ('m'); INSERT INTO t (nosuch) VALUES (1); DELETE FROM t",
      `INSERT INTO t (n) VALUES (4); INSERT INTO t (id) VALUES (${author.firstId}), (${author.firstId}); SELECT 3`,
      "BEGIN; INSERT INTO t (v) VALUES ('begun'); SELECT nosuch; COMMIT",
      'SET autocommit = 0; UPDATE t SET n = 6; SELECT * FROM nosuch; SET autocommit = 1',
      'CALL adds(5); CALL adds_and_fails(); SELECT 5',
      'CALL troubles(); SELECT 1 FROM t LIMIT 1; CALL heals()',
      `USE information_schema; SELECT DATABASE(); USE nosuch; SELECT 1`,
      'CREATE TEMPORARY TABLE brief (a INT); INSERT INTO brief VALUES (1), (2); SELECT * FROM brief; DROP TEMPORARY TABLE brief',
      'CREATE TEMPORARY TABLE brief (a INT); SELECT nosuch FROM brief; DROP TEMPORARY TABLE brief',
      'SELECT LAST_INSERT_ID(5); SELECT LAST_INSERT_ID(); SELECT nosuch',
      "PREPARE brief FROM 'SELECT 3'; EXECUTE brief; DEALLOCATE PREPARE brief; EXECUTE brief",
      'SET @a = 4; SELECT @a; SET @b = (SELECT COUNT(*) FROM nosuch); SELECT 2',
      'SELECT 1 / 0; SELECT ROW_COUNT(); SELECT FOUND_ROWS()',
      'UPDATE t SET n = 7; SELECT ROW_COUNT(), LAST_INSERT_ID(); DELETE FROM noted; SELECT ROW_COUNT()',
      'SET sql_select_limit = 1; SELECT id FROM t ORDER BY id; SET sql_select_limit = DEFAULT; SELECT id FROM t ORDER BY id',
    ]),
  )
  for (let questions = author.random.below(3); questions > 0; questions--) question(author)
  if (author.random.chance(0.5)) author.sql('ROLLBACK', 'SET autocommit = 1', 'DROP TEMPORARY TABLE IF EXISTS brief')
  if (author.random.chance(0.3)) author.sql(`USE ${author.schema}`)
  if (author.random.chance(0.1)) author.push({ kind: 'multi', on: author.random.chance(0.5) })
}
