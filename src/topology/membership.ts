// Who belongs to a cluster whose servers keep a list of its members, and where they are to be found. Pure.

import { hostFrom, shapeOf } from './host-pattern.ts'
import type { Observation } from './observation.ts'
import { isListed, isNewlyListed } from './roster.ts'

/** A member that a list knows, and its address. */
export interface Place {
  readonly id: string
  readonly host: string
  readonly port: number
  readonly name: string
}

/** Whom the monitor asks. Who has not joined leads to members, and is none itself. */
export interface Known {
  readonly seen: Observation
  readonly isSeed: boolean
  readonly joined: boolean
}

export interface Membership {
  /** By id. Empty: nothing can be told, and all stays as it is. */
  readonly places: ReadonlyMap<string, Place>
  /** The lists differ: some have not heard the news yet. */
  readonly disputed: boolean
}

export function idOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * The writer's list is the first to be right; without one, whoever is on any list is a member. `pattern` makes hosts of
 * names where the lists have no addresses.
 */
export function membershipOf(known: readonly Known[], pattern: string | null): Membership {
  const sound = known.filter(({ seen }) => seen.roster !== null && seen.claim !== null && seen.trouble === null)
  const joined = sound.filter((each) => each.joined)
  const lists = joined.length > 0 ? joined : sound
  const writers = lists.filter(({ seen }) => !seen.claim!.readOnly)
  const voters = writers.length > 0 ? writers : lists
  const places = placesIn(voters, known, pattern)
  if (places.size === 0) return { places, disputed: false }
  const others = lists.filter((each) => !voters.includes(each))
  const differs = others.some((other) => !sameKeys(placesIn([other], known, pattern), places))
  return { places, disputed: differs }
}

function placesIn(lists: readonly Known[], known: readonly Known[], pattern: string | null): Map<string, Place> {
  const members = new Map(known.filter(({ joined }) => joined).map(({ seen }) => [seen.id, seen]))
  const places = new Map<string, Place>()
  for (const { seen } of lists) {
    const { roster } = seen.roster!
    for (const { name, address } of roster.rows) {
      const { host, port } = address ?? { host: pattern === null ? null : hostFrom(pattern, name), port: seen.port }
      if (host === null) continue
      const ours = roster.kind === 'group-replication' ? seedOf(name, known) : null
      const place = ours ?? { id: idOf(host, port), host, port, name }
      const member = members.get(place.id)
      const isAnswering = member !== undefined && member.claim !== null && member.trouble === null
      const isOn = member === undefined ? isNewlyListed(roster, name) : isListed(roster, name, isAnswering)
      if (isOn) places.set(place.id, place)
    }
  }
  return places
}

/** The members of a group know one another by addresses that need not lead there from here, as those of the settings do. */
function seedOf(name: string, known: readonly Known[]): Place | null {
  const found = known.find(({ seen, isSeed }) => isSeed && seen.name === name && shapeOf(seen.host) !== 'roving')
  return found === undefined ? null : { id: found.seen.id, host: found.seen.host, port: found.seen.port, name }
}

function sameKeys(one: ReadonlyMap<string, unknown>, other: ReadonlyMap<string, unknown>): boolean {
  return one.size === other.size && [...one.keys()].every((key) => other.has(key))
}
