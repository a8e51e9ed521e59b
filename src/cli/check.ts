// sluice check: are the settings right? Problems go to stderr as file:line:column, and nothing is started.

import { ConfigError, type LoadedConfig, loadConfig } from '../config.ts'
import type { ExitCode, Output } from './output.ts'

export function check(file: string | null, output: Output): ExitCode {
  try {
    const loaded = loadConfig(file, output.env)
    for (const warning of loaded.warnings) output.error(`warning: ${warning}`)
    output.print(summary(loaded))
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
