// How fresh one session's reads must be, and what its writes mean for that: works out what a reader must have, and raises
// the floor before a client is told that something is committed.

import { ProxyError } from '../errors.ts'
import type { Child, Histogram } from '../metrics.ts'
import type {
  BackendConnection,
  ClientConnection,
  ClientRequest,
  Committed,
  PreparedStatement,
} from '../protocol/protocol.ts'
import { type Consistency, consistencyOf } from '../routing/consistency.ts'
import { type Floors, type Need, WRITER_ONLY } from '../routing/floors.ts'
import type { RouteName } from '../routing/policy.ts'
import type { Route, Send } from '../routing/router.ts'
import type { SessionState } from '../routing/session-state.ts'
import type { TableFloor, TableFloors } from '../routing/table-floors.ts'
import type { WriterShare } from '../routing/writer-share.ts'
import type { Classification } from '../sql/classification.ts'
import type { Position } from '../topology/claim.ts'
import type { Shared } from './shared.ts'

/** What all sessions of a cluster share of it. */
export interface ClusterFreshness {
  readonly floors: Floors
  readonly tables: TableFloors
  readonly share: WriterShare
  /** What the writer has executed at some moment after the question; null: it cannot be told. */
  writerPosition(): Promise<Position | null>
  /** Null: no other process serves its clients. */
  readonly others: OtherProcesses | null
  /** A position as people write it; null where it is none. */
  positionOf(text: string): Position | null
  readonly limits: FreshnessLimits
  /** Readers see to it themselves that they have all that is committed. */
  readonly readersWait: boolean
  /** Reads that had to see something: a reader had it already, was waited for, or the writer served, or an old answer was. */
  readonly reads: Readonly<Record<'free' | 'waited' | 'writer' | 'stale', Child>>
  readonly catchUpSeconds: Histogram
}

/** Something that a client was told is committed. */
export interface Raised {
  /** Null: how far the writer was is not known. */
  readonly position: Position | null
  readonly atMs: number
  /** Keys of the tables that were written; null: nobody knows which. */
  readonly tables: readonly string[] | null
  /** It changed what accounts may do. */
  readonly rights: boolean
}

/** Those that serve clients of the same clusters. */
export interface OtherProcesses {
  /** A client is about to be told this. */
  tell(cluster: string, raised: Raised): void
  /** Global variables of a server have been set. */
  tellGlobals(cluster: string, backend: string, names: readonly string[]): void
  /** Resolves once all is known here that their clients were told until now; null: it is. */
  readonly unheard: Promise<void> | null
}

export interface FreshnessLimits {
  /** How long a read waits on a reader before the writer serves it. */
  readonly catchUpMsMax: number
  /** The same where the writer may not. */
  readonly waitMsMax: number
}

/** Tables written in one transaction that are told apart. */
const WRITTEN_MAX = 64
/** How often a reader that cannot be told to wait is looked at. */
const LOOK_MS = 10

export class Freshness {
  readonly #client: ClientConnection
  readonly #state: SessionState
  readonly #shared: Shared
  /** The version of the session's own last write. */
  #wrote = 0
  /** Where it read last. */
  #sawAt: { readonly id: string; readonly isReader: boolean } | null = null
  /** What the session is at, on the writer. */
  #statement: Classification | null = null
  /** What was written in this transaction and is not committed; null: nobody knows which tables. */
  #written: Set<TableFloor> | null = new Set()

  constructor(client: ClientConnection, state: SessionState, shared: Shared) {
    this.#client = client
    this.#state = state
    this.#shared = shared
  }

  /** What a reader must have to answer this statement, as far as that is known without asking; null: nothing. */
  needNow(classification: Classification, attribute: RouteName | null): Need | null {
    if (!this.isForReaders(classification, attribute)) return null
    return this.needFor(this.consistency(classification), classification, null)
  }

  /** The same, as it must be known before the statement is sent; undefined: somebody must be asked. */
  needAtOnce(
    classification: Classification,
    { prepared, routeAttribute }: Pick<ClientRequest, 'prepared' | 'routeAttribute'>,
  ): Need | null | undefined {
    if (!this.isForReaders(classification, routeAttribute)) return null
    const consistency = this.consistency(classification)
    const { floors, others } = this.#shared.freshness
    if (consistency.level === 'global' || (consistency.monotonic && this.hasSeenMore())) return undefined
    if (consistency.level === 'service' && others !== null && others.unheard !== null) return undefined
    const need = this.needFor(consistency, classification, prepared)
    return need === null || floors.isSettled(need.version) ? need : undefined
  }

  /** The same, whoever must be asked. */
  async need(
    classification: Classification,
    request: Pick<ClientRequest, 'prepared' | 'routeAttribute'>,
  ): Promise<Need | null> {
    const consistency = this.consistency(classification)
    if (consistency.level === 'service') await this.#shared.freshness.others?.unheard
    const need = this.needFor(consistency, classification, request.prepared)
    if (consistency.level === 'global' || (consistency.monotonic && this.hasSeenMore())) return this.withAll(need)
    if (need !== null && !this.#shared.freshness.floors.isSettled(need.version))
      await settle(this.#shared.freshness, this.#shared.nowMs())
    return need
  }

  /** How fresh the statement's answer must be. */
  consistency(classification: Classification): Consistency {
    const { account, peerAddress } = this.#client
    const { settings, consistency } = this.#state
    const traits = { user: account.user, schema: settings.schema, clientAddress: peerAddress, consistency }
    return consistencyOf(classification, traits, this.#shared.policy)
  }

  /** The next answers of the writer are about this statement. */
  begin(classification: Classification, prepared: PreparedStatement | null): void {
    this.#statement = classification
    const isOpen = this.#state.transaction !== 'none'
    if (!isOpen && (this.#written === null || this.#written.size > 0)) this.#written = new Set()
    const { access, routines } = classification
    if (this.#written === null || access === 'session' || (access === 'read' && !isOpen)) return
    const { tables } = this.#shared.freshness
    const schema = this.schemaOf(prepared)
    if (access === 'read') {
      // A view may hide a function that writes.
      const isPlain = schema !== undefined && tables.neededBy(classification, schema) !== null
      if (!isPlain) this.#written = null
      return
    }
    const named = schema === undefined || routines.length > 0 ? null : tables.resolve(classification, schema)
    if (named === null || this.#written.size + named.length > WRITTEN_MAX) this.#written = null
    else for (const table of named) this.#written.add(table)
  }

  /** A READ ONLY transaction may read what is newer than its beginning: what this reader does not get of that; null: nothing. */
  async missedWithin(
    classification: Classification,
    request: ClientRequest,
    connection: BackendConnection,
  ): Promise<Need | null> {
    const known = this.needAtOnce(classification, request)
    const need = known === undefined ? await this.need(classification, request) : known
    if (need === null || this.#shared.reaches(connection.backend, need)) return null
    if (!(await this.catchUp(connection, need))) return need
    this.#shared.freshness.reads.waited.value += 1
    return null
  }

  /** Waits until the reader has what the read must see. False: it has not. */
  async catchUp(connection: BackendConnection, need: Need, isLast = false): Promise<boolean> {
    const { floors, limits, catchUpSeconds } = this.#shared.freshness
    const { id } = connection.backend
    const startedMs = this.#shared.nowMs()
    const msMax = isLast ? limits.waitMsMax : limits.catchUpMsMax
    const missing = floors.missing(id, need)
    const reached = floors.reached(id)
    const isThere =
      missing === null || reached === null
        ? await this.lookFor(id, need, startedMs + msMax)
        : await connection.catchUp(missing, msMax)
    catchUpSeconds.observeMs(this.#shared.nowMs() - startedMs)
    if (isThere && reached !== null) floors.proved(reached, need)
    else if (reached !== null) reached.stalled = true
    return isThere
  }

  /** The last reader was waited for in vain: what the client is told; null: what the reader has, however old that is. */
  giveUp({ backend, because }: Send): ProxyError | null {
    const { limits, reads } = this.#shared.freshness
    if (this.#shared.policy.beyondShare === 'stale') {
      reads.stale.value += 1
      return null
    }
    const text = `${because}; ${backend.id} did not have it within ${limits.waitMsMax} ms (reads.waitMsMax)`
    return new ProxyError('READERS_BEHIND', `${text}, and the writer serves its share of reads (reads.writerShareMax)`)
  }

  /** A statement was answered: a read that had to see something (`need`), or any other. */
  answered(classification: Classification, decision: Route, connection: BackendConnection, need: Need | null): void {
    const { backend } = connection
    const isRead = classification.access === 'read'
    if (this.#state.transaction !== 'none' || mayHaveShown(classification)) {
      if (this.#sawAt?.id !== backend.id) this.#sawAt = { id: backend.id, isReader: backend.role === 'reader' }
    }
    if (!isRead || decision.action !== 'send') return
    const { reads, share } = this.#shared.freshness
    const isInstead = decision.insteadOfReader === true
    share.count(isInstead, this.#shared.recentMs())
    if (need === null) return
    if (isInstead) reads.writer.value += 1
    else if (decision.awaits !== undefined) reads.waited.value += 1
    else if (backend.role === 'reader') reads.free.value += 1
  }

  /** Called before the client hears of it. */
  readonly committed: Committed = (position, doubt) => {
    const { floors, tables, others } = this.#shared.freshness
    const rights = this.#statement?.rights === true
    const isNothing = position === null && ((doubt === 'none' && floors.byPosition) || !this.mayHaveCommitted(doubt))
    // What is not replicated has no position, and changes what may be done on the writer all the same.
    if (isNothing && !rights) return
    const atMs = this.#shared.nowMs()
    this.#wrote = floors.raise(position, atMs)
    tables.raise(this.#wrote, this.#written)
    // It may have defined something anew.
    if (this.#statement === null || this.#statement.tables === null) tables.forget()
    if (rights) this.#shared.renewals.rightsChanged(this.#wrote)
    const written = this.#written === null ? null : keysOf(this.#written)
    others?.tell(this.#shared.cluster, { position, atMs, tables: written, rights })
    if (position === null && floors.byPosition) void settle(this.#shared.freshness, atMs)
  }

  private needFor(
    { level, monotonic }: Consistency,
    classification: Classification,
    prepared: PreparedStatement | null,
  ): Need | null {
    const version = this.versionFor(level, classification, prepared)
    const after = classification.freshness?.after ?? null
    const only = monotonic && this.#sawAt?.isReader === true ? this.#sawAt.id : null
    if (after === null) return version === 0 && only === null ? null : { version, position: null, only }
    const position = this.#shared.freshness.positionOf(after)
    return position === null ? WRITER_ONLY : { version, position, only }
  }

  private versionFor(
    level: Consistency['level'],
    classification: Classification,
    prepared: PreparedStatement | null,
  ): number {
    const { floors, tables } = this.#shared.freshness
    const whole = level === 'eventual' ? 0 : level === 'session' ? this.#wrote : floors.version
    // A transaction may go on to read anything, and so may what is no read by its text.
    if (whole === 0 || classification.transaction !== 'none' || classification.access !== 'read') return whole
    const schema = this.schemaOf(prepared)
    const needed = schema === undefined ? null : tables.neededBy(classification, schema)
    return needed === null ? whole : Math.min(whole, needed)
  }

  /** In which schema names without one are; undefined: that is not certain. */
  private schemaOf(prepared: PreparedStatement | null): string | null | undefined {
    const { schema } = this.#state.settings
    return prepared === null || prepared.schema === schema ? schema : undefined
  }

  /** It has read where no reader is known to have come to, or of one that cannot be asked again. */
  private hasSeenMore(): boolean {
    const saw = this.#sawAt
    if (saw === null) return false
    const backend = this.#shared.topology().backends.find(({ id }) => id === saw.id)
    return !saw.isReader || backend === undefined || backend.role !== 'reader' || !this.#shared.usable(backend)
  }

  /** And all that was committed until now, by whomever. */
  private async withAll(need: Need | null): Promise<Need> {
    const position = await this.#shared.freshness.writerPosition()
    if (position === null) return WRITER_ONLY
    const others = need?.position == null ? [] : [need.position]
    const only = need === null || this.hasSeenMore() ? null : need.only
    return { version: need?.version ?? 0, position: position.plus(others), only }
  }

  /** For a reader that tells no positions, or has not told yet. */
  private async lookFor(id: string, need: Need, untilMs: number): Promise<boolean> {
    const { floors } = this.#shared.freshness
    while (!floors.reaches(id, need)) {
      if (this.#shared.nowMs() >= untilMs) return false
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
    return true
  }

  /** The statement in hand may have committed something without saying so. */
  private mayHaveCommitted(doubt: 'none' | 'failed' | 'untold'): boolean {
    const statement = this.#statement
    const { transaction } = this.#state
    if (statement === null || statement.access === 'read' || transaction === 'read-only') return false
    const mayEnd =
      statement.transaction !== 'none' ||
      statement.routines.length > 0 ||
      statement.statements > 1 ||
      statement.assigns.length > 0
    if (mayEnd) return true
    if (statement.access !== 'write' || transaction !== 'none') return false
    // Of one statement that fails nothing is left, in tables that can take it back.
    return doubt !== 'failed' || !this.isUndone()
  }

  private isUndone(): boolean {
    if (this.#written === null || this.#written.size === 0) return false
    for (const { facts } of this.#written) if (facts?.alone !== true) return false
    return true
  }

  private isForReaders({ access, transaction, hint }: Classification, attribute: RouteName | null): boolean {
    if (this.#shared.freshness.readersWait) return false
    if (transaction === 'begin-read-only') return true
    if (access === 'read') return this.#state.autocommit || this.#state.transaction === 'read-only'
    // Its author may vouch for what is no read by its text.
    return access === 'write' && (attribute !== null || hint?.to === 'reader' || hint?.to === 'endpoint')
  }
}

/** May the client know something of the data by the answer? By that of a write too: how many rows there were, which key was taken. */
function mayHaveShown({ access, tables }: Classification): boolean {
  return access !== 'session' || tables === null || tables.length > 0
}

function keysOf(tables: Iterable<TableFloor>): string[] {
  return Array.from(tables, ({ key }) => key)
}

/** How far the writer was when the floor was raised is not known, so it is asked how far it is. */
export async function settle(
  { floors, writerPosition }: Pick<ClusterFreshness, 'floors' | 'writerPosition'>,
  askedMs: number,
): Promise<void> {
  const position = await writerPosition()
  if (position !== null) floors.settle(position, askedMs)
}
