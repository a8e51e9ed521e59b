// Numbers about numbers: medians and how sure they are, shuffles that can be repeated, and a histogram of durations.

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

/** Between two values in the middle it is their mean. */
export function medianOf(values: readonly number[]): number {
  const sorted = sortedOf(values)
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.floor(sorted.length / 2)]]
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2
}

/** The interval may miss the median of all that could have been measured as often as this, if there are values enough. */
const MISSES_MAX = 0.05

/**
 * From which to which of the values the true median lies, whatever their distribution: each value is above it or below
 * it as a coin falls. Of fewer than 6 values even all of them together promise less than 95 %.
 */
export function intervalOf(values: readonly number[]): readonly [number, number] {
  const sorted = sortedOf(values)
  const count = sorted.length
  let dropped = 0
  let ways = count
  // How likely it would be that the median lies outside if one more was dropped at each end.
  let misses = (2 * (1 + ways)) / 2 ** count
  while (misses <= MISSES_MAX) {
    dropped += 1
    ways *= (count - dropped) / (dropped + 1)
    misses += (2 * ways) / 2 ** count
  }
  return [sorted[dropped] ?? Number.NaN, sorted[count - 1 - dropped] ?? Number.NaN]
}

function sortedOf(values: readonly number[]): number[] {
  return [...values].sort((one, other) => one - other)
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
