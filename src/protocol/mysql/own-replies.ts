// The answers to commands of our own, collected whole: they are few and short, and none of it goes to a client. Pure.

import { MessageReader } from './frames.ts'
import { LEAD, parseError, parseTextRow, type ServerError } from './messages.ts'
import { type ReplyForm, type ReplyKind, ReplyTracker } from './reply-tracker.ts'

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

/** The rows of a result set. */
export function rowsIn(reply: OwnReply, form: ReplyForm): (string | null)[][] {
  const columns = reply[0]![0]!
  // An OK has no rows.
  if (reply.length === 1) return []
  const definitions = 1 + columns + (form.deprecateEof ? 0 : 1)
  return reply
    .slice(definitions, -1)
    .map((payload) => parseTextRow(payload, columns).map((value) => value?.toString() ?? null))
}
