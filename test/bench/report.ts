// What a benchmark found, as tables in Markdown: medians, and ratios taken within each round.

import type { IdleMemory } from './canned-part.ts'
import { nameOf, type Sample, type Task } from './rounds.ts'
import { type Summary, summaryOf } from './statistics.ts'

/** A path to compare with, and what of: statements per second, or processor time per statement. */
interface Comparison {
  readonly title: string
  readonly to: string
  readonly value: (sample: Sample) => number | null
}

/** Microseconds of the proxy's processor time for one statement. */
export function cpuMicroseconds({ cpu, statements }: Sample): number | null {
  return cpu === null ? null : ((cpu.userSeconds + cpu.systemSeconds) / statements) * 1e6
}

const perSecond = ({ statements, seconds }: Sample) => statements / seconds
const userMicroseconds = ({ cpu, statements }: Sample) => (cpu === null ? null : (cpu.userSeconds / statements) * 1e6)

const COMPARISONS: readonly Comparison[] = [
  { title: 'of direct', to: 'direct', value: perSecond },
  { title: 'CPU of HAProxy', to: 'haproxy', value: cpuMicroseconds },
  { title: 'of eventual', to: 'eventual', value: perSecond },
  { title: 'CPU of eventual', to: 'eventual', value: cpuMicroseconds },
  { title: 'CPU of relay', to: 'byte relay', value: cpuMicroseconds },
]

export function samplesTable(samples: readonly Sample[]): string {
  const paths = [...new Set(samples.map(({ path }) => path))]
  const comparisons = COMPARISONS.filter(({ to }) => paths.includes(to))
  const header = [
    'work',
    'clients',
    'path',
    'statements/s',
    'CPU us/statement',
    'of it user',
    ...comparisons.map(({ title }) => title),
    'p50 ms',
    'p95 ms',
    'p99 ms',
    'resident MB',
  ]
  const rows = tasksIn(samples).flatMap((task) =>
    paths.sort().map((path) =>
      rowOf(
        task,
        path,
        samples.filter((sample) => isOf(sample, task)),
        comparisons,
      ),
    ),
  )
  return table(header, rows)
}

function rowOf(task: Task, path: string, samples: readonly Sample[], comparisons: readonly Comparison[]): string[] {
  const own = samples.filter((sample) => sample.path === path)
  const median = (value: (sample: Sample) => number | null, digits: number) => {
    const values = own.map(value).filter((found) => found !== null)
    return values.length === 0 ? '-' : fixed(summaryOf(values).median, digits)
  }
  return [
    nameOf(task),
    String(task.threads),
    path,
    median(perSecond, 0),
    median(cpuMicroseconds, 1),
    median(userMicroseconds, 1),
    ...comparisons.map((comparison) => ratioText(own, samples, comparison)),
    median(({ p50Ms }) => p50Ms, 3),
    median(({ p95Ms }) => p95Ms, 2),
    median(({ p99Ms }) => p99Ms, 2),
    median(({ residentBytes }) => (residentBytes === null ? null : residentBytes / 2 ** 20), 0),
  ]
}

/** Median and quartiles of the rounds' ratios. */
function ratioText(own: readonly Sample[], all: readonly Sample[], { to, value }: Comparison): string {
  const ratios = own.flatMap((sample) => {
    const other = all.find(({ round, path }) => round === sample.round && path === to)
    const [one, two] = [value(sample), other === undefined ? null : value(other)]
    return one === null || two === null ? [] : [one / two]
  })
  if (ratios.length === 0 || own[0]?.path === to) return '-'
  const { median, lowerQuartile, upperQuartile }: Summary = summaryOf(ratios)
  return `${fixed(median, 2)} [${fixed(lowerQuartile, 2)}, ${fixed(upperQuartile, 2)}]`
}

export function idleTable(idle: readonly IdleMemory[]): string {
  const header = ['path', 'idle clients', 'kB each', 'resident MB before']
  const rows = idle.map(({ path, clients, bytesPerClient, bytesBefore }) => [
    path,
    String(clients),
    fixed(bytesPerClient / 1024, 1),
    fixed(bytesBefore / 2 ** 20, 0),
  ])
  return table(header, rows)
}

function tasksIn(samples: readonly Sample[]): Task[] {
  const tasks = new Map(
    samples.map(({ work, threads, rate }) => [`${work} ${threads} ${rate}`, { work, threads, rate }]),
  )
  return [...tasks.values()].sort(
    (one, other) =>
      Number(one.rate ?? 0) - Number(other.rate ?? 0) ||
      other.work.localeCompare(one.work) ||
      one.threads - other.threads,
  )
}

function isOf(sample: Sample, { work, threads, rate }: Task): boolean {
  return sample.work === work && sample.threads === threads && sample.rate === rate
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

function fixed(value: number, digits: number): string {
  return value.toFixed(digits)
}
