// Is every read as fresh as it was promised? Many sessions write and read through a Sluice while readers fall behind and
// the writer changes. `npm run staleness` goes on for longer, with other seeds.

import { expect, test } from 'vitest'
import type { EngineName } from '../../src/lab/index.ts'
import { describeEngines, ENGINES, useCluster } from '../support/lab.ts'
import { campaign } from '../support/staleness/campaign.ts'
import type { Guarantee, Promised } from '../support/staleness/history.ts'

const asked = (name: string) => process.env[`SLUICE_STALENESS_${name}`]
const number = (name: string, otherwise: number) => Number(asked(name) ?? otherwise)

const engines = ENGINES.filter((engine) => engine === (asked('ENGINE') ?? engine))
const minutes = number('MINUTES', 0)
const seed = number('SEED', 1)
const msMax = minutes > 0 ? minutes * 60_000 : 4_000

const monotonic = asked('MONOTONIC') === 'true'
const guarantees = (asked('CONSISTENCY') ?? 'eventual,session,service,global').split(',') as Guarantee[]
const promises = guarantees.map((guarantee): Promised => ({ guarantee, monotonic }))

describeEngines((engine: EngineName) => {
  const cluster = useCluster(engine, { readers: 2 })

  test(
    'every read is as fresh as it was promised',
    async () => {
      const found = await campaign(cluster(), {
        seed,
        engine,
        promises,
        sessions: number('SESSIONS', 24),
        msMax,
        switchovers: minutes > 0 ? Math.ceil(minutes * 4) : 1,
      })
      console.log(`seed ${seed} on ${engine}, ${found.report}`)
      for (const story of found.stories) console.log(story)
      expect(found.complaints).toEqual([])
      expect(found.violations).toBe(0)
      // Else there was nothing to find.
      if (guarantees.includes('eventual')) expect(found.counts.eventual.stale).toBeGreaterThan(0)
    },
    msMax + 180_000,
  )
}, engines)
