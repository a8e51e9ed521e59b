// The compressed protocol: the stream of frames, cut into blocks, each of them compressed if that makes it smaller.
// Seven bytes stand before a block: its length, its number in this exchange, and its length before (0: as it is). Pure.

import zlib from 'node:zlib'
import { MalformedMessage } from './fields.ts'
import { FrameError } from './frames.ts'

export type CompressionAlgorithm = 'zlib' | 'zstd'

export interface CompressionOptions {
  readonly algorithm: CompressionAlgorithm
  /** 1 to 9 for zlib, 1 to 22 for zstd; null: the algorithm's default. */
  readonly level: number | null
  /** Most bytes that one block may become; the protocol's own bound is 16 MiB. */
  readonly blockBytesMax: number
}

type Transform = (bytes: Buffer, options: object) => Buffer

interface Zstd {
  readonly zstdCompressSync?: Transform
  readonly zstdDecompressSync?: Transform
  readonly constants: { readonly ZSTD_c_compressionLevel?: number }
}

// Newer than the oldest Node that this runs on.
const zstd = zlib as unknown as Zstd

/** False on a Node without it: offer zlib only. */
export const ZSTD_SUPPORTED = zstd.zstdCompressSync !== undefined && zstd.zstdDecompressSync !== undefined

const HEADER_BYTES = 7
/** Shorter blocks are sent as they are, by the servers and by us. */
const COMPRESSED_BYTES_MIN = 50
/** Cut finer than the protocol asks, so that one block never keeps the process long. */
const BLOCK_BYTES_MAX = 256 * 1024
const NOTHING = Buffer.alloc(0)

/** Both directions of one connection: they count their blocks together, an answer goes on where the request ended. */
export class CompressedStream {
  readonly #options: CompressionOptions
  /** Number of the next block, whoever sends it. */
  #sequence = 0
  #buffer = NOTHING
  #start = 0
  #end = 0

  constructor(options: CompressionOptions) {
    if (options.algorithm === 'zstd' && !ZSTD_SUPPORTED) throw new Error('this Node has no zstd')
    this.#options = options
  }

  /** Bytes of a block that is not whole yet, or has not been asked for. */
  get bufferedBytes(): number {
    return this.#end - this.#start
  }

  /** Before a new request to a backend: each begins to count at 0. */
  restart(): void {
    this.#sequence = 0
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return
    const unread = this.#end - this.#start
    if (unread === 0) {
      this.#buffer = Buffer.from(bytes)
      this.#start = 0
      this.#end = bytes.length
      return
    }
    if (this.#end + bytes.length > this.#buffer.length) {
      const buffer = Buffer.allocUnsafeSlow(Math.max(unread + bytes.length, 2 * unread))
      this.#buffer.copy(buffer, 0, this.#start, this.#end)
      this.#buffer = buffer
      this.#start = 0
      this.#end = unread
    }
    this.#end += bytes.copy(this.#buffer, this.#end)
  }

  /** What is in the next whole block, or null when more bytes are needed. Throws FrameError and MalformedMessage. */
  shift(): Buffer | null {
    if (this.#end - this.#start < HEADER_BYTES) return null
    const buffer = this.#buffer
    const start = this.#start
    const length = buffer.readUIntLE(start, 3)
    const sequence = buffer[start + 3]!
    const fullLength = buffer.readUIntLE(start + 4, 3)
    const { blockBytesMax } = this.#options
    if (Math.max(length, fullLength) > blockBytesMax) {
      throw new FrameError('too large', `a compressed block of more than ${blockBytesMax} bytes`)
    }
    // A request begins at 0, whatever was expected.
    if (sequence !== this.#sequence && sequence !== 0) {
      throw new FrameError('out of order', `compressed block ${sequence} came where ${this.#sequence} belongs`)
    }
    const end = start + HEADER_BYTES + length
    if (end > this.#end) return null
    this.#sequence = (sequence + 1) & 0xff
    const body = buffer.subarray(start + HEADER_BYTES, end)
    this.#start = end
    if (end === this.#end) this.#buffer = NOTHING
    if (end === this.#end) this.#start = this.#end = 0
    return fullLength === 0 ? body : this.decompress(body, fullLength)
  }

  /** `bytes` as blocks. */
  wrap(bytes: Buffer): Buffer {
    const blocks: Buffer[] = []
    for (let at = 0; at < bytes.length; at += BLOCK_BYTES_MAX) {
      const piece = bytes.subarray(at, at + BLOCK_BYTES_MAX)
      const packed = piece.length < COMPRESSED_BYTES_MIN ? piece : this.compress(piece)
      const isSmaller = packed.length < piece.length
      const body = isSmaller ? packed : piece
      const header = Buffer.allocUnsafe(HEADER_BYTES)
      header.writeUIntLE(body.length, 0, 3)
      header[3] = this.#sequence
      header.writeUIntLE(isSmaller ? piece.length : 0, 4, 3)
      this.#sequence = (this.#sequence + 1) & 0xff
      blocks.push(header, body)
    }
    return Buffer.concat(blocks)
  }

  private compress(bytes: Buffer): Buffer {
    const { algorithm, level } = this.#options
    if (algorithm === 'zlib') return zlib.deflateSync(bytes, level === null ? {} : { level })
    const parameter = zstd.constants.ZSTD_c_compressionLevel
    const isSet = level !== null && parameter !== undefined
    return zstd.zstdCompressSync!(bytes, isSet ? { params: { [parameter]: level } } : {})
  }

  private decompress(body: Buffer, length: number): Buffer {
    let bytes: Buffer
    try {
      // A block that grows beyond what it promised is cut off there, before it fills the memory.
      const options = { maxOutputLength: length }
      bytes =
        this.#options.algorithm === 'zlib' ? zlib.inflateSync(body, options) : zstd.zstdDecompressSync!(body, options)
    } catch (error) {
      throw new MalformedMessage('a compressed block that cannot be read', { cause: error })
    }
    if (bytes.length !== length) throw new MalformedMessage('a compressed block shorter than it promised')
    return bytes
  }
}
