// What can be believed of the lists of members that servers keep, by one list or by all that were heard. Pure.

import type { Roster, RosterRow } from './claim.ts'
import type { Observation } from './observation.ts'

/** A list as it was heard, by our own clock. */
export interface HeardRoster {
  readonly roster: Roster
  readonly askedMs: number
  readonly answeredMs: number
  /** Whom it calls the writer; null: nobody. */
  readonly writer: string | null
  /** Since when, where we saw it change its mind; 0: it said so when we first heard it. */
  readonly writerSinceMs: number
}

/** Rows of members that are gone stay for a while. */
const ROW_AGE_MS_MAX = 180_000
/** Of a member that does not answer either, so much is enough. */
const SILENT_ROW_AGE_MS_MAX = 15_000
/** Nobody is taken in on the word of an older row. */
const NEW_ROW_AGE_MS_MAX = 10_000
/** Rows are written about once a second and read a moment later: being so old says nothing yet. */
const ROW_AGE_MS_USUAL = 2_000
const LAG_MS_MAX = 600_000
/** Rows are dated by the clock of one server and read by that of another. */
const CLOCKS_MS_MAX = 100

export function heard(before: HeardRoster | null, roster: Roster, askedMs: number, nowMs: number): HeardRoster {
  const writer = newestWriter(roster)?.name ?? null
  const isNews = before !== null && before.writer !== writer
  return { roster, askedMs, answeredMs: nowMs, writer, writerSinceMs: isNews ? nowMs : (before?.writerSinceMs ?? 0) }
}

/** After a failover two rows may claim that for a moment: the former writer's is no longer written. */
export function newestWriter({ rows }: Roster): RosterRow | null {
  let newest: RosterRow | null = null
  for (const row of rows) if (row.writer && (newest === null || row.ageMs < newest.ageMs)) newest = row
  return newest
}

/** Does the list have this member? One that is silent needs a fresher row. The writer's row may be any age. */
export function isListed(roster: Roster, name: string, isAnswering: boolean): boolean {
  return hasRow(roster, name, isAnswering ? ROW_AGE_MS_MAX : SILENT_ROW_AGE_MS_MAX)
}

/** The same of one that we do not know yet. */
export function isNewlyListed(roster: Roster, name: string): boolean {
  return hasRow(roster, name, NEW_ROW_AGE_MS_MAX)
}

function hasRow(roster: Roster, name: string, ageMsMax: number): boolean {
  const writer = newestWriter(roster)
  return roster.rows.some((row) => row.name === name && (row === writer || row.ageMs <= ageMsMax))
}

export interface Told {
  readonly row: RosterRow
  /** When the row was true, by our own clock: at the latest, and at the earliest. */
  readonly knownMs: number
  readonly knownMsMin: number
}

/** The newest of what the lists say about a member; rows of long ago are not heeded. */
export function newestRow(name: string, members: readonly Observation[]): Told | null {
  let newest: Told | null = null
  for (const { roster } of members) {
    const row = roster?.roster.rows.find((each) => each.name === name)
    if (row === undefined || (row.ageMs > ROW_AGE_MS_MAX && !row.writer)) continue
    const knownMs = roster!.answeredMs - row.ageMs
    const knownMsMin = roster!.askedMs - row.ageMs
    if (newest === null || knownMs > newest.knownMs) newest = { row, knownMs, knownMsMin }
  }
  return newest
}

/** The lag that a row tells: what it says, and its own age where that is more than usual. Null: nothing believable. */
export function rosterLagMs(row: RosterRow): number | null {
  return hasLag(row) ? row.lagMs + Math.max(0, row.ageMs - ROW_AGE_MS_USUAL) : null
}

/**
 * The moment whose commits the member had, all of them, when its row was written; null: that cannot be told. What it has
 * got since is not known, so the whole age of the row counts.
 */
export function rosterAsOfMs({ row, knownMsMin }: Told): number | null {
  return hasLag(row) ? knownMsMin - row.lagMs - CLOCKS_MS_MAX : null
}

function hasLag(row: RosterRow): row is RosterRow & { readonly lagMs: number } {
  return row.lagMs !== null && row.lagMs >= 0 && row.lagMs <= LAG_MS_MAX
}
