// KILL and vanishing clients under load, over few connections: whoever is not meant must not notice.

import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { until } from '../../src/lab/index.ts'
import { FaultyLink } from '../support/faulty-link.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const ROUNDS = 150
const KILLS = 150
/** Of each is known what it answers when nobody stops it: a sleep that is stopped may say so in its answer only. */
const STATEMENTS: readonly (readonly [string, number])[] = [
  ['/* sluice:writer */ SELECT SLEEP(0.001) AS n', 0],
  ['/* sluice:writer */ SELECT SLEEP(0) AS n', 0],
  ['/* sluice:writer */ SELECT LENGTH(GROUP_CONCAT(id)) * 0 AS n FROM information_schema.COLLATIONS', 0],
  ['SELECT SLEEP(0.001) AS n', 0],
  // And a plain read, which takes the short way.
  ['SELECT SLEEP(0.001) AS n FROM kills.one', 0],
]

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  let sluice: RunningSluice
  let clients: Connection[] = []

  beforeAll(async () => {
    await cluster.writer.asRoot(async (root) => {
      await root.query('CREATE DATABASE IF NOT EXISTS kills')
      await root.query('CREATE TABLE IF NOT EXISTS kills.one (id INT PRIMARY KEY)')
      await root.query('REPLACE INTO kills.one VALUES (1)')
    })
    await cluster.settle()
    sluice = await startSluice({
      seeds: cluster.seeds,
      cluster: '    pool: { connectionsMax: 3, abandonedMsMax: 2, killersMax: 2, waitMsMax: 60000 }',
    })
  })
  afterAll(async () => {
    await sluice.stop()
    await cluster.writer.ask('DROP DATABASE kills')
  })
  afterEach(() => {
    for (const client of clients) client.destroy()
    clients = []
  })

  async function join(port = sluice.port): Promise<Connection> {
    const client = await createConnection({ host: '127.0.0.1', port, user: 'app', password: 'app_pw' })
    client.on('error', () => {})
    clients.push(client)
    return client
  }

  /** Runs statements, and gives what went wrong with them. */
  async function work(
    client: Connection,
    over: (round: number) => boolean = (round) => round === ROUNDS,
  ): Promise<(number | string | undefined)[]> {
    const failures: (number | string | undefined)[] = []
    for (let round = 0; !over(round); round++) {
      const [statement, expected] = STATEMENTS[round % STATEMENTS.length]!
      try {
        const [[row]] = await client.query<RowDataPacket[]>(statement)
        if (row!.n !== expected) failures.push('stopped')
      } catch (error) {
        const { errno, code } = error as { errno?: number; code?: string }
        failures.push(errno ?? code)
      }
    }
    return failures
  }

  test('KILL QUERY stops statements of the session that it names, and of no other', async () => {
    const innocents = await Promise.all(Array.from({ length: 4 }, () => join()))
    const victims = await Promise.all(Array.from({ length: 3 }, () => join()))
    const killers = await Promise.all(Array.from({ length: 2 }, () => join()))
    let over = false
    const killing = killers.map(async (killer) => {
      for (let kill = 0; kill < KILLS; kill++)
        await killer.query(`KILL QUERY ${victims[kill % victims.length]!.threadId}`)
    })
    const hit = victims.map((victim) => work(victim, () => over))
    const spared = innocents.map((innocent) => work(innocent, () => over))
    await Promise.all(killing)
    over = true
    const failures = await Promise.all(spared)
    expect(failures).toEqual(innocents.map(() => []))
    const codes = new Set((await Promise.all(hit)).flat())
    expect([...codes].filter((code) => code !== 1317 && code !== 'stopped')).toEqual([])
    expect(codes.size).toBeGreaterThan(0)
  })

  test('a KILL QUERY that arrives late hits nobody who got the connection since', async () => {
    const link = await FaultyLink.open(cluster.writer.port)
    const narrow = await startSluice({
      seeds: [link.address],
      cluster: '    pool: { connectionsMax: 1 }\n    tls: { mode: disabled }\n    connectMsMax: 20000',
    })
    try {
      const [victim, killer, innocent] = [await join(narrow.port), await join(narrow.port), await join(narrow.port)]
      const isRunning = async (part: string) => {
        const sql = `SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app' AND info LIKE '%${part}%'`
        return Number(await cluster.writer.ask(sql)) > 0
      }
      const answered = victim.query('SELECT SLEEP(2.5) AS n')
      await until(
        async () => (await isRunning('2.5')) || null,
        10_000,
        () => 'it does not run',
      )
      link.holdBack('KILL QUERY')
      const killed = killer.query(`KILL QUERY ${victim.threadId}`)
      await until(
        () => (link.held > 0 ? true : null),
        10_000,
        () => 'nobody was told to kill',
      )
      expect((await answered)[0]).toEqual([{ n: 0 }])
      const spared = innocent.query('SELECT SLEEP(0.7) AS n')
      const isWaiting = () => narrow.proxy.snapshots.pools().some(({ waiting }) => waiting > 0)
      await until(
        async () => (isWaiting() || (await isRunning('0.7')) ? true : null),
        10_000,
        () => 'it neither runs nor waits',
      )
      link.letGo()
      expect((await spared)[0]).toEqual([{ n: 0 }])
      await killed
    } finally {
      for (const client of clients) client.destroy()
      await narrow.stop()
      await link.close()
    }
  })

  test('clients that vanish take along their own statements, and no others', async () => {
    const innocents = await Promise.all(Array.from({ length: 3 }, () => join()))
    let over = false
    const vanishing = Array.from({ length: 3 }, async (_none, nth) => {
      for (let round = nth; !over; round++) {
        const client = await join()
        const answered = client.query('DO SLEEP(0.02)').catch(() => {})
        // Some go before their statement is sent, some in the middle of it, some when it has been answered.
        if (round % 3 === 1) await innocents[nth]!.ping()
        if (round % 3 === 2) await answered
        client.destroy()
      }
    })
    const failures = await Promise.all(innocents.map((innocent) => work(innocent)))
    over = true
    await Promise.all(vanishing)
    expect(failures).toEqual(innocents.map(() => []))
    await until(
      async () => (sluice.proxy.snapshots.pools().every(({ cleaning, lent }) => cleaning + lent === 0) ? true : null),
      20_000,
      () => `some are still busy: ${JSON.stringify(sluice.proxy.snapshots.pools())}`,
    )
  })
})
