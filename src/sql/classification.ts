// What a statement does: the answer of the classifier, and the closed set of reasons to pin. Values only.

import type { Shape } from './shape.ts'

/** `session`: changes or asks for what belongs to the session itself; the router decides who can answer. */
export type Access = 'read' | 'write' | 'session'

/** Why a session cannot leave its backend connection. A session is pinned while its set of reasons is not empty. */
export const PIN_REASONS = [
  'transaction',
  'temporary-table',
  'table-lock',
  'advisory-lock',
  'handler',
  'sql-prepared',
  'cursor',
  'xa',
  'found-rows',
  'diagnostics',
  'user-variable',
  'sequence',
  'load-data',
  'operator',
  'unknown-state',
] as const
export type PinReason = (typeof PIN_REASONS)[number]

/** A pin that starts or ends when the statement succeeds. `name` is the table, lock, handler … or null for "all of them". */
export interface PinChange {
  readonly change: 'start' | 'end'
  readonly reason: PinReason
  readonly name: string | null
  /** A start that only counts if the session holds this name already: the table was renamed. */
  readonly renamed?: string
  /** The name is what is given for this parameter of a prepared statement, counted from 0. */
  readonly parameter?: number
  /** An end that may be one or not, of whatever name: only the server knows. */
  readonly perhaps?: true
  /** What was prepared under this name looks for no rows when it is executed. */
  readonly findsNone?: true
  /** And it names tables. */
  readonly hasTables?: true
  /** And the server may end the session behind it. */
  readonly release?: Release
}

/** What a statement means for the transaction, as far as its text tells. The backend's word afterwards beats it. */
export type TransactionEffect =
  | 'none'
  | 'begin'
  | 'begin-read-only'
  | 'end' // COMMIT, ROLLBACK (not TO SAVEPOINT)
  | 'implicit-commit' // DDL and its kin
  | 'next' // SET TRANSACTION …, for the next transaction only

/** What a statement asks about its own session; another session's connection would answer differently. */
export type SessionFact =
  | 'last-insert-id'
  | 'row-count'
  | 'found-rows'
  | 'diagnostics' // asks for the conditions and leaves them
  | 'condition-count' // @@warning_count, @@error_count
  | 'connection-id'
  | 'sequence-value' // LASTVAL(): what the session took last from one of MariaDB's sequences
  | 'user-variable'
  /** All sessions, as SHOW PROCESSLIST lists them; `in-full`: with their statements uncut. */
  | 'sessions'
  | 'sessions-in-full'

/**
 * One assignment of a SET (or USE, as `schema`); `statement`: for as long as one statement takes. `value` is the literal's own text, or null if it is an expression. User
 * variables come without the @ and, as all names, in lower case; `names` has `names`, `collate` or `character set`.
 */
export interface Assignment {
  readonly scope: 'session' | 'statement' | 'global' | 'persist' | 'user' | 'schema' | 'names' | 'role'
  readonly name: string
  readonly value: string | null
  /** Set as `@@name`, which MariaDB's reports leave out. */
  readonly unscoped?: true
}

/** How fresh the answer must be, said in a leading comment. */
export interface FreshnessHint {
  readonly consistency: 'eventual' | 'session' | 'service' | 'global' | null
  readonly monotonic: boolean | null
  /** A position that the answer must include, in the servers' own words. */
  readonly after: string | null
}

/** Where the author of a statement wants it to go, said in a leading comment. */
export interface RouteHint {
  readonly to: 'writer' | 'reader' | 'auto' | 'endpoint'
  readonly endpoint: string | null
}

export interface KillRequest {
  readonly what: 'connection' | 'query'
  /** The id as written, or null when it is an expression, or not by an id. */
  readonly id: number | null
  /** All of a user's, as MariaDB has it: the user's name, empty for the user who asks; or null. */
  readonly user: string | null
}

/** Does the server end the session behind a COMMIT or ROLLBACK? `as set`: as `completion_type` says. */
export type Release = 'yes' | 'no' | 'as set'

export interface Classification {
  readonly access: Access
  /** One short sentence for people: why `access` is what it is. */
  readonly because: string
  /** How many statements the text holds. */
  readonly statements: number
  /** What each of them is made of. */
  readonly shapes: readonly Shape[]
  /** 16 hexadecimal digits; the same for texts that differ in literals only. */
  readonly digest: string
  /** The normalised text, literals as ?, bounded in length. */
  readonly digestText: string
  readonly transaction: TransactionEffect
  readonly release: Release
  /** The same of those before the last: what stands behind them is then not carried out, and not answered. */
  readonly releaseMidway: Release
  readonly pins: readonly PinChange[]
  readonly facts: readonly SessionFact[]
  readonly assigns: readonly Assignment[]
  /** User variables that the text assigns, wherever in it; as servers compare them, without the @. */
  readonly assigned: readonly string[]
  /** Procedures and functions it calls that may do anything, `f` or `db.f` as written. */
  readonly routines: readonly string[]
  /** Tables named in the text (`t` or `db.t`, as written, unquoted), or null if they are not known for certain. */
  readonly tables: readonly string[] | null
  readonly hint: RouteHint | null
  readonly freshness: FreshnessHint | null
  readonly kill: KillRequest | null
  /** It changes what accounts may do, or which one a login is for: servers ask that of new connections anew. */
  readonly rights: boolean
  /**
   * A SELECT from tables, and nothing besides: it asks nothing about its session and changes nothing of it, finds what it
   * answers with, and neither its text nor its author says anything of where it should go.
   */
  readonly plain: boolean
  /** A command of our own: `SLUICE EXPLAIN …`, `SLUICE SHOW SESSION`, `… TOPOLOGY`, `… POSITION`. */
  readonly command: SluiceCommand | null
}

export type SluiceCommand =
  | { readonly name: 'explain'; readonly sql: string }
  | { readonly name: 'show session' }
  | { readonly name: 'show topology' }
  | { readonly name: 'show position' }
