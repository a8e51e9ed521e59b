// A connection as it was when a session used it. Pure.

import type { Lease } from '../pool/pool.ts'

/** Stale once somebody else used the connection, or once it was wiped. */
export interface Trace {
  readonly lease: Lease
  readonly hands: number
}

export function traceOf(lease: Lease): Trace {
  return { lease, hands: lease.hands }
}

export function isFresh<T extends Trace>(trace: T | null): trace is T {
  return trace !== null && trace.hands === trace.lease.hands && trace.lease.place !== 'closed'
}

export function isAt<T extends Trace>(trace: T | null, lease: Lease): trace is T {
  return isFresh(trace) && trace.lease === lease
}
