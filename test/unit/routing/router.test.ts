// Where statements go, by table: classification, session, topology, policy in; one decision out.

import { BlockList } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { RoutingPolicy } from '../../../src/routing/policy.ts'
import { type Loads, type Route, route, type SessionView } from '../../../src/routing/router.ts'
import type { Classification } from '../../../src/sql/classification.ts'
import type { Backend, Topology } from '../../../src/topology/topology.ts'
import { classification } from '../../support/values.ts'

const backend = (id: string, role: Backend['role'], health: Backend['health'] = 'up'): Backend => ({
  id,
  host: id,
  port: 3306,
  role,
  health,
  lagMs: 0,
  weight: 1,
  version: '9.7.0',
  sinceMs: 0,
  why: '',
})
const writer = backend('db1', 'writer')
const reader = backend('db2', 'reader')
const reader2 = backend('db3', 'reader')
const down = (one: Backend): Backend => ({ ...one, health: 'down' })
const all = [writer, reader, reader2]

const read = classification({ access: 'read', because: 'a read' })
const write = classification({ access: 'write', because: 'a write' })
const set = classification({ access: 'session', because: 'sets a variable' })
const warnings = classification({ access: 'session', because: 'asks for warnings', facts: ['diagnostics'] })
const readOnlyBegin = classification({ access: 'read', transaction: 'begin-read-only' })
const hinted = (base: Classification, to: 'writer' | 'reader' | 'auto'): Classification => ({
  ...base,
  hint: { to, endpoint: null },
})
const toEndpoint = (base: Classification, endpoint: string): Classification => ({
  ...base,
  hint: { to: 'endpoint', endpoint },
})

const free: SessionView = {
  pinned: false,
  autocommit: true,
  override: null,
  user: 'app',
  schema: 'shop',
  clientAddress: '10.0.0.7',
  lastBackend: null,
  variablesAt: null,
  attribute: null,
  need: null,
  waited: false,
}
const split: RoutingPolicy = {
  listenerRoute: 'split',
  userRoutes: new Map(),
  endpoints: new Map([
    ['analytics', { name: 'analytics', type: 'reader', members: new Set(['db3']), excluded: new Set() }],
    ['everyone', { name: 'everyone', type: 'any', members: null, excluded: new Set(['db2']) }],
  ]),
  rules: [],
  fallback: 'writer',
  beyondShare: 'error',
  consistency: { level: 'eventual', monotonic: false },
  userConsistencies: new Map(),
}
const loads: Loads = {
  outstanding: () => 0,
  usable: ({ health }) => health === 'up',
  reaches: () => true,
  quickest: () => [],
  writerShareOpen: true,
  turn: 0,
}

function told(decision: Route): string {
  if (decision.action === 'send') return `send ${decision.backend.id} as ${decision.target}`
  if (decision.action === 'reject') return `reject ${decision.code}`
  return decision.action
}

interface Case {
  readonly statement?: Classification
  readonly session?: Partial<SessionView>
  readonly backends?: readonly Backend[]
  readonly policy?: Partial<RoutingPolicy>
}

function decide({ statement = read, session = {}, backends = all, policy = {} }: Case): string {
  const topology: Topology = { cluster: 'main', epoch: 1, kind: null, writerEpoch: 1, backends }
  return told(route(statement, { ...free, ...session }, topology, { ...split, ...policy }, loads))
}

describe('route', () => {
  test.each<[string, Case, string]>([
    ['a read goes to a reader', { statement: read }, 'send db2 as reader'],
    ['a write goes to the writer', { statement: write }, 'send db1 as writer'],
    ['a write waits when there is no writer', { statement: write, backends: [down(writer), reader] }, 'hold'],
    ['a read falls back to the writer', { statement: read, backends: [writer, down(reader)] }, 'send db1 as writer'],
    ['a read waits if told so', { statement: read, backends: [writer], policy: { fallback: 'wait' } }, 'hold'],
    [
      'a read fails if told so',
      { statement: read, backends: [writer], policy: { fallback: 'error' } },
      'reject NO_READER',
    ],
    ['a pinned session stays, whatever it asks', { statement: read, session: { pinned: true } }, 'stay'],
    [
      'a pinned session stays, whatever its hint',
      { statement: hinted(read, 'reader'), session: { pinned: true } },
      'stay',
    ],
    [
      'a read opens a transaction with autocommit off',
      { statement: read, session: { autocommit: false } },
      'send db1 as writer',
    ],
    ['a read-only transaction goes to a reader', { statement: readOnlyBegin }, 'send db2 as reader'],
    [
      'a read-only transaction goes to a reader with autocommit off',
      { statement: readOnlyBegin, session: { autocommit: false } },
      'send db2 as reader',
    ],
    ['SET goes to the writer', { statement: set }, 'send db1 as writer'],
    ['SET need not wait for a writer', { statement: set, backends: [down(writer), reader] }, 'send db2 as reader'],
    [
      'a question about the last statement goes where that ran',
      { statement: warnings, session: { lastBackend: reader2 } },
      'send db3 as reader',
    ],
  ])('%s', (_promise, given, expected) => expect(decide(given)).toBe(expected))
})

describe('what must be seen', () => {
  const need = { version: 7, position: null, only: null }
  const lateReaders = (change: Partial<Loads> = {}): Loads => ({
    ...loads,
    reaches: ({ role }) => role === 'writer',
    quickest: () => [reader2],
    ...change,
  })
  const behind = (one: Backend): Backend => ({ ...one, health: 'behind' })

  test.each<[string, Case, Loads, string]>([
    [
      'a reader that has it serves at once',
      {},
      lateReaders({ reaches: ({ id }) => id === 'db3' }),
      'send db3 as reader',
    ],
    ['the quickest is waited for where none has it', {}, lateReaders(), 'send db3 as reader, waiting'],
    [
      'of those that are equally quick the one with the least to do is waited for',
      {},
      lateReaders({ quickest: () => [reader, reader2], outstanding: ({ id }) => (id === 'db2' ? 3 : 1) }),
      'send db3 as reader, waiting',
    ],
    [
      'and they take turns',
      {},
      lateReaders({ quickest: () => [reader, reader2], turn: 2 }),
      'send db2 as reader, waiting',
    ],
    [
      'after one wait in vain the writer serves',
      { session: { waited: true } },
      lateReaders(),
      'send db1 as writer, instead',
    ],
    [
      'the writer serves where nobody is worth waiting for',
      {},
      lateReaders({ quickest: () => [] }),
      'send db1 as writer, instead',
    ],
    [
      'beyond the share of the writer a reader is waited for to the end',
      { session: { waited: true } },
      lateReaders({ writerShareOpen: false }),
      'send db3 as reader, waiting to the end',
    ],
    [
      'user variables are read where they are, if that has it',
      { statement: { ...read, facts: ['user-variable'] }, session: { variablesAt: reader } },
      lateReaders(),
      'send db3 as reader, waiting',
    ],
    [
      'no reader: the writer counts as in its place',
      { backends: [writer] },
      lateReaders(),
      'send db1 as writer, instead',
    ],
    [
      'no reader, and the share of the writer is used up: it waits',
      { backends: [writer, behind(reader)] },
      lateReaders({ writerShareOpen: false }),
      'hold',
    ],
    [
      'or gets an old answer, if told so',
      { backends: [writer, behind(reader)], policy: { beyondShare: 'stale' } },
      lateReaders({ writerShareOpen: false }),
      'send db2 as reader',
    ],
  ])('%s', (_promise, given, ofLoads, expected) => {
    const { statement = read, session = {}, backends = all, policy = {} } = given
    const topology: Topology = { cluster: 'main', epoch: 1, kind: null, writerEpoch: 1, backends }
    const decision = route(statement, { ...free, need, ...session }, topology, { ...split, ...policy }, ofLoads)
    const waits = decision.action === 'send' && decision.awaits !== undefined ? ', waiting' : ''
    const last = decision.action === 'send' && decision.isLast === true ? ' to the end' : ''
    const instead = decision.action === 'send' && decision.insteadOfReader === true ? ', instead' : ''
    expect(`${told(decision)}${waits}${last}${instead}`).toBe(expected)
  })
})

describe('the strongest wish wins', () => {
  const rule = (change: Partial<RoutingPolicy['rules'][number]>): Partial<RoutingPolicy> => ({
    rules: [
      {
        name: 'r',
        users: null,
        schemas: null,
        clientAddresses: null,
        digests: null,
        tables: null,
        route: 'analytics',
        consistency: null,
        ...change,
      },
    ],
  })
  const office = new BlockList()
  office.addSubnet('10.0.0.0', 24, 'ipv4')
  const reports = classification({ access: 'read', tables: ['reports'] })

  test.each<[string, Case, string]>([
    ['a hint to the writer', { statement: hinted(read, 'writer') }, 'send db1 as writer'],
    ['a hint vouches for what cannot be proved a read', { statement: hinted(write, 'reader') }, 'send db2 as reader'],
    [
      'no hint sends a transaction to a reader',
      { statement: hinted({ ...write, transaction: 'begin' }, 'reader') },
      'send db1 as writer',
    ],
    ['a hint to an endpoint', { statement: toEndpoint(read, 'analytics') }, 'send db3 as analytics'],
    ['a hint to nowhere', { statement: toEndpoint(read, 'nowhere') }, 'reject UNKNOWN_ENDPOINT'],
    ['an attribute', { statement: read, session: { attribute: 'analytics' } }, 'send db3 as analytics'],
    [
      'a hint beats an attribute',
      { statement: hinted(read, 'writer'), session: { attribute: 'analytics' } },
      'send db1 as writer',
    ],
    [
      'an override beats a rule',
      { statement: read, session: { override: { to: 'writer', endpoint: null } }, policy: rule({}) },
      'send db1 as writer',
    ],
    [
      'an override to a reader leaves writes alone',
      { statement: write, session: { override: { to: 'reader', endpoint: null } } },
      'send db1 as writer',
    ],
    ['a rule by user', { statement: read, policy: rule({ users: new Set(['app']) }) }, 'send db3 as analytics'],
    ['a rule for another user', { statement: read, policy: rule({ users: new Set(['bob']) }) }, 'send db2 as reader'],
    ['a rule by schema', { statement: read, policy: rule({ schemas: new Set(['shop']) }) }, 'send db3 as analytics'],
    ['a rule by address', { statement: read, policy: rule({ clientAddresses: office }) }, 'send db3 as analytics'],
    [
      'a rule by table',
      { statement: reports, policy: rule({ tables: new Set(['shop.reports']) }) },
      'send db3 as analytics',
    ],
    [
      'a rule by digest',
      { statement: read, policy: rule({ digests: new Set([read.digest]) }) },
      'send db3 as analytics',
    ],
    [
      'a user route beats the listener',
      { statement: read, policy: { userRoutes: new Map([['app', 'writer']]) } },
      'send db1 as writer',
    ],
    ['the writer listener', { statement: read, policy: { listenerRoute: 'writer' } }, 'send db1 as writer'],
    [
      'the reader listener sends writes to the writer',
      { statement: write, policy: { listenerRoute: 'reader' } },
      'send db1 as writer',
    ],
    [
      'auto undoes the listener',
      { statement: hinted(read, 'auto'), policy: { listenerRoute: 'writer' } },
      'send db2 as reader',
    ],
    ['an endpoint of any role may be the writer', { statement: toEndpoint(read, 'everyone') }, 'send db1 as everyone'],
  ])('%s', (_promise, given, expected) => expect(decide(given)).toBe(expected))
})

test('every decision says why', () => {
  const topology: Topology = { cluster: 'main', epoch: 1, kind: null, writerEpoch: 1, backends: all }
  for (const statement of [read, write, set, warnings, readOnlyBegin, hinted(read, 'writer')]) {
    expect(route(statement, free, topology, split, loads).because).not.toBe('')
  }
})

test('the reader with the least work per weight is taken, and equals take turns', () => {
  const topology: Topology = { cluster: 'main', epoch: 1, kind: null, writerEpoch: 1, backends: all }
  const busy = (work: Record<string, number>, turn: number): Loads => ({
    ...loads,
    turn,
    outstanding: ({ id }) => work[id] ?? 0,
  })
  const picked = (l: Loads) => told(route(read, free, topology, split, l))
  expect(picked(busy({ db2: 3 }, 0))).toBe('send db3 as reader')
  expect(picked(busy({ db3: 1 }, 1))).toBe('send db2 as reader')
  expect(new Set([0, 1, 2, 3].map((turn) => picked(busy({}, turn))))).toEqual(
    new Set(['send db2 as reader', 'send db3 as reader']),
  )
})
