// What the settings come to: who may log in, where statements go, and how a cluster's servers are asked. Pure.

import { BlockList } from 'node:net'
import { type ClusterConfig, type Config, type ListenerConfig, parseNetwork } from './config.ts'
import type { Accounts, BackendTls, Protocol } from './protocol/protocol.ts'
import type { ConsistencyWish } from './routing/consistency.ts'
import type { Endpoint, RouteRule, RoutingPolicy } from './routing/policy.ts'
import type { Prober } from './topology/monitor.ts'

export function proberOf(
  { config, protocol }: { readonly config: ClusterConfig; readonly protocol: Protocol },
  host: string,
  port: number,
): Prober {
  const { user, password, timeoutMs, heartbeat } = config.monitor
  const { kind } = config.topology
  return protocol.prober({ host, port, user, password, tls: backendTls(config), timeoutMs, kind, heartbeat })
}

export function backendTls(config: ClusterConfig): BackendTls {
  const { mode, ca, cert, key } = config.tls
  return { mode, ca, cert, key }
}

export function accountsOf(config: Config, cluster: string): Accounts {
  const rows = config.users.filter(({ clusters }) => clusters === null || clusters.includes(cluster))
  const accounts = new Map(
    rows.map(({ name, password, passwordHash, backend, requireTls, route }) => [
      name,
      {
        user: name,
        password,
        passwordHash,
        backendUser: backend?.user ?? name,
        backendPassword: backend?.password ?? password,
        requireTls,
        route,
      },
    ]),
  )
  return { find: (user) => accounts.get(user) ?? null }
}

export function policyOf(config: Config, listener: PolicyListener): RoutingPolicy {
  const { reads, endpoints: named } = config.clusters[listener.cluster]!
  const endpoints = new Map<string, Endpoint>()
  for (const [name, { type, members, excluded }] of Object.entries(named)) {
    endpoints.set(name, {
      name,
      type,
      members: members === null ? null : new Set(members),
      excluded: new Set(excluded),
    })
  }
  const userRoutes = new Map<string, string>()
  for (const { name, route } of config.users) if (route !== null) userRoutes.set(name, route)
  const userConsistencies = new Map<string, ConsistencyWish>()
  for (const user of config.users) {
    const wish = wishIn(user)
    if (wish !== null) userConsistencies.set(user.name, wish)
  }
  return {
    listenerRoute: listener.route,
    userRoutes,
    endpoints,
    rules: config.rules.map(ruleOf),
    fallback: reads.fallback,
    beyondShare: reads.beyondShare,
    consistency: {
      level: listener.consistency ?? reads.consistency,
      monotonic: listener.monotonic ?? reads.monotonic,
    },
    userConsistencies,
  }
}

/** What a listener says about the statements that come to it. */
type PolicyListener = Pick<ListenerConfig, 'cluster' | 'route' | 'consistency' | 'monotonic'>

function wishIn({ consistency: level, monotonic }: Pick<ListenerConfig, 'consistency' | 'monotonic'>) {
  return level === null && monotonic === null ? null : { level, monotonic }
}

function ruleOf(rule: Config['rules'][number]): RouteRule {
  const { name, match, route } = rule
  const set = (values: readonly string[] | null) => (values === null ? null : new Set(values))
  let clientAddresses: BlockList | null = null
  for (const text of match.clientAddress ?? []) {
    const network = parseNetwork(text)!
    clientAddresses ??= new BlockList()
    clientAddresses.addSubnet(network.address, network.prefix, network.family)
  }
  return {
    name,
    users: set(match.user),
    schemas: set(match.schema),
    clientAddresses,
    digests: set(match.digest),
    tables: set(match.table),
    route,
    consistency: wishIn(rule),
  }
}
