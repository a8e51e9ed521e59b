// User variables: asked for on one connection, and set on another, so that nobody can tell the difference. Pure.
//
// A variable is more than its value: it has a type, and also a character set where it is a number or NULL. What SQL can
// say about that is in the definition of a column made of nothing but the variable.

import type { SavedVariable, VariableWish } from '../protocol.ts'
import { COLUMN_TYPE } from './numbers.ts'
import { errorIn, type OwnReply } from './own-replies.ts'
import { parseTextRow } from './results.ts'

type VariableType = 'integer' | 'unsigned' | 'decimal' | 'double' | 'string'

/** A variable as it was found; its value is what it reads like in the character set of its collation, or NULL. */
export interface MysqlVariable extends SavedVariable {
  readonly type: VariableType
  readonly collation: string
  readonly value: Buffer | null
}

/** Nobody has a variable of this name; it shows what one looks like that was never set. */
const NEVER_SET = 'sluice: never set'
const COLUMNS_PER_VARIABLE = 4

/** The questions, to be asked in this order: what the variables are, and their values. Longer ones are not told. */
export function variableQuestions(names: readonly string[], bytesMax: number): readonly [string, string] {
  const variables = names.map(variable)
  const values = variables.map(
    // Of a double, a cast may show fewer digits than it has. To multiply changes nothing, not even the sign of zero.
    (one) =>
      `LENGTH(${one}), IF(LENGTH(${one}) > ${bytesMax}, NULL, CAST(${one} AS BINARY)), COLLATION(CONCAT(${one})), ${one} * 1e0`,
  )
  return [`SELECT ${[...variables, variable(NEVER_SET)].join(', ')} LIMIT 0`, `SELECT ${values.join(', ')} LIMIT 1`]
}

/** What the answers say; null where that is too much, or nothing that can be set elsewhere. */
export function variablesIn(
  { names, bytesMax }: VariableWish,
  replies: readonly OwnReply[],
): readonly SavedVariable[] | null {
  const [shape, values] = replies as [OwnReply, OwnReply]
  if (errorIn(shape) !== null || errorIn(values) !== null) return null
  // A session may have switched definitions off.
  if (shape.length < names.length + 3) return null
  const neverSet = definitionIn(shape[names.length + 1]!)
  const row = parseTextRow(values.at(-2)!, names.length * COLUMNS_PER_VARIABLE)
  const found: SavedVariable[] = []
  let bytes = 0
  for (const [at, name] of names.entries()) {
    const [length, text, collation, double] = row.slice(at * COLUMNS_PER_VARIABLE) as (Buffer | null)[]
    const definition = definitionIn(shape[at + 1]!)
    if (length == null && definition.equals(neverSet)) {
      found.push({ name, bytes: 0, set: false })
      continue
    }
    const type = typeOf(definition)
    bytes += length == null ? 0 : Number(ascii(length))
    if (type === null || collation == null || bytes > bytesMax) return null
    const value = length == null ? null : type === 'double' ? Buffer.from(ascii(double!)) : text!
    const variable = { name, bytes: value?.length ?? 0, set: true, type, collation: ascii(collation), value }
    if (!isExact(variable)) return null
    found.push(variable)
  }
  return found
}

/** Assignments that make these variables what they were; for a SET on a connection with this collation, or DEFAULT. */
export function assignments(variables: readonly SavedVariable[], collation: string): readonly string[] {
  const assigned: string[] = []
  for (const saved of variables) {
    if (!saved.set) continue
    const one = saved as MysqlVariable
    const assigns = assignmentsOf(one)
    // A number turned into text has the collation that was the connection's when it was assigned.
    const isForeign = one.type !== 'string' && one.collation !== collation
    if (isForeign)
      assigned.push(`collation_connection = ${one.collation}`, ...assigns, `collation_connection = ${collation}`)
    else assigned.push(...assigns)
  }
  return assigned
}

/** A NULL keeps the type of the value before it. */
const BEFORE_NULL: Readonly<Record<Exclude<VariableType, 'string'>, string>> = {
  integer: '0',
  unsigned: '18446744073709551615',
  decimal: '0.0',
  double: '0e0',
}

function assignmentsOf({ name, type, collation, value }: MysqlVariable): readonly string[] {
  const target = variable(name)
  if (type === 'string') {
    const text = value === null ? '' : value.toString('hex')
    if (collation === 'binary') return value === null ? [`${target} = NULL`] : [`${target} = x'${text}'`]
    const before = `${target} = _${charsetOf(collation)} x'${text}' COLLATE ${collation}`
    return value === null ? [before, `${target} = NULL`] : [before]
  }
  if (value === null) return [`${target} = ${BEFORE_NULL[type]}`, `${target} = NULL`]
  return [`${target} = ${numberLiteral(type, ascii(value))}`]
}

function numberLiteral(type: VariableType, digits: string): string {
  if (type === 'unsigned') return `CAST(${digits} AS UNSIGNED)`
  if (type === 'decimal') return digits.includes('.') ? digits : `${digits}.`
  return type === 'integer' || digits.includes('e') ? digits : `${digits}e0`
}

function charsetOf(collation: string): string {
  return collation.slice(0, collation.indexOf('_'))
}

const NUMBER = /^-?\d+(\.\d*)?(e[+-]?\d+)?$/
const COLLATION = /^(binary|[a-z0-9]+_[a-z0-9_]+)$/i

/** Can it be said in SQL? Servers take no text that is not valid in its character set. */
function isExact({ type, collation, value }: MysqlVariable): boolean {
  if (!COLLATION.test(collation)) return false
  if (value === null) return true
  if (type !== 'string') return NUMBER.test(ascii(value))
  return collation === 'binary' || isValid(value, charsetOf(collation))
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })
const FOUR_BYTES = 0xf0
/** What is valid in these we know of plain ASCII only. */
const ASCII_AT_LEAST: ReadonlySet<string> = new Set(
  'ascii big5 cp932 eucjpms euckr gb18030 gb2312 gbk sjis ujis'.split(' '),
)
/** The same, of nothing. */
const WIDE: ReadonlySet<string> = new Set(['utf16', 'utf16le', 'utf32'])

function isValid(text: Buffer, charset: string): boolean {
  if (charset === 'utf8mb4' || charset === 'utf8mb3' || charset === 'utf8') {
    try {
      UTF8.decode(text)
    } catch {
      return false
    }
    return charset === 'utf8mb4' || text.every((byte) => byte < FOUR_BYTES)
  }
  if (charset === 'ucs2') return text.length % 2 === 0
  if (WIDE.has(charset)) return text.length === 0
  return !ASCII_AT_LEAST.has(charset) || text.every((byte) => byte < 0x80)
}

function variable(name: string): string {
  return `@\`${name.replaceAll('`', '``')}\``
}

/** Digits and names, in whatever character set they come: the wide ones put zeros between them. */
function ascii(bytes: Buffer): string {
  return bytes.toString('latin1').replaceAll('\0', '')
}

const PLAIN_STRINGS: ReadonlySet<number> = new Set([
  COLUMN_TYPE.VARCHAR,
  COLUMN_TYPE.VAR_STRING,
  COLUMN_TYPE.STRING,
  COLUMN_TYPE.TINY_BLOB,
  COLUMN_TYPE.MEDIUM_BLOB,
  COLUMN_TYPE.LONG_BLOB,
  COLUMN_TYPE.BLOB,
])

/** Null: a type that only MariaDB's own functions make, and no literal. */
function typeOf(definition: Buffer): VariableType | null {
  const type = definition[TYPE_AT]!
  if (type === COLUMN_TYPE.LONGLONG) {
    return (definition.readUInt16LE(FLAGS_AT) & UNSIGNED) !== 0 ? 'unsigned' : 'integer'
  }
  if (type === COLUMN_TYPE.DOUBLE) return 'double'
  if (type === COLUMN_TYPE.NEWDECIMAL) return 'decimal'
  return PLAIN_STRINGS.has(type) ? 'string' : null
}

const UNSIGNED = 0x20
const TYPE_AT = 6
const FLAGS_AT = 7
const DEFINITION_BYTES = 12

/** Character set, length, type, flags and decimals of a column: all of its definition but the names before them. */
function definitionIn(payload: Buffer): Buffer {
  return payload.subarray(-DEFINITION_BYTES)
}
