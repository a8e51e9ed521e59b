// The functions that a server itself defines and that leave nothing behind, as the servers told (every name was called on
// MySQL 9.7 and MariaDB 10.11). Whatever is called and is not here may be a stored function, and so may write.

import type { Engine } from './dialects.ts'

const words = (text: string): string[] => text.trim().split(/\s+/)

/** Found by name: also when quoted, and with any space before the parenthesis. */
const NATIVE = words(`
  abs acos addtime aes_decrypt aes_encrypt asin atan atan2 benchmark bin bit_count bit_length ceil ceiling char_length
  character_length coercibility compress concat concat_ws conv convert_tz cos cot crc32 date_format datediff dayname
  dayofmonth dayofweek dayofyear degrees elt exp export_set extractvalue field find_in_set floor from_base64 from_days
  from_unixtime greatest hex ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa instr is_ipv4 is_ipv4_compat
  is_ipv4_mapped is_ipv6 isnull json_array json_array_append json_array_insert json_contains json_contains_path
  json_depth json_extract json_insert json_keys json_length json_merge json_merge_patch json_merge_preserve
  json_object json_overlaps json_pretty json_quote json_remove json_replace json_search json_set json_type
  json_unquote json_valid last_day lcase least length ln locate log log10 log2 lower lpad ltrim make_set makedate
  maketime mbrcontains mbrdisjoint mbrequals mbrintersects mbroverlaps mbrtouches mbrwithin monthname name_const
  nullif oct octet_length ord period_add period_diff pi pow power quote radians rand random_bytes regexp_instr
  regexp_replace regexp_substr reverse round rpad rtrim sec_to_time sha2 sign sin sleep soundex space sqrt st_area
  st_asbinary st_asgeojson st_astext st_aswkb st_aswkt st_buffer st_centroid st_contains st_convexhull st_crosses
  st_difference st_dimension st_disjoint st_distance st_distance_sphere st_endpoint st_envelope st_equals
  st_exteriorring st_geomcollfromtext st_geomcollfromwkb st_geometrycollectionfromtext st_geometrycollectionfromwkb
  st_geometryfromtext st_geometryfromwkb st_geometryn st_geometrytype st_geomfromgeojson st_geomfromtext
  st_geomfromwkb st_interiorringn st_intersection st_intersects st_isclosed st_isempty st_issimple st_length
  st_linefromtext st_linefromwkb st_linestringfromtext st_linestringfromwkb st_mlinefromtext st_mlinefromwkb
  st_mpointfromtext st_mpointfromwkb st_mpolyfromtext st_mpolyfromwkb st_multilinestringfromtext
  st_multilinestringfromwkb st_multipointfromtext st_multipointfromwkb st_multipolygonfromtext st_multipolygonfromwkb
  st_numgeometries st_numinteriorrings st_numpoints st_overlaps st_pointfromtext st_pointfromwkb st_pointn
  st_polyfromtext st_polyfromwkb st_polygonfromtext st_polygonfromwkb st_srid st_startpoint st_symdifference
  st_touches st_union st_within st_x st_y str_to_date strcmp substring_index subtime tan time_format time_to_sec
  timediff to_base64 to_days to_seconds ucase uncompress uncompressed_length unhex unix_timestamp updatexml upper uuid
  weekday weekofyear yearweek
`)

const NATIVE_MYSQL = words(`
  any_value bin_to_uuid current_role etag format_bytes format_pico_time from_vector gtid_subset gtid_subtract
  is_uuid json_schema_valid json_schema_validation_report json_storage_free json_storage_size mbrcoveredby
  mbrcovers regexp_like roles_graphml st_buffer_strategy st_frechetdistance st_geohash st_geomcollfromtxt
  st_hausdorffdistance st_isvalid st_latfromgeohash st_latitude st_lineinterpolatepoint st_lineinterpolatepoints
  st_longfromgeohash st_longitude st_makeenvelope st_numinteriorring st_pointatdistance st_pointfromgeohash
  st_simplify st_swapxy st_transform st_validate statement_digest statement_digest_text string_to_vector to_vector
  uuid_to_bin validate_password_strength vector_dim vector_to_string
`)

const NATIVE_MARIADB = words(`
  add_months area asbinary astext aswkb aswkt boundary buffer centroid chr coalesce collation column_check
  column_exists column_json column_list concat_operator_oracle contains convexhull crc32c crosses database decode
  decode_histogram decode_oracle des_decrypt des_encrypt dimension disjoint encode encrypt endpoint envelope equals
  exteriorring format geomcollfromtext geomcollfromwkb geometrycollectionfromtext geometrycollectionfromwkb
  geometryfromtext geometryfromwkb geometryn geometrytype geomfromtext geomfromwkb glength interiorringn intersects
  isclosed isempty isring issimple json_compact json_detailed json_equals json_exists json_loose json_normalize
  json_query json_value lengthb linefromtext linefromwkb linestringfromtext linestringfromwkb lpad_oracle ltrim_oracle
  mbrequal md5 microsecond mlinefromtext mlinefromwkb mod mpointfromtext mpointfromwkb mpolyfromtext mpolyfromwkb
  multilinestringfromtext multilinestringfromwkb multipointfromtext multipointfromwkb multipolygonfromtext
  multipolygonfromwkb natural_sort_key numgeometries numinteriorrings numpoints nvl nvl2 old_password overlaps
  password pointfromtext pointfromwkb pointn pointonsurface polyfromtext polyfromwkb polygonfromtext polygonfromwkb
  quarter replace_oracle rpad_oracle rtrim_oracle schema sformat sha sha1 srid st_boundary st_isring st_pointonsurface
  st_relate startpoint substr_oracle sys_guid to_char touches week within x y
  format_pico_time json_array_intersect json_key_value json_object_filter_keys json_object_to_array json_schema_valid
  kdf uuid_v4 uuid_v7 vec_distance vec_distance_cosine vec_distance_euclidean vec_fromtext vec_totext
`)

/** Keywords of the grammar, and types that take a length. Quoted, the same name is a stored function. */
const GRAMMAR = words(`
  adddate ascii avg bit bit_and bit_or bit_xor cast charset count cume_dist curdate current_date current_time
  current_timestamp current_user curtime date date_add date_sub datetime day dense_rank enum extract first_value
  get_format group_concat hour json json_arrayagg json_objectagg lag last_value lead localtime localtimestamp max mid
  min minute month nchar now nth_value ntile nvarchar percent_rank position rank row_number second session_user signed
  std stddev stddev_pop stddev_samp subdate substr substring sum sysdate system_user text time timestamp timestampadd
  timestampdiff trim truncate user utc_date utc_time utc_timestamp var_pop var_samp variance weight_string year
`)

const GRAMMAR_MYSQL = words(`
  coalesce collation contains database format geomcollection geometrycollection grouping json_table json_value
  linestring microsecond mod multilinestring multipoint multipolygon password point polygon quarter schema srid
  st_collect vector week
  bernoulli rollup
`)

const GRAMMAR_MARIADB = words(`
  column_add column_create column_delete column_get current_role median percentile_cont percentile_disc rownum
  trim_oracle
`)

/** With a space before the parenthesis these are names like any other, unless sql_mode has IGNORE_SPACE. */
const CLOSE = words(`
  adddate bit_and bit_or bit_xor cast count curdate curtime date_add date_sub extract group_concat json_arrayagg
  json_objectagg max mid min now position session_user std stddev stddev_pop stddev_samp subdate substr substring sum
  system_user trim var_pop var_samp variance
`)

const CLOSE_MYSQL = words('st_collect sysdate')

const CLOSE_MARIADB = words(`
  cume_dist dense_rank first_value lag lead median nth_value ntile percent_rank percentile_cont percentile_disc rank
  trim_oracle
`)

/** First version to have it; before, the name was free for a stored function. Those not listed are older than what we serve. */
const SINCE_MYSQL: Readonly<Record<string, number>> = {
  any_value: 50705,
  bernoulli: 90000,
  bin_to_uuid: 80000,
  cume_dist: 80002,
  current_role: 80000,
  dense_rank: 80002,
  etag: 90700,
  first_value: 80002,
  format_bytes: 80016,
  format_pico_time: 80016,
  from_vector: 90000,
  geomcollection: 80000,
  grouping: 80001,
  is_uuid: 80000,
  json_arrayagg: 50722,
  json_merge_patch: 50722,
  json_merge_preserve: 50722,
  json_objectagg: 50722,
  json_overlaps: 80017,
  json_pretty: 50722,
  json_schema_valid: 80017,
  json_schema_validation_report: 80017,
  json_storage_free: 80002,
  json_storage_size: 50722,
  json_table: 80004,
  json_value: 80021,
  lag: 80002,
  last_value: 80002,
  lead: 80002,
  nth_value: 80002,
  ntile: 80002,
  percent_rank: 80002,
  rank: 80002,
  regexp_instr: 80004,
  regexp_like: 80004,
  regexp_replace: 80004,
  regexp_substr: 80004,
  roles_graphml: 80000,
  rollup: 90000,
  row_number: 80002,
  st_collect: 80024,
  st_frechetdistance: 80023,
  st_hausdorffdistance: 80023,
  st_latitude: 80012,
  st_lineinterpolatepoint: 80024,
  st_lineinterpolatepoints: 80024,
  st_longitude: 80012,
  st_pointatdistance: 80024,
  st_swapxy: 80000,
  st_symdifference: 50706,
  st_transform: 80013,
  statement_digest: 80004,
  statement_digest_text: 80004,
  string_to_vector: 90000,
  to_vector: 90000,
  uuid_to_bin: 80000,
  vector: 90000,
  vector_dim: 90000,
  vector_to_string: 90000,
}

const SINCE_MARIADB: Readonly<Record<string, number>> = {
  add_months: 100601,
  crc32c: 100800,
  format_pico_time: 110002,
  json_array_intersect: 110200,
  json_equals: 100700,
  json_key_value: 110200,
  json_normalize: 100700,
  json_object_filter_keys: 110200,
  json_object_to_array: 110200,
  json_overlaps: 100900,
  json_schema_valid: 110101,
  kdf: 110300,
  natural_sort_key: 100700,
  random_bytes: 101000,
  rownum: 100601,
  sformat: 100700,
  sys_guid: 100601,
  to_char: 100601,
  uuid_v4: 110700,
  uuid_v7: 110700,
  vec_distance: 110700,
  vec_distance_cosine: 110700,
  vec_distance_euclidean: 110700,
  vec_fromtext: 110700,
  vec_totext: 110700,
}

/** Moved out of the server into a component since, where an operator may or may not install them. */
const MOVED_OUT = { names: ['md5', 'sha', 'sha1'], version: 90600 }

/** Before a parenthesis, words of the grammar and no functions; where they are no keywords they may be a user's function. */
const WORDS_MYSQL: Readonly<Record<string, number>> = {
  any: 50700,
  cube: 80001,
  except: 80031,
  intersect: 80031,
  lateral: 80014,
  of: 80001,
  over: 80002,
  row: 80002,
  some: 50700,
  system: 90200,
}

const WORDS_MARIADB: Readonly<Record<string, number>> = {
  any: 100000,
  except: 100300,
  intersect: 100300,
  over: 100200,
  row: 100000,
  some: 100000,
}

/** Of MariaDB: constructors with so many arguments; with others the name is a user's function. */
const CONSTRUCTORS_MARIADB: ReadonlyMap<string, Arity> = new Map<string, Arity>([
  ['geometrycollection', { least: 1, most: 1024 }],
  ['linestring', { least: 1, most: 1024 }],
  ['multilinestring', { least: 1, most: 1024 }],
  ['multipoint', { least: 1, most: 1024 }],
  ['multipolygon', { least: 1, most: 1024 }],
  ['point', { least: 2, most: 2 }],
  ['polygon', { least: 1, most: 1024 }],
])

interface Arity {
  readonly least: number
  readonly most: number
}

export interface Functions {
  /** Harmless when called by this name, quoted or not. */
  readonly native: ReadonlySet<string>
  /** Harmless when called by this name unquoted. */
  readonly grammar: ReadonlySet<string>
  /** Of these, those that need their parenthesis at once. */
  readonly close: ReadonlySet<string>
  /** No functions at all. */
  readonly words: ReadonlySet<string>
  /** Harmless, quoted or not, with at least and at most so many arguments. */
  readonly constructors: ReadonlyMap<string, Arity>
}

export function functionsOf(engine: Engine, version: number): Functions {
  const since = engine === 'mysql' ? SINCE_MYSQL : SINCE_MARIADB
  const existing = (name: string) => (since[name] ?? 0) <= version
  const native = [...NATIVE, ...(engine === 'mysql' ? NATIVE_MYSQL : NATIVE_MARIADB)].filter(existing)
  if (engine === 'mysql' && version < MOVED_OUT.version) native.push(...MOVED_OUT.names)
  return {
    native: new Set(native),
    grammar: new Set([...GRAMMAR, ...(engine === 'mysql' ? GRAMMAR_MYSQL : GRAMMAR_MARIADB)].filter(existing)),
    constructors: engine === 'mysql' ? new Map() : CONSTRUCTORS_MARIADB,
    words: new Set(existingIn(engine === 'mysql' ? WORDS_MYSQL : WORDS_MARIADB, version)),
    close: new Set([...CLOSE, ...(engine === 'mysql' ? CLOSE_MYSQL : CLOSE_MARIADB)]),
  }
}

function existingIn(since: Readonly<Record<string, number>>, version: number): string[] {
  return Object.keys(since).filter((name) => since[name]! <= version)
}

/** All names that are functions somewhere: for folding their case in digests. */
export const FUNCTION_NAMES: readonly string[] = [
  ...new Set([...NATIVE, ...NATIVE_MYSQL, ...NATIVE_MARIADB, ...GRAMMAR, ...GRAMMAR_MYSQL, ...GRAMMAR_MARIADB]),
]
