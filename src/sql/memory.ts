// Answers remembered by digest: a bounded table of small buckets, in each of which the answer not asked for lately makes
// room for the next.

import type { Classification } from './classification.ts'

const WAYS = 8

export class Memory {
  readonly #buckets: number
  readonly #ways: number
  readonly #highs: Int32Array
  readonly #lows: Int32Array
  readonly #guards: Int32Array
  readonly #asked: Uint8Array
  readonly #answers: (Classification | null)[]
  #size = 0

  constructor(max: number) {
    this.#ways = Math.max(1, Math.min(WAYS, Math.floor(max)))
    this.#buckets = Math.max(1, Math.floor(max / this.#ways))
    const slots = this.#buckets * this.#ways
    this.#highs = new Int32Array(slots)
    this.#lows = new Int32Array(slots)
    this.#guards = new Int32Array(slots)
    this.#asked = new Uint8Array(slots)
    this.#answers = new Array(slots).fill(null)
  }

  get size(): number {
    return this.#size
  }

  find(high: number, low: number, guard: number): Classification | null {
    const first = this.firstSlot(high)
    for (let slot = first; slot < first + this.#ways; slot++) {
      if (this.#lows[slot] === low && this.#highs[slot] === high && this.#guards[slot] === guard) {
        const answer = this.#answers[slot]!
        if (answer !== null) this.#asked[slot] = 1
        return answer
      }
    }
    return null
  }

  keep(high: number, low: number, guard: number, answer: Classification): void {
    const slot = this.slotFor(high)
    if (this.#answers[slot] === null) this.#size++
    this.#highs[slot] = high
    this.#lows[slot] = low
    this.#guards[slot] = guard
    this.#asked[slot] = 0
    this.#answers[slot] = answer
  }

  /** Changes every answer kept for a digest, whatever the session it was given to. */
  change(high: number, low: number, change: (answer: Classification) => Classification): void {
    const first = this.firstSlot(high)
    for (let slot = first; slot < first + this.#ways; slot++) {
      const answer = this.#answers[slot]!
      if (answer !== null && this.#highs[slot] === high && this.#lows[slot] === low)
        this.#answers[slot] = change(answer)
    }
  }

  private firstSlot(high: number): number {
    return ((high & 0x7fffffff) % this.#buckets) * this.#ways
  }

  /** An empty slot, else the first that was not asked for since it was last passed over. */
  private slotFor(high: number): number {
    const first = this.firstSlot(high)
    for (let slot = first; slot < first + this.#ways; slot++) if (this.#answers[slot] === null) return slot
    for (let slot = first; slot < first + this.#ways; slot++) {
      if (this.#asked[slot] === 0) return slot
      this.#asked[slot] = 0
    }
    return first
  }
}
