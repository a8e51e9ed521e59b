// sluice check: are the settings right, and what do they lead to? Problems go to stderr as file:line:column. The servers
// are asked as the proxy would ask them, and nothing is started.

import { ConfigError, type LoadedConfig, loadConfig } from '../config.ts'
import type { Backend, Topology } from '../topology/topology.ts'
import type { ExitCode, Output } from './output.ts'

export interface CheckOptions {
  readonly file: string | null
  /** The settings alone. */
  readonly offline: boolean
}

export async function check({ file, offline }: CheckOptions, output: Output): Promise<ExitCode> {
  try {
    const loaded = loadConfig(file, output.env)
    for (const warning of loaded.warnings) output.error(`warning: ${warning}`)
    output.print(summary(loaded))
    if (offline) return 0
    const { survey } = await import('../proxy.ts')
    for (const topology of await survey(loaded.config)) tell(topology, output)
    return 0
  } catch (error) {
    return reportProblems(error, output)
  }
}

/** Tells what is wrong with the settings; anything else is a bug and thrown on. Gives the exit code. */
export function reportProblems(error: unknown, output: Output): ExitCode {
  if (!(error instanceof ConfigError)) throw error
  for (const problem of error.problems) output.error(problem)
  return 1
}

function summary({ config, origin }: LoadedConfig): string {
  const { listeners, clusters, users } = config
  const seeds = Object.entries(clusters).map(([name, { topology }]) => `${name} with ${count(topology.seeds, 'seed')}`)
  return `${origin} is right: ${count(listeners, 'listener')}, ${count(seeds, 'cluster')} (${seeds.join(', ')}), ${count(users, 'user')}`
}

function count(things: readonly unknown[], noun: string): string {
  return `${things.length} ${noun}${things.length === 1 ? '' : 's'}`
}

const KINDS: Readonly<Record<NonNullable<Topology['kind']>, string>> = {
  aurora: 'an Aurora cluster',
  'rds-multi-az': 'an RDS Multi-AZ DB cluster',
  'group-replication': 'a replication group',
  replication: 'a writer and whoever replicates from it',
  static: 'what the settings say',
}

/** What was found, in plain words; what an operator has to mend goes to the error stream. */
function tell({ cluster, kind, backends }: Topology, output: Output): void {
  if (backends.every(({ version }) => version === null)) {
    output.error(`warning: ${cluster}: no server could be asked: ${backends.map(({ why }) => why).join('; ')}`)
    return
  }
  output.print(`${cluster} is ${KINDS[kind ?? 'replication']} (${kind}): ${count(backends, 'member')}`)
  const width = Math.max(...backends.map((backend) => nameOf(backend).length))
  for (const backend of backends) output.print(`  ${nameOf(backend).padEnd(width)}  ${stateOf(backend)}`)
  if (backends.some(({ role, health }) => role === 'writer' && health === 'up')) return
  output.error(`warning: ${cluster} has no writer, so that writes would wait for one`)
}

function nameOf({ id, name }: Backend): string {
  return name === undefined || id.startsWith(`${name}.`) ? id : `${id} (${name})`
}

function stateOf({ role, health, lagMs, version, why }: Backend): string {
  const words = [role === 'unknown' ? 'of unknown role' : role]
  if (health !== 'up') words.push(health)
  if (role === 'reader') words.push(lagMs === null ? 'lag not known' : `${lagMs} ms behind`)
  if (version !== null) words.push(version)
  return `${words.join(', ')}: ${why}`
}
