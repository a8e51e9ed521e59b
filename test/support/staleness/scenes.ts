// Where the sessions play: a cluster, a Sluice in front of it with a listener for every promise, and its weather.

import { type AuroraCluster, type AuroraScript, freePort, type LabCluster } from '../../../src/lab/index.ts'
import { FaultyLink } from '../faulty-link.ts'
import { startSluice } from '../sluice.ts'
import { SluiceProcess } from '../sluice-process.ts'
import type { Promised } from './history.ts'
import { furnishing, SCHEMA } from './kinds.ts'
import type { LoadSettings } from './load.ts'
import type { WeatherSettings } from './weather.ts'

export interface Scene {
  readonly cluster: LabCluster
  /** Of the listeners, one for each promise. */
  readonly ports: readonly number[]
  readonly rhythm: LoadSettings['rhythm']
  readonly weather: Pick<WeatherSettings, 'spells' | 'links' | 'changeWriter'>
  stop(): Promise<void>
}

/** Ordinary replication, with a link between Sluice and each reader that can be slow. Sluice is a process of its own. */
export async function replicationScene(
  cluster: LabCluster,
  promises: readonly Promised[],
  workers: number,
): Promise<Scene> {
  await furnish(cluster)
  const links = await Promise.all(cluster.readers.map(({ port }) => FaultyLink.open(port)))
  const ports = await Promise.all(promises.map(() => freePort()))
  const sluice = await SluiceProcess.start({
    seeds: [cluster.writer.address, ...links.map(({ address }) => address)],
    moreListeners: listenersOf(promises, ports),
    more: `workers: ${workers}`,
    // Without TLS the links know the monitor, and leave it alone.
    cluster: '    tls: { mode: disabled }\n    reads: { lagMsMax: 60000 }',
  })
  return {
    cluster,
    ports,
    rhythm: null,
    weather: {
      links,
      spells: { standStill: 4, lockUp: 4, lag: 2, slowLinks: 2, fair: 2 },
      changeWriter: (reader) => cluster.switchover(reader),
    },
    async stop() {
      await sluice.stop()
      await Promise.all(links.map((link) => link.close()))
    },
  }
}

/**
 * What readers tell of their lag, which must be the truth: spells of bad weather are shorter. Told often, so that it is
 * worth something soon.
 */
export const AURORA_TOLD: Partial<AuroraScript> = { lagMs: [900, 1_200], statusMs: 300 }
export const AURORA_SPELL_MS_MAX = 300

/** The lab's Aurora: its names are known in this process only, so that Sluice has to be in it. */
export async function auroraScene(aurora: AuroraCluster, promises: readonly Promised[]): Promise<Scene> {
  await furnish(aurora.lab)
  const ports = await Promise.all(promises.map(() => freePort()))
  const sluice = await startSluice({
    seeds: aurora.seeds,
    moreListeners: listenersOf(promises, ports),
    cluster: '    reads: { lagMsMax: 60000 }',
  })
  return {
    cluster: aurora.lab,
    ports,
    // Only time tells what a reader has, so that there has to be some.
    rhythm: { writeMs: 500, restMs: 2_500 },
    weather: {
      links: [],
      spells: { standStill: 3, lockUp: 3, fair: 3 },
      changeWriter: async () => void (await aurora.failover()),
    },
    stop: () => sluice.stop(),
  }
}

function listenersOf(promises: readonly Promised[], ports: readonly number[]): string {
  const listeners = promises.map((promised, at) => {
    const { guarantee, monotonic } = promised
    const words = `cluster: main, route: split, consistency: ${guarantee}, monotonic: ${monotonic}`
    return `  - { name: ${nameOf(promised)}, bind: 127.0.0.1:${ports[at]}, ${words} }`
  })
  return listeners.join('\n')
}

export function nameOf({ guarantee, monotonic }: Promised): string {
  return monotonic ? `${guarantee}_monotonic` : guarantee
}

/** Everything that the sessions need, and a row on every server that says which one it is. */
async function furnish(cluster: LabCluster): Promise<void> {
  await cluster.writer.asRoot(async (root) => {
    for (const sql of furnishing()) await root.query(sql)
  })
  await cluster.waitForReaders()
  await Promise.all(
    cluster.servers.map((server) =>
      server.asRoot(async (root) => {
        const [variables] = await root.query("SHOW GLOBAL VARIABLES LIKE 'super_read_only'")
        const isLocked = (variables as { Value: string }[])[0]?.Value === 'ON'
        if (isLocked) await root.query('SET GLOBAL super_read_only = OFF')
        await root.query(`SET sql_log_bin = 0; INSERT INTO ${SCHEMA}.place VALUES ('${server.address}')`)
        if (isLocked) await root.query('SET GLOBAL super_read_only = ON')
      }),
    ),
  )
}
