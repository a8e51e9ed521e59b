// `npm run bench`: what Sluice costs, beside proxies that do less. What it all means is in docs/performance.md.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cacheFolder, type EngineName } from '../../src/lab/index.ts'
import { type Backends, startCannedBackends, startRealBackends } from './backends.ts'
import { type FreshnessResult, freshnessPart, sharesText } from './freshness-part.ts'
import { microPart, microTable } from './micro-part.ts'
import { barChart, panelsOf } from './plot.ts'
import { Programs } from './programs.ts'
import { type ProxyResult, proxyParts } from './proxy-parts.ts'
import { ratiosTable, samplesTable, startTable } from './report.ts'
import { randomFrom } from './statistics.ts'
import { FRESH_PARTS, STEADY_PARTS } from './works.ts'

const USAGE = `npm run bench [-- OPTIONS]
  --part NAME            one of them, or several (all):
                           micro      the code that every statement passes, alone
                           point      a row by its key, as text and prepared
                           large      a thousand rows, 124 kB
                           oltp       sysbench's oltp_read_only and oltp_read_write
                           connect    connect, ask for a row, disconnect
                           rate       a row by its key, 2000 times a second
                           crowd      200 clients at work, alone and with idle ones beside them
                           start      from the start of the program to its first statement
                           freshness  what it costs that reads see what was committed (real servers only)
  --before canned|real   the backends (both)
  --engine mysql|mariadb the real servers (mysql)
  --rounds N             rounds, each with every path in another order (10)
  --seconds N            of one run (3)
  --clients N,N          few and many clients (8,64)
  --idle N               idle clients of the crowd (10000)
  --seed N               of all random numbers (1)
  --profile              Sluice writes V8 processor profiles, and is slower for it
ProxySQL takes part if the environment variable PROXYSQL_BIN names its program.`

const PROXY_PARTS: readonly string[] = [...Object.keys(STEADY_PARTS), ...Object.keys(FRESH_PARTS)]
const PARTS = ['micro', ...PROXY_PARTS, 'freshness']
const BACKENDS = ['canned', 'real'] as const
const PLOT_HEADING =
  'Processor time per statement, as a multiple of what HAProxy spends on moving its bytes (dashed: 1)'
/** The comparison wants one, so that all proxies read from as many servers. */
const READERS = { proxies: 1, freshness: 2 }

interface Options {
  readonly parts: readonly string[]
  readonly before: readonly string[]
  readonly engine: EngineName
  readonly rounds: number
  readonly seconds: number
  readonly clients: readonly number[]
  readonly idle: number
  readonly seed: number
  readonly profile: boolean
}

/** Null: help is asked for. */
function optionsOf(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      part: { type: 'string', multiple: true, default: PARTS },
      before: { type: 'string', multiple: true, default: [...BACKENDS] },
      engine: { type: 'string', default: 'mysql' },
      rounds: { type: 'string', default: '10' },
      seconds: { type: 'string', default: '3' },
      clients: { type: 'string', default: '8,64' },
      idle: { type: 'string', default: '10000' },
      seed: { type: 'string', default: '1' },
      profile: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  const engine = oneOf('engine', values.engine, ['mysql', 'mariadb'] as const)
  return {
    parts: values.part.map((part) => oneOf('part', part, PARTS)),
    before: values.before.map((kind) => oneOf('before', kind, BACKENDS)),
    engine,
    rounds: whole('rounds', values.rounds, 1),
    seconds: whole('seconds', values.seconds, 1),
    clients: values.clients.split(',').map((count) => whole('clients', count, 1)),
    idle: whole('idle', values.idle, 0),
    seed: whole('seed', values.seed, 1),
    profile: values.profile,
  }
}

function oneOf<T extends string>(name: string, value: string, known: readonly T[]): T {
  const found = known.find((each) => each === value)
  if (found === undefined) throw new Error(`--${name} is ${known.join(' or ')}, not ${value}`)
  return found
}

function whole(name: string, value: string, minimum: number): number {
  const number = Number(value)
  if (!Number.isInteger(number) || number < minimum) throw new Error(`--${name} takes whole numbers from ${minimum} on`)
  return number
}

function machine() {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    kernel: release(),
    node: process.version,
    commit: commit(),
  }
}

function commit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return (
      git('rev-parse', '--short', 'HEAD').trim() + (git('status', '--porcelain', 'src') === '' ? '' : ' and changes')
    )
  } catch {
    return 'unknown'
  }
}

async function bench(options: Options, folder: string, programs: Programs): Promise<void> {
  const { parts, before, engine, seed, profile } = options
  const startLoad = loadavg()[0]!
  const nodeArgs = profile ? ['--cpu-prof', `--cpu-prof-dir=${folder}`] : []
  const progress = (line: string) => console.error(line)
  const shared = { ...options, random: randomFrom(seed), progress, nodeArgs }
  const micro = parts.includes('micro') ? microPart() : []
  const real = (readers: number) => startRealBackends(engine, readers, progress)
  const compared: ProxyResult[] = []
  if (parts.some((part) => PROXY_PARTS.includes(part))) {
    for (const kind of before) {
      const backends = await (kind === 'canned' ? startCannedBackends(programs) : real(READERS.proxies))
      compared.push(await whileUp(backends, () => proxyParts(programs, backends, shared)))
    }
  }
  let fresh: FreshnessResult | null = null
  if (parts.includes('freshness') && before.includes('real')) {
    const backends = await real(READERS.freshness)
    fresh = await whileUp(backends, () => freshnessPart(programs, backends, shared))
  }

  const where = machine()
  const samples = [...compared, ...(fresh === null ? [] : [fresh])].flatMap((result) => result.samples)
  const loads = [loadavg()[0]!, ...samples.map(({ loadAverage }) => loadAverage)]
  const sections = [
    `${where.processor}, ${where.cores} cores, Linux ${where.kernel}, Node ${where.node}, commit ${where.commit}.\n` +
      `${options.rounds} rounds of ${options.seconds} s, seed ${seed}; load average ${startLoad.toFixed(1)} before, ` +
      `${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)} during the runs.`,
    ...(micro.length === 0 ? [] : ['**Code alone**', microTable(micro)]),
    ...compared.flatMap(comparisonText),
    ...(fresh === null ? [] : freshnessText(fresh)),
  ]

  const report = join(folder, 'report')
  writeFileSync(`${report}.md`, `${sections.join('\n\n')}\n`)
  writeFileSync(
    `${report}.json`,
    JSON.stringify({ machine: where, options, startLoad, micro, compared, fresh }, null, 1),
  )
  const panels = panelsOf(compared)
  if (panels.length > 0) writeFileSync(`${report}.svg`, barChart(PLOT_HEADING, panels))
  console.log(sections.join('\n\n'))
  console.log(`\n${report}.md, .json and .svg${profile ? ', and the profiles beside them' : ''}`)
}

async function whileUp<T>(backends: Backends, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } finally {
    await backends.stop()
  }
}

function comparisonText(result: ProxyResult): string[] {
  const starts = startTable(result)
  const runs = result.tasks.some(({ work }) => work !== 'start')
  return [
    ...(runs ? [`**${result.backends}: medians**`, samplesTable(result)] : []),
    ...(runs
      ? [`**${result.backends}: Sluice beside the others**`, ratiosTable(result, { of: 'sluice', speedOf: 'direct' })]
      : []),
    ...(starts === '' ? [] : [`**${result.backends}: starts**`, starts]),
  ]
}

function freshnessText(result: FreshnessResult): string[] {
  return [
    `**${result.backends}, sysbench, two readers: reads that see nothing in particular, and all that was committed**`,
    samplesTable(result),
    ratiosTable(result, { of: 'service', speedOf: 'eventual' }),
    sharesText(result.reads),
  ]
}

/** Ctrl-C: the programs end in turn, and with them what we wait for. */
function stopOnSignal(programs: Programs): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void programs.stop().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143))
    })
  }
}

let options: Options | null
try {
  options = optionsOf(process.argv.slice(2))
} catch (error) {
  console.error(`${(error as Error).message}\n\n${USAGE}`)
  process.exit(2)
}
if (options === null) {
  console.log(USAGE)
  process.exit(0)
}
const folder = join(cacheFolder(), 'bench', new Date().toISOString().replaceAll(/[:.]/g, '-'))
mkdirSync(folder, { recursive: true })
const programs = await Programs.create()
stopOnSignal(programs)
try {
  await bench(options, folder, programs)
} catch (error) {
  console.error(`bench: ${(error as Error).message}`)
  process.exitCode = 1
} finally {
  await programs.stop()
}
