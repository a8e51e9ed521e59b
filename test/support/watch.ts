// A monitor that watches a lab cluster as Sluice would, without the proxy.

import { type LabUser, type RunningServer, until } from '../../src/lab/index.ts'
import { createLog } from '../../src/log.ts'
import { createProber } from '../../src/protocol/mysql/probe.ts'
import type { BackendTls, ProbeTarget } from '../../src/protocol/protocol.ts'
import { Monitor, type MonitorOptions } from '../../src/topology/monitor.ts'
import { type Backend, type Topology, TopologyStore } from '../../src/topology/topology.ts'

export const PREFERRED_TLS: BackendTls = { mode: 'preferred', ca: null, cert: null, key: null }
export const WATCH_TIMEOUT_MS = 1_000

export interface Watch {
  readonly monitor: Monitor
  readonly topology: Topology
  /** Waits until the backends are so: `writer`, `reader behind` …, one word or two for each server in order. */
  until(states: readonly string[], msMax?: number): Promise<void>
  of(server: RunningServer): Backend
}

export function probeTarget(server: RunningServer, change: Partial<ProbeTarget> = {}): ProbeTarget {
  return {
    host: server.host,
    port: server.port,
    user: 'monitor' satisfies LabUser,
    password: 'monitor_pw',
    tls: PREFERRED_TLS,
    timeoutMs: WATCH_TIMEOUT_MS,
    kind: 'auto',
    heartbeat: null,
    ...change,
  }
}

export interface WatchSettings {
  readonly topology?: Partial<MonitorOptions['topology']>
  readonly target?: Partial<ProbeTarget>
  readonly lagMsMax?: number
}

/** Starts it; the caller stops the monitor. */
export async function watch(servers: readonly RunningServer[], settings: WatchSettings = {}): Promise<Watch> {
  const store = new TopologyStore('main')
  const seeds = servers.map(({ host, port }) => ({ host, port }))
  const { topology, target, lagMsMax = 1_000 } = settings
  const monitor = new Monitor({
    cluster: 'main',
    topology: { kind: 'auto', seeds, writer: null, hostPattern: null, ...topology },
    weights: new Map(),
    lagMsMax,
    probing: { intervalMs: 100, failuresToDown: 3, successesToUp: 1 },
    prober: (host, port) => createProber({ ...probeTarget(servers[0]!, target), host, port }),
    store,
    log: createLog(process.env.SLUICE_TEST_LOG === undefined ? 'silent' : 'debug'),
    nowMs: () => performance.now(),
  })
  const of = (server: RunningServer) => store.current.backends.find(({ id }) => id === server.address)!
  const stateOf = (server: RunningServer) => {
    const { role, health } = of(server)
    return health === 'up' ? role : `${role} ${health}`
  }
  await monitor.start()
  return {
    monitor,
    of,
    get topology() {
      return store.current
    },
    async until(states, msMax = 10_000) {
      const are = () => servers.map(stateOf).join(', ')
      const isSo = async () => (are() === states.join(', ') ? true : null)
      const seen = () => JSON.stringify(store.current.backends, null, 1)
      await until(isSo, msMax, () => `expected ${states.join(', ')}, but they are ${are()}: ${seen()}`)
    },
  }
}
