// Rounds in which every path has its turn at every piece of work, in an order drawn anew each time: what else happens on
// the machine hits all of them alike, and ratios are taken within a round.

import { loadavg } from 'node:os'
import type { CpuTime } from './programs.ts'
import { shuffled } from './statistics.ts'

export interface RoundOptions {
  readonly rounds: number
  readonly seconds: number
  readonly seed: number
  readonly random: () => number
  readonly progress: (line: string) => void
}

/** A piece of work. */
export interface Task {
  readonly work: string
  readonly clients: number
  /** Statements per second of all clients together; null: as fast as they are answered. */
  readonly rate: number | null
  /** Further clients that are connected and do nothing. */
  readonly idle: number
}

/** What one run of it gave. */
export interface RunResult {
  readonly statements: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  /** Of the proxy, during the run; null without one. */
  readonly cpu: CpuTime | null
  readonly residentBytes: number | null
  /** What each idle client added to it; null without any. */
  readonly idleBytesEach: number | null
}

export interface Sample extends Task, RunResult {
  readonly round: number
  readonly path: string
  readonly loadAverage: number
}

export function nameOf({ work, rate, idle }: Task): string {
  return [work, ...(rate === null ? [] : [`${rate}/s`]), ...(idle === 0 ? [] : [`${idle} idle`])].join(', ')
}

/** Something that has a name, and takes part in the rounds. */
interface Named {
  readonly name: string
}

export async function measure<P extends Named>(
  options: RoundOptions,
  tasks: readonly Task[],
  pathsFor: (task: Task) => readonly P[],
  runTask: (task: Task, path: P, seconds: number) => Promise<RunResult>,
): Promise<Sample[]> {
  const { rounds, seconds, random, progress } = options
  const samples: Sample[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const task of shuffled(tasks, random)) {
      for (const path of shuffled(pathsFor(task), random)) {
        const result = await runTask(task, path, seconds)
        samples.push({ round, path: path.name, ...task, ...result, loadAverage: loadavg()[0]! })
        const perSecond = Math.round(result.statements / result.seconds)
        progress(`round ${round}/${rounds}: ${nameOf(task)}, ${task.clients} clients, ${path.name}: ${perSecond}/s`)
      }
    }
  }
  return samples
}
