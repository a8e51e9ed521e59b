// Numbers about numbers: medians, quartiles, shuffles that can be repeated, and a histogram of durations.

/** A generator of numbers from 0 up to 1 that gives the same ones for the same seed (a 32-bit xorshift). */
export function randomFrom(seed: number): () => number {
  // It would stay at 0 for ever.
  let state = seed | 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items]
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    ;[result[last], result[other]] = [result[other]!, result[last]!]
  }
  return result
}

export interface Summary {
  readonly median: number
  readonly lowerQuartile: number
  readonly upperQuartile: number
  readonly min: number
  readonly max: number
}

export function summaryOf(values: readonly number[]): Summary {
  const sorted = [...values].sort((one, other) => one - other)
  return {
    median: quantile(sorted, 0.5),
    lowerQuartile: quantile(sorted, 0.25),
    upperQuartile: quantile(sorted, 0.75),
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
  }
}

/** Between two values it is on the straight line from one to the other. */
function quantile(sorted: readonly number[], share: number): number {
  const place = (sorted.length - 1) * share
  const below = Math.floor(place)
  const [low, high] = [sorted[below] ?? Number.NaN, sorted[below + 1] ?? sorted[below] ?? Number.NaN]
  return low + (high - low) * (place - below)
}

/** Each `every`-th part of a doubling of microseconds is a bucket. */
const BUCKETS_PER_DOUBLING = 32
const DOUBLINGS = 28

/** How long statements took, to within 2 %. */
export class Latencies {
  readonly #counts = new Uint32Array(BUCKETS_PER_DOUBLING * DOUBLINGS)
  count = 0

  add(ms: number): void {
    const bucket = Math.floor(Math.log2(Math.max(1, ms * 1000)) * BUCKETS_PER_DOUBLING)
    this.#counts[Math.min(bucket, this.#counts.length - 1)]! += 1
    this.count += 1
  }

  /** What a share of all statements stayed within. */
  percentileMs(percent: number): number {
    const wanted = Math.ceil((this.count * percent) / 100)
    let seen = 0
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket]!
      if (seen >= wanted && seen > 0) return 2 ** ((bucket + 1) / BUCKETS_PER_DOUBLING) / 1000
    }
    return Number.NaN
  }
}
