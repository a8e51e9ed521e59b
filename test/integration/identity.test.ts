// What a session is called: the number it was greeted with, wherever it asks.

import { type Connection, createConnection, type FieldPacket, type RowDataPacket } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../../src/lab/index.ts'
import { buildCommand, COMMAND } from '../../src/protocol/mysql/messages.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import { WireClient } from '../support/wire-client.ts'

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  let sluice: RunningSluice
  let clients: Connection[] = []

  beforeAll(async () => {
    sluice = await startSluice({ seeds: cluster.seeds, users: "  - { name: root, password: '' }" })
    const root = await cluster.writer.connect()
    await root.query('DROP DATABASE IF EXISTS identity; CREATE DATABASE identity')
    await root.query('CREATE TABLE identity.t (id INT PRIMARY KEY, me BIGINT)')
    await root.query('CREATE TABLE identity.one AS SELECT 1 AS n')
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

  interface Listed {
    readonly Id: number
    readonly User: string
    readonly Host: string
    readonly db: string | null
    readonly Command: string
    readonly Time: number
    readonly State: string
    readonly Info: string | null
  }

  const shapes = (columns: readonly FieldPacket[]) =>
    columns.map(({ name, columnType, columnLength, flags, characterSet, decimals }) => ({
      ...{ name, columnType, columnLength, flags, characterSet, decimals },
    }))

  const listed = async (client: Connection, words = 'SHOW PROCESSLIST') =>
    (await client.query<RowDataPacket[]>(words))[0] as unknown as Listed[]

  describe('SHOW PROCESSLIST', () => {
    test('has the columns of the writer', async () => {
      const [direct, through] = [await join('root', cluster.writerPort), await join('root')]
      for (const words of ['SHOW PROCESSLIST', 'SHOW FULL PROCESSLIST']) {
        const [, theirs] = await direct.query(words)
        const [, ours] = await through.query(words)
        expect(shapes(ours)).toEqual(shapes(theirs))
      }
      const [, theirs] = await direct.execute('SHOW PROCESSLIST')
      const [rows, ours] = await through.execute<RowDataPacket[]>('SHOW PROCESSLIST')
      expect(shapes(ours)).toEqual(shapes(theirs))
      expect(rows.find(({ Id }) => Id === idOf(through))).toMatchObject({ User: 'root', Command: 'Execute' })
    })

    test('shows sessions under their own numbers, and not the connections that serve them', async () => {
      const [me, idle, pinned, direct] = [
        await join(),
        await join(),
        await join(),
        await join('app', cluster.writerPort),
      ]
      await pinned.query('BEGIN')
      const local = (client: Connection) =>
        (client as unknown as { connection: { stream: { localPort: number } } }).connection.stream.localPort
      const rows = await listed(me)
      const expected = [me, idle, pinned, direct].map((client) => ({
        Id: idOf(client),
        User: 'app',
        Host: `127.0.0.1:${local(client)}`,
        db: 'identity',
        Command: client === me ? 'Query' : 'Sleep',
        Info: client === me ? 'SHOW PROCESSLIST' : null,
      }))
      const byId = (one: { Id: number }, other: { Id: number }) => one.Id - other.Id
      expect(rows).toMatchObject(expected.sort(byId))
      await pinned.query('ROLLBACK')
    })

    test('shows what is running, wherever it runs, and KILL takes the number it shows', async () => {
      const [me, busy, reading] = [await join(), await join(), await join()]
      const words = `/* ${'x'.repeat(120)} */ DO SLEEP(60)`
      const outcomes = [busy.query(words), reading.query('SELECT SLEEP(60) FROM identity.one')].map((asked) =>
        asked.then(
          () => 'answered',
          (error: { code: string }) => error.code,
        ),
      )
      const find = async (client: Connection, show?: string) =>
        (await listed(me, show)).find(({ Id }) => Id === idOf(client))
      const isRunning = (row: Listed | undefined) => (row?.Info?.includes(' ') ? row : null)
      const seen = await until(
        async () => isRunning(await find(busy)),
        20_000,
        () => 'it does not run',
      )
      expect(seen).toMatchObject({ Command: 'Query', Info: words.slice(0, 100) })
      expect(await find(busy, 'SHOW FULL PROCESSLIST')).toMatchObject({ Info: words })
      const isReading = (row: Listed | undefined) =>
        /^executing on 127\.0\.0\.1:\d+$/.test(row?.State ?? '') ? row! : null
      const elsewhere = await until(
        async () => isReading(await find(reading)),
        20_000,
        () => 'it does not run',
      )
      expect(elsewhere.Info).toBe('SELECT SLEEP(60) FROM identity.one')
      for (const { Id } of [seen, elsewhere]) await me.query(`KILL ${Id}`)
      expect(await Promise.all(outcomes)).toEqual(['PROTOCOL_CONNECTION_LOST', 'PROTOCOL_CONNECTION_LOST'])
      expect(await find(busy)).toBeUndefined()
    })

    test('shows others only to those who may see them', async () => {
      const [app, root] = [await join(), await join('root')]
      expect((await listed(app)).map(({ User }) => User)).toEqual(['app'])
      const seen = await listed(root)
      expect(seen.map(({ Id }) => Id)).toEqual(expect.arrayContaining([idOf(app), idOf(root)]))
      expect(seen.map(({ User }) => User)).toContain('repl')
    })

    test('as a command is answered as the writer answers it', async () => {
      const answers = []
      for (const port of [cluster.writerPort, sluice.port]) {
        const client = await WireClient.connect({ port, capabilities: 0 })
        const frames = await client.ask(buildCommand(COMMAND.PROCESS_INFO), 'query')
        client.end()
        answers.push(frames[0]!.payload.toString('hex'))
      }
      expect(answers[1]).toBe(answers[0])
    })
  })

  test('who may not send several statements in one text cannot, whoever had the connection before', async () => {
    const narrow = await startSluice({ seeds: cluster.seeds, cluster: '    pool: { connectionsMax: 1 }' })
    try {
      const address = { host: '127.0.0.1', port: narrow.port, user: 'app', password: 'app_pw' }
      const many = await createConnection({ ...address, database: 'identity', multipleStatements: true })
      clients.push(many)
      await many.query('INSERT INTO t VALUES (3, 3); DELETE FROM t WHERE id = 3')
      const one = await createConnection(address)
      clients.push(one)
      // Without a schema: the connection leaves the one before by logging in again.
      await one.query('DO 1')
      await expect(one.query('DO 1; DO 2')).rejects.toMatchObject({ errno: 1064 })
      await one.query('DO 3')
      await many.query('DO 1; DO 2')
    } finally {
      await narrow.stop()
    }
  })

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
