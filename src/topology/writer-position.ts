// How far the writer is just now, asked when somebody must know. Those who ask while a question is on its way share the next.

import type { Position, Prober } from './claim.ts'
import type { Backend } from './topology.ts'

export interface WriterPositionOptions {
  readonly writer: () => Backend | null
  readonly prober: (host: string, port: number) => Prober
}

export class WriterPosition {
  readonly #options: WriterPositionOptions
  #asked: { readonly id: string; readonly prober: Prober } | null = null
  #running: Promise<Position | null> | null = null
  #next: Promise<Position | null> | null = null

  constructor(options: WriterPositionOptions) {
    this.#options = options
  }

  /** What the writer had executed at some moment after this call; null: it cannot be told. */
  ask(): Promise<Position | null> {
    if (this.#running === null) return this.start()
    this.#next ??= this.#running.then(() => {
      this.#next = null
      return this.start()
    })
    return this.#next
  }

  /** Of who is the writer now; null while there is none. */
  get prober(): Prober | null {
    const writer = this.#options.writer()
    if (writer === null) return null
    if (this.#asked?.id !== writer.id) {
      this.close()
      this.#asked = { id: writer.id, prober: this.#options.prober(writer.host, writer.port) }
    }
    return this.#asked.prober
  }

  close(): void {
    this.#asked?.prober.close()
    this.#asked = null
  }

  private start(): Promise<Position | null> {
    this.#running = this.question().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  private async question(): Promise<Position | null> {
    return this.prober?.position().catch(() => null) ?? null
  }
}
