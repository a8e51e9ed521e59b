// What a client has prepared, by the numbers it knows them under, and the commands that are about them. The servers'
// own numbers are another matter: see prepared.ts.

import { ProxyError } from '../../errors.ts'
import type { ClientRequest } from '../protocol.ts'
import { FrameError, HEADER_BYTES, type Message } from './frames.ts'
import {
  CAPABILITY,
  COMMAND,
  EXECUTE_HEAD_BYTES,
  executedId,
  LAST_PREPARED_ID,
  layoutOf,
  MalformedMessage,
  opensCursor,
  parseLongData,
  type ServerVersion,
  statementIdOf,
  textParameter,
} from './messages.ts'
import { ClientStatement, type MysqlRequest, requestOf } from './request.ts'

/** The client, as far as its statements need it. */
export interface Preparer {
  readonly engine: ServerVersion['engine']
  readonly capabilities: number
  /** It was answered from here. */
  answered: boolean
  /** What a PING tells. */
  warnings: number
  ok(): void
  fail(error: ProxyError): void
}

export interface StatementBounds {
  readonly preparedMax: number
  /** Of the long data of one statement, too. */
  readonly requestBytesMax: number
}

/** COM_STMT_CLOSE, COM_STMT_FETCH and the head of COM_STMT_SEND_LONG_DATA: an id, and what belongs to it. */
const CLOSE_BYTES = 5
const LONG_DATA_HEAD_BYTES = 7
const FETCH_BYTES = 9
const STATEMENT_ID_MAX = 0x7fffffff

export class ClientStatements {
  readonly #client: Preparer
  readonly #bounds: StatementBounds
  readonly #statements = new Map<number, ClientStatement>()
  #last: ClientStatement | null = null
  #nextId = 1

  constructor(client: Preparer, bounds: StatementBounds) {
    this.#client = client
    this.#bounds = bounds
  }

  /** The request in a COM_STMT_… message, or null if it is answered already. Throws MalformedMessage and FrameError. */
  read(message: Message): MysqlRequest | null {
    switch (message.command) {
      case COMMAND.STMT_PREPARE:
        return this.prepare(message)
      case COMMAND.STMT_SEND_LONG_DATA:
        if (!this.isIgnored(message.payload, LONG_DATA_HEAD_BYTES)) this.keepLongData(message)
        return null
      case COMMAND.STMT_FETCH:
        return this.fetch(message)
      case COMMAND.STMT_RESET:
        return this.reset(message)
      case COMMAND.STMT_CLOSE:
        if (!this.isIgnored(message.payload, CLOSE_BYTES)) this.close(statementIdOf(message.payload))
        return null
      default:
        return this.execute(message)
    }
  }

  /** A statement that no backend could prepare does not exist. */
  forget(statement: ClientStatement): void {
    this.#statements.delete(statement.id)
    if (this.#last === statement) this.#last = null
  }

  /** Numbers go on: none means two statements in one session. */
  forgetAll(): void {
    this.#statements.clear()
    this.#last = null
  }

  private prepare(message: Message): MysqlRequest | null {
    const { preparedMax } = this.#bounds
    if (this.#statements.size >= preparedMax) {
      const text = `Can't create more than max_prepared_stmt_count statements (current value: ${preparedMax}; limits.preparedPerSessionMax)`
      this.#client.fail(new ProxyError('PREPARED_MAX', text))
      return null
    }
    const statement = new ClientStatement(this.#nextId, message.payload.subarray(1))
    this.#nextId = (this.#nextId % STATEMENT_ID_MAX) + 1
    this.#statements.set(statement.id, statement)
    this.#last = statement
    return requestOf('prepare', message, 'prepare', { sql: statement.sql, prepared: statement })
  }

  private execute(message: Message): MysqlRequest | null {
    const { bytes, command } = message
    const isBulk = command === COMMAND.STMT_BULK_EXECUTE
    // The payload itself is not looked at where it need not be: to show it takes an object.
    if (!isBulk && bytes.length < HEADER_BYTES + EXECUTE_HEAD_BYTES)
      throw new MalformedMessage('an execution without its head')
    const id = isBulk ? statementIdOf(message.payload) : executedId(bytes)
    const statement = this.statementFor(id, 'mysqld_stmt_execute')
    if (statement === null) return null
    statement.rephrase(null)
    const attributes = hasAttributes(this.#client)
    const isLast = id === LAST_PREPARED_ID
    const mustLook = !isBulk && (attributes || isLast)
    const layout = mustLook ? layoutOf(message.payload, statement.parameterCount, attributes) : null
    // Whoever does not know its number cannot know that the types were told before, nor how many parameters there are.
    if (isLast && !isBulk && statement.parameterCount > 0 && layout?.typesBound !== true) {
      throw new MalformedMessage('parameters without their types')
    }
    const route = layout?.route ?? null
    const isForCursor = !isBulk && opensCursor(bytes)
    return requestOf('execute', message, isForCursor ? 'cursor' : 'query', {
      sql: statement.sql,
      prepared: statement,
      route,
      opensCursor: isForCursor,
    })
  }

  private fetch(message: Message): MysqlRequest | null {
    const { engine } = this.#client
    if (engine === 'mysql' && message.payload.length < FETCH_BYTES) throw new MalformedMessage('half a fetch')
    const statement = this.statementFor(statementIdOf(message.payload), 'mysqld_stmt_fetch')
    if (statement === null) return null
    if (statement.cursorHome !== null) {
      return requestOf('continue', message, 'fetch', { sql: statement.sql, prepared: statement })
    }
    const stop = engine === 'mysql' ? '.' : ''
    this.#client.fail(new ProxyError('NO_CURSOR', `The statement (${statement.id}) has no open cursor${stop}`))
    return null
  }

  private reset(message: Message): MysqlRequest | null {
    const statement = this.statementFor(statementIdOf(message.payload), 'mysqld_stmt_reset')
    if (statement === null) return null
    statement.forgetLongData()
    if (statement.cursorHome !== null) {
      return requestOf('continue', message, 'single', { sql: statement.sql, prepared: statement })
    }
    this.#client.answered = true
    // Conditions stay; a PING counts those of this command.
    this.#client.warnings = 0
    this.#client.ok()
    return null
  }

  private close(id: number): void {
    const statement = this.find(id)
    if (statement === null) return
    statement.cursorHome?.closeCursor(statement)
    this.forget(statement)
  }

  private keepLongData(message: Message): void {
    const { statementId, parameter } = parseLongData(message.payload)
    const statement = this.find(statementId)
    // There is no answer to long data: the server, too, says what is wrong when the statement is executed.
    if (statement === null) return
    const { requestBytesMax } = this.#bounds
    statement.longDataBytes += message.bytes.length
    if (statement.longDataBytes > requestBytesMax) {
      throw new FrameError('too large', `long data of more than ${requestBytesMax} bytes for parameter ${parameter}`)
    }
    statement.longData.push(message.bytes)
    statement.longDataFor = Math.max(statement.longDataFor, parameter)
  }

  private find(id: number): ClientStatement | null {
    if (id === LAST_PREPARED_ID && this.#client.engine === 'mariadb') return this.#last
    return this.#statements.get(id) ?? null
  }

  private statementFor(id: number, where: string): ClientStatement | null {
    const { engine } = this.#client
    const statement = this.find(id)
    if (statement !== null) return statement
    // MySQL looks statements up in one place, MariaDB in each command.
    const place = engine === 'mysql' ? 'mysql_stmt_precheck' : where
    this.#client.fail(
      new ProxyError('UNKNOWN_STATEMENT', `Unknown prepared statement handler (${id}) given to ${place}`),
    )
    return null
  }

  /** MariaDB drops what is too short of a command that nobody answers; MySQL answers it all the same. */
  private isIgnored(payload: Buffer, bytesMin: number): boolean {
    return payload.length < bytesMin && this.#client.engine === 'mariadb'
  }
}

/** A parameter's value as text, where a request executes a statement with it; null: it has none, or it cannot be told. */
export function parameterIn(
  request: ClientRequest,
  index: number,
  client: Pick<Preparer, 'capabilities'>,
): string | null {
  const { message, prepared } = request as MysqlRequest
  if (message.payload[0] !== COMMAND.STMT_EXECUTE || prepared === null || prepared.longData.length > 0) return null
  const layout = layoutOf(message.payload, prepared.parameterCount, hasAttributes(client))
  if (layout === null) return null
  const types = layout.typesBound ? message.payload.subarray(layout.typesAt, layout.valuesAt) : prepared.types
  try {
    return types === null ? null : textParameter(message.payload, layout, types, index)
  } catch (error) {
    if (error instanceof MalformedMessage) return null
    throw error
  }
}

function hasAttributes({ capabilities }: Pick<Preparer, 'capabilities'>): boolean {
  return (capabilities & CAPABILITY.QUERY_ATTRIBUTES) !== 0
}
