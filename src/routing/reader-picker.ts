// Which of several good readers? The one with the least outstanding work for its weight; equals take turns. Pure.

import type { Backend } from '../topology/topology.ts'
import type { Need } from './floors.ts'
import { type Endpoint, isMember } from './policy.ts'

/** What is asked about readers. */
export interface ReaderLoads {
  /** How many requests a backend is working on for us. */
  outstanding(backend: Backend): number
  usable(backend: Backend): boolean
  /** Has this backend all that is needed? */
  reaches(backend: Backend, need: Need): boolean
}

/** A usable reader, or member of the endpoint. */
export function isCandidate(backend: Backend, endpoint: Endpoint | null, loads: ReaderLoads): boolean {
  return loads.usable(backend) && (endpoint === null ? backend.role === 'reader' : isMember(endpoint, backend))
}

/**
 * Among `backends` those that may read for `endpoint` (null: whichever reader) and have what is needed (null: nothing). `turn` breaks
 * ties fairly when it differs from call to call (a counter will do). Null when there is nobody to pick.
 */
export function pickReader(
  backends: readonly Backend[],
  endpoint: Endpoint | null,
  need: Need | null,
  loads: ReaderLoads,
  turn: number,
): Backend | null {
  let best: Backend | null = null
  let bestLoad = Number.POSITIVE_INFINITY
  let equals = 0
  for (const backend of backends) {
    if (!mayRead(backend, endpoint, need, loads)) continue
    const load = loadOf(backend, loads)
    if (load > bestLoad) continue
    equals = load === bestLoad ? equals + 1 : 1
    if (equals === 1) best = backend
    bestLoad = load
  }
  if (equals <= 1) return best
  let left = turn % equals
  for (const backend of backends) {
    if (!mayRead(backend, endpoint, need, loads) || loadOf(backend, loads) !== bestLoad) continue
    if (left === 0) return backend
    left -= 1
  }
  return best
}

function mayRead(backend: Backend, endpoint: Endpoint | null, need: Need | null, loads: ReaderLoads): boolean {
  if (backend.weight <= 0 || !isCandidate(backend, endpoint, loads)) return false
  return need === null || loads.reaches(backend, need)
}

function loadOf(backend: Backend, loads: ReaderLoads): number {
  return (loads.outstanding(backend) + 1) / backend.weight
}
