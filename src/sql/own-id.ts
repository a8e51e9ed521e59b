// A session's own number in place of what asks the server for its connection's: CONNECTION_ID() and @@pseudo_thread_id,
// wherever they stand, with the same type and under the same column name. Pure.

import { CATALOGUE_TABLES, SERVER_SCHEMAS, type SqlContext } from './dialects.ts'
import { partsOf } from './parts.ts'
import { type Answer, answered, apply, type Edit } from './rewording.ts'
import type { Text } from './text.ts'
import { ASSIGN, CLOSE, DOT, EQUALS, OPEN, QUOTED, SYSTEM_VARIABLE, WORD } from './tokens.ts'

/** The text with `id` in it; null: it does not ask, or what it asks is about the server's own numbers. */
export function withOwnId(
  sql: Buffer,
  text: Text,
  { id, context, inner }: { readonly id: number; readonly context: SqlContext; readonly inner: InnerText },
): Buffer | null {
  if (namesServersOwn(text, context)) return null
  const edits: Edit[] = []
  for (const part of partsOf(text, context)) {
    const isSet = text.lower(part.from) === 'set'
    edits.push(...answered(text, part, { context, answerAt: (at) => answerAt(text, at, isSet, id) }))
    editPrepared(text, part.from, edits, inner)
  }
  return edits.length === 0 ? null : apply(sql, edits)
}

/** Looks into a text that a statement carries as a literal; null: it stays as it is. */
export type InnerText = (sql: Buffer) => Buffer | null

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

function answerAt(text: Text, at: number, isSet: boolean, id: number): Answer | null {
  const end = asked(text, at, isSet)
  if (end === 0) return null
  const number = `CAST(${id} AS UNSIGNED)`
  // The variable may be NULL to the server, and is wider.
  return { end, instead: text.kind(at) === SYSTEM_VARIABLE ? `IF(1,${number},@@pseudo_thread_id)` : number }
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

/** Where the server's own numbers stand, in tables or as the owner of a lock: there the question is about those. */
function namesServersOwn(text: Text, { systemSchema }: SqlContext): boolean {
  for (let at = 0; at < text.count; at++) {
    if (systemSchema === true && text.lower(at) === 'from') return true
    if (text.lower(at) === 'is_used_lock' && text.op(at + 1, OPEN)) return true
    if (!text.isName(at) || !text.op(at + 1, DOT) || text.op(at - 1, DOT)) continue
    const schema = text.name(at).toLowerCase()
    if (SERVER_SCHEMAS.has(schema)) return true
    if (schema !== 'information_schema') continue
    if (!text.isName(at + 2) || !CATALOGUE_TABLES.has(text.name(at + 2).toLowerCase())) return true
  }
  return false
}
