// Bytes to logical messages and back. A frame is three bytes of length, one of sequence, and a payload; a message of
// 16 MiB or more goes on in the next frame, and ends with the first frame that is not full. Pure.

export const HEADER_BYTES = 4
/** A frame this long says that the message goes on in the next one. */
export const PAYLOAD_BYTES_MAX = 0xffffff

/** `too large`: more payload than `bytesMax`; `out of order`: a frame of one message with the wrong sequence. */
export type FrameFault = 'too large' | 'out of order'

export class FrameError extends Error {
  override readonly name = 'FrameError'
  readonly fault: FrameFault

  constructor(fault: FrameFault, message: string) {
    super(message)
    this.fault = fault
  }
}

/** One logical message. */
export class Message {
  /** All its frames with their headers, in one piece; nobody else writes there. */
  readonly bytes: Buffer
  /** Sequence of its first and of its last frame. */
  readonly sequence: number
  readonly lastSequence: number
  #payload: Buffer | null = null

  constructor(bytes: Buffer, sequence: number, lastSequence: number) {
    this.bytes = bytes
    this.sequence = sequence
    this.lastSequence = lastSequence
  }

  /** The first byte of its payload; -1 if it has none. */
  get command(): number {
    return this.bytes.length > HEADER_BYTES ? this.bytes[HEADER_BYTES]! : -1
  }

  /** It came in one frame. */
  get isShort(): boolean {
    return this.bytes.length < HEADER_BYTES + PAYLOAD_BYTES_MAX
  }

  /** Without headers: a view when there is one frame, a joined copy (made once) when there are several. */
  get payload(): Buffer {
    this.#payload ??= payloadOf(this.bytes)
    return this.#payload
  }
}

function payloadOf(bytes: Buffer): Buffer {
  if (bytes.length < HEADER_BYTES + PAYLOAD_BYTES_MAX) return bytes.subarray(HEADER_BYTES)
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + HEADER_BYTES + payloadLength(bytes, at)
    parts.push(bytes.subarray(at + HEADER_BYTES, end))
    at = end
  }
  return Buffer.concat(parts)
}

export function payloadLength(bytes: Buffer, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16)
}

const NOTHING = Buffer.alloc(0)
/** Longer ones are rare. */
const SHORT_BYTES_MAX = 64 * 1024

/**
 * Collects bytes, however they are cut, into messages. Memory grows with the bytes that really came, never with what a
 * header promises. Bytes are copied once; messages that came in one chunk share that copy.
 */
export class MessageReader {
  /** Most payload bytes of one message. May change between messages (less before the login than after). */
  bytesMax: number
  #buffer = NOTHING
  #start = 0
  #end = 0
  /** Where the header of the first frame not yet known to be whole lies. */
  #frame = 0
  #payloadBytes = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  /** Bytes that are not part of a message given out yet. */
  get bufferedBytes(): number {
    return this.#end - this.#start
  }

  /** What nearly every read is: one whole message and nothing else, with nothing before it; null: `push` it. */
  whole(bytes: Buffer): Message | null {
    const { length } = bytes
    if (this.#start !== this.#end || length < HEADER_BYTES || length >= SHORT_BYTES_MAX) return null
    const payload = payloadLength(bytes, 0)
    if (payload + HEADER_BYTES !== length || payload > this.bytesMax) return null
    const sequence = bytes[3]!
    return new Message(Buffer.from(bytes), sequence, sequence)
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return
    if (this.#start === this.#end) {
      this.#buffer = Buffer.from(bytes)
      this.#start = 0
      this.#frame = 0
      this.#end = bytes.length
      return
    }
    if (this.#end + bytes.length > this.#buffer.length) this.grow(bytes.length)
    this.#end += bytes.copy(this.#buffer, this.#end)
  }

  /** The next whole message, or null when more bytes are needed. Throws FrameError; the stream is lost then. */
  shift(): Message | null {
    const buffer = this.#buffer
    for (;;) {
      const at = this.#frame
      if (this.#end - at < HEADER_BYTES) return null
      const length = payloadLength(buffer, at)
      if (this.#payloadBytes + length > this.bytesMax) {
        throw new FrameError('too large', `a message of more than ${this.bytesMax} bytes`)
      }
      if (at !== this.#start) this.checkSequence(at)
      const end = at + HEADER_BYTES + length
      if (end > this.#end) return null
      if (length === PAYLOAD_BYTES_MAX) {
        this.#payloadBytes += length
        this.#frame = end
        continue
      }
      return this.take(at, end)
    }
  }

  private take(lastFrame: number, end: number): Message {
    const buffer = this.#buffer
    const start = this.#start
    const bytes = start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end)
    const message = new Message(bytes, buffer[start + 3]!, buffer[lastFrame + 3]!)
    this.#payloadBytes = 0
    this.#start = end
    this.#frame = end
    if (end === this.#end) {
      this.#buffer = NOTHING
      this.#start = 0
      this.#frame = 0
      this.#end = 0
    }
    return message
  }

  private checkSequence(at: number): void {
    // Only full frames lie between the start of a message and its last frame.
    const count = (at - this.#start) / (HEADER_BYTES + PAYLOAD_BYTES_MAX)
    const expected = (this.#buffer[this.#start + 3]! + count) & 0xff
    const found = this.#buffer[at + 3]!
    if (found !== expected) throw new FrameError('out of order', `frame ${found} came where ${expected} belongs`)
  }

  /** Makes room behind what is unread. Never in place: messages given out are views of the old buffer. */
  private grow(more: number): void {
    const unread = this.#end - this.#start
    const buffer = Buffer.allocUnsafeSlow(Math.max(unread + more, 2 * unread))
    this.#buffer.copy(buffer, 0, this.#start, this.#end)
    this.#buffer = buffer
    this.#frame -= this.#start
    this.#start = 0
    this.#end = unread
  }
}

export function writeHeader(target: Buffer, at: number, length: number, sequence: number): void {
  target[at] = length & 0xff
  target[at + 1] = (length >>> 8) & 0xff
  target[at + 2] = (length >>> 16) & 0xff
  target[at + 3] = sequence & 0xff
}

/** `payload` as frames, the first with `sequence`; one of exactly 16 MiB - 1, or a multiple, ends with an empty frame. */
export function frame(payload: Buffer, sequence: number): Buffer {
  const count = Math.floor(payload.length / PAYLOAD_BYTES_MAX) + 1
  const bytes = Buffer.allocUnsafe(payload.length + count * HEADER_BYTES)
  for (let index = 0, from = 0, at = 0; index < count; index++) {
    const length = Math.min(PAYLOAD_BYTES_MAX, payload.length - from)
    writeHeader(bytes, at, length, sequence + index)
    payload.copy(bytes, at + HEADER_BYTES, from, from + length)
    from += length
    at += HEADER_BYTES + length
  }
  return bytes
}

/** How many frames a payload of this length takes. */
export function frameCount(length: number): number {
  return Math.floor(length / PAYLOAD_BYTES_MAX) + 1
}

const HEAD_BYTES_MAX = 512

/** Shows the beginnings of chunks. Those read into one buffer come again and again, and nearly always to the same length. */
export class Heads {
  #chunk: Buffer | null = null
  #head: Buffer = NOTHING

  of(chunk: Buffer, length: number): Buffer {
    if (chunk === this.#chunk && this.#head.length === length) return this.#head
    // Longer ones are not worth being kept alive.
    if (chunk.length > HEAD_BYTES_MAX) return chunk.subarray(0, length)
    this.#chunk = chunk
    this.#head = chunk.subarray(0, length)
    return this.#head
  }
}

/** Gives frames later sequence numbers, in place: an answer that goes on behind another. Headers come whole. */
export class FrameNumbers {
  shift = 0
  #bodyLeft = 0

  renumber(bytes: Buffer): void {
    let at = this.#bodyLeft
    while (at < bytes.length) {
      bytes[at + 3] = (bytes[at + 3]! + this.shift) & 0xff
      at += HEADER_BYTES + payloadLength(bytes, at)
    }
    this.#bodyLeft = at - bytes.length
  }
}
