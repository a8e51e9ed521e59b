// SET in all its forms, and USE: what is assigned, in which scope, and whether the session or the servers change.

import type { Assignment, PinChange, TransactionEffect } from './classification.ts'
import type { Text } from './text.ts'
import {
  ASSIGN,
  CLOSE,
  COMMA,
  DOT,
  EQUALS,
  NUMBER,
  OP,
  OPEN,
  STRING,
  SYSTEM_VARIABLE,
  USER_VARIABLE,
  WORD,
} from './tokens.ts'

export interface SetEffect {
  readonly access: 'session' | 'write'
  readonly because: string
  readonly assigns: readonly Assignment[]
  readonly pins: readonly PinChange[]
  readonly transaction: TransactionEffect
  /** Where the expressions stand whose values are assigned. */
  readonly expressions: readonly (readonly [from: number, to: number])[]
}

const SCOPES: ReadonlyMap<string, Assignment['scope']> = new Map([
  ['global', 'global'],
  ['session', 'session'],
  ['local', 'session'],
  ['persist', 'persist'],
  ['persist_only', 'persist'],
])

const CHARACTERISTICS: ReadonlySet<string> = new Set([
  'transaction_isolation',
  'tx_isolation',
  'transaction_read_only',
  'tx_read_only',
])

const UNKNOWN: PinChange = { change: 'start', reason: 'unknown-state', name: null }

/** Reads the SET whose first word stands at `from`. */
export function readSet(text: Text, from: number, to: number): SetEffect {
  const first = text.lower(from + 1)
  const second = text.lower(from + 2)
  const assigned = isAssignment(text, from + 2)
  if (first === 'password') return whole('write', 'sets a password', 'implicit-commit')
  if (!assigned && first === 'default' && second === 'role')
    return whole('write', 'sets a default role', 'implicit-commit')
  if (!assigned && first === 'resource')
    return whole('write', 'moves the session to a resource group', 'none', [UNKNOWN])
  if (!assigned && first === 'role') {
    const assigns: Assignment[] = [{ scope: 'role', name: 'role', value: plainValue(text, from + 2, to) }]
    const pin: PinChange = { change: 'start', reason: 'unknown-state', name: 'role' }
    return { ...whole('write', "sets the session's role", 'none', [pin]), assigns }
  }
  if (first === 'transaction' && !assigned) {
    return whole('session', 'is about the next transaction', 'next')
  }
  if (SCOPES.has(first) && second === 'transaction' && !isAssignment(text, from + 3)) {
    return setTransaction(text, from + 3, to, SCOPES.get(first)!)
  }
  return readList(text, from + 1, to)
}

/** What `SET STATEMENT … FOR` assigns for that one statement. */
export function readPassing(text: Text, from: number, to: number): readonly Assignment[] {
  return readList(text, from, to).assigns.map(({ name, value }) => ({ scope: 'statement', name, value }))
}

function whole(
  access: SetEffect['access'],
  because: string,
  transaction: TransactionEffect,
  pins: readonly PinChange[] = [],
): SetEffect {
  return { access, because, assigns: [], pins, transaction, expressions: [] }
}

function isAssignment(text: Text, at: number): boolean {
  return text.op(at, EQUALS) || text.kind(at) === ASSIGN
}

/** SET SESSION TRANSACTION …: the same as setting the variables. */
function setTransaction(text: Text, from: number, to: number, scope: Assignment['scope']): SetEffect {
  const assigns: Assignment[] = []
  for (let at = from; at < to; at++) {
    const one = text.lower(at)
    const two = text.lower(at + 1)
    if (one === 'read' && (two === 'only' || two === 'write')) {
      assigns.push({ scope, name: 'transaction_read_only', value: two === 'only' ? '1' : '0' })
    } else if (one === 'level') {
      const level = two === 'serializable' ? two : `${two}-${text.lower(at + 2)}`
      assigns.push({ scope, name: 'transaction_isolation', value: `'${level.toUpperCase()}'` })
    }
  }
  return effectOf(assigns, [], false)
}

function readList(text: Text, from: number, to: number): SetEffect {
  const assigns: Assignment[] = []
  const expressions: [number, number][] = []
  let understood = from < to
  let next = false
  let sticky: Assignment['scope'] = 'session'
  let at = from
  while (at < to) {
    const until = itemEnd(text, at, to)
    let valueFrom = until
    const first = text.lower(at)
    const character = first === 'charset' ? at + 1 : first === 'character' || first === 'char' ? at + 2 : 0
    if (text.kind(at) === USER_VARIABLE) {
      understood &&= isAssignment(text, at + 1)
      valueFrom = at + 2
      assigns.push({ scope: 'user', name: text.variable(at), value: plainValue(text, at + 2, until) })
    } else if (first === 'names' && !isAssignment(text, at + 1)) {
      assigns.push({ scope: 'names', name: 'names', value: plainValue(text, at + 1, at + 2) })
      if (text.lower(at + 2) === 'collate') {
        assigns.push({ scope: 'names', name: 'collate', value: plainValue(text, at + 3, until) })
      }
    } else if (character > 0 && !isAssignment(text, at + 1) && (character === at + 1 || text.lower(at + 1) === 'set')) {
      assigns.push({ scope: 'names', name: 'character set', value: plainValue(text, character, until) })
    } else {
      const marked = text.kind(at) === SYSTEM_VARIABLE
      let name = marked ? at + 1 : at
      const scope = SCOPES.get(text.lower(name))
      let scoped = sticky
      if (scope !== undefined && (marked ? text.op(name + 1, DOT) : text.isName(name + 1))) {
        scoped = scope
        // A word of scope without @@ holds for what follows, too.
        if (!marked) sticky = scope
        name += marked ? 2 : 1
      } else if (marked) scoped = 'session'
      const sign = nameEnd(text, name)
      understood &&= text.isName(name) && isAssignment(text, sign)
      const variable = nameOf(text, name, sign)
      valueFrom = sign + 1
      const value = plainValue(text, valueFrom, until)
      const unscoped = marked && scope === undefined
      // Said with @@ and no scope, these two are about the next transaction only.
      if (unscoped && CHARACTERISTICS.has(variable)) next = true
      assigns.push({ scope: scoped, name: variable, value, ...(unscoped && !next ? { unscoped } : {}) })
    }
    expressions.push([valueFrom, until])
    at = until + 1
  }
  if (!understood) {
    expressions.push([from, to])
    return { ...whole('write', 'is a SET of a form unknown to us', 'none', [UNKNOWN]), assigns, expressions }
  }
  return effectOf(assigns, expressions, next)
}

function effectOf(assigns: readonly Assignment[], expressions: SetEffect['expressions'], next: boolean): SetEffect {
  const everywhere = assigns.some(({ scope }) => scope === 'global' || scope === 'persist')
  const pins: PinChange[] = []
  for (const { scope, name } of assigns) {
    if (scope === 'user') pins.push({ change: 'start', reason: 'user-variable', name })
  }
  const commits = assigns.some(
    ({ scope, name, value }) =>
      scope === 'session' && name === 'autocommit' && !/^'?(0|off|false)'?$/i.test(value ?? ''),
  )
  return {
    access: everywhere ? 'write' : 'session',
    because: everywhere ? "sets a server's variable" : "sets the session's state",
    assigns,
    pins,
    transaction: next ? 'next' : commits ? 'implicit-commit' : 'none',
    expressions,
  }
}

/** The next comma outside of parentheses. */
function itemEnd(text: Text, from: number, to: number): number {
  for (let at = from; at < to; at++) {
    if (text.op(at, OPEN)) at = Math.min(text.partner(at), to)
    else if (text.op(at, COMMA)) return at
  }
  return to
}

function nameEnd(text: Text, from: number): number {
  let at = from + 1
  while (text.op(at, DOT) && text.isName(at + 1)) at += 2
  return at
}

function nameOf(text: Text, from: number, to: number): string {
  let name = ''
  for (let at = from; at < to; at += 2)
    if (text.isName(at)) name += `${name === '' ? '' : '.'}${text.name(at).toLowerCase()}`
  return name
}

/** A single literal or word as it stands, a signed number, or null for an expression. */
function plainValue(text: Text, from: number, to: number): string | null {
  const kind = text.kind(from)
  if (to - from === 1 && (kind === STRING || kind === NUMBER || kind === WORD)) return text.raw(from)
  if (to - from === 2 && kind === OP && text.kind(from + 1) === NUMBER && !text.op(from, CLOSE)) {
    return text.raw(from) + text.raw(from + 1)
  }
  return null
}
