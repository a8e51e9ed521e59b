// The same statements, direct and through Sluice: every frame of every answer must be the same.

import { afterAll, beforeAll, describe, test } from 'vitest'
import { CLIENTS, expectSame } from '../support/differential.ts'
import { clusterOf } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import { CASES, opening } from './cases.ts'

describe.each(['mysql', 'mariadb'] as const)('%s', (engine) => {
  const cluster = clusterOf(engine)
  let sluice: RunningSluice

  beforeAll(async () => {
    sluice = await startSluice({ seeds: cluster.seeds })
  })
  afterAll(() => sluice.stop())

  describe.each(CLIENTS)('%s', (_name, client) => {
    const cases = CASES.filter((one) => one.engine === undefined || one.engine === engine)

    test.each(cases.map(({ promise, steps }) => [promise, steps] as const))('%s', async (_promise, steps) => {
      await expectSame(steps, {
        ...client,
        opening,
        direct: { port: cluster.writerPort },
        sluice: { port: sluice.port },
        settle: () => cluster.settle(),
      })
    })
  })
})
