// Promises of the drill's report: what it calls a broken promise, and what it does not.

import { describe, expect, test } from 'vitest'
import { gapOf, linesOf, medianOf, type Round, verdictsOn } from '../../../src/cli/drill-report.ts'
import type { FailoverKind, Failure } from '../../../src/lab/index.ts'
import type { FailoverTimeline } from '../../../src/topology/failover-timeline.ts'

const TIMELINE: FailoverTimeline = {
  kind: 'failover',
  cluster: 'main',
  epoch: 2,
  from: 'db1:3306',
  to: 'db2:3306',
  because: 'connection lost',
  losses: 1,
  lostMs: 1_000,
  detectedMs: 1_010,
  foundMs: 1_250,
  verifiedMs: 1_255,
  firstWriteMs: 1_260,
  endedMs: 2_250,
  held: 5,
  longestWaitMs: 240,
  sessions: { before: 4, left: 0, lost: 0 },
  transactionsLost: 1,
  outcomesUnknown: 0,
  errors: new Map(),
}

function round(change: Partial<Round> = {}): Round {
  return {
    timeline: TIMELINE,
    acceptsMs: 1_200,
    firstWriteMs: 1_262,
    clients: 4,
    closed: 0,
    goesOn: true,
    statements: 100,
    failures: [],
    audit: { acknowledged: 50, missing: 0, wrong: 0 },
    ...change,
  }
}

function failure(change: Partial<Failure>): Failure {
  return { work: 'write', errno: 9140, message: 'unknown', fatal: false, fromMs: 1_005, atMs: 1_010, ...change }
}

const broken = (rounds: readonly Round[], kind: FailoverKind | null = 'kill', loses = false) =>
  verdictsOn(rounds, { kind, loses }).flatMap(({ promise, held }) => (held ? [] : [promise]))

describe('a promise', () => {
  test.each<[what: string, failure: Partial<Failure>]>([
    ['a write that was in flight', {}],
    ['a transaction that was open', { work: 'transaction', errno: 1213 }],
    ['a COMMIT that was in flight', { work: 'transaction', errno: 9141 }],
  ])('is not broken by an error to %s', (_what, change) => {
    expect(broken([round({ failures: [failure(change)] })])).toEqual([])
  })

  test.each<[what: string, failure: Partial<Failure>]>([
    ['a write that came after the loss was known', { fromMs: 1_011 }],
    ['a transaction that began after it', { work: 'transaction', errno: 1213, fromMs: 1_011 }],
    ['a write that ought to have waited', { errno: 9110 }],
    ['a read', { work: 'read' }],
    ['a session that did nothing', { work: 'idle', errno: 9142 }],
  ])('is broken by an error to %s', (_what, change) => {
    expect(broken([round({ failures: [failure(change)] })])).toEqual([
      'no error to a session without an open transaction or a statement in flight',
    ])
  })

  test.each<[promise: string, change: Partial<Round>]>([
    ['no client connection was closed', { closed: 1 }],
    ['every client goes on', { goesOn: false }],
    ["the first write succeeds within 1000 ms of the new writer's taking writes", { firstWriteMs: 2_201 }],
    ['clients were told the truth about their writes', { audit: { acknowledged: 50, missing: 1, wrong: 0 } }],
    ['clients were told the truth about their writes', { audit: { acknowledged: 50, missing: 0, wrong: 1 } }],
  ])('is broken: %s', (promise, change) => {
    expect(broken([round(change)])).toEqual([promise])
  })

  test('is broken where nobody saw the writer change', () => {
    expect(broken([round({ timeline: null, acceptsMs: null, firstWriteMs: null })])).toHaveLength(2)
  })

  test('of a planned change is broken by a write that fails, and not by a transaction', () => {
    const write = round({ failures: [failure({})] })
    const transaction = round({ failures: [failure({ work: 'transaction', errno: 1213 })] })
    expect(broken([write], 'switchover')).toEqual(['a planned change fails no statement outside of transactions'])
    expect(broken([transaction], 'switchover')).toEqual([])
  })

  test('on the median is made from three rounds on', () => {
    const slow = round({ firstWriteMs: 1_600 })
    expect(broken([slow, slow])).toEqual([])
    expect(broken([slow, slow, round()])).toEqual(['… and within 250 ms as a rule'])
    expect(broken([slow, round(), round()])).toEqual([])
  })

  test('gives a frozen writer the time that it takes to be missed', () => {
    const slow = round({ firstWriteMs: 4_500 })
    expect(broken([slow, slow, slow], 'freeze')).toEqual([])
    expect(broken([slow])).toHaveLength(1)
  })

  test('does not hold servers that lose what they have answered against the proxy', () => {
    expect(broken([round({ audit: { acknowledged: 50, missing: 3, wrong: 0 } })], null, true)).toEqual([])
  })
})

test('the timeline is told in order, in milliseconds since the old writer proved to be one', () => {
  expect(linesOf(round({ failures: [failure({}), failure({})] })).map((line) => line.trim())).toEqual([
    '+0 ms  db1:3306 last proved to be the writer',
    '+10 ms  detected: connection lost',
    '+200 ms  db2:3306 takes writes',
    '+250 ms  found: db2:3306 is the writer',
    '+255 ms  verified on a connection to it',
    '+262 ms  a client has the answer to its first write: 62 ms after the new writer took writes',
    '5 statements held, the longest wait 240 ms; 100 done in all',
    '4 of 4 sessions kept; 1 transactions lost, 0 outcomes unknown',
    'errors that clients saw: 2 × 9140',
  ])
  expect(gapOf(round())).toBe(62)
})

test('a median of an even number lies between the two in the middle', () => {
  expect(medianOf([5, 1, 9])).toBe(5)
  expect(medianOf([1, 10, 3, 6])).toBe(5)
})
