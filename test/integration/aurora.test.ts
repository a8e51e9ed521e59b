// Sluice in front of the lab's Aurora: it begins at the cluster's name and finds the rest, and clients do not notice who
// comes, goes or changes places.

import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import { afterEach, describe, expect, test } from 'vitest'
import { check } from '../../src/cli/check.ts'
import { type AuroraCluster, type AuroraSettings, startAurora, until } from '../../src/lab/index.ts'
import type { Topology } from '../../src/topology/topology.ts'
import { describeEngines } from '../support/lab.ts'
import { type RunningSluice, type SluiceOptions, startSluice } from '../support/sluice.ts'
import { recorded } from '../unit/cli/output.ts'

const INTERVAL_MS = 200
/** What the machine may be late by when others use it too. */
const SLACK_MS = 3_000

describeEngines((engine) => {
  let stage: { aurora: AuroraCluster; sluice: RunningSluice } | null = null
  const connections: Connection[] = []
  afterEach(async () => {
    for (const connection of connections.splice(0)) connection.destroy()
    await stage?.sluice.stop()
    await stage?.aurora.stop()
    stage = null
  })

  async function setUp(settings: Partial<AuroraSettings> = {}, options: Partial<SluiceOptions> = {}) {
    const aurora = await startAurora({ engine, instances: 3, ...settings })
    const seeds = options.seeds ?? aurora.seeds
    const sluice = await startSluice({ ...options, seeds })
    stage = { aurora, sluice }
    return {
      aurora,
      topology: () => sluice.proxy.snapshots.topology()[0]!,
      states: () => statesOf(sluice.proxy.snapshots.topology()[0]!),
    }
  }

  async function client(): Promise<Connection> {
    const connection = await createConnection({
      host: '127.0.0.1',
      port: stage!.sluice.port,
      user: 'app',
      password: 'app_pw',
    })
    connections.push(connection)
    return connection
  }

  /** Where a read goes that need not see what was just written. */
  const answeredBy = async (connection: Connection, hint = '/* sluice:reader */ ') => {
    const [rows] = await connection.query<RowDataPacket[]>(
      `/* sluice:consistency=eventual */ ${hint}SELECT @@aurora_server_id AS id FROM app.numbers`,
    )
    return String(rows[0]?.id)
  }

  test('readers that wait by themselves serve what was written just before, however long ago they told their lag', async () => {
    const { aurora, topology } = await setUp(
      { script: { lagMs: [900, 1_200] } },
      { cluster: '    reads: { auroraReadConsistency: global, lagMsMax: 60000 }' },
    )
    await expect
      .poll(() => topology().backends.filter(({ health }) => health === 'up').length, { timeout: SLACK_MS })
      .toBe(3)
    await setUpPlaces(aurora)
    await aurora.lab.writer.ask('CREATE TABLE app.written (n INT NOT NULL)')
    await aurora.lab.writer.ask('INSERT INTO app.written VALUES (0)')
    const [writing, reading] = [await client(), await client()]
    for (let n = 1; n <= 60; n++) {
      await writing.query(`UPDATE app.written SET n = ${n}`)
      const [rows] = await reading.query<RowDataPacket[]>('SELECT n, role FROM app.written, app.place')
      expect(rows).toEqual([{ n, role: 'reader' }])
    }
  })

  /** A row on each server that says what it is, and that is not replicated: to ask for it is a read like any other. */
  async function setUpPlaces({ lab }: AuroraCluster): Promise<void> {
    await lab.writer.ask('CREATE TABLE app.place (role VARCHAR(8))')
    await lab.waitForReaders()
    for (const server of lab.servers) {
      await server.asRoot(async (root) => {
        const isLocked = engine === 'mysql' && server.role === 'reader'
        if (isLocked) await root.query('SET GLOBAL super_read_only = OFF')
        await root.query(`SET sql_log_bin = 0; INSERT INTO app.place VALUES ('${server.role}')`)
        if (isLocked) await root.query('SET GLOBAL super_read_only = ON')
      })
    }
  }

  const placeOf = async (connection: Connection) => {
    const [rows] = await connection.query<RowDataPacket[]>(
      'SELECT role, COUNT(n) FROM app.place, app.numbers GROUP BY role',
    )
    return String(rows[0]?.role)
  }

  async function withNumbers(): Promise<Connection> {
    const connection = await client()
    await connection.query('CREATE TABLE app.numbers (n INT PRIMARY KEY)')
    await connection.query('INSERT INTO app.numbers VALUES (1)')
    await stage!.aurora.lab.waitForReaders()
    return connection
  }

  /** What an operator is told of the same cluster before anything is started. */
  async function saysCheck(aurora: AuroraCluster): Promise<void> {
    const env = { SLUICE_CLUSTER: aurora.seeds[0]!, SLUICE_USER: 'app', SLUICE_PASSWORD: 'app_pw' }
    const output = recorded(env)
    const { printed, errors } = output
    expect(await check({ file: null, offline: false }, output)).toBe(0)
    expect(errors).toEqual([])
    expect(printed[1]).toBe('main is an Aurora cluster (aurora): 3 members')
    expect(printed[2]).toMatch(new RegExp(`^  ${aurora.idOf('db-1')}  writer, .*: it says that it is the writer$`))
    expect(printed[3]).toMatch(/^ {2}db-2\..* reader, \d+ ms behind, .*: it is read-only$/)
  }

  const soon = (is: () => boolean, because: () => string, msMax = 2 * INTERVAL_MS + SLACK_MS) =>
    until(() => (is() ? true : null), msMax, because)

  describe('an Aurora cluster', () => {
    test('has reads served by its writer until a reader is known to have what they must see', async () => {
      const told = { lagMs: [400, 500], statusMs: 300 } as const
      const { aurora } = await setUp({ engine, script: told })
      const connection = await withNumbers()
      await setUpPlaces(aurora)
      const isOnReader = async () => ((await placeOf(connection)) === 'writer' ? null : true)
      await until(isOnReader, 10_000, () => 'the readers get no reads')
      for (let turn = 1; turn <= 2; turn++) {
        const sentMs = performance.now()
        await connection.query('INSERT INTO app.numbers VALUES (?)', [turn + 1])
        await until(isOnReader, 10_000, () => 'the readers get no reads any more')
        // No row can have said before that what was written is there.
        expect(performance.now() - sentMs).toBeGreaterThan(told.lagMs[0])
      }
    })

    test('is found from its name alone, serves reads on its readers, and has custom endpoints by the ids of instances', async () => {
      const { aurora, topology, states } = await setUp(
        {},
        {
          cluster: `    endpoints:
      reports: { type: reader, members: [db-3] }
      any: { type: any, members: [db-1] }
      others: { type: reader, excluded: [db-3] }`,
        },
      )
      expect(topology().kind).toBe('aurora')
      expect(states()).toBe('db-1 writer, db-2 reader, db-3 reader')
      expect(topology().backends.map(({ id }) => id)).toEqual(['db-1', 'db-2', 'db-3'].map((name) => aurora.idOf(name)))
      for (const { role, lagMs } of topology().backends) {
        if (role === 'writer') expect(lagMs).toBe(0)
        else expect(lagMs).toBeGreaterThan(0)
        expect(lagMs).toBeLessThan(1_000)
      }
      const connection = await withNumbers()
      const answering = async (hint: string) => {
        const seen = new Set<string>()
        for (let turn = 0; turn < 12; turn++) seen.add(await answeredBy(connection, `/* sluice:${hint} */ `))
        return [...seen].sort()
      }
      expect(await answering('reader')).toEqual(['db-2', 'db-3'])
      expect(await answering('writer')).toEqual(['db-1'])
      expect(await answering('endpoint=reports')).toEqual(['db-3'])
      expect(await answering('endpoint=any')).toEqual(['db-1'])
      expect(await answering('endpoint=others')).toEqual(['db-2'])
      await saysCheck(aurora)
    })

    test('may lose two readers and get another while clients read and write: no error, and two intervals', async () => {
      const { aurora, states } = await setUp({ instancesMax: 4, script: { ghostMs: 3_000 } })
      const first = await withNumbers()
      const clients = [first, await client(), await client(), await client()]
      const load = workload(clients)
      await aurora.remove('db-2')
      await aurora.remove('db-3')
      const name = await aurora.add()
      await aurora.lab.waitForReaders()
      await soon(() => states().includes(`${name} reader`) && !/db-[23] reader(,|$)/.test(states()), states)
      expect(await answeredBy(first)).toBe(name)
      await soon(() => states() === `db-1 writer, ${name} reader`, states, 30_000)
      expect(await load.stop()).toMatchObject({ errors: [] })
    })

    test.each(['restarts', 'mute', 'doomed'] as const)(
      'is followed through a failover whose old writer %s',
      async (oldWriter) => {
        const { aurora, topology, states } = await setUp({
          script: { oldWriter, outageMs: 800, oldWriterBackMs: 2_500 },
        })
        await withNumbers()
        const load = workload([await client(), await client(), await client()])
        const { writerEpoch } = topology()
        await aurora.failover('db-2')
        await soon(() => states().includes('db-2 writer') && !states().includes('db-1 writer'), states)
        expect(topology().writerEpoch).toBeGreaterThan(writerEpoch)
        const fresh = await client()
        await fresh.query('INSERT INTO app.numbers VALUES (1000000)')
        await soon(() => states() === 'db-1 reader, db-2 writer, db-3 reader', states, 15_000)
        const before = { ...load.done }
        const goesOn = () => load.done.writes > before.writes + 5 && load.done.reads > before.reads + 5
        await soon(goesOn, () => JSON.stringify(load.done), 15_000)
        const { errors, writes } = await load.stop()
        // What was being written at the moment of the cut may have been written: that is told, and nothing else.
        expect(errors.filter((text) => !/whether it was executed|is not known/i.test(text))).toEqual([])
        const [rows] = await fresh.query<RowDataPacket[]>(
          '/* sluice:writer */ SELECT COUNT(*) AS count FROM app.numbers',
        )
        expect(Number(rows[0]!.count)).toBeGreaterThanOrEqual(writes + 2)
      },
    )
  })
})

function statesOf({ backends }: Topology): string {
  return backends
    .map(({ name, role, health }) => (health === 'up' ? `${name} ${role}` : `${name} ${role} ${health}`))
    .join(', ')
}

let next = 2

/** Each client writes a number and reads, over and over. */
function workload(clients: readonly Connection[]) {
  let isOver = false
  const errors: string[] = []
  const done = { writes: 0, reads: 0 }
  const runs = clients.map(async (connection) => {
    while (!isOver) {
      next += 1
      try {
        await connection.query('INSERT INTO app.numbers VALUES (?)', [next])
        done.writes += 1
        await connection.query('SELECT COUNT(*) FROM app.numbers')
        done.reads += 1
      } catch (error) {
        errors.push((error as Error).message)
        // A connection that is closed would fail again at once, for ever.
        if ((error as { fatal?: boolean }).fatal === true || /closed state/.test(errors.at(-1)!)) return
      }
    }
  })
  return {
    done,
    async stop() {
      isOver = true
      await Promise.all(runs)
      return { errors, ...done }
    },
  }
}
