// The other side of a login, played by hand: one message at a time over an in-memory pair.

import type { Duplex } from 'node:stream'
import { frame, MessageReader } from '../../../../src/protocol/mysql/frames.ts'

export interface Heard {
  readonly sequence: number
  readonly payload: Buffer
}

export class Peer {
  readonly stream: Duplex
  readonly #reader = new MessageReader(1 << 20)
  readonly #heard: Heard[] = []
  #wake: () => void = () => {}
  #ended = false

  constructor(stream: Duplex) {
    this.stream = stream
    stream.on('data', (bytes: Buffer) => {
      this.#reader.push(bytes)
      for (let message = this.#reader.shift(); message !== null; message = this.#reader.shift()) {
        this.#heard.push({ sequence: message.sequence, payload: message.payload })
      }
      this.#wake()
    })
    stream.on('error', () => {})
    for (const event of ['end', 'close']) {
      stream.on(event, () => {
        this.#ended = true
        this.#wake()
      })
    }
  }

  /** The next message; null once the other side has closed. */
  async hear(): Promise<Heard | null> {
    while (this.#heard.length === 0) {
      if (this.#ended) return null
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#heard.shift()!
  }

  say(payload: Buffer, sequence: number): void {
    this.stream.write(frame(payload, sequence))
  }
}
