// How far behind is a reader, and is that too far? Its own word counts, and so does what it lacks of what the writer has:
// a replica that lost its source says that it has caught up. Pure.

import type { Claim, Position } from './claim.ts'
import { lacking, type Observation } from './observation.ts'
import { newestRow, rosterAsOfMs, rosterLagMs } from './roster.ts'
import { linksOf, upstreamOf } from './sources.ts'

export interface Freshness {
  readonly lagMs: number | null
  /** Why it can serve no reads; null: it can. */
  readonly tooStale: string | null
}

export interface FreshnessBounds {
  readonly lagMsMax: number
  /** It was out for its lag, and comes back well below the bound only. */
  readonly wasOut: boolean
  readonly nowMs: number
}

/** A reader that was out because of its lag comes back at this share of the bound, so that it does not flutter. */
const BACK_SHARE = 0.8

/** `writer` is null while nobody is known to write: then there is nothing to miss but what was received. */
export function freshnessOf(
  reader: Observation,
  writer: Observation | null,
  members: readonly Observation[],
  bounds: FreshnessBounds,
): Freshness {
  const { claim } = reader
  if (claim === null) return { lagMs: null, tooStale: null }
  const row = reader.name === null ? null : (newestRow(reader.name, members)?.row ?? null)
  const missingMs = writer === null || !isReplica(claim) ? null : lacking(reader, writer)
  const toldMs = row === null ? null : rosterLagMs(row)
  const knownMs = [claim.lagMs, missingMs, toldMs].filter((ms) => ms !== null)
  const lagMs = knownMs.length === 0 ? null : Math.round(Math.max(...knownMs))
  if (row !== null && row.unfit !== null) return { lagMs, tooStale: row.unfit }
  const broken = brokenReplication(claim, writer)
  if (broken !== null) return { lagMs, tooStale: broken }
  if (writer !== null && missingMs === null) {
    const cut = cutOff(reader, writer, members, bounds)
    if (cut !== null) return { lagMs, tooStale: cut }
  }
  const { lagMsMax, wasOut } = bounds
  if (lagMs === null || lagMs <= (wasOut ? lagMsMax * BACK_SHARE : lagMsMax)) return { lagMs, tooStale: null }
  return { lagMs, tooStale: `it is ${lagMs} ms behind; reads.lagMsMax is ${lagMsMax}` }
}

/** How far a server had come when it was last asked. */
export interface Progress {
  /** What it had executed; null where that is not counted, or says nothing about what it shows. */
  readonly position: Position | null
  /** It had all that was committed before this moment; null: that cannot be told, or need not be. */
  readonly asOfMs: number | null
  readonly askedMs: number
}

/** Servers that count in seconds may be late by nearly one more than they say. */
const LAG_STEP_MS = 1_000

/** How far a server has come; null: it was never asked. */
export function progressOf(
  { claim, askedMs, name }: Observation,
  members: readonly Observation[],
  lagMs: number | null,
): Progress | null {
  if (claim === null) return null
  // Where storage is shared nothing is executed twice, so a position says nothing of what a reader shows: its row does.
  if (claim.sharedStorage) {
    const told = name === null ? null : newestRow(name, members)
    return { position: null, asOfMs: told === null ? null : rosterAsOfMs(told), askedMs }
  }
  const { position } = claim
  const asOfMs = position !== null || lagMs === null ? null : askedMs - lagMs - LAG_STEP_MS
  return { position, asOfMs, askedMs }
}

/** Whether what it has executed says what it shows: not where storage is shared, or the server is written to itself. */
function isReplica({ sharedStorage, readOnly, sources }: Claim): boolean {
  return !sharedStorage && (readOnly || sources.length > 0)
}

/** Replication that does not go on by itself. */
function brokenReplication({ sources }: Claim, writer: Observation | null): string | null {
  const because = (error: string | null) => (error === null ? '' : `: ${error}`)
  for (const { applying, error } of sources) if (!applying) return `its replication is stopped${because(error)}`
  if (writer === null) return null
  for (const { receiving, error, address } of sources) {
    if (receiving === 'no') return `it receives nothing from ${address}${because(error)}`
  }
  return null
}

/** Nobody counts here what was written, so a reader that does not hear the writer is given the time it may be late. */
function cutOff(
  reader: Observation,
  writer: Observation,
  members: readonly Observation[],
  { lagMsMax, nowMs }: FreshnessBounds,
): string | null {
  const links = linksOf(reader, members)
  if (links.length > 0 && !upstreamOf(reader, members).has(writer.id)) {
    return `it replicates from ${links.map(({ to }) => to.id).join(' and ')}, not from ${writer.id}, which is the writer`
  }
  const { receivingMs } = reader
  const claim = reader.claim!
  // The members of a group hear one another without it.
  const isGrouped = reader.roster?.roster.kind === 'group-replication'
  if (isReplica(claim) && !isGrouped && claim.sources.length === 0 && claim.note === null) {
    return `it replicates from nobody, so it does not get what ${writer.id} writes`
  }
  const trying = claim.sources.find(({ receiving }) => receiving === 'trying')
  if (trying === undefined || (receivingMs !== null && nowMs - receivingMs <= lagMsMax)) return null
  return `it cannot reach ${trying.address}, which it replicates from${trying.error === null ? '' : `: ${trying.error}`}`
}
