// Every variable that a session can set, as the server lists them: its values must follow the session from connection to
// connection, also those that the server's own reports leave out.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildCommand, buildQuery, CAPABILITY, COMMAND } from '../../src/protocol/mysql/messages.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import { variablesOf } from '../support/torture/variables.ts'
import { WireClient } from '../support/wire-client.ts'

/** Not the same, each for a reason. */
const KNOWN: ReadonlyMap<string, string> = new Map([
  ['collation_database = NULL', 'goes back to the schema, which no report tells'],
  ['character_set_database = NULL', 'goes back to the schema, which no report tells'],
  ["external_table_secondary_storage_engine = ''", 'reported as NULL is'],
  ["external_table_storage_engine = ''", 'reported as NULL is'],
  ['collation_connection = utf8mb4_bin', 'given by SET NAMES, which gives results a collation too'],
])

const capabilities = CAPABILITY.DEPRECATE_EOF | CAPABILITY.MULTI_RESULTS | CAPABILITY.PS_MULTI_RESULTS

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  let sluice: RunningSluice

  beforeAll(async () => {
    sluice = await startSluice({ seeds: [cluster.writer.address], cluster: '    pool: { connectionsMax: 1 }' })
  })
  afterAll(() => sluice.stop())

  const ask = async (client: WireClient, sql: string): Promise<string> => {
    const frames = await client.ask(buildQuery(sql, false), 'query')
    return frames.map(({ payload }) => payload.toString('latin1')).join('|')
  }
  const join = (port: number) => WireClient.connect({ port, capabilities, sessionTrack: false })

  test.each([
    ['before', "SET sql_safe_updates = 1, session_track_system_variables = 'time_zone'"],
    [
      'behind',
      "SET session_track_system_variables = CONCAT(@@global.session_track_system_variables, ',sql_mode'), @@session.sql_safe_updates = 1",
    ],
    ['after', "SET session_track_system_variables = ''", 'SET sql_safe_updates = 1'],
  ])("what is set %s what the server is to report is its session's alone", async (_place, ...statements) => {
    const client = await join(sluice.port)
    const neighbour = await join(sluice.port)
    const read = "SELECT CONCAT('safe: ', @@sql_safe_updates + 0)"
    for (const statement of statements) expect(await ask(client, statement)).toMatch(/^\0/)
    expect(await ask(neighbour, read)).toContain('safe: 0')
    expect(await ask(client, read)).toContain('safe: 1')
    for (const each of [client, neighbour]) each.end()
  })

  test('every variable follows its session', async () => {
    const direct = await join(cluster.writerPort)
    const through = await join(sluice.port)
    const neighbour = await join(sluice.port)
    const wrong: string[] = []
    for (const { name, values } of await variablesOf(engine, cluster.writer)) {
      for (const value of values) {
        const set = `SET ${name} = ${value}`
        const read = `SELECT @@session.${name}`
        for (const client of [direct, through]) await client.ask(buildCommand(COMMAND.RESET_CONNECTION), 'single')
        if (KNOWN.has(`${name} = ${value}`)) continue
        const expected = [await ask(direct, set), await ask(direct, read)]
        const found = [await ask(through, set)]
        if (sluice.proxy.snapshots.sessions().every(({ pins }) => pins.length === 0)) {
          await ask(neighbour, 'SELECT 1 FROM (SELECT 1) AS d')
        }
        found.push(await ask(through, read))
        if (expected.join() !== found.join()) wrong.push(`${set}: ${found[1]} instead of ${expected[1]}`)
      }
    }
    for (const client of [direct, through, neighbour]) client.end()
    expect(wrong).toEqual([])
  })
})
