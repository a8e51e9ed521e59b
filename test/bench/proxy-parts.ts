// The parts that compare proxies: every path at every work, before one and the same backends.

import type { Backends } from './backends.ts'
import type { Programs } from './programs.ts'
import { type Contender, type Path, proxiesWith } from './proxies.ts'
import { measure, type RoundOptions, type Sample, type Task } from './rounds.ts'
import {
  type Bench,
  canHave,
  FRESH_PARTS,
  Load,
  runFresh,
  runSteady,
  type Scale,
  STEADY_PARTS,
  startPath,
} from './works.ts'

export interface ProxyOptions extends RoundOptions, Scale {
  readonly parts: readonly string[]
  /** For the node that Sluice runs in. */
  readonly nodeArgs: readonly string[]
}

export interface ProxyResult {
  readonly backends: string
  /** In the order in which they are told of. */
  readonly tasks: readonly Task[]
  readonly paths: readonly string[]
  readonly samples: readonly Sample[]
}

const WARM_UP_SECONDS = 1

export async function proxyParts(programs: Programs, backends: Backends, options: ProxyOptions): Promise<ProxyResult> {
  const { parts, seed, nodeArgs } = options
  const tasksOf = (all: Readonly<Record<string, (scale: Scale) => readonly Task[]>>) =>
    parts.flatMap((part) => all[part]?.(options) ?? [])
  const [steady, fresh] = [tasksOf(STEADY_PARTS), tasksOf(FRESH_PARTS)]
  const proxies = proxiesWith(nodeArgs)
  const bench = { programs, backends, load: new Load(programs, seed), seed }
  const samples = [
    ...(steady.length === 0 ? [] : await measureSteady(bench, steady, proxies, options)),
    ...(await measureFresh(bench, fresh, proxies, options)),
  ]
  await bench.load.stop()
  return { backends: backends.name, tasks: [...steady, ...fresh], paths: proxies.map(({ name }) => name), samples }
}

async function measureSteady(
  bench: Bench,
  tasks: readonly Task[],
  proxies: readonly Contender[],
  options: RoundOptions,
): Promise<readonly Sample[]> {
  const paths: Path[] = []
  for (const proxy of proxies) paths.push(await startPath(bench, proxy))
  for (const task of tasks) for (const path of paths) await runSteady(bench, task, path, WARM_UP_SECONDS)
  const samples = await measure(
    options,
    tasks,
    () => paths,
    (task, path, seconds) => runSteady(bench, task, path, seconds),
  )
  for (const path of paths) await path.program?.stop()
  return samples
}

function measureFresh(
  bench: Bench,
  tasks: readonly Task[],
  proxies: readonly Contender[],
  options: RoundOptions,
): Promise<Sample[]> {
  return measure(
    options,
    tasks,
    (task) => proxies.filter((proxy) => canHave(task, proxy, bench.backends)),
    (task, proxy, seconds) => runFresh(bench, task, proxy, seconds),
  )
}
