// What a benchmark found, as tables in Markdown: medians of the rounds, and ratios taken within each round.

import { nameOf, type Sample, type Task } from './rounds.ts'
import { intervalOf, medianOf } from './statistics.ts'

/** Samples of tasks on paths, both in the order in which they are told of. */
export interface Findings {
  readonly tasks: readonly Task[]
  readonly paths: readonly string[]
  readonly samples: readonly Sample[]
}

type Measure = (sample: Sample) => number | null

interface Column {
  readonly title: string
  readonly value: Measure
  readonly digits: number
}

const perSecond: Measure = ({ statements, seconds }) => statements / seconds

/** Microseconds of the proxy's processor time for one statement. */
export const cpuMicroseconds: Measure = ({ cpu, statements }) =>
  cpu === null ? null : (cpu.seconds / statements) * 1e6

const userMicroseconds: Measure = ({ cpu, statements }) => (cpu === null ? null : (cpu.userSeconds / statements) * 1e6)

const systemMicroseconds: Measure = ({ cpu, statements }) =>
  cpu === null ? null : ((cpu.seconds - cpu.userSeconds) / statements) * 1e6

const residentMegabytes: Measure = ({ residentBytes }) => (residentBytes === null ? null : residentBytes / 2 ** 20)

const COLUMNS: readonly Column[] = [
  { title: 'statements/s', value: perSecond, digits: 0 },
  { title: 'CPU us/statement', value: cpuMicroseconds, digits: 1 },
  { title: 'user', value: userMicroseconds, digits: 1 },
  { title: 'system', value: systemMicroseconds, digits: 1 },
  { title: 'p50 ms', value: ({ p50Ms }) => p50Ms, digits: 3 },
  { title: 'p95 ms', value: ({ p95Ms }) => p95Ms, digits: 2 },
  { title: 'p99 ms', value: ({ p99Ms }) => p99Ms, digits: 2 },
  { title: 'resident MB', value: residentMegabytes, digits: 0 },
  {
    title: 'kB/idle client',
    value: ({ idleBytesEach }) => (idleBytesEach === null ? null : idleBytesEach / 1024),
    digits: 1,
  },
]

const START_COLUMNS: readonly Column[] = [
  { title: 'ms to the first statement', value: ({ p50Ms }) => p50Ms, digits: 0 },
  { title: 'CPU ms', value: ({ cpu }) => (cpu === null ? null : cpu.seconds * 1000), digits: 0 },
  { title: 'resident MB, idle', value: residentMegabytes, digits: 0 },
]

/** Medians of everything but starts. */
export function samplesTable(findings: Findings): string {
  const columns = COLUMNS.filter(({ value }) => findings.samples.some((sample) => value(sample) !== null))
  const rows = rowsOf(findings, ({ work }) => work !== 'start', columns)
  return table(['work', 'clients', 'path', ...columns.map(({ title }) => title)], rows)
}

/** Medians of starts; empty if there were none. */
export function startTable(findings: Findings): string {
  const rows = rowsOf(findings, ({ work }) => work === 'start', START_COLUMNS)
  if (rows.length === 0) return ''
  return table(
    ['path', ...START_COLUMNS.map(({ title }) => title)],
    rows.map(([, , ...cells]) => cells),
  )
}

function rowsOf({ tasks, paths, samples }: Findings, wanted: (task: Task) => boolean, columns: readonly Column[]) {
  return tasks.filter(wanted).flatMap((task) =>
    paths.flatMap((path) => {
      const own = samples.filter((sample) => sample.path === path && isOf(sample, task))
      return own.length === 0 ? [] : [[...headOf(task), path, ...columns.map((column) => medianText(own, column))]]
    }),
  )
}

function medianText(samples: readonly Sample[], { value, digits }: Column): string {
  const values = samples.map(value).filter((found) => found !== null)
  return values.length === 0 ? '-' : medianOf(values).toFixed(digits)
}

/** The rounds' ratios of one path to another: their median, and where it lies. */
export interface Ratio {
  readonly median: number
  readonly interval: readonly [number, number]
}

/** Null: the two did not meet at this task. */
export function ratioOf(
  { samples }: Findings,
  task: Task,
  paths: { readonly of: string; readonly to: string },
  value: Measure,
): Ratio | null {
  const own = samples.filter((sample) => isOf(sample, task))
  const ratios = own.flatMap((sample) => {
    const other = own.find(({ round, path }) => round === sample.round && path === paths.to)
    if (sample.path !== paths.of || other === undefined) return []
    const [one, two] = [value(sample), value(other)]
    return one === null || two === null ? [] : [one / two]
  })
  return ratios.length === 0 ? null : { median: medianOf(ratios), interval: intervalOf(ratios) }
}

/** One path beside the others: its statements per second as a share of one's, its processor time as one of each. */
export function ratiosTable(findings: Findings, paths: { readonly of: string; readonly speedOf: string }): string {
  const { of, speedOf } = paths
  const withProgram = findings.paths.filter((path) => path !== of && path !== 'direct')
  const columns = [
    { title: `speed of ${speedOf}`, to: speedOf, value: perSecond },
    ...withProgram.map((to) => ({ title: `CPU of ${to}`, to, value: cpuMicroseconds })),
  ]
  const rows = findings.tasks
    .filter(({ work }) => work !== 'start')
    .map((task) => ({
      head: headOf(task),
      ratios: columns.map(({ to, value }) => ratioOf(findings, task, { of, to }, value)),
    }))
    .filter(({ ratios }) => ratios.some((ratio) => ratio !== null))
    .map(({ head, ratios }) => [...head, ...ratios.map((ratio) => (ratio === null ? '-' : ratioText(ratio)))])
  return table(['work', 'clients', ...columns.map(({ title }) => title)], rows)
}

function ratioText({ median, interval: [low, high] }: Ratio): string {
  return `${median.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`
}

const headOf = (task: Task) => [nameOf(task), String(task.clients)]

function isOf(sample: Sample, task: Task): boolean {
  return nameOf(sample) === nameOf(task) && sample.clients === task.clients
}

export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}
