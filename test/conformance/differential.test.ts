// The same statements, direct and through Sluice: every frame of every answer must be the same. Also when there is one
// connection to each server, and a neighbour who uses it between any two statements.

import { afterAll, beforeAll, describe, test } from 'vitest'
import { CLIENTS, expectSame } from '../support/differential.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { Neighbour } from '../support/neighbour.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import { CASES, opening } from './cases.ts'

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  let sluice: RunningSluice
  let narrow: RunningSluice

  beforeAll(async () => {
    // Readers are waited for after every step, so reads may always go there: where they run does not hang on chance.
    const reads = '    reads: { consistency: eventual }'
    sluice = await startSluice({ seeds: cluster.seeds, cluster: reads })
    narrow = await startSluice({ seeds: cluster.seeds, cluster: `${reads}\n    pool: { connectionsMax: 1 }` })
  })
  afterAll(async () => {
    await sluice.stop()
    await narrow.stop()
  })

  describe.each(CLIENTS)('%s', (name, client) => {
    const cases = CASES.filter((one) => one.engine === undefined || one.engine === engine)
    // Every one with one of the three clients.
    const withNeighbour = cases.filter((_case, at) => CLIENTS[at % CLIENTS.length]![0] === name)

    test.each(cases.map(({ promise, steps }) => [promise, steps] as const))('%s', async (_promise, steps) => {
      await expectSame(steps, {
        ...client,
        opening,
        direct: { port: cluster.writerPort },
        sluice: { port: sluice.port },
        settle: () => cluster.settle(),
      })
    })

    test.each(withNeighbour.map(({ promise, steps }) => [promise, steps] as const))(
      'with a neighbour: %s',
      async (_promise, steps) => {
        const neighbour = await Neighbour.join(narrow, client)
        await expectSame(steps, {
          ...client,
          opening,
          direct: { port: cluster.writerPort },
          sluice: { port: narrow.port, meanwhile: () => neighbour.meddle() },
          settle: () => cluster.settle(),
        }).finally(() => neighbour.leave())
      },
    )
  })
})
