// Clusters whose servers keep a list of their members: who is believed, whose lag is what, and when writes wait.

import { describe, expect, test } from 'vitest'
import type { Roster, RosterRow } from '../../../src/topology/claim.ts'
import { ProbeFailed } from '../../../src/topology/claim.ts'
import { hostFrom, patternFrom, shapeOf } from '../../../src/topology/host-pattern.ts'
import { type Known, membershipOf } from '../../../src/topology/membership.ts'
import { answered, missed, unobserved } from '../../../src/topology/observation.ts'
import { progressOf } from '../../../src/topology/staleness.ts'
import { claim, type Round, type Step, Watched } from './support.ts'

const row = (name: string, change: Partial<RosterRow> = {}): RosterRow => ({
  name,
  address: null,
  writer: false,
  lagMs: 20,
  ageMs: 500,
  unfit: null,
  ...change,
})
const master = (name: string, ageMs = 500) => row(name, { writer: true, lagMs: 0, ageMs })
const aurora = (self: string, ...rows: readonly RosterRow[]): Roster => ({ kind: 'aurora', self, rows })

/** An instance that says it is a writer or a reader, and what its table holds. */
const writes = (self: string, ...rows: readonly RosterRow[]) => claim({ roster: aurora(self, ...rows) })
const reads = (self: string, ...rows: readonly RosterRow[]) =>
  claim({ readOnly: true, sharedStorage: true, roster: aurora(self, ...rows) })

const steady: Round = {
  a: writes('a', master('a'), row('b'), row('c')),
  b: reads('b', master('a'), row('b'), row('c')),
  c: reads('c', master('a'), row('b'), row('c')),
}

describe('an Aurora cluster', () => {
  test('is known by its table, and each instance by the id it has there', () => {
    const watched = new Watched().round(steady)
    expect(watched.topology.kind).toBe('aurora')
    expect(watched.states).toEqual(['a writer', 'b reader', 'c reader'])
    expect(watched.topology.backends.map(({ name }) => name)).toEqual(['a', 'b', 'c'])
  })

  test('stays what it is while nobody answers', () => {
    const watched = new Watched().round(steady).rounds(3, { a: 'refused', b: 'refused', c: 'refused' })
    expect(watched.topology.kind).toBe('aurora')
    expect(watched.states).toEqual(['a writer down', 'b reader down', 'c reader down'])
  })

  test('is not looked for when the settings name another kind', () => {
    expect(new Watched({ kind: 'replication' }).round(steady).topology.kind).toBe('replication')
  })

  test.each<[promise: string, rows: readonly RosterRow[], lagMs: number | null, health: string]>([
    ['what its row says', [row('b', { lagMs: 37 })], 37, 'up'],
    ['more, where the row is older than usual', [row('b', { lagMs: 37, ageMs: 2_400 })], 437, 'up'],
    ['too much, where the row is old', [row('b', { lagMs: 37, ageMs: 9_000 })], 7_037, 'behind'],
    ['unknown, where the row is of long ago', [row('b', { ageMs: 200_000 })], null, 'up'],
    ['unknown, where the row says nonsense', [row('b', { lagMs: 4_000_000_000 })], null, 'up'],
    ['unknown, where the row says less than none', [row('b', { lagMs: -1 })], null, 'up'],
    ['unknown, while it has no row yet', [], null, 'up'],
  ])('has a reader whose lag is %s', (_promise, rows, lagMs, health) => {
    const watched = new Watched().round({ a: writes('a', master('a'), ...rows), b: reads('b', master('a'), ...rows) })
    expect(watched.of('b')).toMatchObject({ role: 'reader', lagMs, health })
  })

  test.each<[promise: string, rows: readonly RosterRow[], agoMs: number | null]>([
    [
      'at the moment its row was written, but for its lag, and what clocks differ by',
      [row('b', { lagMs: 37, ageMs: 900 })],
      900 + 37 + 100,
    ],
    ['long ago, where the row is old', [row('b', { lagMs: 37, ageMs: 9_000 })], 9_000 + 37 + 100],
    ['at no moment, where the row says nonsense', [row('b', { lagMs: -1 })], null],
    ['at no moment, while it has no row', [], null],
  ])('has a reader that is known to have all that was committed %s', (_promise, rows, agoMs) => {
    const askedMs = 100_000
    const seen = (id: string, told: readonly RosterRow[]) =>
      answered({ ...unobserved(id, id, 3306, 1), name: id }, reads(id, master('a'), ...told), askedMs, askedMs + 50)
    const [one, other] = [seen('b', rows), seen('c', rows)]
    const asOfMs = agoMs === null ? null : askedMs - agoMs
    expect(progressOf(one, [one, other], 5)?.asOfMs).toBe(asOfMs)
  })

  test('takes the newest row of all lists for the lag', () => {
    const watched = new Watched().round({
      a: writes('a', master('a'), row('b', { lagMs: 5, ageMs: 100 })),
      b: reads('b', master('a'), row('b', { lagMs: 900, ageMs: 5_000 })),
    })
    expect(watched.of('b').lagMs).toBe(5)
  })
})

describe('after a failover', () => {
  test('the instance that says so itself is the writer, whatever the readers still tell', () => {
    const watched = new Watched().round(steady)
    watched.round({
      a: 'refused',
      b: writes('b', master('b', 100), master('a', 3_000), row('c')),
      c: reads('c', master('a', 200), row('b'), row('c')),
    })
    expect(watched.states).toEqual(['a unknown down', 'b writer', 'c reader'])
  })

  test('the old one is a reader as soon as it says so', () => {
    const watched = new Watched().round(steady)
    watched.round({ a: reads('a', master('a')), b: writes('b', master('b')) })
    expect(watched.states).toEqual(['a reader', 'b writer', 'c reader'])
  })

  test('the newer claim wins over an old writer that still answers from its doomed process', () => {
    const doomed = writes('a', master('a', 100), row('b'), row('c'))
    const watched = new Watched().round(steady)
    watched.rounds(3, { a: doomed, b: writes('b', master('b', 300), master('a', 2_000)) })
    expect(watched.states).toEqual(['a unknown', 'b writer', 'c reader'])
    expect(watched.of('a').why).toContain('it takes writes, but')
  })

  test('writes wait while newer evidence names one that has not confirmed it', () => {
    const watched = new Watched().round(steady)
    const news = reads('c', master('b', 100), master('a', 4_000), row('c'))
    watched.round({ b: 'timeout', c: news }).round({ a: steady.a!, b: 'timeout', c: news }, 0)
    expect(watched.of('a').role).toBe('unknown')
    expect(watched.of('a').why).toContain('writes wait')
    watched.round({ a: reads('a', master('b'), row('a')), b: writes('b', master('b'), row('a')) })
    expect(watched.states).toEqual(['a reader', 'b writer', 'c reader'])
  })

  test('evidence that its subject denies is none', () => {
    const watched = new Watched().round(steady)
    const news = reads('c', master('b', 0), master('a', 4_000), row('c'))
    watched.round({ ...steady, c: news }).round({ ...steady, c: news })
    expect(watched.states).toEqual(['a writer', 'b reader', 'c reader'])
  })

  test('a writer that is only in doubt stays the writer while nobody else claims to be', () => {
    expect(new Watched().round(steady).round({ a: 'timeout' }).states[0]).toBe('a writer suspect')
  })

  test('there and back again is two changes, and two epochs of writers', () => {
    const there: Round = { a: reads('a', master('b')), b: writes('b', master('b')), c: reads('c', master('b')) }
    const watched = new Watched().round(steady)
    expect(watched.topology.writerEpoch).toBe(1)
    expect(watched.round(there).states).toEqual(['a reader', 'b writer', 'c reader'])
    expect(watched.topology.writerEpoch).toBe(2)
    expect(watched.round(steady).states).toEqual(['a writer', 'b reader', 'c reader'])
    expect(watched.topology.writerEpoch).toBe(3)
  })

  test('the same writer after it was gone is a new epoch of writers too', () => {
    const watched = new Watched().round(steady).round({ a: 'refused' }).round(steady)
    expect(watched.topology.writerEpoch).toBe(2)
  })
})

describe('two that both claim to be the writer', () => {
  test('at first sight: the one with the newest row', () => {
    const watched = new Watched().round({
      a: writes('a', master('a', 4_000), master('b', 100)),
      b: writes('b', master('b', 100), master('a', 4_000)),
    })
    expect(watched.states).toEqual(['a unknown', 'b writer'])
  })

  test('without any row: nobody, so that writes wait rather than split', () => {
    const watched = new Watched().round({ a: writes('a', row('c')), b: writes('b', row('c')) })
    expect(watched.states).toEqual(['a unknown', 'b unknown'])
  })
})

describe('a replication group', () => {
  const group = (
    self: string,
    primaries: readonly string[],
    states: Readonly<Record<string, string>> = {},
  ): Roster => ({
    kind: 'group-replication',
    self,
    rows: ['a', 'b', 'c'].map((name) =>
      row(name, { writer: primaries.includes(name), lagMs: null, ageMs: 0, unfit: states[name] ?? null }),
    ),
  })
  const primary = (self: string, primaries = [self]) => claim({ roster: group(self, primaries) })
  const secondary = (self: string, of: string) => claim({ readOnly: true, roster: group(self, [of]) })

  test('has its primary for the writer, and follows it', () => {
    const watched = new Watched().round({ a: primary('a'), b: secondary('b', 'a'), c: secondary('c', 'a') })
    expect(watched.topology.kind).toBe('group-replication')
    expect(watched.states).toEqual(['a writer', 'b reader', 'c reader'])
    watched.round({ a: 'refused', b: secondary('b', 'c'), c: primary('c') })
    expect(watched.states).toEqual(['a unknown down', 'b reader', 'c writer'])
  })

  test('where all take writes has one of them for the writer, always the same', () => {
    const all = ['a', 'b', 'c']
    const many: Round = { a: primary('a', all), b: primary('b', all), c: primary('c', all) }
    expect(new Watched().round(many).rounds(3, many).states).toEqual(['a writer', 'b reader', 'c reader'])
  })

  test('gives no reads to a member that recovers', () => {
    const states = { c: 'its group says that it is RECOVERING' }
    const watched = new Watched().round({
      a: claim({ roster: group('a', ['a'], states) }),
      b: claim({ readOnly: true, roster: group('b', ['a'], states) }),
      c: claim({ readOnly: true, roster: group('c', ['a'], states) }),
    })
    expect(watched.states).toEqual(['a writer', 'b reader', 'c reader behind'])
    expect(watched.of('c').why).toBe(states.c)
  })
})

describe('names of hosts', () => {
  test.each([
    ['main.cluster-abc123.eu-central-1.rds.amazonaws.com', 'roving', '?.abc123.eu-central-1.rds.amazonaws.com'],
    ['main.cluster-ro-abc123.eu-central-1.rds.amazonaws.com', 'roving', '?.abc123.eu-central-1.rds.amazonaws.com'],
    ['few.cluster-custom-abc123.us-east-1.rds.amazonaws.com', 'roving', '?.abc123.us-east-1.rds.amazonaws.com'],
    ['DB-1.abc123.eu-central-1.rds.amazonaws.com', 'instance', '?.abc123.eu-central-1.rds.amazonaws.com'],
    ['db-1.abc123.rds.cn-north-1.amazonaws.com.cn', 'instance', '?.abc123.rds.cn-north-1.amazonaws.com.cn'],
    [
      'main.cluster-abc123.us-gov-west-1.rds-fips.amazonaws.com',
      'roving',
      '?.abc123.us-gov-west-1.rds-fips.amazonaws.com',
    ],
    ['p.proxy-abc123.eu-central-1.rds.amazonaws.com', 'roving', null],
    ['g.global-abc123.global.rds.amazonaws.com', 'roving', null],
    ['db.example.com', 'other', null],
    ['10.0.0.7', 'other', null],
    ['rds.amazonaws.com.evil.example', 'other', null],
  ])('%s is of shape %s, and its instances are at %s', (host, shape, pattern) => {
    expect([shapeOf(host), patternFrom(host)]).toEqual([shape, pattern])
  })

  test('an id takes the place of the question mark', () => {
    expect(hostFrom('?.abc.eu-central-1.rds.amazonaws.com', 'DB-7')).toBe('db-7.abc.eu-central-1.rds.amazonaws.com')
  })
})

describe('who belongs to the cluster', () => {
  const PATTERN = '?.x'
  const known = (id: string, step: Step | null, change: Partial<Known> = {}): Known => {
    const [host = '', port] = id.split(':')
    const fresh = unobserved(id, host, Number(port ?? 1), 1)
    const seen =
      step === null
        ? fresh
        : typeof step === 'object'
          ? answered(fresh, step, 1, 2)
          : missed(fresh, new ProbeFailed('refused', step), 1)
    return { seen, isSeed: false, joined: true, ...change }
  }
  const idsOf = (list: readonly Known[], pattern: string | null = PATTERN) => [
    ...membershipOf(list, pattern).places.keys(),
  ]

  test('whom the list of the seed knows, by names made from the pattern', () => {
    const seed = known('main:7', writes('a', master('a'), row('b')), { isSeed: true })
    expect(idsOf([seed])).toEqual(['a.x:7', 'b.x:7'])
  })

  test('nobody that can be told where there is no pattern', () => {
    expect(idsOf([known('main:7', writes('a', master('a')), { isSeed: true })], null)).toEqual([])
  })

  test.each<[promise: string, silent: boolean, ageMs: number, stays: boolean]>([
    ['stays while its row is fresh, even if it is silent', true, 14_000, true],
    ['leaves when its row ages and it is silent', true, 16_000, false],
    ['stays on an old row while it answers', false, 170_000, true],
    ['leaves on a row of long ago', false, 190_000, false],
  ])('a member %s', (_promise, silent, ageMs, stays) => {
    const writer = known('a.x:7', writes('a', master('a'), row('b', { ageMs })))
    const member = known('b.x:7', silent ? 'refused' : reads('b', master('a'), row('b', { ageMs })))
    expect(idsOf([writer, member]).includes('b.x:7')).toBe(stays)
  })

  test('is told by the writer, and lists that differ are a dispute', () => {
    const writer = known('a.x:7', writes('a', master('a'), row('b'), row('new')))
    const late = known('b.x:7', reads('b', master('a'), row('b'), row('gone')))
    expect(idsOf([writer, late])).toEqual(['a.x:7', 'b.x:7', 'new.x:7'])
    expect(membershipOf([writer, late], PATTERN).disputed).toBe(true)
    expect(membershipOf([writer], PATTERN).disputed).toBe(false)
  })

  test('is told by all while there is no writer to be heard', () => {
    const [b, c] = ['b', 'c'].map((name) => known(`${name}.x:7`, reads(name, row(name))))
    expect(idsOf([known('a.x:7', 'refused'), b!, c!])).toEqual(['b.x:7', 'c.x:7'])
  })

  test('no stranger on the word of an old row', () => {
    const writer = known('a.x:7', writes('a', master('a'), row('b', { ageMs: 11_000 })))
    expect(idsOf([writer])).toEqual(['a.x:7'])
  })

  test('no ghost that was the writer once', () => {
    const writer = known('b.x:7', writes('b', master('b'), master('a', 400_000)))
    expect(idsOf([writer])).toEqual(['b.x:7'])
  })

  test('members of a group are where the settings say, not where they say themselves', () => {
    const rows = ['u1', 'u2'].map((name) => row(name, { address: { host: `${name}.inside`, port: 3306 } }))
    const group = (self: string) => claim({ roster: { kind: 'group-replication', self, rows } })
    const seed = known('10.0.0.1:7', group('u1'), { isSeed: true })
    expect(idsOf([seed])).toEqual(['10.0.0.1:7', 'u2.inside:3306'])
  })
})
