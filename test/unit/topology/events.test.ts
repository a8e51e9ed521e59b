// Promises of the log of events: one event for each backend that changed, and no more of them kept than was said.

import { describe, expect, test } from 'vitest'
import { EventLog, eventsBetween } from '../../../src/topology/events.ts'
import type { Topology } from '../../../src/topology/topology.ts'
import { failover } from '../admin/snapshots.ts'
import { following, Watched, writing } from './support.ts'

const EMPTY: Topology = { cluster: 'main', epoch: 0, kind: null, writerEpoch: 0, backends: [] }

describe('what became of backends', () => {
  const start = () => new Watched().round({ db1: writing(), db2: following('db1') })

  test('at the start: all joined', () => {
    const { topology } = start()
    expect(eventsBetween(EMPTY, topology, 5)).toMatchObject([
      { kind: 'joined', backend: 'db1', role: 'writer', was: null, atMs: 5, epoch: topology.epoch },
      { kind: 'joined', backend: 'db2', role: 'reader', was: null },
    ])
  })

  test.each([
    ['doubt', { db2: 'doubt: it hung up' as const }, { backend: 'db2', health: 'suspect', why: 'it hung up' }],
    ['down', { db2: 'refused' as const }, { backend: 'db2', health: 'down', was: { role: 'reader', health: 'up' } }],
    ['behind', { db2: following('db1', { lagMs: 60_000 }) }, { backend: 'db2', health: 'behind', lagMs: 60_000 }],
    ['role', { db1: following('db2') }, { backend: 'db1', role: 'reader', was: { role: 'writer', health: 'up' } }],
  ])('%s', (kind, round, event) => {
    const watched = start()
    const before = watched.topology
    watched.round(round)
    expect(eventsBetween(before, watched.topology, 0)).toMatchObject([{ kind, ...event }])
  })

  test('one that is back is up', () => {
    const watched = start().round({ db2: 'refused' })
    const before = watched.topology
    watched.round({ db2: following('db1') })
    expect(eventsBetween(before, watched.topology, 0)).toMatchObject([{ kind: 'up', backend: 'db2' }])
  })

  test('one that is no member any more has left', () => {
    const { topology } = start()
    const after = { ...topology, epoch: 9, backends: topology.backends.slice(0, 1) }
    expect(eventsBetween(topology, after, 0)).toMatchObject([
      { kind: 'left', backend: 'db2', role: 'reader', epoch: 9, why: 'it is no member any more' },
    ])
  })

  test('another lag alone is no event', () => {
    const watched = start()
    const before = watched.topology
    watched.round({ db2: following('db1', { lagMs: 5 }) })
    expect(eventsBetween(before, watched.topology, 0)).toEqual([])
  })
})

describe('the log', () => {
  const doubt = (atMs: number) => ({
    ...eventsBetween(EMPTY, new Watched().round({ db1: writing() }).topology, atMs)[0]!,
  })
  const idsOf = (log: EventLog, after = 0) => log.after(after).map(({ id }) => id)

  test('gives what came after, oldest first', () => {
    const log = new EventLog({ eventsMax: 9, failoversMax: 9 })
    for (const event of [doubt(1), failover(), doubt(2)]) log.add(event)
    expect(idsOf(log)).toEqual([1, 2, 3])
    expect(idsOf(log, 2)).toEqual([3])
    expect(idsOf(log, 3)).toEqual([])
  })

  test('keeps as many as it was told, and failovers whatever else happens', () => {
    const log = new EventLog({ eventsMax: 2, failoversMax: 1 })
    log.add(failover())
    log.add(failover())
    for (let at = 0; at < 100; at++) log.add(doubt(at))
    expect(idsOf(log)).toEqual([2, 101, 102])
  })

  test('that is to keep nothing keeps nothing', () => {
    const log = new EventLog({ eventsMax: 0, failoversMax: 0 })
    log.add(failover())
    log.add(doubt(1))
    expect(idsOf(log)).toEqual([])
  })
})
