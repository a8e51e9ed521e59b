// Thousands of clients that come and go, most of them rudely: afterwards nothing of them is left, neither in Sluice nor
// on the server.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningServer, until } from '../../src/lab/index.ts'
import { frame } from '../../src/protocol/mysql/frames.ts'
import { buildQuery, COMMAND } from '../../src/protocol/mysql/messages.ts'
import { randomNumbers } from '../support/cuts.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { RawClient } from '../support/raw-client.ts'
import { type Inside, SluiceProcess } from '../support/sluice-process.ts'

/** Visits that come before the comparison, so that whatever is remembered on purpose is there already. */
const WARM_UP = 1_000
const VISITS = { mysql: 6_000, mariadb: 1_000 }
const AT_ONCE = 50
/** Fewer than there are clients, so that some of them leave while they wait. */
const CONNECTIONS_MAX = 8
/** Long enough that connections are shared, short enough that the pools empty themselves when all is over. */
const IDLE_MS_MAX = 1_000
const REST_MS = 3_000
const QUIET_MS_MAX = 60_000
const MEBIBYTE = 1024 * 1024

/** One way to come and go. `abandons`: a server's connection is in doubt after it, and must not be kept. */
interface Visit {
  readonly share: number
  readonly abandons?: boolean
  readonly pay: (port: number, schema: string) => Promise<void>
}

async function answered(client: RawClient, sql: string): Promise<void> {
  const before = client.frames.length
  client.query(sql)
  await client.awaitFrames(before + 1)
  const [first] = client.frames.slice(before)
  if (first === undefined || first.payload[0] === 0xff) throw new Error(`${sql}: ${first?.payload ?? 'closed'}`)
}

/** A result set without rows worth speaking of: head, column, end, row, end. */
async function read(client: RawClient, sql: string): Promise<void> {
  const before = client.frames.length
  client.query(sql)
  await client.awaitFrames(before + 5)
}

const VISITORS: Readonly<Record<string, Visit>> = {
  'reads and says goodbye': {
    share: 36,
    pay: async (port) => {
      const client = await RawClient.logIn({ port })
      await read(client, 'SELECT 1')
      client.quit()
    },
  },
  'writes and says goodbye': {
    share: 6,
    pay: async (port, schema) => {
      const client = await RawClient.logIn({ port, schema })
      await answered(client, 'UPDATE t SET v = v + 1 WHERE id = 1')
      client.quit()
    },
  },
  'resets after its login': {
    share: 7,
    pay: async (port) => (await RawClient.logIn({ port })).reset(),
  },
  'hangs up after its login, into a schema': {
    share: 5,
    pay: async (port, schema) => (await RawClient.logIn({ port, schema })).hangUp(),
  },
  'resets before it says a word': {
    share: 4,
    pay: async (port) => (await RawClient.open(port)).reset(),
  },
  'hangs up after the greeting': {
    share: 4,
    pay: async (port) => {
      const client = await RawClient.open(port)
      await client.awaitFrames(1)
      client.hangUp()
    },
  },
  'resets in the middle of its login': {
    share: 5,
    pay: async (port) => {
      const client = await RawClient.open(port)
      await client.awaitFrames(1)
      client.send(Buffer.from([80, 0, 0, 1, 0x85, 0xa6, 0x0f]))
      client.reset()
    },
  },
  'gives a wrong password': {
    share: 2,
    pay: async (port) => {
      await expect(RawClient.logIn({ port, password: 'wrong' })).rejects.toThrow('Access denied')
    },
  },
  'resets in the middle of a request': {
    share: 6,
    pay: async (port) => {
      const client = await RawClient.logIn({ port })
      client.send(frame(buildQuery('SELECT 12345', false), 0).subarray(0, 9))
      client.reset()
    },
  },
  'resets with a request on its way': {
    share: 5,
    abandons: true,
    pay: async (port) => {
      const client = await RawClient.logIn({ port })
      client.query('SELECT 1')
      client.reset()
    },
  },
  'hangs up under a query': {
    share: 3,
    abandons: true,
    pay: async (port) => {
      const client = await RawClient.logIn({ port })
      client.query('SELECT SLEEP(0.02)')
      client.hangUp()
    },
  },
  'resets in the middle of a result': {
    share: 3,
    abandons: true,
    pay: async (port, schema) => {
      const client = await RawClient.logIn({ port, schema })
      client.query(`SELECT REPEAT('x', 100000) FROM t AS a, t AS b`)
      await client.awaitBytes(150_000)
      client.reset()
    },
  },
  'resets in a transaction': {
    share: 4,
    pay: async (port, schema) => {
      const client = await RawClient.logIn({ port, schema })
      await answered(client, 'BEGIN')
      await answered(client, 'INSERT INTO t (v) VALUES (7)')
      client.reset()
    },
  },
  'hangs up with a temporary table': {
    share: 3,
    pay: async (port, schema) => {
      const client = await RawClient.logIn({ port, schema })
      await answered(client, 'CREATE TEMPORARY TABLE own (a INT)')
      await answered(client, 'INSERT INTO own VALUES (1)')
      client.hangUp()
    },
  },
  'resets with a lock, a variable and a prepared statement': {
    share: 2,
    pay: async (port, schema) => {
      const client = await RawClient.logIn({ port, schema })
      await answered(client, `SET @mine = REPEAT('x', 1000)`)
      client.command(COMMAND.STMT_PREPARE, 'UPDATE t SET v = ? WHERE id = ?')
      await client.awaitFrames(client.frames.length + 4)
      await answered(client, `DO GET_LOCK(CONCAT('churn', CONNECTION_ID()), 0)`)
      client.reset()
    },
  },
  'reads inside TLS and says goodbye': {
    share: 3,
    pay: async (port) => {
      const client = await RawClient.logIn({ port, tls: true })
      await read(client, 'SELECT 1')
      client.quit()
    },
  },
  'resets inside TLS': {
    share: 1,
    pay: async (port) => (await RawClient.logIn({ port, tls: true })).reset(),
  },
  'resets in the middle of the TLS handshake': {
    share: 1,
    pay: async (port) => {
      const client = await RawClient.open(port)
      await client.awaitFrames(1)
      const request = Buffer.alloc(32)
      request.writeUInt32LE(0x0008_8a05)
      client.send(frame(request, 1), Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1]))
      client.reset()
    },
  },
}

/** Who comes when: the same in every run. */
function* visits(count: number, seed: number): Generator<[string, Visit]> {
  const next = randomNumbers(seed)
  const all = Object.entries(VISITORS)
  const shares = all.reduce((sum, [, { share }]) => sum + share, 0)
  for (let at = 0; at < count; at++) {
    let place = next(shares)
    for (const [name, visit] of all) {
      place -= visit.share
      if (place >= 0) continue
      yield [name, visit]
      break
    }
  }
}

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `fault_churn_${engine}`
  let sluice: SluiceProcess
  let abandoned = 0

  beforeAll(async () => {
    await cluster.writer.ask(`CREATE DATABASE ${schema}`)
    await cluster.writer.ask(`CREATE TABLE ${schema}.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)`)
    await cluster.writer.ask(`INSERT INTO ${schema}.t (v) VALUES (1), (2), (3), (4), (5), (6), (7), (8)`)
    await cluster.settle()
    sluice = await SluiceProcess.start({
      seeds: cluster.seeds,
      cluster: `    pool: { connectionsMax: ${CONNECTIONS_MAX}, idleMsMax: ${IDLE_MS_MAX}, waitMsMax: 600000 }`,
      more: 'limits: { loginMsMax: 600000 }',
    })
  })
  afterAll(async () => {
    await sluice.stop()
    await cluster.writer.ask(`DROP DATABASE ${schema}`)
  })

  async function churn(count: number, seed: number): Promise<void> {
    const coming = visits(count, seed)
    const visitor = async (): Promise<void> => {
      for (const [name, { pay, abandons = false }] of coming) {
        if (abandons) abandoned += 1
        await pay(sluice.port, schema).catch((error: Error) => {
          throw new Error(`somebody who ${name}: ${error.message}`, { cause: error })
        })
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, visitor))
  }

  /** Everybody has gone, and every connection is where it belongs. */
  async function quiet(): Promise<void> {
    let seen = ''
    const isQuiet = async () => {
      const [sessions, pools] = [await sluice.sessions(), await sluice.pools()]
      seen = JSON.stringify({ sessions, pools })
      const busy = pools.some(({ connections: { lent, cleaning, opening }, waiting }) => {
        return lent + cleaning + opening + waiting > 0
      })
      return sessions.length === 0 && !busy ? true : null
    }
    await until(isQuiet, QUIET_MS_MAX, () => `not quiet: ${seen}`)
  }

  /** The same, and the pools have given up what nobody uses. */
  async function emptied(): Promise<void> {
    await quiet()
    const isEmpty = async () => {
      const pools = await sluice.pools()
      return pools.every(({ connections }) => connections.idle + connections.opening === 0) ? true : null
    }
    await until(isEmpty, QUIET_MS_MAX, () => 'the pools are not empty')
  }

  /** Measured once nothing has changed for longer than a connection takes that is closed in good order. */
  async function atRest(): Promise<Inside> {
    let last = await sluice.measure()
    let sinceMs = performance.now()
    const isAtRest = async () => {
      const now = await sluice.measure()
      if (JSON.stringify(sizes(now)) !== JSON.stringify(sizes(last))) sinceMs = performance.now()
      last = now
      return performance.now() - sinceMs > REST_MS ? now : null
    }
    return until(isAtRest, QUIET_MS_MAX, () => `never at rest: ${JSON.stringify(sizes(last))}`, 100)
  }

  /** The same, measured: there is nothing left but what was there at the start. */
  async function settled(base: Inside): Promise<Inside> {
    let measured = base
    const isAsBefore = async () => {
      measured = await sluice.measure()
      return JSON.stringify(sizes(measured)) === JSON.stringify(sizes(base)) ? measured : null
    }
    const because = () => `${JSON.stringify(sizes(measured))} is not ${JSON.stringify(sizes(base))}`
    return until(isAsBefore, QUIET_MS_MAX, because, 100)
  }

  /** On every server. */
  const onAll = <T>(work: (server: RunningServer) => Promise<T>): Promise<T[]> => Promise.all(cluster.servers.map(work))

  /** The servers' counter of that name, all together. */
  async function counter(name: string): Promise<number> {
    const counts = await onAll((server) =>
      server.asRoot(async (root) => {
        const [rows] = await root.query('SHOW GLOBAL STATUS LIKE ?', [name])
        return Number((rows as { Value: string }[])[0]!.Value)
      }),
    )
    return counts.reduce((sum, count) => sum + count, 0)
  }

  const counters = async () => ({
    aborted: await counter('Aborted_clients'),
    refused: await counter('Aborted_connects'),
  })
  const connections = () =>
    onAll((server) => server.ask(`SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app'`))

  test('leave neither sessions, connections, timers, memory nor anything on the servers', {
    timeout: 480_000,
  }, async () => {
    // The connection on which the writer is asked what it has committed opens with the first question, and stays.
    await churn(AT_ONCE, 3)
    await emptied()
    const base = await atRest()
    await churn(WARM_UP, 1)
    await quiet()
    const before = await settled(base)
    const countersBefore = await counters()
    abandoned = 0
    await churn(VISITS[engine], 2)
    // What it begins with, however much comes and goes: V8 left to itself makes it 16 times as much.
    expect((await sluice.measure()).newSpace).toBeLessThanOrEqual(2 * MEBIBYTE)
    await quiet()

    // While the pools still have connections: there are not too many of them, and they are clean.
    for (const { connections } of await sluice.pools()) {
      const { idle, lent, cleaning, opening } = connections
      expect(idle + lent + cleaning + opening).toBeLessThanOrEqual(CONNECTIONS_MAX)
    }
    // A server takes its time to notice that one was closed, to make room for another.
    const isBounded = async () =>
      (await connections()).every((count) => Number(count) <= CONNECTIONS_MAX) ? true : null
    await until(isBounded, REST_MS, () => 'a server has more connections than the pool')
    const open = `SELECT COUNT(*) FROM information_schema.innodb_trx AS t
      JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id WHERE p.user = 'app'`
    expect(await onAll((server) => server.ask(open))).toEqual([0, 0, 0])
    if (engine === 'mysql') {
      const temporary = 'SELECT COUNT(*) FROM information_schema.innodb_temp_table_info'
      expect(await cluster.writer.ask(temporary)).toBe(0)
    }
    expect(await cluster.writer.ask(`SELECT COUNT(*) FROM ${schema}.t`)).toBe(8)

    const after = await settled(base)
    // Half of it is code that is compiled better and better. A session that is not let go has more than a kibibyte.
    expect(after.heapUsed - before.heapUsed).toBeLessThan(1.5 * MEBIBYTE + 300 * VISITS[engine])
    expect(after.rss - before.rss).toBeLessThan(64 * MEBIBYTE)
    await until(
      async () => ((await connections()).every((count) => count === 0) ? true : null),
      QUIET_MS_MAX,
      () => 'connections are left on a server',
    )
    const { aborted, refused } = await counters()
    expect(refused - countersBefore.refused).toBe(0)
    expect(aborted - countersBefore.aborted).toBeLessThanOrEqual(abandoned)
    expect(sluice.output).not.toContain('bug')
    expect(sluice.exit).toBeNull()
  })
})

/** What must be the same again when all have gone. */
/** But for what is over with this turn of the event loop. */
function sizes({ resources, handles, timers }: Inside) {
  const sorted = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .filter(([what]) => what !== 'Immediate')
      .sort()
  return { resources: sorted(resources), handles: sorted(handles), timers: sorted(timers) }
}
