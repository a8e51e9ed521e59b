// A failover behind Aurora's face, as it looks to sessions in every state, whatever the old writer does with its connections.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuroraCluster, startAurora, until } from '../../src/lab/index.ts'
import { describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import { ENTRIES_SQL, NARROW, StruckSessions } from '../support/struck-sessions.ts'

const SETTLE_MS_MAX = 30_000
const QUICK = { outageMs: 300, oldWriterBackMs: 700, twoMastersMs: 400, staleMs: 400, dnsLateMs: 1_000 }

describeEngines(
  (engine) => {
    let aurora: AuroraCluster
    let sluice: RunningSluice

    beforeAll(async () => {
      aurora = await startAurora({ engine, instances: 3, script: QUICK })
      await aurora.lab.writer.asRoot((root) => root.query(ENTRIES_SQL))
      await aurora.lab.waitForReaders()
      sluice = await startSluice({ seeds: aurora.seeds, cluster: `    pool: { connectionsMax: ${NARROW} }` })
    })
    afterAll(async () => {
      await sluice?.stop()
      await aurora?.stop()
    })

    test.each(['restarts', 'mute', 'doomed'] as const)(
      'a failover whose old writer %s is nothing to idle sessions, and one error to those that held something',
      async (oldWriter) => {
        const backends = () => sluice.proxy.snapshots.topology()[0]!.backends
        const isWhole = () =>
          aurora.settled && backends().every(({ role, health }) => role !== 'unknown' && health === 'up')
        await until(
          () => (isWhole() ? true : null),
          SETTLE_MS_MAX,
          () => JSON.stringify(backends()),
        )
        const sessions = await StruckSessions.ready(sluice.port)
        await aurora.failover(null, oldWriter)
        const isFound = () =>
          backends().some(({ name, role, health }) => name === aurora.writer && role === 'writer' && health === 'up')
        await until(
          () => (isFound() ? true : null),
          SETTLE_MS_MAX,
          () => JSON.stringify(backends()),
        )
        await sessions.expectLosses()
        sessions.leave()
        expect(await aurora.lab.writer.ask('SELECT COUNT(*) FROM changes.entries WHERE id = 0')).toBe(0)
      },
    )
  },
  ['mysql'],
)
