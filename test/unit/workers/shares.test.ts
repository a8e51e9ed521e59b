// What is bounded for all workers together is bounded: their parts add up, and each can go on.

import { expect, test } from 'vitest'
import { parseConfig } from '../../../src/config.ts'
import { shareOf, workersFor } from '../../../src/workers/shares.ts'

function settings(pool: string) {
  const text = `
listeners: [{ name: app }]
clusters: { main: { topology: { seeds: [db1] }, monitor: { user: m, password: p }, ${pool} } }
users: [{ name: app, password: x }]
`
  return parseConfig(text, '/x.yaml', {}).config
}

test.each([1, 2, 3, 7])('the parts of %d add up to the whole', (count) => {
  const whole = settings('pool: { connectionsMax: 64, waitersMax: 5 }, hold: { heldMax: 10 }').clusters.main!
  const parts = Array.from(
    { length: count },
    (_, at) =>
      shareOf(settings('pool: { connectionsMax: 64, waitersMax: 5 }, hold: { heldMax: 10 }'), at, count).clusters.main!,
  )
  const sum = (of: (cluster: typeof whole) => number) => parts.reduce((total, part) => total + of(part), 0)
  for (const of of [
    (cluster: typeof whole) => cluster.pool.connectionsMax,
    (cluster: typeof whole) => cluster.pool.waitersMax,
    (cluster: typeof whole) => cluster.hold.heldMax,
    (cluster: typeof whole) => cluster.hold.heldBytesMax,
  ]) {
    expect(sum(of)).toBe(of(whole))
  }
  for (const { pool } of parts) expect(pool.openingMax).toBeGreaterThan(0)
})

test('there are no more workers than connections to a server', () => {
  expect(workersFor(settings('pool: { connectionsMax: 2 }'), 8)).toBe(2)
  expect(workersFor(settings('pool: { connectionsMax: 64 }'), 8)).toBe(8)
})
