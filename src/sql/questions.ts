// Questions about the session's last statement (ROW_COUNT(), FOUND_ROWS(), @@warning_count, SHOW WARNINGS), once its
// connection has gone to another session: what is asked, and the same statement with the answers in it. Pure.

import { rulesOf, type SqlContext } from './classifier.ts'
import { scan } from './lexer.ts'
import { type Part, partsOf } from './parts.ts'
import { type Answer, answered, apply, type Edit } from './rewording.ts'
import { shapeOf } from './shape.ts'
import { Text } from './text.ts'
import { CLOSE, COMMA, DOT, NUMBER, OPEN, SYSTEM_VARIABLE, Tokens, WORD } from './tokens.ts'

/** What the session's last statement left for such questions. */
export interface Answers {
  readonly rowCount: number
  /** Null: not known, and not to be replaced. */
  readonly foundRows: number | null
  readonly conditions: number
  readonly errors: number
}

/** The same; null is what a statement before it in the same text may have changed. */
type Known = { readonly [name in keyof Answers]: number | null }

interface List {
  readonly kind: 'list'
  readonly errorsOnly: boolean
  readonly offset: number
  readonly limit: number
}

/**
 * `list`: SHOW WARNINGS or SHOW ERRORS, and what the text has behind it; null: nothing. `text`: can be asked anywhere like
 * this. Null: cannot be answered from memory.
 */
export type Question = (List & { readonly rest: Buffer | null }) | { readonly kind: 'text'; readonly sql: Buffer }

export function questionIn(sql: Buffer, context: SqlContext, answers: Answers): Question | null {
  const tokens = new Tokens()
  scan(sql, rulesOf(context), tokens)
  if (tokens.doubt !== null) return null
  const text = new Text(sql, tokens)
  const parts = partsOf(text, context)
  const [first, next] = parts
  if (first === undefined || text.lower(first.from) === 'get') return null
  const { from, to } = first
  const what = text.lower(from) === 'show' ? text.lower(from + 1) : ''
  if (what === 'warnings' || what === 'errors') {
    const list = listIn(text, from + 2, to, what === 'errors')
    return list === null ? null : { ...list, rest: next === undefined ? null : sql.subarray(text.start(next.from)) }
  }
  return { kind: 'text', sql: apply(sql, editsIn(text, parts, context, answers)) }
}

/** Those behind the first ask about the ones before them, unless these leave what is asked for as it was. */
function editsIn(text: Text, parts: readonly Part[], context: SqlContext, answers: Answers): Edit[] {
  const edits: Edit[] = []
  let known: Known = answers
  for (const part of parts) {
    const now = known
    if (text.lower(part.from) === 'show' && text.lower(part.from + 1) === 'count')
      edits.push(...countIn(text, part, now))
    else edits.push(...answered(text, part, { context, answerAt: (at) => answerAt(text, at, now) }))
    const { verb, leavesFoundRows, keepsConditions } = shapeOf(text, part.from, part.to, UNKNOWN)
    // Whatever it is may be refused, in words of the server's that repeat the text behind it.
    if (!KNOWN.has(verb)) break
    const { foundRows, conditions, errors } = keepsConditions ? now : { ...now, conditions: null, errors: null }
    known = { rowCount: null, foundRows: leavesFoundRows ? foundRows : null, conditions, errors }
  }
  return edits
}

const KNOWN: ReadonlySet<string> = new Set([
  ...['set', 'use', 'insert', 'replace', 'show'],
  ...['begin', 'start', 'commit', 'rollback', 'savepoint', 'release'],
])
const UNKNOWN = { tables: null, transaction: 'none', pins: [], routines: [] } as const

/** SHOW WARNINGS [LIMIT [offset,] rows | LIMIT rows OFFSET offset] */
function listIn(text: Text, from: number, to: number, errorsOnly: boolean): List | null {
  const all = { kind: 'list', errorsOnly, offset: 0, limit: Number.POSITIVE_INFINITY } as const
  if (from === to) return all
  if (text.lower(from) !== 'limit' || text.kind(from + 1) !== NUMBER) return null
  const first = Number(text.raw(from + 1))
  if (from + 2 === to) return { ...all, limit: first }
  if (from + 4 !== to || text.kind(from + 3) !== NUMBER) return null
  const second = Number(text.raw(from + 3))
  if (text.op(from + 2, COMMA)) return { ...all, offset: first, limit: second }
  return text.lower(from + 2) === 'offset' ? { ...all, offset: second, limit: first } : null
}

/** SHOW COUNT(*) WARNINGS: to the server a SELECT of its variable, and so named. */
function countIn(text: Text, { from, to }: Part, { conditions, errors }: Known): Edit[] {
  const ofErrors = text.lower(to - 1) === 'errors'
  const variable = ofErrors ? '@@session.error_count' : '@@session.warning_count'
  const count = ofErrors ? errors : conditions
  if (count === null) return []
  const asked = `SELECT IF(1,${counted(count)},${variable}) AS \`${variable}\``
  return [{ from: text.start(from), to: text.end(to - 1), text: asked }]
}

/**
 * What is asked stays beside the answer as the branch that is never taken, so that servers give the expression the type and
 * length they always give it.
 */
function answerAt(text: Text, at: number, known: Known): Answer | null {
  const last = questionEnd(text, at)
  if (last === 0) return null
  const question = text.between(at, last)
  const value = answerTo(text, at, last, known)
  return value === null ? null : { end: last + 1, instead: `IF(1,${value},${question})` }
}

/** The last token of a question that begins at `at`; 0: none does. */
function questionEnd(text: Text, at: number): number {
  if (text.kind(at) === SYSTEM_VARIABLE) {
    const last = text.op(at + 2, DOT) ? at + 3 : at + 1
    return /^(warning|error)_count$/i.test(text.name(last)) ? last : 0
  }
  if (text.kind(at) !== WORD || !text.op(at + 1, OPEN) || text.op(at - 1, DOT)) return 0
  return /^(row_count|found_rows)$/i.test(text.raw(at)) && text.op(at + 2, CLOSE) ? at + 2 : 0
}

function answerTo(
  text: Text,
  at: number,
  last: number,
  { rowCount, foundRows, conditions, errors }: Known,
): string | null {
  if (text.kind(at) === SYSTEM_VARIABLE) {
    const count = text.name(last).toLowerCase() === 'error_count' ? errors : conditions
    return count === null ? null : counted(count)
  }
  const value = text.lower(at) === 'row_count' ? rowCount : foundRows
  return value === null ? null : String(value)
}

function counted(count: number): string {
  return `CAST(${count} AS UNSIGNED)`
}
