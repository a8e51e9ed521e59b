// The proxy alone: every path leads to a canned backend that costs next to nothing, driven by a load generator of ours.

import type { LoadOrder, LoadReport, Work } from './load.ts'
import { answerOf, type Program, type Programs } from './programs.ts'
import { direct, type Path, startHaproxy, startRelay, startSluice } from './proxies.ts'
import { measure, type RoundOptions, type RunResult, type Sample, type Task, withCpu } from './rounds.ts'

export interface CannedOptions extends RoundOptions {
  /** For the node that Sluice runs in. */
  readonly nodeArgs: readonly string[]
  /** How many clients are connected to see what one costs that does nothing. */
  readonly idleClients: number
}

export interface IdleMemory {
  readonly path: string
  readonly clients: number
  readonly bytesPerClient: number
  readonly bytesBefore: number
}

export interface CannedResult {
  readonly samples: readonly Sample[]
  readonly idle: readonly IdleMemory[]
}

const WORKS: readonly Work[] = ['text', 'binary']
/** For the last answers, and for a garbage collector that is still at work. */
const SETTLE_MS = 1_000
const WARM_UP_SECONDS = 0.2
/** Where latency is what a client sees, and not how long the queue is. */
const CALM_RATE = 2_000
const CALM_CLIENTS = 8
const FIRST_CLIENTS = 50
/** Until the code that serves them is compiled, and the heap has the size that it keeps. */
const FIRST_SECONDS = 3

export async function cannedPart(programs: Programs, options: CannedOptions): Promise<CannedResult> {
  const backend = programs.fork('./canned-backend.js')
  const { ports } = await answerOf<{ readonly ports: readonly [number, number] }>(backend)
  const [writer, reader] = ports
  const load = programs.fork('./load.js')
  const sluice = { name: 'sluice', backends: [writer, reader], nodeArgs: options.nodeArgs }
  const paths = [
    direct(reader),
    await startHaproxy(programs, reader),
    await startRelay(programs, reader),
    await startSluice(programs, sluice),
  ]
  const idle = await idleMemory(load, paths, options)
  const busy = options.threads.flatMap((threads) => WORKS.map((work) => ({ work, threads, rate: null })))
  const tasks = [...busy, { work: 'text', threads: CALM_CLIENTS, rate: CALM_RATE }]
  const samples = await measure(options, tasks, paths, (task, path, seconds) =>
    runLoad(load, task, path, seconds, options.seed),
  )
  for (const path of paths) await path.program?.stop()
  await load.stop()
  await backend.stop()
  return { samples, idle }
}

async function runLoad(load: Program, task: Task, path: Path, seconds: number, seed: number): Promise<RunResult> {
  const { threads, work, rate } = task
  await told(load, { kind: 'connect', port: path.port, clients: threads, work: work as Work, seed })
  // A connection's first statements are not like its others.
  await told(load, { kind: 'run', seconds: WARM_UP_SECONDS, rate: null })
  const { result, cpu } = await withCpu(path, () => told(load, { kind: 'run', seconds, rate }))
  const residentBytes = path.program?.residentBytes() ?? null
  await told(load, { kind: 'disconnect' })
  if (result.kind !== 'ran') throw new Error('the load generator answered something else')
  const { kind, ...rest } = result
  return { ...rest, cpu, residentBytes }
}

async function told(load: Program, order: LoadOrder): Promise<LoadReport> {
  const answer = answerOf<LoadReport>(load)
  load.child.send(order)
  const report = await answer
  if (report.kind === 'failed') throw new Error(`the load generator failed: ${report.message}`)
  return report
}

/** A first few clients work for a while and pay for what is paid only once; the others just come. */
async function idleMemory(
  load: Program,
  paths: readonly Path[],
  { idleClients, seed, progress }: CannedOptions,
): Promise<IdleMemory[]> {
  const found: IdleMemory[] = []
  if (idleClients === 0) return found
  for (const path of paths) {
    if (path.program === null) continue
    const connect = (clients: number) => told(load, { kind: 'connect', port: path.port, clients, work: 'text', seed })
    await connect(FIRST_CLIENTS)
    await told(load, { kind: 'run', seconds: FIRST_SECONDS, rate: null })
    await settle()
    const bytesBefore = path.program.residentBytes()
    await connect(FIRST_CLIENTS + idleClients)
    await settle()
    const bytesPerClient = (path.program.residentBytes() - bytesBefore) / idleClients
    await told(load, { kind: 'disconnect' })
    progress(`${path.name}: ${Math.round(bytesPerClient / 102.4) / 10} kB for each of ${idleClients} idle clients`)
    found.push({ path: path.name, clients: idleClients, bytesPerClient, bytesBefore })
  }
  return found
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
}
