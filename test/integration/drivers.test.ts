// Real drivers and programs: what they do directly they do through Sluice, with TLS and without.

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import mariadb from 'mariadb'
import mysqljs from 'mysql'
import mysql2 from 'mysql2'
import mysql2promise, { type RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tool } from '../../src/lab/index.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const run = promisify(execFile)
const MIB = 1024 * 1024

/** The same work on a connection to the port, whoever listens there. */
type Work = (
  login: { host: string; port: number; user: string; password: string; database: string },
  tls: boolean,
) => Promise<unknown>

const TABLE =
  'CREATE TABLE d (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(60), n DECIMAL(10,2), b BLOB, t DATETIME(3))'
const told = (error: unknown) => {
  const { code, errno, sqlState } = error as { code: string; errno: number; sqlState: string }
  return { code, errno, sqlState }
}

const WORKS: readonly (readonly [string, Work])[] = [
  [
    'mysql2, promises',
    async (login, tls) => {
      const c = await mysql2promise.createConnection({
        ...login,
        ...(tls ? { ssl: { rejectUnauthorized: false } } : {}),
      })
      const told2: unknown[] = []
      await c.query('DROP TABLE IF EXISTS d')
      await c.query(TABLE)
      const [insert] = await c.execute('INSERT INTO d (s, n, b, t) VALUES (?, ?, ?, ?)', [
        'é日本',
        1.5,
        Buffer.from([0, 255]),
        '2026-01-02 03:04:05.678',
      ])
      told2.push(insert)
      told2.push((await c.query('/* sluice:writer */ SELECT * FROM d'))[0])
      told2.push((await c.execute('/* sluice:writer */ SELECT s, n FROM d WHERE id = ?', [1]))[0])
      told2.push(await c.query('SELECT * FROM nosuch').catch(told))
      told2.push(await c.execute('INSERT INTO d (id) VALUES (?)', [1]).catch(told))
      await c.beginTransaction()
      await c.query("INSERT INTO d (s) VALUES ('gone')")
      await c.rollback()
      told2.push((await c.query('/* sluice:writer */ SELECT COUNT(*) AS n FROM d'))[0])
      await c.changeUser({ database: login.database })
      told2.push((await c.query('SELECT DATABASE() AS d'))[0])
      const big = 'x'.repeat(17 * MIB)
      const [[row]] = await c.query<RowDataPacket[]>('SELECT LENGTH(?) AS n, REPEAT("y", 17000000) AS y', [big])
      told2.push(row!.n, (row!.y as string).length)
      await c.end()
      return told2
    },
  ],
  [
    'mysql2, callbacks, a stream and several statements',
    (login) =>
      new Promise((resolve, reject) => {
        const c = mysql2.createConnection({ ...login, multipleStatements: true })
        c.query('SELECT 1 AS a; SELECT 2 AS b', (error, results) => {
          if (error !== null) return reject(error)
          let rows = 0
          c.query('WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 900) SELECT n FROM r')
            .stream()
            .on('data', () => rows++)
            .on('error', reject)
            .on('end', () => c.end(() => resolve([results, rows])))
        })
      }),
  ],
  [
    'mysqljs',
    (login) =>
      new Promise((resolve, reject) => {
        const c = mysqljs.createConnection({ ...login, multipleStatements: true })
        c.query('SELECT ? AS a, NOW(3) > "2020-01-01" AS b; SELECT 1/0 AS c', ['é'], (error, results) => {
          if (error !== null) return reject(error)
          c.changeUser({ database: login.database }, (failed) => {
            if (failed) return reject(failed)
            c.query('SELECT * FROM nosuch', (missing) => c.end(() => resolve([results, told(missing)])))
          })
        })
      }),
  ],
  [
    'the mariadb connector, pipelining and batches',
    async (login) => {
      const c = await mariadb.createConnection({ ...login, allowPublicKeyRetrieval: true })
      await c.query('DROP TABLE IF EXISTS m')
      await c.query('CREATE TABLE m (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(20))')
      const batch = await c.batch('INSERT INTO m (s) VALUES (?)', [['a'], ['b'], ['ü']])
      const together = await Promise.all([1, 2, 3].map((n) => c.query('SELECT ? AS n', [n])))
      const prepared = await c.execute('/* sluice:writer */ SELECT s FROM m WHERE id > ? ORDER BY id', [1])
      await c.end()
      return JSON.stringify([batch, together, prepared], (_key, value) =>
        typeof value === 'bigint' ? Number(value) : value,
      )
    },
  ],
  [
    'mysql2, compressed',
    async (login) => {
      const c = await mysql2promise.createConnection({ ...login, compress: true } as mysql2promise.ConnectionOptions)
      const [[row]] = await c.query<RowDataPacket[]>('SELECT REPEAT("z", 3000000) AS z')
      await c.end()
      return (row!.z as string).length
    },
  ],
]

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `drivers_${engine}`
  const folder = mkdtempSync(join(tmpdir(), 'sluice-drivers-'))
  let sluice: RunningSluice
  const loginTo = (port: number) => ({ host: '127.0.0.1', port, user: 'app', password: 'app_pw', database: schema })

  beforeAll(async () => {
    await cluster.writer.ask(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
    await cluster.writer.ask('SET GLOBAL local_infile = ON')
    for (const server of cluster.servers) await server.ask('SET GLOBAL max_allowed_packet = 64 * 1024 * 1024')
    await cluster.settle()
    sluice = await startSluice({ seeds: cluster.seeds })
  })
  afterAll(async () => {
    await sluice.stop()
    await cluster.writer.ask(`DROP DATABASE ${schema}`)
    rmSync(folder, { recursive: true, force: true })
  })

  // MySQL 9 itself no longer lets mysqljs in, for want of its password scheme; through Sluice it still gets in.
  const works = WORKS.filter(([name]) => engine === 'mariadb' || name !== 'mysqljs')

  test.each(works)('%s', async (_name, work) => {
    for (const tls of [false, true]) {
      expect(await work(loginTo(sluice.port), tls)).toEqual(await work(loginTo(cluster.writerPort), tls))
    }
  })

  if (engine === 'mysql') {
    test('mysqljs, which the server itself would refuse', async () => {
      const [, work] = WORKS.find(([name]) => name === 'mysqljs')!
      const [, error] = (await work(loginTo(sluice.port), false)) as [unknown, { code: string }]
      expect(error.code).toBe('ER_NO_SUCH_TABLE')
    })
  }

  describe.each(['mysql', 'mariadb'] as const)('the %s command line', (program) => {
    const options = (port: number) => ['--no-defaults', '-h127.0.0.1', `-P${port}`, '-uapp', '-papp_pw', schema]

    test('answers the same', async () => {
      const path = await tool(program)
      const sql = "SELECT 1 AS one, 'é' AS e; SHOW TABLES LIKE 'nothing'; SELECT DATABASE(); SHOW WARNINGS"
      const ask = async (port: number) => (await run(path, [...options(port), '-t', '-e', sql])).stdout
      expect(await ask(sluice.port)).toBe(await ask(cluster.writerPort))
    })

    test('uploads a file that only the client has', async () => {
      const path = await tool(program)
      const file = join(folder, `${program}.tsv`)
      writeFileSync(file, Array.from({ length: 60_000 }, (_, at) => `${at}\tsome text for row ${at}\n`).join(''))
      const sql = `DROP TABLE IF EXISTS l; CREATE TABLE l (a INT, b VARCHAR(60)); LOAD DATA LOCAL INFILE '${file}' INTO TABLE l; BEGIN; SELECT COUNT(*), SUM(a), MAX(b) FROM l; COMMIT`
      const { stdout } = await run(path, [...options(sluice.port), '--local-infile=1', '-N', '-e', sql])
      expect(stdout.trim()).toBe('60000\t1799970000\tsome text for row 9999')
    })
  })

  test('a dump is the same', async () => {
    const path = await tool(engine === 'mysql' ? 'mysqldump' : 'mariadb-dump')
    const dump = async (port: number) => {
      const flags = [
        '--no-defaults',
        '-h127.0.0.1',
        `-P${port}`,
        '-uapp',
        '-papp_pw',
        '--single-transaction',
        '--skip-dump-date',
      ]
      const extra = engine === 'mysql' ? ['--set-gtid-purged=OFF', '--no-tablespaces'] : []
      return (await run(path, [...flags, ...extra, schema], { maxBuffer: 64 * MIB })).stdout
    }
    expect(await dump(sluice.port)).toBe(await dump(cluster.writerPort))
  })

  test('PyMySQL', async () => {
    const python = await tool('python3')
    const script = `
import pymysql, sys
c = pymysql.connect(host='127.0.0.1', port=int(sys.argv[1]), user='app', password='app_pw', database='${schema}')
k = c.cursor()
k.execute('DROP TABLE IF EXISTS p'); k.execute('CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(20))')
k.execute("INSERT INTO p (s) VALUES (%s), (%s)", ('ä', 'b')); print(k.rowcount, k.lastrowid)
k.execute('SELECT * FROM p'); print(k.fetchall())
c.rollback(); k.execute('SELECT COUNT(*) FROM p'); print(k.fetchall()); c.commit()
c.autocommit(True); k.execute("INSERT INTO p (s) VALUES ('c')"); print(k.lastrowid)
try: k.execute('SELECT * FROM nosuch')
except pymysql.err.ProgrammingError as e: print(e.args)
c.select_db('mysql'); k.execute('SELECT DATABASE()'); print(k.fetchall())
c.ping(); c.close()
`
    const ask = async (port: number) => (await run(python, ['-c', script, String(port)])).stdout
    expect(await ask(sluice.port)).toBe(await ask(cluster.writerPort))
  })

  describe('sysbench', () => {
    const flags = (port: number) => [
      '--db-driver=mysql',
      '--mysql-host=127.0.0.1',
      `--mysql-port=${port}`,
      '--mysql-user=app',
      '--mysql-password=app_pw',
      `--mysql-db=${schema}`,
      '--tables=1',
      '--table-size=2000',
      '--threads=8',
      '--time=2',
      '--mysql-ignore-errors=1213',
    ]

    beforeAll(async () => {
      await run(await tool('sysbench'), ['oltp_common', ...flags(cluster.writerPort), 'prepare'].slice(0))
      await cluster.settle()
    })

    test.each([
      ['oltp_point_select', 'auto'],
      ['oltp_point_select', 'disable'],
      ['oltp_read_write', 'auto'],
      ['oltp_read_write', 'disable'],
    ])('%s with prepared statements %s runs without an error', async (work, prepared) => {
      const { stdout } = await run(await tool('sysbench'), [
        work,
        ...flags(sluice.port),
        `--db-ps-mode=${prepared}`,
        'run',
      ])
      expect(/transactions:\s+[1-9]\d*/.test(stdout)).toBe(true)
      expect(stdout).toMatch(/reconnects:\s+0 /)
    })
  })
})
