// Is every read as fresh as it was promised? Many sessions write and read through a Sluice while readers fall behind and
// the writer changes. `npm run staleness` goes on for longer, with other seeds.

import { expect, test } from 'vitest'
import { startAurora } from '../../src/lab/index.ts'
import { describeEngines, ENGINES, useCluster } from '../support/lab.ts'
import { campaign } from '../support/staleness/campaign.ts'
import type { Guarantee, Promised } from '../support/staleness/history.ts'
import {
  AURORA_SPELL_MS_MAX,
  AURORA_TOLD,
  auroraScene,
  replicationScene,
  type Scene,
} from '../support/staleness/scenes.ts'

const asked = (name: string) => process.env[`SLUICE_STALENESS_${name}`]
const number = (name: string, otherwise: number) => Number(asked(name) ?? otherwise)

const engines = ENGINES.filter((engine) => engine === (asked('ENGINE') ?? engine))
const minutes = number('MINUTES', 0)
const seed = number('SEED', 1)
const msMax = minutes > 0 ? minutes * 60_000 : 4_000

const promises: readonly Promised[] =
  asked('CONSISTENCY') === undefined
    ? [
        { guarantee: 'eventual', monotonic: false },
        { guarantee: 'eventual', monotonic: true },
        { guarantee: 'session', monotonic: false },
        { guarantee: 'service', monotonic: false },
        { guarantee: 'global', monotonic: true },
      ]
    : asked('CONSISTENCY')!
        .split(',')
        .map((guarantee) => ({ guarantee: guarantee as Guarantee, monotonic: asked('MONOTONIC') === 'true' }))

async function check(scene: Scene, msMax: number, spellMsMax: number): Promise<void> {
  const sessions = number('SESSIONS', 24)
  const switchovers = Math.max(1, Math.round(msMax / 15_000))
  try {
    const found = await campaign(scene, { seed, promises, sessions, msMax, switchovers, spellMsMax })
    console.log(`seed ${seed}, ${found.report}`)
    for (const story of found.stories) console.log(story)
    expect(found.complaints).toEqual([])
    expect(found.violations).toBe(0)
  } finally {
    await scene.stop()
  }
}

describeEngines((engine) => {
  const msTestMax = msMax + 180_000

  if (asked('CLUSTER') === 'aurora') {
    test(
      'every read is as fresh as it was promised, as far as an Aurora cluster tells the truth of its lag',
      async () => {
        const aurora = await startAurora({ engine, seed, script: AURORA_TOLD })
        try {
          await check(await auroraScene(aurora, promises), msMax, AURORA_SPELL_MS_MAX)
        } finally {
          await aurora.stop()
        }
      },
      msTestMax,
    )
    return
  }

  const cluster = useCluster(engine, { readers: 2 })

  test(
    'every read is as fresh as it was promised',
    async () => check(await replicationScene(cluster(), promises, number('WORKERS', 1)), msMax, 900),
    msTestMax,
  )
}, engines)
