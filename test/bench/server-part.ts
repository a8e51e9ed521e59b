// Real servers: sysbench's point selects, straight to one reader, through HAProxy to the same one, and through Sluice to
// one reader and to two.

import { type EngineName, type LabCluster, startCluster } from '../../src/lab/index.ts'
import type { CpuTime, Programs } from './programs.ts'
import { direct, type Path, startHaproxy, startSluice } from './proxies.ts'
import { cpuSince, measure, type RoundOptions, type RunResult, type Sample, type Task } from './rounds.ts'
import { fillTable, runSysbench, SCHEMA } from './sysbench.ts'

export interface ServerOptions extends RoundOptions {
  readonly engine: EngineName
  readonly nodeArgs: readonly string[]
}

export interface ServerResult {
  readonly server: string
  readonly samples: readonly Sample[]
}

const WORKS = ['text', 'prepared']

export async function serverPart(programs: Programs, options: ServerOptions): Promise<ServerResult> {
  const { engine, progress, nodeArgs } = options
  const cluster = await startCluster({ engine, progress })
  try {
    await fill(cluster)
    const [writer, one, two] = cluster.servers.map(({ port }) => port) as [number, number, number]
    const paths = [
      direct(one),
      await startHaproxy(programs, one),
      await startSluice(programs, { name: 'sluice, 1 reader', backends: [writer, one], nodeArgs }),
      await startSluice(programs, { name: 'sluice, 2 readers', backends: [writer, one, two], nodeArgs }),
    ]
    const tasks = options.threads.flatMap((threads) => WORKS.map((work) => ({ work, threads, rate: null })))
    const samples = await measure(options, tasks, paths, (task, path, seconds) =>
      run(task, path, seconds, options.seed),
    )
    for (const path of paths) await path.program?.stop()
    return { server: `${engine} ${cluster.version}`, samples }
  } finally {
    await cluster.stop()
  }
}

export async function fill(cluster: LabCluster): Promise<void> {
  await cluster.writer.ask(`CREATE DATABASE ${SCHEMA}`)
  await fillTable(cluster.writer.port)
  await cluster.waitForReaders()
}

/** Works named after a script of sysbench are that one; the others are point selects, prepared or not. */
export async function run(task: Task, path: Path, seconds: number, seed: number): Promise<RunResult> {
  const { threads, work } = task
  let before: CpuTime | null = null
  let cpu: CpuTime | null = null
  const result = await runSysbench({
    port: path.port,
    threads,
    seconds,
    seed,
    prepared: work === 'prepared',
    script: work === 'read-write' ? work : 'point-select',
    onStart: () => {
      before = path.program?.cpuTime() ?? null
    },
    onEnd: () => {
      cpu = before === null ? null : cpuSince(path, before)
    },
  })
  return { ...result, cpu, residentBytes: path.program?.residentBytes() ?? null }
}
