// What the operator decided about routes: endpoints, rules, bounds. Values only, made from the settings in proxy.ts.

import type { BlockList } from 'node:net'
import type { Classification } from '../sql/classification.ts'
import type { Backend } from '../topology/topology.ts'
import type { Consistency, ConsistencyWish } from './consistency.ts'

/** `split` decides statement by statement; `writer` and `reader` are the roles; anything else names an endpoint. */
export type RouteName = string

/** A named set of backends, as Aurora's custom endpoints: the listed ones, or all but the listed ones. */
export interface Endpoint {
  readonly name: string
  /** `reader`: a member counts only while it is a reader; `any`: whatever its role. */
  readonly type: 'reader' | 'any'
  /** Addresses, or what the cluster calls the servers; null: all that are not excluded. */
  readonly members: ReadonlySet<string> | null
  readonly excluded: ReadonlySet<string>
}

export interface RouteRule {
  readonly name: string
  readonly users: ReadonlySet<string> | null
  readonly schemas: ReadonlySet<string> | null
  readonly clientAddresses: BlockList | null
  readonly digests: ReadonlySet<string> | null
  readonly tables: ReadonlySet<string> | null
  /** Null: it says nothing about it, and so of `consistency`. */
  readonly route: RouteName | null
  readonly consistency: ConsistencyWish | null
}

/** What rules look at in a session. */
export interface SessionTraits {
  readonly user: string
  readonly schema: string | null
  readonly clientAddress: string
}

export interface RoutingPolicy {
  readonly listenerRoute: RouteName
  readonly userRoutes: ReadonlyMap<string, RouteName>
  readonly endpoints: ReadonlyMap<string, Endpoint>
  readonly rules: readonly RouteRule[]
  /** What reads do when no reader is usable. */
  readonly fallback: 'writer' | 'wait' | 'error'
  /** What becomes of reads that readers are too late for, when the writer serves its share of them already. */
  readonly beyondShare: 'error' | 'stale'
  /** How fresh reads must be, where neither statement, session, rule nor user says otherwise. */
  readonly consistency: Consistency
  readonly userConsistencies: ReadonlyMap<string, ConsistencyWish>
}

export function matches(rule: RouteRule, classification: Classification, session: SessionTraits): boolean {
  const { users, schemas, clientAddresses, digests, tables } = rule
  if (users !== null && !users.has(session.user)) return false
  if (schemas !== null && (session.schema === null || !schemas.has(session.schema))) return false
  if (digests !== null && !digests.has(classification.digest)) return false
  if (clientAddresses !== null) {
    const { clientAddress } = session
    if (!clientAddresses.check(clientAddress, clientAddress.includes(':') ? 'ipv6' : 'ipv4')) return false
  }
  if (tables === null) return true
  return (
    classification.tables?.some((table) => tables.has(table) || tables.has(inSchema(table, session.schema))) ?? false
  )
}

function inSchema(table: string, schema: string | null): string {
  return schema === null || table.includes('.') ? table : `${schema}.${table}`
}

export function isMember(endpoint: Endpoint, backend: Backend): boolean {
  if (isIn(endpoint.excluded, backend)) return false
  if (endpoint.members !== null && !isIn(endpoint.members, backend)) return false
  return endpoint.type === 'any' || backend.role === 'reader'
}

/** A word alone is a name, or a host at MySQL's usual port. */
function isIn(listed: ReadonlySet<string>, { id, name, host, port }: Backend): boolean {
  return listed.has(id) || (name !== undefined && listed.has(name.toLowerCase())) || (port === 3306 && listed.has(host))
}
