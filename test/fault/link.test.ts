// What a client sees when the network between Sluice and a server fails: cuts before, inside and after an answer,
// half-closed connections, and bytes that come one by one.

import { type Connection, createConnection } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../../src/lab/index.ts'
import { CAPABILITY } from '../../src/protocol/mysql/messages.ts'
import { FaultyLink } from '../support/faulty-link.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import { WireClient } from '../support/wire-client.ts'

const ROWS = 'SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 3'

interface Failure {
  readonly errno: number
  readonly sqlState: string
  readonly message: string
  /** The connection went with it. */
  readonly fatal: boolean
}

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `fault_link_${engine}`
  let writer: FaultyLink
  let reader: FaultyLink
  let sluice: RunningSluice
  let client: Connection
  const clients: Connection[] = []

  async function connect(): Promise<Connection> {
    const made = await createConnection({ host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw' })
    made.on('error', () => {})
    clients.push(made)
    return made
  }

  /** What the statement fails with; null: it did not. */
  async function failureOf(sql: string, on = client): Promise<Failure | null> {
    return on.query(sql).then(
      () => null,
      ({ errno, sqlState, message, fatal }: Failure) => ({ errno, sqlState, message, fatal: fatal === true }),
    )
  }

  const countOf = (table: string) => cluster.writer.ask(`SELECT COUNT(*) FROM ${schema}.${table}`)
  const usable = (health: number) =>
    until(
      () => sluice.proxy.snapshots.topology()[0]!.backends.filter((b) => b.health === 'up').length === health || null,
      5_000,
      () => 'the backends are not as they should be',
    )

  beforeAll(async () => {
    await cluster.writer.ask(`CREATE DATABASE IF NOT EXISTS ${schema}`)
    await cluster.writer.ask(`CREATE TABLE IF NOT EXISTS ${schema}.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)`)
    await cluster.settle()
    writer = await FaultyLink.open(cluster.writer.port)
    reader = await FaultyLink.open(cluster.readers[0]!.port)
    sluice = await startSluice({
      seeds: [writer.address, reader.address],
      cluster: '    tls: { mode: disabled }',
      more: 'limits: { drainMsMax: 100 }',
    })
  })
  afterAll(async () => {
    await sluice.stop()
    await Promise.all([writer.close(), reader.close()])
    await cluster.writer.ask(`DROP DATABASE ${schema}`)
  })

  beforeEach(async () => {
    await usable(2)
    client = await connect()
    await client.query('SELECT 1')
    await client.query(`DELETE FROM ${schema}.t WHERE id = 0`)
  })
  afterEach(() => {
    for (const each of clients.splice(0)) each.destroy()
  })

  describe.each(['fin', 'rst'] as const)('a connection that ends with %s', (how) => {
    test('under a read before its answer: the read runs elsewhere, unnoticed', async () => {
      const before = reader.cuts
      reader.cutNext({ direction: 'to-client', afterBytes: 0, how })
      expect((await client.query(ROWS))[0]).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }])
      expect(reader.cuts).toBe(before + 1)
    })

    test('with the first byte of a read: the same', async () => {
      const before = reader.cuts
      reader.cutNext({ direction: 'to-server', afterBytes: 0, how })
      expect((await client.query(ROWS))[0]).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }])
      expect(reader.cuts).toBe(before + 1)
    })

    test('inside the first frame of an answer, before anything of it reached the client: the same', async () => {
      const before = reader.cuts
      reader.cutNext({ direction: 'to-client', afterBytes: 3, how })
      expect((await client.query(ROWS))[0]).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }])
      expect(reader.cuts).toBe(before + 1)
    })

    test('under an autocommit write: error 9140, and it was not run twice', async () => {
      const before = Number(await countOf('t'))
      writer.cutNext({ direction: 'to-client', afterBytes: 0, how })
      expect(await failureOf(`INSERT INTO ${schema}.t (v) VALUES (1)`)).toMatchObject({ errno: 9140, fatal: false })
      expect(Number(await countOf('t'))).toBe(before + 1)
      await client.query(`INSERT INTO ${schema}.t (v) VALUES (2)`)
      expect(Number(await countOf('t'))).toBe(before + 2)
    })

    test('in a transaction: error 1213, and the session can run it again', async () => {
      const before = Number(await countOf('t'))
      await client.beginTransaction()
      await client.query(`INSERT INTO ${schema}.t (v) VALUES (1)`)
      writer.cutNext({ direction: 'to-client', afterBytes: 0, how })
      const failure = await failureOf(`INSERT INTO ${schema}.t (v) VALUES (2)`)
      expect(failure).toMatchObject({ errno: 1213, sqlState: '40001', fatal: false })
      await client.beginTransaction()
      await client.query(`INSERT INTO ${schema}.t (v) VALUES (1)`)
      await client.commit()
      expect(Number(await countOf('t'))).toBe(before + 1)
    })

    test('under a COMMIT: error 9141', async () => {
      await client.beginTransaction()
      await client.query(`INSERT INTO ${schema}.t (v) VALUES (1)`)
      writer.cutNext({ direction: 'to-client', afterBytes: 0, how })
      expect(await failureOf('COMMIT')).toMatchObject({ errno: 9141, sqlState: '08007', fatal: false })
      expect((await client.query('SELECT 7 AS a'))[0]).toEqual([{ a: 7 }])
    })

    test('between two statements of a transaction: error 1213 with the next one', async () => {
      await client.beginTransaction()
      await client.query(`INSERT INTO ${schema}.t (v) VALUES (1)`)
      writer.cutAll(how)
      expect(await failureOf(`INSERT INTO ${schema}.t (v) VALUES (2)`)).toMatchObject({ errno: 1213, fatal: false })
      expect(await failureOf(`INSERT INTO ${schema}.t (v) VALUES (3)`)).toBeNull()
    })

    test('with a temporary table: error 9142 once', async () => {
      await client.query(`CREATE TEMPORARY TABLE ${schema}.own (a INT)`)
      writer.cutAll(how)
      const failure = await failureOf(`SELECT * FROM ${schema}.own`)
      expect(failure).toMatchObject({ errno: 9142, fatal: false, message: expect.stringContaining('temporary') })
      expect((await client.query('SELECT 7 AS a'))[0]).toEqual([{ a: 7 }])
    })

    test('while nobody uses it: nobody notices', async () => {
      writer.cutAll(how)
      reader.cutAll(how)
      const { pools } = sluice.proxy.snapshots
      await until(
        () => (pools().every(({ idle }) => idle === 0) ? true : null),
        5_000,
        () => 'they are still kept',
      )
      expect(await failureOf(`INSERT INTO ${schema}.t (v) VALUES (1)`)).toBeNull()
      expect((await client.query('SELECT 7 AS a'))[0]).toEqual([{ a: 7 }])
    })

    test('between two frames of an answer: error 9144, and the session goes on', async () => {
      const answer = await answerTo(ROWS)
      const neighbour = await connect()
      for (const end of frameEnds(answer).slice(0, -1)) {
        await usable(2)
        // A connection that is there already: a new one's login would be cut instead.
        await client.query('SELECT 1')
        expect(reader.connections).toBeGreaterThan(0)
        const before = reader.cuts
        reader.cutNext({ direction: 'to-client', afterBytes: end, how })
        const failure = await failureOf(ROWS)
        expect(failure, `after ${end} bytes`).toMatchObject({ errno: 9144, fatal: false })
        expect(reader.cuts).toBe(before + 1)
        expect((await client.query('SELECT 7 AS a'))[0]).toEqual([{ a: 7 }])
      }
      expect((await neighbour.query('SELECT 8 AS a'))[0]).toEqual([{ a: 8 }])
    })

    test('inside a frame whose head the client has: its connection closes, and only that one', async () => {
      const sql = `SELECT REPEAT('x', 300000) AS a`
      const neighbour = await connect()
      reader.cutNext({ direction: 'to-client', afterBytes: 200_000, how })
      expect(await failureOf(sql)).toMatchObject({ fatal: true })
      expect(await failureOf('SELECT 1')).toMatchObject({ fatal: true })
      expect((await neighbour.query('SELECT 8 AS a'))[0]).toEqual([{ a: 8 }])
    })

    test('inside a frame in a transaction: the same, for an error would be read as a part of the row', async () => {
      await client.beginTransaction()
      writer.cutNext({ direction: 'to-client', afterBytes: 200_000, how })
      expect(await failureOf(`SELECT REPEAT('x', 300000) AS a`)).toMatchObject({ fatal: true })
    })

    test('behind the answer to a SET NAMES, when Sluice asks for the collation: it was answered once, and for all', async () => {
      const wire = await WireClient.connect({ port: sluice.port, capabilities: 0 })
      await wire.ask(Buffer.from('\x03SELECT 1'), 'query')
      writer.holdBack('collation_connection')
      const answered = wire.ask(Buffer.from('\x03SET NAMES latin1'), 'query')
      expect((await answered).map(({ payload }) => payload[0])).toEqual([0])
      await until(
        () => (writer.held > 0 ? true : null),
        5_000,
        () => 'the collation is not asked for',
      )
      writer.cutAll(how)
      writer.letGo()
      const next = await wire.ask(Buffer.from('\x03SELECT 7 AS a'), 'query')
      expect(next[0]!.payload.toString('latin1')).toContain('unknown-state')
      const rows = await wire.ask(Buffer.from('\x03SELECT 7 AS a'), 'query')
      expect(rows.at(-2)!.payload.toString('latin1')).toBe('\x017')
      wire.end()
    })
  })

  /** What the reader says to this, on the wire. */
  async function answerTo(sql: string): Promise<Buffer> {
    reader.record()
    await client.query(sql)
    return reader.recorded
  }

  test('a server that only stops sending is as gone as one that closed', async () => {
    reader.halfClose('to-client')
    expect((await client.query(ROWS))[0]).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }])
    await client.beginTransaction()
    writer.halfClose('to-client')
    expect(await failureOf('SELECT 1')).toMatchObject({ errno: 1213, fatal: false })
  })

  test.each([
    ['answers', 'to-client'],
    ['requests', 'to-server'],
  ] as const)('%s that come byte by byte are the same, frame by frame', async (_what, direction) => {
    const capabilities = CAPABILITY.MULTI_STATEMENTS | CAPABILITY.MULTI_RESULTS | CAPABILITY.PS_MULTI_RESULTS
    const texts = [
      `SELECT 1, NULL, REPEAT('é', 200), ''`,
      ROWS,
      `INSERT INTO ${schema}.t (v) VALUES (1), (2)`,
      `SELECT * FROM ${schema}.absent`,
      `SET @a = 1; SELECT @a; USE ${schema}; SELECT DATABASE()`,
      `SELECT REPEAT('x', 20000)`,
      `SET autocommit = 0, sql_mode = 'ANSI_QUOTES'`,
    ]
    for (const eof of [0, CAPABILITY.DEPRECATE_EOF]) {
      const seen: string[][] = []
      for (const slow of [false, true]) {
        for (const link of [writer, reader]) link.trickle(...(slow ? [direction] : []))
        await cluster.writer.ask(`TRUNCATE ${schema}.t`)
        const wire = await WireClient.connect({ port: sluice.port, capabilities: capabilities | eof })
        const frames: string[] = []
        for (const text of texts) {
          const answer = await wire.ask(Buffer.from(`\x03${text}`), 'query')
          frames.push(...answer.map(({ sequence, payload }) => `${sequence} ${payload.toString('latin1')}`))
        }
        const prepared = await wire.ask(Buffer.from('\x16SELECT 5 AS five, ? + 1 AS six'), 'prepare')
        frames.push(...prepared.map(({ sequence, payload }) => `${sequence} ${payload.toString('latin1')}`))
        const execution = Buffer.from([0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 0, 41, 0, 0, 0])
        const executed = await wire.ask(execution, 'query')
        frames.push(...executed.map(({ sequence, payload }) => `${sequence} ${payload.toString('latin1')}`))
        wire.end()
        seen.push(frames)
      }
      for (const link of [writer, reader]) link.trickle()
      expect(seen[0]!.length).toBeGreaterThan(20)
      expect(seen[1]).toEqual(seen[0])
    }
  })
})

/** Where the frames of an answer end. */
function frameEnds(bytes: Buffer): number[] {
  const ends: number[] = []
  for (let at = 0; at < bytes.length; ends.push(at)) at += 4 + bytes.readUIntLE(at, 3)
  return ends
}
