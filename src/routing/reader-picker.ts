// Which of several good readers? The one with the least outstanding work for its weight; equals take turns. Pure.

import type { Backend } from '../topology/topology.ts'

/**
 * `outstanding` tells how many requests a backend is working on for us. `turn` breaks ties fairly when it differs from
 * call to call (a counter will do). Null when there is nobody to pick.
 */
export function pickReader(
  readers: readonly Backend[],
  outstanding: (backend: Backend) => number,
  turn: number,
): Backend | null {
  let best: Backend | null = null
  let bestLoad = Number.POSITIVE_INFINITY
  for (let step = 0; step < readers.length; step++) {
    const reader = readers[(turn + step) % readers.length]!
    if (reader.weight <= 0) continue
    const load = (outstanding(reader) + 1) / reader.weight
    if (load >= bestLoad) continue
    best = reader
    bestLoad = load
  }
  return best
}
