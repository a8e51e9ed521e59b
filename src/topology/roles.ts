// Which backend is the writer? One function per kind of cluster, from what the servers claim to roles. Pure.

import type { Observation, Role } from './topology.ts'

/** `auto` takes the kind that fits best; today that is `replication`. */
export type TopologyKind = 'auto' | 'static' | 'replication'

/** What a server says of itself. */
export interface Claim {
  readonly version: string
  readonly readOnly: boolean
  /** `host:port` of the server it replicates from, or null. */
  readonly source: string | null
  readonly replicating: boolean
  readonly lagMs: number | null
  readonly serverId: string
  /** The number or uuid of the server it replicates from, or null. */
  readonly sourceServerId: string | null
  /** What could not be asked, in words; null: nothing. */
  readonly note: string | null
}

export interface Found {
  readonly role: Role
  readonly why: string
}

/** Gets the backends that answer, sorted by id, and the writer so far; at most one of the roles is `writer`. */
export type RoleFinder = (
  answering: readonly Observation[],
  previousWriter: string | null,
) => ReadonlyMap<string, Found>

export function roleFinderOf(kind: TopologyKind, writer: string | null): RoleFinder {
  return kind === 'static' ? (answering) => staticRoles(answering, writer) : replicationRoles
}

/** The settings say who is the writer; a writer that says it is read-only is still not written to. */
function staticRoles(answering: readonly Observation[], writer: string | null): ReadonlyMap<string, Found> {
  const roles = new Map<string, Found>()
  for (const { id, claim } of answering) {
    if (id !== writer) roles.set(id, { role: 'reader', why: 'not the writer of the settings' })
    else if (claim?.readOnly === true) {
      roles.set(id, { role: 'unknown', why: 'the settings call it the writer, but it is read-only' })
    } else roles.set(id, { role: 'writer', why: 'the settings say so' })
  }
  return roles
}

/** A writer takes writes and follows nobody we know; readers are read-only, or follow one that answers. */
function replicationRoles(
  answering: readonly Observation[],
  previousWriter: string | null,
): ReadonlyMap<string, Found> {
  const claimants = answering.filter(
    ({ claim }) => claim !== null && !claim.readOnly && followed(claim, answering) === null,
  )
  const writer = chooseWriter(claimants, answering, previousWriter)
  const roles = new Map<string, Found>()
  for (const { id, claim } of answering) {
    if (claim === null) continue
    const source = followed(claim, answering)
    if (id === writer?.id) roles.set(id, { role: 'writer', why: writer.why })
    else if (claim.readOnly) roles.set(id, { role: 'reader', why: noteOf(claim, 'it is read-only') })
    else if (source !== null) {
      roles.set(id, { role: 'reader', why: `it takes writes, but replicates from ${source}: set read_only there` })
    } else {
      const why =
        writer === null ? 'several claim to be the writer, and nothing tells which is' : `${writer.id} is the writer`
      roles.set(id, { role: 'unknown', why: `it takes writes and follows nobody, but ${why}` })
    }
  }
  return roles
}

function noteOf(claim: Claim, why: string): string {
  return claim.note === null ? why : `${why}; ${claim.note}`
}

interface Chosen {
  readonly id: string
  readonly why: string
}

/** One claimant is the writer. Of several: the one that others follow; else the one that was; else nobody. */
function chooseWriter(
  claimants: readonly Observation[],
  answering: readonly Observation[],
  previousWriter: string | null,
): Chosen | null {
  const only = claimants[0]
  if (only === undefined) return null
  if (claimants.length === 1) return { id: only.id, why: noteOf(only.claim!, 'it takes writes') }
  const ranked = claimants
    .map(({ id }) => ({ id, followers: answering.filter(({ claim }) => isFollower(claim, id, answering)).length }))
    .sort((one, other) => other.followers - one.followers)
  const [first, second] = ranked
  if (first!.followers > second!.followers) {
    return { id: first!.id, why: `it takes writes, and ${first!.followers} of the others follow it` }
  }
  const previous = claimants.find(({ id }) => id === previousWriter)
  return previous === undefined ? null : { id: previous.id, why: 'several take writes; it was the writer before' }
}

function isFollower(claim: Claim | null, id: string, answering: readonly Observation[]): boolean {
  return claim?.replicating === true && followed(claim, answering) === id
}

/** The member that a server follows: by the source's own number first, since its address may have another name. */
function followed(claim: Claim, answering: readonly Observation[]): string | null {
  if (claim.source === null) return null
  for (const other of answering) {
    const isSource =
      claim.sourceServerId !== null && other.claim !== null
        ? other.claim.serverId === claim.sourceServerId
        : other.id === claim.source
    if (isSource && other.claim !== claim) return other.id
  }
  return null
}
