// What one statement does: by its first words, and then by what its expressions do. What is not known here is a write.

import { readPassing, readSet } from './assignments.ts'
import type { PinChange, Release, SessionFact } from './classification.ts'
import { type Effect, effect, end, type Statement, start } from './effect.ts'
import {
  alterRenames,
  backup,
  createTemporary,
  diagnostics,
  dropTables,
  flush,
  handler,
  lock,
  preparedText,
  qualifiedName,
  renames,
  unlock,
  xa,
} from './held.ts'
import { show } from './show.ts'
import { type Survey, survey } from './survey.ts'
import { tablesIn } from './tables.ts'
import type { Text } from './text.ts'
import { DOT, EQUALS, NUMBER, OPEN, PARAM, STRING, USER_VARIABLE } from './tokens.ts'

/** Looks into a text that a statement carries as a literal. */
export type Inner = (sql: string, statement: Statement) => Effect

const NO_FACTS: ReadonlySet<SessionFact> = new Set()
const READ_VERBS: ReadonlySet<string> = new Set(['select', 'table', 'values', 'with'])
const EXPLAINED: ReadonlySet<string> = new Set([...READ_VERBS, 'delete', 'insert', 'replace', 'update', 'execute'])

/** First words of what commits an open transaction, whatever comes after them. */
const COMMITTING: ReadonlySet<string> = new Set([
  'analyze',
  'cache',
  'change',
  'check',
  'create',
  'drop',
  'grant',
  'import',
  'install',
  'optimize',
  'purge',
  'repair',
  'reset',
  'revoke',
  'start',
  'stop',
  'truncate',
  'uninstall',
])

export function effectOf(statement: Statement, inner: Inner): Effect {
  const { text, from, to, context } = statement
  let head = from
  while (head < to && text.op(head, OPEN)) head++
  const verb = text.lower(head)
  if (READ_VERBS.has(verb)) return read(statement, verb)
  if (head > from) return effect('write', 'does not begin as a read does', { ...leftBehind(statement), tables: null })

  const second = text.lower(from + 1)
  switch (verb) {
    case 'explain':
    case 'describe':
    case 'desc':
      return explain(statement, inner)
    case 'analyze':
      if (context.dialect.engine === 'mariadb' && !isAnalyzeTable(second)) return explain(statement, inner)
      break
    case 'show':
      return show(statement)
    case 'set':
      return set(statement, inner)
    case 'use': {
      const value = text.isName(from + 1) ? text.name(from + 1) : null
      return effect('session', "changes the session's schema", {
        assigns: [{ scope: 'schema', name: 'schema', value }],
      })
    }
    case 'begin':
      return from + 1 === to || (second === 'work' && from + 2 === to) ? begin(false) : compound(statement, inner)
    case 'start':
      if (second === 'transaction') return begin(isReadOnly(statement))
      break
    case 'commit':
    case 'rollback':
      return endTransaction(statement)
    case 'savepoint':
      return effect('session', 'sets a savepoint')
    case 'release':
      return effect('session', 'releases a savepoint')
    case 'xa':
      return xa(statement)
    case 'get':
      return diagnostics(statement)
    case 'prepare':
      return prepare(statement, inner)
    case 'deallocate':
      return deallocate(statement)
    case 'execute':
      return execute(statement, inner)
    case 'call':
      return call(statement)
    case 'kill':
      return kill(statement)
    case 'lock':
      return lock(statement)
    case 'unlock':
      return unlock(statement)
    case 'flush':
      return flush(statement)
    case 'backup':
      return backup(statement)
    case 'handler':
      return handler(statement)
    case 'create': {
      const pins = createTemporary(statement)
      if (pins !== null)
        return effect('write', 'creates a temporary table', { ...leftBehind(statement, pins), tables: null })
      break
    }
    case 'drop': {
      if (second === 'prepare') return deallocate(statement)
      const transaction = second === 'temporary' ? 'none' : 'implicit-commit'
      return effect('write', 'is a DROP', { transaction, pins: dropTables(statement), tables: null })
    }
    case 'alter':
      return effect('write', 'is an ALTER', {
        transaction: 'implicit-commit',
        pins: alterRenames(statement),
        tables: null,
      })
    case 'rename':
      return effect('write', 'is a RENAME', { transaction: 'implicit-commit', pins: renames(statement), tables: null })
    case 'insert':
    case 'replace':
    case 'update':
    case 'delete':
      return effect('write', `is ${verb === 'insert' || verb === 'update' ? 'an' : 'a'} ${verb.toUpperCase()}`, {
        ...leftBehind(statement),
        tables: tablesIn(text, from, to),
      })
    case 'load':
      return load(statement)
    case 'if':
    case 'case':
    case 'loop':
    case 'repeat':
    case 'while':
    case 'for':
    case 'declare':
      return compound(statement, inner)
    case 'do':
      return effect('write', 'is a DO', leftBehind(statement))
  }
  if (COMMITTING.has(verb)) {
    const facts = verb === 'create' ? surveyed(statement, from, to).facts : NO_FACTS
    return effect('write', `is ${/^[aeiou]/.test(verb) ? 'an' : 'a'} ${verb.toUpperCase()}`, {
      transaction: 'implicit-commit',
      tables: null,
      // CREATE TABLE … SELECT asks for it now.
      facts: facts.has('connection-id') ? ['connection-id'] : [],
    })
  }
  const because = verb === '' ? 'does not begin with a word' : `${verb.toUpperCase()} is not known to be a read`
  return effect('write', because, { ...leftBehind(statement), tables: null })
}

function surveyed({ text, context, vouched }: Statement, from: number, to: number): Survey {
  return survey(text, from, to, context, vouched)
}

/** What a write's expressions ask of the session and leave behind in it. */
function leftBehind(
  statement: Statement,
  pins: readonly PinChange[] = [],
): Pick<Effect, 'pins' | 'facts' | 'routines' | 'literal'> {
  const { pins: left, facts, routines, literal } = surveyed(statement, statement.from, statement.to)
  return { pins: [...pins, ...left], facts: [...facts], routines, literal }
}

function read(statement: Statement, verb: string): Effect {
  const { text, from, to, context } = statement
  const found = surveyed(statement, from, to)
  const { facts, pins, routines, literal } = found
  const tables = found.vouched ? null : tablesIn(text, from, to)
  const more = { facts: [...facts], pins, routines, literal, tables }
  const obstacle = found.writes ?? found.obstacle
  if (obstacle !== null) return effect('write', obstacle, more)
  if (verb === 'table' && context.dialect.engine === 'mariadb')
    return effect('write', 'is no statement of MariaDB', more)
  if (found.ofOneServer !== null) return effect('write', found.ofOneServer, more)
  const own = [...facts].find((fact) => fact !== 'user-variable')
  if (own !== undefined) return effect('session', `asks for the session's ${own.replaceAll('-', ' ')}`, more)
  return effect('read', facts.has('user-variable') ? 'only reads, user variables too' : 'only reads', more)
}

function isAnalyzeTable(second: string): boolean {
  return ['table', 'tables', 'local', 'no_write_to_binlog'].includes(second)
}

/** EXPLAIN and its kin: a read if what it explains is one. */
function explain(statement: Statement, inner: Inner): Effect {
  const { text, from, to } = statement
  const pins: PinChange[] = []
  let at = from + 1
  for (;;) {
    const word = text.lower(at)
    if (word === 'format' && text.op(at + 1, EQUALS)) at += 3
    else if (word === 'for' && ['schema', 'database'].includes(text.lower(at + 1))) at += 3
    else if (word === 'into' && text.kind(at + 1) === USER_VARIABLE) {
      pins.push(start('user-variable', text.variable(at + 1)))
      at += 2
    } else if (['analyze', 'extended', 'partitions'].includes(word) && !isEndOfName(statement, at + 1)) at++
    else break
  }
  const word = text.lower(at)
  if (word === 'for') return effect('write', 'asks about another connection', { literal: true })
  if (EXPLAINED.has(word) || text.op(at, OPEN)) {
    const explained = effectOf({ ...statement, from: at }, inner)
    const { access, because, facts, routines, tables, literal } = explained
    pins.push(...explained.pins.filter(({ change }) => change === 'start'))
    const more = { pins, facts, routines, tables, literal }
    if (pins.length > 0) return effect('write', 'explains what the session keeps', more)
    if (access === 'read') return effect('read', 'explains a read', more)
    return effect(access, `explains what is no read: ${because}`, more)
  }
  const table = text.lower(from) === 'analyze' ? null : qualifiedName(text, at)
  const rest = surveyed(statement, at, to)
  if (table === null || to - table.next > 1 || rest.writes !== null) {
    return effect('write', 'explains what is not known to be a read', { ...leftBehind(statement), tables: null })
  }
  if (rest.ofOneServer !== null) return effect('write', rest.ofOneServer)
  return effect('read', 'describes a table', { tables: [table.name] })
}

/** True where a word that could be an option is all there is: the name of a table. */
function isEndOfName({ text, to }: Statement, at: number): boolean {
  return at >= to || text.op(at, DOT)
}

function set(statement: Statement, inner: Inner): Effect {
  const { text, from, to, context } = statement
  if (text.lower(from + 1) === 'statement' && context.dialect.engine === 'mariadb') {
    let at = from + 2
    while (at < to && text.lower(at) !== 'for') at = text.op(at, OPEN) ? Math.min(text.partner(at), to) + 1 : at + 1
    if (at > from + 2 && at < to && !text.op(from + 2, EQUALS) && statement.depth > 0) {
      const settings = surveyed(statement, from + 2, at)
      const governed = effectOf({ ...statement, from: at + 1, depth: statement.depth - 1 }, inner)
      const assigns = [...readPassing(text, from + 2, at), ...governed.assigns]
      if (settings.writes === null) return { ...governed, assigns, literal: governed.literal || settings.literal }
      return { ...governed, assigns, access: 'write', because: settings.writes }
    }
  }
  const { access, because, assigns, pins, transaction, expressions } = readSet(text, from, to)
  const facts = new Set<SessionFact>()
  const allPins = [...pins]
  const routines: string[] = []
  let writes: string | null = null
  for (const [start, stop] of expressions) {
    const found = surveyed(statement, start, stop)
    writes ??= found.writes
    routines.push(...found.routines)
    for (const fact of found.facts) facts.add(fact)
    allPins.push(...found.pins)
  }
  // A user variable pins, and a pin belongs on the writer, wherever the facts it is made of stand.
  if (facts.size > 0 && allPins.length > 0) writes ??= 'sets user variables from what the session knows'
  return effect(writes === null ? access : 'write', writes ?? because, {
    assigns,
    pins: allPins,
    transaction,
    facts: [...facts],
    routines,
    literal: hasLiterals(statement),
  })
}

function hasLiterals({ text, from, to }: Statement): boolean {
  for (let at = from; at < to; at++) {
    const kind = text.kind(at)
    if (kind === STRING || kind === NUMBER || kind === PARAM) return true
  }
  return false
}

function begin(readOnly: boolean): Effect {
  // A transaction's begin releases table locks.
  const pins = [end('table-lock', 'tables')]
  return readOnly
    ? effect('session', 'begins a read-only transaction', { transaction: 'begin-read-only', pins })
    : effect('write', 'begins a transaction', { transaction: 'begin', pins })
}

function isReadOnly({ text, from, to }: Statement): boolean {
  for (let at = from; at < to; at++) if (text.lower(at) === 'read' && text.lower(at + 1) === 'only') return true
  return false
}

function endTransaction({ text, from, to }: Statement): Effect {
  let chain = false
  let release: Release = 'as set'
  for (let at = from + 1; at < to; at++) {
    if (text.lower(at) === 'to') return effect('session', 'goes back to a savepoint')
    if (text.lower(at) === 'chain' && text.lower(at - 1) !== 'no') chain = true
    if (text.lower(at) === 'release') release = text.lower(at - 1) === 'no' ? 'no' : 'yes'
  }
  if (chain) return effect('write', 'ends a transaction and begins the next', { transaction: 'begin', release })
  return effect('session', 'ends a transaction', { transaction: 'end', release })
}

function prepare(statement: Statement, inner: Inner): Effect {
  const { text, from } = statement
  const pins = [start('sql-prepared', text.isName(from + 1) ? text.name(from + 1).toLowerCase() : null)]
  const because = 'prepares a statement in SQL'
  const sql = text.lower(from + 2) === 'from' ? preparedText(statement, from + 3) : null
  if (sql === null || statement.depth === 0) {
    // Whatever it does when executed is done behind our back.
    pins.push(start('unknown-state', null))
    return effect('write', because, { ...leftBehind(statement, pins), literal: true, tables: null })
  }
  const prepared = inner(sql, statement)
  const findsNone = FINDS_NONE.test(sql) && !MAY_FIND.test(sql) && prepared.routines.length === 0
  const hasTables = prepared.tables !== null && prepared.tables.length > 0
  const { release } = prepared
  pins[0] = {
    ...pins[0]!,
    ...(findsNone ? { findsNone } : {}),
    ...(hasTables ? { hasTables } : {}),
    ...(release === 'no' ? {} : { release }),
  }
  pins.push(...prepared.pins.filter(({ change }) => change === 'start'))
  // The text keeps the number that it is given now; all else it asks for when it is executed.
  const facts = prepared.facts.filter((fact) => fact === 'connection-id')
  return effect('write', because, { pins, facts, routines: prepared.routines, literal: true, tables: null })
}

/** What is prepared most often besides reads, and surely looks for no rows. */
const FINDS_NONE = /^\s*(set|insert|replace)\b/i
const MAY_FIND = /\b(select|table|with|returning|statement|row)\b/i

function deallocate({ text, from }: Statement): Effect {
  const name = text.isName(from + 2) ? text.name(from + 2).toLowerCase() : null
  return effect('write', 'lets go of a prepared statement', { pins: name === null ? [] : [end('sql-prepared', name)] })
}

function execute(statement: Statement, inner: Inner): Effect {
  const { text, from } = statement
  const immediate = text.lower(from + 1) === 'immediate'
  const because = 'executes a statement prepared in SQL'
  if (!immediate) return effect('write', because, { ...leftBehind(statement), tables: null })
  const sql = preparedText(statement, from + 2)
  if (sql === null || statement.depth === 0) {
    const pins = [start('unknown-state', null)]
    return effect('write', 'executes a text unknown to us', {
      ...leftBehind(statement, pins),
      literal: true,
      tables: null,
    })
  }
  return { ...inner(sql, statement), literal: true }
}

function call(statement: Statement): Effect {
  const { text, from, to, vouched } = statement
  const found = surveyed(statement, from + 1, to)
  const pins = [...found.pins]
  // Any variable given may be an OUT parameter.
  for (let at = from; at < to; at++) {
    if (text.kind(at) === USER_VARIABLE) pins.push(start('user-variable', text.variable(at)))
  }
  const procedure = qualifiedName(text, from + 1)
  const name = procedure?.name.toLowerCase() ?? ''
  const listed = vouched.procedures.has(name) || vouched.procedures.has(name.slice(name.indexOf('.') + 1))
  const args = procedure === null ? found : surveyed(statement, procedure.next, to)
  const routines = listed ? args.routines : [procedure?.name ?? '', ...args.routines]
  const more = { pins, facts: [...found.facts], routines, literal: found.literal, tables: null }
  if (!listed || pins.length > 0) return effect('write', `calls the procedure ${name}, which may write`, more)
  if (args.writes !== null || args.obstacle !== null) return effect('write', args.writes ?? 'calls a procedure', more)
  if (found.ofOneServer !== null || found.facts.size > 0) return effect('write', 'calls a procedure', more)
  return effect('read', `calls ${name}, which the settings list as a read`, more)
}

function kill(statement: Statement): Effect {
  const { text, from, to, context } = statement
  let at = from + 1
  if (['hard', 'soft'].includes(text.lower(at))) at++
  const what = text.lower(at) === 'query' ? 'query' : 'connection'
  if (['connection', 'query'].includes(text.lower(at))) at++
  const plain = text.kind(at) === NUMBER && at + 1 === to && /^\d+$/.test(text.raw(at))
  const id = plain ? Number(text.raw(at)) : null
  const isUser = text.lower(at) === 'user' && context.dialect.engine === 'mariadb'
  const user = isUser && at + 1 < to ? userAt(text, at + 1) : null
  return effect('write', 'kills', { ...leftBehind(statement), kill: { what, id, user }, literal: true })
}

/** A user's name; empty for the one who asks, null where it is not plain or means those of one host. */
function userAt(text: Text, at: number): string | null {
  if (text.kind(at + 1) === USER_VARIABLE && text.variable(at + 1) !== '%') return null
  if (text.lower(at) === 'current_user') return ''
  return text.isName(at) ? text.name(at) : text.literal(at)
}

function load(statement: Statement): Effect {
  const { text, from, to } = statement
  const pins: PinChange[] = []
  for (let at = from; at < to; at++) {
    if (text.kind(at) === USER_VARIABLE) pins.push(start('user-variable', text.variable(at)))
  }
  const index = text.lower(from + 1) === 'index'
  const transaction = index ? 'implicit-commit' : 'none'
  return effect('write', 'is a LOAD', { ...leftBehind(statement, pins), transaction, tables: null })
}

/** BEGIN NOT ATOMIC … END and its kin: a write, that may leave behind what any statement in it leaves behind. */
function compound(statement: Statement, inner: Inner): Effect {
  const { text, from, to } = statement
  const pins: PinChange[] = []
  const facts = new Set<SessionFact>()
  const routines: string[] = []
  let start = from + 1
  for (let at = from + 1; at <= to; at++) {
    const begins = at < to && STEPS.has(text.lower(at))
    if (at < to && !begins && !text.op(at, 0x3b)) continue
    if (at > start && !COMPOUND.has(text.lower(start))) {
      const step = effectOf({ ...statement, from: start, to: at }, inner)
      pins.push(...step.pins.filter(({ change }) => change === 'start'))
      for (const fact of step.facts) facts.add(fact)
      routines.push(...step.routines)
    }
    start = at + 1
  }
  return effect('write', 'is a compound statement', { pins, facts: [...facts], routines, literal: true, tables: null })
}

const STEPS: ReadonlySet<string> = new Set(['atomic', 'begin', 'then', 'else', 'do', 'loop', 'repeat'])
const COMPOUND: ReadonlySet<string> = new Set(['begin', 'if', 'case', 'loop', 'repeat', 'while', 'for', 'declare'])
