// Which backend is the writer? Each kind of cluster has a function of its own for that: what is known of the members in,
// roles out. A new kind is a file like its siblings and a line here.

import type { Observation } from './observation.ts'
import { replicationRoles } from './replication-roles.ts'
import { staticRoles } from './static-roles.ts'
import type { Role } from './topology.ts'

/** `auto` takes the kind that fits best; today that is `replication`. */
export type TopologyKind = 'auto' | 'static' | 'replication' | 'aurora'

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

export const ROLE_FINDERS: Readonly<Record<TopologyKind, RoleFinder>> = {
  auto: replicationRoles,
  replication: replicationRoles,
  static: staticRoles,
  // Its readers say that they are read-only, and never that they replicate.
  aurora: replicationRoles,
}
