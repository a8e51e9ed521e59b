// Who is there: a numbered snapshot of a cluster's backends, and how one follows from the last. Pure but for the store.

import { type Claim, type RoleFinder, roleFinderOf, type TopologyKind } from './roles.ts'

export type Role = 'writer' | 'reader' | 'unknown'
export type Health = 'up' | 'suspect' | 'down'

/** One database server of a cluster. `id` is `host:port` and stays the same from snapshot to snapshot. */
export interface Backend {
  readonly id: string
  readonly host: string
  readonly port: number
  readonly role: Role
  readonly health: Health
  /** Milliseconds behind the writer; 0 on the writer, null when it cannot be told. */
  readonly lagMs: number | null
  /** Relative share of reads, 1 by default. */
  readonly weight: number
  /** The server's own version string, null until it was asked once. */
  readonly version: string | null
  /** When `role` or `health` last changed, and why. */
  readonly sinceMs: number
  readonly why: string
}

export interface Topology {
  readonly cluster: string
  /** Grows by one whenever a role, a member or its health changes. */
  readonly epoch: number
  readonly backends: readonly Backend[]
}

/** What the monitor knows of one backend: its last answer, and how many probes in a row went well or badly. */
export interface Observation {
  readonly id: string
  readonly host: string
  readonly port: number
  readonly weight: number
  /** The last good answer, null before the first. */
  readonly claim: Claim | null
  readonly successes: number
  readonly failures: number
  /** Why the last probe failed, or why the data path doubts it; null while all is well. */
  readonly trouble: string | null
}

export interface TopologyPolicy {
  readonly kind: TopologyKind
  /** With kind `static`: the id of the writer. */
  readonly writer: string | null
  readonly lagMsMax: number
  readonly failuresToDown: number
  readonly successesToUp: number
}

/** A reader that was out because of its lag comes back at this share of the bound, so that it does not flutter. */
const LAG_BACK_SHARE = 0.8

/** The snapshot that follows from what was observed; the same object when nothing at all changed. */
export function nextTopology(
  previous: Topology,
  observations: readonly Observation[],
  nowMs: number,
  policy: TopologyPolicy,
): Topology {
  const sorted = [...observations].sort((one, other) => (one.id < other.id ? -1 : 1))
  const before = new Map(previous.backends.map((backend) => [backend.id, backend]))
  const healths = new Map(sorted.map((seen) => [seen.id, healthOf(seen, before.get(seen.id) ?? null, policy)]))
  const find: RoleFinder = roleFinderOf(policy.kind, policy.writer)
  const previousWriter = previous.backends.find(({ role }) => role === 'writer')?.id ?? null
  const roles = find(
    sorted.filter(({ id }) => healths.get(id)!.health !== 'down'),
    previousWriter,
  )
  const backends = sorted.map((seen) => {
    const old = before.get(seen.id) ?? null
    const found = roles.get(seen.id) ?? { role: 'unknown' as const, why: '' }
    // A server that does not answer is what it was, until somebody else takes its place.
    const isSilent = healths.get(seen.id)!.health === 'down'
    const role = isSilent && old !== null && !(old.role === 'writer' && hasWriter(roles)) ? old.role : found.role
    return backendOf(seen, old, { role, why: isSilent ? '' : found.why }, healths.get(seen.id)!, { nowMs, policy })
  })
  return follow(previous, backends)
}

function hasWriter(roles: ReadonlyMap<string, { readonly role: Role }>): boolean {
  for (const { role } of roles.values()) if (role === 'writer') return true
  return false
}

interface Judgement {
  readonly health: Health
  readonly why: string
}

function healthOf(seen: Observation, old: Backend | null, policy: TopologyPolicy): Judgement {
  if (seen.failures >= policy.failuresToDown) return { health: 'down', why: seen.trouble ?? 'it does not answer' }
  if (seen.trouble !== null) return { health: old?.health === 'down' ? 'down' : 'suspect', why: seen.trouble }
  if (seen.claim === null) return { health: 'down', why: 'not asked yet' }
  const isBack = old === null || old.health !== 'down' || seen.successes >= policy.successesToUp
  return isBack ? { health: 'up', why: '' } : { health: 'down', why: `answers again (${seen.successes} times so far)` }
}

function backendOf(
  seen: Observation,
  old: Backend | null,
  found: { readonly role: Role; readonly why: string },
  judged: Judgement,
  { nowMs, policy }: { readonly nowMs: number; readonly policy: TopologyPolicy },
): Backend {
  const lagMs = found.role === 'writer' ? 0 : (seen.claim?.lagMs ?? null)
  const lag = found.role === 'reader' && judged.health === 'up' ? lagJudgement(seen, old, lagMs, policy) : null
  const { health, why } = lag ?? { health: judged.health, why: judged.why !== '' ? judged.why : found.why }
  const changed = old === null || old.role !== found.role || old.health !== health
  return {
    id: seen.id,
    host: seen.host,
    port: seen.port,
    role: found.role,
    health,
    lagMs,
    weight: seen.weight,
    version: seen.claim?.version ?? old?.version ?? null,
    sinceMs: changed ? nowMs : old.sinceMs,
    why,
  }
}

/** A reader that lags, or whose replication stands still, serves nobody until it has caught up. */
function lagJudgement(
  seen: Observation,
  old: Backend | null,
  lagMs: number | null,
  policy: TopologyPolicy,
): Judgement | null {
  const { claim } = seen
  if (claim === null) return null
  if (claim.source !== null && !claim.replicating) return { health: 'down', why: 'its replication is stopped' }
  if (lagMs === null) return null
  const wasOut = old !== null && old.health === 'down'
  const boundMs = wasOut ? policy.lagMsMax * LAG_BACK_SHARE : policy.lagMsMax
  if (lagMs <= boundMs) return null
  return { health: 'down', why: `it is ${lagMs} ms behind the writer; reads.lagMsMax is ${policy.lagMsMax}` }
}

function follow(previous: Topology, backends: readonly Backend[]): Topology {
  const { cluster, epoch } = previous
  const shape = (all: readonly Backend[]) => all.map(({ id, role, health }) => `${id} ${role} ${health}`).join('\n')
  if (shape(previous.backends) !== shape(backends)) return { cluster, epoch: epoch + 1, backends }
  const isSame = backends.every((backend, at) => {
    const old = previous.backends[at]!
    return backend.lagMs === old.lagMs && backend.why === old.why && backend.version === old.version
  })
  return isSame ? previous : { cluster, epoch, backends }
}

/** The current snapshot, and the one subscription in the code. */
export class TopologyStore {
  #current: Topology
  readonly #listeners: ((topology: Topology) => void)[] = []

  constructor(cluster: string) {
    this.#current = { cluster, epoch: 0, backends: [] }
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
