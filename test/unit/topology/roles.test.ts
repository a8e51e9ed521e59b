// Who is the writer, by table: what the servers claim, round by round; roles out.

import { describe, expect, test } from 'vitest'
import { nextTopology, readersOf, writerOf } from '../../../src/topology/topology.ts'
import { at, claim, following, type Round, type Step, source, Watched, writing } from './support.ts'

const steady: Round = { db1: writing(), db2: following('db1'), db3: following('db1') }
const dead: Round = { db1: 'refused', db2: following('db1'), db3: following('db1') }
/** Replicates from db1 and takes writes all the same. */
const careless = (change = {}) => following('db1', { readOnly: false, ...change })
const trying = { receiving: 'trying', error: 'cannot connect' } as const

describe('replication, as it is met', () => {
  test.each<[promise: string, round: Round, states: readonly string[]]>([
    ['one takes writes, the others follow it', steady, ['db1 writer', 'db2 reader', 'db3 reader']],
    ['a single server that takes writes', { db1: writing() }, ['db1 writer']],
    ['a single server that is read-only', { db1: claim({ readOnly: true }) }, ['db1 reader']],
    ['nobody takes writes', { db1: claim({ readOnly: true }), db2: following('db1') }, ['db1 reader', 'db2 reader']],
    [
      'a replica that lacks read_only is a reader',
      { db1: writing(), db2: careless(), db3: following('db1') },
      ['db1 writer', 'db2 reader', 'db3 reader'],
    ],
    [
      'a chain: the one in the middle is a reader, though it takes writes and is followed',
      { db1: writing(), db2: careless(), db3: following('db2') },
      ['db1 writer', 'db2 reader', 'db3 reader'],
    ],
    [
      'a chain over a read-only server: the last one takes writes, and is a reader',
      { db1: writing(), db2: following('db1'), db3: following('db2', { readOnly: false }) },
      ['db1 writer', 'db2 reader', 'db3 reader'],
    ],
    [
      'two that follow each other: the one that takes writes',
      { db1: following('db2', { readOnly: false }), db2: following('db1') },
      ['db1 writer', 'db2 reader'],
    ],
    [
      'two that follow each other and both take writes: neither is believed',
      { db1: following('db2', { readOnly: false }), db2: careless() },
      ['db1 unknown', 'db2 unknown'],
    ],
    [
      'the writer may itself follow a server outside of the cluster',
      { db1: following('elsewhere', { readOnly: false }), db2: following('db1') },
      ['db1 writer', 'db2 reader'],
    ],
    ['two claim to be it: neither is believed', { db1: writing(), db2: writing() }, ['db1 unknown', 'db2 unknown']],
    [
      'two claim to be it: the one that is followed is',
      { db1: writing(), db2: writing(), db3: following('db2') },
      ['db1 unknown', 'db2 writer', 'db3 reader'],
    ],
    [
      'a follower that receives nothing speaks for nobody',
      { db1: writing(), db2: writing(), db3: following('db2', { sources: [source('db2', { receiving: 'no' })] }) },
      ['db1 unknown', 'db2 unknown', 'db3 reader'],
    ],
    [
      'the source is known by its number where it has other names',
      { db1: writing(), db2: careless({ sources: [source('10.0.0.1:3306', { serverId: 'number of db1' })] }) },
      ['db1 writer', 'db2 reader'],
    ],
    [
      'a replica that takes writes is not the writer because its source was never reached',
      { db1: 'refused', db2: careless({ sources: [source('db1', { ...trying, serverId: null })] }) },
      ['db1 unknown down', 'db2 reader'],
    ],
    [
      'readers that share storage need not replicate',
      { db1: writing(), db2: claim({ readOnly: true, sharedStorage: true }) },
      ['db1 writer', 'db2 reader'],
    ],
  ])('%s', (_promise, round, states) => {
    expect(new Watched().round(round).states).toEqual(states)
    expect(new Watched().rounds(5, round).states).toEqual(states)
  })

  test('who claims in vain is told why, and what would help', () => {
    const watched = new Watched().round({ db1: writing(), db2: writing() })
    expect(watched.of('db1').why).toMatch(/so do others.*set read_only on all but one/)
    watched.round({ db1: writing(), db2: careless() })
    expect(watched.of('db2').why).toBe('it takes writes, but replicates from db1: set read_only there')
  })

  test('what could not be asked is part of the reason', () => {
    const watched = new Watched().round({ db1: writing(), db2: claim({ readOnly: true, note: 'GRANT this' }) })
    expect(watched.states).toEqual(['db1 writer', 'db2 reader'])
    expect(watched.of('db2').why).toBe('it is read-only; GRANT this')
  })
})

describe('replication, when the writer changes', () => {
  test.each<[promise: string, rounds: readonly Round[], states: readonly string[]]>([
    ['a dead writer keeps its role until there is another', [dead], ['db1 writer down', 'db2 reader', 'db3 reader']],
    [
      'a switchover: while nobody takes writes there is none',
      [{ db1: claim({ readOnly: true }) }],
      ['db1 reader', 'db2 reader', 'db3 reader'],
    ],
    [
      'a switchover: then the other is it',
      [{ db1: claim({ readOnly: true }) }, { db1: following('db2'), db2: writing(), db3: following('db2') }],
      ['db1 reader', 'db2 writer', 'db3 reader'],
    ],
    [
      'a failover: whoever begins to take writes after it died',
      [dead, { db2: writing() }],
      ['db1 unknown down', 'db2 writer', 'db3 reader behind'],
    ],
    [
      'a failover: replication was stopped there, and not forgotten',
      [dead, { db2: careless({ sources: [source('db1', { receiving: 'no' })] }) }],
      ['db1 unknown down', 'db2 writer', 'db3 reader behind'],
    ],
    [
      'a failover: read_only was taken away while it still tries to reach the dead one',
      [dead, { db2: careless({ sources: [source('db1', trying)] }) }],
      ['db1 unknown down', 'db2 writer', 'db3 reader behind'],
    ],
    [
      'a failover seen within one round, the old writer silent: nobody waits for that any more',
      [{ db1: 'timeout', db2: writing(), db3: following('db2') }],
      ['db1 unknown down', 'db2 writer', 'db3 reader'],
    ],
    [
      'a failover that was begun in the silence need not wait until the old writer is known to be down',
      [{ db1: 'timeout' }, { db1: 'timeout', db2: writing() }],
      ['db1 unknown down', 'db2 writer', 'db3 reader behind'],
    ],
    [
      'a careless replica does not become the writer because the writer is away',
      [
        { db1: writing(), db2: careless() },
        { db1: 'refused', db2: careless({ sources: [source('db1', trying)] }) },
      ],
      ['db1 writer down', 'db2 reader', 'db3 reader'],
    ],
    [
      '… nor when it became so just before',
      [{ db2: careless() }, { db1: 'refused', db2: careless({ sources: [source('db1', trying)] }) }],
      ['db1 writer down', 'db2 reader', 'db3 reader'],
    ],
    [
      '… nor when its replication gives up by itself',
      [
        { db1: writing(), db2: careless() },
        { db1: 'refused', db2: careless({ sources: [source('db1', { receiving: 'no', error: 'gave up' })] }) },
      ],
      ['db1 writer down', 'db2 reader', 'db3 reader'],
    ],
    [
      'a rival from before does not inherit from a writer that is silent',
      [{ db4: writing() }, { db1: writing() }, { db1: 'refused' }],
      ['db1 writer down', 'db2 reader', 'db3 reader', 'db4 unknown'],
    ],
    [
      'one that is first met as a writer after the old one fell silent is the new one',
      [{ db1: 'refused' }, { db4: writing() }],
      ['db1 unknown down', 'db2 reader behind', 'db3 reader behind', 'db4 writer'],
    ],
    [
      'the old writer comes back and still takes writes: it is not believed',
      [dead, { db2: writing(), db3: following('db2') }, { db1: writing() }],
      ['db1 unknown', 'db2 writer', 'db3 reader'],
    ],
    [
      'the old writer comes back to find nobody in its place',
      [dead, { db1: writing() }],
      ['db1 writer', 'db2 reader', 'db3 reader'],
    ],
    [
      'a moment of doubt makes no rival the writer',
      [{ db4: writing(), db5: following('db4') }, { db1: writing() }, { db1: 'doubt: lost' }],
      ['db1 writer suspect', 'db2 reader', 'db3 reader', 'db4 unknown', 'db5 reader behind'],
    ],
    [
      'a moment of doubt makes no rival the writer, however new',
      [{ db4: writing() }, { db4: claim({ readOnly: true }) }, { db4: writing() }, { db1: 'doubt: lost' }],
      ['db1 writer suspect', 'db2 reader', 'db3 reader', 'db4 unknown'],
    ],
    [
      'two claim it: the one that began later is it, when both are followed alike',
      [{ db2: writing(), db3: following('elsewhere') }],
      ['db1 unknown', 'db2 writer', 'db3 reader'],
    ],
    [
      'two claim it: the one that is followed by more is it, whoever began later',
      [{ db2: writing() }],
      ['db1 writer', 'db2 unknown', 'db3 reader'],
    ],
  ])('%s', (_promise, rounds, states) => {
    const watched = new Watched().round(steady)
    for (const round of rounds) watched.round(round)
    expect(watched.states).toEqual(states)
  })

  test('a careless replica that is promoted in earnest becomes the writer', () => {
    const watched = new Watched().round({ db1: writing(), db2: careless() })
    watched.round({ db1: 'refused', db2: careless({ sources: [source('db1', trying)] }) })
    expect(watched.of('db2')).toMatchObject({ role: 'reader', why: expect.stringMatching(/waits for db1.*stop its/) })
    watched.round({ db2: careless({ sources: [source('db1', { receiving: 'no' })] }) })
    expect(watched.states).toEqual(['db1 unknown down', 'db2 writer'])
  })

  test('a rival is told how to become the writer, and becomes it by doing so', () => {
    const watched = new Watched().round(steady).round({ db4: writing() }).round({ db1: writing() })
    watched.round({ db1: 'refused' })
    expect(watched.of('db4')).toMatchObject({ role: 'unknown', why: expect.stringMatching(/set read_only there/) })
    watched.round({ db4: claim({ readOnly: true }) }).round({ db4: writing() })
    expect(watched.of('db4').role).toBe('writer')
  })
})

test('there is at most one writer, in whatever order the servers are told, whatever they claim', () => {
  const steps: readonly Step[] = [
    writing(),
    following('db1'),
    following('db2', { readOnly: false }),
    following('db3', { readOnly: false, sources: [source('db3', { receiving: 'no' })] }),
    'refused',
    'timeout',
    'doubt: lost',
    'login',
  ]
  let seed = 7
  const pick = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return steps[Math.floor((seed / 2_147_483_648) * steps.length)]!
  }
  let seen = 0
  for (let story = 0; story < 200; story++) {
    const watched = new Watched()
    for (let turn = 0; turn < 12; turn++) {
      const before = watched.topology
      watched.round({ db1: pick(), db2: pick(), db3: pick(), db4: pick() })
      const { topology, observations, nowMs, policy } = watched
      const writers = topology.backends.filter(({ role }) => role === 'writer')
      expect(writers.length).toBeLessThanOrEqual(1)
      seen += writers.length
      expect(nextTopology(before, [...observations].reverse(), nowMs, policy)).toEqual(topology)
    }
  }
  expect(seen).toBeGreaterThan(200)
})

describe('static', () => {
  test.each<[promise: string, round: Round, states: readonly string[]]>([
    ['the writer is who the settings say', { db1: writing(), db2: writing() }, ['db1 reader', 'db2 writer']],
    ['a read-only one is not written to', { db1: writing(), db2: following('db1') }, ['db1 reader', 'db2 unknown']],
    ['a dead one has no successor', { db1: writing(), db2: 'refused' }, ['db1 reader', 'db2 writer down']],
    [
      'servers that all take writes are not measured by what each has executed',
      { db1: writing({ position: at(7) }), db2: writing({ position: at(99) }) },
      ['db1 reader', 'db2 writer'],
    ],
    [
      'a reader that replicates is out when that stops',
      { db1: following('db2', { sources: [source('db2', { applying: false })] }), db2: writing() },
      ['db1 reader behind', 'db2 writer'],
    ],
  ])('%s', (_promise, round, states) => {
    const watched = new Watched({ kind: 'static', writer: 'db2' })
    watched.round({ db1: writing({ position: at(3) }), db2: writing({ position: at(50) }) }).rounds(5, round)
    expect(watched.states).toEqual(states)
  })
})

test('the selectors give only who can be used', () => {
  const watched = new Watched().round(steady)
  expect(writerOf(watched.topology)?.id).toBe('db1')
  expect(readersOf(watched.topology).map(({ id }) => id)).toEqual(['db2', 'db3'])
  watched.round({ db1: 'doubt: lost', db3: 'refused' })
  expect(writerOf(watched.topology)).toBeNull()
  expect(readersOf(watched.topology).map(({ id }) => id)).toEqual(['db2'])
})
