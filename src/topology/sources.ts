// Who follows whom among the members of a cluster. Pure.

import type { Source } from './claim.ts'
import type { Observation } from './observation.ts'

/** A member that another one follows, and how that goes. */
export interface Link {
  readonly to: Observation
  readonly source: Source
}

/** The members that this one follows. */
export function linksOf({ id, claim }: Observation, members: readonly Observation[]): readonly Link[] {
  const links: Link[] = []
  for (const source of claim?.sources ?? []) {
    const to = members.find((other) => other.id !== id && isSource(source, other))
    if (to !== undefined) links.push({ to, source })
  }
  return links
}

/** By what it calls itself where that is known: its address may have several names. */
function isSource({ address, serverId }: Source, { id, claim }: Observation): boolean {
  const own = claim?.serverId ?? ''
  return serverId !== null && own !== '' ? serverId === own : address === id
}

/** Everybody this one follows, directly or through others, as far as their last answers tell; itself if in a circle. */
export function upstreamOf(seen: Observation, members: readonly Observation[]): ReadonlySet<string> {
  const found = new Set<string>()
  const open = [seen]
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    for (const { to } of linksOf(one, members)) {
      if (found.has(to.id)) continue
      found.add(to.id)
      open.push(to)
    }
  }
  return found
}
