// What a client asks, in this protocol's own shape. Commands that are not SQL carry the SQL that means the same, for the
// classifier; their bytes go to the backend as they came.

import type { ClientRequest, PreparedStatement, RequestKind, Settings } from '../protocol.ts'
import { settingsOf } from '../settings.ts'
import type { Message } from './frames.ts'
import type { ReplyKind } from './reply-tracker.ts'

/** Variables that decide what the text of a statement means. */
const SCOPE_VARIABLES = ['sql_mode', 'character_set_client', 'collation_connection']

/** Texts and keys of prepared statements that are remembered; all sessions of an application prepare the same. */
const SHARED_MAX = 4096
/** Longer texts are each client's own. */
const SHARED_BYTES_MAX = 4096

class Shared<T> {
  readonly #known = new Map<string, T>()

  get(key: string, make: () => T): T {
    let value = this.#known.get(key)
    if (value !== undefined) return value
    value = make()
    if (this.#known.size >= SHARED_MAX) this.#known.delete(this.#known.keys().next().value!)
    this.#known.set(key, value)
    return value
  }
}

const sharedTexts = new Shared<Buffer>()
const sharedKeys = new Shared<string>()

/** A text that outlives the message it came in, and does not keep alive what else was in there. */
export function keptText(sql: Buffer): Buffer {
  const copy = (): Buffer => {
    const kept = Buffer.allocUnsafeSlow(sql.length)
    sql.copy(kept)
    return kept
  }
  return sql.length > SHARED_BYTES_MAX ? copy() : sharedTexts.get(sql.toString('latin1'), copy)
}
const AT = 0x40

let lastSerial = 0

/** A statement the client prepared. It lives here; backend connections prepare it when they first need it. */
export class ClientStatement implements PreparedStatement {
  /** Ours; what the client calls it. */
  readonly id: number
  sql: Buffer
  classification: PreparedStatement['classification'] = null
  schema: string | null = null
  /** As the first backend to prepare it answered; -1 before that. */
  parameterCount = -1
  /** What the client knows of its results; 0: nothing. */
  columnCount = 0
  /** The parameter types the client sent last; it does not repeat them. */
  types: Buffer | null = null
  /** Chunks sent ahead for the next execution, as whole commands whose id is still ours. */
  longData: Buffer[] = []
  longDataBytes = 0
  /** The highest number of a parameter that they are for, counted from 0. */
  longDataFor = -1
  /** The connection that holds a cursor open on it. */
  cursorHome: { closeCursor(statement: ClientStatement): void } | null = null
  /** The same for statements that mean the same: the text, and the schema and modes under which it was prepared. */
  key = ''
  readonly #serial = ++lastSerial
  /** The schema in which it was prepared, and what its modes were, in the order of `SCOPE_VARIABLES`. */
  #under: { readonly schema: string | null; readonly modes: readonly (string | undefined)[] } | null = null
  #preparedKey = ''
  #rephrased: Buffer | null = null

  constructor(id: number, sql: Buffer) {
    this.id = id
    this.sql = keptText(sql)
  }

  /** It is being prepared in a session with these settings. */
  prepareUnder({ schema, variables }: Settings): void {
    const modes = SCOPE_VARIABLES.map((name) => variables.get(name))
    this.#under = { schema, modes }
    // MySQL gives user variables the types they have when it prepares: nobody else's statement means the same.
    const own = this.sql.includes(AT) ? String(this.#serial) : ''
    const key = [schema ?? '', ...modes, own, this.sql.toString('latin1')].join('\0')
    this.key = key.length > SHARED_BYTES_MAX || own !== '' ? key : sharedKeys.get(key, () => key)
    this.#preparedKey = this.key
  }

  /**
   * What a session's settings must be made for as long as it takes to prepare it anew: names and modes mean what they meant
   * when it was prepared. What was prepared without a schema names none, and can be prepared in any.
   */
  settingsToPrepare(settings: Settings): Settings {
    if (this.#under === null) return settings
    const { schema, modes } = this.#under
    const isSame = SCOPE_VARIABLES.every((name, index) => settings.variables.get(name) === modes[index])
    if (isSame && (schema === null || schema === settings.schema)) return settings
    const variables = new Map(settings.variables)
    for (const [index, name] of SCOPE_VARIABLES.entries()) {
      const mode = modes[index]
      if (mode === undefined) variables.delete(name)
      else variables.set(name, mode)
    }
    return settingsOf(schema ?? settings.schema, variables)
  }

  /** What servers are asked to prepare. */
  get text(): Buffer {
    return this.#rephrased ?? this.sql
  }

  /** Its next execution asks the same in other words; null: in its own. */
  rephrase(sql: Buffer | null): void {
    if (sql === this.#rephrased) return
    this.#rephrased = sql
    this.key = sql === null ? this.#preparedKey : `${this.#preparedKey}\0${sql.toString('latin1')}`
  }

  /** There was long data for a parameter that there is not: servers refuse to execute it, until it is reset. */
  get isMisgiven(): boolean {
    return this.longData.length > 0 && this.longDataFor >= this.parameterCount
  }

  forgetLongData(): void {
    this.longData = []
    this.longDataBytes = 0
    this.longDataFor = -1
  }
}

export class MysqlRequest implements ClientRequest {
  readonly kind: RequestKind
  readonly message: Message
  readonly sql: Buffer
  readonly prepared: ClientStatement | null
  readonly routeAttribute: string | null
  readonly opensCursor: boolean
  /** How the answer is shaped. */
  readonly reply: ReplyKind

  constructor(
    kind: RequestKind,
    message: Message,
    reply: ReplyKind,
    sql: Buffer,
    prepared: ClientStatement | null,
    route: string | null,
    opensCursor: boolean,
  ) {
    this.kind = kind
    this.message = message
    this.sql = sql
    this.prepared = prepared
    this.routeAttribute = route
    this.opensCursor = opensCursor
    this.reply = reply
  }

  get command(): number {
    return this.message.command
  }

  get bytes(): number {
    return this.message.bytes.length
  }

  /** The same with another text. */
  with(message: Message, sql: Buffer): MysqlRequest {
    return new MysqlRequest(this.kind, message, this.reply, sql, this.prepared, this.routeAttribute, this.opensCursor)
  }
}

export function requestOf(
  kind: RequestKind,
  message: Message,
  reply: ReplyKind,
  about: { sql: Buffer; prepared?: ClientStatement | null; route?: string | null; opensCursor?: boolean },
): MysqlRequest {
  const { sql, prepared = null, route = null, opensCursor = false } = about
  return new MysqlRequest(kind, message, reply, sql, prepared, route, opensCursor)
}
