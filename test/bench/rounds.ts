// Rounds in which every path has its turn at every piece of work, in an order drawn anew each time: what else happens on
// the machine hits all of them alike, and ratios are taken within a round.

import { loadavg } from 'node:os'
import type { CpuTime } from './programs.ts'
import type { Path } from './proxies.ts'
import { shuffled } from './statistics.ts'

export interface RoundOptions {
  readonly rounds: number
  readonly seconds: number
  readonly threads: readonly number[]
  readonly seed: number
  readonly random: () => number
  readonly progress: (line: string) => void
}

/** A piece of work. */
export interface Task {
  readonly work: string
  readonly threads: number
  /** Statements per second of all clients together; null: as fast as they are answered. */
  readonly rate: number | null
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
}

export interface Sample extends Task, RunResult {
  readonly round: number
  readonly path: string
  readonly loadAverage: number
}

export function nameOf({ work, rate }: Task): string {
  return rate === null ? work : `${work}, ${rate}/s`
}

export type RunTask = (task: Task, path: Path, seconds: number) => Promise<RunResult>

const WARM_UP_SECONDS = 1

export async function measure(
  options: RoundOptions,
  tasks: readonly Task[],
  paths: readonly Path[],
  runTask: RunTask,
): Promise<Sample[]> {
  const { rounds, seconds, random, progress } = options
  for (const task of tasks) for (const path of paths) await runTask(task, path, WARM_UP_SECONDS)
  const samples: Sample[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const task of shuffled(tasks, random)) {
      for (const path of shuffled(paths, random)) {
        const result = await runTask(task, path, seconds)
        samples.push({ round, path: path.name, ...task, ...result, loadAverage: loadavg()[0]! })
        const perSecond = Math.round(result.statements / result.seconds)
        progress(`round ${round}/${rounds}: ${nameOf(task)}, ${task.threads} clients, ${path.name}: ${perSecond}/s`)
      }
    }
  }
  return samples
}

/** What a program spent while the work was done. */
export async function withCpu<T>(path: Path, work: () => Promise<T>): Promise<{ result: T; cpu: CpuTime | null }> {
  const before = path.program?.cpuTime() ?? null
  const result = await work()
  return { result, cpu: before === null ? null : cpuSince(path, before) }
}

export function cpuSince({ program }: Path, before: CpuTime): CpuTime {
  const { userSeconds, systemSeconds } = program!.cpuTime()
  return {
    userSeconds: userSeconds - before.userSeconds,
    systemSeconds: systemSeconds - before.systemSeconds,
  }
}
