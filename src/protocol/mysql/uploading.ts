// A client's bytes on their way to a backend without being read as requests: a file that the server has asked for, or all
// that a replication client says.

import type { Transport } from '../transport.ts'
import type { MysqlClient } from './client.ts'
import { Upload } from './upload.ts'

/** The bytes are copied: the buffer they came in is every client's. A backend that does not take them stops the client. */
export function passOn(bytes: Buffer, client: MysqlClient, to: Transport): void {
  if (to.write(Buffer.from(bytes), true)) return
  client.pauseReading()
  to.onDrain = () => client.resumeReading()
}

export class Uploading {
  readonly #client: MysqlClient
  readonly #transport: Transport
  readonly #upload = new Upload()
  readonly #over: (sequence: number) => void
  /** The backend has gone: what is to be told once the client has sent all of its file. */
  #afterwards: (() => void) | null = null

  /** `over` is told the sequence number of the file's last frame. */
  constructor(client: MysqlClient, transport: Transport, over: (sequence: number) => void) {
    this.#client = client
    this.#transport = transport
    this.#over = over
    client.divert((bytes) => this.take(bytes))
  }

  /** A client sends its file to the end, whatever has become of the statement, and none of it may be taken for a request. */
  swallow(then: () => void): void {
    this.#afterwards = then
    this.#transport.onDrain = () => {}
    this.#client.resumeReading()
  }

  private take(bytes: Buffer): void {
    const end = this.#upload.feed(bytes)
    if (this.#afterwards === null) passOn(end < 0 ? bytes : bytes.subarray(0, end), this.#client, this.#transport)
    if (end < 0) return
    this.#over(this.#upload.sequence)
    this.#client.divert(null)
    if (end < bytes.length) this.#client.unread(bytes.subarray(end))
    this.#afterwards?.()
  }
}
