// Session variables that belong to the very connection they are set on. Values only.

/** Set for the statements to come on this very connection; to set them elsewhere, or again, would not be the same. */
export const UNMOVABLE: ReadonlySet<string> = new Set([
  'character_set_database', // Reported only when set; the schema's own are not.
  'collation_database',
  'gtid_next',
  'insert_id',
  'pseudo_thread_id',
  'rand_seed1',
  'rand_seed2',
  'system_versioning_asof', // A moment, told and taken in whatever time zone there is.
])

/** The same, while they are on. */
export const UNMOVABLE_WHEN_ON: ReadonlySet<string> = new Set([
  'sql_auto_is_null', // `IS NULL` finds the row that was inserted last, if nothing else came between.
  'profiling', // What a server writes down of statements is to be read on the connection where they ran.
  'optimizer_trace',
])
