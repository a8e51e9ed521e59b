// What is known of one backend: its last answer, how its probes have gone, and what changed over time. Pure.

import type { Claim, Position, ProbeFailed } from './claim.ts'
import { type HeardRoster, heard } from './roster.ts'

/** When a position was first seen. */
export interface Mark {
  readonly ms: number
  readonly position: Position
}

export interface Observation {
  readonly id: string
  readonly host: string
  readonly port: number
  readonly weight: number
  /** What the cluster's own list of members calls it; null while that is not known. */
  readonly name: string | null
  /** The last good answer, null before the first. */
  readonly claim: Claim | null
  /** When that was asked for, and when it came. */
  readonly askedMs: number
  readonly answeredMs: number
  /** When the first of the questions was asked that it has not answered since; null while it answers. */
  readonly silentMs: number | null
  /** Probes in a row that went well or badly. */
  readonly successes: number
  readonly failures: number
  /** Why the last probe failed, or why the data path doubts it; null while all is well. */
  readonly trouble: string | null
  /** The data path doubts it, and no probe has been asked since. */
  readonly doubted: boolean
  /** No more failures are needed to know that it is down. */
  readonly gone: boolean
  /** It runs, but the monitor is not let in. */
  readonly blind: boolean
  /** It runs, and has as many connections as it may have. */
  readonly full: boolean
  /** Since when it takes writes and waits for no source; null while it does not. */
  readonly claimedMs: number | null
  /** We saw it turn; otherwise it was like that when we first met. */
  readonly claimWitnessed: boolean
  /** When it was last seen connected to its sources, null before. */
  readonly receivingMs: number | null
  /** Its positions over time, oldest first. */
  readonly marks: readonly Mark[]
  /** The list of members that it gave last, null if it never did. */
  readonly roster: HeardRoster | null
}

/** A busy writer leaves one mark with every probe. */
const MARKS_MAX = 120

export function unobserved(id: string, host: string, port: number, weight: number): Observation {
  return {
    id,
    host,
    port,
    weight,
    name: null,
    claim: null,
    askedMs: 0,
    answeredMs: 0,
    silentMs: null,
    successes: 0,
    failures: 0,
    trouble: null,
    doubted: false,
    gone: false,
    blind: false,
    full: false,
    claimedMs: null,
    claimWitnessed: false,
    receivingMs: null,
    marks: [],
    roster: null,
  }
}

/** It has not had the time to answer or to fail. */
export function isUnasked({ claim, trouble }: Observation): boolean {
  return claim === null && trouble === null
}

/** Its last answer holds. */
export function isHeard({ claim, trouble }: Observation): boolean {
  return claim !== null && trouble === null
}

export function answered(before: Observation, claim: Claim, askedMs: number, nowMs: number): Observation {
  const isReceiving = claim.sources.length > 0 && claim.sources.every(({ receiving }) => receiving === 'yes')
  return {
    ...before,
    ...claimed(before, claim, nowMs),
    name: claim.roster?.self ?? before.name,
    claim,
    askedMs,
    answeredMs: nowMs,
    silentMs: null,
    successes: before.successes + 1,
    failures: 0,
    trouble: null,
    doubted: false,
    gone: false,
    blind: false,
    full: false,
    receivingMs: isReceiving ? nowMs : before.receivingMs,
    marks: marked(before.marks, claim.position, nowMs),
    roster: claim.roster === null ? before.roster : heard(before.roster, claim.roster, askedMs, nowMs),
  }
}

export function missed(before: Observation, { kind, message }: ProbeFailed, askedMs: number): Observation {
  return {
    ...before,
    silentMs: before.silentMs ?? askedMs,
    successes: 0,
    // Being full is no failure: what is connected goes on.
    failures: before.failures + (kind === 'capacity' ? 0 : 1),
    trouble: message,
    // Two witnesses are enough, and so is a machine that says nobody listens.
    gone: kind === 'refused' || (before.doubted && kind !== 'login' && kind !== 'capacity'),
    blind: kind === 'login',
    full: kind === 'capacity',
  }
}

export function doubted(before: Observation, why: string): Observation {
  return { ...before, trouble: why, doubted: true }
}

/** Takes writes, and nobody has it follow another: replication that broke by itself is no promotion. */
function isFree({ readOnly, sources }: Claim): boolean {
  return !readOnly && sources.every(({ receiving, error }) => receiving === 'no' && error === null)
}

function claimed(before: Observation, claim: Claim, nowMs: number): Pick<Observation, 'claimedMs' | 'claimWitnessed'> {
  if (claim.readOnly) return { claimedMs: null, claimWitnessed: false }
  if (before.claim === null) return { claimedMs: nowMs, claimWitnessed: false }
  const hasTurned = before.claim.readOnly || (isFree(claim) && !isFree(before.claim))
  if (hasTurned) return { claimedMs: nowMs, claimWitnessed: true }
  const { claimedMs, claimWitnessed } = before
  return { claimedMs, claimWitnessed }
}

/** What does not change leaves no mark, so the last one stays the one to reach, however long ago it was made. */
function marked(marks: readonly Mark[], position: Position | null, nowMs: number): readonly Mark[] {
  if (position === null) return []
  const last = marks.at(-1)
  if (last?.position.text === position.text) return marks
  const mark = { ms: nowMs, position }
  // It has less than before: it was emptied, or its history was reset, and the old marks lead nowhere.
  if (last === undefined || position.lacks(last.position, null) !== false) return [mark]
  return [...marks.slice(1 - MARKS_MAX), mark]
}

/**
 * For how long this server has lacked something that the other one had, by our own clock: at least. Null when that
 * cannot be told. What was missing from the start does not count: replication need not bring everything.
 */
export function lacking({ claim, askedMs }: Observation, { marks }: Observation): number | null {
  const position = claim?.position ?? null
  const base = marks[0]?.position
  if (position === null || base === undefined || position.lacks(base, base) === null) return null
  // What came after the question proves nothing. Marks grow, so whoever lacks one lacks all that come after it.
  const asked = marks.findLastIndex(({ ms }) => ms < askedMs)
  if (asked < 0 || position.lacks(marks[asked]!.position, base) !== true) return 0
  const first = marks.findIndex((mark) => position.lacks(mark.position, base) === true)
  return askedMs - marks[first]!.ms
}
