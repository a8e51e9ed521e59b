// What stands between the load and the server: Sluice, HAProxy in TCP mode, a byte relay of ours, or nothing.

import { writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort, LAB_USERS, tool, until } from '../../src/lab/index.ts'
import { lastLines } from '../../src/lab/machine.ts'
import { answerOf, type Program, type Programs } from './programs.ts'

/** One way from the load to the server. */
export interface Path {
  readonly name: string
  readonly port: number
  /** Null: nothing is in between. */
  readonly program: Program | null
  /** Of a Sluice, where it tells its metrics. */
  readonly adminPort?: number
}

const READY_MS_MAX = 20_000

export function direct(port: number): Path {
  return { name: 'direct', port, program: null }
}

export async function startRelay(programs: Programs, target: number): Promise<Path> {
  const program = programs.fork('./byte-relay.js', [String(target)])
  const { ports } = await answerOf<{ readonly ports: readonly number[] }>(program)
  return { name: 'byte relay', port: ports[0]!, program }
}

export async function startHaproxy(programs: Programs, target: number): Promise<Path> {
  const port = await freePort()
  const file = join(programs.folder, 'haproxy.cfg')
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 9000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen server
  bind 127.0.0.1:${port}
  server one 127.0.0.1:${target}
`,
  )
  // In the foreground, one process: what it costs is told by one line of /proc.
  const program = programs.start('haproxy', await tool('haproxy'), ['-db', '-f', file])
  await until(
    async () => ((await accepts(port)) ? true : stillRunning(program)),
    READY_MS_MAX,
    () => 'haproxy does not listen',
  )
  return { name: 'haproxy', port, program }
}

export interface SluiceOptions {
  readonly name: string
  /** The writer first. */
  readonly backends: readonly number[]
  /** For node: `--cpu-prof` and the like. */
  readonly nodeArgs?: readonly string[]
  /** How fresh reads are; as shipped where it is left out. */
  readonly consistency?: 'eventual' | 'service'
}

/** As shipped, but without TLS on either side: what it is compared with passes plain bytes. */
export async function startSluice(programs: Programs, options: SluiceOptions): Promise<Path> {
  const { name, backends, nodeArgs = [], consistency = 'service' } = options
  const [port, adminPort] = [await freePort(), await freePort()]
  const id = name.replaceAll(/\W+/g, '-')
  const file = join(programs.folder, `${id}.yaml`)
  const { app, monitor } = LAB_USERS
  writeFileSync(
    file,
    `listeners:
  - { name: bench, bind: 127.0.0.1:${port}, cluster: main, route: split, tls: { mode: 'off' } }
clusters:
  main:
    topology: { seeds: [${backends.map((backend) => `127.0.0.1:${backend}`).join(', ')}] }
    monitor: { user: ${monitor.user}, password: ${monitor.password} }
    tls: { mode: disabled }
    # A read that finds no reader must be seen, not hidden by the writer.
    reads: { fallback: error, consistency: ${consistency} }
users:
  - { name: ${app.user}, password: ${app.password} }
admin: { bind: 127.0.0.1:${adminPort} }
log: { level: warn }
stateDir: ${join(programs.folder, id)}
`,
    { mode: 0o600 },
  )
  const program = programs.start(id, process.execPath, [...nodeArgs, 'dist/main.js', 'start', '--config', file])
  let notReady = 'it does not answer'
  try {
    await until(
      async () => {
        notReady = await whyNotReady(adminPort)
        return notReady === '' ? true : stillRunning(program)
      },
      READY_MS_MAX,
      () => `it is not ready: ${notReady}`,
    )
  } catch (error) {
    const said = lastLines(await readFile(programs.logFile(id), 'utf8'), 20)
    throw new Error(`${name} does not start: ${(error as Error).message}\n${said}`, { cause: error })
  }
  return { name, port, program, adminPort }
}

function stillRunning(program: Program): null {
  if (!program.running) throw new Error('it ended')
  return null
}

/** In its own words; empty: it is. */
async function whyNotReady(adminPort: number): Promise<string> {
  try {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`)
    return answer.ok ? '' : await answer.text()
  } catch {
    return 'it does not answer'
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
