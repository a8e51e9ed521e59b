// A proxy's snapshots without a proxy: two clusters' worth of everything an operator can see.

import type { AdminSnapshots, ClusterFloors, ClusterPool } from '../../../src/admin/snapshots.ts'
import { createMetrics } from '../../../src/metrics.ts'
import type { SessionSnapshot } from '../../../src/session/sessions.ts'
import { Statements } from '../../../src/session/statements.ts'
import { EventLog } from '../../../src/topology/events.ts'
import type { FailoverTimeline } from '../../../src/topology/failover-timeline.ts'
import type { Backend, Topology } from '../../../src/topology/topology.ts'
import { classifyForStage } from '../../support/session-stage.ts'

export const NOW_MS = 1_000_000

export function backend(port: number, more: Partial<Backend> = {}): Backend {
  const id = `127.0.0.1:${port}`
  return {
    id,
    host: '127.0.0.1',
    port,
    role: 'reader',
    health: 'up',
    lagMs: 12,
    weight: 1,
    version: '8.4.3',
    sinceMs: NOW_MS - 60_000,
    why: 'read_only is on and it replicates from 127.0.0.1:13306',
    ...more,
  }
}

export const topology: Topology = {
  cluster: 'main',
  epoch: 7,
  kind: 'replication',
  writerEpoch: 1,
  backends: [
    backend(13306, { role: 'writer', lagMs: 0, why: 'read_only is off' }),
    backend(13307),
    backend(13308, { health: 'down', lagMs: null, why: 'connect ECONNREFUSED', sinceMs: NOW_MS - 5_000 }),
  ],
}

export const floors: ClusterFloors = {
  cluster: 'main',
  writes: 1_234,
  position: '0-1-5678',
  backends: [
    { id: '127.0.0.1:13306', position: '0-1-5678', lacks: 0 },
    { id: '127.0.0.1:13307', position: '0-1-5675', lacks: 3 },
    { id: '127.0.0.1:13308', position: null, lacks: 1_234 },
  ],
}

export function pool(port: number, more: Partial<ClusterPool> = {}): ClusterPool {
  return {
    cluster: 'main',
    backend: `127.0.0.1:${port}`,
    user: 'app',
    identity: 'app:hunter2:utf8mb4',
    idle: 3,
    lent: 2,
    cleaning: 1,
    opening: 0,
    waiting: 0,
    ...more,
  }
}

export function session(id: number, more: Partial<SessionSnapshot> = {}): SessionSnapshot {
  return {
    cluster: 'main',
    id,
    user: 'app',
    schema: 'shop',
    clientAddress: '127.0.0.1',
    state: 'idle',
    sinceMs: NOW_MS - 2_000,
    transaction: 'none',
    autocommit: true,
    override: null,
    pins: [],
    variables: new Map([['secret_variable', 'hunter2']]),
    unreadVariables: ['a'],
    backend: null,
    statements: 42,
    ...more,
  }
}

export const locked = session(2, {
  user: 'batch',
  state: 'active',
  backend: '127.0.0.1:13306',
  pins: [
    {
      reason: 'advisory-lock',
      sinceMs: NOW_MS - 1_500,
      because: 'SELECT GET_LOCK ( ? , ? )',
      names: new Map([['hunter2', 1]]),
    },
    {
      reason: 'temporary-table',
      sinceMs: NOW_MS - 500,
      because: 'CREATE TEMPORARY TABLE t ( a INT )',
      names: new Map([['t', 1]]),
    },
  ],
})

/** Reader db2 has come back, and a failover was followed. */
export function someEvents(): EventLog {
  const events = new EventLog({ eventsMax: 10, failoversMax: 10 })
  events.add({
    kind: 'up',
    cluster: 'main',
    epoch: 6,
    atMs: NOW_MS - 90_000,
    backend: '127.0.0.1:13307',
    name: 'db-2',
    role: 'reader',
    health: 'up',
    was: { role: 'reader', health: 'behind' },
    lagMs: 3,
    why: 'read_only is on',
  })
  events.add(failover())
  return events
}

export function failover(more: Partial<FailoverTimeline> = {}): FailoverTimeline {
  const lostMs = NOW_MS - 60_000
  return {
    kind: 'failover',
    cluster: 'main',
    epoch: 7,
    from: '127.0.0.1:13308',
    to: '127.0.0.1:13306',
    because: 'it says that it is read-only',
    losses: 1,
    lostMs,
    detectedMs: lostMs + 3.4,
    foundMs: lostMs + 40,
    verifiedMs: lostMs + 42,
    firstWriteMs: lostMs + 45,
    endedMs: lostMs + 1_040,
    held: 12,
    longestWaitMs: 41.6,
    sessions: { before: 20, left: 1, lost: 0 },
    transactionsLost: 2,
    outcomesUnknown: 1,
    errors: new Map([
      ['TRANSACTION_LOST', 2],
      ['OUTCOME_UNKNOWN', 1],
    ]),
    ...more,
  }
}

const events = someEvents()

/** A point select that readers serve, and an update that failed once. */
const statements = someStatements()

function someStatements(): Statements {
  const kinds = new Statements('main', 10)
  const select = classifyForStage('select * from t where id = 1')
  const update = classifyForStage('update t set a = 1')
  for (const target of ['reader', 'reader', 'writer']) {
    const because = target === 'reader' ? 'a read' : 'no usable reader, so the writer serves it'
    kinds.count(select, target, because, false, NOW_MS - 1_000, NOW_MS - 999)
  }
  for (const failed of [false, true]) {
    kinds.count(update, 'writer', 'a write', failed, NOW_MS - 500, NOW_MS - 400)
  }
  return kinds
}

export function snapshots(more: Partial<AdminSnapshots> = {}): AdminSnapshots {
  return {
    version: '0.1.0',
    metrics: createMetrics(),
    nowMs: () => NOW_MS,
    ready: () => null,
    topology: () => [topology],
    floors: () => [floors],
    pools: () => [pool(13306), pool(13307)],
    sessions: () => [session(1), locked],
    statements: () => statements.kinds,
    events: (after) => events.after(after),
    failovers: () => [],
    ...more,
  }
}
