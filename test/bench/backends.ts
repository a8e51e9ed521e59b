// What stands behind the proxies: a canned writer and a canned reader that cost next to nothing, or real servers.

import { type EngineName, type Progress, startCluster } from '../../src/lab/index.ts'
import { answerOf, type Programs } from './programs.ts'
import { fillTable, SCHEMA } from './sysbench.ts'

export interface Backends {
  readonly name: string
  /** The writer's first. */
  readonly ports: readonly number[]
  /** How many connections the writer takes. */
  readonly connectionsMax: number
  /** Resolves when the readers have all that the writer has. */
  level(): Promise<void>
  stop(): Promise<void>
}

const CANNED_CONNECTIONS_MAX = 19_000

export async function startCannedBackends(programs: Programs): Promise<Backends> {
  const program = programs.fork('./canned-backend.js')
  const { ports } = await answerOf<{ readonly ports: readonly number[] }>(program)
  return {
    name: 'canned backend',
    ports,
    connectionsMax: CANNED_CONNECTIONS_MAX,
    level: async () => {},
    stop: () => program.stop(),
  }
}

/** Below what the lab's servers take, for others who connect. */
const REAL_CONNECTIONS_MAX = 900

export async function startRealBackends(engine: EngineName, readers: number, progress: Progress): Promise<Backends> {
  const cluster = await startCluster({ engine, readers, progress })
  try {
    await cluster.writer.ask(`CREATE DATABASE ${SCHEMA}`)
    await fillTable(cluster.writer.port)
    await cluster.waitForReaders()
  } catch (error) {
    await cluster.stop()
    throw error
  }
  return {
    name: `${engine} ${cluster.version}`,
    ports: cluster.servers.map(({ port }) => port),
    connectionsMax: REAL_CONNECTIONS_MAX,
    level: () => cluster.waitForReaders(),
    stop: () => cluster.stop(),
  }
}
