// What a session is called: the number it was greeted with, wherever it asks.

import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  let sluice: RunningSluice
  let clients: Connection[] = []

  beforeAll(async () => {
    sluice = await startSluice({ seeds: cluster.seeds, users: "  - { name: root, password: '' }" })
    const root = await cluster.writer.connect()
    await root.query('DROP DATABASE IF EXISTS identity; CREATE DATABASE identity')
    await root.query('CREATE TABLE identity.t (id INT PRIMARY KEY, me BIGINT)')
    root.destroy()
    await cluster.settle()
  })
  afterAll(() => sluice.stop())
  afterEach(() => {
    for (const client of clients) client.destroy()
    clients = []
  })

  async function join(user: 'app' | 'root' = 'app', port = sluice.port): Promise<Connection> {
    const password = user === 'app' ? 'app_pw' : ''
    const options = { host: '127.0.0.1', port, user, password, database: 'identity', multipleStatements: true }
    const client = await createConnection(options)
    client.on('error', () => {})
    clients.push(client)
    return client
  }

  const idOf = (client: Connection) => client.threadId as number

  describe("a session's number", () => {
    test.each([
      'SELECT CONNECTION_ID() AS n',
      'SELECT connection_id( ) + 0 AS n FROM (SELECT 1) AS d',
      'SELECT (SELECT CONNECTION_ID()) AS n',
      'SELECT @@pseudo_thread_id AS n',
      'SELECT @@session.pseudo_thread_id AS n',
      'WITH c AS (SELECT CONNECTION_ID() AS n) SELECT n FROM c',
      'START TRANSACTION READ ONLY; SELECT CONNECTION_ID() AS n; COMMIT',
      'INSERT INTO t VALUES (1, CONNECTION_ID()); SELECT me AS n FROM t WHERE id = 1; DELETE FROM t',
      'SET @me = CONNECTION_ID(); SELECT @me AS n',
      "PREPARE s FROM 'SELECT CONNECTION_ID() AS n'; EXECUTE s",
      'CREATE TEMPORARY TABLE tmp AS SELECT CONNECTION_ID() AS n; SELECT n FROM tmp',
    ])('is the one it was greeted with: %s', async (text) => {
      const client = await join()
      const [results] = await client.query<RowDataPacket[][]>(text)
      const rows = (results as unknown[]).flat(2) as { n?: unknown }[]
      expect(rows.map(({ n }) => n).filter((n) => n !== undefined)).toEqual([idOf(client)])
    })

    test('is the one it was greeted with: prepared by the protocol', async () => {
      const client = await join()
      const [rows] = await client.execute<RowDataPacket[]>('SELECT CONNECTION_ID() AS n, ? AS more', [5])
      expect(rows).toEqual([{ n: idOf(client), more: 5 }])
    })

    test("is what somebody who may change the server's own has changed it to", async () => {
      const client = await join('root')
      await client.query('SET pseudo_thread_id = 4711')
      const [rows] = await client.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS n')
      expect(rows).toEqual([{ n: 4711 }])
    })
  })
})
