// Messages over a transport, in turn, for as long as a login lasts. Afterwards the transport and the reader go to
// whoever serves the connection, and no async function listens to it any more.

import type { Transport } from '../transport.ts'
import { FrameError, frame, frameCount, type Message, MessageReader } from './frames.ts'

/** `malformed`: what came is no message, or not the one whose turn it is. */
export type ChannelFault = 'closed' | 'timeout' | 'malformed' | 'tls'

export class ChannelError extends Error {
  override readonly name = 'ChannelError'
  readonly fault: ChannelFault

  constructor(fault: ChannelFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.fault = fault
  }
}

export interface ChannelOptions {
  /** For the login as a whole. */
  readonly msMax: number
  /** For one message. */
  readonly bytesMax: number
  /** Of the next message, whoever sends it. */
  readonly sequence: number
  /** Whether a message with another sequence is an error. Servers begin anew when they close a connection. */
  readonly strict: boolean
  /** Ends the login when it aborts; what waits is rejected with its reason. */
  readonly signal?: AbortSignal | undefined
}

/** What a channel leaves to whoever comes after it: a paused transport without callbacks. */
export interface Released {
  readonly transport: Transport
  /** Bytes that came early are still in it. */
  readonly reader: MessageReader
  /** Of the next message, whoever sends it. */
  readonly sequence: number
}

const NOTHING = Buffer.alloc(0)
const ignore = (): void => {}

export class Channel {
  #transport: Transport
  #reader: MessageReader
  #sequence: number
  #waiting: { resolve: (message: Message) => void; reject: (error: Error) => void } | null = null
  #upgrading = false
  #fault: Error | null = null
  /** Ends with whatever the reader still holds. */
  #lastBytes: Buffer = NOTHING
  readonly #options: ChannelOptions
  readonly #timer: NodeJS.Timeout
  readonly #abort = (): void => this.giveUp(this.#options.signal!.reason as Error)

  constructor(transport: Transport, reader: MessageReader, options: ChannelOptions) {
    this.#transport = transport
    this.#reader = reader
    this.#options = options
    this.#sequence = options.sequence
    reader.bytesMax = options.bytesMax
    const late = () => this.giveUp(new ChannelError('timeout', `no login within ${options.msMax} ms`))
    this.#timer = setTimeout(late, options.msMax)
    options.signal?.addEventListener('abort', this.#abort)
    this.listen()
  }

  get transport(): Transport {
    return this.#transport
  }

  /** Of the next message, whoever sends it. */
  get sequence(): number {
    return this.#sequence
  }

  /** The payload of the next message. Throws ChannelError. */
  async read(): Promise<Buffer> {
    const message = this.shift() ?? (await this.next())
    const expected = this.#sequence
    this.#sequence = (message.lastSequence + 1) & 0xff
    if (this.#options.strict && message.sequence !== expected) {
      throw new ChannelError('malformed', `message ${message.sequence} came where ${expected} belongs`)
    }
    return message.payload
  }

  write(payload: Buffer): void {
    this.#transport.write(frame(payload, this.#sequence))
    this.#sequence = (this.#sequence + frameCount(payload.length)) & 0xff
  }

  /** Puts `upgrade` between us and the other side; it is given the bytes that came beyond the last message. */
  async secure(upgrade: (transport: Transport, early: Buffer) => Promise<Transport>): Promise<void> {
    const early = this.#lastBytes.subarray(this.#lastBytes.length - this.#reader.bufferedBytes)
    this.#reader = new MessageReader(this.#options.bytesMax)
    this.#lastBytes = NOTHING
    this.#upgrading = true
    try {
      this.#transport = await upgrade(this.#transport, early)
    } catch (error) {
      throw this.#fault ?? new ChannelError('tls', `TLS failed: ${(error as Error).message}`, { cause: error })
    } finally {
      this.#upgrading = false
    }
    this.listen()
  }

  /** Throws ChannelError when the other side has left in the meantime. */
  release(): Released {
    this.leave()
    if (this.#fault !== null) throw this.#fault
    return { transport: this.#transport, reader: this.#reader, sequence: this.#sequence }
  }

  /** Closes the connection once what was written has gone out. */
  end(): void {
    this.leave()
    this.#transport.end()
  }

  destroy(): void {
    this.leave()
    this.#transport.destroy()
  }

  /** Bytes are taken only while somebody waits for them, so at most one chunk is ever ahead. */
  private listen(): void {
    const transport = this.#transport
    transport.onBytes = (bytes) => {
      this.#reader.push(bytes)
      const waiting = this.#waiting
      if (waiting === null) return
      try {
        const message = this.shift()
        if (message === null) return
        this.#lastBytes = this.#reader.bufferedBytes > 0 ? Buffer.from(bytes) : NOTHING
        this.stopWaiting()
        waiting.resolve(message)
      } catch (error) {
        this.stopWaiting()
        waiting.reject(error as Error)
      }
    }
    transport.onDrain = ignore
    transport.onClosed = (error) => {
      const message = error?.message ?? 'closed by the other side'
      this.fail(new ChannelError('closed', message, error === null ? undefined : { cause: error }))
    }
  }

  private shift(): Message | null {
    try {
      const message = this.#reader.shift()
      // A server's last words come before the news that it has closed.
      if (message === null && this.#fault !== null) throw this.#fault
      return message
    } catch (error) {
      if (error instanceof FrameError) throw new ChannelError('malformed', error.message, { cause: error })
      throw error
    }
  }

  private next(): Promise<Message> {
    // A transport that was closed before we came has said so to somebody else.
    if (this.#transport.closed) throw new ChannelError('closed', 'closed already')
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#transport.resume()
    })
  }

  private stopWaiting(): void {
    this.#waiting = null
    this.#transport.pause()
  }

  private giveUp(why: Error): void {
    this.fail(why)
    if (this.#upgrading) this.#transport.destroy()
  }

  private fail(fault: Error): void {
    this.#fault ??= fault
    const waiting = this.#waiting
    if (waiting === null) return
    this.stopWaiting()
    waiting.reject(fault)
  }

  /** Hands the transport back, paused and without callbacks. Nothing more is read or written here. */
  leave(): void {
    clearTimeout(this.#timer)
    this.#options.signal?.removeEventListener('abort', this.#abort)
    const transport = this.#transport
    transport.pause()
    transport.onBytes = ignore
    transport.onDrain = ignore
    transport.onClosed = ignore
    this.#waiting = null
  }
}
