// Promises of the failover timeline: what is written down while a writer is lost and another one found.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLog } from '../../../src/log.ts'
import { FailoverRecorder, type FailoverTimeline, figuresOf } from '../../../src/topology/failover-timeline.ts'
import type { Backend, Health, Topology } from '../../../src/topology/topology.ts'

beforeEach(() => {
  vi.useFakeTimers({ now: 10_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

/** `db1 writer, db2 reader suspect`: a topology in words. */
function topology(epoch: number, words: string): Topology {
  const backends = words.split(', ').map((word): Backend => {
    const [id = '', role = 'reader', health = 'up'] = word.split(' ')
    return {
      id,
      host: id,
      port: 3306,
      role: role as Backend['role'],
      health: health as Health,
      lagMs: 0,
      weight: 1,
      version: null,
      sinceMs: 0,
      why: `${id} is ${health}`,
    }
  })
  return { cluster: 'main', epoch, kind: null, writerEpoch: 1, backends }
}

function stage({ heardMs = null as number | null, sessions = [1, 2, 3] } = {}) {
  const ended: FailoverTimeline[] = []
  const failovers = { value: 0 }
  const lines: object[] = []
  const log = createLog('silent')
  log.info = ((fields: object, text: string) => void lines.push({ ...fields, text })) as typeof log.info
  const recorder = new FailoverRecorder({
    cluster: 'main',
    nowMs: () => Date.now(),
    heardMs: () => heardMs,
    sessions: () => new Set(sessions),
    failovers,
    log,
    onEnd: (timeline) => ended.push(timeline),
  })
  let epoch = 0
  const follow = (words: string, afterMs = 0) => {
    vi.advanceTimersByTime(afterMs)
    epoch += 1
    recorder.follow(topology(epoch, words))
  }
  follow('db1 writer, db2 reader')
  return { recorder, ended, failovers, lines, follow, pass: (ms: number) => vi.advanceTimersByTime(ms) }
}

describe('a failover', () => {
  test('is written down from the last write of the old writer to the first of the new one', () => {
    const { recorder, ended, failovers, lines, follow, pass } = stage()
    recorder.answered('db1', true, 0)
    pass(7)
    follow('db1 writer suspect, db2 reader')
    recorder.holds()
    recorder.holds()
    follow('db1 unknown down, db2 writer', 40)
    recorder.letsGo()
    recorder.letsGo()
    pass(2)
    recorder.verified('db2')
    pass(3)
    recorder.answered('db2', true, 41)
    recorder.answered('db2', true, 45)
    recorder.answered('db2', false, 30)
    expect(ended).toEqual([])
    pass(1_000)
    expect(ended).toHaveLength(1)
    const [timeline] = ended
    expect(timeline).toMatchObject({ kind: 'failover', from: 'db1', to: 'db2', because: 'db1 is suspect', epoch: 2 })
    expect(figuresOf(timeline!)).toMatchObject({
      timeline: { detectedMs: 7, foundMs: 47, verifiedMs: 49, firstWriteMs: 52, endedMs: 1_047 },
      held: 2,
      longestWaitMs: 45,
      sessions: { before: 3, kept: 3, left: 0, lost: 0 },
      losses: 1,
      errors: {},
    })
    expect(failovers.value).toBe(1)
    expect(lines).toMatchObject([{ text: 'the writer changed', cluster: 'main', from: 'db1', to: 'db2', held: 2 }])
    expect(recorder.current).toBeNull()
  })

  test('counts errors by code, transactions lost and outcomes unknown, until a second after the writer was found', () => {
    const { recorder, ended, follow, pass } = stage()
    recorder.failed('TRANSACTION_LOST')
    follow('db1 writer down, db2 reader')
    for (const code of ['TRANSACTION_LOST', 'OUTCOME_UNKNOWN', 'COMMIT_UNKNOWN', 'NO_WRITER'] as const) {
      recorder.failed(code)
    }
    follow('db1 unknown down, db2 writer', 100)
    pass(900)
    recorder.failed('TRANSACTION_LOST')
    pass(100)
    recorder.failed('TRANSACTION_LOST')
    expect(ended).toMatchObject([{ transactionsLost: 2, outcomesUnknown: 2 }])
    expect(Object.fromEntries(ended[0]!.errors)).toEqual({
      TRANSACTION_LOST: 2,
      OUTCOME_UNKNOWN: 1,
      COMMIT_UNKNOWN: 1,
      NO_WRITER: 1,
    })
  })

  test('tells sessions whose clients left from those that were ended, and heeds only those that were there', () => {
    const { recorder, ended, follow, pass } = stage()
    follow('db1 writer down, db2 reader')
    recorder.sessionEnded(1, 'client quit')
    recorder.sessionEnded(2, 'proxy error')
    recorder.sessionEnded(99, 'proxy error')
    follow('db2 writer')
    pass(1_000)
    expect(ended[0]!.sessions).toEqual({ before: 3, left: 1, lost: 1 })
  })

  test('of an idle cluster begins when a probe last found the old writer to be one', () => {
    const { ended, follow, pass } = stage({ heardMs: 9_500 })
    follow('db1 writer down, db2 reader', 100)
    follow('db2 writer', 100)
    pass(1_000)
    expect(ended[0]).toMatchObject({ lostMs: 9_500, detectedMs: 10_100, foundMs: 10_200, firstWriteMs: null })
  })

  test('without a gap is one all the same', () => {
    const { ended, follow, pass, failovers } = stage()
    follow('db1 reader, db2 writer')
    pass(1_000)
    expect(ended).toMatchObject([{ kind: 'failover', from: 'db1', to: 'db2', foundMs: 10_000 }])
    expect(failovers.value).toBe(1)
  })

  test('goes on while statements are still held, but not for ever', () => {
    const { recorder, ended, follow, pass } = stage()
    follow('db1 writer down, db2 reader')
    recorder.holds()
    follow('db2 writer')
    pass(5_000)
    expect(ended).toHaveLength(0)
    pass(60_000)
    expect(ended).toMatchObject([{ held: 1 }])
  })

  test('whose new writer is lost at once is one failover with two losses', () => {
    const { recorder, ended, failovers, follow, pass } = stage()
    follow('db1 writer down, db2 reader')
    follow('db2 writer, db3 reader', 50)
    recorder.answered('db2', true, 50)
    follow('db2 writer down, db3 reader', 500)
    pass(5_000)
    expect(ended).toEqual([])
    follow('db3 writer')
    pass(1_000)
    expect(ended).toMatchObject([{ from: 'db1', to: 'db3', losses: 2, foundMs: 15_550, firstWriteMs: null }])
    expect(failovers.value).toBe(2)
  })

  test('under way is shown as far as it has come', () => {
    const { recorder, follow } = stage()
    expect(recorder.current).toBeNull()
    follow('db1 writer down, db2 reader')
    expect(recorder.current).toMatchObject({ from: 'db1', to: null, foundMs: null, endedMs: null })
  })

  test('at a stop is not forgotten if its writer was found', () => {
    const { recorder, ended, follow } = stage()
    follow('db2 writer')
    recorder.stop()
    expect(ended).toHaveLength(1)
  })
})

test('a writer that comes back by itself is an interruption, and no change of the writer', () => {
  const { ended, failovers, lines, follow, pass } = stage()
  follow('db1 writer suspect, db2 reader')
  follow('db1 writer, db2 reader', 20)
  pass(1_000)
  expect(ended).toMatchObject([{ kind: 'interruption', from: 'db1', to: 'db1' }])
  expect(failovers.value).toBe(0)
  expect(lines).toMatchObject([{ text: 'the writer was gone for a while' }])
})

test('a first writer is no failover, however late it comes', () => {
  const recorder = new FailoverRecorder({
    cluster: 'main',
    nowMs: () => Date.now(),
    heardMs: () => null,
    sessions: () => new Set(),
    failovers: { value: 0 },
    log: createLog('silent'),
    onEnd: () => expect.fail('there was none'),
  })
  recorder.follow(topology(1, 'db1 reader'))
  recorder.follow(topology(2, 'db1 writer'))
  expect(recorder.current).toBeNull()
  vi.advanceTimersByTime(2_000)
})
