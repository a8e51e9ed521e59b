// What a client sends after its login, as far as we read it: where the SQL is, and where the parts of an execution are.

import { FieldReader, FieldWriter, MalformedMessage } from './fields.ts'
import { HEADER_BYTES, type Message } from './frames.ts'
import { COLUMN_TYPE, COMMAND, EXECUTE } from './numbers.ts'

/** The query attribute that says where a statement should go. */
export const ROUTE_ATTRIBUTE = 'sluice.route'

export interface Query {
  /** The statement; a view of the payload. */
  readonly sql: Buffer
  /** Where it begins in the payload. */
  readonly sqlAt: number
  readonly route: string | null
}

/** The statement of a query in one frame and without attributes, as nearly all are; null: it is to be read with more care. */
export function bareSql({ bytes, isShort }: Message, attributes: boolean): Buffer | null {
  const at = HEADER_BYTES + 1
  if (!isShort) return null
  if (!attributes) return bytes.subarray(at)
  // None, in one set.
  return bytes[at] === 0 && bytes[at + 1] === 1 ? bytes.subarray(at + 2) : null
}

/** `attributes`: the client has CLIENT_QUERY_ATTRIBUTES. */
export function parseQuery(payload: Buffer, attributes: boolean): Query {
  if (payload[0] !== COMMAND.QUERY) throw new MalformedMessage('not a query')
  if (!attributes) return { sql: payload.subarray(1), sqlAt: 1, route: null }
  const reader = new FieldReader(payload, 1)
  const count = reader.count()
  // The number of parameter sets, always 1.
  reader.count()
  const route = count === 0 ? null : readQueryAttributes(reader, count)
  return { sql: payload.subarray(reader.at), sqlAt: reader.at, route }
}

function readQueryAttributes(reader: FieldReader, count: number): string | null {
  const nulls = reader.take(nullBitmapBytes(count))
  if (reader.u8() === 0) throw new MalformedMessage('query attributes without types')
  return findRoute(reader, readTypes(reader, count), (index) => isNull(nulls, index))
}

/** Passes all values that are there; gives the route's, if it is a string. */
function findRoute(
  reader: FieldReader,
  types: readonly NamedType[],
  isMissing: (index: number) => boolean,
): string | null {
  let route: string | null = null
  for (const [index, type] of types.entries()) {
    if (isMissing(index)) continue
    const value = readValue(reader, type.type)
    if (isRoute(type) && value !== null) route = value.toString()
  }
  return route
}

function isRoute(type: NamedType): boolean {
  return type.name === ROUTE_ATTRIBUTE
}

export function nullBitmapBytes(count: number): number {
  return Math.ceil(count / 8)
}

function isNull(nulls: Buffer, index: number): boolean {
  return (nulls[index >> 3]! & (1 << (index & 7))) !== 0
}

interface NamedType {
  readonly type: number
  /** Empty for a parameter of the statement. */
  readonly name: string
}

/** Types as they are sent with CLIENT_QUERY_ATTRIBUTES: each with a name. */
function readTypes(reader: FieldReader, count: number): NamedType[] {
  const types: NamedType[] = []
  for (let index = 0; index < count; index++) {
    // The second byte says signed or unsigned.
    types.push({ type: reader.u16() & 0xff, name: reader.string().toString() })
  }
  return types
}

/** Passes a binary value; gives it when it is a string. Types are read as the server reads a parameter's. */
function readValue(reader: FieldReader, type: number): Buffer | null {
  switch (type) {
    case COLUMN_TYPE.TINY:
    case COLUMN_TYPE.BOOL:
      reader.skip(1)
      return null
    case COLUMN_TYPE.SHORT:
      reader.skip(2)
      return null
    case COLUMN_TYPE.LONG:
    case COLUMN_TYPE.FLOAT:
      reader.skip(4)
      return null
    case COLUMN_TYPE.LONGLONG:
    case COLUMN_TYPE.DOUBLE:
      reader.skip(8)
      return null
    default:
      return reader.string()
  }
}

/** MariaDB's clients execute what they prepared last, before they know its id. */
export const LAST_PREPARED_ID = 0xffffffff

/** COM_STMT_EXECUTE, as offsets into its payload. */
export interface ExecuteLayout {
  readonly statementId: number
  readonly flags: number
  /** A cursor was asked for. */
  readonly cursor: boolean
  /** Its types come with names, as CLIENT_QUERY_ATTRIBUTES wants it. */
  readonly named: boolean
  /** Parameters of the statement and query attributes together. */
  readonly parameterCount: number
  /** Where the bitmap of NULLs begins; the end of the payload when there are no parameters. */
  readonly nullsAt: number
  /** Where the byte is that says whether types follow. */
  readonly boundAt: number
  /** The client sent types; [typesAt, valuesAt) holds them. */
  readonly typesBound: boolean
  readonly typesAt: number
  readonly valuesAt: number
  readonly route: string | null
}

export const EXECUTE_HEAD_BYTES = 10
const FLAGS_AT = 5

/**
 * `parameterCount`: of the statement, as its prepare was answered. `attributes`: CLIENT_QUERY_ATTRIBUTES. `isLong` says
 * which parameters came as long data before, and so have no value here.
 */
export function parseExecute(
  payload: Buffer,
  parameterCount: number,
  attributes: boolean,
  isLong: (parameter: number) => boolean = neverLong,
): ExecuteLayout {
  const reader = new FieldReader(payload)
  if (reader.u8() !== COMMAND.STMT_EXECUTE) throw new MalformedMessage('not an execution')
  const statementId = reader.u32()
  const flags = reader.u8()
  // How often to execute: always once.
  reader.skip(4)
  const cursor = asksForCursor(flags)
  let count = parameterCount
  const named = attributes && (parameterCount > 0 || (flags & EXECUTE.PARAMETER_COUNT_AVAILABLE) !== 0)
  if (named) count = reader.count()
  const nullsAt = reader.at
  let boundAt = nullsAt
  let typesAt = nullsAt
  let typesBound = false
  let types = NO_TYPES
  if (count > 0) {
    reader.skip(nullBitmapBytes(count))
    boundAt = reader.at
    typesBound = reader.u8() !== 0
    typesAt = reader.at
    if (typesBound && named) types = readTypes(reader, count)
    else if (typesBound) reader.skip(2 * count)
  }
  const valuesAt = reader.at
  let route: string | null = null
  if (types.length > 0 && types.some(isRoute)) {
    const nulls = payload.subarray(nullsAt, boundAt)
    route = findRoute(reader, types, (index) => isNull(nulls, index) || isLong(index))
  }
  return {
    statementId,
    flags,
    cursor,
    named,
    parameterCount: count,
    nullsAt,
    boundAt,
    typesBound,
    typesAt,
    valuesAt,
    route,
  }
}

function asksForCursor(flags: number): boolean {
  return (flags & ~EXECUTE.PARAMETER_COUNT_AVAILABLE) !== 0
}

/** Does an execution ask for a cursor? `bytes`: the message, its head whole. */
export function opensCursor(bytes: Buffer): boolean {
  return asksForCursor(bytes[HEADER_BYTES + FLAGS_AT]!)
}

/** Which statement it is of. */
export function executedId(bytes: Buffer): number {
  const at = HEADER_BYTES + 1
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

/** The same; null when it is not what it says it is, which the server will tell in its own words. */
export function layoutOf(payload: Buffer, parameterCount: number, attributes: boolean): ExecuteLayout | null {
  try {
    return parseExecute(payload, parameterCount, attributes)
  } catch (error) {
    if (error instanceof MalformedMessage) return null
    throw error
  }
}

/** A parameter's value when it is a text. `types`: as they were bound, now or before. */
export function textParameter(payload: Buffer, layout: ExecuteLayout, types: Buffer, wanted: number): string | null {
  const typeReader = new FieldReader(types)
  const values = new FieldReader(payload, layout.valuesAt)
  const nulls = payload.subarray(layout.nullsAt, layout.boundAt)
  for (let index = 0; index < layout.parameterCount; index++) {
    const type = typeReader.u16() & 0xff
    if (layout.named) typeReader.string()
    const value = isNull(nulls, index) ? null : readValue(values, type)
    if (index === wanted) return value?.toString() ?? null
  }
  return null
}

const NO_TYPES: readonly NamedType[] = []

function neverLong(): boolean {
  return false
}

/** The same execution with `types` bound, for a backend that has not been told them; without it the client's bytes do. */
export function bindTypes(payload: Buffer, layout: ExecuteLayout, types: Buffer): Buffer {
  return Buffer.concat([
    payload.subarray(0, layout.boundAt),
    Buffer.from([1]),
    types,
    payload.subarray(layout.valuesAt),
  ])
}

export interface LongData {
  readonly statementId: number
  readonly parameter: number
  readonly bytes: Buffer
}

export function parseLongData(payload: Buffer): LongData {
  const reader = new FieldReader(payload)
  if (reader.u8() !== COMMAND.STMT_SEND_LONG_DATA) throw new MalformedMessage('not long data')
  return { statementId: reader.u32(), parameter: reader.u16(), bytes: reader.rest() }
}

export interface Fetch {
  readonly statementId: number
  readonly rows: number
}

export function parseFetch(payload: Buffer): Fetch {
  const reader = new FieldReader(payload)
  if (reader.u8() !== COMMAND.STMT_FETCH) throw new MalformedMessage('not a fetch')
  return { statementId: reader.u32(), rows: reader.u32() }
}

/** Of any command that begins with a statement's id: execute, long data, close, reset, fetch, bulk execute. */
export function statementIdOf(payload: Buffer): number {
  return new FieldReader(payload, 1).u32()
}

/** A statement's id put in place of another; in place, so only on bytes that are ours. */
export function setStatementId(payload: Buffer, id: number): void {
  if (payload.length < 5) throw new MalformedMessage('a command without the id of a statement')
  payload.writeUInt32LE(id, 1)
}

/** A command with text or bytes behind it: COM_QUERY (without attributes), COM_INIT_DB, COM_STMT_PREPARE … */
export function buildCommand(command: number, argument: string | Buffer = ''): Buffer {
  const bytes = typeof argument === 'string' ? Buffer.from(argument) : argument
  const payload = Buffer.allocUnsafe(1 + bytes.length)
  payload[0] = command
  bytes.copy(payload, 1)
  return payload
}

/** COM_QUERY; with CLIENT_QUERY_ATTRIBUTES it says that there are none. */
export function buildQuery(sql: string | Buffer, attributes: boolean): Buffer {
  if (!attributes) return buildCommand(COMMAND.QUERY, sql)
  return new FieldWriter()
    .u8(COMMAND.QUERY)
    .u8(0)
    .u8(1)
    .put(typeof sql === 'string' ? Buffer.from(sql) : sql)
    .bytes()
}

/** A command that carries a statement's id: COM_STMT_CLOSE, COM_STMT_RESET. */
export function buildStatementCommand(command: number, statementId: number): Buffer {
  return new FieldWriter().u8(command).u32(statementId).bytes()
}

/** MariaDB's COM_STMT_BULK_EXECUTE: many rows of parameters in one command. */
export interface BulkExecuteLayout {
  readonly statementId: number
  readonly flags: number
  readonly typesBound: boolean
  /** [typesAt, valuesAt) holds the types when they are bound. */
  readonly typesAt: number
  readonly valuesAt: number
}

const BULK_TYPES_BOUND = 0x80

export function parseBulkExecute(payload: Buffer, parameterCount: number): BulkExecuteLayout {
  const reader = new FieldReader(payload)
  if (reader.u8() !== COMMAND.STMT_BULK_EXECUTE) throw new MalformedMessage('not a bulk execution')
  const statementId = reader.u32()
  const flags = reader.u16()
  const typesBound = (flags & BULK_TYPES_BOUND) !== 0
  const typesAt = reader.at
  if (typesBound) reader.skip(2 * parameterCount)
  return { statementId, flags, typesBound, typesAt, valuesAt: reader.at }
}
