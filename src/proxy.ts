// The wiring: settings in, a proxy with start() and stop() out. The only place that knows concrete protocols.

import type { KeyObject } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { performance } from 'node:perf_hooks'
import type { AdminServer } from './admin/admin-server.ts'
import type { AdminSnapshots } from './admin/snapshots.ts'
import { accountsOf, Cluster, policyOf } from './cluster.ts'
import type { Config, ListenerConfig } from './config.ts'
import { ProxyError } from './errors.ts'
import { createLog, type Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { createMysqlProtocol } from './protocol/mysql/index.ts'
import type { AcceptOptions, Accounts, ClientTls } from './protocol/protocol.ts'
import { lazyRsaKey, parseRsaKey } from './protocol/rsa-key.ts'
import { proveSockets } from './protocol/socket-transport.ts'
import { clientContext, keptCertificate } from './protocol/tls.ts'
import type { RoutingPolicy } from './routing/policy.ts'
import { Listener } from './session/listener.ts'
import { Sessions } from './session/sessions.ts'
import { EventLog } from './topology/events.ts'
import type { Topology } from './topology/topology.ts'

export interface RunningProxy {
  /** Resolves once the listeners accept. Rejects when an address cannot be listened on. */
  start(): Promise<void>
  /** Closes the listeners, lets sessions finish up to the deadline, closes everything. */
  stop(): Promise<void>
  /** Takes over what can change while sessions live; gives the settings that need a restart. */
  reload(config: Config): readonly string[]
  /** Where clients connect, by the listener's name. */
  addresses(): ReadonlyMap<string, { readonly host: string; readonly port: number }>
  readonly admin: AdminServer | null
  readonly snapshots: AdminSnapshots
}

const { version } = createRequire(import.meta.url)('../package.json') as { version: string }
const nowMs = () => performance.now()

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

export function createProxy(config: Config, log: Log): RunningProxy {
  const metrics = createMetrics()
  const sessions = new Sessions()
  const protocol = createMysqlProtocol(nowMs)
  const { limits } = config
  const events = new EventLog(limits)
  const clusters = new Map<string, Cluster>()
  for (const [name, cluster] of Object.entries(config.clusters)) {
    const parts = { name, config: cluster, limits, protocol, metrics, sessions, events, log, nowMs }
    clusters.set(name, new Cluster(parts))
  }
  let live = liveOf(config)
  let listeners: readonly Listener[] = []
  let admin: AdminServer | null = null
  let stopping = false
  const keptKey = lazyRsaKey(config.stateDir, ({ message }) => {
    log.warn({ stateDir: config.stateDir, why: message }, 'the RSA key for clients without TLS cannot be kept')
  })

  const snapshots: AdminSnapshots = {
    version,
    metrics,
    nowMs,
    ready: () => {
      if (stopping) return 'draining'
      if (listeners.length === 0) return 'starting'
      for (const { name, writer } of clusters.values()) if (writer === null) return `cluster ${name} has no writer`
      return null
    },
    topology: () => Array.from(clusters.values(), ({ topology }) => topology),
    pools: () =>
      [...clusters.values()].flatMap(({ name, pools }) => pools.snapshot().map((pool) => ({ cluster: name, ...pool }))),
    sessions: () => sessions.list(),
    statements: () => [...clusters.values()].flatMap(({ statements }) => statements),
    events: (after) => events.after(after),
    failovers: () => [...clusters.values()].flatMap(({ failover }) => failover ?? []),
  }
  metrics.beforeScrape.push(() => gauges())

  function gauges(): void {
    metrics.clientConnections.value = sessions.count
    metrics.backendConnections.clear()
    metrics.readerLagMs.clear()
    metrics.pinnedSessions.clear()
    for (const { name, pools, topology, held } of clusters.values()) {
      metrics.heldStatements.labels(name).value = held
      for (const { backend, idle, lent, cleaning, opening } of pools.snapshot()) {
        for (const [state, count] of Object.entries({ idle, lent, cleaning, opening })) {
          metrics.backendConnections.labels(name, backend, state).value += count
        }
      }
      for (const { id, role, lagMs } of topology.backends) {
        if (role === 'reader' && lagMs !== null) metrics.readerLagMs.labels(name, id).value = lagMs
      }
    }
    for (const { pins } of sessions.list()) {
      for (const { reason } of pins) metrics.pinnedSessions.labels(reason).value += 1
    }
  }

  async function createListener(listener: ListenerConfig): Promise<Listener> {
    const { name, bind, cluster: clusterName, compression } = listener
    const cluster = clusters.get(clusterName)!
    const tls = await clientTls(listener, config.stateDir)
    const given = givenRsaKey(listener)
    // A session asks again when its client changes its user, maybe after a reload.
    const accounts: Accounts = { find: (user) => live.accounts.get(clusterName)!.find(user) }
    const { clientsMax, loginMsMax, loginBytesMax, requestBytesMax, preparedPerSessionMax } = limits
    const rsaKey = () => given ?? keptKey()
    let last: AcceptOptions | null = null
    return new Listener({
      name,
      ...bind,
      clientsMax,
      protocol,
      shared: cluster.sharedBy(() => live.policies.get(name)!),
      accept: () => {
        const serverVersion = cluster.serverVersion
        if (serverVersion === null) {
          throw new ProxyError('NO_WRITER', `no backend of cluster ${clusterName} has been reached yet`)
        }
        const { serverModes } = cluster
        if (last?.serverVersion === serverVersion && last.serverModes === serverModes) return last
        last = {
          accounts,
          serverVersion,
          serverModes,
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

  return {
    snapshots,
    get admin() {
      return admin
    },

    async start(): Promise<void> {
      await proveSockets()
      await Promise.all(Array.from(clusters.values(), (cluster) => cluster.start()))
      const made = await Promise.all(config.listeners.map(createListener))
      for (const listener of made) await listener.listen()
      listeners = made
      const { startAdmin } = await import('./admin/admin-server.ts')
      admin = await startAdmin(config.admin.bind, snapshots)
      log.info({ listeners: config.listeners.map(({ name }) => name), admin: admin.port }, 'accepting clients')
    },

    async stop(): Promise<void> {
      stopping = true
      for (const listener of listeners) listener.close()
      await sessions.drain(limits.drainMsMax)
      await Promise.all(Array.from(clusters.values(), (cluster) => cluster.stop()))
      await admin?.close()
      log.info('stopped')
    },

    reload(next: Config): readonly string[] {
      const needRestart = restartNeeded(live.config, next)
      const { users, rules } = next
      // Clusters and listeners stay as they are; everything about them that is a decision and not a connection changes.
      const merged = { ...next, listeners: config.listeners.map((old) => successor(old, next)), users, rules }
      for (const name of clusters.keys()) if (next.clusters[name] === undefined) return needRestart
      live = liveOf(merged)
      log.level = next.log.level
      log.info({ needRestart }, 'settings taken over')
      return needRestart
    },

    addresses: () => new Map(config.listeners.map(({ name }, at) => [name, listeners[at]?.address ?? NOWHERE])),
  }
}

/** What every cluster of the settings is just now, asked as a proxy would ask and no further. */
export async function survey(config: Config): Promise<readonly Topology[]> {
  const parts = {
    limits: config.limits,
    protocol: createMysqlProtocol(nowMs),
    metrics: createMetrics(),
    sessions: new Sessions(),
    events: new EventLog(config.limits),
    log: createLog('silent'),
    nowMs,
  }
  return Promise.all(
    Object.entries(config.clusters).map(async ([name, cluster]) => {
      const asked = new Cluster({ ...parts, name, config: cluster })
      try {
        await asked.start()
        return asked.topology
      } finally {
        asked.stop()
      }
    }),
  )
}

const NOWHERE = { host: '', port: 0 }

function successor(old: ListenerConfig, next: Config): ListenerConfig {
  const { route, consistency, monotonic } = next.listeners.find(({ name }) => name === old.name) ?? old
  return { ...old, route, consistency, monotonic }
}

/** The settings that differ and cannot be changed under living sessions. */
function restartNeeded(before: Config, after: Config): readonly string[] {
  const fixed = (config: Config) => ({
    listeners: config.listeners.map(({ route, consistency, monotonic, ...rest }) => rest),
    clusters: Object.entries(config.clusters).map(([name, { endpoints, ...rest }]) => ({ name, ...rest })),
    admin: config.admin,
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
