// What happened to a cluster: who joined, left, changed its role, fell behind or came back, and its failovers. What
// happened last is kept, in bounded number; whoever wants to follow asks for what came after the last one they know.

import type { FailoverTimeline } from './failover-timeline.ts'
import { type Backend, type Change, changesBetween, type Health, type Role, type Topology } from './topology.ts'

export type BackendEventKind = 'joined' | 'left' | 'role' | 'up' | 'behind' | 'doubt' | 'down'

/** What became of one backend. */
export interface BackendEvent {
  readonly kind: BackendEventKind
  readonly cluster: string
  readonly epoch: number
  readonly atMs: number
  readonly backend: string
  readonly name: string | null
  readonly role: Role
  readonly health: Health
  /** Before; null when it joined. */
  readonly was: { readonly role: Role; readonly health: Health } | null
  readonly lagMs: number | null
  readonly why: string
}

export type ClusterEvent = BackendEvent | FailoverTimeline

const KIND_OF_HEALTH: Readonly<Record<Health, BackendEventKind>> = {
  up: 'up',
  behind: 'behind',
  suspect: 'doubt',
  down: 'down',
}

/** One event for each backend that is not what it was. */
export function eventsBetween(before: Topology, after: Topology, atMs: number): readonly BackendEvent[] {
  const { cluster, epoch } = after
  return changesBetween(before.backends, after.backends).map((change) => {
    const { id, name, role, health, lagMs, why } = (change.after ?? change.before) as Backend
    const was = change.before === null ? null : { role: change.before.role, health: change.before.health }
    const said = change.after === null ? 'it is no member any more' : why
    return {
      kind: kindOf(change),
      cluster,
      epoch,
      atMs,
      backend: id,
      name: name ?? null,
      role,
      health,
      was,
      lagMs,
      why: said,
    }
  })
}

function kindOf({ before, after }: Change): BackendEventKind {
  if (before === null) return 'joined'
  if (after === null) return 'left'
  return before.role === after.role ? KIND_OF_HEALTH[after.health] : 'role'
}

/** An event as it is kept: `id` grows by one from event to event of this process. */
export interface KeptEvent {
  readonly id: number
  readonly event: ClusterEvent
}

/** Failovers have a bound of their own, so that a reader that comes and goes all night drives none of them out. */
export class EventLog {
  readonly #bounds: { readonly eventsMax: number; readonly failoversMax: number }
  readonly #events: KeptEvent[] = []
  readonly #failovers: KeptEvent[] = []
  #lastId = 0

  constructor(bounds: { readonly eventsMax: number; readonly failoversMax: number }) {
    this.#bounds = bounds
  }

  get lastId(): number {
    return this.#lastId
  }

  add(event: ClusterEvent): void {
    this.#lastId += 1
    const { eventsMax, failoversMax } = this.#bounds
    const [ring, max] = event.kind === 'failover' ? [this.#failovers, failoversMax] : [this.#events, eventsMax]
    ring.push({ id: this.#lastId, event })
    if (ring.length > max) ring.shift()
  }

  /** What came after the event of this id, oldest first, as far as it is still kept. */
  after(id: number): readonly KeptEvent[] {
    const isLater = (kept: KeptEvent) => kept.id > id
    return [...this.#events.filter(isLater), ...this.#failovers.filter(isLater)].sort((one, other) => one.id - other.id)
  }
}
