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
/** Two turns of a garbage collector, and the last answers. */
const SETTLE_MS = 1_000
const LOAD_SECONDS_EACH = 0.2

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
  const tasks = options.threads.flatMap((threads) => WORKS.map((work) => ({ work, threads })))
  const samples = await measure(options, tasks, paths, (task, path, seconds) =>
    runLoad(load, task, path, seconds, options.seed),
  )
  for (const path of paths) await path.program?.stop()
  await load.stop()
  await backend.stop()
  return { samples, idle }
}

async function runLoad(load: Program, task: Task, path: Path, seconds: number, seed: number): Promise<RunResult> {
  const { threads, work } = task
  await told(load, { kind: 'connect', port: path.port, clients: threads, work: work as Work, seed })
  // A connection's first statements are not like its others.
  await told(load, { kind: 'run', seconds: LOAD_SECONDS_EACH })
  const { result, cpu } = await withCpu(path, () => told(load, { kind: 'run', seconds }))
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

/** Before any work, so that no heap has grown for other reasons; a first few clients pay what is paid only once. */
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
    const few = 50
    await connect(few)
    await told(load, { kind: 'run', seconds: LOAD_SECONDS_EACH })
    await settle()
    const bytesBefore = path.program.residentBytes()
    await connect(few + idleClients)
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
