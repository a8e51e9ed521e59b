// What the clients do in each part, and how one run of it is done and measured: by our load generator or by sysbench.

import { readFile } from 'node:fs/promises'
import { lastLines } from '../../src/lab/machine.ts'
import type { Backends } from './backends.ts'
import type { LoadOrder, LoadReport, LoadWork } from './load.ts'
import { answerOf, type CpuTime, type Program, type Programs } from './programs.ts'
import { type Contender, type Path, UNSHARED_CLIENTS_MAX } from './proxies.ts'
import { nameOf, type RunResult, type Task } from './rounds.ts'
import { isScript, runSysbench } from './sysbench.ts'

export interface Scale {
  /** Clients of the works that are done with few and with many; the others are done with the first number. */
  readonly clients: readonly number[]
  readonly idle: number
}

/** Where latency is what a client sees, and not how long the queue is. */
const CALM_RATE = 2_000
const CROWD_ACTIVE = 200

type TasksOf = (scale: Scale) => readonly Task[]

function each(...works: readonly string[]): TasksOf {
  return ({ clients: [few] }) => works.map((work) => taskOf(work, few!))
}

/** On proxies that are there all the time. */
export const STEADY_PARTS = {
  point: ({ clients }) => clients.flatMap((count) => ['text', 'prepared'].map((work) => taskOf(work, count))),
  large: each('large'),
  oltp: each('oltp_read_only', 'oltp_read_write'),
  connect: each('connect'),
  rate: ({ clients: [few] }) => [{ ...taskOf('text', few!), rate: CALM_RATE }],
} as const satisfies Record<string, TasksOf>

/** Each time on a proxy that was started for it. */
export const FRESH_PARTS = {
  crowd: ({ idle }) => [0, idle].map((count) => ({ ...taskOf('text', CROWD_ACTIVE), idle: count })),
  start: () => [taskOf('start', 1)],
} as const satisfies Record<string, TasksOf>

function taskOf(work: string, clients: number): Task {
  return { work, clients, rate: null, idle: 0 }
}

/** A connection's first statements are not like its others. */
const WARM_UP_SECONDS = 0.2
/** Until the code that serves clients is compiled, and the heap has the size that it keeps. */
const FIRST_SECONDS = 3
/** For the last answers, and for a garbage collector that is still at work. */
const SETTLE_MS = 1_000

/** What does the work: the load generator, in a process of its own. */
export class Load {
  readonly #program: Program

  constructor(programs: Programs, seed: number) {
    this.#program = programs.fork('./load.js', [String(seed)])
  }

  async told(order: LoadOrder): Promise<LoadReport> {
    const answer = answerOf<LoadReport>(this.#program)
    this.#program.child.send(order)
    const report = await answer
    if (report.kind === 'failed') throw new Error(`the load generator failed: ${report.message}`)
    return report
  }

  stop(): Promise<void> {
    return this.#program.stop()
  }
}

export interface Bench {
  readonly programs: Programs
  readonly backends: Backends
  readonly load: Load
  readonly seed: number
}

/** Starts it; resolves when it has answered a statement. */
export async function startPath<P extends Path>(bench: Bench, proxy: Contender<P>): Promise<P> {
  const { programs, backends, load } = bench
  const path = await proxy.launch(programs, backends.ports)
  try {
    await load.told({ kind: 'reach', port: path.port })
    return path
  } catch (error) {
    const said = lastLines(await readFile(programs.logFile(proxy.name), 'utf8').catch(() => ''), 20)
    throw new Error(`${proxy.name} does not start: ${(error as Error).message}\n${said}`, { cause: error })
  }
}

/** What has a server connection for each client may have fewer clients than the task has. */
export function canHave(task: Task, proxy: Contender, backends: Backends): boolean {
  if (task.work === 'start') return proxy.name !== 'direct'
  return proxy.shares || task.clients + task.idle <= Math.min(UNSHARED_CLIENTS_MAX, backends.connectionsMax)
}

export async function runSteady(bench: Bench, task: Task, path: Path, seconds: number): Promise<RunResult> {
  try {
    const run = isScript(task.work) ? runScript : runLoad
    const result = await run(bench, task, path, seconds)
    await bench.backends.level()
    return result
  } catch (error) {
    throw new Error(`${nameOf(task)}, ${path.name}: ${(error as Error).message}`, { cause: error })
  }
}

async function runScript({ seed }: Bench, { work, clients }: Task, path: Path, seconds: number): Promise<RunResult> {
  if (!isScript(work)) throw new Error(`sysbench has no ${work}`)
  const meter = new Meter(path)
  const result = await runSysbench({
    port: path.port,
    threads: clients,
    seconds,
    seed,
    script: work,
    onStart: () => meter.start(),
    onEnd: () => meter.stop(),
  })
  return { ...result, ...meter.read(), idleBytesEach: null }
}

async function runLoad({ load }: Bench, task: Task, path: Path, seconds: number): Promise<RunResult> {
  const { port } = path
  const { work, clients, rate } = task
  if (work === 'connect') {
    return measured(load, path, { kind: 'visit', port, clients, seconds })
  }
  await load.told({ kind: 'connect', port, clients, work: work as LoadWork })
  await load.told({ kind: 'run', seconds: WARM_UP_SECONDS, clients, rate: null })
  const result = await measured(load, path, { kind: 'run', seconds, clients, rate })
  await load.told({ kind: 'disconnect' })
  return result
}

/** What a run of the load gave, and cost. */
async function measured(load: Load, path: Path, order: LoadOrder): Promise<RunResult> {
  const meter = new Meter(path)
  meter.start()
  const report = await load.told(order)
  meter.stop()
  if (report.kind !== 'ran') throw new Error('the load generator answered something else')
  const { kind, ...result } = report
  return { ...result, ...meter.read(), idleBytesEach: null }
}

export async function runFresh(bench: Bench, task: Task, proxy: Contender, seconds: number): Promise<RunResult> {
  const path = await startPath(bench, proxy)
  try {
    return await (task.work === 'start' ? measureStart(path) : runCrowd(bench, task, path, seconds))
  } finally {
    await bench.load.told({ kind: 'disconnect' })
    await path.program?.stop()
  }
}

/** As a statement that took as long as the program needed to answer it; what is resident, once it has nothing to do. */
async function measureStart({ program }: Path): Promise<RunResult> {
  if (program === null) throw new Error('there is no program to start')
  const ms = performance.now() - program.startedMs
  const cpu = program.cpuTime()
  await settle()
  const residentBytes = program.residentBytes()
  return { statements: 1, seconds: ms / 1000, p50Ms: ms, p95Ms: ms, p99Ms: ms, cpu, residentBytes, idleBytesEach: null }
}

/** The active clients work for a while and pay for what is paid only once; the idle ones just come. */
async function runCrowd({ load }: Bench, task: Task, path: Path, seconds: number): Promise<RunResult> {
  const { port, program } = path
  const { clients, idle, rate } = task
  await load.told({ kind: 'connect', port, clients, work: 'text' })
  await load.told({ kind: 'run', seconds: FIRST_SECONDS, clients, rate })
  await settle()
  const before = program?.residentBytes() ?? 0
  await load.told({ kind: 'connect', port, clients: idle, work: 'text' })
  await settle()
  const idleBytesEach = program === null || idle === 0 ? null : (program.residentBytes() - before) / idle
  const result = await measured(load, path, { kind: 'run', seconds, clients, rate })
  return { ...result, idleBytesEach }
}

/** What the program of a path spends between two moments; nothing where there is none. */
class Meter {
  readonly #program: Program | null
  #before: CpuTime | null = null
  #cpu: CpuTime | null = null

  constructor({ program }: Path) {
    this.#program = program
  }

  start(): void {
    this.#before = this.#program?.cpuTime() ?? null
  }

  stop(): void {
    const [before, after] = [this.#before, this.#program?.cpuTime() ?? null]
    if (before === null || after === null) return
    this.#cpu = { seconds: after.seconds - before.seconds, userSeconds: after.userSeconds - before.userSeconds }
  }

  read(): Pick<RunResult, 'cpu' | 'residentBytes'> {
    return { cpu: this.#cpu, residentBytes: this.#program?.residentBytes() ?? null }
  }
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
}
