// The wiring of one process that does everything: settings in, a proxy with start() and stop() out.

import { performance } from 'node:perf_hooks'
import type { AdminServer } from './admin/admin-server.ts'
import type { AdminSnapshots, ClusterPool } from './admin/snapshots.ts'
import { monitorOf } from './cluster.ts'
import { proberOf } from './cluster-settings.ts'
import type { ClusterConfig, Config } from './config.ts'
import { version } from './home.ts'
import { createLog, type Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import { createProtocol, Serving } from './serving.ts'
import { type Bind, keyOf, type SocketHandle } from './session/listening-socket.ts'
import type { SessionSnapshot } from './session/sessions.ts'
import type { StatementKind } from './session/statements.ts'
import type { Prober } from './topology/claim.ts'
import { EventLog } from './topology/events.ts'
import type { FailoverTimeline } from './topology/failover-timeline.ts'
import { type Topology, TopologyStore } from './topology/topology.ts'

/** Sockets that listen, by the address that the settings have for them. */
export type Sockets = ReadonlyMap<string, SocketHandle>

/** A proxy as the command that runs it knows it, of one process or of several. */
export interface AnyProxy {
  /** Resolves once clients could be served. */
  prepare(): Promise<void>
  /** Resolves once the listeners accept; on sockets that are given rather than on new ones. Rejects when an address cannot be listened on. */
  listen(given?: Sockets): Promise<void>
  /** The sockets it listens on, for a process that takes over. */
  sockets(): Sockets
  /** The number that the next client will have; and where a process that takes over begins. */
  nextId: number
  /** Closes the listeners, lets sessions finish up to the deadline, closes everything. */
  stop(): Promise<void>
  /** The same once another process has the sockets: nobody is turned away. */
  retire(): Promise<void>
  /** Takes over what can change while sessions live; gives the settings that need a restart. */
  reload(config: Config): readonly string[]
}

export interface RunningProxy extends AnyProxy {
  /** Resolves once the listeners accept. */
  start(): Promise<void>
  /** Where clients connect, by the listener's name. */
  addresses(): ReadonlyMap<string, Bind>
  readonly admin: AdminServer | null
  readonly snapshots: OwnSnapshots
}

/** What this process alone can tell, without asking others. */
interface OwnSnapshots extends AdminSnapshots {
  pools(): readonly ClusterPool[]
  sessions(): readonly SessionSnapshot[]
  statements(): readonly StatementKind[]
  failovers(): readonly FailoverTimeline[]
}

const nowMs = () => performance.now()
const NOWHERE = { host: '', port: 0 }

export function createProxy(config: Config, log: Log): RunningProxy {
  const protocol = createProtocol(nowMs)
  const events = new EventLog(config.limits)
  const watch = (name: string, store: TopologyStore) =>
    monitorOf({ name, config: config.clusters[name]!, protocol, store, log, nowMs })
  const serving = new Serving({ config, protocol, log, nowMs, events, watch, siblings: null, others: null })
  const { clusters, metrics, sessions } = serving
  let listening = false
  let stopping = false
  let admin: AdminServer | null = null

  const snapshots: OwnSnapshots = {
    version,
    metrics,
    nowMs,
    ready: () => {
      if (stopping) return 'draining'
      if (!listening) return 'starting'
      for (const { name, writer } of clusters.values()) if (writer === null) return `cluster ${name} has no writer`
      return null
    },
    topology: () => Array.from(clusters.values(), ({ topology }) => topology),
    floors: () => serving.floors,
    pools: () => serving.pools,
    sessions: () => serving.sessionList,
    statements: () => serving.statements,
    events: (after) => events.after(after),
    failovers: () => serving.failovers,
  }
  metrics.workers.value = 1
  metrics.beforeScrape.push(() => gaugeLag(metrics, snapshots.topology()))

  async function end(how: 'stop' | 'retire'): Promise<void> {
    stopping = true
    for (const { socket } of serving.listeners) socket.close()
    if (how === 'retire') admin?.stopListening()
    await serving[how]()
    await admin?.close()
    log.info('stopped')
  }

  return {
    snapshots,
    get admin() {
      return admin
    },
    get nextId() {
      return sessions.nextId
    },
    set nextId(id) {
      sessions.nextId = id
    },

    async start(): Promise<void> {
      await this.prepare()
      await this.listen()
    },

    prepare: () => serving.start(),

    async listen(given: Sockets = new Map()): Promise<void> {
      for (const { socket } of serving.listeners) await socket.listen(given.get(keyOf(socket.bind)) ?? null)
      listening = true
      const { startAdmin } = await import('./admin/admin-server.ts')
      const { bind } = config.admin
      admin = await startAdmin(bind, snapshots, given.get(keyOf(bind)) ?? null)
      log.info({ listeners: config.listeners.map(({ name }) => name), admin: admin.port }, 'accepting clients')
    },

    sockets() {
      const sockets = new Map(serving.listeners.map(({ socket }) => [keyOf(socket.bind), socket.handle]))
      if (admin !== null) sockets.set(keyOf(config.admin.bind), admin.handle)
      return sockets
    },

    stop: () => end('stop'),
    retire: () => end('retire'),

    reload(next: Config): readonly string[] {
      const needRestart = serving.reload(next)
      log.info({ needRestart }, 'settings taken over')
      return needRestart
    },

    addresses: () =>
      new Map(
        config.listeners.map(({ name }, at) => [name, listening ? serving.listeners[at]!.socket.address : NOWHERE]),
      ),
  }
}

export function gaugeLag({ readerLagMs }: Metrics, topologies: readonly Topology[]): void {
  readerLagMs.clear()
  for (const { cluster, backends } of topologies) {
    for (const { id, role, lagMs } of backends) {
      if (role === 'reader' && lagMs !== null) readerLagMs.labels(cluster, id).value = lagMs
    }
  }
}

/** What every cluster of the settings is just now, asked as a proxy would ask and no further. */
export async function survey(config: Config): Promise<readonly Topology[]> {
  const [protocol, log] = [createProtocol(nowMs), createLog('silent')]
  return Promise.all(
    Object.entries(config.clusters).map(async ([name, cluster]) => {
      const store = new TopologyStore(name)
      const monitor = monitorOf({ name, config: cluster, protocol, store, log, nowMs })
      try {
        await monitor.start()
        return store.current
      } finally {
        monitor.stop()
      }
    }),
  )
}

/** Asks one server of a cluster what it is, as the monitor would, on a connection of its own. */
export function createProber(config: ClusterConfig, host: string, port: number): Prober {
  return proberOf({ config, protocol: createProtocol(nowMs) }, host, port)
}
