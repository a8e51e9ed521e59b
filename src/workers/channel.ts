// The way between two of our processes: things told, and questions with answers, in order. Knows nothing of what is said.

import type { SendHandle } from 'node:child_process'
import type { SocketHandle } from '../session/listening-socket.ts'

/** What Node offers towards a child, and towards the parent. */
export interface Port {
  readonly connected: boolean
  send?(
    message: unknown,
    handle: SendHandle | undefined,
    options: object,
    callback: (error: Error | null) => void,
  ): boolean
  on(event: 'message', listener: (message: unknown, handle: unknown) => void): unknown
}

type Envelope =
  | { readonly told: unknown }
  | { readonly question: unknown; readonly call: number }
  | { readonly answer: unknown; readonly call: number }
  | { readonly failure: string; readonly call: number }

export interface Hearing {
  told(message: unknown, handle: SocketHandle | null): void
  asked(question: unknown): unknown
}

const ANSWER_MS_MAX = 5_000

interface Call {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
  readonly deadline: NodeJS.Timeout
}

export class Channel {
  readonly #port: Port
  readonly #hearing: Hearing
  readonly #calls = new Map<number, Call>()
  #lastCall = 0

  constructor(port: Port, hearing: Hearing) {
    this.#port = port
    this.#hearing = hearing
    port.on('message', (message, handle) => this.hear(message as Envelope, (handle ?? null) as SocketHandle | null))
  }

  /** Lost without a word where nobody is there any more. */
  tell(told: unknown, handle: SocketHandle | null = null): void {
    this.send({ told }, handle)
  }

  /** Rejects when it is not answered in time. */
  ask(question: unknown): Promise<unknown> {
    this.#lastCall += 1
    const call = this.#lastCall
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => this.settle(call)?.reject(new Error('no answer in time')), ANSWER_MS_MAX)
      this.#calls.set(call, { resolve, reject, deadline })
      this.send({ question, call })
    })
  }

  /** The other side has gone. */
  close(): void {
    for (const call of [...this.#calls.keys()]) this.settle(call)?.reject(new Error('the process has gone'))
  }

  private hear(envelope: Envelope, handle: SocketHandle | null): void {
    if ('told' in envelope) this.#hearing.told(envelope.told, handle)
    else if ('question' in envelope) void this.answer(envelope.question, envelope.call)
    else if ('answer' in envelope) this.settle(envelope.call)?.resolve(envelope.answer)
    else if ('failure' in envelope) this.settle(envelope.call)?.reject(new Error(envelope.failure))
  }

  private async answer(question: unknown, call: number): Promise<void> {
    try {
      this.send({ answer: await this.#hearing.asked(question), call })
    } catch (error) {
      this.send({ failure: (error as Error).message, call })
    }
  }

  private settle(call: number): Call | null {
    const known = this.#calls.get(call) ?? null
    if (known !== null) clearTimeout(known.deadline)
    this.#calls.delete(call)
    return known
  }

  private send(envelope: Envelope, handle: SocketHandle | null = null): void {
    if (this.#port.connected !== true) return
    // Whoever is gone is noticed as such; a message to it fails silently.
    this.#port.send?.(envelope, (handle ?? undefined) as SendHandle | undefined, {}, () => {})
  }
}
