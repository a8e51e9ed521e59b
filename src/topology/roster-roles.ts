// Clusters whose servers keep a list of the members: the writer is who says so itself and is not contradicted by newer
// evidence. Where newer evidence names somebody who has not confirmed it yet, there is no writer, and writes wait.

import type { Observation } from './observation.ts'
import type { Evidence, Found } from './roles.ts'
import { newestWriter } from './roster.ts'

export function rosterRoles(evidence: Evidence): ReadonlyMap<string, Found> {
  const { members, down } = evidence
  const answering = members.filter(({ id, claim }) => claim !== null && !down.has(id))
  const chosen = chooseWriter(answering, evidence)
  const isShared = answering.some(({ roster }) => roster?.roster.kind === 'group-replication')
  const roles = new Map<string, Found>()
  for (const { id, claim } of answering) {
    const { readOnly, note } = claim!
    const withNote = (why: string) => (note === null ? why : `${why}; ${note}`)
    if (id === chosen.id) roles.set(id, { role: 'writer', why: withNote(chosen.why) })
    else if (readOnly) roles.set(id, { role: 'reader', why: withNote('it is read-only') })
    else if (isShared && chosen.id !== null) {
      // Where every member takes writes, one of them gets ours, and the others are as good as readers.
      roles.set(id, { role: 'reader', why: withNote(`it takes writes, as ${chosen.id} does, which gets them`) })
    } else roles.set(id, { role: 'unknown', why: withNote(`it takes writes, but ${chosen.why}`) })
  }
  return roles
}

/** Somebody's word that a member is the writer. */
interface Testimony {
  readonly about: string
  /** Since when, as far as we saw it begin; 0: we did not. */
  readonly sinceMs: number
  /** When it was last true, by our own clock. */
  readonly knownMs: number
}

interface Claimant extends Testimony {
  readonly seen: Observation
}

interface Chosen {
  readonly id: string | null
  readonly why: string
}

function chooseWriter(answering: readonly Observation[], { previousWriter }: Evidence): Chosen {
  const told = answering.filter(({ trouble }) => trouble === null).flatMap(testimonyOf)
  const ranked = answering
    .filter(({ claim }) => !claim!.readOnly)
    .map((seen) => claimantOf(seen, told))
    .sort((one, other) => other.sinceMs - one.sinceMs || other.knownMs - one.knownMs)
  const [newest, second] = ranked
  if (newest === undefined) return { id: null, why: 'nobody takes writes' }
  const previous = ranked.find(({ seen }) => seen.id === previousWriter)
  const isNews = second === undefined || newest.sinceMs > second.sinceMs
  // Without news the one that was the writer stays it; at first sight the newest row decides.
  const first = isNews || previous === undefined || previous.sinceMs < newest.sinceMs ? newest : previous
  const against = told.find((other) => contradicts(other, first, answering))
  if (against !== undefined) {
    return {
      id: null,
      why: `${against.about} is said to be the writer since later, and has not confirmed it: writes wait`,
    }
  }
  if (ranked.length === 1) return { id: first.seen.id, why: 'it says that it is the writer' }
  if (!isNews && previous === undefined && newest.knownMs === second.knownMs) return tied(ranked)
  const why = isNews ? 'it became the writer later than the others that say so' : 'its claim is the newest'
  return { id: first.seen.id, why: `${why}: ${ranked.map(({ seen }) => seen.id).join(', ')}` }
}

/** Members that all take writes by right have no order among them. Whichever it is, it is always the same. */
function tied(ranked: readonly Claimant[]): Chosen {
  const isShared = ranked.every(({ seen }) => seen.roster?.roster.kind === 'group-replication')
  if (!isShared) return { id: null, why: 'so do others, and nothing tells which is the writer' }
  const [first] = ranked.map(({ seen }) => seen.id).sort()
  return { id: first!, why: 'all members take writes, and this one gets them' }
}

function testimonyOf({ roster }: Observation): readonly Testimony[] {
  const row = roster === null ? null : newestWriter(roster.roster)
  if (roster === null || row === null) return []
  return [{ about: row.name, sinceMs: roster.writerSinceMs, knownMs: roster.answeredMs - row.ageMs }]
}

/** What it says of itself, and the best that is said of it. */
function claimantOf(seen: Observation, told: readonly Testimony[]): Claimant {
  const known = told.filter(({ about }) => about === seen.name).map(({ knownMs }) => knownMs)
  return {
    seen,
    about: seen.name ?? seen.id,
    sinceMs: seen.claimWitnessed ? seen.claimedMs! : 0,
    knownMs: Math.max(0, ...known),
  }
}

/** Later news of another writer, and a newer row; unless that other one has been asked since and denies it. */
function contradicts(told: Testimony, claimant: Claimant, answering: readonly Observation[]): boolean {
  if (told.about === claimant.about || told.sinceMs <= claimant.sinceMs || told.knownMs <= claimant.knownMs)
    return false
  const subject = answering.find(({ name }) => name === told.about)
  return !(subject?.claim?.readOnly === true && subject.trouble === null && subject.askedMs >= told.sinceMs)
}
