// Commands about prepared statements, with the server's numbers in place of ours. Pure.

import { frame, HEADER_BYTES, type Message, PAYLOAD_BYTES_MAX } from './frames.ts'
import { bindTypes, buildStatementCommand, COMMAND, EXECUTE_HEAD_BYTES, layoutOf, nullBitmapBytes } from './messages.ts'
import type { PreparedEntry } from './prepared.ts'
import type { ClientStatement, MysqlRequest } from './request.ts'

const ID_AT = HEADER_BYTES + 1

/** The request's bytes with the server's number; in place, since they are a copy of what the client sent. */
export function withStatementId(message: Message, id: number): Buffer {
  const { bytes } = message
  bytes[ID_AT] = id
  bytes[ID_AT + 1] = id >>> 8
  bytes[ID_AT + 2] = id >>> 16
  bytes[ID_AT + 3] = id >>> 24
  return bytes
}

/**
 * The client executes without the types of its parameters, and has never told them: to a server that somebody else has told,
 * the bytes would mean something.
 */
export function needsUntold(request: MysqlRequest, entry: PreparedEntry, attributes: boolean): boolean {
  const { command, message } = request
  const statement = request.prepared!
  if (entry.types === null || statement.types !== null || statement.parameterCount === 0) return false
  if (command !== COMMAND.STMT_EXECUTE) return false
  return layoutOf(message.payload, statement.parameterCount, attributes)?.typesBound !== true
}

/** COM_STMT_EXECUTE as this server must see it, behind the long data sent ahead for it. */
export function executeBytes(request: MysqlRequest, entry: PreparedEntry, attributes: boolean): Buffer {
  const { message, command } = request
  const statement = request.prepared!
  withStatementId(message, entry.id)
  const bound = command === COMMAND.STMT_EXECUTE ? withTypes(request, entry, attributes) : null
  const { longData } = statement
  if (longData.length === 0) return bound ?? message.bytes
  for (const bytes of longData) bytes.writeUInt32LE(entry.id, ID_AT)
  return Buffer.concat([...longData, bound ?? message.bytes])
}

/** The execution with the parameter types that this server was not told; null: as it is. */
function withTypes(request: MysqlRequest, entry: PreparedEntry, attributes: boolean): Buffer | null {
  const { message } = request
  const statement = request.prepared!
  if (statement.parameterCount === 0) return null
  if (!attributes && tellsNothingNew(message, statement, entry)) {
    entry.types = statement.types ?? entry.types
    return null
  }
  const layout = layoutOf(message.payload, statement.parameterCount, attributes)
  if (layout === null) return null
  if (layout.typesBound) {
    rememberTypes(statement, entry, message.payload, layout)
    return null
  }
  // The client told the types once, maybe to another server.
  const { types } = statement
  if (types === null || entry.types === types || layout.parameterCount !== statement.parameterCount) return null
  entry.types = types
  const payload = bindTypes(message.payload, layout, types)
  if (payload.length < PAYLOAD_BYTES_MAX) payload.writeUInt32LE(entry.id, 1)
  return frame(payload, message.sequence)
}

/** What nearly all do, in an execution without attributes: they tell no types, or those that they told last. */
function tellsNothingNew(
  { bytes, isShort }: Message,
  { types, parameterCount }: ClientStatement,
  entry: PreparedEntry,
): boolean {
  const boundAt = HEADER_BYTES + EXECUTE_HEAD_BYTES + nullBitmapBytes(parameterCount)
  if (!isShort) return false
  if (bytes[boundAt] === 0) return types === null || types === entry.types
  if (bytes[boundAt] !== 1 || types === null || types.length !== 2 * parameterCount) return false
  for (let at = 0; at < types.length; at++) if (bytes[boundAt + 1 + at] !== types[at]) return false
  return true
}

function rememberTypes(
  statement: ClientStatement,
  entry: PreparedEntry,
  payload: Buffer,
  { typesAt, valuesAt }: { readonly typesAt: number; readonly valuesAt: number },
): void {
  const { types } = statement
  const isKnown = types !== null && types.compare(payload, typesAt, valuesAt) === 0
  if (!isKnown) statement.types = Buffer.from(payload.subarray(typesAt, valuesAt))
  entry.types = statement.types
}

/** Closes statements; null if there are none. Nothing answers it. */
export function closeFrames(ids: readonly number[]): Buffer | null {
  if (ids.length === 0) return null
  return Buffer.concat(ids.map((id) => frame(buildStatementCommand(COMMAND.STMT_CLOSE, id), 0)))
}
