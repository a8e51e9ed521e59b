// What Aurora's own tables, variables and functions are to an ordinary server: statements that ask for them are
// rewritten, so that the server behind a front answers what an instance would, whatever the statement does with it. Pure.

import type { EngineName } from './engine.ts'

/** One row of information_schema.replica_host_status. */
export interface StatusRow {
  readonly name: string
  readonly writer: boolean
  readonly lagMs: number
  readonly ageMs: number
  readonly cpu: number
}

/** What an instance says of itself. */
export interface InstanceView {
  readonly engine: EngineName
  readonly name: string
  readonly version: string
  readonly readOnly: boolean
  readonly rows: readonly StatusRow[]
}

const MAYBE =
  /aurora|innodb_read_only|replica_host_status|\bvariables\b|gtid_(executed|current_pos)|session_track_gtids|\bstatus\b/i
/** A quoted text stays as it is: characters that no statement has here, which is read byte by byte, stand for it. */
const QUOTED = /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"/g
const STATUS_TABLE =
  /(?:`?information_schema`?\s*\.\s*)?`?replica_host_status`?(\s+(?:AS\s+)?(?!(?:WHERE|ORDER|GROUP|HAVING|LIMIT|ON|USING|JOIN|LEFT|RIGHT|INNER|CROSS|NATURAL|UNION|FOR)\b)[a-z_]\w*)?/gi
const REPLICATION = /\bSHOW\s+(?:ALL\s+)?(?:REPLICAS?|SLAVES?)\s+STATUS\b/gi
const SHOW_VARIABLES = /\bSHOW\s+(GLOBAL\s+|SESSION\s+|LOCAL\s+)?VARIABLES\b(\s+(LIKE|WHERE)\b)?/gi

export function asAurora(sql: string, view: InstanceView): string {
  if (!MAYBE.test(sql)) return sql
  const texts: string[] = []
  const bare = sql.replace(QUOTED, (text) => `\ue000${texts.push(text) - 1}\ue001`)
  const values = valuesOf(view)
  const rewritten = bare
    .replace(REPLICATION, 'SELECT 1 AS Nothing FROM DUAL WHERE 1 = 0')
    .replace(SHOW_VARIABLES, (_, scope: string | undefined, rest: string | undefined, word: string | undefined) => {
      const shown = shownVariables(view.engine, scope, values)
      if (rest === undefined) return shown
      return /like/i.test(word ?? '') ? `${shown} WHERE Variable_name LIKE` : `${shown} WHERE`
    })
    .replace(
      STATUS_TABLE,
      (_, alias: string | undefined) => `${statusTable(view.rows)}${alias ?? ' AS replica_host_status'}`,
    )
    .replace(/\bAURORA_VERSION\s*\(\s*\)/gi, literal(view.version))
    // Without a binary log there are no GTIDs to be told.
    .replace(/\b(session_track_gtids`?\s*:?=\s*)(?:OWN_GTID|ALL_GTIDS|\ue000\d+\ue001)/gi, '$1OFF')
    .replace(
      /@@(?:global\s*\.\s*|session\s*\.\s*|local\s*\.\s*)?`?(\w+)`?/gi,
      (whole, name: string, at: number, all: string) => {
        const value = values.get(name.toLowerCase())
        if (value === undefined) return whole
        return isNamedAfterItself(all, at, whole) ? `${value} AS \`${whole.replaceAll('`', '')}\`` : value
      },
    )
  return rewritten.replace(/\ue000(\d+)\ue001/g, (_, index: string) => texts[Number(index)]!)
}

/** As SQL literals. */
function valuesOf({ engine, name, version, readOnly }: InstanceView): ReadonlyMap<string, string> {
  return new Map([
    ['aurora_version', literal(version)],
    ['aurora_server_id', literal(name)],
    ['innodb_read_only', readOnly ? '1' : '0'],
    [engine === 'mysql' ? 'gtid_executed' : 'gtid_current_pos', "''"],
  ])
}

/** An expression alone in a list of expressions is a column that has its text for a name. */
function isNamedAfterItself(sql: string, at: number, text: string): boolean {
  return (
    /(?:\bSELECT|,)\s*$/i.test(sql.slice(0, at)) && /^\s*(?:,|;|$|FROM\b|LIMIT\b)/i.test(sql.slice(at + text.length))
  )
}

function shownVariables(engine: EngineName, scope: string | undefined, values: ReadonlyMap<string, string>): string {
  const which = /global/i.test(scope ?? '') ? 'global_variables' : 'session_variables'
  const schema = engine === 'mysql' ? 'performance_schema' : 'information_schema'
  const own = [...values].map(([name, value]) => {
    const shown = name === 'innodb_read_only' ? (value === '1' ? "'ON'" : "'OFF'") : value
    return `UNION ALL SELECT ${literal(name)}, ${shown}`
  })
  const names = [...values.keys()].map(literal).join(', ')
  return `SELECT Variable_name, Value FROM (SELECT LOWER(VARIABLE_NAME) AS Variable_name, VARIABLE_VALUE AS Value
FROM ${schema}.${which} WHERE LOWER(VARIABLE_NAME) NOT IN (${names}) ${own.join(' ')}) AS shown`
}

function statusTable(rows: readonly StatusRow[]): string {
  const selects = rows.map(({ name, writer, lagMs, ageMs, cpu }) => {
    const session = writer ? 'MASTER_SESSION_ID' : `session-of-${name}`
    return `SELECT ${literal(name)} AS SERVER_ID, ${literal(session)} AS SESSION_ID, ${cpu}e0 AS CPU, 1 AS IS_CURRENT,
NOW(6) - INTERVAL ${Math.round(ageMs * 1000)} MICROSECOND AS LAST_UPDATE_TIMESTAMP, ${lagMs}e0 AS REPLICA_LAG_IN_MILLISECONDS`
  })
  return `(${selects.join(' UNION ALL ')})`
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
