// Ten thousand clients on fewer than a hundred server connections: each with settings and a prepared statement of its own,
// most of them idle, two hundred busy at any moment. Nobody meets an error or another's settings, and an idle client is small.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { CAPABILITY, COMMAND, FieldWriter, lengthEncoded, parseError } from '../../src/protocol/mysql/messages.ts'
import { randomNumbers } from '../support/cuts.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { RawClient } from '../support/raw-client.ts'
import { SluiceProcess } from '../support/sluice-process.ts'

/** One engine proves the numbers, the other that it is no different there. */
const CROWDS = { mysql: 10_000, mariadb: 1_000 }
const ACTIVE = 200
const TURNS_EACH = 2
/** To each of three servers. */
const CONNECTIONS_MAX = 33
const LOGINS_AT_ONCE = 100
/** Clients that are there before memory is measured. */
const EARLY = 500
/** What an idle client may cost of the heap. What is resident besides depends on the collector's mood: it is only told. */
const HEAP_BYTES_MAX = 8 * 1024

const CAPABILITIES =
  CAPABILITY.MULTI_RESULTS | CAPABILITY.PS_MULTI_RESULTS | CAPABILITY.DEPRECATE_EOF | CAPABILITY.PLUGIN_AUTH

/** One client of the crowd, and what must be true for it. */
interface Member {
  readonly client: RawClient
  readonly zone: string
  readonly concat: number
  statement: number
}

function zoneOf(at: number): string {
  return `${at % 2 === 0 ? '+' : '-'}0${(at >> 1) % 10}:${(at >> 3) % 2 === 0 ? '00' : '30'}`
}

/** The rows of a text result, or the error it was. */
async function ask(member: Member, sql: string): Promise<string> {
  const { client } = member
  client.frames.length = 0
  client.query(sql)
  await client.awaitFrames(1)
  const [first] = client.frames
  if (first === undefined) throw new Error(`${sql}: the connection was closed`)
  if (first.payload[0] === 0xff) throw new Error(`${sql}: ${parseError(first.payload).message}`)
  if (first.payload[0] === 0) return ''
  const columns = first.payload[0]!
  // The head, the columns, one row, the end.
  await client.awaitFrames(columns + 3)
  const row = client.frames[columns + 1]!.payload
  return row.toString('latin1', 1)
}

async function execute(member: Member, id: number): Promise<void> {
  const { client } = member
  client.frames.length = 0
  const payload = new FieldWriter().u32(member.statement).u8(0).u32(1).u8(0).u8(1).u16(3).u32(id).bytes()
  client.command(COMMAND.STMT_EXECUTE, payload)
  await client.awaitFrames(1)
  const [first] = client.frames
  if (first === undefined || first.payload[0] === 0xff) {
    throw new Error(`an execution: ${first === undefined ? 'closed' : parseError(first.payload).message}`)
  }
  await client.awaitFrames(4)
  const row = client.frames[2]!.payload
  const expected = Buffer.concat([lengthEncoded(`v${id}`.length), Buffer.from(`v${id}`)])
  expect(row.subarray(2)).toEqual(expected)
}

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const crowd = CROWDS[engine]
  const schema = `crowd_${engine}`
  const members: Member[] = []
  const random = randomNumbers(1)
  let updates = 0
  let sluice: SluiceProcess

  beforeAll(async () => {
    await cluster.writer.ask(`DROP DATABASE IF EXISTS ${schema}`)
    await cluster.writer.ask(`CREATE DATABASE ${schema}`)
    await cluster.writer.ask(`CREATE TABLE ${schema}.t (id INT PRIMARY KEY, v VARCHAR(20), n INT NOT NULL DEFAULT 0)`)
    const rows = Array.from({ length: 100 }, (_, id) => `(${id}, 'v${id}', 0)`)
    await cluster.writer.ask(`INSERT INTO ${schema}.t VALUES ${rows.join(', ')}`)
    await cluster.settle()
    sluice = await SluiceProcess.start({
      seeds: cluster.seeds,
      cluster: `    pool: { connectionsMax: ${CONNECTIONS_MAX} }`,
      more: `limits: { clientsMax: ${crowd + 100} }`,
    })
  }, 60_000)
  afterAll(async () => {
    for (const { client } of members) client.reset()
    await sluice.stop()
    await cluster.writer.ask(`DROP DATABASE ${schema}`)
  })

  async function join(at: number): Promise<Member> {
    const client = await RawClient.logIn({ port: sluice.port, schema, capabilities: CAPABILITIES })
    const member: Member = { client, zone: zoneOf(at), concat: 100 + (at % 50), statement: 0 }
    await ask(member, `SET time_zone = '${member.zone}', group_concat_max_len = ${member.concat}`)
    client.frames.length = 0
    client.command(COMMAND.STMT_PREPARE, `SELECT v FROM t WHERE id = ? AND ${at % 100} < 100`)
    // The head, one parameter, one column.
    await client.awaitFrames(3)
    member.statement = client.frames[0]!.payload.readUInt32LE(1)
    return member
  }

  async function inParallel(count: number, work: (at: number) => Promise<void>, atOnce: number): Promise<void> {
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < count) await work(next++)
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
  }

  /** So many times, somebody who is idle does something; two hundred at once. */
  async function traffic(turns: number): Promise<void> {
    const free = members.map((_, at) => at)
    await inParallel(
      turns,
      async () => {
        const slot = random(free.length)
        const at = free[slot]!
        free[slot] = free.at(-1)!
        free.pop()
        const member = members[at]!
        const turn = random(10)
        if (turn < 5) await execute(member, random(100))
        else if (turn < 7) {
          expect(await ask(member, 'SELECT FROM_UNIXTIME(0) FROM t LIMIT 1')).toBe(epochAt(member.zone))
        } else if (turn < 8) {
          expect(await ask(member, 'SELECT @@group_concat_max_len')).toBe(String(member.concat))
        } else if (turn < 9) {
          await ask(member, `UPDATE t SET n = n + 1 WHERE id = ${random(100)}`)
          updates += 1
        } else {
          await ask(member, 'BEGIN')
          await ask(member, `UPDATE t SET n = n + 1 WHERE id = ${random(100)}`)
          await ask(member, 'COMMIT')
          updates += 1
        }
        free.push(at)
      },
      ACTIVE,
    )
  }

  test(`${crowd} clients share ${3 * CONNECTIONS_MAX} connections, and nobody notices`, {
    timeout: 300_000,
  }, async () => {
    await inParallel(EARLY, async (at) => void members.push(await join(at)), LOGINS_AT_ONCE)
    // Memory that the process takes to be busy at all is not the clients'.
    await traffic(10 * EARLY)
    const before = await sluice.measure()
    await inParallel(crowd - EARLY, async (at) => void members.push(await join(EARLY + at)), LOGINS_AT_ONCE)
    const after = await sluice.measure()
    const each = (what: 'rss' | 'heapUsed' | 'external') => Math.round((after[what] - before[what]) / (crowd - EARLY))
    await traffic(TURNS_EACH * crowd)

    expect(await cluster.writer.ask(`SELECT SUM(n) FROM ${schema}.t`)).toBe(String(updates))
    const counts = await Promise.all(
      cluster.servers.map((server) =>
        server.ask(`SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app'`),
      ),
    )
    for (const count of counts) expect(count).toBeLessThanOrEqual(CONNECTIONS_MAX)
    const pinned = (await sluice.sessions()).filter(({ pins }) => pins.length > 0)
    expect(pinned).toEqual([])
    const told = `${each('rss')} bytes resident, ${each('heapUsed')} of them in the heap`
    process.stdout.write(`crowd: ${crowd} clients of ${engine}, for each ${told}\n`)
    expect(each('heapUsed') + each('external')).toBeLessThan(HEAP_BYTES_MAX)
  })
})

/** The beginning of 1970 as it is called in a time zone. */
function epochAt(zone: string): string {
  const minutes = (zone[0] === '-' ? -1 : 1) * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4)))
  return new Date(minutes * 60_000).toISOString().replace('T', ' ').slice(0, 19)
}
