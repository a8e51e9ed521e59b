// What each kind of change of the writer is for sessions: what they were in the middle of is told in one error that says
// what became of it, and everything else that they had set up is there on the new writer.

import type { Connection } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type LabCluster, type LabServer, until } from '../../src/lab/index.ts'
import { FaultyLink } from '../support/faulty-link.ts'
import { describeEngines, useCluster } from '../support/lab.ts'
import { RawClient, told } from '../support/raw-client.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import {
  connectTo,
  ENTRIES_SQL,
  enter,
  INSERT,
  LOST,
  NARROW,
  StruckSessions,
  sessionOf,
} from '../support/struck-sessions.ts'

const FOUND_MS_MAX = 30_000
const MEBIBYTE = 1024 * 1024

describeEngines((engine) => {
  // In any other format MariaDB logs the end of a temporary table, on a writer that was demoted too.
  const cluster = useCluster(engine, engine === 'mariadb' ? { flags: ['--binlog-format=ROW'] } : {})
  const links = new Map<LabServer, FaultyLink>()
  const clients: Connection[] = []
  let sluice: RunningSluice
  /** Of few connections, so that sessions are moved from one to the other. */
  let narrow: RunningSluice

  beforeAll(async () => {
    await cluster().writer.asRoot((root) => root.query(ENTRIES_SQL))
    for (const server of cluster().servers) links.set(server, await FaultyLink.open(server.port))
    const settings = {
      seeds: [...links.values()].map(({ address }) => address),
      monitor: 'intervalMs: 200, timeoutMs: 1000',
    }
    sluice = await startSluice({ ...settings, cluster: '    tls: { mode: disabled }' })
    narrow = await startSluice({
      ...settings,
      cluster: `    tls: { mode: disabled }\n    pool: { connectionsMax: ${NARROW} }`,
    })
  })
  afterAll(async () => {
    await Promise.all([sluice?.stop(), narrow?.stop()])
    for (const link of links.values()) await link.close()
  })
  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy()
  })

  async function connect(to = narrow): Promise<Connection> {
    const client = await connectTo(to.port)
    clients.push(client)
    return client
  }

  const idOf = (server: LabServer) => links.get(server)!.address
  const backendsOf = (one: RunningSluice) => one.proxy.snapshots.topology()[0]!.backends
  async function knows(isSo: (one: RunningSluice) => boolean): Promise<void> {
    for (const one of [sluice, narrow]) {
      await until(
        () => (isSo(one) ? true : null),
        FOUND_MS_MAX,
        () => JSON.stringify(backendsOf(one)),
      )
    }
  }
  const hasWriter = (server: LabServer) =>
    knows((one) =>
      backendsOf(one).some(({ id, role, health }) => id === idOf(server) && role === 'writer' && health === 'up'),
    )
  const allUp = () => knows((one) => backendsOf(one).every(({ health, role }) => health === 'up' && role !== 'unknown'))

  /** What becomes of the old writer, and how it comes back. */
  const changes: readonly {
    readonly what: string
    readonly change: (lab: LabCluster, old: LabServer, next: LabServer) => Promise<unknown>
    readonly heal: (lab: LabCluster, old: LabServer) => Promise<unknown>
  }[] = [
    {
      what: 'a switchover as planned',
      change: (lab, _old, next) => lab.switchover(next),
      heal: async () => {},
    },
    {
      what: 'a promotion while the old writer still answers and takes writes',
      change: (lab, _old, next) => lab.promote(next),
      heal: (lab, old) => lab.rejoin(old),
    },
    {
      what: 'a writer that freezes, and thaws when another has its place',
      change: async (lab, old, next) => {
        old.freeze()
        await lab.promote(next)
        await hasWriter(next)
        old.thaw()
      },
      heal: (lab, old) => lab.rejoin(old),
    },
    {
      what: 'a network that swallows all that is said to the writer',
      change: (lab, old, next) => {
        links.get(old)!.swallow()
        return lab.promote(next)
      },
      heal: (lab, old) => {
        links.get(old)!.thaw()
        return lab.rejoin(old)
      },
    },
    {
      what: 'a writer that is killed',
      change: async (lab, old) => {
        await old.kill()
        await lab.promote(await lab.bestReader())
      },
      heal: (lab, old) => lab.rejoin(old),
    },
  ]

  describe.each(changes)('$what', ({ change, heal }) => {
    test('is nothing to idle sessions, and one error to those that held something', async () => {
      const lab = cluster()
      await allUp()
      await lab.waitForReaders()
      const sessions = await StruckSessions.ready(narrow.port)
      await lab.waitForReaders()
      const [old, next] = [lab.writer, lab.readers[0]!]
      try {
        await change(lab, old, next)
        await hasWriter(lab.writer)
        await sessions.expectLosses()
        expect(await lab.writer.ask('SELECT COUNT(*) FROM changes.entries WHERE id = 0')).toBe(0)
      } finally {
        sessions.leave()
        await heal(lab, old)
      }
    })
  })

  test('statements in flight when the writer is killed: a read runs again, what may have written is told so', async () => {
    const lab = cluster()
    await allUp()
    await lab.waitForReaders()
    const [text, prepared, committing, reading] = await Promise.all(
      Array.from({ length: 4 }, () => sessionOf(null, sluice.port)),
    )
    // Each on a connection of its own that knows the statement: what still has to be prepared has not been sent, and may run again.
    const sessions = [text!, prepared!, committing!, reading!]
    for (const [at, client] of sessions.entries()) {
      await client.beginTransaction()
      await client.execute(INSERT, [-10 - at])
    }
    for (const client of sessions) await client.commit()
    await committing!.beginTransaction()
    await committing!.query('INSERT INTO entries VALUES (-2, NULL, NULL)')
    await lab.waitForReaders()
    const old = lab.writer
    old.freeze()
    const outcomes = Promise.allSettled([
      text!.query("INSERT INTO entries VALUES (-3, '', '')"),
      prepared!.execute(INSERT, [-4]),
      committing!.query('COMMIT'),
      reading!.query('/* sluice:writer */ SELECT 7 AS seven FROM entries LIMIT 1'),
    ])
    const atWork = () => sluice.proxy.snapshots.sessions().filter(({ state }) => state === 'active').length
    await until(
      () => (atWork() === 4 ? true : null),
      FOUND_MS_MAX,
      () => `${atWork()} are at work`,
    )
    await old.kill()
    await lab.promote(await lab.bestReader())
    const [first, second, third, fourth] = await outcomes
    expect(first).toMatchObject({ status: 'rejected', reason: { errno: 9140 } })
    expect(second).toMatchObject({ status: 'rejected', reason: { errno: 9140 } })
    expect(third).toMatchObject({ status: 'rejected', reason: { errno: 9141, sqlState: '08007' } })
    expect(fourth).toMatchObject({ status: 'fulfilled', value: [[{ seven: 7 }], expect.anything()] })
    for (const client of sessions) await enter(client, null)
    await lab.rejoin(old)
  })

  // The ledger writes as much on both.
  test.runIf(engine === 'mysql')(
    '500 sessions write through two switchovers: no error, and every row once',
    async () => {
      const lab = cluster()
      await allUp()
      const wide: Connection[] = []
      while (wide.length < 500) wide.push(...(await Promise.all(Array.from({ length: 25 }, () => connect(sluice)))))
      await lab.writer.ask('CREATE TABLE changes.wide (id INT, turn INT)')
      const write = (turn: number) =>
        Promise.all(wide.map((client, id) => client.query('INSERT INTO wide VALUES (?, ?)', [id, turn])))
      await write(0)
      for (const turn of [1, 2]) {
        const written = write(turn)
        await lab.switchover(lab.readers[0]!)
        await written
      }
      const counted = 'SELECT CONCAT(COUNT(*), "/", COUNT(DISTINCT id, turn)) FROM changes.wide'
      expect(await lab.writer.ask(counted)).toBe('1500/1500')
    },
  )

  test('whoever waits for a connection when the pool is exhausted waits for the new writer instead', async () => {
    const lab = cluster()
    await allUp()
    const holders = await Promise.all(Array.from({ length: NARROW }, () => connect()))
    const waiters = await Promise.all(Array.from({ length: 10 }, () => connect()))
    for (const holder of holders) {
      await holder.beginTransaction()
      await holder.query('INSERT INTO entries VALUES (-5, NULL, NULL)')
    }
    const written = Promise.all(waiters.map((waiter) => waiter.query("INSERT INTO entries VALUES (-6, '', '')")))
    const waiting = () => narrow.proxy.snapshots.pools().reduce((sum, pool) => sum + pool.waiting, 0)
    await until(
      () => (waiting() === 10 ? true : null),
      FOUND_MS_MAX,
      () => `${waiting()} wait`,
    )
    await lab.switchover(lab.readers[0]!)
    await written
    for (const holder of holders) await expect(holder.query('COMMIT')).rejects.toMatchObject(LOST)
    const counted = 'SELECT CONCAT(SUM(id = -5), "/", SUM(id = -6)) FROM changes.entries'
    expect(await lab.writer.ask(counted)).toBe('0/10')
  })

  test('100 MiB that stream from a writer come to their end when it is demoted, and to an error when it is killed', async () => {
    const lab = cluster()
    await allUp()
    const rows = 1_000
    await lab.writer.ask('CREATE TABLE changes.numbers (n INT PRIMARY KEY)')
    await lab.writer.asRoot((root) =>
      root.query('INSERT INTO changes.numbers VALUES ?', [Array.from({ length: rows }, (_, n) => [n])]),
    )
    await lab.waitForReaders()
    const stream = async () => {
      const client = await RawClient.logIn({ port: sluice.port })
      client.skims = true
      client.query(`/* sluice:writer */ SELECT REPEAT('x', ${100 * 1024}) FROM changes.numbers`)
      await client.awaitBytes(MEBIBYTE)
      client.pause()
      return client
    }
    const planned = await stream()
    const old = lab.writer
    await lab.switchover(lab.readers[0]!)
    await hasWriter(lab.writer)
    planned.resume()
    await planned.awaitBytes(rows * 100 * 1024)
    await until(
      () => (planned.frames.at(-1)?.payload[0] === 0xfe ? true : null),
      FOUND_MS_MAX,
      () => 'it does not come to its end',
    )
    expect(planned.closed).toBeNull()
    expect(await planned.isAlive()).toBe(true)
    planned.quit()
    await until(
      () => (backendsOf(sluice).find(({ id }) => id === idOf(old))?.role === 'reader' ? true : null),
      FOUND_MS_MAX,
      () => 'it is no reader',
    )

    const cut = await stream()
    await lab.writer.kill()
    await lab.promote(await lab.bestReader())
    cut.resume()
    await until(
      () => (cut.closed !== null || cut.frames.at(-1)?.payload[0] === 0xff ? true : null),
      FOUND_MS_MAX,
      () => 'it goes on',
    )
    // Between two rows an error may follow; in the middle of one nothing but the end can.
    if (cut.closed === null) expect(told(cut.frames.at(-1)!)).toMatch(/^ERR 9144 /)
    expect(cut.receivedBytes).toBeLessThan(rows * 100 * 1024)
    const neighbour = await connect(sluice)
    await neighbour.query("INSERT INTO entries VALUES (-7, '', '')")
  })
})
