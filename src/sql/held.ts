// Statements that make a connection hold something, or let it go: temporary tables, locks, handlers, prepared statements,
// XA transactions.

import type { PinChange, SessionFact } from './classification.ts'
import { type Effect, effect, end, type Statement, start } from './effect.ts'
import type { Text } from './text.ts'
import { COMMA, DOT, EQUALS, OPEN, STRING } from './tokens.ts'

/** `t` or `db.t` at `at`, and where it ends. */
export function qualifiedName(text: Text, at: number): { readonly name: string; readonly next: number } | null {
  if (!text.isName(at)) return null
  const qualified = text.op(at + 1, DOT) && text.isName(at + 2)
  return qualified
    ? { name: `${undotted(text.name(at))}.${undotted(text.name(at + 2))}`, next: at + 3 }
    : { name: undotted(text.name(at)), next: at + 1 }
}

/** A dot between schema and table is the only one in a name of ours. */
function undotted(name: string): string {
  return name.replaceAll('.', '\u2024')
}

/** `db.t` for a `t` in schema `db`; as it is where the schema is there already, or is not known. */
export function inSchema(name: string, schema: string | null): string {
  return schema === null || name.includes('.') ? name : `${undotted(schema)}.${name}`
}

/** The same for all temporary tables of which `pins` tell. */
export function pinsInSchema(pins: readonly PinChange[], schema: string | null): readonly PinChange[] {
  if (schema === null || pins.length === 0) return pins
  return pins.map((pin) => {
    if (pin.reason !== 'temporary-table' || pin.name === null) return pin
    const renamed = pin.renamed === undefined ? {} : { renamed: inSchema(pin.renamed, schema) }
    return { ...pin, name: inSchema(pin.name, schema), ...renamed }
  })
}

/** CREATE [OR REPLACE] TEMPORARY TABLE [IF NOT EXISTS] t …; null if it is another CREATE. */
export function createTemporary({ text, from }: Statement): readonly PinChange[] | null {
  let at = from + 1
  if (text.lower(at) === 'or' && text.lower(at + 1) === 'replace') at += 2
  if (text.lower(at) !== 'temporary') return null
  at += 2
  if (text.lower(at) === 'if') at += 3
  return [start('temporary-table', qualifiedName(text, at)?.name ?? null)]
}

/** DROP [TEMPORARY] TABLE [IF EXISTS] a, b …; any of them may be a temporary table of this session. */
export function dropTables({ text, from, to }: Statement): readonly PinChange[] {
  const pins: PinChange[] = []
  let at = from + 1
  if (text.lower(at) === 'temporary') at++
  if (!['table', 'tables', 'sequence'].includes(text.lower(at))) return pins
  at++
  if (text.lower(at) === 'if') at += 2
  while (at < to) {
    const table = qualifiedName(text, at)
    if (table === null) break
    pins.push(end('temporary-table', table.name))
    if (!text.op(table.next, COMMA)) break
    at = table.next + 1
  }
  return pins
}

/** ALTER TABLE a … RENAME [TO] b: a temporary table of this session goes by another name then. */
export function alterRenames({ text, from, to }: Statement): readonly PinChange[] {
  let at = from + 1
  while (['online', 'ignore'].includes(text.lower(at))) at++
  if (text.lower(at) !== 'table') return []
  at += text.lower(at + 1) === 'if' ? 3 : 1
  const table = qualifiedName(text, at)
  for (at = table?.next ?? to; table !== null && at < to; at++) {
    if (text.op(at, OPEN)) at = Math.min(text.partner(at), to)
    if (text.lower(at) !== 'rename' || ['column', 'index', 'key'].includes(text.lower(at + 1))) continue
    const name = ['to', 'as'].includes(text.lower(at + 1)) || text.op(at + 1, EQUALS) ? at + 2 : at + 1
    return renamed(table.name, qualifiedName(text, name)?.name)
  }
  return []
}

/** RENAME TABLE a TO b, c TO d. */
export function renames({ text, from, to }: Statement): readonly PinChange[] {
  const pins: PinChange[] = []
  let at = text.lower(from + 2) === 'if' ? from + 4 : from + 2
  while (at < to) {
    const table = qualifiedName(text, at)
    if (table === null) break
    let next = table.next
    while (next < to && text.lower(next) !== 'to') next++
    const other = qualifiedName(text, next + 1)
    pins.push(...renamed(table.name, other?.name))
    if (other === null || !text.op(other.next, COMMA)) break
    at = other.next + 1
  }
  return pins
}

function renamed(from: string, to: string | undefined): PinChange[] {
  if (to === undefined) return []
  return [{ ...start('temporary-table', to), renamed: from }, end('temporary-table', from)]
}

export function lock({ text, from }: Statement): Effect {
  const what = text.lower(from + 1)
  const backup = text.lower(from + 2) === 'for'
  const name = what === 'instance' ? 'instance' : backup ? 'backup' : 'tables'
  const transaction = name === 'tables' ? 'implicit-commit' : 'none'
  return effect('write', `locks ${name}`, { transaction, pins: [start('table-lock', name)], tables: null })
}

export function unlock({ text, from }: Statement): Effect {
  const what = text.lower(from + 1)
  if (what === 'instance') return effect('write', 'releases a lock', { pins: [end('table-lock', 'instance')] })
  if (what === 'binlog') return effect('write', 'releases a lock', { pins: [end('table-lock', 'backup')] })
  const pins = ['tables', 'global read lock', 'backup'].map((name) => end('table-lock', name))
  return effect('write', 'releases table locks', { transaction: 'implicit-commit', pins })
}

export function flush({ text, from, to }: Statement): Effect {
  let at = from + 1
  if (['no_write_to_binlog', 'local'].includes(text.lower(at))) at++
  const pins: PinChange[] = []
  if (['table', 'tables'].includes(text.lower(at))) {
    for (let next = at + 1; next < to; next++) {
      const word = text.lower(next)
      const locks = word === 'with' && text.lower(next + 1) === 'read' && text.lower(next + 2) === 'lock'
      if (locks) pins.push(start('table-lock', next === at + 1 ? 'global read lock' : 'tables'))
      else if (word === 'for' && text.lower(next + 1) === 'export') pins.push(start('table-lock', 'tables'))
    }
  }
  return effect('write', 'is a FLUSH', { transaction: 'implicit-commit', pins, tables: null })
}

/** MariaDB's BACKUP STAGE, BACKUP LOCK and BACKUP UNLOCK. */
export function backup({ text, from }: Statement): Effect {
  const what = text.lower(from + 1)
  const pins: PinChange[] = []
  if (what === 'stage') {
    pins.push(text.lower(from + 2) === 'end' ? end('table-lock', 'backup stage') : start('table-lock', 'backup stage'))
  } else if (what === 'lock') pins.push(start('table-lock', 'backup lock'))
  else if (what === 'unlock') pins.push(end('table-lock', 'backup lock'))
  return effect('write', 'is about a backup', { pins, tables: null })
}

export function handler({ text, from, to }: Statement): Effect {
  const table = qualifiedName(text, from + 1)
  const because = 'works with a handler'
  if (table === null) return effect('write', because, { pins: [start('handler', null)], tables: null })
  const verb = text.lower(table.next)
  const name = text.name(table.next - 1)
  if (verb === 'close') return effect('write', because, { pins: [end('handler', name)], tables: null })
  if (verb !== 'open') return effect('write', because, { tables: null })
  const alias = text.lower(table.next + 1) === 'as' ? table.next + 2 : table.next + 1
  const opened = alias < to && text.isName(alias) ? text.name(alias) : name
  return effect('write', because, { pins: [start('handler', opened)], tables: null })
}

export function xa({ text, from, to }: Statement): Effect {
  const verb = text.lower(from + 1)
  // Several literals make one xid; as text they only have to match each other.
  let name = ''
  for (let at = from + 2; at < to && text.kind(at) !== 0; at++) {
    if (['join', 'resume', 'suspend', 'one'].includes(text.lower(at))) break
    name += text.raw(at)
  }
  const pins: PinChange[] = []
  if (verb === 'start' || verb === 'begin') pins.push(start('xa', name))
  else if (verb === 'commit' || verb === 'rollback') pins.push(end('xa', name))
  return effect('write', 'is part of an XA transaction', { pins, literal: true, tables: null })
}

/** GET DIAGNOSTICS @a = …, @b = …, and of which condition may stand in a variable, too. */
export function diagnostics({ text, from, to }: Statement): Effect {
  const pins: PinChange[] = []
  const facts: SessionFact[] = ['diagnostics']
  for (let at = from; at < to; at++) {
    if (!text.raw(at).startsWith('@')) continue
    if (text.op(at + 1, 0x3d)) pins.push(start('user-variable', text.variable(at)))
    else if (facts.length === 1) facts.push('user-variable')
  }
  return effect('session', 'asks for diagnostics', { pins, facts })
}

/** The text that PREPARE or EXECUTE IMMEDIATE gives as a plain literal at `at`, or null. */
export function preparedText({ text, to }: Statement, at: number): string | null {
  return text.kind(at) === STRING && at + 1 === to ? text.literal(at) : null
}
