// Which backend is the writer? Each kind of cluster has a function of its own for that: what is known of the members in,
// roles out. A new kind is a file like its siblings and a line here.

import type { RosterKind } from './claim.ts'
import type { Observation } from './observation.ts'
import { replicationRoles } from './replication-roles.ts'
import { rosterRoles } from './roster-roles.ts'
import { staticRoles } from './static-roles.ts'
import type { Role } from './topology.ts'

/** A kind of cluster that one can be. */
export type FoundKind = 'static' | 'replication' | RosterKind
/** A kind that can be asked for: `auto` takes the most specific one that a server answers to. */
export type TopologyKind = 'auto' | FoundKind

export interface Found {
  readonly role: Role
  readonly why: string
}

/** What a kind has to go by. `members` are sorted by id; `down` are those that do not answer any more. */
export interface Evidence {
  readonly members: readonly Observation[]
  readonly down: ReadonlySet<string>
  readonly previousWriter: string | null
  /** The writer that the settings name. */
  readonly namedWriter: string | null
}

/** A pure function. At most one role is `writer`; who is down or was never asked may be left out. */
export type RoleFinder = (evidence: Evidence) => ReadonlyMap<string, Found>

export const ROLE_FINDERS: Readonly<Record<FoundKind, RoleFinder>> = {
  replication: replicationRoles,
  static: staticRoles,
  aurora: rosterRoles,
  // Ordinary replication, with a list of its members.
  'rds-multi-az': replicationRoles,
  'group-replication': rosterRoles,
}

/** The most specific first. */
const BY_ROSTER: readonly RosterKind[] = ['aurora', 'rds-multi-az', 'group-replication']

/** What the cluster is, by what the settings ask for, what was found before, and what its members say. */
export function kindOf(asked: TopologyKind, before: FoundKind | null, members: readonly Observation[]): FoundKind {
  if (asked !== 'auto') return asked
  const told = new Set(members.map(({ roster }) => roster?.roster.kind))
  return BY_ROSTER.find((kind) => told.has(kind)) ?? before ?? 'replication'
}
