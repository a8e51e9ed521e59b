// How fresh one session's reads must be, and what its writes mean for that: works out what a reader must have, and raises
// the floor before a client is told that something is committed.

import type { Child, Histogram } from '../metrics.ts'
import type { BackendConnection, ClientConnection, Committed } from '../protocol/protocol.ts'
import { type Consistency, consistencyOf } from '../routing/consistency.ts'
import { type Floors, type Need, WRITER_ONLY } from '../routing/floors.ts'
import type { Route, Send } from '../routing/router.ts'
import type { SessionState } from '../routing/session-state.ts'
import type { Classification } from '../sql/classification.ts'
import type { Position } from '../topology/claim.ts'
import type { Shared } from './shared.ts'

/** What all sessions of a cluster share of it. */
export interface ClusterFreshness {
  readonly floors: Floors
  /** What the writer has executed at some moment after the question; null: it cannot be told. */
  writerPosition(): Promise<Position | null>
  /** Tells other processes; null: there are none. */
  readonly raised: ((position: Position | null, atMs: number) => void) | null
  /** A position as people write it; null where it is none. */
  positionOf(text: string): Position | null
  readonly catchUpMsMax: number
  /** Reads that had to be fresh: those that a reader could serve at once, those that waited for one, those that the writer served. */
  readonly reads: Readonly<Record<'free' | 'waited' | 'writer', Child>>
  readonly catchUpSeconds: Histogram
}

export class Freshness {
  readonly #client: ClientConnection
  readonly #state: SessionState
  readonly #shared: Shared
  /** The version of the session's own last write. */
  #wrote = 0
  /** What the session is at. */
  #classification: Classification | null = null

  constructor(client: ClientConnection, state: SessionState, shared: Shared) {
    this.#client = client
    this.#state = state
    this.#shared = shared
  }

  /** What a reader must have to answer this statement, as far as that is known without asking; null: nothing. */
  needNow(classification: Classification): Need | null {
    if (!this.isForReaders(classification)) return null
    const { floors, positionOf } = this.#shared.freshness
    const { level } = this.consistency(classification)
    const version = level === 'eventual' ? 0 : level === 'session' ? this.#wrote : floors.version
    const after = classification.freshness?.after ?? null
    if (after === null) return version === 0 ? null : { version, position: null }
    const position = positionOf(after)
    return position === null ? WRITER_ONLY : { version, position }
  }

  /** The same; where somebody must be asked, a promise. */
  need(classification: Classification): Need | null | Promise<Need | null> {
    const need = this.needNow(classification)
    if (!this.isForReaders(classification) || this.consistency(classification).level !== 'global') return need
    return this.withAll(need)
  }

  /** The next answers are about this statement. */
  begin(classification: Classification): void {
    this.#classification = classification
  }

  /** Waits until the reader has what the read must see. False: it has not. */
  async catchUp({ backend }: Send, need: Need, connection: BackendConnection): Promise<boolean> {
    const { floors, catchUpMsMax, catchUpSeconds } = this.#shared.freshness
    const reached = floors.reached(backend.id)
    const missing = floors.missing(backend.id, need)
    if (reached === null || missing === null) return floors.reaches(backend.id, need)
    const { nowMs } = this.#shared
    const startedMs = nowMs()
    const isThere = await connection.catchUp(missing, catchUpMsMax)
    catchUpSeconds.observeMs(nowMs() - startedMs)
    if (isThere) floors.proved(reached, need)
    else reached.stalled = true
    return isThere
  }

  /** A read that had to see something was answered. */
  count(decision: Route): void {
    const { reads } = this.#shared.freshness
    if (decision.action !== 'send') return
    if (decision.insteadOfReader === true) reads.writer.value += 1
    else if (decision.awaits !== undefined) reads.waited.value += 1
    else if (decision.backend.role === 'reader') reads.free.value += 1
  }

  /** Called before the client hears of it. */
  readonly committed: Committed = (position, certain) => {
    const { floors } = this.#shared.freshness
    if (position === null && ((certain && floors.byPosition) || !this.mayHaveCommitted())) return
    const atMs = this.#shared.nowMs()
    this.#wrote = floors.raise(position, atMs)
    this.#shared.freshness.raised?.(position, atMs)
    if (position === null && floors.byPosition) void settle(this.#shared.freshness, atMs)
  }

  private consistency(classification: Classification): Consistency {
    const { account, peerAddress } = this.#client
    const { settings, consistency } = this.#state
    const traits = { user: account.user, schema: settings.schema, clientAddress: peerAddress, consistency }
    return consistencyOf(classification, traits, this.#shared.policy)
  }

  /** And all that was committed until now, by whomever. */
  private async withAll(need: Need | null): Promise<Need> {
    const position = await this.#shared.freshness.writerPosition()
    if (position === null) return WRITER_ONLY
    const others = need?.position == null ? [] : [need.position]
    return { version: need?.version ?? 0, position: position.plus(others) }
  }

  /** The statement in hand may have committed something without saying so. */
  private mayHaveCommitted(): boolean {
    const statement = this.#classification
    if (statement === null || statement.access === 'read' || this.#state.transaction === 'read-only') return false
    const { access, transaction, routines, statements, assigns } = statement
    const mayEnd = transaction !== 'none' || routines.length > 0 || statements > 1 || assigns.length > 0
    return mayEnd || (access === 'write' && this.#state.transaction === 'none')
  }

  private isForReaders({ access, transaction }: Classification): boolean {
    return (access === 'read' && this.#state.autocommit) || transaction === 'begin-read-only'
  }
}

/** How far the writer was when the floor was raised is not known, so it is asked how far it is. */
export async function settle(
  { floors, writerPosition }: Pick<ClusterFreshness, 'floors' | 'writerPosition'>,
  askedMs: number,
): Promise<void> {
  const position = await writerPosition()
  if (position !== null) floors.settle(position, askedMs)
}
