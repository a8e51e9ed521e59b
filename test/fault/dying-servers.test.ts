// Servers that die, freeze and change their roles under load: what clients notice of it, and what happened to their writes.

import { type Connection, createConnection, type ResultSetHeader } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type LabServer, until } from '../../src/lab/index.ts'
import { describeEngines, useCluster } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const CLIENTS = 20

interface Failure {
  readonly errno: number
  readonly fatal: boolean
  readonly message: string
}

/** Clients that do the same again and again, side by side, until they are told to stop. */
class Load {
  readonly failures: Failure[] = []
  readonly #clients: readonly Connection[]
  readonly #runs: Promise<void>[]
  done = 0
  closed = 0
  #stopping = false

  private constructor(clients: readonly Connection[], work: (client: Connection, number: number) => Promise<void>) {
    this.#clients = clients
    for (const client of clients) {
      client.on('error', () => {
        this.closed += 1
      })
    }
    this.#runs = clients.map((client, number) => this.run(() => work(client, number)))
  }

  static async start(port: number, work: (client: Connection, number: number) => Promise<void>): Promise<Load> {
    const login = { host: '127.0.0.1', port, user: 'app', password: 'app_pw' }
    return new Load(await Promise.all(Array.from({ length: CLIENTS }, () => createConnection(login))), work)
  }

  /** Waits until so many more pieces of work are done. */
  async progress(count: number): Promise<void> {
    const goal = this.done + count
    const because = () => `only ${this.done} of ${goal} were done: ${this.failures.at(-1)?.message ?? 'no error'}`
    await until(() => (this.done >= goal ? true : null), 20_000, because)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#runs)
    for (const client of this.#clients) await client.end().catch(() => {})
  }

  private async run(work: () => Promise<void>): Promise<void> {
    while (!this.#stopping) {
      try {
        await work()
        this.done += 1
      } catch (error) {
        const failure = error as Failure
        this.failures.push(failure)
        if (failure.fatal) return
      }
    }
  }
}

describeEngines((engine) => {
  const cluster = useCluster(engine)
  let sluice: RunningSluice
  const loads: Load[] = []

  beforeAll(async () => {
    await cluster().writer.ask('CREATE DATABASE fault')
    await cluster().writer.ask('CREATE TABLE fault.t (id INT PRIMARY KEY, v INT)')
    await cluster().writer.ask('CREATE TABLE fault.log (client INT, turn INT)')
    await cluster().writer.ask('CREATE TABLE fault.account (id INT PRIMARY KEY, v INT NOT NULL)')
    const numbers = Array.from({ length: 100 }, (_, id) => `(${id}, ${id})`).join(', ')
    await cluster().writer.ask(`INSERT INTO fault.t VALUES ${numbers}`)
    await cluster().writer.ask(`INSERT INTO fault.account VALUES ${numbers}`)
    await cluster().waitForReaders()
    sluice = await startSluice({ seeds: cluster().servers.map(({ address }) => address) })
  })
  afterEach(async () => {
    for (const load of loads.splice(0)) await load.stop()
  })
  afterAll(async () => sluice?.stop())

  async function start(work: (client: Connection, number: number) => Promise<void>): Promise<Load> {
    const load = await Load.start(sluice.port, work)
    loads.push(load)
    return load
  }

  const seenAs = ({ address }: LabServer) =>
    sluice.proxy.snapshots.topology()[0]!.backends.find((b) => b.id === address)
  const becomes = (server: LabServer, wanted: 'up' | 'down') =>
    until(
      () => (seenAs(server)?.health === 'up') === (wanted === 'up') || null,
      20_000,
      () => `${server.address} is ${JSON.stringify(seenAs(server))}`,
    )
  const lentTo = ({ address }: LabServer) =>
    sluice.proxy.snapshots
      .pools()
      .filter(({ backend }) => backend === address)
      .reduce((sum, { idle, lent }) => sum + idle + lent, 0)

  const busyAt = ({ address }: LabServer) =>
    sluice.proxy.snapshots
      .pools()
      .filter(({ backend }) => backend === address)
      .reduce((sum, { lent, waiting }) => sum + lent + waiting, 0)

  const read = async (client: Connection): Promise<void> => {
    const [rows] = await client.query('SELECT SUM(v) AS total, COUNT(*) AS n FROM fault.t')
    expect(rows).toEqual([{ total: '4950', n: 100 }])
  }

  test('a reader that is killed under 20 reading clients: none sees an error, and it serves again when it is back', async () => {
    const [reader] = cluster().readers
    const load = await start(read)
    await load.progress(400)
    expect(lentTo(reader!)).toBeGreaterThan(0)
    await reader!.kill()
    await load.progress(400)
    await becomes(reader!, 'down')
    await reader!.start()
    await becomes(reader!, 'up')
    await until(
      () => (lentTo(reader!) > 0 ? true : null),
      20_000,
      () => 'the reader is not used again',
    )
    await load.stop()
    expect(load.failures).toEqual([])
    expect(load.closed).toBe(0)
  })

  test('both readers killed: the writer serves, and no client sees an error', async () => {
    const readers = cluster().readers
    const load = await start(read)
    await load.progress(200)
    await Promise.all(readers.map((reader) => reader.kill()))
    await load.progress(400)
    await Promise.all(readers.map((reader) => reader.start()))
    for (const reader of readers) await becomes(reader, 'up')
    await load.stop()
    expect(load.failures).toEqual([])
  })

  test('a reader that freezes is found out and gets no new reads; what it was asked before is answered by others', async () => {
    const [reader] = cluster().readers
    const load = await start(read)
    await load.progress(200)
    reader!.freeze()
    try {
      await becomes(reader!, 'down')
      // Whoever was caught by it goes on elsewhere, and so does whoever comes now.
      await until(
        () => (busyAt(reader!) === 0 ? true : null),
        20_000,
        () => `${busyAt(reader!)} statements still wait for it`,
      )
      const newcomers = await start(read)
      await newcomers.progress(400)
      await newcomers.stop()
      expect(newcomers.failures).toEqual([])
    } finally {
      reader!.thaw()
    }
    await becomes(reader!, 'up')
    await load.progress(400)
    await load.stop()
    expect(load.failures).toEqual([])
    expect(load.closed).toBe(0)
  })

  test('a writer that is killed and followed by a reader: nobody is disconnected, and nothing is written twice', async () => {
    const turns = new Array<number>(CLIENTS).fill(0)
    const acknowledged = new Set<string>()
    const unknown = new Set<string>()
    const load = await start(async (client, number) => {
      const turn = turns[number]!++
      // Half of them write alone, half in transactions that leave the sum as it is.
      if (number % 2 === 0) {
        try {
          const [result] = await client.query<ResultSetHeader>('INSERT INTO fault.log VALUES (?, ?)', [number, turn])
          expect(result.affectedRows).toBe(1)
          acknowledged.add(`${number}/${turn}`)
        } catch (error) {
          unknown.add(`${number}/${turn}`)
          throw error
        }
      } else {
        await client.beginTransaction()
        await client.query('UPDATE fault.account SET v = v + 1 WHERE id = ?', [2 * number])
        await client.query('UPDATE fault.account SET v = v - 1 WHERE id = ?', [2 * number + 1])
        await client.commit()
      }
    })
    await load.progress(200)
    const old = cluster().writer
    const [successor] = cluster().readers
    await old.kill()
    // Whatever was in flight has failed or waits by now: nobody is left that still writes.
    await until(
      () => (seenAs(old)?.health === 'up' ? null : true),
      20_000,
      () => 'the writer is not missed',
    )
    await cluster().promote(successor!)
    await load.progress(400)
    await load.stop()

    expect(load.closed).toBe(0)
    expect(load.failures.filter(({ fatal }) => fatal)).toEqual([])
    const allowed = [9140, 9141, 1213]
    expect(load.failures.filter(({ errno }) => !allowed.includes(errno)).map(({ message }) => message)).toEqual([])
    // At most what was in flight: one statement of each client.
    expect(load.failures.length).toBeLessThanOrEqual(CLIENTS)

    const rows = await cluster().writer.asRoot(async (root) => {
      const [found] = await root.query('SELECT client, turn FROM fault.log')
      return (found as { client: number; turn: number }[]).map(({ client, turn }) => `${client}/${turn}`)
    })
    const doubled = rows.filter((row, index) => rows.indexOf(row) !== index)
    expect(doubled).toEqual([])
    expect(rows.filter((row) => !acknowledged.has(row) && !unknown.has(row))).toEqual([])
    // Replication is asynchronous, so what the old writer had not passed on may be missing. That no proxy can mend.
    expect(Number(await cluster().writer.ask('SELECT SUM(v) FROM fault.account'))).toBe(4950)
    expect(acknowledged.size).toBeGreaterThan(200)
  })
})
