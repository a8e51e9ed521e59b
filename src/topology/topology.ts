// Who is there: a numbered snapshot of a cluster's backends, and how one follows from the last. Pure.

export type Role = 'writer' | 'reader' | 'unknown'
export type Health = 'up' | 'suspect' | 'down'

/** One database server of a cluster. `id` is `host:port` and stays the same from snapshot to snapshot. */
export interface Backend {
  readonly id: string
  readonly host: string
  readonly port: number
  readonly role: Role
  readonly health: Health
  /** Milliseconds behind the writer; 0 on the writer, null when it cannot be told. */
  readonly lagMs: number | null
  /** Relative share of reads, 1 by default. */
  readonly weight: number
  /** The server's own version string, null until it was asked once. */
  readonly version: string | null
  /** When `role` or `health` last changed, and why. */
  readonly sinceMs: number
  readonly why: string
}

export interface Topology {
  readonly cluster: string
  /** Grows by one whenever a role or a member changes. */
  readonly epoch: number
  readonly backends: readonly Backend[]
}
