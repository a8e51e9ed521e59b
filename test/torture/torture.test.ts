// Many sessions at once on very few connections, doing whatever chance has them do: each must be told what it is told
// when it is alone with the writer. `npm run torture` goes on for longer, with other seeds.

import { describe, expect, test } from 'vitest'
import { clusterOf, describeEngines, ENGINES } from '../support/lab.ts'
import { Campaign } from '../support/torture/campaign.ts'

const asked = (name: string) => process.env[`SLUICE_TORTURE_${name}`]
const number = (name: string, otherwise: number) => Number(asked(name) ?? otherwise)

const engines = ENGINES.filter((engine) => engine === (asked('ENGINE') ?? engine))
const first = number('SEED', 4)
const minutes = number('MINUTES', 0)
const seeds = Array.from({ length: minutes > 0 ? 1 : number('SEEDS', 2) }, (_, index) => first + index)
const settings = {
  sessions: number('SESSIONS', 16),
  movesMin: number('MOVES', 40),
  shrinkMsMax: number('SHRINK_SECONDS', 60) * 1000,
}

describeEngines((engine) => {
  const campaign = new Campaign(clusterOf(engine), engine, settings)

  if (minutes === 0) {
    test.each(seeds)(
      'nobody is told anything else than alone: seed %i',
      async (seed) => expect(await campaign.play(seed)).toBeNull(),
      settings.shrinkMsMax + 120_000,
    )
  } else {
    describe(`for ${minutes} minutes from seed ${first} on`, () => {
      const msMax = minutes * 60_000
      test(
        'nobody is told anything else than alone',
        async () => {
          const stories: string[] = []
          const endMs = performance.now() + msMax
          for (let seed = first; performance.now() < endMs; seed++) {
            const story = await campaign.play(seed)
            console.log(story ?? `seed ${seed} on ${engine}: the same`)
            if (story !== null) stories.push(story)
          }
          expect(stories).toEqual([])
        },
        msMax + settings.shrinkMsMax + 300_000,
      )
    })
  }
}, engines)
