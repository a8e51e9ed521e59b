// A worker knows who is there by the word of the supervisor, and stands by its own doubts until they are heeded.

import { expect, test } from 'vitest'
import { type Health, type Topology, TopologyStore } from '../../../src/topology/topology.ts'
import { RemoteWatch } from '../../../src/workers/remote-watch.ts'
import { backend } from '../admin/snapshots.ts'

const DB = '127.0.0.1:1'

function topology(epoch: number, health: Health): Topology {
  return { cluster: 'main', epoch, kind: 'replication', writerEpoch: 1, backends: [backend(1, { health })] }
}

function setUp() {
  const store = new TopologyStore('main')
  const doubts: string[] = []
  const doubt = (id: string, why: string) => doubts.push(`${id}: ${why}`)
  const watch = new RemoteWatch({ store, nowMs: () => 5, positionOf: () => null, doubt })
  const health = () => store.current.backends[0]?.health
  return { store, watch, doubts, health }
}

test('it has begun once it was told', async () => {
  const { store, watch } = setUp()
  const begun = watch.start()
  watch.told(topology(1, 'up'), 0)
  await begun
  expect(store.current.epoch).toBe(1)
})

test('a doubt counts at once, is told once, and outlives what was on its way', () => {
  const { watch, doubts, health } = setUp()
  watch.told(topology(1, 'up'), 0)
  watch.suspect(DB, 'lost')
  watch.suspect(DB, 'lost')
  expect([health(), doubts]).toEqual(['suspect', [`${DB}: lost`]])
  watch.told(topology(2, 'up'), 0)
  expect(health()).toBe('suspect')
})

test('a doubt that was heeded is over', () => {
  const { watch, health } = setUp()
  watch.told(topology(1, 'up'), 0)
  watch.suspect(DB, 'lost')
  watch.told(topology(2, 'suspect'), 1)
  watch.told(topology(3, 'up'), 1)
  expect(health()).toBe('up')
  watch.suspect(DB, 'again')
  expect(health()).toBe('suspect')
})

test('who is not there, or is in doubt already, is not doubted', () => {
  const { watch, doubts } = setUp()
  watch.told(topology(1, 'down'), 0)
  watch.suspect(DB, 'lost')
  watch.suspect('127.0.0.1:2', 'lost')
  expect(doubts).toEqual([])
})
