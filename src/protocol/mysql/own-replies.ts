// The answers to commands of our own, collected whole: they are few and short, and none of it goes to a client. Pure.

import type { Refusal, SettingsChange } from '../protocol.ts'
import { MessageReader } from './frames.ts'
import {
  LEAD,
  parseChanges,
  parseError,
  parseOk,
  parseTextRow,
  type ServerError,
  TRACK,
  type TrackedChange,
} from './messages.ts'
import { type ReplyForm, type ReplyKind, ReplyTracker } from './reply-tracker.ts'
import { addFollowing, isKept } from './variables.ts'

/** A command of our own, and how its answer is shaped. */
export type OwnCommand = readonly [payload: Buffer, reply: ReplyKind]

/** A connection on which we may ask something of our own. */
export interface Asker {
  readonly engine: 'mysql' | 'mariadb'
  readonly capabilities: number
  readonly form: ReplyForm
  /** Statements are sent with attributes. */
  readonly attributes: boolean
  /** The commands go out together; their replies in order. Throws BackendLost. */
  ask(commands: readonly OwnCommand[]): Promise<readonly OwnReply[]>
  /** One statement, and its rows as text. Throws BackendLost. */
  query(sql: string): Promise<Rows | Refusal>
}

export type Rows = readonly (readonly (string | null)[])[]

/** One command's answer: the payloads of its messages. */
export type OwnReply = readonly Buffer[]

const NOTHING = Buffer.alloc(0)
/** More than this is no answer to anything we ask. */
const REPLY_BYTES_MAX = 16 * 1024 * 1024

/** Takes bytes until every one of the expected replies is whole. */
export class OwnReplies {
  readonly replies: OwnReply[] = []
  /** Status flags after the last OK or EOF, or -1. */
  status = -1
  readonly #kinds: readonly ReplyKind[]
  readonly #form: ReplyForm
  readonly #tracker = new ReplyTracker()
  #bytes: Buffer = NOTHING
  #from = 0

  constructor(kinds: readonly ReplyKind[], form: ReplyForm) {
    this.#kinds = kinds
    this.#form = form
    this.#tracker.begin(kinds[0]!, form)
  }

  /** True once all are there. Throws MalformedMessage. */
  feed(chunk: Buffer): boolean {
    this.#bytes = this.#bytes.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#bytes, chunk])
    for (;;) {
      const stop = this.#tracker.feed(this.#bytes, this.#from)
      this.#from = stop === 'none' ? this.#tracker.forwardable : this.#tracker.end
      if (stop === 'ok' || stop === 'eof') this.status = this.#tracker.status
      if (!this.#tracker.ended) {
        if (stop === 'none') return false
        continue
      }
      this.replies.push(payloadsOf(this.#bytes.subarray(0, this.#from)))
      this.#bytes = this.#bytes.subarray(this.#from)
      this.#from = 0
      if (this.replies.length === this.#kinds.length) return true
      this.#tracker.begin(this.#kinds[this.replies.length]!, this.#form)
    }
  }
}

/** The payloads of whole messages. */
export function payloadsOf(bytes: Buffer, bytesMax = REPLY_BYTES_MAX): Buffer[] {
  const reader = new MessageReader(bytesMax)
  reader.push(bytes)
  const payloads: Buffer[] = []
  for (let message = reader.shift(); message !== null; message = reader.shift()) payloads.push(message.payload)
  return payloads
}

/** The error a reply ended with, or null. */
export function errorIn(reply: OwnReply): ServerError | null {
  const last = reply.at(-1) ?? NOTHING
  return last[0] === LEAD.ERROR ? parseError(last) : null
}

/**
 * A value that was asked for by ourselves. Where a session has its results in UCS-2, UTF-16 or UTF-32, numbers and names
 * come with zeros between their characters, and none else ever does.
 */
export function plainText(value: Buffer): string {
  const text = value.toString()
  return text.includes('\0') ? text.replaceAll('\0', '') : text
}

/** The rows of a result set. */
export function rowsIn(reply: OwnReply, form: ReplyForm): (string | null)[][] {
  const columns = reply[0]![0]!
  // An OK has no rows.
  if (reply.length === 1) return []
  const definitions = 1 + columns + (form.deprecateEof ? 0 : 1)
  return reply
    .slice(definitions, -1)
    .map((payload) => parseTextRow(payload, columns).map((value) => (value == null ? null : plainText(value))))
}

/** What the OK at the end reports. */
export function changesIn(reply: OwnReply, capabilities: number): readonly TrackedChange[] {
  const { changes } = parseOk(reply.at(-1)!, capabilities)
  return changes === null ? [] : parseChanges(changes)
}

/** The schema and variables among what was reported. */
export function changeOf(changes: readonly TrackedChange[]): SettingsChange | null {
  const variables = new Map<string, string>()
  let schema: string | null | undefined
  for (const { kind, name, value } of changes) {
    if (kind === TRACK.SYSTEM_VARIABLES && isKept(name)) variables.set(name, value?.toString() ?? '')
    else if (kind === TRACK.SCHEMA) schema = value === null || value.length === 0 ? null : value.toString()
  }
  addFollowing(variables)
  return schema === undefined && variables.size === 0 ? null : { schema, variables }
}

export function refusalOf(what: Refusal['what'], reply: OwnReply, { message }: ServerError): Refusal {
  return { what, message: message.toString(), frame: reply.at(-1)! }
}
