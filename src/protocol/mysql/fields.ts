// The protocol's fields, read from a payload without ever looking past its end, and put together. Pure.

/** A payload that is not what its message says it is. */
export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage'
}

/** Reads fields from left to right. */
export class FieldReader {
  readonly bytes: Buffer
  at: number

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes
    this.at = at
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  u8(): number {
    return this.bytes[this.advance(1)]!
  }

  u16(): number {
    return this.bytes.readUInt16LE(this.advance(2))
  }

  u24(): number {
    return this.bytes.readUIntLE(this.advance(3), 3)
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.advance(4))
  }

  u64(): bigint {
    return this.bytes.readBigUInt64LE(this.advance(8))
  }

  /** A length-encoded integer. */
  integer(): bigint {
    const first = this.u8()
    if (first < 0xfb) return BigInt(first)
    if (first === 0xfc) return BigInt(this.u16())
    if (first === 0xfd) return BigInt(this.u24())
    if (first === 0xfe) return this.u64()
    throw new MalformedMessage(`0x${first.toString(16)} does not begin a length-encoded integer`)
  }

  skipInteger(): void {
    const first = this.u8()
    if (first < 0xfb) return
    if (first === 0xfb || first === 0xff) throw new MalformedMessage('no length-encoded integer')
    this.skip(first === 0xfe ? 8 : first - 0xfa)
  }

  /** A length-encoded integer that counts something in memory. */
  count(): number {
    const first = this.u8()
    if (first < 0xfb) return first
    if (first === 0xfc) return this.u16()
    if (first === 0xfd) return this.u24()
    if (first === 0xfe) {
      const value = this.u64()
      if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value)
    }
    throw new MalformedMessage('a length that cannot be')
  }

  take(length: number): Buffer {
    const from = this.advance(length)
    return this.bytes.subarray(from, this.at)
  }

  skip(length: number): void {
    this.advance(length)
  }

  /** A length-encoded string. */
  string(): Buffer {
    return this.take(this.count())
  }

  /** A string that a zero byte ends. */
  zeroEnded(): Buffer {
    const end = this.bytes.indexOf(0, this.at)
    if (end < 0) throw new MalformedMessage('a string without its end')
    const found = this.bytes.subarray(this.at, end)
    this.at = end + 1
    return found
  }

  /** The same, where the zero may be missing at the end of the message. */
  zeroEndedOrRest(): Buffer {
    return this.bytes.indexOf(0, this.at) < 0 ? this.rest() : this.zeroEnded()
  }

  rest(): Buffer {
    return this.take(this.left)
  }

  private advance(length: number): number {
    const from = this.at
    if (length > this.bytes.length - from) {
      throw new MalformedMessage(`${length} bytes expected where ${this.bytes.length - from} are left`)
    }
    this.at = from + length
    return from
  }
}

/** Puts fields together; for messages that are built seldom. */
export class FieldWriter {
  readonly #parts: Buffer[] = []

  u8(value: number): this {
    return this.uint(value, 1)
  }

  u16(value: number): this {
    return this.uint(value, 2)
  }

  u24(value: number): this {
    return this.uint(value, 3)
  }

  u32(value: number): this {
    return this.uint(value >>> 0, 4)
  }

  integer(value: number | bigint): this {
    return this.put(lengthEncoded(value))
  }

  put(bytes: Buffer): this {
    this.#parts.push(bytes)
    return this
  }

  zeros(count: number): this {
    return this.put(Buffer.alloc(count))
  }

  string(value: string | Buffer): this {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value
    return this.integer(bytes.length).put(bytes)
  }

  zeroEnded(value: string | Buffer): this {
    return this.put(typeof value === 'string' ? Buffer.from(value) : value).u8(0)
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }

  private uint(value: number, width: number): this {
    const bytes = Buffer.allocUnsafe(width)
    bytes.writeUIntLE(value, 0, width)
    return this.put(bytes)
  }
}

export function lengthEncoded(value: number | bigint): Buffer {
  if (value < 0xfb) return Buffer.from([Number(value)])
  if (value <= 0xffffff) {
    const width = value <= 0xffff ? 2 : 3
    const bytes = Buffer.allocUnsafe(1 + width)
    bytes[0] = 0xfa + width
    bytes.writeUIntLE(Number(value), 1, width)
    return bytes
  }
  const bytes = Buffer.allocUnsafe(9)
  bytes[0] = 0xfe
  bytes.writeBigUInt64LE(BigInt(value), 1)
  return bytes
}
