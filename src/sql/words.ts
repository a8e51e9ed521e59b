// The words of SQL, each with a number, and how the lexer finds a word's number without making a string of it.

import { FUNCTION_NAMES } from './functions.ts'

const words = (text: string): string[] => text.trim().split(/\s+/)

/** Keywords of MySQL 9.7 and MariaDB 10.11, less option names of CHANGE MASTER and the like. */
const KEYWORDS = words(`
  absent accessible account action active add admin after against aggregate algorithm all allow_missing_files alter
  always analyze and any array as asc ascii asensitive assign_gtids_to_anonymous_transactions at atomic attribute
  authentication authors auto auto_increment auto_refresh auto_refresh_source autoextend_size avg avg_row_length
  backup before begin bernoulli between bigint binary binlog bit blob block body bool boolean both btree buckets bulk
  by byte cache call cascade cascaded case catalog_name chain challenge_response change changed channel char character
  charset check checkpoint checksum cipher class_origin client clob clone close coalesce code collate collation column
  column_add column_check column_create column_delete column_format column_get column_name columns comment commit
  committed compact completion component compressed compression concurrent condition connection consistent constraint
  constraint_catalog constraint_name constraint_schema contains context continue contributors convert cpu create cross
  cube cume_dist current current_date current_pos current_role current_time current_timestamp current_user cursor
  cursor_name cycle data database databases datafile date datetime day day_hour day_microsecond day_minute day_second
  deallocate dec decimal declare default default_auth definer definition delay_key_write delayed delete dense_rank
  des_key_file desc describe description deterministic diagnostics directory disable discard disk distinct distinctrow
  div do double drop dual duality dumpfile duplicate dynamic each else elseif elsif empty enable enclosed encryption
  end ends enforced engine engines enum error errors escape escaped event events every examined except exception
  exchange exclude execute exists exit expansion expire explain export extended extent_size external external_format
  factor failed_login_attempts false fast faults federated fetch fields file file_block_size file_format file_name
  file_pattern file_prefix files filter finish first first_value fixed float float4 float8 flush following follows for
  force foreign format found from full fulltext function general generate generated geomcollection geometry
  geometrycollection get get_format get_source_public_key global goto grant grants group group_replication grouping
  groups gtid_only gtids guided handler hard hash having header help high_priority histogram history host hosts hour
  hour_microsecond hour_minute hour_second id identified if ignore ignored immediate import in inactive increment
  index indexes infile initial initial_size initiate inner inout insensitive insert insert_method install instance int
  int1 int2 int3 int4 int8 integer intersect interval into invisible invoker io io_thread ipc is isolation isopen
  issuer iterate join json json_table json_value key key_block_size keyring keys kill lag language last last_value
  lastval lateral lead leading leave leaves left less level library like limit linear lines linestring list load local
  localtime localtimestamp lock locked locks log logfile logs long longblob longtext loop low_priority manual masking
  master match materialized max_rows max_size max_statement_time maxvalue medium mediumblob mediumint mediumtext
  member memory merge message_text microsecond middleint migrate min_rows minus minute minute_microsecond
  minute_second minvalue mod mode modifies modify monitor month multilinestring multipoint multipolygon mutex mysql
  mysql_errno name names national natural nchar ndb ndbcluster nested network_namespace never new next nextval no
  no_wait no_write_to_binlog nocache nocycle nodegroup nomaxvalue nominvalue none not notfound nowait nth_value ntile
  null nulls number numeric nvarchar of off offset oj old old_password on one online only open optimize
  optimizer_costs option optional optionally options or order ordinality organization others out outer outfile over
  overlaps owner pack_keys package page page_checksum parallel parameters parse_tree parse_vcol_expr parser partial
  partition partitioning partitions password password_lock_time path percent_rank period persist persist_only
  persistent phase plugin plugin_dir plugins point policy polygon port portion precedes preceding precision prepare
  preserve prev previous primary privilege_checks_user privileges procedure process processlist profile profiles proxy
  purge qualify quarter query quick raise random range rank raw read read_only read_write reads real rebuild recover
  recursive redo_buffer_size redofile redundant ref_system_id reference references regexp registration relational
  relay relaylog release reload remove rename reorganize repair repeat repeatable replace replay replica replica_pos
  replicas replication require require_row_format require_table_primary_key_check reset resignal resource respect
  restart restore restrict resume retain return returned_sqlstate returning returns reuse reverse revoke right rlike
  role rollback rollup rotate routine row row_count row_format row_number rowcount rownum rows rowtype rtree s3
  savepoint schedule schema schema_name schemas second second_microsecond secondary secondary_engine secondary_load
  secondary_unload security select sensitive separator sequence serial serializable server session set sets setval
  share show shutdown signal signed simple skip slave slave_pos slaves slow smallint snapshot socket soft some soname
  sounds source spatial specific sql sql_big_result sql_buffer_result sql_cache sql_calc_found_rows sql_no_cache
  sql_small_result sql_thread sql_tsi_day sql_tsi_hour sql_tsi_minute sql_tsi_month sql_tsi_quarter sql_tsi_second
  sql_tsi_week sql_tsi_year sqlexception sqlstate sqlwarning srid ssl stacked stage start starting starts statement
  status stop storage stored straight_join stream strict_load string subclass_origin subject subpartition
  subpartitions super suspend swaps switches sysdate system system_time table table_checksum table_name tables
  tablesample tablespace temporary temptable terminated text than then thread_priority threads ties time timestamp
  timestampadd timestampdiff tinyblob tinyint tinytext tls to trailing transaction transactional trigger triggers true
  truncate type types unbounded uncommitted undefined undo undo_buffer_size undofile unicode uninstall union unique
  unknown unlock unregister unsigned until update upgrade uri url usage use use_frm user user_resources using utc_date
  utc_time utc_timestamp validate validation value values varbinary varchar varchar2 varcharacter variables varying
  vcpu vector verify_key_constraints versioning via view virtual visible wait warnings week weight_string when where
  while window with within without work wrapper write x509 xa xid xml xor year year_month zerofill zone
  sluice
`)

/** Reserved in one of the servers at least: unquoted, they are never a name. */
const RESERVED = words(`
  accessible add all alter analyze and as asc asensitive before between bigint binary blob both by call cascade case
  change char character check collate column condition constraint continue convert create cross cube cume_dist
  current_date current_time current_timestamp current_user cursor database databases day_hour day_microsecond
  day_minute day_second dec decimal declare default delayed delete dense_rank desc describe deterministic distinct
  distinctrow div double drop dual each else elseif empty enclosed escaped except exists exit explain external false
  fetch first_value float float4 float8 for force foreign from fulltext function generated get grant group grouping
  groups having high_priority hour_microsecond hour_minute hour_second if ignore in index infile inner inout
  insensitive insert int int1 int2 int3 int4 int8 integer intersect interval into is iterate join json_table key
  keys kill lag last_value lateral lead leading leave left library like limit linear lines load localtime
  localtimestamp lock long longblob longtext loop low_priority match maxvalue mediumblob mediumint mediumtext
  middleint minute_microsecond minute_second mod modifies natural no_write_to_binlog not nth_value ntile null
  numeric of offset on optimize optimizer_costs option optionally or order out outer outfile over partition
  percent_rank precision primary procedure purge qualify range rank read read_write reads real recursive references
  regexp release rename repeat replace require resignal restrict return returning revoke right rlike row row_number
  rows schema schemas second_microsecond select sensitive separator set show signal smallint spatial specific sql
  sql_big_result sql_buffer_result sql_cache sql_calc_found_rows sql_no_cache sql_small_result sqlexception sqlstate
  sqlwarning ssl starting stored straight_join system table tablesample terminated then tinyblob tinyint tinytext to
  trailing trigger true undo union unique unlock unsigned update usage use using utc_date utc_time utc_timestamp
  values varbinary varchar varcharacter varying virtual when where while window with write xor year_month zerofill
`)

const NAMES: readonly string[] = [...new Set([...KEYWORDS, ...FUNCTION_NAMES])]
const NUMBERS: ReadonlyMap<string, number> = new Map(NAMES.map((name, index) => [name, index + 1]))

/** The number of a word that the lexer knows. */
export function word(name: string): number {
  const number = NUMBERS.get(name)
  if (number === undefined) throw new Error(`the lexer does not know the word ${name}`)
  return number
}

export function nameOfWord(number: number): string {
  return NAMES[number - 1] ?? ''
}

/** By word number: 1 where the word is a keyword, 0 where it is only the name of a function. */
export const IS_KEYWORD: Uint8Array = Uint8Array.from([0, ...NAMES.map((name) => (KEYWORDS.includes(name) ? 1 : 0))])

/** By word number: 1 where the word is the name of a function. */
export const IS_FUNCTION: Uint8Array = Uint8Array.from([
  0,
  ...NAMES.map((name) => (FUNCTION_NAMES.includes(name) ? 1 : 0)),
])

/** By word number: 1 where the word is reserved. */
export const IS_RESERVED: Uint8Array = Uint8Array.from([0, ...NAMES.map((name) => (RESERVED.includes(name) ? 1 : 0))])

export function wordSet(names: string): Uint8Array {
  const set = new Uint8Array(NAMES.length + 1)
  for (const name of words(names)) set[word(name)] = 1
  return set
}

/** After these words comes a name, whose case may matter even if it looks like a keyword. */
export const BEFORE_NAMES: Uint8Array = wordSet('from join into update table exists use handler prepare')

/** Words that stand for a literal in a list of literals. */
export const LITERAL_WORDS: Uint8Array = wordSet('null default true false')

// FNV-1a over the folded bytes, which the lexer computes as it goes.
export const WORD_SEED = 0x811c9dc5 | 0
export const WORD_PRIME = 0x01000193

const SLOTS = 8192
export const SLOT_MASK = SLOTS - 1
/** Open addressing: the hash of each known word and its number; 0 is an empty slot. */
export const SLOT_HASHES = new Int32Array(SLOTS)
export const SLOT_WORDS = new Uint16Array(SLOTS)

for (const [name, number] of NUMBERS) {
  let hash = WORD_SEED
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), WORD_PRIME)
  let slot = (hash ^ (hash >>> 15)) & SLOT_MASK
  while (SLOT_WORDS[slot] !== 0) {
    if (SLOT_HASHES[slot] === hash) throw new Error(`two words share a hash: ${name}`)
    slot = (slot + 1) & SLOT_MASK
  }
  SLOT_HASHES[slot] = hash
  SLOT_WORDS[slot] = number
}
