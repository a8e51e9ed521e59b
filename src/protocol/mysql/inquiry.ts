// A connection for questions of our own to a server, such as what it is. Texts go in, several statements in one if need be,
// and the rows of each come out, by the names of their columns.

import { type BackendLogin, type BackendTarget, type BackendUser, logIn, reach } from './connect.ts'
import { FieldReader } from './fields.ts'
import { frame } from './frames.ts'
import { buildQuery, CAPABILITY, LEAD, MalformedMessage, type ServerError } from './messages.ts'
import { errorIn, OwnReplies, type OwnReply, plainText } from './own-replies.ts'
import type { ReplyForm } from './reply-tracker.ts'
import { parseTextRow } from './results.ts'

/** A row, by the names of its columns. */
export type Row = Readonly<Record<string, string | null>>

/** The server's own error. */
export class InquiryRefused extends Error {
  override readonly name = 'InquiryRefused'
  readonly errno: number

  constructor({ errno, message }: ServerError) {
    super(message.toString())
    this.errno = errno
  }
}

/** The connection is gone, and says nothing of the question. */
export class InquiryLost extends Error {
  override readonly name = 'InquiryLost'
}

interface Question {
  readonly sql: string
  readonly resolve: (results: readonly (readonly Row[])[]) => void
  readonly reject: (error: Error) => void
}

const WANTED = CAPABILITY.MULTI_STATEMENTS | CAPABILITY.MULTI_RESULTS | CAPABILITY.DEPRECATE_EOF

export class Inquiry {
  readonly #login: BackendLogin
  readonly #form: ReplyForm
  /** The first is under way. */
  readonly #questions: Question[] = []
  #replies: OwnReplies | null = null
  #whyLost: string | null = null

  constructor(login: BackendLogin) {
    this.#login = login
    this.#form = { deprecateEof: (login.capabilities & CAPABILITY.DEPRECATE_EOF) !== 0, optionalMetadata: false }
    login.transport.onBytes = (bytes) => this.receive(bytes)
    login.transport.onClosed = (error) => this.lose(error?.message ?? 'the server closed the connection')
    login.transport.resume()
  }

  /** Throws ConnectFailed. `signal` ends it at any time. */
  static async open(target: BackendTarget, user: BackendUser, signal: AbortSignal): Promise<Inquiry> {
    const transport = await reach(target, signal)
    const wanted = { capabilities: WANTED, extendedCapabilities: 0, sessionTrack: false }
    return new Inquiry(await logIn(transport, target, user, wanted, signal))
  }

  /** The number of the collation that the server greets with. */
  get collation(): number {
    return this.#login.serverCollation
  }

  /** The rows of each statement in `sql`; questions wait for those before them. Rejects with InquiryRefused, InquiryLost. */
  ask(sql: string): Promise<readonly (readonly Row[])[]> {
    return new Promise((resolve, reject) => {
      if (this.#whyLost !== null) return reject(new InquiryLost(this.#whyLost))
      this.#questions.push({ sql, resolve, reject })
      if (this.#questions.length === 1) this.send()
    })
  }

  destroy(): void {
    this.lose('closed')
  }

  private send(): void {
    const [question] = this.#questions
    if (question === undefined) return
    this.#replies = new OwnReplies(['query'], this.#form)
    this.#login.transport.write(frame(buildQuery(question.sql, false), 0), true)
  }

  private receive(bytes: Buffer): void {
    try {
      // What a server says unasked are its last words.
      if (this.#replies === null) return this.lose('the server has ended the connection')
      if (!this.#replies.feed(bytes)) return
      const [reply] = this.#replies.replies
      this.#replies = null
      const question = this.#questions.shift()!
      const error = errorIn(reply!)
      if (error === null) question.resolve(resultsIn(reply!, this.#form))
      else question.reject(new InquiryRefused(error))
      this.send()
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
      this.lose(`it sent what cannot be understood (${error.message})`)
    }
  }

  private lose(why: string): void {
    if (this.#whyLost !== null) return
    this.#whyLost = why
    this.#login.transport.destroy()
    for (const { reject } of this.#questions.splice(0)) reject(new InquiryLost(why))
  }
}

/** The rows of every result set; none for what has none. */
export function resultsIn(reply: OwnReply, { deprecateEof }: ReplyForm): Row[][] {
  const results: Row[][] = []
  for (let at = 0; at < reply.length; at++) {
    const rows: Row[] = []
    results.push(rows)
    const count = new FieldReader(reply[at]!).count()
    if (reply[at]![0] === LEAD.OK) continue
    const names = reply.slice(at + 1, at + 1 + count).map(columnName)
    at += count + (deprecateEof ? 1 : 2)
    for (; reply[at]![0] !== LEAD.EOF; at++) {
      const values = parseTextRow(reply[at]!, count)
      rows.push(Object.fromEntries(names.map((name, index) => [name, textOf(values[index])])))
    }
  }
  return results
}

function textOf(value: Buffer | null | undefined): string | null {
  return value == null ? null : plainText(value)
}

function columnName(definition: Buffer): string {
  const reader = new FieldReader(definition)
  // The catalogue, the schema, the table and its own name stand before the column's.
  for (let nth = 0; nth < 4; nth++) reader.string()
  return reader.string().toString()
}
