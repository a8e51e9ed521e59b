// What several workers say is shown as if one had said it.

import { expect, test } from 'vitest'
import { addRecord, createMetrics, Durations, recordOf } from '../../../src/metrics.ts'
import type { FailoverTimeline } from '../../../src/topology/failover-timeline.ts'
import { mergedFloors, mergedPools, mergedStatements, mergedTimeline } from '../../../src/workers/merge.ts'
import type { StatementRecord } from '../../../src/workers/messages.ts'
import { pool } from '../admin/snapshots.ts'

test('pools of one server and login are one', () => {
  const [merged, other] = mergedPools([pool(1, { idle: 1, lent: 2 }), pool(2), pool(1, { idle: 4, lent: 1 })])
  expect([merged!.backend, merged!.idle, merged!.lent, other!.backend]).toEqual(['127.0.0.1:1', 5, 3, '127.0.0.1:2'])
})

test('floors are those of the worker that has heard of the most', () => {
  const told = (writes: number, lacks: number, cluster = 'main') => ({
    cluster,
    writes,
    position: `0-1-${writes}`,
    backends: [{ id: 'r', position: null, lacks }],
  })
  expect(mergedFloors([told(4, 1), told(5, 3), told(5, 2), told(3, 0), told(1, 1, 'other')])).toEqual([
    told(5, 2),
    told(1, 1, 'other'),
  ])
})

test('statements of one digest are one, and the last word about them is of who met them last', () => {
  const durations = new Durations()
  durations.observeMs(4)
  const record = (more: Partial<StatementRecord>): StatementRecord => ({
    cluster: 'main',
    digest: 'd',
    text: 'SELECT ?',
    access: 'read',
    classified: '',
    because: 'old',
    count: 1,
    errors: 0,
    targets: [{ target: 'reader', count: 1 }],
    durations: durations.record,
    firstMs: 5,
    lastMs: 6,
    ...more,
  })
  const last = record({ because: 'new', errors: 1, targets: [{ target: 'writer', count: 1 }], firstMs: 1, lastMs: 9 })
  const [merged, ...none] = mergedStatements([record({}), last, record({})])
  expect(none).toEqual([])
  expect(merged).toMatchObject({ count: 3, errors: 1, because: 'new', firstMs: 1, lastMs: 9 })
  expect(merged!.targets).toEqual([
    { target: 'reader', count: 2 },
    { target: 'writer', count: 1 },
  ])
  expect(merged!.durations.count).toBe(3)
})

test('of workers that are gone what was counted stays, and what was is no more', () => {
  const [gone, shown] = [createMetrics(), createMetrics()]
  gone.pins.labels('transaction').value = 3
  gone.clientConnections.value = 7
  gone.holdSeconds.observeMs(5)
  addRecord(shown, recordOf(gone), new Set(['counter']))
  addRecord(shown, recordOf(gone), new Set(['counter']))
  expect([shown.pins.labels('transaction').value, shown.clientConnections.value]).toEqual([6, 0])
  expect(shown.holdSeconds.count).toBe(2)
})

test('a failover is the supervisor’s, with what it did to the sessions of all', () => {
  const timeline = (more: Partial<FailoverTimeline>): FailoverTimeline => ({
    kind: 'failover',
    cluster: 'main',
    epoch: 3,
    from: 'db1',
    to: 'db2',
    because: 'gone',
    losses: 1,
    lostMs: 90,
    detectedMs: 100,
    foundMs: 150,
    verifiedMs: null,
    firstWriteMs: null,
    endedMs: 1_150,
    held: 0,
    longestWaitMs: 0,
    sessions: { before: 0, left: 0, lost: 0 },
    transactionsLost: 0,
    outcomesUnknown: 0,
    errors: new Map(),
    ...more,
  })
  const sessions = { before: 4, left: 1, lost: 0 }
  const parts = [
    timeline({ lostMs: 97, detectedMs: 98, firstWriteMs: 170, held: 2, longestWaitMs: 60, sessions }),
    timeline({
      lostMs: 101,
      detectedMs: 101,
      firstWriteMs: 160,
      held: 1,
      sessions,
      errors: new Map([['NO_WRITER', 2]]),
    }),
    timeline({ detectedMs: 5_000, endedMs: 6_000, held: 50 }),
    timeline({ cluster: 'other', held: 50 }),
  ]
  expect(mergedTimeline(timeline({}), parts)).toEqual(
    timeline({
      lostMs: 97,
      detectedMs: 98,
      firstWriteMs: 160,
      held: 3,
      longestWaitMs: 60,
      sessions: { before: 8, left: 2, lost: 0 },
      errors: new Map([['NO_WRITER', 2]]),
    }),
  )
})
