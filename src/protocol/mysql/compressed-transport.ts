// A transport inside the compressed protocol, for a client that asked for it. Backends are never asked to compress:
// what is saved on the wire would be spent twice on the processor.

import type { Transport } from '../transport.ts'
import { CompressedStream, type CompressionAlgorithm } from './compression.ts'

/** The protocol's own bound for a block. */
const BLOCK_BYTES_MAX = 0xffffff
const ignore = (): void => {}

/** From here on everything is compressed, in both directions. Takes the transport's callbacks, and is paused as it is. */
export function startCompression(transport: Transport, algorithm: CompressionAlgorithm): Transport {
  return new CompressedTransport(transport, algorithm)
}

class CompressedTransport implements Transport {
  onBytes: (bytes: Buffer) => void = ignore
  onDrain: () => void = ignore
  onClosed: (error: Error | null) => void = ignore
  readonly #inner: Transport
  readonly #stream: CompressedStream
  #paused = true
  /** What has been read is being given out, or soon will be. */
  #delivering = false

  constructor(inner: Transport, algorithm: CompressionAlgorithm) {
    this.#inner = inner
    this.#stream = new CompressedStream({ algorithm, level: null, blockBytesMax: BLOCK_BYTES_MAX })
    inner.pause()
    inner.onBytes = (bytes) => {
      this.#stream.push(bytes)
      if (!this.#delivering) this.deliver()
    }
    inner.onDrain = () => this.onDrain()
    inner.onClosed = (error) => this.onClosed(error)
  }

  get peerAddress(): string {
    return this.#inner.peerAddress
  }

  get peerPort(): number {
    return this.#inner.peerPort
  }

  get tls(): Transport['tls'] {
    return this.#inner.tls
  }

  get closed(): boolean {
    return this.#inner.closed
  }

  get pendingBytes(): number {
    return this.#inner.pendingBytes
  }

  write(bytes: Buffer): boolean {
    return this.#inner.closed || bytes.length === 0 || this.#inner.write(this.#stream.wrap(bytes))
  }

  pause(): void {
    this.#paused = true
    this.#inner.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#stream.bufferedBytes === 0) return this.#inner.resume()
    if (this.#delivering) return
    // Blocks were left over: they come first, and not from within this call.
    this.#delivering = true
    queueMicrotask(() => this.deliver())
  }

  end(): void {
    this.#inner.end()
  }

  destroy(): void {
    this.#inner.destroy()
  }

  private deliver(): void {
    this.#delivering = true
    while (!this.#paused && !this.#inner.closed) {
      const block = this.shift()
      if (block === null) break
      this.onBytes(block)
    }
    this.#delivering = false
    if (!this.#paused) this.#inner.resume()
  }

  private shift(): Buffer | null {
    try {
      return this.#stream.shift()
    } catch (error) {
      const { onClosed } = this
      this.#inner.destroy()
      onClosed(error as Error)
      return null
    }
  }
}
