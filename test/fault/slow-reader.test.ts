// More bytes than anybody should keep pass through Sluice while one of the two sides is slow: its memory stays as it is,
// and whoever else is connected notices nothing.

import { randomBytes } from 'node:crypto'
import { type Connection, createConnection } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../../src/lab/index.ts'
import { frame } from '../../src/protocol/mysql/frames.ts'
import { CAPABILITY, COMMAND } from '../../src/protocol/mysql/messages.ts'
import { FaultyLink } from '../support/faulty-link.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { RawClient, told } from '../support/raw-client.ts'
import { SluiceProcess } from '../support/sluice-process.ts'

const MEBIBYTE = 1024 * 1024
const DEADLINE_MS = 120_000
const LONG = { timeout: 240_000 }
/** What may be under way at any moment, with all the room a garbage collector takes: far below what passes. */
const GROWTH_BYTES_MAX = 64 * MEBIBYTE
/** More than the kernel alone takes from a sender before two connections are full (each up to `tcp_rmem` and `tcp_wmem`). */
const KERNEL_BYTES_MAX = 96 * MEBIBYTE
/** How much of a result a client reads before it rests for a moment. */
const GULP_BYTES = 8 * MEBIBYTE

const CAPABILITIES = CAPABILITY.MULTI_RESULTS | CAPABILITY.LOCAL_FILES
/** How a client comes, and how many mebibytes it reads and sends. */
const PATHS: readonly (readonly [string, number, number, (port: number) => Promise<RawClient>])[] = [
  ['plainly', 1024, 256, (port) => RawClient.logIn({ port, capabilities: CAPABILITIES })],
  ['inside TLS', 160, 128, (port) => RawClient.logIn({ port, capabilities: CAPABILITIES, tls: true })],
  ['compressed', 128, 160, (port) => RawClient.logInCompressed({ port, capabilities: CAPABILITIES })],
]

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `fault_slow_${engine}`
  const clients: RawClient[] = []
  let sluice: SluiceProcess
  let neighbour: Connection
  let writer: FaultyLink

  beforeAll(async () => {
    await cluster.writer.ask(`CREATE DATABASE ${schema}`)
    await cluster.writer.ask(`CREATE TABLE ${schema}.noise (b LONGBLOB)`)
    await cluster.writer.ask(`INSERT INTO ${schema}.noise VALUES (?)`, [randomBytes(MEBIBYTE) as unknown as string])
    await cluster.writer.ask(`CREATE TABLE ${schema}.numbers (n INT PRIMARY KEY)`)
    await cluster.writer.ask(
      `INSERT INTO ${schema}.numbers VALUES ${Array.from({ length: 1024 }, (_, n) => `(${n})`).join(', ')}`,
    )
    await cluster.writer.ask(`CREATE TABLE ${schema}.t (id INT, v LONGBLOB)`)
    await cluster.settle()
    writer = await FaultyLink.open(cluster.writer.port)
    sluice = await SluiceProcess.start({
      seeds: [writer.address, cluster.readers[0]!.address],
      cluster: '    tls: { mode: disabled }',
      // A server that stands still for long is given up, and what a client still sends it is thrown away: not here.
      monitor: `intervalMs: 200, timeoutMs: ${DEADLINE_MS}`,
    })
    const login = { host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw', database: schema }
    neighbour = await createConnection(login)
    // Whatever is made once is there before anything is measured.
    for (const [, , , logIn] of PATHS) {
      const client = await comes(logIn)
      await read(client, 8, null)
      await upload(client, 8, null)
    }
  }, 300_000)
  afterAll(async () => {
    neighbour?.destroy()
    await sluice?.stop()
    await writer?.close()
    await cluster.writer.ask(`DROP DATABASE ${schema}`)
  })
  afterEach(() => {
    for (const client of clients.splice(0)) client.reset()
  })

  async function comes(logIn: (port: number) => Promise<RawClient>): Promise<RawClient> {
    const client = await logIn(sluice.port)
    clients.push(client)
    return client
  }

  /** Waits until what is counted has not grown for a while: nothing moves any more. */
  async function still(count: () => number): Promise<void> {
    let last = -1
    let since = performance.now()
    const isStill = () => {
      const now = count()
      if (now !== last) since = performance.now()
      last = now
      return performance.now() - since > 300 ? true : null
    }
    await until(isStill, DEADLINE_MS, () => `${last} and still moving`)
  }

  /** Reads so many mebibytes, resting in between; calls `stalled` once, in the middle, when all has come to rest. */
  async function read(client: RawClient, mebibytes: number, stalled: (() => Promise<void>) | null): Promise<void> {
    const [framesBefore, bytesBefore] = [client.frames.length, client.receivedBytes]
    client.skims = true
    let restAt = bytesBefore + GULP_BYTES
    const rests: Promise<void>[] = []
    client.onBytes = () => {
      if (client.receivedBytes < restAt) return
      restAt += GULP_BYTES
      client.pause()
      const rest = stalled ?? (() => new Promise<void>((resolve) => setImmediate(resolve)))
      stalled = null
      rests.push(rest().finally(() => client.resume()))
    }
    client.query(`SELECT b FROM ${schema}.noise, ${schema}.numbers WHERE n < ${mebibytes}`)
    // Around the rows: a head, a column and its end before them, and their end behind.
    const frames = await client.awaitFrames(framesBefore + 4 + mebibytes, DEADLINE_MS)
    client.onBytes = () => {}
    await Promise.all(rests)
    expect(told(frames.at(-1)!)).toMatch(/^fe/)
    expect(client.receivedBytes - bytesBefore).toBeGreaterThan(mebibytes * MEBIBYTE)
    expect(stalled).toBeNull()
  }

  /** Sends a file of so many mebibytes; calls `begun` once a part of it has gone. Gives how many bytes were taken so far. */
  async function upload(
    client: RawClient,
    mebibytes: number,
    begun: ((taken: () => number) => Promise<void>) | null,
  ): Promise<void> {
    const before = client.frames.length
    client.query(`LOAD DATA LOCAL INFILE 'x' INTO TABLE ${schema}.t CHARACTER SET binary IGNORE 5000000 LINES`)
    await client.awaitFrames(before + 1)
    expect(client.frames[before]!.payload[0]).toBe(0xfb)
    const noise = randomBytes(MEBIBYTE)
    let sequence = 2
    let taken = 0
    let waiting: Promise<void> | null = null
    for (let count = 0; count < mebibytes; count++) {
      if (count === 4 && begun !== null) {
        waiting = begun(() => taken)
        waiting.catch(() => {})
      }
      const isTaken = client.send(frame(noise, sequence))
      if (!isTaken) await new Promise<void>((resolve) => (client.onDrain = resolve))
      taken += noise.length
      sequence = (sequence + 1) & 0xff
    }
    client.send(frame(Buffer.alloc(0), sequence))
    await waiting
    await client.awaitFrames(before + 2, DEADLINE_MS)
    expect(told(client.frames[before + 1]!)).not.toContain('ERR')
  }

  async function whileFrozen(work: () => Promise<void>): Promise<void> {
    writer.freeze()
    try {
      await work()
    } finally {
      writer.thaw()
    }
  }

  /** How much more memory it had at any time during the work than before it. */
  async function growth(work: () => Promise<void>): Promise<number> {
    await sluice.measure()
    sluice.forgetPeak()
    const before = sluice.residentBytes
    await work()
    return sluice.residentBytesPeak - before
  }

  describe.each(PATHS)('%s', (_how, readMebibytes, sentMebibytes, logIn) => {
    test(`a result of ${readMebibytes} MiB to a client that reads slowly, and stops for a while`, LONG, async () => {
      const client = await comes(logIn)
      const grown = await growth(() =>
        read(client, readMebibytes, async () => {
          await still(() => Math.floor(sluice.residentBytesPeak / MEBIBYTE))
          expect((await neighbour.query('SELECT 5 AS five'))[0]).toEqual([{ five: 5 }])
        }),
      )
      expect(grown).toBeLessThan(GROWTH_BYTES_MAX)
    })

    test(`a file of ${sentMebibytes} MiB to a server that stops taking it for a while`, LONG, async () => {
      const client = await comes(logIn)
      const grown = await growth(() =>
        upload(client, sentMebibytes, async (taken) => {
          await whileFrozen(async () => {
            await still(taken)
            expect(taken()).toBeLessThan(KERNEL_BYTES_MAX)
            expect((await neighbour.query('SELECT 5 AS five'))[0]).toEqual([{ five: 5 }])
          })
        }),
      )
      expect(grown).toBeLessThan(GROWTH_BYTES_MAX)
    })
  })

  test(
    'statements of 12 MiB from 8 clients to a server that has stopped: each is kept once, and nothing besides',
    LONG,
    async () => {
      const text = Buffer.from(`DO LENGTH('${'x'.repeat(12 * MEBIBYTE)}')`)
      const senders = await Promise.all(Array.from({ length: 8 }, () => comes(PATHS[0]![3])))
      for (const sender of senders) {
        sender.query('BEGIN')
        await sender.awaitFrames(1)
      }
      const grown = await growth(async () => {
        await whileFrozen(async () => {
          for (const sender of senders) sender.command(COMMAND.QUERY, text)
          await still(() => Math.floor(sluice.residentBytesPeak / MEBIBYTE))
          expect((await neighbour.query('SELECT 5 AS five'))[0]).toEqual([{ five: 5 }])
        })
        for (const sender of senders) expect((await sender.awaitFrames(2, DEADLINE_MS))[1]!.payload[0]).toBe(0)
      })
      // A buffer that grows is up to twice as large as what it holds.
      expect(grown).toBeLessThan(2 * senders.length * text.length + GROWTH_BYTES_MAX)
    },
  )
})
