// What it costs that reads see what was committed: the same Sluice twice, promising nothing and as shipped, with sysbench's
// point selects while nobody writes, and with its reads and writes outside transactions.

import { startCluster } from '../../src/lab/index.ts'
import type { Programs } from './programs.ts'
import { type Path, startSluice } from './proxies.ts'
import { measure, type Sample, type Task } from './rounds.ts'
import { fill, run, type ServerOptions } from './server-part.ts'

export interface FreshnessResult {
  readonly server: string
  readonly samples: readonly Sample[]
  /** Reads of all rounds that had to be fresh, by work and by how they were served. */
  readonly reads: Readonly<Record<string, Readonly<Record<string, number>>>>
}

export async function freshnessPart(programs: Programs, options: ServerOptions): Promise<FreshnessResult> {
  const { engine, progress, nodeArgs, threads } = options
  const cluster = await startCluster({ engine, progress })
  try {
    await fill(cluster)
    const backends = cluster.servers.map(({ port }) => port)
    const paths = [
      await startSluice(programs, { name: 'eventual', backends, nodeArgs, consistency: 'eventual' }),
      await startSluice(programs, { name: 'service', backends, nodeArgs, consistency: 'service' }),
    ]
    const tasks = threads.flatMap((count) =>
      ['text', 'read-write'].map((work): Task => ({ work, threads: count, rate: null })),
    )
    const reads: Record<string, Record<string, number>> = {}
    const samples = await measure(options, tasks, paths, async (task, path, seconds) => {
      const before = await freshReads(path)
      const result = await run(task, path, seconds, options.seed)
      const name = `${path.name}, ${task.work}, ${task.threads} clients`
      const counts = reads[name] ?? {}
      reads[name] = counts
      for (const [how, count] of await freshReads(path)) {
        counts[how] = (counts[how] ?? 0) + count - (before.get(how) ?? 0)
      }
      await cluster.waitForReaders()
      return result
    })
    for (const path of paths) await path.program?.stop()
    return { server: `${engine} ${cluster.version}`, samples, reads }
  } finally {
    await cluster.stop()
  }
}

async function freshReads({ adminPort }: Path): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
  const lines = text.matchAll(/^sluice_fresh_reads_total\{.*?how="(\w+)".*?\} (\d+)$/gm)
  return new Map(Array.from(lines, ([, how, count]) => [how!, Number(count)]))
}

/** How the reads were served, in shares. */
export function sharesText(reads: FreshnessResult['reads']): string {
  return Object.entries(reads)
    .filter(([, counts]) => Object.values(counts).some((count) => count > 0))
    .map(([name, counts]) => {
      const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
      const shares = Object.entries(counts).map(([how, count]) => `${how} ${((100 * count) / all).toFixed(1)} %`)
      return `- ${name}: ${shares.join(', ')} of ${all} reads`
    })
    .join('\n')
}
