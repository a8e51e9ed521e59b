// What each kind of change of the writer is for sessions: what they were in the middle of is told in one error that says
// what became of it, and everything else that they had set up is there on the new writer.

import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type LabCluster, type LabServer, until } from '../../src/lab/index.ts'
import { FaultyLink } from '../support/faulty-link.ts'
import { describeEngines, useCluster } from '../support/lab.ts'
import { RawClient, told } from '../support/raw-client.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const FOUND_MS_MAX = 30_000
const ZONE = '+03:30'
const INSERT = 'INSERT INTO entries VALUES (?, @whose, @@SESSION.time_zone)'
const LOST = { errno: 1213, sqlState: '40001' }
/** Connections to one server that a crowd of sessions shares. */
const NARROW = 6
const MEBIBYTE = 1024 * 1024

describeEngines((engine) => {
  const cluster = useCluster(engine)
  const links = new Map<LabServer, FaultyLink>()
  const clients: Connection[] = []
  let sluice: RunningSluice
  /** Of few connections, so that sessions are moved from one to the other. */
  let narrow: RunningSluice
  let entries = 0

  beforeAll(async () => {
    await cluster().writer.asRoot((root) =>
      root.query('CREATE DATABASE changes; CREATE TABLE changes.entries (id INT, whose TEXT, zone TEXT)'),
    )
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
    const login = { host: '127.0.0.1', port: to.port, user: 'app', password: 'app_pw', database: 'changes' }
    const client = await createConnection(login)
    clients.push(client)
    return client
  }

  /** It has a setting, a user variable (if it is anybody's), a schema and a prepared statement of its own. */
  async function sessionOf(whose: string | null, to = narrow): Promise<Connection> {
    const client = await connect(to)
    await client.query(`SET time_zone = '${ZONE}'`)
    if (whose !== null) await client.query('SET @whose = ?', [whose])
    await enter(client, whose)
    return client
  }

  /** Everything that the session has set up is there for this. */
  async function enter(client: Connection, whose: string | null): Promise<void> {
    const id = ++entries
    await client.execute(INSERT, [id])
    const [rows] = await client.query<RowDataPacket[]>(
      '/* sluice:writer */ SELECT id, whose, zone FROM entries WHERE id = ?',
      [id],
    )
    expect(rows).toEqual([{ id, whose, zone: ZONE }])
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
      const [idle, inTransaction, atCommit, withTable, withLock] = await Promise.all(
        ['idle', 'in a transaction', 'at its commit', 'with a table', 'with a lock'].map((whose) => sessionOf(whose)),
      )
      // Whatever only a connection knew of them is read out, for these need them all.
      const others = await Promise.all(Array.from({ length: NARROW }, () => connect()))
      await Promise.all(others.map((other) => other.beginTransaction()))
      await Promise.all(others.map((other) => other.rollback()))
      for (const client of [inTransaction!, atCommit!]) {
        await client.beginTransaction()
        await client.query('INSERT INTO entries VALUES (0, NULL, NULL)')
      }
      await withTable!.query('CREATE TEMPORARY TABLE own (n INT)')
      await withLock!.query("SELECT GET_LOCK('mine', 0)")
      await lab.waitForReaders()

      const [old, next] = [lab.writer, lab.readers[0]!]
      try {
        await change(lab, old, next)
        await hasWriter(lab.writer)
        await enter(idle!, 'idle')
        await expect(inTransaction!.query('INSERT INTO entries VALUES (0, NULL, NULL)')).rejects.toMatchObject(LOST)
        await expect(atCommit!.query('COMMIT')).rejects.toMatchObject(LOST)
        await expect(withTable!.query('SELECT * FROM own')).rejects.toMatchObject({
          errno: 9142,
          message: expect.stringContaining('temporary-table'),
        })
        await expect(withLock!.query('SELECT 1')).rejects.toMatchObject({
          errno: 9142,
          message: expect.stringContaining('advisory-lock'),
        })
        for (const [client, whose] of [
          [inTransaction, 'in a transaction'],
          [atCommit, 'at its commit'],
          [withTable, 'with a table'],
          [withLock, 'with a lock'],
        ] as const) {
          await enter(client!, whose)
        }
        const left = await lab.writer.ask('SELECT COUNT(*) FROM changes.entries WHERE id = 0')
        expect(left).toBe(0)
      } finally {
        await heal(lab, old)
      }
    })
  })

  test('statements in flight when the writer is killed: a read runs again, what may have written is told so', async () => {
    const lab = cluster()
    await allUp()
    await lab.waitForReaders()
    const [text, prepared, committing, reading] = await Promise.all(
      Array.from({ length: 4 }, () => sessionOf(null, sluice)),
    )
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
    for (const client of [text, prepared, committing, reading]) await enter(client!, null)
    await lab.rejoin(old)
  })

  test('500 sessions write through two switchovers: no error, and every row once', async () => {
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
  })

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
