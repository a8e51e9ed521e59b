// Every variable that a session can set, as the server itself lists them, and values for it, legal and illegal.

import type { EngineName } from '../../../src/lab/index.ts'
import type { RunningServer } from '../../../src/lab/running-server.ts'
import type { Random } from './random.ts'

export interface Variable {
  readonly name: string
  /** As SQL. Some are refused. */
  readonly values: readonly string[]
}

/** Not for chance, each for a reason. */
export const LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ['autocommit', 'has moves of its own'],
  ['completion_type', 'some of its values end sessions, and stories go on'],
  ['insert_id', 'has moves of its own'],
  ['last_insert_id', 'has moves of its own'],
  ['identity', 'has moves of its own'],
  ['timestamp', 'has moves of its own'],
  ['rand_seed1', 'has moves of its own'],
  ['rand_seed2', 'has moves of its own'],
  ['tx_read_only', 'refuses most of what follows'],
  ['transaction_read_only', 'refuses most of what follows'],
  ['max_join_size', 'refuses most of what follows'],
  ['max_execution_time', 'what it does depends on the time'],
  ['max_statement_time', 'what it does depends on the time'],
  ['wait_timeout', 'what it does depends on the time'],
  ['interactive_timeout', 'what it does depends on the time'],
  ['idle_transaction_timeout', 'what it does depends on the time'],
  ['idle_write_transaction_timeout', 'what it does depends on the time'],
  ['idle_readonly_transaction_timeout', 'what it does depends on the time'],
  ['lock_wait_timeout', 'what it does depends on the time'],
  ['innodb_lock_wait_timeout', 'what it does depends on the time'],
  ['max_session_mem_used', 'what it does depends on what the connection did before'],
  ['statement_id', "is the server's own"],
  ['warning_count', "is the server's own"],
  ['error_count', "is the server's own"],
  ['last_gtid', "is the server's own"],
  ['pseudo_thread_id', 'names the connection, and needs a right to be set'],
  [
    'sql_buffer_result',
    'what was prepared before it was set keeps definitions that it would lose if it were prepared now',
  ],
  ['enable_cascade_triggers', 'is warned of in other words once a connection has been reset'],
  ['pseudo_slave_mode', 'is warned of when SET STATEMENT puts it back, which no answer tells'],
  ['require_row_format', 'needs a right to be set once it is ON'],
  ['max_relay_log_size', "is the servers', whatever MariaDB says of its scope"],
  ['sql_slave_skip_counter', "is the servers', whatever MariaDB says of its scope"],
  ['connection_memory_limit', 'what it does depends on what the connection did before'],
  ['parser_max_mem_size', 'what it does depends on what the connection did before'],
])

/** Values that mean more than their type says. */
const SPECIAL: Readonly<Record<string, readonly string[]>> = {
  sql_mode: [
    "''",
    "'ANSI_QUOTES'",
    "'NO_BACKSLASH_ESCAPES'",
    "'PIPES_AS_CONCAT,IGNORE_SPACE'",
    "'TRADITIONAL'",
    "'NO_AUTO_VALUE_ON_ZERO,PAD_CHAR_TO_FULL_LENGTH'",
    "'HIGH_NOT_PRECEDENCE,STRICT_ALL_TABLES'",
    "'nonsense'",
    "(SELECT REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', ''))",
    "CONCAT(@@sql_mode, ',ANSI_QUOTES')",
    'NULL',
    '33',
  ],
  time_zone: ["'+03:00'", "'-11:30'", "'SYSTEM'", "'nowhere'", '@@global.time_zone', "CONCAT('+0', 5, ':00')", 'NULL'],
  character_set_client: ["'latin1'", 'utf8mb4', "'binary'", "'ucs2'", "'gbk'", 'NULL', '@@character_set_server'],
  // None that writes ASCII otherwise: conditions that were read out keep the character set of then.
  character_set_results: ["'latin1'", 'utf8mb4', "'binary'", 'NULL', "'koi8r'", "'nonsense'"],
  character_set_connection: ["'latin1'", 'utf8mb4', "'ascii'", "'cp1251'", "'nonsense'"],
  character_set_server: ["'latin1'", 'utf8mb4', 'NULL'],
  character_set_database: ["'latin1'", 'utf8mb4', 'NULL'],
  character_set_filesystem: ["'latin1'", 'utf8mb4', "'binary'", 'NULL'],
  collation_connection: ["'latin1_german1_ci'", 'utf8mb4_bin', "'utf8mb4_general_ci'", "'nonsense'", "'binary'"],
  collation_server: ["'latin1_swedish_ci'", 'utf8mb4_bin', 'NULL'],
  collation_database: ["'latin1_swedish_ci'", 'utf8mb4_bin', 'NULL'],
  default_collation_for_utf8mb4: ['utf8mb4_general_ci', 'utf8mb4_0900_ai_ci', 'utf8mb4_bin'],
  lc_time_names: ["'de_DE'", "'ja_JP'", "'xx_XX'", '5', 'NULL'],
  lc_messages: ["'de_DE'", "'en_US'", "'xx_XX'"],
  transaction_isolation: ["'READ-COMMITTED'", "'SERIALIZABLE'", "'READ UNCOMMITTED'", '1', "'nonsense'"],
  tx_isolation: ["'READ-COMMITTED'", "'SERIALIZABLE'", "'READ UNCOMMITTED'", '1', "'nonsense'"],
  block_encryption_mode: ["'aes-256-cbc'", "'aes-128-ecb'", "'nonsense'"],
  explain_format: ["'TREE'", "'JSON'", "'nonsense'"],
  optimizer_switch: ["'mrr=off'", "'index_merge=off,mrr=on'", "'default'", "'nonsense=on'", "''"],
  innodb_ft_user_stopword_table: ["'nosuch/nosuch'", 'NULL', "''"],
  default_storage_engine: ['InnoDB', "'MEMORY'", "'nonsense'", 'NULL'],
  default_tmp_storage_engine: ['InnoDB', "'MEMORY'", "'nonsense'", 'NULL'],
  enforce_storage_engine: ['InnoDB', "'nonsense'", 'NULL'],
  storage_engine: ['InnoDB', "'nonsense'", 'NULL'],
  // Not '', which MySQL reports as it does NULL: both are no engine.
  external_table_storage_engine: ["'nonsense'", "'InnoDB'", 'NULL'],
  external_table_secondary_storage_engine: ["'nonsense'", "'InnoDB'", 'NULL'],
  system_versioning_asof: ["'2020-01-01 00:00:00'", "'nonsense'", 'DEFAULT'],
  default_regex_flags: ["'EXTRA'", "'DOTALL,EXTENDED'", "''"],
  resultset_metadata: ["'FULL'", "'NONE'"],
  use_secondary_engine: ["'OFF'", "'ON'", "'FORCED'"],
  group_concat_max_len: ['4', '9', '1024', '-1', "'x'", '1.5'],
  sql_select_limit: ['1', '2', '1000', '18446744073709551615', '-1'],
  div_precision_increment: ['0', '8', '30', '100'],
  default_week_format: ['1', '5', '7', '8'],
  max_error_count: ['0', '1', '64', '100000'],
  auto_increment_increment: ['1', '2', '10'],
  auto_increment_offset: ['1', '3'],
}

/** The more interesting ones: what they are changes what clients see. */
export const TELLING: readonly string[] = [
  ...Object.keys(SPECIAL),
  'sql_notes',
  'sql_warnings',
  'sql_quote_show_create',
  'sql_safe_updates',
  'sql_auto_is_null',
  'sql_buffer_result',
  'foreign_key_checks',
  'check_constraint_checks',
  'unique_checks',
  'innodb_strict_mode',
  'explicit_defaults_for_timestamp',
  'end_markers_in_json',
  'max_sort_length',
  'cte_max_recursion_depth',
  'max_recursive_iterations',
  'sql_generate_invisible_primary_key',
  'windowing_use_high_precision',
  'show_create_table_verbosity',
  'max_sp_recursion_depth',
]

const LISTS: Readonly<Record<EngineName, string>> = {
  mysql: `SELECT LOWER(VARIABLE_NAME) AS name, VARIABLE_SCOPE AS scope, UPPER(DATA_TYPE) AS type, MIN_VALUE AS low,
    MAX_VALUE AS high, NULL AS words FROM performance_schema.variables_metadata`,
  mariadb: `SELECT LOWER(VARIABLE_NAME) AS name, VARIABLE_SCOPE AS scope, UPPER(VARIABLE_TYPE) AS type,
    NUMERIC_MIN_VALUE AS low, NUMERIC_MAX_VALUE AS high, ENUM_VALUE_LIST AS words FROM information_schema.SYSTEM_VARIABLES`,
}

interface Listed {
  readonly name: string
  readonly scope: string
  readonly type: string
  readonly low: string | null
  readonly high: string | null
  readonly words: string | null
}

export async function variablesOf(engine: EngineName, server: RunningServer): Promise<readonly Variable[]> {
  const [rows] = await server.asRoot(async (root) => await root.query(LISTS[engine]))
  return (rows as Listed[])
    .filter(
      ({ name, scope }) => scope.startsWith('SESSION') && !LEFT_OUT.has(name) && !name.startsWith('session_track_'),
    )
    .map((listed) => ({ name: listed.name, values: SPECIAL[listed.name] ?? valuesOf(listed) }))
    .sort((one, other) => (one.name < other.name ? -1 : 1))
}

/** What is for memory is not set to what this machine does not have. */
const MEMORY = /size|buffer|mem|limit|alloc/
const LARGE = 2n ** 20n

function valuesOf({ name, type, low, high, words }: Listed): readonly string[] {
  if (words !== null && words !== '') {
    const known = words.split(',')
    return [known[0]!, known.at(-1)!, known[Math.floor(known.length / 2)]!, 'nonsense'].map((word) => `'${word}'`)
  }
  if (type === 'BOOLEAN') return ['ON', 'OFF', '0', '1', "'off'", '2', "'nonsense'"]
  if (low === null || low === '') return ["''", "'nonsense'", 'NULL', '0', '1', "'ON'", "'OFF'"]
  const least = BigInt(low.replace(/\..*/, ''))
  const most = BigInt((high ?? '0').replace(/\..*/, ''))
  const isMemory = MEMORY.test(name)
  const some = least + 100n < most ? least + 100n : most
  const much = isMemory && most > LARGE ? (least > LARGE ? least : LARGE) : most
  const wrong = ['-1', "'nonsense'", '1.5']
  return [`${least}`, `${some}`, `${much}`, ...(isMemory ? wrong.slice(0, 2) : [...wrong, `${most + 1n}`])]
}

export function valueFor(variable: Variable, random: Random): string {
  return random.chance(0.15) ? 'DEFAULT' : random.pick(variable.values)
}
