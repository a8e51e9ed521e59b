// What differs between the servers we speak to: tables of words, and what the classifier must know about a session.

import { type Functions, functionsOf } from './functions.ts'
import { wordSet } from './words.ts'

export type Engine = 'mysql' | 'mariadb'

export interface Dialect {
  readonly engine: Engine
  functions(version: number): Functions
}

function dialect(engine: Engine): Dialect {
  const byVersion = new Map<number, Functions>()
  return {
    engine,
    functions(version) {
      let known = byVersion.get(version)
      known ??= functionsOf(engine, version)
      byVersion.set(version, known)
      return known
    },
  }
}

export const mysql: Dialect = dialect('mysql')
export const mariadb: Dialect = dialect('mariadb')
export const dialects: Readonly<Record<Engine, Dialect>> = { mysql, mariadb }

/** How a session's statements are to be read. Immutable and shared: equal ones should be one object. */
export interface SqlContext {
  readonly dialect: Dialect
  /** As the servers write it in executable comments: 80036, 90700, 101109. */
  readonly version: number
  readonly ansiQuotes: boolean
  readonly noBackslashEscapes: boolean
  readonly ignoreSpace: boolean
  /** The session's character_set_client, as the server names it; empty stands for UTF-8. */
  readonly charset: string
  /** The session's schema is one of the server's own, so that an unqualified table may be a per-server one. */
  readonly systemSchema?: boolean
}

/**
 * The reserved words a read may contain. All others (INTO, UPDATE, LOCK, PROCEDURE …) make a statement something else, at
 * whatever depth they stand.
 */
export const READ_WORDS: Uint8Array = wordSet(`
  all and as asc between bigint binary both by case char character collate convert cross cube cume_dist current_date
  current_time current_timestamp current_user database day_hour day_microsecond day_minute day_second dec decimal default
  dense_rank desc distinct distinctrow div double dual else empty except exists external false fetch first_value float float4
  float8 for force from function generated get group grouping groups having high_priority hour_microsecond hour_minute hour_second if ignore in
  index inner insert int int1 int2 int3 int4 int8 integer intersect interval is join json_table key lag last_value
  lateral lead leading left library like limit localtime localtimestamp long longblob longtext match maxvalue mediumblob
  mediumint mediumtext middleint minute_microsecond minute_second mod natural not nth_value ntile null numeric of offset
  on or order outer over partition percent_rank precision primary qualify range rank real recursive regexp repeat replace
  restrict returning right rlike row row_number rows schema second_microsecond select separator smallint sql_big_result
  sql_buffer_result sql_cache sql_no_cache sql_small_result stored straight_join system table tablesample then tinyblob tinyint
  tinytext to trailing true union unsigned use using utc_date utc_time utc_timestamp values varbinary varchar varcharacter
  varying virtual when where window with xor year_month zerofill
`)

/** Words that a parenthesis may follow in a read and that no server ever took for a function of a user's. */
export const CALL_FREE: Uint8Array = wordSet(`
  all and as between bigint binary by case char character convert cross dec decimal default distinct distinctrow div
  double else exists float float4 float8 force from group having high_priority if ignore in index inner insert int int1
  int2 int3 int4 int8 integer interval is join key left like limit longtext match mediumint mediumtext mod natural not
  numeric on or order outer partition real regexp repeat replace right rlike select separator smallint sql_big_result
  sql_buffer_result sql_no_cache sql_small_result straight_join then tinyint tinytext union unsigned use using values
  varbinary varchar when where with xor
`)

/** Schemas whose tables tell about one server. */
export const SERVER_SCHEMAS: ReadonlySet<string> = new Set(['performance_schema', 'sys', 'mysql'])

/** What information_schema tells about the catalogue, which replicates. All else in there is about one server. */
export const CATALOGUE_TABLES: ReadonlySet<string> = new Set(
  `administrable_role_authorizations applicable_roles character_sets check_constraints
  collation_character_set_applicability collations column_privileges column_statistics columns columns_extensions
  enabled_roles geometry_columns key_column_usage key_period_usage keywords libraries parameters partitions periods
  referential_constraints role_column_grants role_routine_grants role_table_grants routine_libraries routines
  schema_privileges schemata schemata_extensions sequences spatial_ref_sys sql_functions st_geometry_columns
  st_spatial_reference_systems st_units_of_measure statistics table_constraints table_constraints_extensions
  table_privileges tables tables_extensions triggers user_attributes user_privileges view_routine_usage view_table_usage
  views`.split(/\s+/),
)
