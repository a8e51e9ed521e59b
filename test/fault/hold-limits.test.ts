// What happens at the bounds of a hold: too many statements wait for a writer, too much, too long, or one that comes and
// goes. Each is told the documented error at the documented time, those within the bounds are served, and memory comes back.

import { type Connection, createConnection } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../../src/lab/index.ts'
import { FaultyLink } from '../support/faulty-link.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import { SluiceProcess } from '../support/sluice-process.ts'

const DEADLINE_MS = 30_000
/** What a busy machine may be late by. */
const LATE_MS_MAX = 5_000
const MEBIBYTE = 1024 * 1024
const NO_WRITER = 9110

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `fault_hold_${engine}`
  const clients: Connection[] = []
  let writer: FaultyLink

  beforeAll(async () => {
    await cluster.writer.ask(`CREATE DATABASE ${schema}`)
    await cluster.writer.ask(`CREATE TABLE ${schema}.log (id INT AUTO_INCREMENT PRIMARY KEY, who INT, bytes INT)`)
    writer = await FaultyLink.open(cluster.writer.port)
  })
  afterAll(async () => {
    await writer.close()
    await cluster.writer.ask(`DROP DATABASE ${schema}`)
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy()
    await cluster.writer.ask(`TRUNCATE ${schema}.log`)
  })

  async function connect(port: number): Promise<Connection> {
    const client = await createConnection({ host: '127.0.0.1', port, user: 'app', password: 'app_pw' })
    client.on('error', () => {})
    clients.push(client)
    return client
  }
  const connectAll = (port: number, count: number) => Promise.all(Array.from({ length: count }, () => connect(port)))

  const sign = (client: Connection, who: number, bytes = 0) =>
    client.query(`INSERT INTO ${schema}.log (who, bytes) VALUES (${who}, LENGTH('${'x'.repeat(bytes)}'))`)
  const signed = () =>
    cluster.writer.asRoot(async (root) => {
      const [rows] = await root.query(`SELECT who FROM ${schema}.log ORDER BY id`)
      return (rows as { who: number }[]).map(({ who }) => who)
    })

  /** How it ended, and after how many milliseconds. */
  async function outcome(statement: Promise<unknown>): Promise<{ error: unknown; afterMs: number }> {
    const startedMs = performance.now()
    const error = await statement.then(
      () => null,
      (reason) => reason,
    )
    return { error, afterMs: performance.now() - startedMs }
  }
  const refusedBecauseOf = (setting: string) => ({
    errno: NO_WRITER,
    sqlState: 'HY000',
    message: expect.stringContaining(setting),
  })

  describe('of one that holds', () => {
    let sluice: RunningSluice
    afterEach(async () => {
      if (clients.length > 0) for (const client of clients.splice(0)) client.destroy()
      await sluice.stop()
    })

    async function start(hold: string, more = ''): Promise<void> {
      sluice = await startSluice({
        seeds: [writer.address],
        cluster: `    tls: { mode: disabled }\n    hold: { ${hold} }${more}`,
        more: 'limits: { drainMsMax: 100 }',
      })
    }
    const waiting = () => sluice.proxy.snapshots.sessions().filter(({ state }) => state === 'waiting').length
    const awaitWaiting = (wanted: number) =>
      until(
        () => (waiting() === wanted ? true : null),
        DEADLINE_MS,
        () => `${waiting()} wait, not ${wanted}`,
      )
    /** Only the connection knows them at first. */
    const variablesAreSaved = () =>
      until(
        () =>
          sluice.proxy.snapshots.sessions().every(({ unreadVariables }) => unreadVariables.length === 0) ? true : null,
        DEADLINE_MS,
        () => 'nobody has read them out',
      )
    const writerIsUp = () =>
      sluice.proxy.snapshots.topology()[0]!.backends.some(({ role, health }) => role === 'writer' && health === 'up')
    const awaitWriter = (wanted: boolean) =>
      until(
        () => (writerIsUp() === wanted ? true : null),
        DEADLINE_MS,
        () => JSON.stringify(sluice.proxy.snapshots.topology()),
      )

    test('statements over heldMax fail at once, and those that wait are all served in their order', async () => {
      // One connection, or those that go on together may overtake one another.
      await start('heldMax: 3', '\n    pool: { connectionsMax: 1 }')
      const [first, second, third, late] = await connectAll(sluice.port, 4)
      await writer.refuse()
      await awaitWriter(false)
      const held: Promise<unknown>[] = []
      for (const client of [first!, second!, third!]) {
        held.push(sign(client, held.length + 1))
        await awaitWaiting(held.length)
      }
      const { error, afterMs } = await outcome(sign(late!, 4))
      expect(error).toMatchObject(refusedBecauseOf('hold.heldMax'))
      expect(afterMs).toBeLessThan(LATE_MS_MAX)
      await writer.accept()
      await Promise.all(held)
      await sign(late!, 5)
      expect(await signed()).toEqual([1, 2, 3, 5])
    })

    test('statements over heldBytesMax fail at once, and shorter ones still wait', async () => {
      await start(`heldBytesMax: ${MEBIBYTE}`)
      const [first, second, third] = await connectAll(sluice.port, 3)
      await writer.refuse()
      await awaitWriter(false)
      const held = [sign(first!, 1, 700_000)]
      await awaitWaiting(1)
      const { error } = await outcome(sign(second!, 2, 700_000))
      expect(error).toMatchObject(refusedBecauseOf('hold.heldBytesMax'))
      held.push(sign(third!, 3, 100_000))
      await awaitWaiting(2)
      await writer.accept()
      await Promise.all(held)
      expect((await signed()).sort()).toEqual([1, 3])
    })

    test('a statement that has waited for waitMsMax fails, and its session goes on with the next writer', async () => {
      await start('waitMsMax: 600')
      const client = await connect(sluice.port)
      await client.query(`SET @kept = 'yes', SESSION sort_buffer_size = 123456`)
      await variablesAreSaved()
      await writer.refuse()
      await awaitWriter(false)
      const { error, afterMs } = await outcome(sign(client, 1))
      expect(error).toMatchObject(refusedBecauseOf('hold.waitMsMax'))
      expect(afterMs).toBeGreaterThanOrEqual(600)
      expect(afterMs).toBeLessThan(600 + LATE_MS_MAX)
      await writer.accept()
      await awaitWriter(true)
      await sign(client, 2)
      expect(await signed()).toEqual([2])
      const [rows] = await client.query('SELECT @kept AS kept, @@sort_buffer_size AS size')
      expect(rows).toEqual([{ kept: 'yes', size: 123456 }])
    })

    test('a writer that stays away for failoverMsMax, or flaps for so long, is waited for no longer', async () => {
      await start('failoverMsMax: 1000, restMsMin: 600000')
      const [first, second] = await connectAll(sluice.port, 2)
      await writer.refuse()
      const { error, afterMs } = await outcome(sign(first!, 1))
      expect(error).toMatchObject(refusedBecauseOf('hold.failoverMsMax'))
      expect(afterMs).toBeLessThan(1000 + LATE_MS_MAX)
      const next = await outcome(sign(second!, 2))
      expect(next.error).toMatchObject(refusedBecauseOf('hold.failoverMsMax'))
      await writer.accept()
      await awaitWriter(true)
      await sign(first!, 3)
      await writer.refuse()
      await awaitWriter(false)
      const again = await outcome(sign(second!, 4))
      expect(again.error).toMatchObject(refusedBecauseOf('hold.restMsMin'))
      await writer.accept()
      await awaitWriter(true)
      await sign(second!, 5)
      expect(await signed()).toEqual([3, 5])
    })
  })

  test('statements take no memory once they are answered, also those that waited', async () => {
    const [count, bytes] = [24, MEBIBYTE]
    const sluice = await SluiceProcess.start({
      seeds: [writer.address],
      cluster: `    tls: { mode: disabled }\n    hold: { heldBytesMax: ${2 * count * bytes} }`,
    })
    try {
      const crowd = await connectAll(sluice.port, count)
      const kept = async () => {
        const { heapUsed, external } = await sluice.measure()
        return heapUsed + external
      }
      const before = await kept()
      await Promise.all(crowd.map((client, who) => sign(client, who, bytes)))
      const after = await kept()
      expect(after - before).toBeLessThan((count * bytes) / 4)
      await writer.refuse()
      const held = crowd.map((client, who) => sign(client, count + who, bytes))
      const waiting = async () => (await sluice.sessions()).filter(({ state }) => state === 'waiting').length
      await until(
        async () => ((await waiting()) === count ? true : null),
        DEADLINE_MS,
        () => 'not all of them wait',
      )
      expect((await kept()) - before).toBeGreaterThan(count * bytes)
      await writer.accept()
      await Promise.all(held)
      expect((await signed()).length).toBe(2 * count)
      const back = async () => ((await kept()) - before < (count * bytes) / 4 ? true : null)
      await until(back, DEADLINE_MS, () => 'it still keeps what waited')
    } finally {
      await sluice.stop()
    }
  })
})
