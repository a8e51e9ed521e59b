// What share of the reads the writer serves in place of readers that lack what must be seen; it may be bounded. Pure.

/** How long a read counts in full; then by half, and so on. */
const HALF_MS = 1_000
/** So many more it may serve, for a share of few reads says nothing. */
const SPARE_READS = 10

export class WriterShare {
  readonly #max: number
  #reads = 0
  #served = 0
  #sinceMs = 0

  constructor(max: number) {
    this.#max = max
  }

  /** A read was answered; `instead`: by the writer, in place of a reader. */
  count(instead: boolean, nowMs: number): void {
    if (this.#max >= 1) return
    if (nowMs - this.#sinceMs >= HALF_MS) {
      const share = 0.5 ** Math.floor((nowMs - this.#sinceMs) / HALF_MS)
      this.#reads *= share
      this.#served *= share
      this.#sinceMs = nowMs
    }
    this.#reads += 1
    if (instead) this.#served += 1
  }

  /** The writer may serve one more. */
  get open(): boolean {
    return this.#max >= 1 || this.#served < this.#max * (this.#reads + SPARE_READS)
  }
}
