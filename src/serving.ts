// What serves clients, in whatever process that is: clusters as sessions use them, what a login needs, and what is kept
// for operators to ask. The only place that knows concrete protocols. Who is there, and the sockets, are others' business.

import type { KeyObject } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import type { ClusterFloors, ClusterPool } from './admin/snapshots.ts'
import { Cluster, type ClusterParts } from './cluster.ts'
import { accountsOf, policyOf } from './cluster-settings.ts'
import type { Config, ListenerConfig } from './config.ts'
import { ProxyError } from './errors.ts'
import type { Log } from './log.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { createMysqlProtocol } from './protocol/mysql/index.ts'
import type { AcceptOptions, Accounts, ClientTls, Protocol } from './protocol/protocol.ts'
import { lazyRsaKey, parseRsaKey } from './protocol/rsa-key.ts'
import { proveSockets } from './protocol/socket-transport.ts'
import { clientContext, keptCertificate } from './protocol/tls.ts'
import type { RoutingPolicy } from './routing/policy.ts'
import { Listener } from './session/listener.ts'
import { type SessionSnapshot, Sessions, type Siblings } from './session/sessions.ts'
import type { StatementKind } from './session/statements.ts'
import type { EventLog } from './topology/events.ts'
import type { FailoverTimeline } from './topology/failover-timeline.ts'
import type { TopologyStore } from './topology/topology.ts'
import type { Watch } from './topology/watch.ts'

export interface ServingParts {
  readonly config: Config
  readonly protocol: Protocol
  readonly log: Log
  readonly nowMs: () => number
  readonly events: Pick<EventLog, 'add'>
  /** Who publishes in this store who is there. */
  readonly watch: (cluster: string, store: TopologyStore) => Watch
  readonly siblings: Siblings | null
  readonly others: ClusterParts['others']
}

/** What a reload replaces. */
interface Live {
  readonly config: Config
  readonly accounts: ReadonlyMap<string, Accounts>
  readonly policies: ReadonlyMap<string, RoutingPolicy>
}

function liveOf(config: Config): Live {
  return {
    config,
    accounts: new Map(Object.keys(config.clusters).map((name) => [name, accountsOf(config, name)])),
    policies: new Map(config.listeners.map((listener) => [listener.name, policyOf(config, listener)])),
  }
}

export const createProtocol: (nowMs: () => number) => Protocol = createMysqlProtocol

export class Serving {
  readonly metrics: Metrics = createMetrics()
  readonly sessions: Sessions
  readonly clusters: ReadonlyMap<string, Cluster>
  readonly #parts: ServingParts
  readonly #keptKey: () => Promise<KeyObject>
  #live: Live
  #listeners: readonly Listener[] = []

  constructor(parts: ServingParts) {
    const { config, protocol, events, others, log, nowMs } = parts
    const { limits } = config
    const { metrics } = this
    this.#parts = parts
    this.#live = liveOf(config)
    this.sessions = new Sessions(nowMs, parts.siblings)
    const { sessions } = this
    const clusters = new Map<string, Cluster>()
    for (const [name, cluster] of Object.entries(config.clusters)) {
      const watch = (store: TopologyStore) => parts.watch(name, store)
      clusters.set(
        name,
        new Cluster({ name, config: cluster, limits, protocol, metrics, sessions, events, watch, others, log, nowMs }),
      )
    }
    this.clusters = clusters
    this.#keptKey = lazyRsaKey(config.stateDir, ({ message }) => {
      log.warn({ stateDir: config.stateDir, why: message }, 'the RSA key for clients without TLS cannot be kept')
    })
    metrics.beforeScrape.push(() => this.gauge())
  }

  /** Those of the settings, in their order; empty before the start. None listens by itself. */
  get listeners(): readonly Listener[] {
    return this.#listeners
  }

  /** Resolves once clients can be served, and every backend has been asked, whatever it answered. */
  async start(): Promise<void> {
    const { config } = this.#parts
    const [listeners] = await Promise.all([
      Promise.all(config.listeners.map((listener) => this.createListener(listener))),
      proveSockets(),
      ...Array.from(this.clusters.values(), (cluster) => cluster.start()),
    ])
    this.#listeners = listeners
  }

  /** Whoever is logging in is told to go; sessions finish, up to the deadline. */
  async stop(): Promise<void> {
    for (const listener of this.#listeners) listener.turnAway()
    await this.sessions.drain(this.#parts.config.limits.drainMsMax)
    await this.close()
  }

  /** The same when another process has taken over: nobody is turned away, and who pauses for a moment is not ended. */
  async retire(): Promise<void> {
    await this.sessions.retire(this.#parts.config.limits.drainMsMax)
    await this.close()
  }

  reload(next: Config): readonly string[] {
    const { config, log } = this.#parts
    const needRestart = restartNeeded(this.#live.config, next)
    const { users, rules } = next
    // Clusters and listeners stay as they are; everything about them that is a decision and not a connection changes.
    const merged = { ...next, listeners: config.listeners.map((old) => successor(old, next)), users, rules }
    for (const name of this.clusters.keys()) if (next.clusters[name] === undefined) return needRestart
    this.#live = liveOf(merged)
    log.level = next.log.level
    return needRestart
  }

  get pools(): readonly ClusterPool[] {
    return [...this.clusters.values()].flatMap(({ name, pools }) =>
      pools.snapshot().map((pool) => ({ cluster: name, ...pool })),
    )
  }

  get sessionList(): readonly SessionSnapshot[] {
    return this.sessions.list()
  }

  get floors(): readonly ClusterFloors[] {
    return Array.from(this.clusters.values(), ({ floors }) => floors)
  }

  get statements(): readonly StatementKind[] {
    return [...this.clusters.values()].flatMap(({ statements }) => statements)
  }

  /** The failovers under way. */
  get failovers(): readonly FailoverTimeline[] {
    return [...this.clusters.values()].flatMap(({ failover }) => failover ?? [])
  }

  private async close(): Promise<void> {
    await Promise.all(Array.from(this.clusters.values(), (cluster) => cluster.stop()))
  }

  private gauge(): void {
    const { metrics, sessions, clusters } = this
    metrics.clientConnections.value = sessions.count
    metrics.backendConnections.clear()
    metrics.pinnedSessions.clear()
    for (const { name, pools, held } of clusters.values()) {
      metrics.heldStatements.labels(name).value = held
      for (const { backend, idle, lent, cleaning, opening } of pools.snapshot()) {
        for (const [state, count] of Object.entries({ idle, lent, cleaning, opening })) {
          metrics.backendConnections.labels(name, backend, state).value += count
        }
      }
    }
    for (const { pins } of sessions.list()) {
      for (const { reason } of pins) metrics.pinnedSessions.labels(reason).value += 1
    }
  }

  private async createListener(listener: ListenerConfig): Promise<Listener> {
    const { name, bind, cluster: clusterName, compression } = listener
    const { config, protocol } = this.#parts
    const cluster = this.clusters.get(clusterName)!
    const tls = await clientTls(listener, config.stateDir)
    const given = givenRsaKey(listener)
    // A session asks again when its client changes its user, maybe after a reload.
    const accounts: Accounts = { find: (user) => this.#live.accounts.get(clusterName)!.find(user) }
    const { clientsMax, loginMsMax, loginBytesMax, requestBytesMax, preparedPerSessionMax } = config.limits
    const rsaKey = () => given ?? this.#keptKey()
    let last: AcceptOptions | null = null
    return new Listener({
      name,
      bind,
      clientsMax,
      protocol,
      shared: cluster.sharedBy(() => this.#live.policies.get(name)!),
      accept: () => {
        const serverVersion = cluster.serverVersion
        if (serverVersion === null) {
          throw new ProxyError('NO_WRITER', `no backend of cluster ${clusterName} has been reached yet`)
        }
        const { serverModes, serverCollation } = cluster
        const isTrue = last?.serverVersion === serverVersion && last.serverModes === serverModes
        if (last?.serverCollation === serverCollation && isTrue) return last
        last = {
          accounts,
          serverVersion,
          serverModes,
          serverCollation,
          tls,
          rsaKey,
          loginMsMax,
          loginBytesMax,
          requestBytesMax,
          preparedMax: preparedPerSessionMax,
          compression,
        }
        return last
      },
    })
  }
}

function successor(old: ListenerConfig, next: Config): ListenerConfig {
  const { route, consistency, monotonic } = next.listeners.find(({ name }) => name === old.name) ?? old
  return { ...old, route, consistency, monotonic }
}

/** The settings that differ and cannot be changed under living sessions. */
export function restartNeeded(before: Config, after: Config): readonly string[] {
  const fixed = (config: Config) => ({
    listeners: config.listeners.map(({ route, consistency, monotonic, ...rest }) => rest),
    clusters: Object.entries(config.clusters).map(([name, { endpoints, ...rest }]) => ({ name, ...rest })),
    admin: config.admin,
    workers: config.workers,
    limits: config.limits,
  })
  const [one, other] = [fixed(before), fixed(after)]
  const keys = Object.keys(one) as (keyof typeof one)[]
  return keys.filter((key) => JSON.stringify(one[key]) !== JSON.stringify(other[key]))
}

function givenRsaKey({ name, rsaKey }: ListenerConfig): Promise<KeyObject> | null {
  if (rsaKey === null) return null
  try {
    return Promise.resolve(parseRsaKey(rsaKey))
  } catch (error) {
    const { message } = error as Error
    throw new Error(`rsaKey of listener ${name}: ${message}; expected a private RSA key`, { cause: error })
  }
}

async function clientTls(listener: ListenerConfig, stateDir: string): Promise<ClientTls> {
  const { mode, cert, key } = listener.tls
  if (mode === 'off') return { mode, secureContext: null }
  if (cert !== null && key !== null) return { mode, secureContext: clientContext({ cert, key }) }
  mkdirSync(stateDir, { recursive: true })
  return { mode, secureContext: clientContext(await keptCertificate(stateDir, Date.now())) }
}
