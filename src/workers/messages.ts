// What the supervisor and its workers say to one another: topology and clients flow down, numbers flow up.

import type { ClusterFloors, ClusterPool } from '../admin/snapshots.ts'
import type { Config } from '../config.ts'
import type { DurationsRecord, MetricsRecord } from '../metrics.ts'
import type { SessionSnapshot, SiblingProcesses, Wanted } from '../session/sessions.ts'
import type { StatementKind } from '../session/statements.ts'
import type { KillRequest } from '../sql/classification.ts'
import type { FailoverTimeline } from '../topology/failover-timeline.ts'
import type { Topology } from '../topology/topology.ts'

/** Something a client was told is committed. Moments are on the supervisor's clock. */
export interface Raised {
  readonly cluster: string
  readonly position: string | null
  readonly atMs: number
  /** Keys of the tables that were written; null: nobody knows which. */
  readonly tables: readonly string[] | null
  /** It changed what accounts may do. */
  readonly rights: boolean
  /** Whose client it was, and which of that worker's words this is (see `Board`). */
  readonly worker: number
  readonly count: number
}

/** Global variables of a backend that a client has set. */
export interface GlobalsSet {
  readonly cluster: string
  readonly backend: string
  readonly names: readonly string[]
}

/** What was heard of a backend last. */
export interface Heard {
  readonly cluster: string
  readonly backend: string
  readonly position: string | null
  readonly asOfMs: number | null
  readonly askedMs: number
}

export interface Begin {
  readonly kind: 'begin'
  /** With this worker's part of what is divided. */
  readonly config: Config
  readonly worker: number
  readonly workers: number
  /** When the supervisor's clock began, on the machine's. */
  readonly clockMs: number
}

export type ToWorker =
  | Begin
  /** `doubts`: how many of this worker's have been heeded in it. */
  | { readonly kind: 'topology'; readonly topology: Topology; readonly doubts: number }
  | { readonly kind: 'heard'; readonly heard: Heard }
  | { readonly kind: 'raised'; readonly raised: Raised }
  | { readonly kind: 'globals'; readonly globals: GlobalsSet }
  /** Comes with the client's socket. */
  | { readonly kind: 'client'; readonly listener: string; readonly id: number }
  | { readonly kind: 'reload'; readonly config: Config }
  | { readonly kind: 'end'; readonly how: 'stop' | 'retire' }

export type ToSupervisor =
  | { readonly kind: 'ready' }
  /** The client sent longest ago is in this worker's hands now. */
  | { readonly kind: 'arrived' }
  | { readonly kind: 'left'; readonly id: number }
  | { readonly kind: 'doubt'; readonly cluster: string; readonly backend: string; readonly why: string }
  | { readonly kind: 'raised'; readonly raised: Raised }
  | { readonly kind: 'globals'; readonly globals: GlobalsSet }

/** A `StatementKind` on its way. */
export type StatementRecord = Omit<StatementKind, 'durations'> & { readonly durations: DurationsRecord }

export interface WorkerMetrics {
  readonly record: MetricsRecord
  readonly cpuSeconds: number
  readonly residentBytes: number
}

export interface VictimRecord {
  readonly id: number
  readonly user: string
}

/** Questions to a worker; the last three a worker also asks the supervisor, about its siblings. */
export interface Questions {
  readonly sessions: { readonly about: null; readonly answer: readonly SessionSnapshot[] }
  readonly floors: { readonly about: null; readonly answer: readonly ClusterFloors[] }
  readonly pools: { readonly about: null; readonly answer: readonly ClusterPool[] }
  readonly statements: { readonly about: null; readonly answer: readonly StatementRecord[] }
  readonly metrics: { readonly about: null; readonly answer: WorkerMetrics }
  /** The failovers under way, and the last that is over, of each cluster. */
  readonly failovers: { readonly about: null; readonly answer: readonly FailoverTimeline[] }
  readonly processes: {
    readonly about: { readonly cluster: string; readonly user: string | null }
    readonly answer: SiblingProcesses
  }
  readonly victims: { readonly about: Wanted; readonly answer: readonly VictimRecord[] }
  readonly kill: { readonly about: { readonly id: number; readonly what: KillRequest['what'] }; readonly answer: null }
}

export type Question = {
  readonly [Name in keyof Questions]: { readonly name: Name; readonly about: Questions[Name]['about'] }
}[keyof Questions]
export type Answerers = {
  readonly [Name in keyof Questions]: (
    about: Questions[Name]['about'],
  ) => Questions[Name]['answer'] | Promise<Questions[Name]['answer']>
}
