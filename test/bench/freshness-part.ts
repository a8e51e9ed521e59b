// What it costs that reads see what was committed: the same Sluice twice, promising nothing and as shipped, with sysbench's
// point selects while nobody writes, and with its reads and writes outside transactions.

import type { Backends } from './backends.ts'
import type { Programs } from './programs.ts'
import { type SluicePath, sluiceWith } from './proxies.ts'
import type { Findings } from './report.ts'
import { measure, type RoundOptions, type Task } from './rounds.ts'
import type { Script } from './sysbench.ts'
import { Load, runSteady, startPath } from './works.ts'

export interface FreshnessOptions extends RoundOptions {
  readonly clients: readonly number[]
  readonly nodeArgs: readonly string[]
}

export interface FreshnessResult extends Findings {
  readonly backends: string
  /** Reads of all rounds that had to be fresh, by work and by how they were served. */
  readonly reads: Readonly<Record<string, Readonly<Record<string, number>>>>
}

const WORKS: readonly Script[] = ['text point select', 'oltp_read_write, no transactions']

export async function freshnessPart(
  programs: Programs,
  backends: Backends,
  options: FreshnessOptions,
): Promise<FreshnessResult> {
  const { clients, nodeArgs, seed } = options
  const bench = { programs, backends, load: new Load(programs, seed), seed }
  const paths: SluicePath[] = []
  for (const consistency of ['eventual', 'service'] as const) {
    paths.push(await startPath(bench, sluiceWith({ name: consistency, nodeArgs, consistency })))
  }
  const tasks = clients.flatMap((count) => WORKS.map((work): Task => ({ work, clients: count, rate: null, idle: 0 })))
  const reads: Record<string, Record<string, number>> = {}
  const samples = await measure(
    options,
    tasks,
    () => paths,
    async (task, path, seconds) => {
      const before = await freshReads(path)
      const result = await runSteady(bench, task, path, seconds)
      const name = `${path.name}, ${task.work}, ${task.clients} clients`
      const counts = reads[name] ?? {}
      reads[name] = counts
      for (const [how, count] of await freshReads(path)) {
        counts[how] = (counts[how] ?? 0) + count - (before.get(how) ?? 0)
      }
      return result
    },
  )
  for (const { program } of paths) await program?.stop()
  await bench.load.stop()
  return { backends: backends.name, tasks, paths: paths.map(({ name }) => name), samples, reads }
}

async function freshReads({ adminPort }: SluicePath): Promise<ReadonlyMap<string, number>> {
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
