// Stopping under load: who is idle goes at once, what is in flight finishes, the deadline ends the rest, and the process
// says how it went.

import net from 'node:net'
import { type Connection, createConnection } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../../src/lab/index.ts'
import { frame } from '../../src/protocol/mysql/frames.ts'
import { CAPABILITY } from '../../src/protocol/mysql/messages.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { RawClient, told } from '../support/raw-client.ts'
import { startSluice } from '../support/sluice.ts'
import { SluiceProcess } from '../support/sluice-process.ts'

const DEADLINE_MS = 20_000
const DRAIN_MS_MAX = 1_500

interface Failure {
  readonly errno?: number
  readonly code?: string
  readonly message: string
}

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `fault_stop_${engine}`
  const clients: Connection[] = []
  const sluices: SluiceProcess[] = []

  beforeAll(async () => {
    await cluster.writer.ask(`CREATE DATABASE ${schema}`)
    await cluster.writer.ask(`CREATE TABLE ${schema}.t (id INT PRIMARY KEY, v INT NOT NULL)`)
    await cluster.writer.ask(`INSERT INTO ${schema}.t VALUES (1, 0), (2, 0)`)
    await cluster.writer.ask(`CREATE TABLE ${schema}.log (client INT, turn INT)`)
    await cluster.settle()
  })
  afterAll(async () => cluster.writer.ask(`DROP DATABASE ${schema}`))
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy()
    for (const sluice of sluices.splice(0)) await sluice.stop()
  })

  async function start(drainMsMax: number): Promise<SluiceProcess> {
    const sluice = await SluiceProcess.start({
      seeds: cluster.seeds,
      cluster: '    pool: { connectionsMax: 40 }',
      more: `limits: { drainMsMax: ${drainMsMax}, loginMsMax: 60000 }`,
    })
    sluices.push(sluice)
    return sluice
  }

  async function connect(port: number, tls = false): Promise<Connection> {
    const login = { host: '127.0.0.1', port, user: 'app', password: 'app_pw', database: schema }
    const client = await createConnection(tls ? { ...login, ssl: { rejectUnauthorized: false } } : login)
    client.on('error', () => {})
    clients.push(client)
    return client
  }

  /** Resolves when the other side has closed the connection. */
  const closed = (client: Connection) => new Promise<void>((resolve) => client.once('end', resolve))

  /** So many statements like this run on the servers. */
  const running = (like: string, wanted: number) =>
    until(
      async () => {
        const counts = await Promise.all(
          cluster.servers.map((server) =>
            server.ask('SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE ?', [like]),
          ),
        )
        return counts.reduce<number>((sum, count) => sum + Number(count), 0) === wanted ? true : null
      },
      DEADLINE_MS,
      () => `not ${wanted} statements like ${like}`,
    )

  test('under load: what was begun is finished, and nobody is told of a success that was none', async () => {
    const sluice = await start(DEADLINE_MS)
    const acknowledged: string[] = []
    const failures: Failure[] = []
    let isStopping = false
    /** One client's work until it is disconnected: some write alone, some in transactions, some read; some inside TLS. */
    async function work(number: number): Promise<void> {
      const client = await connect(sluice.port, number % 4 === 3)
      for (let turn = 0; ; turn++) {
        try {
          if (number % 3 === 0) {
            await client.query(`INSERT INTO log VALUES (${number}, ${turn})`)
            acknowledged.push(`${number}/${turn}`)
          } else if (number % 3 === 1) {
            await client.beginTransaction()
            await client.query('UPDATE t SET v = v + 1 WHERE id = 1')
            await client.query('UPDATE t SET v = v - 1 WHERE id = 2')
            await client.commit()
          } else {
            const [rows] = await client.query(`SELECT REPEAT('x', 300000) AS x`)
            expect((rows as { x: string }[])[0]!.x.length).toBe(300_000)
          }
        } catch (error) {
          failures.push(error as Failure)
          expect(isStopping, (error as Failure).message).toBe(true)
          return
        }
      }
    }
    const load = Array.from({ length: 12 }, (_, number) => work(number))
    const idle = await connect(sluice.port)
    const idleEnds = closed(idle)
    const slow = await connect(sluice.port)
    const slowRead = slow.query('SELECT SLEEP(1) AS slept')
    await running('SELECT SLEEP(1)%', 1)
    const inTransaction = await connect(sluice.port)
    await inTransaction.beginTransaction()
    await inTransaction.query('UPDATE t SET v = v + 5 WHERE id = 1')
    await until(
      () => (acknowledged.length > 50 ? true : null),
      DEADLINE_MS,
      () => 'there is no load',
    )

    isStopping = true
    sluice.signal('SIGTERM')
    await idleEnds
    const ready = await sluice.ask('/readyz')
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('draining')])
    expect((await sluice.ask('/healthz')).status).toBe(200)
    await expect(connect(sluice.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    // Whoever is in a transaction may go on to its end.
    await inTransaction.query('UPDATE t SET v = v - 5 WHERE id = 2')
    const transactionEnds = closed(inTransaction)
    await inTransaction.commit()
    await transactionEnds
    expect((await slowRead)[0]).toEqual([{ slept: 0 }])
    await Promise.all(load)
    expect(await sluice.ended()).toEqual({ code: 0, signal: null })
    expect(sluice.output).toContain('"stopped"')
    expect(sluice.output).not.toContain('bug')

    // Nobody was told an error: their connections were closed between two pieces of work.
    const told = failures.filter(({ code }) => code !== 'PROTOCOL_CONNECTION_LOST' && code !== 'ECONNRESET')
    expect(told.filter(({ message }) => !message.includes('closed state'))).toEqual([])
    const rows = await cluster.writer.asRoot(async (root) => {
      const [found] = await root.query(`SELECT CONCAT(client, '/', turn) AS name FROM ${schema}.log`)
      return new Set((found as { name: string }[]).map(({ name }) => name))
    })
    expect(acknowledged.filter((name) => !rows.has(name))).toEqual([])
    // A request that met the end of its session was not executed.
    expect(rows.size).toBe(acknowledged.length)
    expect(Number(await cluster.writer.ask(`SELECT SUM(v) FROM ${schema}.t`))).toBe(0)
  })

  test('who holds what a connection would take away is waited for until the deadline, and then cut', async () => {
    const sluice = await start(DRAIN_MS_MAX)
    const stuck = await connect(sluice.port)
    // Nothing but a KILL ends it: while it works it does not look whether anybody still waits.
    const marker = `SELECT BENCHMARK(100000000000, SHA2('${schema}', 512))`
    const stuckEnds = stuck.query(marker).then(
      () => 'answered',
      () => 'cut',
    )
    await running(`SELECT BENCHMARK%${schema}%`, 1)
    const idler = await connect(sluice.port)
    await idler.beginTransaction()
    await idler.query('UPDATE t SET v = 9 WHERE id = 1')
    const keeper = await connect(sluice.port)
    await keeper.query('CREATE TEMPORARY TABLE own (a INT)')
    const ends = [idler, keeper].map((client) => closed(client))
    const startedMs = performance.now()
    sluice.signal('SIGTERM')
    await Promise.all(ends)
    expect(performance.now() - startedMs).toBeGreaterThan(DRAIN_MS_MAX - 50)
    expect(await stuckEnds).toBe('cut')
    expect(await sluice.ended()).toEqual({ code: 0, signal: null })
    await running(`SELECT BENCHMARK%${schema}%`, 0)
    expect(await cluster.writer.ask(`SELECT v FROM ${schema}.t WHERE id = 1`)).not.toBe(9)
  })

  test('a second signal ends it at once', async () => {
    const sluice = await start(DEADLINE_MS)
    const holder = await connect(sluice.port)
    await holder.beginTransaction()
    await holder.query('SELECT 1')
    sluice.signal('SIGTERM')
    await until(
      async () => ((await sluice.ask('/readyz')).status === 503 ? true : null),
      DEADLINE_MS,
      () => 'it does not drain',
    )
    // Two that come together are taken for one: it is asked until it listens.
    const again = setInterval(() => sluice.signal('SIGTERM'), 100)
    expect(await sluice.ended()).toEqual({ code: 143, signal: null })
    clearInterval(again)
  })

  test('warnings that nobody has asked for yet are nothing to wait for', async () => {
    const sluice = await start(600_000)
    const client = await connect(sluice.port)
    await client.query(`SELECT CAST('x' AS SIGNED)`)
    expect(await sluice.sessions()).toMatchObject([{ state: 'idle' }])
    sluice.signal('SIGINT')
    expect(await sluice.ended()).toEqual({ code: 0, signal: null })
  })

  describe('clients that are still in their login', () => {
    test.each<[string, (client: RawClient) => void, string | null]>([
      ['have said nothing', () => {}, 'ERR 1053 08S01 Server shutdown in progress'],
      [
        'have said half of it',
        (client) => client.send(frame(Buffer.alloc(200), 1).subarray(0, 30)),
        'ERR 1053 08S01 Server shutdown in progress',
      ],
      [
        'were asked for their proof',
        (client) => client.send(frame(responseOfAnUnknownPlugin(), 1)),
        'ERR 1053 08S01 Server shutdown in progress',
      ],
      // Whether anything can be said depends on how far the handshake got.
      [
        'are in the middle of the TLS handshake',
        (client) => client.send(frame(tlsRequest(), 1), Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1])),
        null,
      ],
    ])('and %s are told to go, and hold nothing up', async (_what, say, error) => {
      const sluice = await startSluice({
        seeds: [cluster.writer.address],
        more: `limits: { loginMsMax: 600000, drainMsMax: ${DEADLINE_MS} }`,
      })
      const client = await RawClient.open(sluice.port)
      await client.awaitFrames(1)
      say(client)
      if (_what === 'were asked for their proof') await client.awaitFrames(2)
      const ends = client.awaitClose()
      await sluice.stop()
      await ends
      const errors = client.frames.map((each) => told(each)).filter((text) => text.startsWith('ERR'))
      if (error !== null) expect(errors).toEqual([error])
      await expect(dial(sluice.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    })
  })
})

function dial(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve()
    })
    socket.on('error', reject)
  })
}

const LOGIN = CAPABILITY.PROTOCOL_41 | CAPABILITY.SECURE_CONNECTION | CAPABILITY.PLUGIN_AUTH

function tlsRequest(): Buffer {
  const request = Buffer.alloc(32)
  request.writeUInt32LE(LOGIN | CAPABILITY.SSL)
  return request
}

/** Whoever brings a plugin that is not known is asked to prove itself with another one. */
function responseOfAnUnknownPlugin(): Buffer {
  const head = Buffer.alloc(32)
  head.writeUInt32LE(LOGIN)
  return Buffer.concat([head, Buffer.from('app\0\0unknown_plugin\0')])
}
