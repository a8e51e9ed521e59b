// Many sessions, and weather, for a while: what one run of them found.

import { Random } from '../torture/random.ts'
import { Chronicle } from './chronicle.ts'
import type { Guarantee, Promised } from './history.ts'
import { type Door, Load } from './load.ts'
import { nameOf, type Scene } from './scenes.ts'
import { Weather } from './weather.ts'

export interface CampaignSettings {
  readonly seed: number
  readonly promises: readonly Promised[]
  readonly sessions: number
  readonly msMax: number
  /** How often the writer changes. */
  readonly switchovers: number
  /** How long a spell of bad weather is at most. */
  readonly spellMsMax: number
}

export interface Findings {
  readonly counts: Readonly<Record<Guarantee, { readonly reads: number; readonly stale: number }>>
  /** By the server that answered, where it was asked which one it is. */
  readonly places: ReadonlyMap<string, number>
  readonly violations: number
  readonly stories: readonly string[]
  readonly complaints: readonly string[]
  /** For people. */
  readonly report: string
}

/** What comes directly is promised nothing, and only there to be missed. */
const NOTHING: Promised = { guarantee: 'eventual', monotonic: false }

export async function campaign(scene: Scene, settings: CampaignSettings): Promise<Findings> {
  const { seed, promises, sessions, msMax, switchovers, spellMsMax } = settings
  const { cluster, ports } = scene
  const random = new Random(seed)
  const chronicle = new Chronicle()
  const startMs = performance.now()
  const nowMs = () => performance.now() - startMs
  const perDoor = Math.max(1, Math.round(sessions / promises.length))
  const doors: Door[] = [
    ...promises.map((promised, at) => ({
      name: nameOf(promised),
      port: () => ports[at]!,
      through: 'sluice' as const,
      promised,
      sessions: perDoor,
    })),
    { name: 'direct', port: () => cluster.writer.port, through: 'direct', promised: NOTHING, sessions: 1 },
  ]
  const load = new Load({
    engine: cluster.engine,
    random: random.fork(),
    doors,
    tell: (event) => chronicle.tell(event),
    nowMs,
    writeShare: 0.25,
    rhythm: scene.rhythm,
    rollBack: async (xa) => {
      await cluster.writer.ask(`XA ROLLBACK '${xa}'`).catch(() => {})
    },
  })
  const weather = new Weather({
    ...scene.weather,
    cluster,
    random: random.fork(),
    spellMsMax,
    note: (text) => chronicle.tell({ what: 'note', ms: nowMs(), text }),
  })
  const isEventual = promises.some(({ guarantee }) => guarantee === 'eventual')
  const running = load.run()
  try {
    const share = msMax / (switchovers + 1)
    for (let spell = 0; spell <= switchovers; spell++) {
      const stillMs = Math.min(share / 4, spellMsMax)
      // Without promises something must be seen to be stale, or there is nothing to find.
      await weather.standStill(stillMs, () => !isEventual || chronicle.judge.counts.eventual.stale > 0)
      await weather.blow(share - stillMs)
      if (spell === switchovers) break
      await load.withoutEscapes(() => weather.changeWriter())
    }
  } finally {
    load.stop()
    await running
  }
  await cluster.waitForReaders()
  const { violations, stories, judge, places } = chronicle
  const report = reportOf(load, chronicle, nowMs())
  return { counts: judge.counts, places, violations, stories, complaints: load.complaints, report }
}

function reportOf(load: Load, { judge, violations, places }: Chronicle, ms: number): string {
  const counts = Object.entries(judge.counts).filter(([, { reads }]) => reads > 0)
  return [
    `in ${(ms / 1000).toFixed(1)} s:`,
    ...counts.map(([guarantee, { reads, stale }]) => `  ${guarantee}: ${reads} reads, ${stale} behind the service`),
    `  ${violations} violations`,
    ...[...places].sort().map(([where, count]) => `  ${count} answered by ${where}`),
    ...[...load.failures].map(([words, count]) => `  ${count} × ${words}`),
  ].join('\n')
}
