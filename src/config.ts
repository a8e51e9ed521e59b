// The settings: loading and checking. In comes a file or the environment, out comes a `Config` with every default filled
// in, or all that is wrong at once, each as file:line:column. The shape and the defaults are in config/schema.ts.

import { existsSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseAddress } from './config/address.ts'
import { crossChecks } from './config/checks.ts'
import { ENVIRONMENT_NAMES, environmentSource } from './config/environment.ts'
import { type Finding, findingsOf, suggestion } from './config/problems.ts'
import {
  backendId,
  type DeepReadonly,
  type Files,
  keysAt,
  type ParsedSettings,
  settingsSchema,
} from './config/schema.ts'
import { type Environment, readSource } from './config/source.ts'

export { type Address, type Network, parseAddress, parseNetwork } from './config/address.ts'
export { backendId } from './config/schema.ts'
export type { Environment } from './config/source.ts'

/** What the proxy runs with. Addresses are parsed, secrets read, defaults filled in; null means "none". */
export type Config = DeepReadonly<
  Omit<ParsedSettings, 'listeners' | 'rules' | 'stateDir'> & {
    listeners: (Omit<ParsedSettings['listeners'][number], 'cluster'> & { cluster: string })[]
    rules: (Omit<ParsedSettings['rules'][number], 'name'> & { name: string })[]
    /** Absolute. For what Sluice makes itself, as a certificate. */
    stateDir: string
  }
>
export type ListenerConfig = Config['listeners'][number]
export type ClusterConfig = Config['clusters'][string]
export type UserConfig = Config['users'][number]
export type RuleConfig = Config['rules'][number]

export interface LoadedConfig {
  readonly config: Config
  /** Where it came from, for people: a path, or `the environment`. */
  readonly origin: string
  /** The file of the settings, or null when there is none. */
  readonly file: string | null
  /** All that was read, `file` and the files that settings point to: a change of one is a change of the settings. */
  readonly files: readonly string[]
  readonly warnings: readonly string[]
}

/** Everything that is wrong with the settings, a line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

/** Looked for in the working folder when no file is named. */
export const DEFAULT_FILE = 'sluice.yaml'

/** The file that holds the settings: the one that is named, else `SLUICE_CONFIG`, else `sluice.yaml` if it is here. */
export function findConfig(file: string | null, env: Environment = process.env): string | null {
  return file ?? env.SLUICE_CONFIG ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : null)
}

/** The settings of the file that `findConfig` finds, else of the environment. Throws ConfigError. */
export function loadConfig(file: string | null, env: Environment = process.env): LoadedConfig {
  const found = findConfig(file, env)
  if (found !== null) return loadFile(found, env)
  if (env.SLUICE_CLUSTER !== undefined) return loadEnvironment(env)
  throw new ConfigError([
    `no settings: there is no ${DEFAULT_FILE} here; expected --config FILE, or SLUICE_CLUSTER=host:port[,…], SLUICE_USER and SLUICE_PASSWORD in the environment`,
  ])
}

function loadFile(file: string, env: Environment): LoadedConfig {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError([`${file}: ${reasonOf(error)}; expected a file of settings`])
  }
  const { config, warnings, read, literalSecret } = parse(text, file, env)
  if (literalSecret !== null && isReadableByAll(file)) {
    const { line, column } = literalSecret
    const cure = `chmod 600 ${file}, or use \${NAME} or file:`
    warnings.push(`${file}:${line}:${column}: a password stands here and everybody can read the file; ${cure}`)
  }
  return { config, warnings, origin: file, file: resolve(file), files: [resolve(file), ...read] }
}

/** Settings from their text. `file` is for messages, and its folder is where relative paths start. */
export function parseConfig(text: string, file: string, env: Environment): Pick<LoadedConfig, 'config' | 'warnings'> {
  const { config, warnings } = parse(text, file, env)
  return { config, warnings }
}

function parse(text: string, file: string, env: Environment) {
  const folder = dirname(resolve(file))
  const source = readSource(text, env)
  const { files, warnings, read } = filesIn(folder)
  const { parsed, findings } = source.value === undefined ? UNREADABLE : check(source.value, files)
  const problems = [...source.problems]
  const isKnown = (line: number, column: number) =>
    source.problems.some((problem) => problem.line === line && problem.column === column)
  for (const { path, what, text } of findings) {
    const { line, column } = source.locate(path, what)
    // A variable that is not set leaves an empty text behind: it is wrong only because of that.
    if (!isKnown(line, column)) problems.push({ line, column, text })
  }
  if (problems.length > 0 || parsed === null) {
    problems.sort((one, other) => one.line - other.line || one.column - other.column)
    throw new ConfigError(problems.map(({ line, column, text }) => `${file}:${line}:${column}: ${text}`))
  }
  const config = complete(parsed, join(folder, '.sluice'))
  return { config, warnings, read: [...read], literalSecret: source.literalSecret }
}

function loadEnvironment(env: Environment): LoadedConfig {
  const source = environmentSource(env)
  const { files, warnings, read } = filesIn(process.cwd())
  const { parsed, findings } = check(source.value, files)
  if (parsed === null || findings.length > 0) {
    throw new ConfigError(findings.map(({ path, text }) => `environment: ${source.locate(path)}: ${text}`))
  }
  for (const name of Object.keys(env)) {
    if (!name.startsWith('SLUICE_') || ENVIRONMENT_NAMES.includes(name)) continue
    warnings.push(`environment: ${name} is not known; ${suggestion(name, ENVIRONMENT_NAMES)}`)
  }
  const stateHome = env.XDG_STATE_HOME || join(homedir(), '.local', 'state')
  const config = complete(parsed, join(stateHome, 'sluice'))
  return { config, origin: 'the environment', file: null, files: [...read], warnings }
}

interface Checked {
  readonly parsed: ParsedSettings | null
  readonly findings: readonly Finding[]
}

const UNREADABLE: Checked = { parsed: null, findings: [] }

function check(value: unknown, files: Files): Checked {
  const schema = settingsSchema(files)
  // An empty file lacks the same as an empty map.
  const root = value ?? {}
  const result = schema.safeParse(root)
  const issues = result.success ? [] : result.error.issues
  const findings = issues.flatMap((issue) => findingsOf(issue, root, (path) => keysAt(schema, path)))
  return { parsed: result.success ? result.data : null, findings: [...findings, ...crossChecks(root)] }
}

function complete(parsed: ParsedSettings, stateDir: string): Config {
  const onlyCluster = Object.keys(parsed.clusters)[0]!
  const clusters = Object.entries(parsed.clusters).map(([name, cluster]) => [
    name,
    { ...cluster, weights: byBackend(cluster.weights) },
  ])
  return {
    ...parsed,
    clusters: Object.fromEntries(clusters),
    listeners: parsed.listeners.map((listener) => ({ ...listener, cluster: listener.cluster ?? onlyCluster })),
    rules: parsed.rules.map((rule, at) => ({ ...rule, name: rule.name ?? `rule-${at + 1}` })),
    stateDir: parsed.stateDir ?? stateDir,
  }
}

function byBackend(weights: Readonly<Record<string, number>>): Record<string, number> {
  const entries = Object.entries(weights).map(([text, weight]) => {
    const { host, port } = parseAddress(text, 3306)!
    return [backendId(host, port), weight] as const
  })
  return Object.fromEntries(entries)
}

/** `read` grows with every file that is read through `files`. */
function filesIn(folder: string): { files: Files; warnings: string[]; read: ReadonlySet<string> } {
  const warnings: string[] = []
  const read = new Set<string>()
  const readText = (path: string): string => {
    read.add(path)
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      throw new Error(`points to ${path}: ${reasonOf(error)}; expected a file that can be read`)
    }
  }
  const readSecret = (path: string): string => {
    const text = readText(path)
    if (isReadableByAll(path)) {
      warnings.push(`${path} holds a secret and everybody can read it; chmod 600 ${path}`)
    }
    return text
  }
  return { files: { folder, readText, readSecret }, warnings, read }
}

function isReadableByAll(path: string): boolean {
  return (statSync(path).mode & 0o004) !== 0
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES') return 'it may not be read'
  if (code === 'EISDIR') return 'it is a folder'
  return message
}
