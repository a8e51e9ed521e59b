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
      await root.query(`CREATE DATABASE ${schema}`)
      await root.query(`CREATE TABLE ${schema}.t (id INT AUTO_INCREMENT PRIMARY KEY)`)
      await root.query(`CREATE FUNCTION ${schema}.f() RETURNS INT DETERMINISTIC NO SQL RETURN 1`)
      await root.query(`INSERT INTO ${schema}.t VALUES (NULL)`)
    })
    await cluster.settle()
    sluice = await startSluice({ seeds: cluster.seeds })
  })
  afterAll(async () => {
    await sluice.stop()
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
      for (let turn = 0; turn < 6; turn++) await client.execute('SELECT ? AS prepared FROM t', [turn])
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
})
