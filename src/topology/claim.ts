// What a server says of itself when it is asked, and how asking can fail. The probers of the protocols fill this in.

/** How far a server's data goes. Only positions of one kind of server can be compared. */
export interface Position {
  readonly text: string
  /** Whether this lacks something that `target` has, and that is not in `base`; null when they cannot be compared. */
  lacks(target: Position, base: Position | null): boolean | null
  /** All that this and the others have. Where that would be in too many pieces it has more, and never less. */
  plus(others: readonly Position[]): Position
}

/** Has all that `target` has; false also where the two cannot be compared. */
export function covers(position: Position, target: Position): boolean {
  return position.lacks(target, null) === false
}

/** A server that another one replicates from. */
export interface Source {
  /** `host:port`, as the follower knows it. */
  readonly address: string
  /** What that server calls itself (see `Claim.serverId`), or null. */
  readonly serverId: string | null
  /** `trying`: not connected just now, and about to try again. */
  readonly receiving: 'yes' | 'trying' | 'no'
  readonly applying: boolean
  /** What went wrong last, in the server's words; null: nothing. */
  readonly error: string | null
}

/** The kinds of cluster whose servers keep a list of the members themselves. */
export type RosterKind = 'aurora' | 'rds-multi-az' | 'group-replication'

/** What a server says of the whole cluster that it belongs to. */
export interface Roster {
  readonly kind: RosterKind
  /** What the server that was asked is called there. */
  readonly self: string
  readonly rows: readonly RosterRow[]
}

export interface RosterRow {
  readonly name: string
  /** Null: where it is follows from its name and the cluster's pattern of host names. */
  readonly address: { readonly host: string; readonly port: number } | null
  readonly writer: boolean
  /** Behind the writer, when the row was written; null: it does not say, or nothing that could be true. */
  readonly lagMs: number | null
  /** How old the row was when it was read. */
  readonly ageMs: number
  /** Why this member cannot serve; null: it can. */
  readonly unfit: string | null
}

/**
 * How much is asked: `role` only what nothing can delay (whom it follows is told by nobody while replication is being
 * stopped), `self` of the server only, `cluster` its list of members as well, where it keeps one.
 */
export type ProbeDepth = 'role' | 'self' | 'cluster'

export interface Claim {
  readonly version: string
  /** How it reads SQL where a session has not said otherwise, in its own words. */
  readonly modes?: string
  /** How isolated transactions are where a session has not said otherwise: `READ-COMMITTED` and the like. */
  readonly isolation?: string
  /** The number of the collation it greets with. */
  readonly collation?: number
  readonly readOnly: boolean
  /** A reader that shares its writer's storage need not replicate to be up to date. */
  readonly sharedStorage: boolean
  /** A word of its own that its followers use for it as well. */
  readonly serverId: string
  readonly sources: readonly Source[]
  /** What it has executed, or null where that is not counted. */
  readonly position: Position | null
  /** How far behind its sources it says it is; null when it cannot tell. */
  readonly lagMs: number | null
  /** Null: it keeps no list of members, or was not asked for it. */
  readonly roster: Roster | null
  /** What could not be asked, and what would help; null: nothing. */
  readonly note: string | null
}

export interface TableName {
  readonly schema: string
  readonly table: string
}

/** What a catalogue says of a name. */
export interface TableFacts {
  /** It is a table that holds its own rows: who reads it reads nothing else. */
  readonly plain: boolean
  /** Nothing else is written with it: no trigger of its own, no foreign key of another table that follows it. */
  readonly alone: boolean
}

/** A connection to one backend, opened on demand. Each question is answered or rejected with `ProbeFailed` in time. */
export interface Prober {
  /** `cluster` unless said otherwise. */
  probe(depth?: ProbeDepth): Promise<Claim>
  /** What it has executed, and nothing else; null where that is not counted. */
  position(): Promise<Position | null>
  /** What tables these are, and whether names that differ in case are one; null where it may not be told all of that. */
  tables(
    tables: readonly TableName[],
  ): Promise<{ readonly foldsCase: boolean; readonly facts: readonly TableFacts[] } | null>
  close(): void
}

/**
 * `refused`: nobody listens there. `login` and `capacity`: it runs, but does not let the monitor in. `timeout` may be
 * either end or what lies between.
 */
export type ProbeFailure = 'refused' | 'timeout' | 'network' | 'login' | 'capacity'

/** The message names the cause and, where we know one, the cure. */
export class ProbeFailed extends Error {
  override readonly name = 'ProbeFailed'
  readonly kind: ProbeFailure

  constructor(kind: ProbeFailure, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}
