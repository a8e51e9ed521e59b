// Where a script of the servers' own suites is told something else through Sluice, by nature: which, and why.

import type { EngineName } from '../../../src/lab/index.ts'

interface Kind {
  readonly because: string
  /** Every line that differs is one of these. */
  readonly lines: RegExp
}

/** What another server may tell in another way. Where a script differs on the writer too, none of these counts. */
const READERS_DIFFER: readonly Kind[] = [
  {
    because: 'a status counter: each server counts what it did itself, and reads are done by readers',
    lines:
      /^(Handler|Innodb|Com|Created|Empty|Last_query|Max_statement|Select|Sort|Questions|Queries|Bytes|Opened|Open|Table_open|Qcache|Column|Subquery_cache)_?\w*\t/i,
  },
  {
    because: 'a plan or an estimate in EXPLAIN: each server keeps statistics of its own',
    lines:
      /^(\d+|NULL)\t(SIMPLE|PRIMARY|SUBQUERY|DEPENDENT \w+|DERIVED|MATERIALIZED|UNION|UNION RESULT|INSERT|UPDATE|DELETE|REPLACE)\t/,
  },
  {
    because: 'a plan or an estimate in EXPLAIN FORMAT=TREE: each server keeps statistics of its own',
    lines: /^ *-> /,
  },
  {
    because: 'a cost or an estimate in EXPLAIN FORMAT=JSON: each server keeps statistics of its own',
    lines: /^ *"(\w+_cost|rows\w*|\w*_rows|filtered|data_read_per_join)": /,
  },
  {
    because: 'SHOW CREATE TABLE on a reader: CREATE TABLE … SELECT reaches it with its collations spelled out',
    lines: /^ {2}`.+` .*\b(CHARACTER SET|COLLATE) \w+/,
  },
  {
    because:
      'the engine of a table whose CREATE names none: replication does not carry default_storage_engine to readers',
    lines: /^\) ENGINE=/,
  },
]

interface Difference {
  readonly because: string
  readonly scripts: readonly string[]
}

export const BY_NATURE: Record<EngineName, readonly Difference[]> = {
  mysql: [
    {
      because: 'SET GLOBAL reaches the writer only, and the read goes to a reader',
      scripts: ['cast', 'func_compress', 'func_str', 'packet', 'regular_expressions_utf-8'],
    },
    {
      because: 'a user variable that a routine or trigger assigns, and no statement of the session names',
      scripts: ['sp-lock', 'user_lock'],
    },
    {
      because: 'Sluice knows the user by the password that most other scripts give it',
      scripts: [
        'plugin_auth_sha256_tls',
        'rename_roles',
        'roles-ddl',
        'roles-sp',
        'roles-view',
        'roles2',
        'variables_dynamic_privs',
        'view_grant',
      ],
    },
    {
      because: 'a user that was dropped and made anew, on a connection that was opened before',
      scripts: ['roles_bugs'],
    },
    {
      because: 'performance_schema tells of the writer, and the reads are done by readers',
      scripts: ['opt_hints_pfs'],
    },
    {
      because: 'a read waits for no LOCK TABLES of another session: the tables are locked on the writer',
      scripts: ['rename'],
    },
    {
      because: 'a column with AUTO_INCREMENT that is added later: each server numbers the rows in an order of its own',
      scripts: ['select_all', 'select_all_bka', 'select_all_bka_nobnl', 'select_icp_mrr'],
    },
    {
      because: "a connection's costs for the optimizer are those of when it was opened",
      scripts: ['opt_costmodel_myisam'],
    },
    { because: 'the number of rows as each server estimates it', scripts: ['partition_datatype'] },
    {
      because: 'status counters, and a table with an alias that was open already',
      scripts: ['partition_explicit_prune'],
    },
    { because: "profiles are numbered over all of a connection's sessions", scripts: ['show_profile'] },
    { because: 'a status counter: how often a server prepared anew', scripts: ['ps_ddl'] },
    {
      because: "a status counter of the connection, which has served others' statements before",
      scripts: ['sp-library-count', 'status2'],
    },
    {
      because: "counts the servers' sessions: idle connections of Sluice's pool are among them",
      scripts: ['flush_block_commit', 'thread_cache_size'],
    },
    { because: 'a program logs in as a user whom the settings do not name', scripts: ['bug30875669'] },
    { because: 'a user whose password has expired', scripts: ['disconnect_on_expired_password_default'] },
    { because: "a table whose file is changed on the writer's machine", scripts: ['csv'] },
    {
      because: 'the connection to the server is not compressed, and AUTO_INCREMENT that is added later',
      scripts: ['compress', 'ssl_compress'],
    },
  ],
  mariadb: [
    {
      because: 'information_schema.PROCESSLIST keeps a connection of the pool when the session that used it has ended',
      scripts: ['grant_kill', 'sp_notembedded'],
    },
    {
      because: 'a transaction that the server ends for its silence: the session goes on, and is told 1213',
      scripts: ['transaction_timeout'],
    },
    {
      because: "a trigger whose file is changed on the writer's machine",
      scripts: ['trigger-compat', 'trigger_wl3253'],
    },
    { because: 'a status counter of the connection: reads are done by readers', scripts: ['win_i_s'] },
    { because: 'a plan in EXPLAIN, and its words in SHOW WARNINGS', scripts: ['subselect_mat_cost_bugs'] },
    {
      because: 'information_schema.PROCESSLIST and INNODB_TRX number sessions as the writer does',
      scripts: ['auto_increment_ranges_innodb', 'sp-threads'],
    },
    {
      because: 'the row that a warning about an argument of a CALL names is that of what the connection did before',
      scripts: ['sp'],
    },
    {
      because: 'a status counter asked of performance_schema: the work was done by a reader',
      scripts: ['bug12427262'],
    },
    {
      because: 'a status counter of the connection, which goes on when the session begins anew',
      scripts: ['reset_connection'],
    },
    {
      because: 'SET GLOBAL reaches the writer only, and the read goes to a reader',
      scripts: ['cast', 'func_compress', 'func_json', 'func_str', 'func_weight_string'],
    },
    { because: 'Sluice knows the user by the password that most other scripts give it', scripts: ['view_grant'] },
    { because: 'a status counter: how often a server prepared anew', scripts: ['ps_ddl'] },
    {
      because: "a status counter of the connection: its memory, with what Sluice's own questions take of it",
      scripts: ['sp-no-valgrind'],
    },
    {
      because: 'a user variable that a routine assigns, and no statement of the session names',
      scripts: ['sp-security'],
    },
    {
      because: 'a warning for the first to open a table: a reader gave it to a read, and the writer gives it once more',
      scripts: ['check_constraint'],
    },
    {
      because: 'the order of rows that no ORDER BY asks for',
      scripts: ['grant_explain_non_select', 'mix2_myisam', 'rowid_order_innodb'],
    },
    {
      because: 'a count of rows that the writer read: reads are done by readers',
      scripts: ['information_schema_stats'],
    },
    {
      because: "a status counter of the connection, which has done others' work before",
      scripts: ['stat_tables_partition'],
    },
    {
      because: 'a read that names no table waits for nothing, not for FLUSH PRIVILEGES either',
      scripts: ['grant_4332'],
    },
    { because: "the query cache's counters: reads are done by readers", scripts: ['grant_cache_ps_prot'] },
    { because: 'status counters, and the size of a table as a reader estimates it', scripts: ['column_compression'] },
    {
      because: 'CREATE TABLE … SELECT reaches a reader with widths that its engine thinks right',
      scripts: ['metadata'],
    },
  ],
}

/** Why the script may differ so; null if that is a fault. `isReaders`: it does not when all of it goes to the writer. */
export function whyDifferent(engine: EngineName, name: string, difference: string, isReaders: boolean): string | null {
  const listed = BY_NATURE[engine].find(({ scripts }) => scripts.includes(name))
  if (listed !== undefined) return listed.because
  if (!isReaders) return null
  const lines = difference
    .split('\n')
    .filter((line) => /^[-+](?!-- |\+\+ )/.test(line))
    .map((line) => line.slice(1))
  const kinds = READERS_DIFFER.filter((kind) => lines.some((line) => kind.lines.test(line)))
  if (lines.length === 0 || !lines.every((line) => kinds.some((kind) => kind.lines.test(line)))) return null
  return kinds.map(({ because }) => because).join('; ')
}
