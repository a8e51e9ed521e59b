// A session's own number in place of what asks the server for its connection's: CONNECTION_ID() and @@pseudo_thread_id,
// wherever they stand, with the same type and under the same column name. Pure.

import { CATALOGUE_TABLES, SERVER_SCHEMAS, type SqlContext } from './dialects.ts'
import { partsOf } from './parts.ts'
import type { Text } from './text.ts'
import { ASSIGN, CLOSE, COMMA, DOT, EQUALS, OP, OPEN, QUOTED, STRING, SYSTEM_VARIABLE, WORD } from './tokens.ts'

/** Bytes [from, to) of the text, and what stands there instead. */
interface Edit {
  readonly from: number
  readonly to: number
  readonly text: string
}

/** A list of columns being selected, at one depth of parentheses. */
interface Selection {
  /** The first token of the column. */
  from: number
  /** The number is asked for in this column. */
  asks: boolean
}

/** These end a list of columns. What could be an alias is not among them: they only come after FROM. */
const AFTER_COLUMNS: ReadonlySet<string> = new Set([
  ...['from', 'into', 'where', 'group', 'having', 'order', 'limit', 'for', 'lock', 'procedure'],
  ...['union', 'except', 'intersect'],
])
const SELECT_OPTIONS: ReadonlySet<string> = new Set([
  ...['all', 'distinct', 'distinctrow', 'high_priority', 'straight_join', 'sql_small_result', 'sql_big_result'],
  ...['sql_buffer_result', 'sql_cache', 'sql_no_cache', 'sql_calc_found_rows'],
])
/** A name or text after one of these belongs to the expression. */
const BEFORE_OPERANDS: ReadonlySet<string> = new Set([
  ...['and', 'or', 'xor', 'not', 'is', 'in', 'like', 'rlike', 'regexp', 'between', 'div', 'mod', 'collate', 'binary'],
  ...['interval', 'case', 'when', 'then', 'else', 'escape', 'over', 'of'],
])
const OPERATORS: ReadonlySet<number> = new Set(Array.from('+-*/%=<>!&|^~.,(', (character) => character.charCodeAt(0)))
/** Words that end an expression and are no alias, for they are reserved everywhere. */
const VALUES: ReadonlySet<string> = new Set([
  ...['null', 'true', 'false', 'current_date', 'current_time', 'current_timestamp', 'current_user', 'localtime'],
  ...['localtimestamp', 'utc_date', 'utc_time', 'utc_timestamp'],
])
/** Longer names are cut by the servers, and would have to be cut here. */
const NAME_BYTES_MAX = 255

/** The text with `id` in it; null: it does not ask, or what it asks is about the server's own numbers. */
export function withOwnId(
  sql: Buffer,
  text: Text,
  { id, context, inner }: { readonly id: number; readonly context: SqlContext; readonly inner: InnerText },
): Buffer | null {
  if (namesServersOwn(text, context)) return null
  const edits: Edit[] = []
  for (const part of partsOf(text, context)) {
    editPart(text, part.from, part.to, { id, context, edits })
    editPrepared(text, part.from, edits, inner)
  }
  return edits.length === 0 ? null : apply(sql, edits)
}

/** Looks into a text that a statement carries as a literal; null: it stays as it is. */
export type InnerText = (sql: Buffer) => Buffer | null

interface Work {
  readonly id: number
  readonly context: SqlContext
  readonly edits: Edit[]
}

function editPart(text: Text, start: number, to: number, work: Work): void {
  const from = where(text, start, to)
  const isSet = text.lower(start) === 'set'
  const open: (Selection | null)[] = [null]
  for (let at = from; at < to; at++) {
    const top = open.length - 1
    const selection = open[top]!
    if (text.op(at, OPEN)) open.push(null)
    else if (text.op(at, CLOSE)) {
      endColumn(text, selection, at, work)
      if (top > 0) open.pop()
    } else if (text.op(at, COMMA) && selection !== null) {
      endColumn(text, selection, at, work)
      open[top] = { from: at + 1, asks: false }
    } else if (beginsColumns(text, at, top, work)) {
      endColumn(text, selection, at, work)
      open[top] = { from: afterOptions(text, at + 1), asks: false }
    } else if (selection !== null && AFTER_COLUMNS.has(text.lower(at))) {
      endColumn(text, selection, at, work)
      open[top] = null
    } else {
      const end = asked(text, at, isSet)
      if (end === 0) continue
      const isVariable = text.kind(at) === SYSTEM_VARIABLE
      const number = `CAST(${work.id} AS UNSIGNED)`
      // The variable may be NULL to the server, and is wider.
      const instead = isVariable ? `IF(1,${number},@@pseudo_thread_id)` : number
      work.edits.push({ from: text.start(at), to: text.end(end - 1), text: instead })
      for (const one of open) if (one !== null) one.asks = true
      at = end - 1
    }
  }
  endColumn(text, open[0]!, to, work)
}

/** PREPARE … FROM 'text' and EXECUTE IMMEDIATE 'text'. */
function editPrepared(text: Text, from: number, edits: Edit[], inner: InnerText): void {
  const isPrepare = text.lower(from) === 'prepare' && text.lower(from + 2) === 'from'
  const isExecute = text.lower(from) === 'execute' && text.lower(from + 1) === 'immediate'
  const at = isPrepare ? from + 3 : from + 2
  const literal = isPrepare || isExecute ? text.literal(at) : null
  const changed = literal === null ? null : inner(Buffer.from(literal))
  if (changed === null) return
  edits.push({ from: text.start(at), to: text.end(at), text: `'${changed.toString().replaceAll("'", "''")}'` })
}

/** Where the part begins that is executed now: what is stored for later asks when it is executed. */
function where(text: Text, from: number, to: number): number {
  const verb = text.lower(from)
  if (verb === 'alter') return to
  if (verb !== 'create') return from
  let at = from + 1
  while (['or', 'replace', 'temporary'].includes(text.lower(at))) at++
  if (text.lower(at) !== 'table') return to
  while (at < to && text.lower(at) !== 'select') at++
  return at
}

function beginsColumns(text: Text, at: number, depth: number, { context }: Work): boolean {
  const word = text.lower(at)
  if (word === 'select') return !text.op(at - 1, DOT)
  return word === 'returning' && depth === 0 && context.dialect.engine === 'mariadb'
}

function afterOptions(text: Text, from: number): number {
  let at = from
  while (SELECT_OPTIONS.has(text.lower(at))) at++
  return at
}

/** Behind what asks for the number and begins at `at`; 0 if nothing does. */
function asked(text: Text, at: number, isSet: boolean): number {
  const kind = text.kind(at)
  if (kind === WORD || kind === QUOTED) {
    const isCall = text.op(at + 1, OPEN) && text.op(at + 2, CLOSE) && !text.op(at - 1, DOT)
    return isCall && text.name(at).toLowerCase() === 'connection_id' ? at + 3 : 0
  }
  if (kind !== SYSTEM_VARIABLE) return 0
  let name = at + 1
  if (['session', 'local'].includes(text.lower(name)) && text.op(name + 1, DOT)) name += 2
  if (!text.isName(name) || text.name(name).toLowerCase() !== 'pseudo_thread_id') return 0
  const isTarget = isSet && (text.op(name + 1, EQUALS) || text.kind(name + 1) === ASSIGN)
  return isTarget ? 0 : name + 1
}

/** A column that asks and has no name of its own is called by its text: as the client wrote it. */
function endColumn(text: Text, selection: Selection | null, to: number, { edits }: Work): void {
  if (selection === null || !selection.asks || hasAlias(text, selection.from, to)) return
  const name = text.between(selection.from, to - 1)
  // Servers leave out what marks executable comments, and a back quote may be half a character in some character sets.
  const isPlain = /^[\x20-\x7e\n\r\t]*$/.test(name) && !name.includes('/*!') && !name.includes('/*M!')
  if (!isPlain || name.length > NAME_BYTES_MAX) return
  const end = text.end(to - 1)
  edits.push({ from: end, to: end, text: ` AS \`${name.replaceAll('`', '``')}\`` })
}

/** In doubt it has one: without ours only the name of the column differs, with two the statement would be wrong. */
function hasAlias(text: Text, from: number, to: number): boolean {
  const last = to - 1
  const kind = text.kind(last)
  if (last === from || (kind !== WORD && kind !== QUOTED && kind !== STRING)) return false
  if (kind === WORD && VALUES.has(text.lower(last)) && text.lower(last - 1) !== 'as') return false
  if (text.lower(last) === 'end' && endsCase(text, from, last)) return false
  const before = text.kind(last - 1)
  if (before === ASSIGN || before === SYSTEM_VARIABLE) return false
  if (before === OP) return !OPERATORS.has(text.operator(last - 1))
  return !(before === WORD && BEFORE_OPERANDS.has(text.lower(last - 1)))
}

function endsCase(text: Text, from: number, last: number): boolean {
  let open = 0
  for (let at = from; at < last; at++) {
    if (text.lower(at) === 'case') open++
    else if (text.lower(at) === 'end') open--
  }
  return open > 0
}

/** Tables in which the server's own numbers stand: there the question is about those. */
function namesServersOwn(text: Text, { systemSchema }: SqlContext): boolean {
  for (let at = 0; at < text.count; at++) {
    if (systemSchema === true && text.lower(at) === 'from') return true
    if (!text.isName(at) || !text.op(at + 1, DOT) || text.op(at - 1, DOT)) continue
    const schema = text.name(at).toLowerCase()
    if (SERVER_SCHEMAS.has(schema)) return true
    if (schema !== 'information_schema') continue
    if (!text.isName(at + 2) || !CATALOGUE_TABLES.has(text.name(at + 2).toLowerCase())) return true
  }
  return false
}

function apply(sql: Buffer, edits: readonly Edit[]): Buffer {
  const parts: Buffer[] = []
  let at = 0
  for (const { from, to, text } of [...edits].sort((one, other) => one.from - other.from || one.to - other.to)) {
    parts.push(sql.subarray(at, from), Buffer.from(text))
    at = to
  }
  parts.push(sql.subarray(at))
  return Buffer.concat(parts)
}
