// Which tables a statement names: what follows FROM, JOIN, INTO, UPDATE and their commas, less its own common table
// expressions. Whoever asks may rely on there being no others, so in doubt the answer is that they are not known.

import type { Text } from './text.ts'
import { CLOSE, COMMA, DOT, OPEN, QUOTED, WORD } from './tokens.ts'
import { IS_RESERVED, word, wordSet } from './words.ts'

const TABLES_MAX = 64
/** Opens the ODBC form of an outer join. */
const BRACE = 0x7b

const AS = word('as')
const FROM = word('from')
const FOR = word('for')
const INSERT = word('insert')
const INTO = word('into')
const JOIN = word('join')
const JSON_TABLE = word('json_table')
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
  'where group having order limit union except intersect window set values select procedure lock dual',
)
/** A name that was due has not come when one of these does: what was taken for a modifier was the name. */
const DUE_BEFORE = wordSet('where group having order limit union except intersect window set lock procedure')
/** May stand between UPDATE, INTO and the like and the table's name. */
const MODIFIERS = wordSet('low_priority quick ignore delayed high_priority only')
/** In whose parentheses FROM is no clause. */
const CALLS_WITH_FROM: ReadonlySet<string> = new Set(['extract', 'trim', 'substring', 'substr', 'mid', 'trim_oracle'])

/** A parenthesis, or the whole statement: are we among tables, is a name due, is FROM just part of a call? */
interface Level {
  among: boolean
  due: boolean
  readonly call: boolean
  /** Behind its last token. */
  readonly to: number
  /** A WITH in it said RECURSIVE. */
  recursive: boolean
}

/** A common table expression: its name stands for it from behind its body to the end of the query that it is part of. */
interface Cte {
  readonly name: string
  readonly bodyFrom: number
  readonly bodyTo: number
  readonly scopeTo: number
  /** Its name stands for it in its body, too. */
  readonly recursive: boolean
}

/** Names as written, unquoted, `t` or `db.t`; null if they cannot be told for certain. */
export function tablesIn(text: Text, from: number, to: number): readonly string[] | null {
  const named: { readonly name: string; readonly at: number }[] = []
  const ctes: Cte[] = []
  const levels: Level[] = [newLevel(text.is(from, INSERT, REPLACE), false, to)]
  for (let at = from; at < to; at++) {
    const level = levels[levels.length - 1]!
    if (text.op(at, OPEN)) {
      levels.push(newLevel(level.due, CALLS_WITH_FROM.has(text.lower(at - 1)), Math.min(text.partner(at), to)))
    } else if (text.op(at, CLOSE)) {
      if (level.due && !text.op(at - 1, OPEN)) return null
      if (levels.length > 1) levels.pop()
      levels[levels.length - 1]!.due = false
    } else if (text.op(at, COMMA)) level.due = level.among
    else if (text.op(at, BRACE) && level.due) return null
    else if (text.kind(at) === WORD || text.kind(at) === QUOTED) {
      const number = text.word(at)
      if (isCte(text, at)) ctes.push(cteAt(text, at, level))
      if (number === WITH) level.recursive = text.lower(at + 1) === 'recursive'
      if (MODIFIERS[number] === 1 && level.due) continue
      if (level.due && (number === 0 || IS_RESERVED[number] === 0)) {
        level.due = false
        const last = text.op(at + 1, DOT) && text.isName(at + 2) ? at + 2 : at
        // A function that gives rows is no table, but INSERT INTO t (a, b) names one.
        const columns = text.is(from, INSERT, REPLACE) && levels.length === 1
        if (columns || !text.op(last + 1, OPEN)) {
          // A dot in a name would read as two names.
          if (text.name(at).includes('.') || text.name(last).includes('.')) return null
          named.push({ name: last === at ? text.name(at) : `${text.name(at)}.${text.name(last)}`, at })
        }
        at = last
      } else if (level.due && DUE_BEFORE[number] === 1) return null
      else if (number === FROM) level.among = level.due = !level.call
      else if (number === JOIN || number === STRAIGHT_JOIN) level.among = level.due = true
      else if (number === UPDATE) level.among = level.due = !text.is(at - 1, FOR, ON, KEY)
      else if (number === INTO) level.due = text.isName(at + 1)
      else if (number === TABLE) level.due = true
      else if (number === JSON_TABLE) level.due = false
      else if (ENDS[number] === 1) level.among = level.due = false
    }
  }
  if (levels[0]!.due) return null
  const others =
    ctes.length === 0 ? named : named.filter(({ name, at }) => !ctes.some((cte) => standsFor(cte, name, at)))
  const tables = new Set(others.map(({ name }) => name))
  return tables.size > TABLES_MAX ? null : [...tables]
}

function newLevel(due: boolean, call: boolean, to: number): Level {
  return { among: due, due, call, to, recursive: false }
}

/** name AS (SELECT …, or name (columns) AS (SELECT … */
function isCte(text: Text, at: number): boolean {
  const as = asOf(text, at)
  return text.is(as, AS) && text.op(as + 1, OPEN) && text.is(as + 2, SELECT, VALUES, TABLE, WITH)
}

function asOf(text: Text, at: number): number {
  return text.op(at + 1, OPEN) ? text.partner(at + 1) + 1 : at + 1
}

function cteAt(text: Text, at: number, { to: scopeTo, recursive }: Level): Cte {
  const bodyFrom = asOf(text, at) + 1
  return { name: text.name(at), bodyFrom, bodyTo: text.partner(bodyFrom), scopeTo, recursive }
}

function standsFor({ name: own, bodyFrom, bodyTo, scopeTo, recursive }: Cte, name: string, at: number): boolean {
  return name === own && at < scopeTo && (at > bodyTo || (recursive && at > bodyFrom))
}
