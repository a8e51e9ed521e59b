// What a statement's expressions do, whatever statement they stand in: functions called, variables read and set, tables
// that tell about one server, and the first thing that keeps it from being a read.

import type { PinChange, SessionFact } from './classification.ts'
import { CALL_FREE, CATALOGUE_TABLES, READ_WORDS, SERVER_SCHEMAS, type SqlContext } from './dialects.ts'
import type { Text } from './text.ts'
import {
  ASSIGN,
  CLOSE,
  COMMA,
  DOT,
  NUMBER,
  OPEN,
  PARAM,
  QUOTED,
  STRING,
  SYSTEM_VARIABLE,
  USER_VARIABLE,
  WORD,
} from './tokens.ts'
import { IS_KEYWORD, IS_RESERVED, nameOfWord, word } from './words.ts'

export interface Survey {
  /** What is called or locked that keeps any statement from being harmless, or null. */
  writes: string | null
  /** What has no place in a read, or null. */
  obstacle: string | null
  /** Why only the writer answers truthfully, although nothing is written; or null. */
  ofOneServer: string | null
  readonly facts: Set<SessionFact>
  readonly pins: PinChange[]
  /** Functions that only their owner knows, `f` or `db.f`. */
  readonly routines: string[]
  /** It calls a function that the operator vouches for, which may read tables that the text does not name. */
  vouched: boolean
  /** The answer hangs on a literal, which the digest does not hold. */
  literal: boolean
}

/** What an operator said of functions, besides what the server's own are. */
export interface Vouched {
  readonly functions: ReadonlySet<string>
  readonly procedures: ReadonlySet<string>
}

const INTO = word('into')
const FOR = word('for')
const UPDATE = word('update')
const SHARE = word('share')
const SET = word('set')
const INSERT = word('insert')
const REPLACE = word('replace')
const EXISTS = word('exists')
const INDEX = word('index')
const KEY = word('key')
const CHARACTER = word('character')
const CHAR = word('char')
const AS = word('as')
const FROM = word('from')
const DUAL = word('dual')
const SELECT = word('select')
const VALUE = word('value')
const NEXT = word('next')
const PREVIOUS = word('previous')
const TABLE = word('table')
const SQL_CALC_FOUND_ROWS = word('sql_calc_found_rows')
const GROUPING = word('grouping')
const DEFAULT = word('default')

const LOCK_FUNCTIONS: ReadonlySet<string> = new Set([
  'get_lock',
  'release_lock',
  'release_all_locks',
  'is_free_lock',
  'is_used_lock',
])

const FACT_FUNCTIONS: ReadonlyMap<string, SessionFact> = new Map([
  ['last_insert_id', 'last-insert-id'],
  ['found_rows', 'found-rows'],
  ['row_count', 'row-count'],
  ['connection_id', 'connection-id'],
  // The XPath may name user variables: '/a/b[$@i]'.
  ['extractvalue', 'user-variable'],
  ['updatexml', 'user-variable'],
])

const VERSION_FUNCTIONS: ReadonlySet<string> = new Set(['version', 'icu_version'])

const FACT_VARIABLES: ReadonlyMap<string, SessionFact> = new Map([
  ['warning_count', 'condition-count'],
  ['error_count', 'condition-count'],
  ['identity', 'last-insert-id'],
  ['last_insert_id', 'last-insert-id'],
  ['insert_id', 'last-insert-id'],
  ['pseudo_thread_id', 'connection-id'],
])

/** MariaDB's words for a sequence's next value, and for the one that the session took last. */
const SEQUENCE_WORDS: ReadonlySet<string> = new Set(['nextval', 'currval', 'lastval', 'setval'])

export function survey(text: Text, from: number, to: number, context: SqlContext, vouched: Vouched): Survey {
  const found: Survey = {
    writes: null,
    obstacle: null,
    ofOneServer: null,
    facts: new Set(),
    pins: [],
    routines: [],
    vouched: false,
    literal: false,
  }
  const functions = context.dialect.functions(context.version)

  for (let at = from; at < to; at++) {
    const kind = text.kind(at)
    if (kind === USER_VARIABLE) userVariable(text, at, to, found)
    else if (kind === SYSTEM_VARIABLE) systemVariable(text, at, found)
    else if (kind === ASSIGN) found.obstacle ??= 'assigns a user variable'
    else if (kind === WORD || kind === QUOTED) {
      if (text.op(at + 1, OPEN)) call(at)
      else if (text.op(at + 1, DOT)) schema(text, at, found)
      // s.nextval, in MariaDB's sql_mode ORACLE; elsewhere it may be a column.
      if (text.op(at - 1, DOT) && SEQUENCE_WORDS.has(text.name(at).toLowerCase())) sequence(text.name(at).toLowerCase())
      if (kind === WORD) keyword(at)
    }
  }
  if (context.systemSchema === true) found.ofOneServer ??= "may name tables of the server's own schema"
  return found

  function keyword(at: number): void {
    const number = text.word(at)
    if (number === 0) return
    if (number === FOR) {
      if (text.is(at + 1, UPDATE, SHARE)) found.writes ??= 'locks rows'
      else if (text.is(at - 1, VALUE) && text.is(at - 2, NEXT, PREVIOUS))
        sequence(text.is(at - 2, NEXT) ? 'nextval' : 'lastval')
    } else if (number === SQL_CALC_FOUND_ROWS) {
      found.pins.push({ change: 'start', reason: 'found-rows', name: null })
      found.obstacle ??= 'counts rows for FOUND_ROWS()'
    } else if (number === SET) {
      if (!text.is(at - 1, CHARACTER, CHAR)) found.obstacle ??= 'has the word SET'
    } else if (number === INSERT || number === REPLACE) {
      if (!text.op(at + 1, OPEN)) found.obstacle ??= `has the word ${nameOfWord(number).toUpperCase()}`
    } else if (IS_RESERVED[number] === 1 && READ_WORDS[number] === 0) {
      found.obstacle ??= `has the word ${nameOfWord(number).toUpperCase()}`
    }
    if (number === INTO) {
      for (let next = at + 1; text.kind(next) === USER_VARIABLE; next += 2) {
        found.pins.push({ change: 'start', reason: 'user-variable', name: text.variable(next) })
        if (!text.op(next + 1, COMMA)) break
      }
    }
  }

  function sequence(what: string): void {
    found.writes ??= 'uses a sequence'
    if (what === 'nextval') found.pins.push({ change: 'start', reason: 'sequence', name: null })
    else if (what !== 'setval') found.facts.add('sequence-value')
  }

  /** A name before a parenthesis: harmless only if it is no function that a user can define. */
  function call(at: number): void {
    const name = text.name(at).toLowerCase()
    const qualified = text.op(at - 1, DOT) && text.isName(at - 2)
    if (qualified) {
      const full = `${text.name(at - 2).toLowerCase()}.${name}`
      if (vouched.functions.has(full) || vouched.functions.has(name)) {
        found.vouched = true
        return
      }
      found.writes ??= `calls ${full}(), which may write`
      if (!isTarget(at - 2)) found.routines.push(`${text.name(at - 2)}.${text.name(at)}`)
      return
    }
    const unquoted = text.kind(at) === WORD
    if (LOCK_FUNCTIONS.has(name)) return lockCall(text, at, from, to, found)
    const fact = FACT_FUNCTIONS.get(name)
    if (fact !== undefined) {
      if (name === 'last_insert_id' && !text.op(at + 2, CLOSE)) found.writes ??= 'sets the last insert id'
      else found.facts.add(fact)
      return
    }
    if (VERSION_FUNCTIONS.has(name)) {
      found.ofOneServer ??= "asks for the server's version"
      return
    }
    if (unquoted && SEQUENCE_WORDS.has(name) && context.dialect.engine === 'mariadb') return sequence(name)
    // MariaDB evaluates the default, which may be the next value of a sequence.
    if (text.is(at, DEFAULT) && context.dialect.engine === 'mariadb') found.writes ??= "asks for a column's default"
    if (unquoted) {
      if (CALL_FREE[text.word(at)] === 1 || functions.words.has(name)) return
      if (functions.grammar.has(name) && (!functions.close.has(name) || text.isCalled(at))) return
    }
    const arity = functions.constructors.get(name)
    if (arity !== undefined) {
      // The digest holds no number of literals.
      found.literal = true
      const given = text.arguments(at + 1)
      if (given >= arity.least && given <= arity.most) return
    }
    if (functions.native.has(name)) return
    if (vouched.functions.has(name)) {
      found.vouched = true
      return
    }
    if (!isCallPlace(at)) return
    found.writes ??= `calls ${name}(), which may write`
    if (!isTarget(at)) found.routines.push(text.name(at))
  }

  /** INSERT INTO t (columns) …, CREATE TEMPORARY TABLE t (columns, INDEX i (columns)) … */
  function isTarget(at: number): boolean {
    return text.is(at - 1, INTO, INSERT, REPLACE) || text.is(at - 1, TABLE, EXISTS, INDEX, KEY)
  }

  /** False where a name before a parenthesis is an alias with columns, a type or the like: after an operand, or AS. */
  function isCallPlace(at: number): boolean {
    const before = text.kind(at - 1)
    if (isLiteral(before) || text.op(at - 1, CLOSE)) return false
    if (text.is(at - 1, AS)) return false
    const name = text.lower(at)
    if (name === 'sets' && text.is(at - 1, GROUPING)) return false
    const close = text.partner(at + 1)
    // A JSON_TABLE ends in what no function call has: a path and COLUMNS (…).
    if (name === 'json_table') {
      const columns = text.partner(close - 1) - 1
      return !(text.op(close - 1, CLOSE) && text.lower(columns) === 'columns' && isLiteral(text.kind(columns - 1)))
    }
    // WITH name (columns) AS (…)
    return !(text.is(close + 1, AS) && text.op(close + 2, OPEN))
  }
}

function isLiteral(kind: number): boolean {
  return kind === STRING || kind === NUMBER || kind === PARAM
}

function userVariable(text: Text, at: number, to: number, found: Survey): void {
  if (text.isHost(at) && IS_KEYWORD[text.word(at - 1)] !== 1) return
  if (at + 1 < to && text.kind(at + 1) === ASSIGN) {
    found.pins.push({ change: 'start', reason: 'user-variable', name: text.variable(at) })
    found.obstacle ??= 'assigns a user variable'
  } else found.facts.add('user-variable')
}

function systemVariable(text: Text, at: number, found: Survey): void {
  let name = at + 1
  while (text.op(name + 1, DOT) && text.isName(name + 2)) name += 2
  const fact = FACT_VARIABLES.get(text.isName(name) ? text.name(name).toLowerCase() : '')
  if (fact !== undefined) found.facts.add(fact)
  else found.ofOneServer ??= "reads the server's variables"
}

/** A schema's name before a dot, or any other name there. */
function schema(text: Text, at: number, found: Survey): void {
  if (text.op(at - 1, DOT)) return
  const name = text.name(at).toLowerCase()
  if (SERVER_SCHEMAS.has(name)) found.ofOneServer ??= `reads ${name}, which tells about one server`
  else if (name === 'information_schema') {
    const table = text.isName(at + 2) ? text.name(at + 2).toLowerCase() : ''
    if (!CATALOGUE_TABLES.has(table))
      found.ofOneServer ??= `reads information_schema.${table}, which tells about one server`
  }
}

function lockCall(text: Text, at: number, from: number, to: number, found: Survey): void {
  const name = text.name(at).toLowerCase()
  const argument = text.kind(at + 2) === STRING && (text.op(at + 3, COMMA) || text.op(at + 3, CLOSE))
  const lock = argument ? lockName(text.literal(at + 2)) : null
  found.writes ??= `calls ${name}()`
  found.literal = true
  const reason = 'advisory-lock'
  if (name === 'get_lock') {
    const isParameter = text.kind(at + 2) === PARAM && text.op(at + 3, COMMA)
    const parameter = isParameter ? { parameter: parametersBefore(text, at + 2) } : {}
    found.pins.push({ change: 'start', reason, name: lock, ...parameter })
    // What is only certain to be called if nothing stands around it must not end a pin by being there.
  } else if (name === 'release_all_locks' && isWhole(text, at, from, to)) {
    found.pins.push({ change: 'end', reason, name: null })
  } else if (name === 'release_lock' && lock !== null && isWhole(text, at, from, to)) {
    found.pins.push({ change: 'end', reason, name: lock })
  } else if (name.startsWith('release_') && !found.pins.some(({ perhaps }) => perhaps === true)) {
    found.pins.push({ change: 'end', reason, name: null, perhaps: true })
  }
}

/** As it is written: MySQL takes capitals for small letters, MariaDB does not. Null where it hangs on the character set. */
export function lockName(name: string | null): string | null {
  return name === null || /[^ -~]/.test(name) ? null : name
}

function parametersBefore(text: Text, end: number): number {
  let count = 0
  for (let at = 0; at < end; at++) if (text.kind(at) === PARAM) count++
  return count
}

/** SELECT f(…) or DO f(…), perhaps with an alias or FROM DUAL, and nothing else. */
function isWhole(text: Text, at: number, from: number, to: number): boolean {
  if (at !== from + 1 || !(text.is(from, SELECT) || text.lower(from) === 'do')) return false
  let next = text.partner(at + 1) + 1
  if (text.is(next, AS)) next++
  if (next < to && (text.kind(next) === STRING || (text.isName(next) && !text.is(next, FROM, TABLE)))) next++
  if (text.is(next, FROM) && text.is(next + 1, DUAL)) next += 2
  return next >= to
}
