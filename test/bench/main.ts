// `npm run bench`: what Sluice costs, beside proxies that do less. What it all means is in docs/performance.md.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cacheFolder, type EngineName } from '../../src/lab/index.ts'
import { cannedPart } from './canned-part.ts'
import { freshnessPart, sharesText } from './freshness-part.ts'
import { Programs } from './programs.ts'
import { idleTable, samplesTable } from './report.ts'
import { serverPart } from './server-part.ts'
import { randomFrom } from './statistics.ts'

const USAGE = `npm run bench [-- OPTIONS]
  --part canned|server|freshness   only the proxy before a canned backend, real servers, or what fresh reads cost (all)
  --engine mysql|mariadb the real servers (mysql)
  --rounds N             rounds, each with every path in another order (5)
  --seconds N            of one run (5)
  --threads N,N          clients at once (8,64)
  --idle N               idle clients whose memory is measured, 0 for none (4000)
  --seed N               of all random numbers (1)
  --profile              Sluice writes V8 processor profiles, and is slower for it`

const PARTS = ['canned', 'server', 'freshness'] as const

interface Options {
  readonly parts: readonly string[]
  readonly engine: EngineName
  readonly rounds: number
  readonly seconds: number
  readonly threads: readonly number[]
  readonly idleClients: number
  readonly seed: number
  readonly profile: boolean
}

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      part: { type: 'string', multiple: true, default: [...PARTS] },
      engine: { type: 'string', default: 'mysql' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '5' },
      threads: { type: 'string', default: '8,64' },
      idle: { type: 'string', default: '4000' },
      seed: { type: 'string', default: '1' },
      profile: { type: 'boolean', default: false },
    },
  })
  const engine = oneOf('engine', values.engine, ['mysql', 'mariadb'] as const)
  return {
    parts: values.part.map((part) => oneOf('part', part, PARTS)),
    engine,
    rounds: whole('rounds', values.rounds, 1),
    seconds: whole('seconds', values.seconds, 1),
    threads: values.threads.split(',').map((count) => whole('threads', count, 1)),
    idleClients: whole('idle', values.idle, 0),
    seed: whole('seed', values.seed, 1),
    profile: values.profile,
  }
}

function oneOf<const T extends string>(name: string, value: string, known: readonly T[]): T {
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
  const { parts, engine, seed, profile } = options
  const startLoad = loadavg()[0]!
  const nodeArgs = profile ? ['--cpu-prof', `--cpu-prof-dir=${folder}`] : []
  const progress = (line: string) => console.error(line)
  const shared = { ...options, random: randomFrom(seed), progress, nodeArgs }
  const canned = parts.includes('canned') ? await cannedPart(programs, shared) : null
  const server = parts.includes('server') ? await serverPart(programs, { ...shared, engine }) : null
  const fresh = parts.includes('freshness') ? await freshnessPart(programs, { ...shared, engine }) : null

  const where = machine()
  const samples = [canned, server, fresh].flatMap((part) => part?.samples ?? [])
  const loads = samples.map(({ loadAverage }) => loadAverage)
  const lines = [
    `${where.processor}, ${where.cores} cores, Linux ${where.kernel}, Node ${where.node}, commit ${where.commit}.`,
    `${options.rounds} rounds of ${options.seconds} s, seed ${seed}; load average ${startLoad.toFixed(1)} before, ` +
      `${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)} during the runs.`,
  ]
  if (canned !== null) lines.push('', '**Canned backend**', '', samplesTable(canned.samples))
  if (canned !== null && canned.idle.length > 0) lines.push('', '**Idle clients**', '', idleTable(canned.idle))
  if (server !== null) lines.push('', `**${server.server}, sysbench**`, '', samplesTable(server.samples))
  if (fresh !== null) {
    lines.push(
      '',
      `**${fresh.server}, sysbench, two readers: reads that see nothing in particular, and all that was committed**`,
    )
    lines.push('', samplesTable(fresh.samples), '', sharesText(fresh.reads))
  }

  const report = join(folder, 'report')
  writeFileSync(`${report}.md`, `${lines.join('\n')}\n`)
  writeFileSync(
    `${report}.json`,
    JSON.stringify({ machine: where, options, startLoad, canned, server, fresh }, null, 1),
  )
  console.log(lines.join('\n'))
  console.log(`\n${report}.md and .json${profile ? ', and the profiles beside them' : ''}`)
}

/** Ctrl-C: the programs end in turn, and with them what we wait for. */
function stopOnSignal(programs: Programs): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void programs.stop().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143))
    })
  }
}

let options: Options
try {
  options = optionsOf(process.argv.slice(2))
} catch (error) {
  console.error(`${(error as Error).message}\n\n${USAGE}`)
  process.exit(2)
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
