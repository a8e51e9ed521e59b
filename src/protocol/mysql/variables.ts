// Session variables as the trackers report them, and the SQL that brings a connection to them. Pure.

import { UNMOVABLE, UNMOVABLE_WHEN_ON } from '../../sql/unmovable.ts'
import type { SavedVariable, Settings } from '../protocol.ts'
import { assignments } from './user-variables.ts'

/**
 * Stands among the variables for CLIENT_MULTI_STATEMENTS, which belongs to the session as they do and is switched by
 * COM_SET_OPTION. No server has a variable of this name.
 */
export const MULTI_STATEMENTS = '(multi statements)'

export function hasMultiStatements({ variables }: Settings): boolean {
  return variables.get(MULTI_STATEMENTS) === 'ON'
}

/**
 * Stands among the variables for the collation that column definitions say the texts of results have: no variable shows
 * it. SET NAMES and the login set it to theirs, SET character_set_results to the character set's own (`ITS_OWN`).
 */
export const RESULTS_COLLATION = '(collation of results)'
const ITS_OWN = ''

/** Adds to what a statement changed what follows for the collation of results. */
export function addResultsCollation(changed: Map<string, string>): void {
  const charset = changed.get('character_set_results')
  if (charset === undefined) return
  const collation = changed.get('collation_connection') ?? ''
  const isNames = changed.get('character_set_client') === charset && belongsTo(collation, charset)
  changed.set(RESULTS_COLLATION, isNames ? collation : ITS_OWN)
}

const JOIN_SIZE = 'max_join_size'
const BIG_SELECTS = 'sql_big_selects'
const NO_JOIN_SIZE = '18446744073709551615'

/** Adds to what a statement changed what servers change with it and do not report. */
export function addFollowing(changed: Map<string, string>): void {
  addResultsCollation(changed)
  const size = changed.get(JOIN_SIZE)
  if (size === undefined || changed.has(BIG_SELECTS)) return
  changed.set(BIG_SELECTS, size === NO_JOIN_SIZE ? 'ON' : 'OFF')
}

/**
 * These say with other words what another variable says, or a part of it: where one is told, the other must be known, and is
 * what is kept. But for the character sets only MariaDB has them.
 */
export const SOURCE_OF: ReadonlyMap<string, string> = new Map([
  ['character_set_connection', 'collation_connection'],
  ['character_set_server', 'collation_server'],
  ['log_queries_not_using_indexes', 'log_slow_filter'],
  ['log_slow_admin_statements', 'log_slow_disabled_statements'],
  ['log_slow_min_examined_row_limit', 'min_examined_row_limit'],
  ['log_slow_query', 'slow_query_log'],
  ['log_slow_query_time', 'long_query_time'],
  ['log_slow_slave_statements', 'log_slow_disabled_statements'],
  ['storage_engine', 'default_storage_engine'],
  ['tmp_memory_table_size', 'tmp_table_size'],
  ['wsrep_causal_reads', 'wsrep_sync_wait'],
])

/** What a session's own trackers are set to: kept for it, but never given to a connection, whose trackers serve us. */
const TRACKERS = 'session_track_'

/** Reported, but not a state to give to another connection: read-only, following from others, or used up by one statement. */
const NOT_KEPT: ReadonlySet<string> = new Set([
  'character_set_database',
  'collation_database',
  'error_count',
  'gtid_next',
  'identity',
  'insert_id',
  'last_gtid',
  'last_insert_id',
  'pseudo_thread_id',
  'rand_seed1',
  'rand_seed2',
  'statement_id',
  'warning_count',
])

export function isUnmovable(name: string, value: string): boolean {
  if (UNMOVABLE_WHEN_ON.has(name)) return value === 'ON' || value === '1' || value.includes('enabled=on')
  return UNMOVABLE.has(name) && value !== 'DEFAULT'
}

/** Two names for what LAST_INSERT_ID() answers. */
export function isInsertId(name: string): boolean {
  return name === 'last_insert_id' || name === 'identity'
}

/** Where servers are asked for a switch they say 1 or 0, and ON or OFF where they report it. */
export const SWITCHES: ReadonlyMap<string, string> = new Map([
  ['0', 'OFF'],
  ['1', 'ON'],
])

export function isSameValue(one: string | undefined, other: string): boolean {
  const asReported = (value: string) => SWITCHES.get(value) ?? value
  return one !== undefined && asReported(one) === asReported(other)
}

export function isKept(name: string): boolean {
  return !NOT_KEPT.has(name) && !SOURCE_OF.has(name)
}

export function isTracker(name: string): boolean {
  return name.startsWith(TRACKERS)
}

/** What every connection is set to when it is opened and after each reset, so that its state is known. */
export const BASE_VARIABLES: ReadonlyMap<string, string> = new Map([
  ['character_set_client', 'utf8mb4'],
  ['character_set_results', 'utf8mb4'],
  ['collation_connection', 'utf8mb4_general_ci'],
  [RESULTS_COLLATION, 'utf8mb4_general_ci'],
])

/** Tells us of every change of the session's state. */
const ARMED = "session_track_system_variables = '*', session_track_schema = ON, session_track_state_change = ON"

const GTIDS = 'session_track_gtids'

/** What tells us how far the server was when it committed something. MariaDB has a variable for it, reported as all are. */
export function gtidTracker(engine: 'mysql' | 'mariadb', { variables }: Settings): string | null {
  if (engine === 'mariadb') return null
  return variables.get(GTIDS) === 'ALL_GTIDS' ? 'ALL_GTIDS' : 'OWN_GTID'
}

/**
 * Makes a reader of Aurora wait, before it answers, for all that was committed until then. The writer takes it and does
 * nothing (Aurora MySQL, "Read consistency for write forwarding").
 */
export const READERS_WAIT: ReadonlyMap<string, string> = new Map([['aurora_replica_read_consistency', 'GLOBAL']])

/** For a connection whose variables are all at the server's defaults; `presets`: what sessions neither see nor move. */
export function armingSql(gtids: string | null, presets: ReadonlyMap<string, string>): string {
  const tracker = gtids === null ? [] : [`${GTIDS} = ${gtids}`]
  return `SET ${[...namesSql(BASE_VARIABLES), ARMED, ...presetsSql(presets), ...tracker].join(', ')}`
}

function presetsSql(presets: ReadonlyMap<string, string>): string[] {
  return Array.from(presets, ([name, value]) => `SESSION ${name} = ${literal(name, value)}`)
}

/** What must be set besides the settings. */
export interface Arming {
  readonly armed: boolean
  readonly presets: ReadonlyMap<string, string>
  /** Null: it is set as it should be. */
  readonly gtids: string | null
}

/** What must be set for a connection in state `from` to be in state `to`; null: nothing. */
export function alignmentSql(
  from: Settings,
  to: Settings,
  { armed, presets, gtids }: Arming,
  variables: readonly SavedVariable[] = [],
): string | null {
  const parts: string[] = []
  if (NAMES.some((name) => from.variables.get(name) !== to.variables.get(name))) parts.push(...namesSql(to.variables))
  if (!armed) parts.push(ARMED, ...presetsSql(presets))
  if (gtids !== null) parts.push(`${GTIDS} = ${gtids}`)
  const setsJoinSize = from.variables.get(JOIN_SIZE) !== to.variables.get(JOIN_SIZE)
  const stays = (name: string) => isOurs(name) || presets.has(name) || (name === BIG_SELECTS && setsJoinSize)
  // First of all: where two names are one variable, what is set counts.
  for (const name of from.variables.keys()) {
    if (stays(name) || to.variables.has(name)) continue
    parts.push(`SESSION ${name} = ${REVERSED.has(name) ? `@@GLOBAL.${name}` : 'DEFAULT'}`)
  }
  for (const [name, value] of to.variables) {
    if (stays(name) || from.variables.get(name) === value || NAMES.includes(name)) continue
    parts.push(`SESSION ${name} = ${literal(name, value)}`)
  }
  // It follows that one, and so must be set after it, whatever it was.
  if (setsJoinSize) parts.push(`SESSION ${BIG_SELECTS} = ${to.variables.get(BIG_SELECTS) ?? 'DEFAULT'}`)
  if (variables.length > 0) parts.push(...assignments(variables, to.variables.get('collation_connection') ?? 'DEFAULT'))
  return parts.length === 0 ? null : `SET ${parts.join(', ')}`
}

/** MySQL keeps these upside down, and its DEFAULT for the session forgets that. */
const REVERSED: ReadonlySet<string> = new Set(['foreign_key_checks', 'unique_checks'])

/** What SET NAMES sets. */
const NAMES: readonly string[] = [
  'character_set_client',
  'character_set_results',
  'collation_connection',
  RESULTS_COLLATION,
]

/** The four as they must be, whatever they were: nothing but SET NAMES gives results a collation of choice. */
function namesSql(variables: ReadonlyMap<string, string>): string[] {
  const wanted = new Map(NAMES.map((name) => [name, variables.get(name)]))
  const [charset, collation] = [wanted.get('character_set_results'), wanted.get(RESULTS_COLLATION)]
  wanted.delete(RESULTS_COLLATION)
  const parts: string[] = []
  if (charset !== undefined && collation !== undefined && belongsTo(collation, charset)) {
    parts.push(`NAMES ${charset} COLLATE ${collation}`)
    wanted.delete('character_set_results')
    if (wanted.get('character_set_client') === charset) wanted.delete('character_set_client')
    if (wanted.get('collation_connection') === collation) wanted.delete('collation_connection')
  }
  for (const [name, value] of wanted) {
    if (value !== undefined) parts.push(`SESSION ${name} = ${literal(name, value)}`)
  }
  return parts
}

/** Is it a collation of this character set? */
function belongsTo(collation: string, charset: string): boolean {
  const isOlder = charset === 'utf8mb3' && collation.startsWith('utf8_')
  return isOlder || (charset !== '' && (collation === charset || collation.startsWith(`${charset}_`)))
}

function isOurs(name: string): boolean {
  return name === MULTI_STATEMENTS || name === RESULTS_COLLATION || isTracker(name)
}

/** Reported as empty when they are NULL. */
const NULLABLE: ReadonlySet<string> = new Set([
  'character_set_results',
  'default_tmp_storage_engine',
  'enforce_storage_engine',
  'external_table_secondary_storage_engine',
  'external_table_storage_engine',
  'innodb_ft_user_stopword_table',
])

/** A variable's printed value as SQL. A number stays one: servers refuse text for numeric variables. */
export function literal(name: string, value: string): string {
  if (value === '' && NULLABLE.has(name)) return 'NULL'
  // A clock that goes has no value; MariaDB knows the other one as a word only.
  if ((name === 'timestamp' || name === 'system_versioning_asof') && value === 'DEFAULT') return value
  if (/^-?\d+(\.\d+)?$/.test(value)) return value
  // A backslash means itself or not depending on sql_mode; hexadecimal never depends on anything.
  if (value.includes('\\')) return `x'${Buffer.from(value).toString('hex')}'`
  return `'${value.replaceAll("'", "''")}'`
}

export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

/** Variables a server reports to a client that has not chosen its own. */
const REPORTED_BY_DEFAULT: ReadonlySet<string> = new Set([
  'autocommit',
  'character_set_client',
  'character_set_connection',
  'character_set_results',
  'time_zone',
])

/** Would a server have reported this change to a session with these settings? */
export function isReported(settings: Settings, name: string): boolean {
  const wanted = settings.variables.get('session_track_system_variables')
  if (wanted === undefined) return REPORTED_BY_DEFAULT.has(name)
  return wanted
    .toLowerCase()
    .split(',')
    .some((entry) => entry.trim() === '*' || entry.trim() === name)
}
