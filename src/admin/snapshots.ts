// What the operators' pages ask of the proxy, and the JSON they make of it. Field names here are promises to scripts.
// Neither passwords nor literals of statements come through: identities are shown as a fingerprint, pins as digests.

import { createHash } from 'node:crypto'
import type { Metrics } from '../metrics.ts'
import type { PoolSnapshot } from '../pool/pools.ts'
import type { FloorsSnapshot } from '../routing/floors.ts'
import { PIN_ENDS } from '../routing/session-state.ts'
import type { SessionSnapshot } from '../session/sessions.ts'
import type { StatementKind } from '../session/statements.ts'
import type { BackendEvent, ClusterEvent, KeptEvent } from '../topology/events.ts'
import { type FailoverTimeline, figuresOf } from '../topology/failover-timeline.ts'
import type { Topology } from '../topology/topology.ts'

export interface AdminSnapshots {
  readonly version: string
  readonly metrics: Metrics
  /** The clock of every `sinceMs` below. */
  nowMs(): number
  /** Null: every cluster has a verified writer and the listeners accept. Else why not. */
  ready(): string | null
  topology(): readonly Topology[]
  floors(): Awaitable<readonly ClusterFloors[]>
  pools(): Awaitable<readonly ClusterPool[]>
  sessions(): Awaitable<readonly SessionSnapshot[]>
  /** What became of statements, by cluster and digest. */
  statements(): Awaitable<readonly StatementKind[]>
  /** What happened after the event of this id (0: all that is kept), oldest first. */
  events(after: number): readonly KeptEvent[]
  /** The failovers under way. */
  failovers(): Awaitable<readonly FailoverTimeline[]>
}

/** Other processes may have to be asked. */
type Awaitable<T> = T | Promise<T>

export interface ClusterPool extends PoolSnapshot {
  readonly cluster: string
}

export interface ClusterFloors extends FloorsSnapshot {
  readonly cluster: string
}

/** Moments are told as wall-clock time, whatever clock the snapshots run on. */
type Clock = (sinceMs: number) => string

export function clockOf(nowMs: number, wallMs: number): Clock {
  return (sinceMs) => new Date(wallMs - Math.max(0, nowMs - sinceMs)).toISOString()
}

/** `floor`: what reads must see at the most; `lacks`: how many of those writes a server is not known to have. */
export function topologyJson(clusters: readonly Topology[], floors: readonly ClusterFloors[], clock: Clock) {
  return {
    clusters: clusters.map(({ cluster, kind, epoch, backends }) => {
      const floor = floors.find((one) => one.cluster === cluster)
      return {
        cluster,
        kind,
        epoch,
        writer: backends.find(({ role }) => role === 'writer')?.id ?? null,
        floor: floor === undefined ? null : { writes: floor.writes, position: floor.position },
        backends: backends.map(({ id, name, role, health, lagMs, weight, version, sinceMs, why }) => {
          const has = floor?.backends.find((one) => one.id === id)
          return {
            address: id,
            name: name ?? null,
            role,
            health,
            lagMs,
            lacks: has?.lacks ?? null,
            position: has?.position ?? null,
            since: clock(sinceMs),
            why,
            version,
            weight,
          }
        }),
      }
    }),
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
      unreadVariables: session.unreadVariables,
      backend: session.backend,
    })),
  }
}

export const STATEMENT_ORDERS = ['time', 'count', 'errors', 'p95', 'last'] as const
export type StatementOrder = (typeof STATEMENT_ORDERS)[number]

/** Which kinds of statements are asked for; those with the most of `order` come first. */
export interface StatementFilter {
  readonly limit: number
  readonly cluster: string | null
  readonly target: string | null
  readonly order: StatementOrder
}

const RANKS: Readonly<Record<StatementOrder, (kind: StatementKind) => number>> = {
  time: ({ durations }) => durations.sumSeconds,
  count: ({ count }) => count,
  errors: ({ errors }) => errors,
  p95: ({ durations }) => durations.quantileMs(0.95) ?? 0,
  last: ({ lastMs }) => lastMs,
}

/** `ms`: as clients see it; percentiles are the upper ends of buckets a fifth wide. */
export function statementsJson(kinds: readonly StatementKind[], filter: StatementFilter, clock: Clock) {
  const rank = RANKS[filter.order]
  const wanted = kinds
    .filter(({ cluster }) => filter.cluster === null || cluster === filter.cluster)
    .filter(({ targets }) => filter.target === null || targets.some(({ target }) => target === filter.target))
    .sort((one, other) => rank(other) - rank(one))
  return {
    count: kinds.length,
    matching: wanted.length,
    statements: wanted.slice(0, filter.limit).map((kind) => {
      const { cluster, digest, text, access, classified, because, count, errors, targets, durations } = kind
      const total = durations.sumSeconds * 1000
      return {
        cluster,
        digest,
        text,
        access,
        classified,
        targets: Object.fromEntries(targets.map(({ target, count: times }) => [target, times])),
        because,
        count,
        errors,
        ms: {
          total: rounded(total),
          mean: rounded(total / Math.max(1, count)),
          p50: durations.quantileMs(0.5),
          p95: durations.quantileMs(0.95),
          p99: durations.quantileMs(0.99),
        },
        first: clock(kind.firstMs),
        last: clock(kind.lastMs),
      }
    }),
  }
}

const rounded = (ms: number) => Math.round(ms * 1000) / 1000

/** Which events are asked for. */
export interface EventFilter {
  readonly limit: number
  readonly cluster: string | null
  readonly kind: string | null
}

/** The last of what happened, oldest first. */
export function eventsJson(
  kept: readonly KeptEvent[],
  underWay: readonly FailoverTimeline[],
  filter: EventFilter,
  clock: Clock,
) {
  const isOfCluster = ({ cluster }: ClusterEvent) => filter.cluster === null || cluster === filter.cluster
  const wanted = kept.filter(({ event }) => isOfCluster(event) && (filter.kind === null || event.kind === filter.kind))
  return {
    events: wanted.slice(Math.max(0, wanted.length - filter.limit)).map((each) => eventJson(each, clock)),
    underWay: underWay.filter(isOfCluster).map((timeline) => failoverJson(timeline, clock)),
  }
}

export function eventJson({ id, event }: KeptEvent, clock: Clock) {
  return { id, ...(isFailover(event) ? failoverJson(event, clock) : backendEventJson(event, clock)) }
}

function isFailover(event: ClusterEvent): event is FailoverTimeline {
  return event.kind === 'failover' || event.kind === 'interruption'
}

function failoverJson(timeline: FailoverTimeline, clock: Clock) {
  const { kind, cluster, from, to, lostMs } = timeline
  return { at: clock(lostMs), kind, cluster, from, to, ...figuresOf(timeline) }
}

function backendEventJson(event: BackendEvent, clock: Clock) {
  const { kind, cluster, epoch, atMs, backend, name, role, health, was, lagMs, why } = event
  return { at: clock(atMs), kind, cluster, backend, name, role, health, was, lagMs, epoch, why }
}

/** Tells identities apart without telling what they are made of. */
function fingerprint(identity: string): string {
  return createHash('sha256').update(identity).digest('hex').slice(0, 8)
}
