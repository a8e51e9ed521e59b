// Servers that replicate from one another: the writer takes writes and follows nobody who does, readers follow it.
// Where two claim to be the writer, evidence decides; where there is none, nobody new is believed.

import type { Observation } from './observation.ts'
import type { Evidence, Found } from './roles.ts'
import { linksOf, upstreamOf } from './sources.ts'

export function replicationRoles(evidence: Evidence): ReadonlyMap<string, Found> {
  const { members, down } = evidence
  const answering = members.filter(({ id, claim }) => claim !== null && !down.has(id))
  const willing = answering.filter(({ claim }) => !claim!.readOnly)
  const followers = new Map(willing.map((seen) => [seen.id, whyFollower(seen, willing, evidence)]))
  const claimants = willing.filter(({ id }) => followers.get(id) === null)
  const chosen = chooseWriter(claimants, evidence)
  const roles = new Map<string, Found>()
  for (const { id, claim } of answering) {
    const { note } = claim!
    const withNote = (why: string) => (note === null ? why : `${why}; ${note}`)
    const following = followers.get(id) ?? null
    if (id === chosen.id) roles.set(id, { role: 'writer', why: withNote(chosen.why) })
    else if (claim!.readOnly) roles.set(id, { role: 'reader', why: withNote('it is read-only') })
    else if (following !== null) roles.set(id, { role: 'reader', why: withNote(following) })
    else roles.set(id, { role: 'unknown', why: withNote(`it takes writes and follows nobody, but ${chosen.why}`) })
  }
  return roles
}

/** Why a server that takes writes is no writer all the same; null: it claims to be one. */
function whyFollower(seen: Observation, willing: readonly Observation[], evidence: Evidence): string | null {
  const { members, down } = evidence
  const upstream = upstreamOf(seen, members)
  // Two that follow each other are equals.
  const isAbove = (other: Observation) => upstream.has(other.id) && !upstreamOf(other, members).has(seen.id)
  const source = willing.find((other) => other !== seen && isAbove(other))
  if (source !== undefined) return `it takes writes, but replicates from ${source.id}: set read_only there`
  for (const { to, source: link } of linksOf(seen, members)) {
    if (!down.has(to.id) || !isAbove(to) || (link.receiving === 'no' && link.error === null)) continue
    // Whoever makes a follower of the dead writable means it. What was so before is a replica that lacks read_only.
    if (seen.claimWitnessed && beganAfter(seen, to)) continue
    return `it takes writes, but waits for ${to.id}, which is down; if it is to be the writer, stop its replication`
  }
  return null
}

interface Chosen {
  readonly id: string | null
  /** Why it is this one, or why the others are not. */
  readonly why: string
}

function chooseWriter(claimants: readonly Observation[], evidence: Evidence): Chosen {
  const { members, previousWriter } = evidence
  const previous = members.find(({ id }) => id === previousWriter) ?? null
  const ranked = rank(claimants, evidence)
  const first = ranked[0]
  if (first === undefined) return { id: null, why: 'nobody takes writes' }
  if (previous !== null && (evidence.down.has(previous.id) || previous.trouble !== null)) {
    return successorOf(previous, ranked, evidence)
  }
  if (ranked.length === 1) return { id: first.seen.id, why: 'it takes writes' }
  const second = ranked[1]!
  if (first.followers > second.followers) {
    return { id: first.seen.id, why: `${first.seen.id} takes writes, and ${count(first.followers)} it` }
  }
  if (first.newsMs > second.newsMs) {
    return { id: first.seen.id, why: `${first.seen.id} takes writes since later than the others that do` }
  }
  if (ranked.some(({ seen }) => seen === previous)) {
    return { id: previous!.id, why: `${previous!.id} was the writer before, and nothing tells that it no longer is` }
  }
  return { id: null, why: 'so do others, and nothing tells which is the writer: set read_only on all but one' }
}

/** The writer so far cannot be heard. Who has taken its place? */
function successorOf(previous: Observation, ranked: readonly Ranked[], { down }: Evidence): Chosen {
  const own = ranked.find(({ seen }) => seen === previous)
  const heirs = ranked.filter(({ seen, followers, newsMs }) => {
    if (seen === previous || seen.trouble !== null) return false
    if (beganAfter(seen, previous)) return true
    // A moment's silence is no reason to believe a rival.
    return down.has(previous.id) ? followers > 0 || newsMs > 0 : followers > (own?.followers ?? 0)
  })
  const [first, second] = heirs
  if (first !== undefined && (second === undefined || isAhead(first, second))) {
    return { id: first.seen.id, why: `${first.seen.id} takes writes, and ${previous.id} does not answer` }
  }
  if (own !== undefined) return { id: previous.id, why: `${previous.id} was the writer before` }
  if (first !== undefined) {
    return { id: null, why: 'so do others, and nothing tells which is the writer: set read_only on all but one' }
  }
  const why = `it did so already while ${previous.id} was the writer, which does not answer now`
  return { id: null, why: `${why}; to make it the writer set read_only there and take it away again` }
}

/** It took no writes while the other one was heard. */
function beganAfter({ claimedMs }: Observation, { silentMs }: Observation): boolean {
  return claimedMs !== null && silentMs !== null && claimedMs > silentMs
}

interface Ranked {
  readonly seen: Observation
  readonly followers: number
  /** When it was seen to begin; 0 where nobody saw that. */
  readonly newsMs: number
}

/** The likeliest writer first; the order they came in for equals. */
function rank(claimants: readonly Observation[], { members, down }: Evidence): readonly Ranked[] {
  const followersOf = (seen: Observation) =>
    members.filter((other) => {
      if (down.has(other.id)) return false
      return linksOf(other, members).some(({ to, source }) => to === seen && source.receiving !== 'no')
    }).length
  return claimants
    .map((seen) => ({ seen, followers: followersOf(seen), newsMs: seen.claimWitnessed ? seen.claimedMs! : 0 }))
    .sort((one, other) => other.followers - one.followers || other.newsMs - one.newsMs)
}

function isAhead(one: Ranked, other: Ranked): boolean {
  return one.followers > other.followers || (one.followers === other.followers && one.newsMs > other.newsMs)
}

function count(followers: number): string {
  return followers === 1 ? 'one other follows' : `${followers} others follow`
}
