// A cluster, a Sluice in front of it, many sessions, and weather: what one run of them found.

import { type EngineName, freePort, type LabCluster } from '../../../src/lab/index.ts'
import { FaultyLink } from '../faulty-link.ts'
import { SluiceProcess } from '../sluice-process.ts'
import { Random } from '../torture/random.ts'
import { Chronicle } from './chronicle.ts'
import type { Guarantee, Promised } from './history.ts'
import { furnishing, SCHEMA } from './kinds.ts'
import { type Door, Load } from './load.ts'
import { Weather } from './weather.ts'

export interface CampaignSettings {
  readonly seed: number
  readonly engine: EngineName
  /** What the listeners promise; each has sessions of its own. */
  readonly promises: readonly Promised[]
  readonly sessions: number
  readonly msMax: number
  /** How often the writer changes. */
  readonly switchovers: number
}

export interface Findings {
  readonly counts: Readonly<Record<Guarantee, { readonly reads: number; readonly stale: number }>>
  readonly violations: number
  readonly stories: readonly string[]
  readonly complaints: readonly string[]
  /** For people. */
  readonly report: string
}

export async function campaign(cluster: LabCluster, settings: CampaignSettings): Promise<Findings> {
  const { seed, engine, promises, sessions, msMax, switchovers } = settings
  const random = new Random(seed)
  await furnish(cluster)
  const links = await Promise.all(cluster.readers.map(({ port }) => FaultyLink.open(port)))
  const ports = await Promise.all(promises.map(() => freePort()))
  const sluice = await SluiceProcess.start({
    seeds: [cluster.writer.address, ...links.map(({ address }) => address)],
    moreListeners: promises.map((promised, at) => listenerOf(promised, ports[at]!)).join('\n'),
    // Without TLS the links know the monitor, and leave it alone.
    cluster: '    tls: { mode: disabled }\n    reads: { lagMsMax: 60000 }',
  })
  const chronicle = new Chronicle()
  const startMs = performance.now()
  const nowMs = () => performance.now() - startMs
  try {
    const doors: Door[] = [
      ...promises.map((promised, at) => ({
        name: nameOf(promised),
        port: () => ports[at]!,
        through: 'sluice' as const,
        promised,
        sessions: Math.max(1, Math.round(sessions / promises.length)),
      })),
      {
        name: 'direct',
        port: () => cluster.writer.port,
        through: 'direct' as const,
        promised: { guarantee: 'eventual' as const, monotonic: false },
        sessions: 1,
      },
    ]
    const load = new Load({
      engine,
      random: random.fork(),
      doors,
      tell: (event) => chronicle.tell(event),
      nowMs,
      writeShare: 0.25,
      rollBack: async (xa) => {
        await cluster.writer.ask(`XA ROLLBACK '${xa}'`).catch(() => {})
      },
    })
    const weather = new Weather({
      cluster,
      engine,
      random: random.fork(),
      links,
      note: (text) => chronicle.tell({ what: 'note', ms: nowMs(), text }),
    })
    const running = load.run()
    try {
      const share = msMax / (switchovers + 1)
      for (let spell = 0; spell <= switchovers; spell++) {
        await weather.standStill(Math.min(share / 4, 600))
        await weather.blow((share * 3) / 4)
        if (spell === switchovers) break
        await load.withoutEscapes(() => weather.changeWriter())
      }
    } finally {
      load.stop()
      await running
    }
    await cluster.waitForReaders()
    const { violations, stories, judge } = chronicle
    const report = reportOf(load, chronicle, nowMs())
    return { counts: judge.counts, violations, stories, complaints: load.complaints, report }
  } finally {
    await sluice.stop()
    await Promise.all(links.map((link) => link.close()))
  }
}

function listenerOf(promised: Promised, port: number): string {
  const { guarantee, monotonic } = promised
  const words = `cluster: main, route: split, consistency: ${guarantee}, monotonic: ${monotonic}`
  return `  - { name: ${nameOf(promised)}, bind: 127.0.0.1:${port}, ${words} }`
}

function nameOf({ guarantee, monotonic }: Promised): string {
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

function reportOf(load: Load, { judge, violations }: Chronicle, ms: number): string {
  const counts = Object.entries(judge.counts).filter(([, { reads }]) => reads > 0)
  return [
    `in ${(ms / 1000).toFixed(1)} s:`,
    ...counts.map(([guarantee, { reads, stale }]) => `  ${guarantee}: ${reads} reads, ${stale} behind the service`),
    `  ${violations} violations`,
    ...[...load.failures].map(([words, count]) => `  ${count} × ${words}`),
  ].join('\n')
}
