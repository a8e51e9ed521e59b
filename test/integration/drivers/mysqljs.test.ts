// mysql (mysqljs), the driver that knows the oldest protocol only. MySQL 9 itself no longer lets it in for want of its
// password scheme; through Sluice it still gets in, and must be told the same as mysql2 is.

import { type Connection, type ConnectionConfig, createConnection, createPool, type MysqlError } from 'mysql'
import { createConnection as createMysql2, type RowDataPacket } from 'mysql2/promise'
import { describe, expect, test } from 'vitest'
import { describeDrivers, expectSameWork, failureOf, type Place } from '../../support/drivers.ts'

const options = ({ login, tls }: Place): ConnectionConfig => ({
  ...login,
  ...(tls ? { ssl: { rejectUnauthorized: false } } : {}),
})

type Done = (error: MysqlError | null, result?: unknown) => void

/** What the callback is called with: the result, or the error as a program sees it. */
function told(ask: (done: Done) => void): Promise<unknown> {
  return new Promise((resolve) => {
    ask((error, result) => resolve(error === null || error === undefined ? result : failureOf(error)))
  })
}

class Asking {
  readonly connection: Connection

  constructor(connection: Connection) {
    this.connection = connection
  }

  query(sql: string, values: readonly unknown[] = []): Promise<unknown> {
    return told((done) => this.connection.query(sql, [...values], done))
  }
}

async function withConnection<T>(place: Place, more: ConnectionConfig, work: (c: Asking) => Promise<T>): Promise<T> {
  const connection = createConnection({ ...options(place), ...more })
  try {
    return await work(new Asking(connection))
  } finally {
    connection.destroy()
  }
}

async function begin(c: Asking, place: Place): Promise<void> {
  await c.query('DROP TABLE IF EXISTS j')
  await c.query(
    'CREATE TABLE j (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(20) UNIQUE, b BLOB, t DATETIME, n DECIMAL(8,2))',
  )
  await c.query("INSERT INTO j (s, b, t, n) VALUES ('é', x'00FF', '2026-01-02 03:04:05', 1.5), ('b', NULL, NULL, NULL)")
  await place.settle()
}

const WORKS: Readonly<Record<string, (place: Place) => Promise<unknown>>> = {
  'results, columns and errors': (place) =>
    withConnection(place, {}, async (c) => {
      await begin(c, place)
      const columns = await new Promise((resolve) => {
        c.connection.query('SELECT * FROM j', (_error, _rows, fields) =>
          resolve(
            fields?.map(({ name, orgName, table, type, length, charsetNr }) => [
              name,
              orgName,
              table,
              type,
              length,
              charsetNr,
            ]),
          ),
        )
      })
      return [
        columns,
        await c.query('SELECT * FROM j ORDER BY id'),
        await c.query('SELECT ? AS a, ?? FROM j WHERE id IN (?)', ["it's", 's', [1, 2]]),
        await c.query("INSERT INTO j (s) VALUES ('c'), ('d')"),
        await c.query("INSERT IGNORE INTO j (s) VALUES ('c')"),
        await c.query('SHOW WARNINGS'),
        await c.query("UPDATE j SET n = 2 WHERE s IN ('c', 'd')"),
        await c.query("INSERT INTO j (s) VALUES ('c')"),
        await c.query('SELEC 1'),
        await c.query('SELECT * FROM nosuch'),
        await c.query('SELECT 1; SELECT 2'),
      ]
    }),

  'several statements and procedures': (place) =>
    withConnection(place, { multipleStatements: true }, async (c) => {
      await begin(c, place)
      await c.query('DROP PROCEDURE IF EXISTS jp')
      await c.query('CREATE PROCEDURE jp() BEGIN SELECT 1 AS one; SELECT s FROM j ORDER BY id; END')
      return [
        await c.query('SELECT 1 AS a; INSERT INTO j (s) VALUES (?); SELECT COUNT(*) AS n FROM j', ['x']),
        await c.query('CALL jp()'),
      ]
    }),

  'transactions, pings, statistics and other users': (place) =>
    withConnection(place, { dateStrings: true, charset: 'LATIN1_SWEDISH_CI', timezone: '+03:00' }, async (c) => {
      await begin(c, place)
      const { connection } = c
      return [
        await told((done) => connection.beginTransaction(done)),
        await c.query("INSERT INTO j (s) VALUES ('gone')"),
        await c.query('SELECT COUNT(*) AS n FROM j'),
        await told((done) => connection.rollback(done)),
        await c.query("SELECT COUNT(*) AS n, MAX(t) AS t, HEX('é') AS h, @@character_set_client AS c FROM j"),
        await told((done) => connection.ping(done)),
        Object.keys((await told((done) => connection.statistics(done))) as object).length > 3,
        await c.query('SET @a = 1'),
        await told((done) => connection.changeUser({ database: 'app' }, done)),
        await c.query('SELECT DATABASE() AS d, @a AS a, CURRENT_USER() AS u'),
      ]
    }),

  'a stream, paused now and then': (place) =>
    withConnection(place, {}, async ({ connection }) => {
      const sql =
        'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 100) ' +
        "SELECT a.n, REPEAT('x', 200) AS x FROM r AS a JOIN r AS b"
      return new Promise((resolve, reject) => {
        let rows = 0
        connection
          .query(sql)
          .on('error', reject)
          .on('result', () => {
            if (++rows % 1_000 !== 0) return
            connection.pause()
            setImmediate(() => connection.resume())
          })
          .on('end', () => resolve(rows))
      })
    }),

  'a pool': async (place) => {
    const pool = createPool({ ...options(place), connectionLimit: 3 })
    const ask = (n: number) => told((done) => pool.query('SELECT ? AS n, DATABASE() IS NULL AS nowhere', [n], done))
    try {
      return await Promise.all(Array.from({ length: 20 }, (_, n) => ask(n)))
    } finally {
      await told((done) => pool.end(done))
    }
  },
}

describeDrivers('mysqljs', (stage) => {
  if (stage.engine === 'mariadb') {
    test.each(Object.entries(WORKS))('%s', async (_name, work) => {
      await expectSameWork(stage, work)
    })
    return
  }

  describe('which the server itself refuses', () => {
    test.each(Object.entries(WORKS))('%s, all without an error of ours', async (_name, work) => {
      const text = JSON.stringify(await work(stage.through))
      expect(text).not.toMatch(/"errno":9\d\d\d|"fatal":true|PROTOCOL_|HANDSHAKE/)
    })

    test('reads what mysql2 reads', async () => {
      const asked = 'SELECT id, s, HEX(b) AS b, n FROM j ORDER BY id'
      const rows = await withConnection(stage.through, {}, async (c) => {
        await begin(c, stage.through)
        return c.query(asked)
      })
      const direct = await createMysql2({ ...stage.direct.login, ssl: { rejectUnauthorized: false } })
      const [expected] = await direct.query<RowDataPacket[]>(asked)
      await direct.end()
      expect(expected).toHaveLength(2)
      expect(JSON.parse(JSON.stringify(rows))).toEqual(
        expected.map((row) => ({ ...row, n: row.n === null ? null : Number(row.n) })),
      )
    })
  })
})
