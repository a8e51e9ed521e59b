// What one statement of a text is made of, as far as that decides what it leaves for questions about it and for the
// transaction it stands in. Read from all of its tokens: the digest's text is bounded, a statement is not.

import type { PinChange, TransactionEffect } from './classification.ts'
import type { Text } from './text.ts'
import { COLON, COMMA, DOT, OPEN } from './tokens.ts'
import { word, wordSet } from './words.ts'

export interface SavepointChange {
  readonly change: 'set' | 'release' | 'back'
  /** As it is written. */
  readonly name: string
}

export interface Shape {
  /** Its first word in lower case; empty where it begins with something else. */
  readonly verb: string
  /** The name of what an EXECUTE executes, in lower case. */
  readonly executes: string | null
  /** The SELECTs in it. */
  readonly selects: number
  /** SELECTs inside of other statements and of routines count for FOUND_ROWS(), too; nobody tells how many rows. */
  readonly hidesRows: boolean
  /** Rows before an offset are found, and no part of the answer. */
  readonly skipsRows: boolean
  /** An UPDATE or a DELETE of several tables. */
  readonly joins: boolean
  /** MariaDB returns what it has written, and tells an old client nothing else. */
  readonly returnsRows: boolean
  /** FOUND_ROWS() says afterwards what it said before: it looks for no rows, or for none that count. To MariaDB an UPDATE of one table does too, to MySQL none. */
  readonly leavesFoundRows: boolean
  /** To MariaDB it leaves that, too: a DO that has nothing to look into. */
  readonly onlyDoes: boolean
  /** SHOW WARNINGS, GET DIAGNOSTICS and their kin: the conditions that they tell of stay. */
  readonly keepsConditions: boolean
  /** To the server most of what SHOW shows is a table; what is prepared in SQL is where its conditions are. */
  readonly hasNoTable: boolean
  /** The same while it is prepared: a routine is not so much as looked for then. */
  readonly preparesNoTable: boolean
  /** MariaDB runs blocks, and tells nothing of what is inserted in them. */
  readonly isBlock: boolean
  readonly savepoint: SavepointChange | null
  /** It has the word SAVEPOINT, wherever. */
  readonly saves: boolean
  /** It says something of how a transaction is to be, the next one or the one that it begins. */
  readonly saysTransaction: boolean
  /** It begins a transaction whose reads see what is committed now. */
  readonly takesSnapshot: boolean
}

const CALL = word('call')
const DO = word('do')
const DUAL = word('dual')
const EXECUTE = word('execute')
const FROM = word('from')
const JOIN = word('join')
const JSON_TABLE = word('json_table')
const LIMIT = word('limit')
const NEXT = word('next')
const OFFSET = word('offset')
const PREVIOUS = word('previous')
const RETURNING = word('returning')
const SAVEPOINT = word('savepoint')
const SELECT = word('select')
const SET = word('set')
const SNAPSHOT = word('snapshot')
const STRAIGHT_JOIN = word('straight_join')
const TABLE = word('table')
const USING = word('using')
const VALUE = word('value')

/** Behind these a list in parentheses is one of names. */
const BEFORE_LISTS = wordSet('index key by partition')

const BLOCKS: ReadonlySet<string> = new Set(['if', 'case', 'loop', 'repeat', 'while', 'for', 'declare'])
const INSERTS: ReadonlySet<string> = new Set(['insert', 'replace'])
const MAINTAINS: ReadonlySet<string> = new Set(['analyze', 'check', 'checksum', 'optimize', 'repair'])
const HELPERS: ReadonlySet<string> = new Set(['help', 'handler'])
const EXPLAINS: ReadonlySet<string> = new Set(['explain', 'describe', 'desc'])
const EXPLAIN_OPTIONS: ReadonlySet<string> = new Set(['extended', 'partitions'])
const EXPLAINED: ReadonlySet<string> = new Set([
  ...['select', 'with', 'table', 'values'],
  ...['insert', 'replace', 'update', 'delete'],
])
/** They look for rows without a SELECT in them. */
const LOOKING: ReadonlySet<string> = new Set(['show', 'explain', 'describe', 'desc', 'values', 'update', ''])
const TABLELESS: ReadonlySet<string> = new Set(['deallocate', 'xa', 'unlock'])
const DEFINES: ReadonlySet<string> = new Set(['create', 'alter', 'drop'])
const OBJECTS = wordSet(
  'database schema procedure function package trigger event table view sequence index user role server tablespace',
)
const TABLELESS_OBJECTS = wordSet('database schema procedure function package')
/** Nor are these, once they are there. */
const TABLELESS_ONCE_MADE = wordSet('trigger event')
/** Of what SHOW shows, this is no table to the server. */
const SHOWN_WITHOUT_TABLE: ReadonlySet<string> = new Set([
  ...['grants', 'privileges', 'profiles'],
  ...['authors', 'contributors'],
])
/** A sequence is a table. */
const SEQUENCE_FUNCTIONS = wordSet('nextval lastval setval')
/** What SHOW shows and the server does not look up in tables. */
const SHOWN_WITHOUT_ROWS: ReadonlySet<string> = new Set([
  ...['create', 'grants', 'privileges', 'processlist', 'profiles', 'authors', 'contributors'],
  ...['engine', 'master', 'slave', 'replica', 'binary', 'binlog'],
])

/** `has`: what the rules have found of it. */
export function shapeOf(
  text: Text,
  from: number,
  to: number,
  has: {
    readonly tables: readonly string[] | null
    readonly transaction: TransactionEffect
    readonly pins: readonly PinChange[]
    readonly routines: readonly string[]
  },
): Shape {
  const verb = text.lower(from)
  const second = text.lower(from + 1)
  let selects = 0
  let tables = 0
  let runs = false
  let skipsRows = false
  let returning = false
  let saves = false
  let snapshot = false
  let derives = false
  for (let at = from; at < to; at++) {
    const number = text.word(at)
    derives ||= SEQUENCE_FUNCTIONS[number] === 1 || (number === VALUE && text.is(at - 1, NEXT, PREVIOUS))
    switch (number) {
      case 0:
        break
      case SELECT:
        selects++
        break
      case CALL:
      case DO:
      case EXECUTE:
        runs = true
        break
      case TABLE:
        tables++
        break
      case LIMIT:
        skipsRows ||= text.op(at + 2, COMMA)
        break
      case OFFSET:
        skipsRows = true
        break
      case RETURNING:
        returning = true
        break
      case SAVEPOINT:
        saves = true
        break
      case SNAPSHOT:
        snapshot = true
        break
      case FROM:
        derives ||= isTableAt(text, at + 1)
        break
    }
  }
  const isInsert = INSERTS.has(verb)
  const copies = (isInsert && tables > 0) || (verb === 'create' && tables > 1)
  const isShow = verb === 'show'
  const hidesRows = !runsNothing(text, from) && (selects > 0 || runs || copies || verb === 'table' || verb === 'with')
  const joins =
    (verb === 'update' && updatesSeveral(text, from, to)) || (verb === 'delete' && deletesSeveral(text, from, to))
  const returnsRows = returning && (isInsert || verb === 'delete')
  const lists = verb === 'get' || (isShow && (second === 'warnings' || second === 'errors'))
  const keepsConditions = lists || (isShow && second === 'count')
  const hasNoTable =
    keepsConditions ||
    TABLELESS.has(verb) ||
    (verb === 'prepare' && !has.pins.some(({ hasTables }) => hasTables === true)) ||
    (DEFINES.has(verb) && definesNoTable(text, from, to)) ||
    (verb === 'drop' && second === 'prepare') ||
    (verb === 'execute' && second !== 'immediate') ||
    (isShow ? showsNoTable(text, from) : has.tables?.length === 0 && !derives)
  return {
    verb,
    executes: verb === 'execute' && text.isName(from + 1) ? text.name(from + 1).toLowerCase() : null,
    selects,
    hidesRows,
    skipsRows,
    joins,
    returnsRows,
    leavesFoundRows:
      // SHOW COUNT(*) … is a SELECT to the server.
      lists ||
      HELPERS.has(verb) ||
      (isShow && showsWithoutRows(text, from)) ||
      maintains(text, from) ||
      explains(text, from) ||
      (!hidesRows && !joins && !LOOKING.has(verb)),
    onlyDoes: verb === 'do' && selects === 0 && has.routines.length === 0,
    keepsConditions,
    hasNoTable,
    preparesNoTable: hasNoTable || (verb === 'call' && !derives),
    isBlock: isBlock(text, from),
    savepoint: savepointAt(text, from),
    saves,
    saysTransaction: has.transaction === 'next' || has.transaction === 'begin-read-only',
    takesSnapshot: verb === 'start' && snapshot,
  }
}

/** Behind FROM: a subquery, a common table expression or a table; EXTRACT and its kin say FROM before a value or a function. */
function isTableAt(text: Text, at: number): boolean {
  if (text.op(at, OPEN)) return true
  if (text.word(at) === JSON_TABLE) return true
  if (!text.isName(at) || text.word(at) === DUAL) return false
  let last = at
  while (text.op(last + 1, DOT) && text.isName(last + 2)) last += 2
  return !text.op(last + 1, OPEN)
}

/** GRANT, REVOKE, and CREATE of anything but a table: what it is about it does not do, whatever words stand in it. */
function runsNothing(text: Text, from: number): boolean {
  const verb = text.lower(from)
  if (verb !== 'create') return verb === 'grant' || verb === 'revoke'
  let at = from + 1
  if (text.lower(at) === 'or') at += 2
  if (text.lower(at) === 'temporary') at++
  return text.word(at) !== TABLE
}

/** UPDATE a, b SET …, UPDATE a JOIN b … SET … */
function updatesSeveral(text: Text, from: number, to: number): boolean {
  for (let at = from + 1; at < to; at++) {
    const number = text.word(at)
    if (number === SET) return false
    if (number === JOIN || number === STRAIGHT_JOIN || text.op(at, COMMA)) return true
    if (BEFORE_LISTS[number] === 1 && text.op(at + 1, OPEN)) at = text.partner(at + 1)
  }
  return false
}

/** DELETE a FROM …, DELETE FROM a USING … */
function deletesSeveral(text: Text, from: number, to: number): boolean {
  let at = from + 1
  while (['low_priority', 'quick', 'ignore'].includes(text.lower(at))) at++
  if (text.word(at) !== FROM) return true
  for (; at < to; at++) {
    if (text.word(at) === USING) return true
    if (text.op(at, OPEN)) at = text.partner(at)
  }
  return false
}

function showsWithoutRows(text: Text, from: number): boolean {
  const second = text.lower(from + 1)
  return SHOWN_WITHOUT_ROWS.has(second) || (second === 'full' && text.lower(from + 2) === 'processlist')
}

/** Between its verb and what is made may stand OR REPLACE, a DEFINER and more. */
function definesNoTable(text: Text, from: number, to: number): boolean {
  let at = from + 1
  while (at < to && OBJECTS[text.word(at)] !== 1) at++
  const object = at < to ? text.word(at) : 0
  return TABLELESS_OBJECTS[object] === 1 || (TABLELESS_ONCE_MADE[object] === 1 && text.lower(from) !== 'create')
}

function showsNoTable(text: Text, from: number): boolean {
  const second = text.lower(from + 1)
  if (SHOWN_WITHOUT_TABLE.has(second)) return true
  return second === 'create' && !['table', 'view', 'sequence'].includes(text.lower(from + 2))
}

/** CHECK TABLE and its kin. */
function maintains(text: Text, from: number): boolean {
  if (!MAINTAINS.has(text.lower(from))) return false
  const at = ['local', 'no_write_to_binlog'].includes(text.lower(from + 1)) ? from + 2 : from + 1
  return ['table', 'tables'].includes(text.lower(at))
}

/** EXPLAIN of a statement, which is not carried out, and not of a table. */
function explains(text: Text, from: number): boolean {
  if (!EXPLAINS.has(text.lower(from)) || text.lower(from + 1) === 'analyze') return false
  // EXPLAIN FORMAT = JSON SELECT …
  const at = text.lower(from + 1) === 'format' ? from + 4 : from + 1
  const first = EXPLAIN_OPTIONS.has(text.lower(at)) ? at + 1 : at
  return text.op(first, OPEN) || EXPLAINED.has(text.lower(first))
}

/** BEGIN NOT ATOMIC … and its kin, perhaps behind a label. */
function isBlock(text: Text, from: number): boolean {
  const verb = text.lower(from)
  return BLOCKS.has(verb) || text.op(from + 1, COLON) || (verb === 'begin' && text.lower(from + 1) === 'not')
}

/** SAVEPOINT a, RELEASE SAVEPOINT a, ROLLBACK [WORK] TO [SAVEPOINT] a. */
function savepointAt(text: Text, from: number): SavepointChange | null {
  const verb = text.lower(from)
  let at = from + 1
  if (verb === 'release') at++
  else if (verb === 'rollback') {
    if (text.lower(at) === 'work') at++
    if (text.lower(at) !== 'to') return null
    at++
    if (text.word(at) === SAVEPOINT && text.isName(at + 1)) at++
  } else if (verb !== 'savepoint') return null
  if (!text.isName(at)) return null
  const change = verb === 'savepoint' ? 'set' : verb === 'release' ? 'release' : 'back'
  return { change, name: text.raw(at) }
}
