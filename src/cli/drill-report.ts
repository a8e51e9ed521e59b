// What a drill has shown: the timeline of each failover as lines and as JSON, and which promises held. Pure.

import type { Audit, FailoverKind, Failure } from '../lab/index.ts'
import { type FailoverTimeline, figuresOf } from '../topology/failover-timeline.ts'

/** One failover under load. Moments are on one clock. */
export interface Round {
  /** Null: Sluice saw the writer neither go nor come back. */
  readonly timeline: FailoverTimeline | null
  /** The new writer takes writes since then, at the earliest. */
  readonly acceptsMs: number | null
  /** A client had the answer to its first write after that. */
  readonly firstWriteMs: number | null
  readonly clients: number
  readonly closed: number
  /** Every busy client has done something that began after the failover. */
  readonly goesOn: boolean
  readonly statements: number
  readonly failures: readonly Failure[]
  readonly audit: Audit
}

/** What the drill was to be. `loses`: the servers themselves may lose what they have answered. */
export interface Plan {
  readonly kind: FailoverKind | null
  readonly loses: boolean
}

export interface Verdict {
  readonly promise: string
  readonly held: boolean
  readonly seen: string
}

/** From when the new writer takes writes until the first one through Sluice is answered. */
export const FIRST_WRITE_MS_MAX = 1_000
export const FIRST_WRITE_MS_MEDIAN_MAX = 250
/** At default settings a server that only says nothing is known to be lost after this: `monitor.timeoutMs` and the rest. */
const SILENCE_MS_MAX = 2_700
/** A median of fewer says nothing. */
const MEDIAN_ROUNDS_MIN = 3

/** Errors that say what nobody can help, each with the work that may be told so. */
const ALLOWED: Readonly<Record<Failure['work'], readonly number[]>> = {
  write: [9140],
  transaction: [1213, 9141],
  read: [9144],
  idle: [],
}

export function verdictsOn(rounds: readonly Round[], { kind, loses }: Plan): readonly Verdict[] {
  const all = rounds.length
  const sum = (count: (round: Round) => number) => rounds.reduce((total, round) => total + count(round), 0)
  const seen = rounds.filter(({ timeline, acceptsMs }) => timeline !== null && acceptsMs !== null).length
  const [closed, clients] = [sum((round) => round.closed), sum((round) => round.clients)]
  const stuck = rounds.filter(({ goesOn }) => !goesOn).length
  const excused = rounds.flatMap((round) => round.failures.filter((failure) => isExcused(failure, round)))
  const surprises = rounds.flatMap((round) => round.failures.filter((failure) => !isExcused(failure, round)))
  const gaps = rounds.map(gapOf)
  const known = gaps.filter((gap) => gap !== null)
  const worst = known.length < all ? null : Math.max(...known)
  const firstWriteMsMax = kind === 'freeze' ? SILENCE_MS_MAX + FIRST_WRITE_MS_MAX : FIRST_WRITE_MS_MAX
  const verdicts = [
    { promise: 'the writer was lost, and there was one again', held: seen === all, seen: `${seen} of ${all} times` },
    { promise: 'no client connection was closed', held: closed === 0, seen: `${closed} of ${clients}` },
    {
      promise: 'no error to a session without an open transaction or a statement in flight',
      held: surprises.length === 0,
      seen: surprises.length === 0 ? `${excused.length} errors, all to such` : tally(surprises),
    },
    {
      promise: `the first write succeeds within ${firstWriteMsMax} ms of the new writer's taking writes`,
      held: worst !== null && worst <= firstWriteMsMax,
      seen: worst === null ? 'not each time' : `${worst} ms at worst`,
    },
  ]
  if (all >= MEDIAN_ROUNDS_MIN && kind !== 'freeze') {
    const median = medianOf(known)
    const held = known.length === all && median <= FIRST_WRITE_MS_MEDIAN_MAX
    const promise = `… and within ${FIRST_WRITE_MS_MEDIAN_MAX} ms as a rule`
    verdicts.push({ promise, held, seen: `the median of ${known.length} is ${median} ms` })
  }
  if (kind === 'switchover') {
    const failed = excused.filter(({ work }) => work !== 'transaction')
    const seen = failed.length === 0 ? `${excused.length} transactions were open` : tally(failed)
    verdicts.push({
      promise: 'a planned change fails no statement outside of transactions',
      held: failed.length === 0,
      seen,
    })
  }
  verdicts.push({ promise: 'every client goes on', held: stuck === 0, seen: `${all - stuck} of ${all} times` })
  const [missing, wrong] = [sum(({ audit }) => audit.missing), sum(({ audit }) => audit.wrong)]
  const answered = sum(({ audit }) => audit.acknowledged)
  verdicts.push({
    promise: 'clients were told the truth about their writes',
    held: wrong === 0 && (loses || missing === 0),
    seen: `of ${answered} answered ${missing} are missing; ${wrong} are there that were undone, or in part`,
  })
  return verdicts
}

function isExcused({ work, errno, fromMs }: Failure, { timeline }: Round): boolean {
  return timeline !== null && ALLOWED[work].includes(errno) && fromMs <= timeline.detectedMs
}

/** The number that an operator wants most. */
export function gapOf({ acceptsMs, firstWriteMs }: Round): number | null {
  return acceptsMs === null || firstWriteMs === null ? null : Math.round(firstWriteMs - acceptsMs)
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : Math.round((sorted[middle - 1]! + sorted[middle]!) / 2)
}

/** Equal errors together, with a text of each. */
function tally(failures: readonly Failure[]): string {
  const kinds = new Map<string, Failure[]>()
  for (const failure of failures) {
    const kind = `${failure.work} ${failure.errno}`
    kinds.set(kind, [...(kinds.get(kind) ?? []), failure])
  }
  return [...kinds].map(([kind, alike]) => `${alike.length} × ${kind}: ${alike[0]!.message}`).join('; ')
}

function errorsOf(failures: readonly Failure[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { errno, message } of failures) {
    const code = errno === 0 ? message : String(errno)
    counts[code] = (counts[code] ?? 0) + 1
  }
  return counts
}

/** Lines for people: what happened when, and what it did to the clients. */
export function linesOf(round: Round): readonly string[] {
  const { timeline, acceptsMs, firstWriteMs, clients, closed, statements, failures } = round
  if (timeline === null) return ['nothing: the writer did not change, and was not missed']
  const { lostMs, from, to, because, held, longestWaitMs, transactionsLost, outcomesUnknown } = timeline
  const gap = gapOf(round)
  const moments: readonly (readonly [number | null, string])[] = [
    [lostMs, `${from} last proved to be the writer`],
    [timeline.detectedMs, `detected: ${because}`],
    [acceptsMs, `${to} takes writes`],
    [timeline.foundMs, `found: ${to} is the writer`],
    [timeline.verifiedMs, 'verified on a connection to it'],
    [firstWriteMs, `a client has the answer to its first write: ${gap} ms after the new writer took writes`],
  ]
  const known = moments.filter((moment): moment is [number, string] => moment[0] !== null)
  known.sort(([one], [other]) => one - other)
  const errors = Object.entries(errorsOf(failures)).map(([code, count]) => `${count} × ${code}`)
  return [
    ...known.map(([ms, what]) => `${`+${Math.round(ms - lostMs)}`.padStart(7)} ms  ${what}`),
    `${held} statements held, the longest wait ${Math.round(longestWaitMs)} ms; ${statements} done in all`,
    `${clients - closed} of ${clients} sessions kept; ${transactionsLost} transactions lost, ${outcomesUnknown} outcomes unknown`,
    `errors that clients saw: ${errors.length === 0 ? 'none' : errors.join(', ')}`,
  ]
}

/** The same for programs; moments in milliseconds since the old writer last proved to be one. */
export function jsonOf(rounds: readonly Round[], verdicts: readonly Verdict[]) {
  const gaps = rounds.map(gapOf).filter((gap) => gap !== null)
  return {
    firstWriteMs: gaps.length === 0 ? null : { median: medianOf(gaps), worst: Math.max(...gaps) },
    rounds: rounds.map((round) => {
      const { timeline, acceptsMs, firstWriteMs, clients, closed, statements, failures, audit, goesOn } = round
      const since = (ms: number | null) => (ms === null || timeline === null ? null : Math.round(ms - timeline.lostMs))
      return {
        firstWriteMs: gapOf(round),
        failover: timeline === null ? null : { from: timeline.from, to: timeline.to, ...figuresOf(timeline) },
        seen: { acceptsMs: since(acceptsMs), firstWriteMs: since(firstWriteMs) },
        clients,
        closed,
        goesOn,
        statements,
        errors: errorsOf(failures),
        writes: audit,
      }
    }),
    promises: verdicts,
  }
}
