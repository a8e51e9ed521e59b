// How fresh reads must be, by table: who says something about it, and whose word counts.

import { expect, test } from 'vitest'
import { type ConsistencyWish, consistencyOf } from '../../../src/routing/consistency.ts'
import type { RouteRule, RoutingPolicy } from '../../../src/routing/policy.ts'
import { classification } from '../../support/values.ts'

const rule = (change: Partial<RouteRule>): RouteRule => ({
  name: 'r',
  users: null,
  schemas: null,
  clientAddresses: null,
  digests: null,
  tables: null,
  route: null,
  consistency: null,
  ...change,
})
const policy: RoutingPolicy = {
  listenerRoute: 'split',
  userRoutes: new Map(),
  endpoints: new Map(),
  rules: [],
  fallback: 'writer',
  beyondShare: 'error',
  consistency: { level: 'service', monotonic: false },
  userConsistencies: new Map(),
}
const session = { user: 'app', schema: 'shop', clientAddress: '10.0.0.7', consistency: null }
const user = new Map([['app', { level: 'eventual' as const, monotonic: null }]])
const ofTable = rule({ tables: new Set(['shop.t']), consistency: { level: 'global', monotonic: true } })
const ofT = classification({ tables: ['t'] })
const says = (wish: Partial<ConsistencyWish>): ConsistencyWish => ({ level: null, monotonic: null, ...wish })
const wavering = classification({ tables: ['t'], freshness: { consistency: null, monotonic: false, after: null } })
const hinted = classification({ tables: ['t'], freshness: { consistency: 'eventual', monotonic: null, after: null } })

test.each([
  ['the listener, where nobody else says anything', ofT, {}, {}, 'service'],
  ['a user beats the listener', ofT, {}, { userConsistencies: user }, 'eventual'],
  ['a rule beats the user', ofT, {}, { userConsistencies: user, rules: [ofTable] }, 'global, monotonic'],
  ['a rule that does not match says nothing', classification(), {}, { rules: [ofTable] }, 'service'],
  ['a rule about routes says nothing', ofT, {}, { rules: [rule({ route: 'reader' }), ofTable] }, 'global, monotonic'],
  [
    'the session beats a rule',
    ofT,
    { consistency: says({ level: 'session' }) },
    { rules: [ofTable] },
    'session, monotonic',
  ],
  [
    'a hint beats all',
    hinted,
    { consistency: says({ level: 'session' }) },
    { rules: [ofTable] },
    'eventual, monotonic',
  ],
  ['so with monotonic: the session', ofT, { consistency: says({ monotonic: true }) }, {}, 'service, monotonic'],
  ['and the hint', wavering, { consistency: says({ monotonic: true }) }, { rules: [ofTable] }, 'global'],
] as const)('%s', (_promise, statement, ofSession, ofPolicy, expected) => {
  const { level, monotonic } = consistencyOf(statement, { ...session, ...ofSession }, { ...policy, ...ofPolicy })
  expect(`${level}${monotonic ? ', monotonic' : ''}`).toBe(expected)
})
