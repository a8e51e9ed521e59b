// What several workers say, as one. Pure.

import type { ClusterFloors, ClusterPool } from '../admin/snapshots.ts'
import { Durations } from '../metrics.ts'
import type { SiblingProcesses } from '../session/sessions.ts'
import type { StatementKind } from '../session/statements.ts'
import type { FailoverTimeline } from '../topology/failover-timeline.ts'
import type { StatementRecord } from './messages.ts'

/** Those of one server, login and identity together. */
export function mergedPools(pools: readonly ClusterPool[]): readonly ClusterPool[] {
  const merged = new Map<string, ClusterPool>()
  for (const pool of pools) {
    const key = `${pool.cluster}\0${pool.backend}\0${pool.user}\0${pool.identity}`
    const known = merged.get(key)
    merged.set(key, known === undefined ? pool : { ...known, ...countsOf(known, pool) })
  }
  return [...merged.values()]
}

function countsOf(one: ClusterPool, other: ClusterPool) {
  return {
    idle: one.idle + other.idle,
    lent: one.lent + other.lent,
    cleaning: one.cleaning + other.cleaning,
    opening: one.opening + other.opening,
    waiting: one.waiting + other.waiting,
  }
}

/**
 * Each worker counts the writes of all. Of those that have heard of the most, the one that has heard of the most readers'
 * having them.
 */
export function mergedFloors(told: readonly ClusterFloors[]): readonly ClusterFloors[] {
  const merged = new Map<string, ClusterFloors>()
  const lacks = ({ backends }: ClusterFloors) => backends.reduce((sum, backend) => sum + backend.lacks, 0)
  for (const floors of told) {
    const known = merged.get(floors.cluster)
    const isNewer = known === undefined || floors.writes > known.writes
    if (isNewer || (floors.writes === known.writes && lacks(floors) < lacks(known))) merged.set(floors.cluster, floors)
  }
  return [...merged.values()]
}

/** Those of one digest together; what was last is of whoever met it last. */
export function mergedStatements(records: readonly StatementRecord[]): readonly StatementKind[] {
  const merged = new Map<string, StatementKind>()
  for (const record of records) {
    const key = `${record.cluster}\0${record.digest}`
    const known = merged.get(key)
    const durations = known?.durations ?? new Durations()
    durations.add(record.durations)
    if (known === undefined) {
      merged.set(key, { ...record, targets: [...record.targets], durations })
      continue
    }
    const last = record.lastMs > known.lastMs ? record : known
    const targets = known.targets.map((target) => ({ ...target }))
    for (const { target, count } of record.targets) {
      const same = targets.find((each) => each.target === target)
      if (same === undefined) targets.push({ target, count })
      else same.count += count
    }
    merged.set(key, {
      ...last,
      count: known.count + record.count,
      errors: known.errors + record.errors,
      targets,
      durations,
      firstMs: Math.min(known.firstMs, record.firstMs),
      lastMs: last.lastMs,
    })
  }
  return [...merged.values()]
}

/**
 * The supervisor knows who was lost and found and when; the workers what that did to sessions. `told`: of all workers, of
 * any time.
 */
export function mergedTimeline(own: FailoverTimeline, told: readonly FailoverTimeline[]): FailoverTimeline {
  const untilMs = own.endedMs ?? Number.POSITIVE_INFINITY
  const parts = told.filter(
    ({ cluster, from, detectedMs, endedMs }) =>
      cluster === own.cluster &&
      from === own.from &&
      detectedMs <= untilMs &&
      (endedMs ?? Number.POSITIVE_INFINITY) >= own.detectedMs,
  )
  const sum = (of: (part: FailoverTimeline) => number) => parts.reduce((total, part) => total + of(part), 0)
  const earliest = (of: (part: FailoverTimeline) => number | null) => {
    const moments = parts.map(of).filter((moment) => moment !== null)
    return moments.length === 0 ? null : Math.min(...moments)
  }
  const errors = new Map(own.errors)
  for (const part of parts) for (const [code, count] of part.errors) errors.set(code, (errors.get(code) ?? 0) + count)
  // A worker that has seen no write knows of no proof, and says that it was lost when that was noticed.
  const proofs = parts.filter(({ lostMs, detectedMs }) => lostMs < detectedMs).map(({ lostMs }) => lostMs)
  return {
    ...own,
    lostMs: Math.max(own.lostMs, ...proofs.filter((ms) => ms <= own.detectedMs)),
    detectedMs: Math.min(own.detectedMs, ...parts.map(({ detectedMs }) => detectedMs)),
    verifiedMs: earliest(({ verifiedMs }) => verifiedMs),
    firstWriteMs: earliest(({ firstWriteMs }) => firstWriteMs),
    held: sum(({ held }) => held),
    longestWaitMs: Math.max(0, ...parts.map(({ longestWaitMs }) => longestWaitMs)),
    sessions: {
      before: sum(({ sessions }) => sessions.before),
      left: sum(({ sessions }) => sessions.left),
      lost: sum(({ sessions }) => sessions.lost),
    },
    transactionsLost: sum(({ transactionsLost }) => transactionsLost),
    outcomesUnknown: sum(({ outcomesUnknown }) => outcomesUnknown),
    errors,
  }
}

export function mergedProcesses(answers: readonly SiblingProcesses[]): SiblingProcesses {
  const serverIds = new Map<string, Set<number>>()
  for (const answer of answers) {
    for (const [backend, ids] of answer.serverIds) {
      const known = serverIds.get(backend) ?? new Set()
      for (const id of ids) known.add(id)
      serverIds.set(backend, known)
    }
  }
  return { processes: answers.flatMap(({ processes }) => processes), serverIds }
}
