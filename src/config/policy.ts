// The routing policy that a listener's settings mean. Pure.

import { BlockList } from 'node:net'
import type { Config, ListenerConfig, RuleConfig } from '../config.ts'
import type { Endpoint, RouteRule, RoutingPolicy } from '../routing/policy.ts'
import { parseNetwork } from './address.ts'

/** What applies where nothing is configured: every statement by what it does. */
export const DEFAULT_POLICY: RoutingPolicy = {
  listenerRoute: 'split',
  userRoutes: new Map(),
  endpoints: new Map(),
  rules: [],
  fallback: 'writer',
}

export function policyOf(config: Config, listener: ListenerConfig): RoutingPolicy {
  const cluster = config.clusters[listener.cluster]!
  const userRoutes = config.users.flatMap(({ name, route }) => (route === null ? [] : [[name, route] as const]))
  const endpoints = Object.entries(cluster.endpoints).map(([name, { type, members, excluded }]): [string, Endpoint] => [
    name,
    { name, type, members: members === null ? null : new Set(members), excluded: new Set(excluded) },
  ])
  return {
    listenerRoute: listener.route,
    userRoutes: new Map(userRoutes),
    endpoints: new Map(endpoints),
    rules: config.rules.map(ruleOf),
    fallback: cluster.reads.fallback,
  }
}

function ruleOf({ name, match, route }: RuleConfig): RouteRule {
  return {
    name,
    users: setOf(match.user),
    schemas: setOf(match.schema),
    clientAddresses: match.clientAddress === null ? null : blockListOf(match.clientAddress),
    digests: setOf(match.digest),
    tables: setOf(match.table),
    route,
  }
}

function setOf(names: readonly string[] | null): ReadonlySet<string> | null {
  return names === null ? null : new Set(names)
}

function blockListOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const text of networks) {
    const { address, prefix, family } = parseNetwork(text)!
    list.addSubnet(address, prefix, family)
  }
  return list
}
