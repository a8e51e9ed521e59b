// Puts answers in place of what a statement asks the server about its connection, wherever they stand, under the same column
// names. Pure.

import type { SqlContext } from './dialects.ts'
import type { Part } from './parts.ts'
import type { Text } from './text.ts'
import { ASSIGN, CLOSE, COMMA, DOT, OP, OPEN, QUOTED, STRING, SYSTEM_VARIABLE, WORD } from './tokens.ts'

/** Bytes [from, to) of the text, and what stands there instead. */
export interface Edit {
  readonly from: number
  readonly to: number
  readonly text: string
}

/** A list of columns being selected, at one depth of parentheses. */
interface Selection {
  /** The first token of the column. */
  from: number
  /** It holds a question. */
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

/** What stands in place of the tokens up to `end`, which it does not take in. */
export interface Answer {
  readonly end: number
  readonly instead: string
}

export interface Questions {
  readonly context: SqlContext
  /** The answer to what begins at this token; null: no question does. */
  answerAt(at: number): Answer | null
}

/** The changes to one statement of a text. */
export function answered(text: Text, part: Part, { context, answerAt }: Questions): Edit[] {
  const { to } = part
  const from = where(text, part.from, to)
  const edits: Edit[] = []
  const open: (Selection | null)[] = [null]
  for (let at = from; at < to; at++) {
    const top = open.length - 1
    const selection = open[top]!
    if (text.op(at, OPEN)) open.push(null)
    else if (text.op(at, CLOSE)) {
      endColumn(text, selection, at, edits)
      if (top > 0) open.pop()
    } else if (text.op(at, COMMA) && selection !== null) {
      endColumn(text, selection, at, edits)
      open[top] = { from: at + 1, asks: false }
    } else if (beginsColumns(text, at, top, context)) {
      endColumn(text, selection, at, edits)
      open[top] = { from: afterOptions(text, at + 1), asks: false }
    } else if (selection !== null && AFTER_COLUMNS.has(text.lower(at))) {
      endColumn(text, selection, at, edits)
      open[top] = null
    } else {
      const answer = answerAt(at)
      if (answer === null) continue
      edits.push({ from: text.start(at), to: text.end(answer.end - 1), text: answer.instead })
      for (const one of open) if (one !== null) one.asks = true
      at = answer.end - 1
    }
  }
  endColumn(text, open[0]!, to, edits)
  return edits
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

function beginsColumns(text: Text, at: number, depth: number, context: SqlContext): boolean {
  const word = text.lower(at)
  if (word === 'select') return !text.op(at - 1, DOT)
  return word === 'returning' && depth === 0 && context.dialect.engine === 'mariadb'
}

function afterOptions(text: Text, from: number): number {
  let at = from
  while (SELECT_OPTIONS.has(text.lower(at))) at++
  return at
}

/** A column that asks and has no name of its own is called by its text: as the client wrote it. */
function endColumn(text: Text, selection: Selection | null, to: number, edits: Edit[]): void {
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

export function apply(sql: Buffer, edits: readonly Edit[]): Buffer {
  const parts: Buffer[] = []
  let at = 0
  for (const { from, to, text } of [...edits].sort((one, other) => one.from - other.from || one.to - other.to)) {
    parts.push(sql.subarray(at, from), Buffer.from(text))
    at = to
  }
  parts.push(sql.subarray(at))
  return Buffer.concat(parts)
}
