// Sets of whole numbers as sorted, disjoint intervals, flat: [first, last, first, last, …]. Pure.

export type Intervals = readonly number[]

/** The same numbers, in order and without overlaps. `pairs` may come in any order, and may touch or overlap. */
export function normalised(pairs: readonly number[]): Intervals {
  if (isNormal(pairs)) return pairs
  const order = Array.from({ length: pairs.length / 2 }, (_, at) => at * 2).sort((one, other) => {
    return pairs[one]! - pairs[other]!
  })
  const intervals: number[] = []
  for (const at of order) {
    const [first, last] = [pairs[at]!, pairs[at + 1]!]
    const end = intervals.length - 1
    if (end > 0 && first <= intervals[end]! + 1) intervals[end] = Math.max(intervals[end]!, last)
    else if (first <= last) intervals.push(first, last)
  }
  return intervals
}

function isNormal(pairs: readonly number[]): boolean {
  for (let at = 0; at < pairs.length; at += 2) {
    if (pairs[at]! > pairs[at + 1]!) return false
    if (at > 0 && pairs[at]! <= pairs[at - 1]! + 1) return false
  }
  return true
}

/** Up to which number all from `first` on are there; `first - 1` if not even that one is. */
export function reach(intervals: Intervals, first: number): number {
  let low = 0
  let high = intervals.length / 2
  while (low < high) {
    const middle = (low + high) >>> 1
    if (intervals[middle * 2 + 1]! < first) low = middle + 1
    else high = middle
  }
  const at = low * 2
  return at < intervals.length && intervals[at]! <= first ? intervals[at + 1]! : first - 1
}

/** At most `countMax` intervals: the smallest gaps are closed, so there may be numbers in it that were not. */
export function coarsened(intervals: Intervals, countMax: number): Intervals {
  const surplus = intervals.length / 2 - countMax
  if (surplus <= 0) return intervals
  const gaps = Array.from({ length: intervals.length / 2 - 1 }, (_, at) => at * 2 + 1).sort((one, other) => {
    return intervals[one + 1]! - intervals[one]! - (intervals[other + 1]! - intervals[other]!)
  })
  const closed = new Set(gaps.slice(0, surplus))
  const coarse: number[] = []
  for (const [at, number] of intervals.entries()) {
    if (!closed.has(at) && !closed.has(at - 1)) coarse.push(number)
  }
  return coarse
}
