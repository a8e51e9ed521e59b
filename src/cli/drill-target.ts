// What a drill is held against: a cluster of the lab's, or one of the user's that a command of theirs fails over.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type Config, loadConfig, parseConfig } from '../config.ts'
import { type EngineName, type FailoverKind, LAB_USERS, LabError, startFailing } from '../lab/index.ts'
import type { Output } from './output.ts'

export interface DrillTarget {
  /** One listener, on a free port. */
  readonly config: Config
  readonly cluster: string
  /** So many servers are there before each failover; null: as many as there are. */
  readonly members: number | null
  /** Null: whatever the command does. */
  readonly kind: FailoverKind | null
  /** The servers may lose what they have answered. */
  readonly loses: boolean
  readonly login: { readonly user: string; readonly password: string }
  readonly table: string
  /** Resolves when it has been done. */
  failOver(): Promise<void>
  mend(): Promise<void>
  stop(): Promise<void>
}

type Tell = (line: string) => void

const TABLE = 'sluice_drill'

export interface LabChoice {
  readonly engine: EngineName | null
  readonly aurora: boolean
  readonly kind: FailoverKind | null
}

/** All settings at their defaults. */
export async function labTarget({ engine, aurora, kind }: LabChoice, tell: Tell): Promise<DrillTarget> {
  const cause = kind ?? 'kill'
  const failing = await startFailing({
    engine: engine ?? 'mysql',
    aurora,
    kind: cause,
    progress: (line) => tell(`   ${line}`),
  })
  tell(`── ${failing.name}`)
  const text = `
listeners: [{ name: app, bind: '127.0.0.1:0', cluster: main }]
clusters:
  main:
    topology: { seeds: [${failing.seeds.join(', ')}] }
    monitor: { user: monitor, password: monitor_pw }
users: [{ name: app, password: app_pw }]
admin: { bind: '127.0.0.1:0' }
log: { level: silent }
`
  return {
    config: parseConfig(text, 'drill.yaml', {}).config,
    cluster: 'main',
    members: 3,
    kind: cause,
    loses: false,
    login: LAB_USERS.app,
    table: `app.${TABLE}`,
    failOver: failing.failOver,
    mend: failing.mend,
    stop: failing.stop,
  }
}

export interface OwnChoice {
  readonly file: string | null
  readonly command: string | null
  readonly schema: string | null
  readonly clients: number
  readonly rounds: number
}

/** Of the settings: the first listener's cluster, and the first user who may go there and whose password stands there. */
export async function ownTarget(choice: OwnChoice, tell: Tell, env: Output['env']): Promise<DrillTarget> {
  const { file, schema, clients, rounds } = choice
  const command = choice.command!
  const { config, origin } = loadConfig(file, env)
  const listener = config.listeners[0]!
  const { cluster } = listener
  const user = config.users.find(
    ({ password, clusters }) => password !== null && (clusters === null || clusters.includes(cluster)),
  )
  if (user?.password == null) throw new LabError(`no user of ${origin} has a password that the drill could log in with`)
  const table = `\`${schema!.replaceAll('`', '``')}\`.${TABLE}`
  tell(`── ${cluster} of ${origin}`)
  tell(`   The drill starts a Sluice of its own with these settings on a free port, makes the table ${table},`)
  tell(`   lets ${clients} clients log in as ${user.name}, who write into that table only, and runs, ${rounds} times:`)
  tell(`      ${command}`)
  tell('   Whoever else uses the cluster lives through the failover too. In the end the table is dropped.')
  const bind = { host: '127.0.0.1', port: 0 }
  return {
    config: {
      ...config,
      listeners: [{ ...listener, bind, route: 'split', tls: { ...listener.tls, mode: 'off' } }],
      users: [{ ...user, requireTls: false, route: null }],
      rules: [],
      admin: { bind },
      log: { level: 'silent' },
    },
    cluster,
    members: null,
    kind: null,
    loses: true,
    login: { user: user.name, password: user.password },
    table,
    failOver: () => runCommand(command, tell),
    mend: async () => {},
    stop: async () => {},
  }
}

async function runCommand(command: string, tell: Tell): Promise<void> {
  const child = spawn(command, { shell: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const print = (bytes: Buffer) => {
    for (const line of bytes.toString().trimEnd().split('\n')) tell(`   | ${line}`)
  }
  child.stdout.on('data', print)
  child.stderr.on('data', print)
  const [code, signal] = await once(child, 'close')
  if (code !== 0) throw new LabError(`the command ended with ${code ?? signal}, so there may have been no failover`)
}
