// Where the statements of one text begin and end. A semicolon parts them, but not inside of a routine's body.

import type { SqlContext } from './dialects.ts'
import type { Text } from './text.ts'
import { COLON, SEMICOLON } from './tokens.ts'

export interface Part {
  readonly from: number
  readonly to: number
}

const ROUTINES: ReadonlySet<string> = new Set(['procedure', 'function', 'trigger', 'event', 'package'])
const OBJECTS: ReadonlySet<string> = new Set([
  ...ROUTINES,
  ...['table', 'view', 'database', 'schema', 'user', 'role', 'index', 'server', 'tablespace', 'sequence', 'logfile'],
])
const BLOCKS: ReadonlySet<string> = new Set(['begin', 'case', 'if', 'loop', 'repeat', 'while', 'for'])
/** After these a statement of the body begins. */
const BEFORE_STEPS: ReadonlySet<string> = new Set(['begin', 'then', 'else', 'do', 'loop', 'repeat', 'atomic'])

/** Empty statements do not count. */
export function partsOf(text: Text, context: SqlContext): Part[] {
  const parts: Part[] = []
  let at = 0
  while (at < text.count) {
    if (text.op(at, SEMICOLON)) {
      at++
      continue
    }
    const to = holdsBlock(text, at, context) ? blockEnd(text, at) : nextSemicolon(text, at)
    parts.push({ from: at, to })
    at = to
  }
  return parts
}

function nextSemicolon(text: Text, from: number): number {
  let at = from
  while (at < text.count && !text.op(at, SEMICOLON)) at++
  return at
}

function holdsBlock(text: Text, from: number, context: SqlContext): boolean {
  const verb = text.lower(from)
  if (verb === 'create' || verb === 'alter') {
    for (let at = from + 1; at < text.count && !text.op(at, SEMICOLON); at++) {
      const word = text.lower(at)
      if (OBJECTS.has(word)) return ROUTINES.has(word)
    }
    return false
  }
  if (context.dialect.engine !== 'mariadb') return false
  const next = text.lower(from + 1)
  if (verb === 'begin') return from + 1 < text.count && !text.op(from + 1, SEMICOLON) && next !== 'work'
  return (BLOCKS.has(verb) && verb !== 'begin') || verb === 'declare' || text.op(from + 1, COLON)
}

/**
 * Behind the block or routine that begins at `from`. Where blocks do not come out even, all that is left belongs to it:
 * it is a write in any case.
 */
function blockEnd(text: Text, from: number): number {
  let depth = 0
  for (let at = from; at < text.count; at++) {
    if (text.op(at, SEMICOLON)) {
      if (depth === 0) return at
      continue
    }
    const word = text.lower(at)
    if (word === 'end') {
      depth--
      if (BLOCKS.has(text.lower(at + 1))) at++
      if (depth < 0) return text.count
    } else if (BLOCKS.has(word) && opens(text, at, from, word)) depth++
  }
  return text.count
}

function opens(text: Text, at: number, from: number, word: string): boolean {
  // A CASE is closed by an END wherever it stands, and a BEGIN is never anything else.
  if (word === 'case' || word === 'begin') return true
  if (at === from) return true
  const before = text.lower(at - 1)
  // FOR EACH ROW, IF [NOT] EXISTS after the kind of object.
  if (word === 'for') return (text.op(at - 1, SEMICOLON) || BEFORE_STEPS.has(before)) && text.lower(at + 1) !== 'each'
  if (ROUTINES.has(before) || OBJECTS.has(before) || before === 'drop' || before === 'body') return false
  if (word === 'if' || word === 'repeat') {
    const starts = text.op(at - 1, SEMICOLON) || text.op(at - 1, COLON) || BEFORE_STEPS.has(before)
    // Directly as a routine's body, after its parameters or characteristics.
    const body = ['row', 'deterministic', 'sql', 'data', 'invoker', 'definer'].includes(before) || text.op(at - 1, 0x29)
    return starts || (body && !(word === 'repeat' && text.op(at + 1, 0x28)))
  }
  return true
}
