// What the sessions of one listener share: the cluster behind it, and what the operator decided about it.

import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Pools } from '../pool/pools.ts'
import type { Settings } from '../protocol/protocol.ts'
import type { RoutingPolicy } from '../routing/policy.ts'
import type { Loads } from '../routing/router.ts'
import type { Classification } from '../sql/classification.ts'
import type { SqlContext } from '../sql/classifier.ts'
import type { FailoverRecorder } from '../topology/failover-timeline.ts'
import type { Backend, Topology } from '../topology/topology.ts'
import type { FailoverHold } from './failover-hold.ts'
import type { ClusterFreshness } from './freshness.ts'
import type { Renewals } from './renewals.ts'
import type { Sessions } from './sessions.ts'
import type { Tally } from './tally.ts'
import type { VariableSaver } from './variable-saver.ts'

export interface Shared extends Loads {
  readonly cluster: string
  readonly pools: Pools
  readonly renewals: Renewals
  readonly hold: FailoverHold
  readonly sessions: Sessions
  /** How long statements wait for a backend, and which setting says so. */
  readonly waits: Readonly<Record<'writer' | 'reader', { readonly waitMsMax: number; readonly setting: string }>>
  readonly freshness: ClusterFreshness
  readonly metrics: Metrics
  readonly tally: Tally
  /** Writes down what a change of the writer does to sessions. */
  readonly failovers: FailoverRecorder
  readonly log: Log
  readonly policy: RoutingPolicy
  /** What the proxy remembers of one session's user variables. */
  readonly userVariables: { readonly countMax: number; readonly bytesMax: number }
  readonly saver: VariableSaver
  /** On this engine a statement without tables leaves the diagnostics of the one before. */
  readonly keepsDiagnostics: boolean
  topology(): Topology
  nowMs(): number
  /** What `nowMs` told last, whoever asked: for what has only just happened. */
  recentMs(): number
  /** The engine, version and modes in which a session's statements are to be read. */
  sqlContext(settings: Settings): SqlContext
  classify(sql: Buffer, context: SqlContext): Classification
  /** The text with a session's number where it asks for the connection's; null: as it is. */
  withOwnId(sql: Buffer, context: SqlContext, id: number): Buffer | null
  /** What the text has behind its KILL of `id`; null: nothing. */
  behindKill(sql: Buffer, context: SqlContext, id: number): Buffer | null
  /** A reader refused it: statements of its digest are classified like this from now on. */
  learn(classification: Classification): void
  suspect(backend: Backend, why: string): void
}
