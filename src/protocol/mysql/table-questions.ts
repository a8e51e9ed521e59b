// What the catalogue is asked about tables, and what its answers mean. Pure.

import type { TableFacts, TableName } from '../../topology/claim.ts'

type Engine = 'mysql' | 'mariadb'
type Row = Readonly<Record<string, unknown>>

/** Rows of theirs are nowhere else, and a statement that fails leaves nothing behind. */
const ENGINES: ReadonlySet<string> = new Set(['innodb'])

/** Without these a catalogue hides what would change the answer. */
const RIGHTS = ['SELECT', 'TRIGGER', 'PROCESS']

/** Which of the rights it takes this account has for everything, and how names are taken. */
export const RIGHTS_SQL = `SELECT @@lower_case_table_names AS folds, COUNT(DISTINCT PRIVILEGE_TYPE) AS rights
FROM information_schema.USER_PRIVILEGES
WHERE GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')
AND PRIVILEGE_TYPE IN (${RIGHTS.map((right) => `'${right}'`).join(', ')})`

/** Null: it has not all of them. */
export function foldsCaseIn(row: Row | undefined): boolean | null {
  return Number(row?.rights) === RIGHTS.length ? Number(row?.folds) !== 0 : null
}

/** One row for each table, in their order. Names hold letters, digits, _ and $ only. */
export function tablesSql(engine: Engine, tables: readonly TableName[]): string {
  return tables.map((table) => tableSql(engine, table)).join(' UNION ALL ')
}

function tableSql(engine: Engine, { schema, table }: TableName): string {
  const from = (view: string) => `FROM information_schema.${view} WHERE`
  // MariaDB opens every table there is to list foreign keys; the engine has a list of its own.
  const follows =
    engine === 'mariadb'
      ? `${from('INNODB_SYS_FOREIGN')} REF_NAME = '${schema}/${table}' AND TYPE & 15`
      : `${from('REFERENTIAL_CONSTRAINTS')} UNIQUE_CONSTRAINT_SCHEMA = '${schema}' AND REFERENCED_TABLE_NAME = '${table}'
AND (DELETE_RULE NOT IN ('NO ACTION', 'RESTRICT') OR UPDATE_RULE NOT IN ('NO ACTION', 'RESTRICT'))`
  return `SELECT
(SELECT ENGINE ${from('TABLES')} TABLE_SCHEMA = '${schema}' AND TABLE_NAME = '${table}' AND TABLE_TYPE = 'BASE TABLE') AS engine,
(SELECT COUNT(*) ${from('TRIGGERS')} EVENT_OBJECT_SCHEMA = '${schema}' AND EVENT_OBJECT_TABLE = '${table}') AS triggers,
(SELECT COUNT(*) ${follows}) AS follows`
}

export function tableFactsIn({ engine, triggers, follows }: Row): TableFacts {
  const plain = ENGINES.has(String(engine).toLowerCase())
  return { plain, alone: plain && Number(triggers) === 0 && Number(follows) === 0 }
}
