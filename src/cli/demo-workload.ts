// The demo's clients: each with one connection that it never gives up, reading and writing orders as a shop would.

import { type Connection, createConnection, createPool, type Pool, type RowDataPacket } from 'mysql2/promise'
import type { LabCluster, LabServer } from '../lab/index.ts'

export interface Workload {
  /** For questions beside the workload. */
  readonly pool: Pool
  readonly statements: number
  readonly disconnects: number
  /** Texts of errors that clients saw, and how often. */
  readonly errors: ReadonlyMap<string, number>
  readonly longestWaitMs: number
  start(): void
  runFor(ms: number): Promise<void>
  forgetWaits(): void
  /** Rows that this server was told to write, by its own port number in them. */
  writtenOn(port: number): Promise<number>
  stop(): Promise<void>
}

const PAUSE_MS = 4

/** Connects all clients through the proxy on `port`, and makes the shop. */
export async function createWorkload(port: number, clients: number): Promise<Workload> {
  const options = { host: '127.0.0.1', port, user: 'app', password: 'app_pw' }
  const setUp = await createConnection(options)
  await setUp.query('CREATE DATABASE IF NOT EXISTS shop')
  await setUp.query(
    `CREATE TABLE IF NOT EXISTS shop.orders
       (id INT AUTO_INCREMENT PRIMARY KEY, amount INT NOT NULL, note VARCHAR(100), written_on INT NOT NULL)`,
  )
  await setUp.query('INSERT INTO shop.orders (amount, written_on) VALUES (1, 0), (2, 0), (3, 0)')
  await setUp.end()

  const pool = createPool({ ...options, database: 'shop', connectionLimit: 2 })
  const connections = await Promise.all(
    Array.from({ length: clients }, () => createConnection({ ...options, database: 'shop' })),
  )
  const errors = new Map<string, number>()
  let statements = 0
  let disconnects = 0
  let longestWaitMs = 0
  let running: Promise<unknown> | null = null
  let stopping = false
  for (const connection of connections) connection.on('error', () => disconnects++)

  const ask = async (connection: Connection, sql: string, values: readonly (string | number)[], prepared: boolean) => {
    const startMs = performance.now()
    try {
      const parameters = [...values]
      await (prepared ? connection.execute(sql, parameters) : connection.query(sql, parameters))
      statements += 1
    } catch (error) {
      const { message, fatal } = error as Error & { fatal?: boolean }
      if (fatal === true) disconnects += 1
      errors.set(message, (errors.get(message) ?? 0) + 1)
    }
    longestWaitMs = Math.max(longestWaitMs, performance.now() - startMs)
  }

  const live = async (connection: Connection, client: number) => {
    for (let turn = 0; !stopping; turn++) {
      const id = ((client * 7 + turn) % 50) + 1
      const prepared = turn % 2 === 0
      if (turn % 5 === 0) {
        await ask(connection, 'INSERT INTO orders (amount, written_on) VALUES (?, @@port)', [turn], prepared)
      } else if (turn % 5 === 1)
        await ask(connection, 'SELECT COUNT(*), SUM(amount) FROM orders WHERE id < ?', [id], prepared)
      else await ask(connection, 'SELECT id, amount, note FROM orders WHERE id = ?', [id], prepared)
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
  }

  return {
    pool,
    errors,
    get statements() {
      return statements
    },
    get disconnects() {
      return disconnects
    },
    get longestWaitMs() {
      return longestWaitMs
    },
    start() {
      running ??= Promise.all(connections.map(live))
    },
    runFor: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    forgetWaits() {
      longestWaitMs = 0
    },
    async writtenOn(serverPort) {
      const sql = '/* sluice:writer */ SELECT COUNT(*) AS count FROM orders WHERE written_on = ?'
      const [[row]] = await pool.query<RowDataPacket[]>(sql, [serverPort])
      return Number(row?.count)
    },
    async stop() {
      stopping = true
      await running
      await pool.end()
      await Promise.all(connections.map((connection) => connection.end().catch(() => connection.destroy())))
    },
  }
}

export interface ServerCounts {
  readonly server: LabServer
  readonly reads: number
  readonly writes: number
}

/** Reads and writes of the application that reached each server, by the servers' own logs. */
export function countsOf(cluster: LabCluster): Promise<ServerCounts[]> {
  return Promise.all(
    cluster.servers.map(async (server) => {
      const seen = await server.statementsSeen()
      const ran = seen.filter(({ command }) => command === 'Query' || command === 'Execute')
      const count = (pattern: RegExp) => ran.filter(({ text }) => pattern.test(text)).length
      return { server, reads: count(/^SELECT .* FROM orders/), writes: count(/^INSERT/) }
    }),
  )
}
