// What the sessions of one listener share of a cluster. A class, because an object literal with accessors is a hash table
// to V8, and every statement looks at this two dozen times.

import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { Pools } from './pool/pools.ts'
import type { Protocol, ServerWords, Settings } from './protocol/protocol.ts'
import type { Need } from './routing/floors.ts'
import type { RoutingPolicy } from './routing/policy.ts'
import type { FailoverHold } from './session/failover-hold.ts'
import type { ClusterFreshness } from './session/freshness.ts'
import type { Renewals } from './session/renewals.ts'
import type { Sessions } from './session/sessions.ts'
import type { Shared } from './session/shared.ts'
import type { Tally } from './session/tally.ts'
import type { VariableSaver } from './session/variable-saver.ts'
import type { Classification } from './sql/classification.ts'
import type { Classifier, SqlContext } from './sql/classifier.ts'
import type { FailoverRecorder } from './topology/failover-timeline.ts'
import type { FullBackends } from './topology/full-backends.ts'
import type { Backend, Topology, TopologyStore } from './topology/topology.ts'

/** What of a cluster its sessions are given as it is. */
type Given =
  | 'cluster'
  | 'pools'
  | 'renewals'
  | 'hold'
  | 'sessions'
  | 'waits'
  | 'freshness'
  | 'metrics'
  | 'tally'
  | 'failovers'
  | 'log'
  | 'userVariables'
  | 'saver'

/** The cluster, as far as its sessions need it. */
export interface ClusterInside extends Pick<Shared, Given> {
  readonly protocol: Protocol
  readonly classifier: Classifier
  readonly store: TopologyStore
  readonly full: FullBackends
  /** One count for all listeners. */
  readonly turns: { next: number }
  readonly clock: Clock
  words(): ServerWords
  learn(classification: Classification): void
  suspect(backend: Backend, why: string): void
}

/** Remembers what it told last. */
export class Clock {
  recentMs: number
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
    this.recentMs = nowMs()
  }

  nowMs(): number {
    this.recentMs = this.#nowMs()
    return this.recentMs
  }
}

export class ClusterShared implements Shared {
  readonly cluster: string
  readonly pools: Pools
  readonly renewals: Renewals
  readonly hold: FailoverHold
  readonly sessions: Sessions
  readonly waits: Shared['waits']
  readonly freshness: ClusterFreshness
  readonly metrics: Metrics
  readonly tally: Tally
  readonly failovers: FailoverRecorder
  readonly log: Log
  readonly userVariables: Shared['userVariables']
  readonly saver: VariableSaver
  readonly #inside: ClusterInside
  readonly #classifier: Classifier
  readonly #clock: Clock
  readonly #policy: () => RoutingPolicy

  /** `policy` is asked at every statement, so that new settings take effect. */
  constructor(inside: ClusterInside, policy: () => RoutingPolicy) {
    this.cluster = inside.cluster
    this.pools = inside.pools
    this.renewals = inside.renewals
    this.hold = inside.hold
    this.sessions = inside.sessions
    this.waits = inside.waits
    this.freshness = inside.freshness
    this.metrics = inside.metrics
    this.tally = inside.tally
    this.failovers = inside.failovers
    this.log = inside.log
    this.userVariables = inside.userVariables
    this.saver = inside.saver
    this.#inside = inside
    this.#classifier = inside.classifier
    this.#clock = inside.clock
    this.#policy = policy
  }

  get policy(): RoutingPolicy {
    return this.#policy()
  }

  get keepsDiagnostics(): boolean {
    return /mariadb/i.test(this.#inside.words().version)
  }

  topology(): Topology {
    return this.#inside.store.current
  }

  nowMs(): number {
    return this.#clock.nowMs()
  }

  recentMs(): number {
    return this.#clock.recentMs
  }

  sqlContext(settings: Settings): SqlContext {
    return this.#inside.protocol.sqlContext(settings, this.#inside.words())
  }

  classify(sql: Buffer, context: SqlContext): Classification {
    return this.#classifier.classify(sql, context)
  }

  withOwnId(sql: Buffer, context: SqlContext, id: number): Buffer | null {
    return this.#classifier.withOwnId(sql, context, id)
  }

  behindKill(sql: Buffer, context: SqlContext, id: number): Buffer | null {
    return this.#classifier.behindKill(sql, context, id)
  }

  learn(classification: Classification): void {
    this.#inside.learn(classification)
  }

  suspect(backend: Backend, why: string): void {
    this.#inside.suspect(backend, why)
  }

  outstanding(backend: Backend): number {
    return this.pools.outstanding(backend)
  }

  usable({ health, role, id }: Backend): boolean {
    const { full } = this.#inside
    return health === 'up' && !(role === 'reader' && full.some && full.isPaused(id, this.nowMs()))
  }

  reaches({ id, role }: Backend, need: Need): boolean {
    return role === 'writer' || this.freshness.floors.reaches(id, need)
  }

  quickest(backends: readonly Backend[], need: Need, stalledToo?: boolean): readonly Backend[] {
    const ids = backends.map(({ id }) => id)
    const quickest = this.freshness.floors.quickest(ids, need, stalledToo)
    return backends.filter(({ id }) => quickest.includes(id))
  }

  get writerShareOpen(): boolean {
    return this.freshness.share.open
  }

  get turn(): number {
    const { turns } = this.#inside
    turns.next = (turns.next + 1) & 0xffff
    return turns.next
  }
}
