// Which tables a statement names: what follows FROM, JOIN, INTO, UPDATE and their commas, less its own common table
// expressions.

import type { Text } from './text.ts'
import { CLOSE, COMMA, DOT, OPEN, QUOTED, WORD } from './tokens.ts'
import { IS_RESERVED, word, wordSet } from './words.ts'

const TABLES_MAX = 64

const AS = word('as')
const FROM = word('from')
const FOR = word('for')
const INSERT = word('insert')
const INTO = word('into')
const JOIN = word('join')
const KEY = word('key')
const ON = word('on')
const REPLACE = word('replace')
const SELECT = word('select')
const STRAIGHT_JOIN = word('straight_join')
const TABLE = word('table')
const UPDATE = word('update')
const VALUES = word('values')
const WITH = word('with')

const ENDS = wordSet(
  'where group having order limit union except intersect window set values select procedure lock dual json_table',
)
/** May stand between UPDATE, INTO and the like and the table's name. */
const MODIFIERS = wordSet('low_priority quick ignore delayed high_priority only')
/** In whose parentheses FROM is no clause. */
const CALLS_WITH_FROM: ReadonlySet<string> = new Set(['extract', 'trim', 'substring', 'substr', 'mid', 'trim_oracle'])

/** A parenthesis, or the whole statement: are we among tables, is a name due, is FROM just part of a call? */
interface Level {
  among: boolean
  due: boolean
  readonly call: boolean
}

/** Names as written, unquoted, `t` or `db.t`; null if there are too many to tell. */
export function tablesIn(text: Text, from: number, to: number): readonly string[] | null {
  const tables = new Set<string>()
  const ctes = new Set<string>()
  const levels: Level[] = [{ among: false, due: text.is(from, INSERT, REPLACE), call: false }]
  for (let at = from; at < to; at++) {
    const level = levels[levels.length - 1]!
    if (text.op(at, OPEN)) {
      levels.push({ among: level.due, due: level.due, call: CALLS_WITH_FROM.has(text.lower(at - 1)) })
    } else if (text.op(at, CLOSE)) {
      if (levels.length > 1) levels.pop()
      levels[levels.length - 1]!.due = false
    } else if (text.op(at, COMMA)) level.due = level.among
    else if (text.kind(at) === WORD || text.kind(at) === QUOTED) {
      const number = text.word(at)
      if (isCte(text, at)) ctes.add(text.name(at))
      if (MODIFIERS[number] === 1 && level.due) continue
      if (level.due && (number === 0 || IS_RESERVED[number] === 0)) {
        level.due = false
        const last = text.op(at + 1, DOT) && text.isName(at + 2) ? at + 2 : at
        // A function that gives rows is no table, but INSERT INTO t (a, b) names one.
        const columns = text.is(from, INSERT, REPLACE) && levels.length === 1
        if (columns || !text.op(last + 1, OPEN)) {
          tables.add(last === at ? text.name(at) : `${text.name(at)}.${text.name(last)}`)
        }
        at = last
      } else if (number === FROM) level.among = level.due = !level.call
      else if (number === JOIN || number === STRAIGHT_JOIN) level.among = level.due = true
      else if (number === UPDATE) level.among = level.due = !text.is(at - 1, FOR, ON, KEY)
      else if (number === INTO || number === TABLE) level.due = true
      else if (ENDS[number] === 1) level.among = level.due = false
    }
  }
  for (const cte of ctes) tables.delete(cte)
  return tables.size > TABLES_MAX ? null : [...tables]
}

/** name AS (SELECT …, or name (columns) AS (SELECT … */
function isCte(text: Text, at: number): boolean {
  const as = text.op(at + 1, OPEN) ? text.partner(at + 1) + 1 : at + 1
  return text.is(as, AS) && text.op(as + 1, OPEN) && text.is(as + 2, SELECT, VALUES, TABLE, WITH)
}
