// Where a session's user variables are: which connections have which of them, and which one alone knows the newest.

import type { Lease } from '../pool/pool.ts'
import type { SavedVariable } from '../protocol/protocol.ts'
import type { UserVariables } from '../routing/user-variables.ts'
import { isAt, isFresh, type Trace, traceOf } from './trace.ts'

/** A connection has all that were assigned until `newest`. */
interface Carrier extends Trace {
  readonly newest: number
}

const NOTHING: readonly SavedVariable[] = []

export class VariablePlaces {
  readonly #variables: UserVariables
  /** Where they were assigned last: all whose values nobody else knows. */
  #home: Trace | null = null
  /** Null before the first, as in most sessions for ever. */
  #carriers: Map<Lease, Carrier> | null = null

  constructor(variables: UserVariables) {
    this.#variables = variables
  }

  /** The connection that must be asked for their values before another can have them. */
  get unreadHome(): Lease | null {
    return this.#variables.unread && isFresh(this.#home) ? this.#home.lease : null
  }

  /** Nobody knows the values any more. */
  get lost(): boolean {
    return this.#variables.unread && !isFresh(this.#home)
  }

  /** Is this the only connection that knows some of them? */
  isHome(lease: Lease): boolean {
    return this.#variables.unread && isAt(this.#home, lease)
  }

  /** What a connection lacks; the values must be known, or be there. */
  missing(lease: Lease): readonly SavedVariable[] {
    return this.#variables.some ? this.#variables.after(this.hadUntil(lease)) : NOTHING
  }

  /** A connection has been given what it lacked. */
  given(lease: Lease): void {
    this.carries(lease, this.#variables.newest)
  }

  /** A statement that may have assigned some ran on a connection; it may lack others still. */
  assigned(lease: Lease): void {
    this.#home = traceOf(lease)
    this.carries(lease, this.missing(lease).length > 0 ? this.hadUntil(lease) : this.#variables.newest)
    for (const [other, carrier] of this.#carriers!) if (!isFresh(carrier)) this.#carriers!.delete(other)
  }

  /** The session has none any more; gives the connections that still have them. */
  forget(): readonly Lease[] {
    if (this.#carriers === null) return []
    const leases = [...this.#carriers.values()].filter(isFresh).map(({ lease }) => lease)
    this.#home = null
    this.#carriers = null
    return leases
  }

  private hadUntil(lease: Lease): number {
    const carrier = this.#carriers?.get(lease) ?? null
    return isFresh(carrier) ? carrier.newest : 0
  }

  private carries(lease: Lease, newest: number): void {
    this.#carriers ??= new Map()
    this.#carriers.set(lease, { ...traceOf(lease), newest })
    lease.connection.dirty = true
  }
}
