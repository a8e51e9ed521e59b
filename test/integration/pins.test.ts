// Pins end as early as they truthfully can, and never earlier.

import mysql2, { type Connection } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const SCHEMA = 'pins'

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  let sluice: RunningSluice | null = null
  const open: Connection[] = []

  beforeAll(async () => {
    await cluster.writer.ask(`DROP DATABASE IF EXISTS ${SCHEMA}`)
    await cluster.writer.ask(`DROP DATABASE IF EXISTS ${SCHEMA}_2`)
    await cluster.writer.ask(`CREATE DATABASE ${SCHEMA}`)
    await cluster.writer.ask(`CREATE DATABASE ${SCHEMA}_2`)
    await cluster.settle()
    sluice = await startSluice({ seeds: cluster.seeds })
  })
  afterEach(async () => {
    for (const connection of open.splice(0)) await connection.end()
  })
  afterAll(() => sluice?.stop())

  async function connect(): Promise<Connection> {
    const login = { host: '127.0.0.1', user: 'app', password: 'app_pw', database: SCHEMA, multipleStatements: true }
    const connection = await mysql2.createConnection({ ...login, port: sluice!.port })
    open.push(connection)
    return connection
  }

  /** The pins of the only session. */
  const pins = () =>
    sluice!.proxy.snapshots
      .sessions()
      .flatMap((session) => session.pins)
      .filter(({ reason }) => reason !== 'diagnostics')
  const held = () => pins().map(({ reason, names }) => `${reason}: ${[...names.keys()].sort().join(', ')}`)

  /** What was left to do when a statement had been answered is done before the next one. */
  const settled = (connection: Connection) => connection.query('DO 0')

  test.each<readonly [name: string, steps: readonly (readonly [sql: string, pins: readonly string[]])[]]>([
    [
      'a lock taken and released',
      [
        ["SELECT GET_LOCK('Pin a', 0)", ['advisory-lock: Pin a']],
        ['SELECT 1', ['advisory-lock: Pin a']],
        ["SELECT RELEASE_LOCK('PIN A')", engine === 'mysql' ? [] : ['advisory-lock: Pin a']],
        ["SELECT RELEASE_LOCK('Pin a')", []],
      ],
    ],
    [
      'a lock taken twice over',
      [
        ["SELECT GET_LOCK('a', 0), GET_LOCK('a', 0)", ['advisory-lock: a']],
        ["SELECT RELEASE_LOCK('a')", ['advisory-lock: a']],
        ["SELECT RELEASE_LOCK('a')", []],
      ],
    ],
    [
      'a lock taken as often as there are rows',
      [
        ["SELECT GET_LOCK('a', 0) FROM (SELECT 1 UNION SELECT 2) AS t", ['advisory-lock: a']],
        ["SELECT RELEASE_LOCK('a')", ['advisory-lock: a']],
        ["SELECT RELEASE_LOCK('a') FROM (SELECT 1 UNION SELECT 2) AS t", []],
      ],
    ],
    [
      'a lock released by a name that only the server works out',
      [
        ["SELECT GET_LOCK('a', 0), GET_LOCK('b', 0)", ['advisory-lock: a, b']],
        ["SELECT RELEASE_LOCK(CONCAT('a', ''))", ['advisory-lock: b']],
        ["SELECT RELEASE_LOCK(CONCAT('x', ''))", ['advisory-lock: b']],
        ["SELECT IF(1, RELEASE_LOCK('b'), 0)", []],
      ],
    ],
    [
      'a lock of a name that only the server knows',
      [
        ["SELECT GET_LOCK(CONCAT('a', ''), 0), GET_LOCK('b', 0)", ['advisory-lock: (unknown), b']],
        ["SELECT RELEASE_LOCK('b')", ['advisory-lock: (unknown)']],
        ["SELECT RELEASE_LOCK('a')", ['advisory-lock: (unknown)']],
        ['SELECT RELEASE_ALL_LOCKS()', []],
      ],
    ],
    [
      'a lock released in a text of several statements',
      [
        ["SELECT GET_LOCK('a', 0); SELECT 1", ['advisory-lock: a']],
        ["SELECT 2; DO RELEASE_LOCK('a')", []],
      ],
    ],
    [
      'a temporary table by its schema',
      [
        ['CREATE TEMPORARY TABLE t (a INT)', ['temporary-table: pins.t']],
        ['USE pins_2', ['temporary-table: pins.t']],
        ['DROP TABLE IF EXISTS t', ['temporary-table: pins.t']],
        ['CREATE TEMPORARY TABLE t (a INT)', ['temporary-table: pins.t, pins_2.t']],
        ['DROP TABLE t', ['temporary-table: pins.t']],
        ['DROP TABLE pins.t', []],
      ],
    ],
    [
      'a temporary table whose schema the text itself says',
      [
        ['USE pins_2; CREATE TEMPORARY TABLE t (a INT); USE pins', ['temporary-table: pins_2.t']],
        ['DROP TABLE IF EXISTS t', ['temporary-table: pins_2.t']],
        ['ALTER TABLE pins_2.t RENAME u', ['temporary-table: pins.u']],
        ['DROP TABLE u', []],
      ],
    ],
  ])('%s', async (_name, steps) => {
    const connection = await connect()
    for (const [sql, expected] of steps) {
      await connection.query(sql)
      await settled(connection)
      expect([sql, held()]).toEqual([sql, expected])
    }
  })

  test('a transaction that a statement began before it failed', async () => {
    const connection = await connect()
    const after = async (sql: string, errno: number | null) => {
      const error = await connection.query(sql).then(
        () => null,
        (reason) => reason.errno,
      )
      expect([sql, error]).toEqual([sql, errno])
      await settled(connection)
      return held()
    }
    await after('CREATE TABLE once (id INT PRIMARY KEY)', null)
    expect(await after('INSERT INTO once VALUES (1)', null)).toEqual([])
    expect(await after('INSERT INTO once VALUES (1)', 1062)).toEqual([])
    expect(await after('BEGIN; INSERT INTO once VALUES (1)', 1062)).toEqual(['transaction: '])
    expect(await after('ROLLBACK', null)).toEqual([])
    expect(await after('SET autocommit = 0', null)).toEqual([])
    expect(await after('INSERT INTO missing VALUES (1)', 1146)).toEqual([])
    expect(await after('INSERT INTO once VALUES (1)', 1062)).toEqual(['transaction: '])
    expect(await after('SELECT 1', null)).toEqual(['transaction: '])
    expect(await after('COMMIT', null)).toEqual([])
  })

  test('a lock that somebody else has pins nobody who does not get it', async () => {
    const holder = await connect()
    await holder.query("SELECT GET_LOCK('contended', 0)")
    const other = await connect()
    await other.query("SELECT GET_LOCK('contended', 0)")
    await settled(other)
    expect(pins()).toHaveLength(1)
  })

  test('locks of prepared statements', async () => {
    const connection = await connect()
    const take = await connection.prepare('SELECT ?, GET_LOCK(?, 0)')
    const release = await connection.prepare('SELECT RELEASE_LOCK(?)')
    expect(held()).toEqual([])
    await take.execute([1, 'Prepared'])
    await settled(connection)
    expect(held()).toEqual(['advisory-lock: Prepared'])
    await take.execute([null, 'other'])
    await settled(connection)
    expect(held()).toEqual(['advisory-lock: Prepared, other'])
    await release.execute(['Prepared'])
    await settled(connection)
    expect(held()).toEqual(['advisory-lock: other'])
    await release.execute(['other'])
    await settled(connection)
    expect(held()).toEqual([])
  })
})
