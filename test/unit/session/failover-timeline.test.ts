// Promises of the failover timeline about sessions: what they lost, how long they waited, who is still there.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { BackendLost } from '../../../src/protocol/protocol.ts'
import { Stage } from '../../support/session-stage.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

test('a change of the writer under three sessions is told as it was for them', async () => {
  const stage = new Stage({ holdMsMax: 60_000 })
  const [inTransaction, writing, patient] = [stage.join(), stage.join(), stage.join()]
  inTransaction.client.ask('insert 0')
  await vi.advanceTimersByTimeAsync(0)
  stage.connectionTo('db1').replies.push({ transaction: 'open' }, new BackendLost('sent', true, 'cut'))
  inTransaction.client.ask('begin')
  await vi.advanceTimersByTimeAsync(5)
  inTransaction.client.ask('insert 1')
  await vi.advanceTimersByTimeAsync(0)
  expect(stage.suspected).toEqual(['db1'])
  patient.client.ask('insert 2')
  writing.client.ask('insert 3')
  await vi.advanceTimersByTimeAsync(40)
  expect(stage.failovers.current).toMatchObject({ from: 'db1', to: null, held: 2, transactionsLost: 1 })
  stage.change('db1', { role: 'unknown', health: 'down' })
  stage.change('db2', { role: 'writer' })
  await vi.advanceTimersByTimeAsync(5)
  writing.client.quit()
  await vi.advanceTimersByTimeAsync(1_000)
  expect(stage.failovers.current).toBeNull()
  expect(stage.timelines).toMatchObject([
    {
      kind: 'failover',
      from: 'db1',
      to: 'db2',
      held: 2,
      sessions: { before: 3, left: 1, lost: 0 },
      transactionsLost: 1,
      outcomesUnknown: 0,
    },
  ])
  const [{ longestWaitMs, foundMs, detectedMs, firstWriteMs }] = stage.timelines as [(typeof stage.timelines)[number]]
  expect(foundMs! - detectedMs).toBeGreaterThanOrEqual(40)
  expect(longestWaitMs).toBeGreaterThanOrEqual(40)
  expect(firstWriteMs! - foundMs!).toBeLessThan(5)
})

test('a session whose answer was cut is one that was lost', async () => {
  const stage = new Stage()
  const { client } = stage.join()
  stage.join()
  client.ask('insert 0')
  await vi.advanceTimersByTimeAsync(0)
  stage.connectionTo('db1').replies.push(new BackendLost('replying', false, 'cut'))
  client.ask('insert 1')
  await vi.advanceTimersByTimeAsync(0)
  expect(stage.failovers.current).toMatchObject({ sessions: { before: 2, left: 0, lost: 1 } })
  expect([...stage.failovers.current!.errors]).toEqual([['REPLY_BROKEN', 1]])
})
