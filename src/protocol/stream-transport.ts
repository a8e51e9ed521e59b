// A Transport over any Duplex: TLS sockets, and in-memory pairs in tests. How every kind of transport ends is told here.

import type { Duplex } from 'node:stream'
import { SHORT_BYTES_MAX, type Transport } from './transport.ts'

/** How long a connection that was ended may take to send what is left and to be closed by the other side. */
const LINGER_MS = 2_000
const NOTHING = Buffer.alloc(0)
const TRANSPORT = Symbol('transport')

type CarryingStream = Duplex & { [TRANSPORT]?: StreamTransport }

const ignore = (): void => {}

export interface StreamTransportOptions {
  readonly peerAddress?: string
  readonly peerPort?: number
  readonly tls?: Transport['tls']
  /**
   * Bytes that may wait in the stream before `write` says false. Above 0, what is written is copied first. TLS needs
   * some: no write is done there when it returns, and to stop after each would cost a turn of the event loop.
   */
  readonly pendingBytesMax?: number
  /** False: the bytes come by another way than 'data' events. */
  readonly events?: boolean
}

/**
 * Born paused: set the callbacks, then `resume`. A transport that its owner ends or destroys calls back no more. One
 * that the other side closes, or that breaks, says so once by `onClosed`; from then on what is written goes nowhere.
 *
 * The listeners are shared functions that find their transport through the stream: ten thousand idle clients should
 * not cost forty thousand closures.
 */
export class StreamTransport implements Transport {
  onBytes: (bytes: Buffer) => void = ignore
  onDrain: () => void = ignore
  onClosed: (error: Error | null) => void = ignore
  readonly tls: Transport['tls']
  protected readonly stream: Duplex
  #closed = false
  #paused = true
  #draining = false
  readonly #peerAddress: string
  readonly #peerPort: number
  readonly #pendingBytesMax: number

  constructor(stream: Duplex, options: StreamTransportOptions = {}) {
    this.stream = stream
    this.tls = options.tls ?? null
    this.#peerAddress = options.peerAddress ?? ''
    this.#peerPort = options.peerPort ?? 0
    this.#pendingBytesMax = options.pendingBytesMax ?? 0
    ;(stream as CarryingStream)[TRANSPORT] = this
    stream.pause()
    stream.on('end', endOfStream).on('error', errorOfStream).on('close', closeOfStream)
    if (options.events !== false) stream.on('data', dataOfStream)
  }

  get peerAddress(): string {
    return this.#peerAddress
  }

  get peerPort(): number {
    return this.#peerPort
  }

  get closed(): boolean {
    return this.#closed
  }

  get pendingBytes(): number {
    return this.stream.writableLength
  }

  write(bytes: Buffer): boolean {
    if (this.#closed) return true
    const { stream } = this
    const stays = this.#pendingBytesMax === 0 && bytes.length > SHORT_BYTES_MAX
    stream.write(stays ? bytes : Buffer.from(bytes))
    if (stream.writableLength <= this.#pendingBytesMax) return true
    if (!this.#draining) this.awaitDrain()
    return false
  }

  /** 'drain' comes only above the stream's own mark; the callback of an empty write comes once all before it is out. */
  private awaitDrain(): void {
    this.#draining = true
    this.stream.write(NOTHING, () => {
      this.#draining = false
      if (this.#closed) return
      if (this.stream.writableLength > this.#pendingBytesMax) this.awaitDrain()
      else this.onDrain()
    })
  }

  pause(): void {
    this.#paused = true
    this.stream.pause()
  }

  resume(): void {
    if (this.#closed || !this.#paused) return
    this.#paused = false
    this.startReading()
  }

  protected startReading(): void {
    this.stream.resume()
  }

  /**
   * What still arrives is read and thrown away until the other side closes as well: closing with unread bytes makes
   * the kernel send a reset, which can overtake the last bytes we wrote.
   */
  end(): void {
    if (this.#closed) return
    this.close()
    this.stream.end()
    this.startReading()
    destroyLater(this.stream)
  }

  destroy(): void {
    this.close()
    this.stream.destroy()
  }

  /** Gives the stream away, paused. Nothing may be pending. */
  detach(): Duplex {
    this.close()
    const { stream } = this
    stream.pause()
    stream.off('end', endOfStream).off('close', closeOfStream).off('data', dataOfStream)
    return stream
  }

  /** Nothing more is written or told. */
  protected close(): void {
    this.#closed = true
    this.onBytes = ignore
    this.onDrain = ignore
    this.onClosed = ignore
  }

  /** For the shared listeners. */
  lost(error: Error | null): void {
    if (this.#closed) return
    const { onClosed, stream } = this
    this.close()
    // Whoever has only stopped sending may still read what was written so far.
    if (error === null && !stream.destroyed) {
      stream.end()
      destroyLater(stream)
    } else {
      stream.destroy()
    }
    onClosed(error)
  }
}

/** The transport over a stream, for listeners that are not its own. */
export function transportOn(stream: Duplex): StreamTransport {
  return (stream as CarryingStream)[TRANSPORT]!
}

function dataOfStream(this: Duplex, bytes: Buffer): void {
  transportOn(this).onBytes(bytes)
}

function endOfStream(this: Duplex): void {
  transportOn(this).lost(null)
}

function errorOfStream(this: Duplex, error: Error): void {
  transportOn(this).lost(error)
}

function closeOfStream(this: Duplex): void {
  transportOn(this).lost(null)
}

function destroyLater(stream: Duplex): void {
  const timer = setTimeout(() => stream.destroy(), LINGER_MS).unref()
  stream.once('close', () => clearTimeout(timer))
}
