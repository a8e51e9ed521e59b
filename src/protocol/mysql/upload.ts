// Follows a file on its way from a client to a server (LOAD DATA LOCAL INFILE): frames of data, then an empty one. Pure.

import { HEADER_BYTES, PAYLOAD_BYTES_MAX } from './frames.ts'

export class Upload {
  /** Of the last frame that has come. */
  sequence = 0
  readonly #header = new Uint8Array(HEADER_BYTES)
  #headerSeen = 0
  #bodyLeft = 0
  /** The frame before was full, so the next one, even an empty one, belongs to the same message. */
  #continues = false

  /** Where in `bytes` the file ends, or -1 while there is more of it to come. */
  feed(bytes: Buffer): number {
    let at = 0
    while (at < bytes.length) {
      if (this.#bodyLeft > 0) {
        const step = Math.min(this.#bodyLeft, bytes.length - at)
        this.#bodyLeft -= step
        at += step
        continue
      }
      this.#header[this.#headerSeen++] = bytes[at++]!
      if (this.#headerSeen < HEADER_BYTES) continue
      this.#headerSeen = 0
      this.sequence = this.#header[3]!
      const length = this.#header[0]! | (this.#header[1]! << 8) | (this.#header[2]! << 16)
      if (length === 0 && !this.#continues) return at
      this.#continues = length === PAYLOAD_BYTES_MAX
      this.#bodyLeft = length
    }
    return -1
  }
}
