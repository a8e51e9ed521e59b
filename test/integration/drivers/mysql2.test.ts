// mysql2 in its many ways of use: what it tells on the writer it tells through Sluice.

import { Readable } from 'node:stream'
import mysql2 from 'mysql2'
import {
  type Connection,
  type ConnectionOptions,
  createConnection,
  createPool,
  type FieldPacket,
  type RowDataPacket,
} from 'mysql2/promise'
import { expect, test } from 'vitest'
import { describeDrivers, expectSameWork, failure, failureOf, type Place } from '../../support/drivers.ts'

type Rows = RowDataPacket[]
const MIB = 1024 * 1024
const TABLE =
  'CREATE TABLE d (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, s VARCHAR(60) UNIQUE, n DECIMAL(10,2), f DOUBLE, big BIGINT, ' +
  "b BLOB, t DATETIME(3), d DATE, y YEAR, j JSON, e ENUM('a', 'b'), bits BIT(9)) CHARACTER SET utf8mb4"

const options = ({ login, tls }: Place): ConnectionOptions => ({
  ...login,
  ...(tls ? { ssl: { rejectUnauthorized: false } } : {}),
})

async function withConnection<T>(place: Place, more: ConnectionOptions, work: (c: Connection) => Promise<T>) {
  const connection = await createConnection({ ...options(place), ...more })
  try {
    return await work(connection)
  } finally {
    await connection.end()
  }
}

const columns = (fields: FieldPacket[]) =>
  fields.map(({ name, orgName, table, orgTable, db, columnType, flags, decimals, columnLength, characterSet }) => ({
    ...{ name, orgName, table, orgTable, db, columnType, flags, decimals, columnLength, characterSet },
  }))

async function begin(connection: Connection, place: Place): Promise<void> {
  await connection.query('DROP TABLE IF EXISTS d')
  await connection.query(TABLE)
  await connection.query(
    "INSERT INTO d (s, n, f, big, b, t, d, y, j, e, bits) VALUES ('é日本', 1.50, 2.5e10, 9007199254740993, x'00FF', " +
      "'2026-01-02 03:04:05.678', '2026-01-02', 2026, '{\"a\": [1]}', 'b', b'101'), ('b', NULL, NULL, -1, '', " +
      "'1970-01-01 00:00:01', '1000-01-01', 1970, '[]', NULL, NULL)",
  )
  await place.settle()
}

const WORKS: Readonly<Record<string, (place: Place) => Promise<unknown>>> = {
  'results and their columns': (place) =>
    withConnection(place, {}, async (c) => {
      await begin(c, place)
      const [rows, fields] = await c.query<Rows>('SELECT * FROM d ORDER BY id')
      const [prepared, types] = await c.execute<Rows>('SELECT d.*, ? AS given FROM d ORDER BY id', ['ü'])
      const [empty, none] = await c.query<Rows>('SELECT s AS nothing FROM d WHERE id = 77')
      return [rows, columns(fields), prepared, columns(types), empty, columns(none)]
    }),

  'insert ids, affected rows, warnings and texts': (place) =>
    withConnection(place, {}, async (c) => {
      await begin(c, place)
      const told: unknown[] = []
      for (const sql of [
        "INSERT INTO d (s) VALUES ('c'), ('d')",
        "INSERT INTO d (s) VALUES ('c') ON DUPLICATE KEY UPDATE n = 7",
        "INSERT IGNORE INTO d (s, n) VALUES ('c', 1), ('x', 'no number')",
        "UPDATE d SET n = 7 WHERE s IN ('c', 'd')",
        "REPLACE INTO d (s, n) VALUES ('c', 8)",
        'DELETE FROM d WHERE id > 2',
        'DROP TABLE IF EXISTS nosuch',
      ]) {
        told.push((await c.query(sql))[0], (await c.query('SHOW WARNINGS'))[0])
      }
      told.push((await c.execute('INSERT INTO d (s) VALUES (?)', ['prepared']))[0])
      told.push((await c.query('SELECT LAST_INSERT_ID() AS id, ROW_COUNT() AS n'))[0])
      return told
    }),

  'affected rows as changed rows': (place) =>
    withConnection(place, { flags: ['-FOUND_ROWS'] }, async (c) => {
      await begin(c, place)
      return [(await c.query('UPDATE d SET s = s'))[0], (await c.execute('UPDATE d SET n = ? WHERE id = 1', [9]))[0]]
    }),

  errors: (place) =>
    withConnection(place, { multipleStatements: true }, async (c) => {
      await begin(c, place)
      return [
        await failure(c.query('SELEC 1')),
        await failure(c.query('SELECT * FROM nosuch')),
        await failure(c.execute('SELECT nosuch FROM d')),
        await failure(c.query("INSERT INTO d (s) VALUES ('b')")),
        await failure(c.execute('INSERT INTO d (id, s) VALUES (?, ?)', [1, 'z'])),
        await failure(c.query("INSERT INTO d (s) VALUES (REPEAT('x', 61))")),
        await failure(c.query("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine', MYSQL_ERRNO = 30001")),
        await failure(c.query('SELECT 1; SELECT * FROM nosuch; SELECT 3')),
        await failure(c.query('KILL 4294967295')),
        (await c.query('SELECT 1 AS alive'))[0],
      ]
    }),

  'logins that fail': async (place) => {
    const attempt = (more: ConnectionOptions) => failure(createConnection({ ...options(place), ...more }))
    return [await attempt({ password: 'wrong' }), await attempt({ user: 'nobody' }), await attempt({ password: '' })]
  },

  'a login to a schema that is not there': async (place) =>
    failure(createConnection({ ...options(place), database: 'nosuch' })),

  transactions: (place) =>
    withConnection(place, {}, async (c) => {
      await begin(c, place)
      const told: unknown[] = []
      const count = async () => told.push((await c.query('SELECT COUNT(*) AS n FROM d'))[0])
      await c.beginTransaction()
      await c.query("INSERT INTO d (s) VALUES ('gone')")
      await count()
      await c.rollback()
      await count()
      await c.query('SET autocommit = 0')
      await c.execute('INSERT INTO d (s) VALUES (?)', ['kept'])
      await count()
      await c.commit()
      await c.query('SET autocommit = 1')
      await place.settle()
      await count()
      return told
    }),

  'statements prepared once, run often, more than the driver keeps': (place) =>
    withConnection(place, { maxPreparedStatements: 3 }, async (c) => {
      await begin(c, place)
      const told: unknown[] = []
      const statement = await c.prepare('SELECT s FROM d WHERE id = ? OR s = ?')
      for (const values of [
        [1, 'b'],
        [null, 'b'],
        [2, null],
      ])
        told.push((await statement.execute(values))[0])
      for (let turn = 0; turn < 3; turn++) {
        for (const n of [1, 2, 3, 4, 5]) told.push((await c.execute(`SELECT ${n} + ? AS n FROM d`, [turn]))[0])
      }
      // The driver itself has closed the first of them by now.
      told.push(Array.isArray(await statement.execute([1, '']).catch(failureOf)))
      const dates = [new Date(86_400_000), Buffer.from([0, 255]), true, 12.5, 'ß', null]
      told.push((await c.execute('SELECT ? AS a, HEX(?) AS b, ? AS c, ? AS d, ? AS e, ? AS f', dates))[0])
      return told
    }),

  'named placeholders, arrays, dates as texts, big numbers': (place) =>
    withConnection(
      place,
      { namedPlaceholders: true, dateStrings: true, supportBigNumbers: true, bigNumberStrings: true },
      async (c) => {
        await begin(c, place)
        return [
          (await c.query('SELECT * FROM d WHERE s = :name', { name: 'b' }))[0],
          (await c.execute('SELECT s, :word AS w, big FROM d WHERE id = :id', { id: 1, word: 'ä' }))[0],
          (await c.query({ sql: 'SELECT id, s FROM d ORDER BY id', rowsAsArray: true }))[0],
          (await c.query({ sql: 'SELECT d.s, e.s FROM d JOIN d AS e USING (id) ORDER BY d.id', nestTables: true }))[0],
          (await c.query('SELECT id FROM d WHERE id IN (?) ORDER BY id', [[1, 2]]))[0],
        ]
      },
    ),

  'time zones of driver and session': (place) =>
    withConnection(place, { timezone: '+05:00' }, async (c) => {
      await c.query("SET time_zone = '+05:00'")
      const told: unknown[] = []
      for (let turn = 0; turn < 3; turn++) {
        told.push((await c.query('SELECT FROM_UNIXTIME(0) AS t, @@time_zone AS z, ? AS d', [new Date(0)]))[0])
        told.push((await c.execute('SELECT FROM_UNIXTIME(0) AS t, CAST(? AS DATETIME) AS d', [new Date(0)]))[0])
      }
      return told
    }),

  'character sets': async (place) => {
    const told: unknown[] = []
    for (const charset of ['UTF8MB4_BIN', 'LATIN1_SWEDISH_CI', 'GBK_CHINESE_CI', 'UTF8MB4_UNICODE_CI']) {
      await withConnection(place, { charset }, async (c) => {
        const sql =
          "SELECT 'é' AS e, HEX('é') AS h, COLLATION('x') AS c, CHARSET('x') AS s, @@character_set_results AS r"
        for (let turn = 0; turn < 3; turn++) told.push((await c.query(sql))[0])
        told.push((await c.execute('SELECT HEX(?) AS h, ? AS s', ['é', 'é']))[0])
      })
    }
    return told
  },

  'several statements and procedures': (place) =>
    withConnection(place, { multipleStatements: true }, async (c) => {
      await begin(c, place)
      await c.query('DROP PROCEDURE IF EXISTS p')
      await c.query('CREATE PROCEDURE p(IN a INT) BEGIN SELECT a AS a; SELECT s FROM d ORDER BY id; END')
      return [
        (await c.query('SELECT 1 AS a; SELECT 2 AS b; SELECT * FROM d WHERE id = 77'))[0],
        (await c.query("INSERT INTO d (s) VALUES ('m'); SELECT COUNT(*) AS n FROM d; SET @x = 5; SELECT @x AS x"))[0],
        (await c.query('CALL p(5)'))[0],
        (await c.execute('CALL p(?)', [6]))[0],
        (await c.query('SELECT @x AS x'))[0],
      ]
    }),

  'one statement only, unless asked for': (place) =>
    withConnection(place, {}, async (c) => [
      await failure(c.query('SELECT 1; SELECT 2')),
      (await c.query('SELECT 1 AS a;'))[0],
    ]),

  'streams, read slowly': (place) =>
    new Promise((resolve, reject) => {
      const c = mysql2.createConnection(options(place) as mysql2.ConnectionOptions)
      const sql =
        'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 900) ' +
        "SELECT a.n, REPEAT('x', 200) AS x FROM r AS a JOIN r AS b ON b.n <= 20"
      let rows = 0
      let sum = 0
      const rowStream = c.query(sql).stream({ highWaterMark: 4 })
      rowStream.on('data', (row: { n: number }) => {
        rows++
        sum += row.n
        if (rows % 1000 !== 0) return
        rowStream.pause()
        setImmediate(() => rowStream.resume())
      })
      rowStream.on('error', reject)
      rowStream.on('end', () => c.end(() => resolve([rows, sum])))
    }),

  'callbacks, several asked before the first is answered': (place) =>
    new Promise((resolve) => {
      const c = mysql2.createConnection(options(place) as mysql2.ConnectionOptions)
      const told: unknown[] = []
      for (let n = 0; n < 20; n++) c.query('SELECT ? AS n', [n], (_error, rows) => told.push(rows))
      c.query('SELECT * FROM nosuch', (error) => told.push(failureOf(error)))
      c.execute('SELECT ? AS last', ['x'], (_error, rows) => told.push(rows))
      c.ping(() => c.end(() => resolve(told)))
    }),

  'texts of 17 MiB, there and back': (place) =>
    withConnection(place, {}, async (c) => {
      const big = 'x'.repeat(17 * MIB)
      const [[row]] = await c.query<Rows>("SELECT LENGTH(?) AS n, REPEAT('y', 17825792) AS y, 'after' AS z", [big])
      const [[next]] = await c.query<Rows>('SELECT 1 AS n')
      return [row!.n, row!.y === 'y'.repeat(17 * MIB), row!.z, next]
    }),

  'values of 17 MiB for a prepared statement': (place) =>
    withConnection(place, {}, async (c) => (await c.execute('SELECT LENGTH(?) AS n', [Buffer.alloc(17 * MIB, 1)]))[0]),

  compression: (place) =>
    withConnection(place, { compress: true } as ConnectionOptions, async (c) => {
      await begin(c, place)
      const [[row]] = await c.query<Rows>('SELECT REPEAT("z", 3000000) AS z, LENGTH(?) AS n', ['q'.repeat(2_000_000)])
      const [rows] = await c.execute('SELECT * FROM d WHERE id = ?', [1])
      return [row!.z === 'z'.repeat(3_000_000), row!.n, rows, await failure(c.query('SELECT * FROM nosuch'))]
    }),

  'changing the user forgets the session': (place) =>
    withConnection(place, {}, async (c) => {
      await begin(c, place)
      const ask = async () =>
        (
          await c.query('SELECT DATABASE() AS d, @a AS a, @@time_zone AS z, LAST_INSERT_ID() AS i, CURRENT_USER() AS u')
        )[0]
      await c.query("SET @a = 1, time_zone = '+02:00'")
      await c.query('CREATE TEMPORARY TABLE tmp (id INT)')
      await c.query("INSERT INTO d (s) VALUES ('id')")
      const before = await ask()
      await c.changeUser({ database: 'app' })
      const after = await ask()
      const gone = await failure(c.query('SELECT * FROM tmp'))
      await c.changeUser({ database: place.login.database, charset: 'LATIN1_SWEDISH_CI' } as ConnectionOptions)
      const [latin] = await c.query('SELECT @@character_set_client AS c, DATABASE() AS d')
      return [before, after, gone, latin]
    }),

  'resetting the connection': (place) =>
    withConnection(place, {}, async (c) => {
      await c.query("SET @a = 1, time_zone = '+02:00'")
      await c.query('SELECT GET_LOCK("mysql2 reset", 1)')
      await (c as Connection & { reset(): Promise<void> }).reset()
      return (await c.query("SELECT @a AS a, @@time_zone AS z, DATABASE() AS d, IS_FREE_LOCK('mysql2 reset') AS f"))[0]
    }),

  'an upload out of a stream': (place) =>
    withConnection(place, {}, async (c) => {
      await c.query('DROP TABLE IF EXISTS l')
      await c.query('CREATE TABLE l (a INT, b VARCHAR(40))')
      const lines = Array.from({ length: 500 }, (_, at) => Buffer.from(`${at}\trow ${at}\n`))
      const [loaded] = await c.query({
        sql: "LOAD DATA LOCAL INFILE 'some name' INTO TABLE l",
        infileStreamFactory: () => Readable.from(lines),
      })
      await place.settle()
      return [loaded, (await c.query('SELECT COUNT(*) AS n, SUM(a) AS s, MAX(b) AS b FROM l'))[0]]
    }),

  'a pool, busier than it is large': async (place) => {
    const pool = createPool({ ...options(place), connectionLimit: 4 })
    try {
      await pool.query('DROP TABLE IF EXISTS q')
      await pool.query('CREATE TABLE q (n INT PRIMARY KEY)')
      await Promise.all(Array.from({ length: 40 }, (_, n) => pool.execute('INSERT INTO q VALUES (?)', [n])))
      await place.settle()
      const reads = await Promise.all(
        Array.from({ length: 60 }, async (_, n) => (await pool.query('SELECT n FROM q WHERE n = ?', [n]))[0]),
      )
      const transactions = await Promise.all(
        Array.from({ length: 12 }, async (_, n) => {
          const c = await pool.getConnection()
          await c.beginTransaction()
          await c.query('UPDATE q SET n = n + 1000 WHERE n = ?', [n])
          const [rows] = await c.query('SELECT n FROM q WHERE n = ?', [n + 1000])
          await (n % 2 === 0 ? c.commit() : c.rollback())
          c.release()
          return rows
        }),
      )
      await place.settle()
      return [reads, transactions, (await pool.query('SELECT COUNT(*) AS n, SUM(n) AS s FROM q'))[0]]
    } finally {
      await pool.end()
    }
  },

  'cancelling a statement from another connection': (place) =>
    withConnection(place, {}, (c) =>
      withConnection(place, {}, async (other) => {
        let answer: string | null = null
        // Hit before it has begun to sleep it fails, afterwards it tells that it was woken: either will do.
        c.query<Rows>('SELECT SLEEP(20) AS interrupted').then(
          ([[row]]) => {
            answer = row!.interrupted === 1 ? 'interrupted' : 'slept'
          },
          ({ errno }: { errno: number }) => {
            answer = errno === 1317 ? 'interrupted' : `failed with ${errno}`
          },
        )
        while (answer === null) await other.query(`KILL QUERY ${c.threadId}`)
        return [answer, (await c.query('SELECT 1 AS alive'))[0]]
      }),
    ),
}

describeDrivers('mysql2', (stage) => {
  test.each(Object.entries(WORKS))('%s', async (_name, work) => {
    await expectSameWork(stage, work)
  })

  test('is served with TLS exactly when it was asked to be', async () => {
    await withConnection(stage.through, {}, async (c) => {
      const [[row]] = await c.query<Rows>("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
      expect(row!.Value !== '').toBe(stage.tls)
    })
  })
})
