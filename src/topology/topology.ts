// Who is there: a numbered snapshot of a cluster's backends, and how one follows from the last. Pure but for the store.

import type { Observation } from './observation.ts'
import { type Found, type FoundKind, kindOf, ROLE_FINDERS, type TopologyKind } from './roles.ts'
import { freshnessOf } from './staleness.ts'

export type Role = 'writer' | 'reader' | 'unknown'
/** `behind`: a reader that answers, but whose rows are too old. Only who is `up` is given statements. */
export type Health = 'up' | 'behind' | 'suspect' | 'down'

/** One database server of a cluster. `id` is `host:port` and stays the same from snapshot to snapshot. */
export interface Backend {
  readonly id: string
  readonly host: string
  readonly port: number
  /** What the cluster itself calls it (an Aurora instance's id, say), where it does and that is known. */
  readonly name?: string
  readonly role: Role
  readonly health: Health
  /** It is down, and not only locks the monitor out: what it was asked will not be answered. */
  readonly lost?: true
  /** Milliseconds behind the writer; 0 on the writer, null when it cannot be told. */
  readonly lagMs: number | null
  /** Relative share of reads, 1 by default. */
  readonly weight: number
  /** The server's own version string, null until it was asked once. */
  readonly version: string | null
  /** As it claims (see `Claim.modes`); left out until it was asked once. */
  readonly modes?: string
  readonly isolation?: string
  /** As it greets (see `Claim.collation`); left out until it was asked once. */
  readonly collation?: number
  /** When `role` or `health` last changed, and why. */
  readonly sinceMs: number
  readonly why: string
}

export interface Topology {
  readonly cluster: string
  /** Grows by one whenever a role, a member or its health changes. */
  readonly epoch: number
  /** What kind of cluster it is, or null before anybody was asked. */
  readonly kind: FoundKind | null
  /** Grows whenever there is a writer anew: another one, or the same after it was gone. 0: there was none yet. */
  readonly writerEpoch: number
  readonly backends: readonly Backend[]
}

export interface TopologyPolicy {
  readonly kind: TopologyKind
  /** With kind `static`: the id of the writer. */
  readonly writer: string | null
  readonly lagMsMax: number
  readonly failuresToDown: number
  readonly successesToUp: number
}

export function usable({ health }: Backend): boolean {
  return health === 'up'
}

export function writerOf({ backends }: Topology): Backend | null {
  return backends.find((backend) => backend.role === 'writer' && usable(backend)) ?? null
}

export function readersOf({ backends }: Topology): readonly Backend[] {
  return backends.filter((backend) => backend.role === 'reader' && usable(backend))
}

/** The snapshot that follows from what was observed; the same object when nothing at all changed. */
export function nextTopology(
  previous: Topology,
  observations: readonly Observation[],
  nowMs: number,
  policy: TopologyPolicy,
): Topology {
  const members = [...observations].sort((one, other) => (one.id < other.id ? -1 : 1))
  const before = new Map(previous.backends.map((backend) => [backend.id, backend]))
  const healths = new Map(members.map((seen) => [seen.id, healthOf(seen, before.get(seen.id) ?? null, policy)]))
  const down = new Set(members.filter(({ id }) => healths.get(id)!.health === 'down').map(({ id }) => id))
  const previousWriter = previous.backends.find(({ role }) => role === 'writer')?.id ?? null
  const kind = kindOf(policy.kind, previous.kind, members)
  const found = ROLE_FINDERS[kind]({ members, down, previousWriter, namedWriter: policy.writer })
  const writer = members.find(({ id }) => found.get(id)?.role === 'writer') ?? null
  const backends = members.map((seen) => {
    const old = before.get(seen.id) ?? null
    const { role, why } = found.get(seen.id) ?? silent(old, writer)
    const isReader = role === 'reader' && !down.has(seen.id)
    const bounds = { lagMsMax: policy.lagMsMax, wasOut: old?.health === 'behind', nowMs }
    const freshness = isReader ? freshnessOf(seen, writer, members, bounds) : null
    // That another has the place of a silent one bears witness too: what it was asked will not be answered.
    const isReplaced = role === 'unknown' && writer !== null && seen.claim !== null && seen.failures > 0 && !seen.blind
    const known: Verdict = isReplaced ? { health: 'down', why: seen.trouble! } : healths.get(seen.id)!
    const judged = verdictOn(known, freshness?.tooStale ?? null, why)
    const { health } = judged
    const isLost = health === 'down' && seen.trouble !== null && !seen.blind && !seen.full
    const modes = seen.claim?.modes ?? old?.modes
    const isolation = seen.claim?.isolation ?? old?.isolation
    const collation = seen.claim?.collation ?? old?.collation
    return {
      id: seen.id,
      host: seen.host,
      port: seen.port,
      ...(seen.name === null ? {} : { name: seen.name }),
      role,
      health,
      ...(isLost ? { lost: true as const } : {}),
      lagMs: role === 'writer' ? 0 : (freshness?.lagMs ?? null),
      weight: seen.weight,
      version: seen.claim?.version ?? old?.version ?? null,
      ...(modes === undefined ? {} : { modes }),
      ...(isolation === undefined ? {} : { isolation }),
      ...(collation === undefined ? {} : { collation }),
      sinceMs: old !== null && old.role === role && old.health === health ? old.sinceMs : nowMs,
      why: judged.why,
    }
  })
  return follow(previous, kind, backends)
}

/** A server that does not answer is what it was, until somebody else takes its place. */
function silent(old: Backend | null, writer: Observation | null): Found {
  if (old === null || (old.role === 'writer' && writer !== null)) return { role: 'unknown', why: '' }
  return { role: old.role, why: '' }
}

interface Verdict {
  readonly health: Health
  /** Empty when there is nothing to complain of. */
  readonly why: string
}

function healthOf(seen: Observation, old: Backend | null, policy: TopologyPolicy): Verdict {
  const { claim, trouble, failures, successes, blind, full } = seen
  const { failuresToDown, successesToUp } = policy
  // It runs, and was the writer: that the monitor is locked out shall not lock out everybody.
  if (blind && !seen.doubted && claim !== null && old?.role === 'writer' && old.health === 'up') {
    return { health: 'up', why: trouble! }
  }
  // What is connected to a full server goes on there, and what comes waits or goes elsewhere.
  if (full && !seen.doubted && claim !== null && (old?.health === 'up' || old?.health === 'behind')) {
    return { health: 'up', why: trouble! }
  }
  if (seen.gone || failures >= failuresToDown) return { health: 'down', why: trouble! }
  if (trouble !== null) return { health: old?.health === 'down' ? 'down' : 'suspect', why: trouble }
  if (claim === null) return { health: 'down', why: 'it has not answered yet' }
  if (old?.health !== 'down' || old.version === null || successes >= successesToUp) return { health: 'up', why: '' }
  return { health: 'down', why: `it answers again: ${successes} of ${successesToUp} times` }
}

function verdictOn(judged: Verdict, tooStale: string | null, roleWhy: string): Verdict {
  if (judged.health === 'up' && tooStale !== null) return { health: 'behind', why: tooStale }
  return { health: judged.health, why: judged.why === '' ? roleWhy : judged.why }
}

function follow(previous: Topology, kind: FoundKind, backends: readonly Backend[]): Topology {
  const { cluster, epoch } = previous
  if (changesBetween(previous.backends, backends).length > 0) {
    const next = { cluster, epoch: epoch + 1, kind, writerEpoch: previous.writerEpoch, backends }
    const writer = writerOf(next)
    const isAnew = writer !== null && writer.id !== writerOf(previous)?.id
    return isAnew ? { ...next, writerEpoch: previous.writerEpoch + 1 } : next
  }
  const isSame = backends.every((backend, at) => {
    const old = previous.backends[at]!
    return (
      backend.lagMs === old.lagMs &&
      backend.why === old.why &&
      backend.version === old.version &&
      backend.modes === old.modes &&
      backend.isolation === old.isolation &&
      backend.collation === old.collation &&
      backend.name === old.name
    )
  })
  return isSame && kind === previous.kind ? previous : { ...previous, kind, backends }
}

/** What became of one backend: null on the side where it was not a member. */
export interface Change {
  readonly id: string
  readonly before: Backend | null
  readonly after: Backend | null
}

/** The backends whose role, health or membership differs; both lists are sorted by id. */
export function changesBetween(before: readonly Backend[], after: readonly Backend[]): readonly Change[] {
  const old = new Map(before.map((backend) => [backend.id, backend]))
  const now = new Map(after.map((backend) => [backend.id, backend]))
  return [...new Set([...old.keys(), ...now.keys()])]
    .map((id) => ({ id, before: old.get(id) ?? null, after: now.get(id) ?? null }))
    .filter(({ before, after }) => before?.role !== after?.role || before?.health !== after?.health)
}

/** The current snapshot, and the one subscription in the code. */
export class TopologyStore {
  #current: Topology
  readonly #listeners: ((topology: Topology) => void)[] = []

  constructor(cluster: string) {
    this.#current = { cluster, epoch: 0, kind: null, writerEpoch: 0, backends: [] }
  }

  get current(): Topology {
    return this.#current
  }

  publish(topology: Topology): void {
    if (topology === this.#current) return
    this.#current = topology
    for (const listener of this.#listeners) listener(topology)
  }

  subscribe(listener: (topology: Topology) => void): void {
    this.#listeners.push(listener)
  }
}
