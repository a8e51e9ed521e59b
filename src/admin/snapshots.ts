// What the operators' pages ask of the proxy, and the JSON they make of it. Field names here are promises to scripts.
// Neither passwords nor literals of statements come through: identities are shown as a fingerprint, pins as digests.

import { createHash } from 'node:crypto'
import type { Metrics } from '../metrics.ts'
import type { PoolSnapshot } from '../pool/pools.ts'
import { PIN_ENDS } from '../routing/session-state.ts'
import type { SessionSnapshot } from '../session/sessions.ts'
import type { Topology } from '../topology/topology.ts'

export interface AdminSnapshots {
  readonly version: string
  readonly metrics: Metrics
  /** The clock of every `sinceMs` below. */
  nowMs(): number
  /** Null: every cluster has a verified writer and the listeners accept. Else why not. */
  ready(): string | null
  topology(): readonly Topology[]
  pools(): readonly ClusterPool[]
  sessions(): readonly SessionSnapshot[]
  /** Per digest; absent while nobody counts them. */
  statements?(): readonly object[]
  /** What happened lately, oldest first; absent while nobody remembers. */
  events?(): readonly object[]
}

export interface ClusterPool extends PoolSnapshot {
  readonly cluster: string
}

/** Moments are told as wall-clock time, whatever clock the snapshots run on. */
type Clock = (sinceMs: number) => string

export function clockOf(nowMs: number, wallMs: number): Clock {
  return (sinceMs) => new Date(wallMs - Math.max(0, nowMs - sinceMs)).toISOString()
}

export function topologyJson(clusters: readonly Topology[], clock: Clock) {
  return {
    clusters: clusters.map(({ cluster, kind, epoch, backends }) => ({
      cluster,
      kind,
      epoch,
      writer: backends.find(({ role }) => role === 'writer')?.id ?? null,
      backends: backends.map(({ id, name, role, health, lagMs, weight, version, sinceMs, why }) => ({
        address: id,
        name: name ?? null,
        role,
        health,
        lagMs,
        since: clock(sinceMs),
        why,
        version,
        weight,
      })),
    })),
  }
}

export function poolsJson(pools: readonly ClusterPool[]) {
  return {
    pools: pools.map(({ cluster, backend, user, identity, idle, lent, cleaning, opening, waiting }) => ({
      cluster,
      backend,
      user,
      identity: fingerprint(identity),
      connections: { idle, lent, cleaning, opening },
      waiting,
    })),
  }
}

/** Which sessions are asked for; all are counted. */
export interface SessionFilter {
  readonly limit: number
  readonly user: string | null
  readonly pinned: boolean
}

export function sessionsJson(sessions: readonly SessionSnapshot[], filter: SessionFilter, clock: Clock) {
  const wanted = sessions.filter(
    ({ user, pins }) => (filter.user === null || user === filter.user) && (!filter.pinned || pins.length > 0),
  )
  return {
    count: sessions.length,
    pinned: sessions.filter(({ pins }) => pins.length > 0).length,
    matching: wanted.length,
    sessions: wanted.slice(0, filter.limit).map((session) => ({
      id: session.id,
      cluster: session.cluster,
      user: session.user,
      schema: session.schema,
      clientAddress: session.clientAddress,
      state: session.state,
      since: clock(session.sinceMs),
      transaction: session.transaction,
      statements: session.statements,
      pins: session.pins.map((pin) => ({
        reason: pin.reason,
        since: clock(pin.sinceMs),
        because: pin.because,
        endsWith: PIN_ENDS[pin.reason],
        // The names of locks are literals of the statements that took them.
        names: pin.reason === 'advisory-lock' ? [] : [...pin.names.keys()],
        count: pin.names.size,
      })),
      backend: session.backend,
    })),
  }
}

/** Tells identities apart without telling what they are made of. */
function fingerprint(identity: string): string {
  return createHash('sha256').update(identity).digest('hex').slice(0, 8)
}
