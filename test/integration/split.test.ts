// Where statements really went, by the servers' own logs.

import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SeenStatement } from '../../src/lab/index.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

interface Story {
  readonly promise: string
  readonly statements: readonly string[]
  /** Part of the text of those that must have reached the writer only, and a reader only. */
  readonly writer: readonly string[]
  readonly reader: readonly string[]
}

const STORIES: readonly Story[] = [
  {
    promise: 'every form of a read',
    statements: [
      '(SELECT 1 AS r20 FROM t) UNION (SELECT 2 FROM t)',
      'WITH RECURSIVE n AS (SELECT 1 AS r21 UNION ALL SELECT r21 + 1 FROM n WHERE r21 < 3) SELECT * FROM n',
      'SELECT (SELECT MAX(id) FROM t) AS r22, EXISTS (SELECT * FROM t) AS e, NOW(), LOWER(UUID())',
      'SELECT /*+ MAX_EXECUTION_TIME(1000) */ 1 AS r23 FROM t',
      '-- FOR UPDATE\nSELECT 1 AS r24 FROM t # INTO OUTFILE',
      'EXPLAIN SELECT 1 AS r25 FROM t',
      "SHOW TABLES LIKE 'r26'",
      'SHOW CREATE TABLE t',
      "SELECT * FROM (SELECT 'r27') AS d WHERE 'DELETE' <> \"INSERT\"",
    ],
    writer: [],
    reader: ['AS r20', 'AS r21', 'AS r22', 'AS r23', 'AS r24', 'AS r25', 'r26', 'SHOW CREATE TABLE t', 'r27'],
  },
  {
    promise: 'every form of a write',
    statements: [
      'INSERT INTO t SELECT NULL AS w20',
      'REPLACE INTO t (id) VALUES (20021)',
      'UPDATE t SET id = id WHERE id = 20022',
      'DELETE FROM t WHERE id = 20023',
      'CREATE TABLE IF NOT EXISTS w24 (id INT)',
      'ALTER TABLE w24 ADD COLUMN w25 INT',
      'TRUNCATE TABLE w24',
      'DROP TABLE w24',
      'CALL p(20026)',
      'DO 20027',
      'ANALYZE TABLE t /* w28 */',
      'EXPLAIN DELETE FROM t WHERE id = 20029',
    ],
    writer: [
      ...['w20', '20021', '20022', '20023', 'CREATE TABLE IF NOT EXISTS w24', 'w25', 'TRUNCATE', 'DROP TABLE w24'],
      ...['20026', '20027', 'w28', '20029'],
    ],
    reader: [],
  },
  {
    promise: 'locking reads, whatever is around them',
    statements: [
      'SELECT 1 AS w30 FROM t /* not */ FOR /* only */ UPDATE',
      '(SELECT 1 AS w31 FROM t FOR UPDATE)',
      '(SELECT 1 AS r31 FROM t) UNION ALL (SELECT 2 FROM t)',
      'SELECT * FROM (SELECT 1 AS w32 FROM t FOR UPDATE) AS d',
      'SELECT 1 AS w33 WHERE EXISTS (SELECT * FROM t FOR UPDATE)',
      'select 1 as w34 from t fOr uPdAtE skip locked',
      'SELECT 1 AS w35 FROM t LIMIT 1 INTO @w35',
      'SELECT @w36 := 1 FROM t',
      "SELECT GET_LOCK('w37', 0), RELEASE_LOCK('w37')",
    ],
    writer: ['w30', 'w31', 'w32', 'w33', 'w34', 'w35', 'w36', 'w37'],
    reader: ['r31'],
  },
  {
    promise: 'executable comments',
    statements: [
      '/*!50000 SELECT */ 1 AS r40 FROM t',
      '/*! INSERT INTO t SELECT */ /*! 20041 */',
      'SELECT 1 AS w42 FROM t /*! FOR UPDATE */',
      'SELECT 1 AS r43 FROM t /* FOR UPDATE */',
      'SELECT 1 AS w44 FROM t; /*!50000 INSERT INTO t VALUES (NULL) */',
    ],
    writer: ['20041', 'w42', 'w44'],
    reader: ['r40', 'r43'],
  },
  {
    promise: 'what only this session has',
    statements: [
      'CREATE TEMPORARY TABLE tmp50 (id INT)',
      'SELECT 1 AS w51 FROM tmp50',
      'SELECT 1 AS w52 FROM t',
      'DROP TEMPORARY TABLE tmp50',
      'SELECT 1 AS r53 FROM t',
      "SELECT GET_LOCK('split', 1) AS w54",
      'SELECT 1 AS w55 FROM t',
      "SELECT RELEASE_LOCK('split') AS w56",
      'SELECT 1 AS r57 FROM t',
      'LOCK TABLES t READ',
      'SELECT 1 AS w58 FROM t',
      'UNLOCK TABLES',
      'SELECT 1 AS r59 FROM t',
    ],
    writer: ['tmp50', 'w51', 'w52', 'w54', 'w55', 'w56', 'LOCK TABLES t', 'w58'],
    reader: ['r53', 'r57', 'r59'],
  },
  {
    promise: 'settings go along with reads',
    statements: [
      "SET time_zone = '+03:00', group_concat_max_len = 5",
      'SELECT FROM_UNIXTIME(0) AS r60zone FROM t',
      'SELECT GROUP_CONCAT(id) AS r61 FROM t',
      'SELECT @@time_zone AS w62 FROM t',
    ],
    writer: ['w62'],
    reader: ['r60zone', 'AS r61'],
  },
  {
    promise: 'more ways into and out of a transaction',
    statements: [
      'START TRANSACTION WITH CONSISTENT SNAPSHOT',
      'SELECT 1 AS w70 FROM t',
      'CREATE TABLE IF NOT EXISTS w71 (id INT)',
      'SELECT 1 AS r72 FROM t',
      'BEGIN',
      'SELECT 1 AS w73 FROM t',
      'COMMIT AND CHAIN',
      'SELECT 1 AS w74 FROM t',
      'ROLLBACK',
      'SET autocommit = 0; SELECT 1 AS w75 FROM t',
      'SELECT 1 AS w76 FROM t',
      'SET autocommit = 1',
      'SELECT 1 AS r77 FROM t',
      "XA START 'x'",
      'SELECT 1 AS w78 FROM t',
      "XA END 'x'",
      "XA ROLLBACK 'x'",
      'SELECT 1 AS r79 FROM t',
      'DROP TABLE w71',
    ],
    writer: ['w70', 'w71', 'w73', 'w74', 'w75', 'w76', 'w78'],
    reader: ['r72', 'r77', 'r79'],
  },
  {
    promise: 'a transaction that a hint would take to a reader',
    statements: ['BEGIN', '/* sluice:reader */ SELECT 1 AS w80 FROM t', 'COMMIT'],
    writer: ['w80'],
    reader: [],
  },
  {
    promise: 'reads on readers, writes on the writer',
    statements: ['SELECT 1 AS r1 FROM t', 'INSERT INTO t VALUES (NULL)'],
    writer: ['INSERT INTO t'],
    reader: ['AS r1'],
  },
  {
    promise: 'locking reads',
    statements: ['SELECT 1 AS w1 FROM t FOR UPDATE', 'SELECT 1 AS w2 FROM t LOCK IN SHARE MODE'],
    writer: ['AS w1', 'AS w2'],
    reader: [],
  },
  {
    promise: 'a lock inside a CTE',
    statements: ['WITH c AS (SELECT * FROM t LOCK IN SHARE MODE) SELECT 1 AS w3 FROM c'],
    writer: ['AS w3'],
    reader: [],
  },
  {
    promise: 'a lock in an executable comment',
    statements: ['SELECT 1 AS w4 FROM t /*!50000 FOR UPDATE */'],
    writer: ['AS w4'],
    reader: [],
  },
  {
    promise: 'a lock in a string is none',
    statements: ["SELECT 'FOR UPDATE' AS r2 FROM t"],
    writer: [],
    reader: ['AS r2'],
  },
  {
    promise: 'transactions, reads included',
    statements: ['BEGIN', 'SELECT 1 AS w5 FROM t', 'COMMIT', 'SELECT 1 AS r3 FROM t'],
    writer: ['BEGIN', 'AS w5', 'COMMIT'],
    reader: ['AS r3'],
  },
  {
    promise: 'read-only transactions',
    statements: ['START TRANSACTION READ ONLY', 'SELECT 1 AS r4 FROM t', 'SELECT 2 AS r5 FROM t', 'COMMIT'],
    writer: [],
    reader: ['AS r4', 'AS r5', 'COMMIT'],
  },
  {
    promise: 'autocommit off',
    statements: [
      'SET autocommit = 0',
      'SELECT 1 AS w6 FROM t',
      'ROLLBACK',
      'SET autocommit = 1',
      'SELECT 1 AS r6 FROM t',
    ],
    writer: ['AS w6'],
    reader: ['AS r6'],
  },
  {
    promise: 'several statements in one text',
    statements: ['SELECT 1 AS w7; INSERT INTO t VALUES (NULL)', 'SELECT 1 AS r7; SELECT 2 AS r8'],
    writer: ['AS w7'],
    reader: ['AS r7', 'AS r8'],
  },
  { promise: 'unknown functions', statements: ['SELECT f() AS w8 FROM t'], writer: ['AS w8'], reader: [] },
  {
    promise: 'hints',
    statements: ['/* sluice:writer */ SELECT 1 AS w9 FROM t', '/* sluice:reader */ SELECT f() AS r9 FROM t'],
    writer: ['AS w9'],
    reader: ['AS r9'],
  },
  {
    promise: "the session's own wish",
    statements: [
      "SET @sluice_route = 'writer'",
      'SELECT 1 AS w10 FROM t',
      "SET @sluice_route = 'auto'",
      'SELECT 1 AS r10 FROM t',
    ],
    writer: ['AS w10'],
    reader: ['AS r10'],
  },
  {
    promise: 'variables of the server',
    statements: ['SELECT @@read_only AS w11', 'SHOW GLOBAL STATUS LIKE "w12"'],
    writer: ['AS w11', 'w12'],
    reader: [],
  },
]

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `split_${engine}`
  let sluice: RunningSluice

  beforeAll(async () => {
    await cluster.writer.asRoot(async (root) => {
      await root.query(`DROP DATABASE IF EXISTS ${schema}`)
      await root.query(`CREATE DATABASE ${schema}`)
      await root.query(`CREATE TABLE ${schema}.t (id INT AUTO_INCREMENT PRIMARY KEY)`)
      await root.query(`CREATE FUNCTION ${schema}.f() RETURNS INT DETERMINISTIC NO SQL RETURN 1`)
      await root.query(`CREATE PROCEDURE ${schema}.p(IN n INT) SELECT n`)
      await root.query(`INSERT INTO ${schema}.t VALUES (NULL)`)
    })
    await cluster.settle()
    sluice = await startSluice({ seeds: cluster.seeds })
  })
  afterAll(async () => {
    await sluice.stop()
    await cluster.ignoreStatements()
    await cluster.writer.ask(`DROP DATABASE ${schema}`)
  })

  test.each(STORIES.map((story) => [story.promise, story] as const))('%s', async (_promise, story) => {
    const login = { host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw', database: schema }
    const client = await createConnection({ ...login, multipleStatements: true })
    try {
      await cluster.watchStatements()
      for (const sql of story.statements) await client.query(sql)
      const onWriter = await cluster.writer.statementsSeen()
      const onReaders = (await Promise.all(cluster.readers.map((reader) => reader.statementsSeen()))).flat()
      const has = (seen: readonly SeenStatement[], part: string) => seen.some(({ text }) => text.includes(part))
      for (const part of story.writer)
        expect([part, has(onWriter, part), has(onReaders, part)]).toEqual([part, true, false])
      for (const part of story.reader)
        expect([part, has(onWriter, part), has(onReaders, part)]).toEqual([part, false, true])
    } finally {
      await client.end()
    }
  })

  test('prepared statements: reads on readers, writes on the writer', async () => {
    const login = { host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw', database: schema }
    const client = await createConnection(login)
    try {
      await cluster.watchStatements()
      // What was written just before may be seen on one reader only; which readers take turns is asked of reads that may be old.
      const read = '/* sluice:consistency=eventual */ SELECT ? AS prepared FROM t'
      for (let turn = 0; turn < 6; turn++) await client.execute(read, [turn])
      await client.execute('INSERT INTO t VALUES (?)', [1_000])
      const runs = (seen: readonly SeenStatement[], pattern: RegExp) =>
        seen.filter(({ command, text }) => command === 'Execute' && pattern.test(text)).length
      const onWriter = await cluster.writer.statementsSeen()
      const onReaders = await Promise.all(cluster.readers.map((reader) => reader.statementsSeen()))
      expect(runs(onWriter, /prepared/)).toBe(0)
      expect(onReaders.map((seen) => runs(seen, /prepared/))).toEqual([3, 3])
      expect(runs(onWriter, /INSERT/)).toBe(1)
    } finally {
      await client.end()
    }
  })

  test('what readers cannot serve the writer serves, and a read-only transaction as well', async () => {
    const here = `${schema}_here`
    await cluster.writer.asRoot(async (root) => {
      for (const sql of ['SET sql_log_bin = 0', `CREATE DATABASE ${here}`, `CREATE TABLE ${here}.t (id INT)`])
        await root.query(sql)
    })
    const login = { host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw' }
    const client = await createConnection(login)
    try {
      await client.query(`USE ${here}`)
      expect((await client.query('SELECT * FROM t'))[0]).toEqual([])
      expect((await client.query('/* sluice:reader */ SELECT * FROM t'))[0]).toEqual([])
      await client.query('START TRANSACTION READ ONLY')
      expect((await client.query('SELECT * FROM t'))[0]).toEqual([])
      await expect(client.query('INSERT INTO t VALUES (1)')).rejects.toMatchObject({ errno: 1792 })
      await client.query('COMMIT')
    } finally {
      await client.end()
      await cluster.writer.asRoot(async (root) => {
        await root.query('SET sql_log_bin = 0')
        await root.query(`DROP DATABASE ${here}`)
      })
    }
  })
})
