// What we ask a server on a session's connection, in statements of our own. Each SELECT says how many rows it is to give: the
// session's own `sql_select_limit` may say none.

import type { Position } from '../../topology/claim.ts'
import {
  BackendLost,
  type ExchangeOptions,
  type ReadOut,
  type ReadOutWish,
  type Reply,
  type Row,
  type Settings,
  type SettingsChange,
} from '../protocol.ts'
import { conditionsIn } from './conditions.ts'
import { buildQuery } from './messages.ts'
import { type Asker, errorIn, type OwnReply, rowsIn } from './own-replies.ts'
import { variableQuestions, variablesIn } from './user-variables.ts'
import {
  addFollowing,
  addResultsCollation,
  isInsertId,
  isKept,
  isSameValue,
  isTracker,
  isUnmovable,
  quoteName,
  SOURCE_OF,
  SWITCHES,
} from './variables.ts'

const SHOW_WARNINGS = 'SHOW WARNINGS'
/** SHOW WARNINGS leaves these as they are. */
const SELECT_COUNTERS = 'SELECT FOUND_ROWS(), LAST_INSERT_ID() LIMIT 1'
const SELECT_FOUND_ROWS = 'SELECT FOUND_ROWS() LIMIT 1'
/** Leaves no warnings; MariaDB keeps them over a statement that has no table. */
export const CLEAR = 'DO (SELECT 0 FROM (SELECT 0) AS t)'

/** What a session may set, by MariaDB's own list; NULL reads as the trackers would report it. */
const SESSION_AND_GLOBAL = `SELECT LOWER(VARIABLE_NAME), COALESCE(SESSION_VALUE, ''), COALESCE(GLOBAL_VALUE, '')
  FROM information_schema.SYSTEM_VARIABLES WHERE VARIABLE_SCOPE = 'SESSION' AND READ_ONLY = 'NO' LIMIT 10000`

interface Untold {
  /** There are some. */
  readonly userVariables: boolean
  /** It is another than the schema's own. */
  readonly schemaCollation: boolean
}

/** Waits on a server for what another has executed; answers 0 when it is there. */
export function catchUpSql(engine: Asker['engine'], { text }: Position, msMax: number): string {
  const wait = engine === 'mysql' ? 'WAIT_FOR_EXECUTED_GTID_SET' : 'MASTER_GTID_WAIT'
  // No time at all would be for ever.
  const seconds = (Math.max(1, Math.round(msMax)) / 1000).toFixed(3)
  // A literal without a word of its own is in the session's character set, and these functions read no wider one.
  return `SELECT ${wait}(_latin1'${text.replaceAll(/\s/g, '')}', ${seconds}) LIMIT 1`
}

/** Reads what the last statement left for questions about it, and clears it away. */
export async function readOut(connection: Asker, wish: ReadOutWish, bytesMax: number): Promise<ReadOut> {
  const { conditions, counters, variables } = wish
  const { form } = connection
  const aboutLast = [...(conditions ? [SHOW_WARNINGS] : []), ...(counters ? [SELECT_COUNTERS] : [])]
  const aboutVariables = variables === null ? [] : variableQuestions(variables.names, variables.bytesMax)
  const replies = await askAll(connection, [...aboutLast, ...aboutVariables, CLEAR])
  const told = replies.slice(0, aboutLast.length)
  const failed = [...told, replies.at(-1)!].map(errorIn).find((error) => error !== null)
  if (failed !== undefined) throw new BackendLost('unsent', true, `nothing could be read out: ${failed.message}`)
  const [foundRows, insertId] = counters ? rowsIn(told.at(-1)!, form)[0]! : []
  return {
    conditions: conditions ? conditionsIn(told[0]!, form, bytesMax) : null,
    counters: counters ? { foundRows: Number(foundRows), insertId: BigInt(insertId ?? 0) } : null,
    variables: variables === null ? null : variablesIn(variables, replies.slice(aboutLast.length)),
  }
}

/** MariaDB forgets at an EOF what it would have reported with an OK; null: its server does not tell its variables. */
export async function untoldChange(connection: Asker, { variables }: Settings): Promise<SettingsChange | null> {
  const rows = await connection.query(SESSION_AND_GLOBAL)
  if (!Array.isArray(rows)) return null
  const changed = new Map<string, string>()
  for (const [name, value, ofAll] of rows as readonly (readonly string[])[]) {
    const isOurs = !isKept(name!) || isTracker(name!)
    if (!isOurs && value !== (variables.get(name!) ?? ofAll)) changed.set(name!, value!)
  }
  addResultsCollation(changed)
  return { schema: undefined, variables: changed }
}

/** What a session has besides the variables of `untoldChange`; in doubt it has it. */
export async function untoldBesides(connection: Asker): Promise<Untold> {
  const collation = 'SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE()'
  const rows = await connection.query(`SELECT (SELECT COUNT(*) FROM information_schema.USER_VARIABLES),
    @@collation_database = COALESCE((${collation}), @@collation_server) LIMIT 1`)
  const [userVariables, isSchemas] = Array.isArray(rows) ? (rows[0] ?? []) : []
  return { userVariables: userVariables !== '0', schemaCollation: isSchemas !== '1' }
}

/** MariaDB does not report what is set as `@@name`, and no server what is set together with what it is to report. */
export async function withUntold(
  connection: Asker,
  reply: Reply,
  { sets, hushes, startsClock, mayChange }: Pick<ExchangeOptions, 'sets' | 'hushes' | 'startsClock' | 'mayChange'>,
  settings: Settings,
  bytesMax: number,
): Promise<Reply> {
  const names = sets.map((name) => SOURCE_OF.get(name) ?? name)
  // The collation may follow from what was set; a text of several statements may also have used another schema.
  const wanted = [...names, 'collation_connection'].map((name) => `@@session.${quoteName(name)}`)
  // What was refused is as it was, and may be nothing that anybody could give to another connection.
  const ofAll = reply.outcome === 'error' ? names.map((name) => globalSql(connection.engine, name)) : []
  const question = `SELECT ${[...wanted, 'DATABASE()', ...ofAll].join(', ')} LIMIT 1`
  const { row, ...left } = await askedBehind(connection, reply, question, { mayChange, bytesMax })
  if (row === null) return { ...reply, unmovable: true, disturbed: true }
  const schema = row[wanted.length] ?? null
  const before = row.slice(wanted.length + 1)
  const variables = new Map(reply.changed?.variables ?? [])
  for (const [index, name] of names.entries()) {
    const value = row[index] ?? ''
    const isAsBefore = isSameValue(settings.variables.get(name) ?? before[index] ?? undefined, value)
    if (!isKept(name) || (reply.outcome === 'error' && isAsBefore)) continue
    variables.set(name, isTracker(name) ? (SWITCHES.get(value) ?? value) : value)
  }
  if (startsClock && names.includes('timestamp')) variables.set('timestamp', 'DEFAULT')
  variables.set('collation_connection', row[names.length] ?? '')
  addFollowing(variables)
  const insertId = names.some(isInsertId) ? BigInt(row[names.findIndex(isInsertId)] ?? 0) : reply.insertId
  const changed = { schema: hushes ? schema : reply.changed?.schema, variables }
  return {
    ...reply,
    changed,
    insertId,
    unmovable: reply.unmovable || names.some((name, index) => isUnmovable(name, row[index] ?? '')),
    ...left,
    disturbed: true,
  }
}

/** Asks for what new sessions begin with; NULL for what has no such value. */
function globalSql(engine: Asker['engine'], name: string): string {
  const table = engine === 'mysql' ? 'performance_schema.global_variables' : 'information_schema.GLOBAL_VARIABLES'
  return `(SELECT VARIABLE_VALUE FROM ${table} WHERE VARIABLE_NAME = _utf8mb4 0x${Buffer.from(name).toString('hex')} LIMIT 1)`
}

/** What was told says less than is to be known; `names`: the variables that say it, as SOURCE_OF has them. */
export async function withSources(
  connection: Asker,
  reply: Reply,
  names: readonly string[],
  { mayChange }: Pick<ExchangeOptions, 'mayChange'>,
  bytesMax: number,
): Promise<Reply> {
  const question = `SELECT ${names.map((name) => `@@${name}`).join(', ')} LIMIT 1`
  const { row, ...left } = await askedBehind(connection, reply, question, { mayChange, bytesMax })
  if (row === null) return { ...reply, unmovable: true, disturbed: true }
  const variables = new Map(reply.changed?.variables ?? [])
  for (const [index, name] of names.entries()) variables.set(name, row[index]!)
  addFollowing(variables)
  return { ...reply, changed: { schema: reply.changed?.schema, variables }, ...left, disturbed: true }
}

/** The question's only row, and what it wipes out of what the statement left; null: the server would not tell. */
async function askedBehind(
  connection: Asker,
  { warnings, outcome }: Reply,
  question: string,
  { mayChange, bytesMax }: { readonly mayChange: boolean; readonly bytesMax: number },
): Promise<Pick<Reply, 'conditions' | 'foundRows'> & { readonly row: Row | null }> {
  const { form } = connection
  const leaves = warnings > 0 || outcome === 'error'
  // What does nothing besides setting finds no rows.
  const before = [...(leaves ? [SHOW_WARNINGS] : []), ...(mayChange ? [SELECT_FOUND_ROWS] : [])]
  const replies = await askAll(connection, [...before, question])
  if (replies.some((one) => errorIn(one) !== null)) return { conditions: null, foundRows: null, row: null }
  return {
    conditions: leaves ? conditionsIn(replies[0]!, form, bytesMax) : null,
    foundRows: mayChange ? Number(rowsIn(replies[before.length - 1]!, form)[0]![0]) : null,
    row: rowsIn(replies.at(-1)!, form)[0] ?? null,
  }
}

function askAll(connection: Asker, statements: readonly string[]): Promise<readonly OwnReply[]> {
  return connection.ask(statements.map((sql) => [buildQuery(sql, connection.attributes), 'query'] as const))
}
