// The mariadb connector: it asks ahead of answers, and sends batches in MariaDB's own bulk command.

import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Connection, type ConnectionConfig, createConnection, createPool, importFile } from 'mariadb'
import { expect, test } from 'vitest'
import { describeDrivers, expectSameWork, failure, type Place } from '../../support/drivers.ts'

const MIB = 1024 * 1024

const options = ({ login, tls }: Place): ConnectionConfig =>
  tls ? { ...login, ssl: { rejectUnauthorized: false } } : { ...login, allowPublicKeyRetrieval: true }

async function withConnection<T>(place: Place, more: ConnectionConfig, work: (c: Connection) => Promise<T>) {
  const connection = await createConnection({ ...options(place), ...more })
  try {
    return await work(connection)
  } finally {
    await connection.end()
  }
}

async function begin(c: Connection, place: Place): Promise<void> {
  await c.query('DROP TABLE IF EXISTS m')
  await c.query(
    'CREATE TABLE m (id BIGINT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(20) UNIQUE, b BLOB, t DATETIME(6), n DECIMAL(8,2))',
  )
  await c.query(
    "INSERT INTO m (s, b, t, n) VALUES ('é', x'00FF', '2026-01-02 03:04:05.5', 1.5), ('b', NULL, NULL, NULL)",
  )
  await place.settle()
}

/** Rows as they are, and what the connector knows of their columns. */
function withColumns(rows: unknown) {
  const { meta = [] } = rows as { meta?: { name(): string; table(): string; type: string; columnLength: number }[] }
  return [rows, [...meta].map((column) => [column.name(), column.table(), column.type, column.columnLength])]
}

const WORKS: Readonly<Record<string, (place: Place) => Promise<unknown>>> = {
  'results, columns and errors': (place) =>
    withConnection(place, {}, async (c) => {
      await begin(c, place)
      return [
        withColumns(await c.query('SELECT * FROM m ORDER BY id')),
        withColumns(await c.execute('SELECT m.*, ? AS x FROM m WHERE id > ? ORDER BY id', ['ü', 0])),
        await c.query("INSERT INTO m (s) VALUES ('c'), ('d')"),
        await c.execute('INSERT INTO m (s, n) VALUES (?, ?)', ['f', 2.25]),
        await c.query('UPDATE m SET n = 3 WHERE id > 2'),
        await failure(c.query("INSERT INTO m (s) VALUES ('c')")),
        await failure(c.execute('SELECT nosuch FROM m')),
        await failure(c.query('SELECT * FROM nosuch')),
        await failure(c.query('SELECT 1; SELECT 2')),
        await c.query({ sql: 'SELECT id, s FROM m ORDER BY id', rowsAsArray: true }),
        await c.query({ namedPlaceholders: true, sql: 'SELECT :a AS a, :b AS b' }, { a: 1, b: 'ß' }),
      ]
    }),

  'everything asked before anything is answered': (place) =>
    withConnection(place, { pipelining: true }, async (c) => {
      await begin(c, place)
      const asked: Promise<unknown>[] = []
      for (let n = 0; n < 30; n++) {
        asked.push(c.query('SELECT ? AS n', [n]), c.execute('SELECT ? AS prepared', [n]))
        if (n % 10 === 0)
          asked.push(failure(c.query('SELECT * FROM nosuch')), failure(c.execute('SELECT * FROM nosuch')))
        asked.push(c.query('INSERT INTO m (s) VALUES (?)', [`n${n}`]))
      }
      return Promise.all(asked)
    }),

  'transactions ahead of their answers': (place) =>
    withConnection(place, { pipelining: true }, async (c) => {
      await begin(c, place)
      const told = await Promise.all([
        c.beginTransaction(),
        c.query("INSERT INTO m (s) VALUES ('gone')"),
        c.query('SELECT COUNT(*) AS n FROM m'),
        c.rollback(),
        c.query('SELECT COUNT(*) AS n FROM m'),
        c.query("SET time_zone = '+04:00'"),
        c.query('SELECT @@time_zone AS z, FROM_UNIXTIME(0) AS t'),
      ])
      return told.map((answer) => answer ?? null)
    }),

  batches: (place) =>
    withConnection(place, {}, async (c) => {
      await begin(c, place)
      const rows = Array.from({ length: 500 }, (_, n) => [`batch ${n}`, n % 3 === 0 ? null : n])
      const told: unknown[] = [await c.batch('INSERT INTO m (s, n) VALUES (?, ?)', rows)]
      told.push(
        await c.batch('UPDATE m SET n = ? WHERE s = ?', [
          [7, 'batch 1'],
          [8, 'batch 2'],
          [9, 'none'],
        ]),
      )
      told.push(await failure(c.batch('INSERT INTO m (s) VALUES (?)', [['new'], ['batch 1']])))
      await place.settle()
      told.push(await c.query('SELECT COUNT(*) AS n, SUM(n) AS s FROM m'))
      return told
    }),

  'statements prepared once': (place) =>
    withConnection(place, {}, async (c) => {
      await begin(c, place)
      const read = await c.prepare('SELECT s FROM m WHERE id = ? OR s = ?')
      const write = await c.prepare('INSERT INTO m (s) VALUES (?)')
      const told: unknown[] = []
      for (const values of [
        [1, 'b'],
        [null, 'b'],
        [2, ''],
      ])
        told.push(await read.execute(values))
      for (const value of ['x', 'y', 'b']) told.push(await write.execute([value]).catch(({ errno }) => errno))
      read.close()
      write.close()
      told.push(await c.query('SELECT LAST_INSERT_ID() AS id'))
      return told
    }),

  'a result as a stream': (place) =>
    withConnection(place, {}, async (c) => {
      const sql =
        'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 100) ' +
        "SELECT a.n, REPEAT('x', 200) AS x FROM r AS a JOIN r AS b"
      let rows = 0
      for await (const row of c.queryStream(sql)) rows += (row as { x: string }).x.length
      return rows
    }),

  'long texts, compressed': (place) =>
    withConnection(place, { compress: true }, async (c) => {
      const [row] = await c.query('SELECT LENGTH(?) AS n, REPEAT("y", 2000000) AS y', ['x'.repeat(2 * MIB)])
      const [prepared] = await c.execute('SELECT ? AS x', ['z'.repeat(100_000)])
      return [row.n, row.y.length, prepared.x.length]
    }),

  'texts of 17 MiB': (place) =>
    withConnection(place, { maxAllowedPacket: 64 * MIB }, async (c) => {
      const [row] = await c.query('SELECT LENGTH(?) AS n', ['x'.repeat(17 * MIB)])
      return row
    }),

  'changing the user and resetting': (place) =>
    withConnection(place, {}, async (c) => {
      const ask = () => c.query('SELECT DATABASE() AS d, @a AS a, @@time_zone AS z, @@character_set_client AS c')
      const told: unknown[] = []
      const { user, password } = place.login
      // On MySQL the connector itself has no way to change the user, and must see that Sluice is no MariaDB.
      for (const forget of [() => c.changeUser({ user, password, database: 'app' }), () => c.reset()]) {
        await c.query("SET @a = 1, time_zone = '+02:00'")
        told.push(await ask())
        told.push(await failure(forget()), await ask())
      }
      return told
    }),

  'several statements': (place) =>
    withConnection(place, { multipleStatements: true }, (c) => c.query('SELECT 1 AS a; SELECT 2 AS b; SELECT 3 AS c')),

  'a file of statements': async (place) => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-import-'))
    try {
      const file = join(folder, 'import.sql')
      const inserts = Array.from({ length: 100 }, (_, n) => `INSERT INTO i VALUES (${n}, 'text; with ; ''ö'' ${n}');`)
      const head = 'DROP TABLE IF EXISTS i; CREATE TABLE i (n INT, s VARCHAR(60)); -- a comment; here\n'
      writeFileSync(file, head + inserts.join('\n'))
      await importFile({ ...options(place), file })
      await place.settle()
      return await withConnection(place, {}, (c) => c.query('SELECT COUNT(*) AS n, MAX(s) AS s FROM i'))
    } finally {
      await rm(folder, { recursive: true })
    }
  },

  'a pool': async (place) => {
    const pool = createPool({ ...options(place), connectionLimit: 3 } as never)
    try {
      return await Promise.all(Array.from({ length: 30 }, (_, n) => pool.query('SELECT ? AS n, @mine AS mine', [n])))
    } finally {
      await pool.end()
    }
  },
}

describeDrivers('mariadb_js', (stage) => {
  test.each(Object.entries(WORKS))('%s', async (_name, work) => {
    await expectSameWork(stage, work)
  })

  if (stage.engine === 'mysql') return

  test('a batch of three is executed once, on the writer', async () => {
    await withConnection(stage.through, {}, async (c) => {
      await begin(c, stage.through)
      await stage.cluster.watchStatements()
      await c.batch('INSERT INTO m (s) VALUES (?)', [['one'], ['two'], ['three']])
    })
    const seen = await stage.cluster.writer.statementsSeen()
    await stage.cluster.ignoreStatements()
    expect(seen.filter(({ text }) => /INSERT INTO m/.test(text)).map(({ command }) => command)).toEqual([
      'Prepare',
      'Execute',
    ])
  })
})
