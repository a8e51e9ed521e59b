// What happens at the bounds: no connection is free, too many wait for one, the server is full, too many clients come.
// Whoever waits is served in the order of arrival, or is told why not, and goes on.

import { type Connection, createConnection } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type RunningServer, until } from '../../src/lab/index.ts'
import { clusterOf, describeEngines, useCluster } from '../support/lab.ts'
import { RawClient } from '../support/raw-client.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const DEADLINE_MS = 20_000
const WAIT_MS_MAX = 700
const WAITERS_MAX = 5

const login = (port: number, database?: string) => ({
  host: '127.0.0.1',
  port,
  user: 'app',
  password: 'app_pw',
  ...(database === undefined ? {} : { database }),
})

/** Clients of one file, put away after each test. */
class Clients {
  readonly #open: Connection[] = []

  async connect(port: number, database?: string): Promise<Connection> {
    const client = await createConnection(login(port, database))
    client.on('error', () => {})
    this.#open.push(client)
    return client
  }

  clear(): void {
    for (const client of this.#open.splice(0)) client.destroy()
  }
}

const waitingAt = ({ proxy }: RunningSluice) => proxy.snapshots.pools().reduce((sum, { waiting }) => sum + waiting, 0)

const awaitWaiting = (sluice: RunningSluice, wanted: number) =>
  until(
    () => (waitingAt(sluice) === wanted ? true : null),
    DEADLINE_MS,
    () => `${waitingAt(sluice)} wait, not ${wanted}`,
  )

describeEngines((engine) => {
  const clients = new Clients()
  afterEach(() => clients.clear())

  describe('a pool whose connections are all in use', () => {
    const cluster = clusterOf(engine)
    const schema = `fault_limits_${engine}`
    let patient: RunningSluice
    let hasty: RunningSluice
    let holder: Connection

    beforeAll(async () => {
      await cluster.writer.ask(`CREATE DATABASE ${schema}`)
      await cluster.writer.ask(`CREATE TABLE ${schema}.log (id INT AUTO_INCREMENT PRIMARY KEY, who INT)`)
      const start = (waitMsMax: number) =>
        startSluice({
          seeds: [cluster.writer.address],
          cluster: `    pool: { connectionsMax: 1, waitMsMax: ${waitMsMax}, waitersMax: ${WAITERS_MAX} }`,
          more: 'limits: { drainMsMax: 100 }',
        })
      patient = await start(DEADLINE_MS)
      hasty = await start(WAIT_MS_MAX)
    })
    afterAll(async () => {
      await Promise.all([patient, hasty].map((sluice) => sluice.stop()))
      await cluster.writer.ask(`DROP DATABASE ${schema}`)
    })
    beforeEach(async () => {
      await cluster.writer.ask(`TRUNCATE ${schema}.log`)
    })

    async function hold(sluice: RunningSluice): Promise<void> {
      holder = await clients.connect(sluice.port)
      await holder.beginTransaction()
      await holder.query('SELECT 1')
    }
    const sign = (client: Connection, who: number) => client.query(`INSERT INTO ${schema}.log (who) VALUES (${who})`)
    const signed = () =>
      cluster.writer.asRoot(async (root) => {
        const [rows] = await root.query(`SELECT who FROM ${schema}.log ORDER BY id`)
        return (rows as { who: number }[]).map(({ who }) => who)
      })

    /** As many as may wait, each there before the next one comes. */
    async function lineUp(sluice: RunningSluice): Promise<{ client: Connection; done: Promise<unknown> }[]> {
      const line: { client: Connection; done: Promise<unknown> }[] = []
      for (let who = 1; who <= WAITERS_MAX; who++) {
        const client = await clients.connect(sluice.port)
        const done = sign(client, who)
        done.catch(() => {})
        line.push({ client, done })
        await awaitWaiting(sluice, who)
      }
      return line
    }

    test('serves those who wait in the order they came', async () => {
      await hold(patient)
      const line = await lineUp(patient)
      expect(patient.proxy.snapshots.sessions().filter(({ state }) => state === 'waiting')).toHaveLength(WAITERS_MAX)
      await holder.commit()
      await Promise.all(line.map(({ done }) => done))
      expect(await signed()).toEqual([1, 2, 3, 4, 5])
    })

    test('turns away who comes when too many wait: error 9121 at once, and those who wait are served', async () => {
      await hold(patient)
      const line = await lineUp(patient)
      const late = await clients.connect(patient.port)
      await expect(sign(late, 6)).rejects.toMatchObject({
        errno: 9121,
        sqlState: 'HY000',
        message: expect.stringContaining('pool.waitersMax'),
      })
      await holder.commit()
      await Promise.all(line.map(({ done }) => done))
      await sign(late, 7)
      expect(await signed()).toEqual([1, 2, 3, 4, 5, 7])
    })

    test('forgets who goes while it waits: the place is free, and nothing of it runs', async () => {
      await hold(patient)
      const line = await lineUp(patient)
      line[0]!.client.destroy()
      line[2]!.client.destroy()
      await awaitWaiting(patient, WAITERS_MAX - 2)
      const { sessions } = patient.proxy.snapshots
      await until(
        () => (sessions().length === WAITERS_MAX - 1 ? true : null),
        DEADLINE_MS,
        () => `${sessions().length} sessions`,
      )
      const late = await clients.connect(patient.port)
      const done = sign(late, 6)
      await awaitWaiting(patient, WAITERS_MAX - 1)
      await holder.commit()
      await Promise.all([line[1]!.done, line[3]!.done, line[4]!.done, done])
      expect(await signed()).toEqual([2, 4, 5, 6])
    })

    test('lets nobody wait too long: error 9120 when the time is up, and the session goes on', async () => {
      await hold(hasty)
      const client = await clients.connect(hasty.port)
      const startedMs = performance.now()
      await expect(sign(client, 1)).rejects.toMatchObject({
        errno: 9120,
        sqlState: 'HY000',
        message: expect.stringMatching(
          new RegExp(`${WAIT_MS_MAX} ms \\(pool\\.waitMsMax\\).*1 of 1 \\(pool\\.connectionsMax\\)`),
        ),
      })
      expect(performance.now() - startedMs).toBeGreaterThan(WAIT_MS_MAX - 10)
      expect(waitingAt(hasty)).toBe(0)
      // The server has done nothing wrong.
      expect(hasty.proxy.snapshots.topology()[0]!.backends[0]!.health).toBe('up')
      await holder.commit()
      await sign(client, 2)
      expect(await signed()).toEqual([2])
    })

    test('lets a client in soon, however long statements may wait', async () => {
      await hold(patient)
      const startedMs = performance.now()
      const client = await clients.connect(patient.port, schema)
      expect(performance.now() - startedMs).toBeLessThan(DEADLINE_MS / 2)
      const done = client.query('INSERT INTO log (who) VALUES (4)')
      await awaitWaiting(patient, 1)
      await holder.commit()
      await done
      expect(await signed()).toEqual([4])
    })

    test('lets a client in all the same, whose schema could not be looked at in time', async () => {
      await hold(hasty)
      const client = await clients.connect(hasty.port, schema)
      expect(hasty.proxy.snapshots.topology()[0]!.backends[0]!.health).toBe('up')
      await holder.commit()
      await client.query('INSERT INTO log (who) VALUES (3)')
      expect(await signed()).toEqual([3])
    })
  })

  describe('a server that is full', () => {
    // Of its own, since nobody else gets in while it is.
    const cluster = useCluster(engine, { readers: 1, flags: ['--max-connections=20', '--max-user-connections=16'] })
    const fillers: Connection[] = []
    let sluice: RunningSluice

    beforeAll(async () => {
      await cluster().writer.ask('CREATE DATABASE full')
      await cluster().writer.ask('CREATE TABLE full.t (id INT AUTO_INCREMENT PRIMARY KEY)')
      await cluster().waitForReaders()
    })
    beforeEach(async () => {
      sluice = await startSluice({
        seeds: cluster().servers.map(({ address }) => address),
        cluster: `    pool: { waitMsMax: ${DEADLINE_MS} }`,
        more: 'limits: { drainMsMax: 100 }',
      })
    })
    afterEach(async () => {
      for (const filler of fillers.splice(0)) filler.destroy()
      await sluice.stop()
      await until(
        async () => ((await connectionsAt(cluster().writer)) === 0 ? true : null),
        DEADLINE_MS,
        () => 'it is still full',
      )
    })

    const connectionsAt = (server: RunningServer) =>
      server.ask(`SELECT COUNT(*) FROM information_schema.processlist WHERE user IN ('app', 'monitor')`)

    /** Comes until it is told that there are too many; gives the error's number. */
    async function fill(server: RunningServer): Promise<number> {
      for (;;) {
        try {
          fillers.push(await server.connect('app'))
        } catch (error) {
          return (error as { errno: number }).errno
        }
      }
    }

    /** The ways to be full: of anybody's connections, and of this user's. */
    const ways: readonly (readonly [number, (server: RunningServer) => Promise<void>])[] = [
      [1040, async (server) => void (await server.ask('SET GLOBAL max_connections = 12'))],
      [1203, async (server) => void (await server.ask('SET GLOBAL max_connections = 20'))],
    ]

    describe.each(ways)('and says %i', (errno, limit) => {
      test('as a writer: its own words are the answer, and the session goes on once it has room', async () => {
        const { writer } = cluster()
        await limit(writer)
        const client = await clients.connect(sluice.port)
        expect(await fill(writer)).toBe(errno)
        await expect(client.query('INSERT INTO full.t VALUES ()')).rejects.toMatchObject({ errno })
        // A writer that is full is the writer still.
        const { backends } = sluice.proxy.snapshots.topology()[0]!
        expect(backends.find(({ id }) => id === writer.address)).toMatchObject({ role: 'writer', health: 'up' })
        for (const filler of fillers.splice(0)) filler.destroy()
        const isIn = () =>
          client.query('INSERT INTO full.t VALUES ()').then(
            () => true,
            (error: { errno: number }) => (error.errno === errno ? null : Promise.reject(error)),
          )
        await until(isIn, DEADLINE_MS, () => 'it stays full')
      })

      test('as a writer to whom there is a connection: who comes next waits for that one', async () => {
        const { writer } = cluster()
        await limit(writer)
        const [first, second] = [await clients.connect(sluice.port), await clients.connect(sluice.port)]
        await first.beginTransaction()
        await first.query('INSERT INTO full.t VALUES ()')
        expect(await fill(writer)).toBe(errno)
        const done = second.query('INSERT INTO full.t VALUES ()')
        await awaitWaiting(sluice, 1)
        await first.commit()
        await done
      })

      test('as a reader: another server serves the read', async () => {
        const [reader] = cluster().readers
        await limit(reader!)
        expect(await fill(reader!)).toBe(errno)
        const client = await clients.connect(sluice.port)
        for (let turn = 0; turn < 5; turn++) {
          expect((await client.query('SELECT 5 AS five'))[0]).toEqual([{ five: 5 }])
        }
      })
    })
  })

  test('clients in their login count on whatever listener they are', async () => {
    const cluster = clusterOf(engine)
    const sluice = await startSluice({
      seeds: [cluster.writer.address],
      moreListeners: '  - { name: other, bind: 127.0.0.1:0, cluster: main, route: writer }',
      more: 'limits: { clientsMax: 2, drainMsMax: 100 }',
    })
    const silent = await Promise.all([1, 2].map(() => RawClient.open(sluice.port)))
    try {
      await Promise.all(silent.map((client) => client.awaitFrames(1)))
      const other = sluice.proxy.addresses().get('other')!.port
      await expect(clients.connect(other)).rejects.toMatchObject({ errno: 1040 })
    } finally {
      for (const client of silent) client.reset()
      await sluice.stop()
    }
  })

  test('more clients than a listener takes: error 1040 for them, until one of the others goes', async () => {
    const cluster = clusterOf(engine)
    const sluice = await startSluice({
      seeds: [cluster.writer.address],
      more: 'limits: { clientsMax: 2, drainMsMax: 100 }',
    })
    try {
      const first = await clients.connect(sluice.port)
      const second = await clients.connect(sluice.port)
      await expect(clients.connect(sluice.port)).rejects.toMatchObject({ errno: 1040, sqlState: '' })
      expect((await second.query('SELECT 5 AS five'))[0]).toEqual([{ five: 5 }])
      first.destroy()
      const { sessions } = sluice.proxy.snapshots
      await until(
        () => (sessions().length === 1 ? true : null),
        DEADLINE_MS,
        () => 'it is still there',
      )
      const third = await clients.connect(sluice.port)
      expect((await third.query('SELECT 5 AS five'))[0]).toEqual([{ five: 5 }])
    } finally {
      await sluice.stop()
    }
  })
})
