// Sluice as operators run it, in a process of its own: `sluice start` from dist, on free ports. It can be asked for what
// it holds, measured from outside, signalled and waited for.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, until } from '../../src/lab/index.ts'
import { type SluiceOptions, settingsText } from './sluice.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const program = join(root, 'dist/main.js')
const inside = new URL('inside.mjs', import.meta.url)

const START_MS_MAX = 20_000

/** What the process says of itself, after its garbage was collected. */
export interface Inside {
  readonly rss: number
  readonly heapUsed: number
  readonly external: number
  readonly arrayBuffers: number
  /** Bytes for new objects, before the garbage was collected. */
  readonly newSpace: number
  /** Counts by kind. */
  readonly resources: Readonly<Record<string, number>>
  readonly handles: Readonly<Record<string, number>>
  readonly timers: Readonly<Record<string, number>>
}

export interface PoolRow {
  readonly backend: string
  readonly user: string
  readonly connections: {
    readonly idle: number
    readonly lent: number
    readonly cleaning: number
    readonly opening: number
  }
  readonly waiting: number
}

export interface SessionRow {
  readonly id: number
  readonly state: 'idle' | 'active' | 'waiting'
  readonly transaction: string
  readonly statements: number
  readonly pins: readonly { readonly reason: string }[]
  readonly backend: string | null
}

export class SluiceProcess {
  readonly port: number
  readonly adminPort: number
  readonly #child: ChildProcess
  readonly #folder: string
  /** Its log, and whatever else it printed. */
  output = ''
  /** How it ended; null while it runs. */
  exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | null = null

  private constructor(child: ChildProcess, folder: string, port: number, adminPort: number) {
    this.#child = child
    this.#folder = folder
    this.port = port
    this.adminPort = adminPort
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
        if (process.env.SLUICE_TEST_LOG !== undefined) process.stderr.write(text)
      })
    }
    child.once('exit', (code, signal) => {
      this.exit = { code, signal }
    })
  }

  /** Resolves once it accepts clients and has found its writer. */
  static async start(options: Omit<SluiceOptions, 'logLevel'>): Promise<SluiceProcess> {
    bringUpToDate()
    for (let tries = 1; ; tries++) {
      const sluice = await SluiceProcess.spawn(options)
      const isUp = async () => {
        if (sluice.exit !== null) return 'over'
        return (await sluice.ask('/readyz').catch(() => null))?.ok === true ? 'up' : null
      }
      const outcome = await until(isUp, START_MS_MAX, () => `Sluice is not ready: ${sluice.output}`).catch((error) => {
        sluice.#child.kill('SIGKILL')
        throw error
      })
      if (outcome === 'up') return sluice
      sluice.tidy()
      // Somebody else took a port between our finding it free and its listening there.
      if (tries === 3 || !sluice.output.includes('is taken')) throw new Error(`Sluice ended at once: ${sluice.output}`)
    }
  }

  private static async spawn(options: Omit<SluiceOptions, 'logLevel'>): Promise<SluiceProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'))
    const [port, adminPort] = [await freePort(), await freePort()]
    const file = join(folder, 'sluice.yaml')
    writeFileSync(file, settingsText({ ...options, logLevel: 'info' }, { folder, port, adminPort }), { mode: 0o600 })
    const args = ['--expose-gc', '--import', inside.href, program, 'start', '--config', file]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    return new SluiceProcess(child, folder, port, adminPort)
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** The processes that it has started and that live. */
  get children(): readonly number[] {
    const text = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8').trim()
    return text === '' ? [] : text.split(' ').map(Number)
  }

  /** The settings as they are on disk; `change` is written there. */
  rewrite(change: (text: string) => string): void {
    const file = join(this.#folder, 'sluice.yaml')
    writeFileSync(file, change(readFileSync(file, 'utf8')), { mode: 0o600 })
  }

  async measure(): Promise<Inside> {
    const answer = once(this.#child, 'message')
    this.#child.send('measure')
    const [measured] = (await answer) as [Inside]
    return measured
  }

  ask(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.adminPort}${path}`, { headers: { connection: 'close' } })
  }

  async pools(): Promise<readonly PoolRow[]> {
    const { pools } = (await (await this.ask('/pools')).json()) as { pools: PoolRow[] }
    return pools
  }

  async sessions(): Promise<readonly SessionRow[]> {
    const { sessions } = (await (await this.ask('/sessions?limit=1000')).json()) as { sessions: SessionRow[] }
    return sessions
  }

  /** The most memory it has had resident since it started, or since the last `forgetPeak`. */
  get residentBytesPeak(): number {
    return this.statusOf('VmHWM')
  }

  get residentBytes(): number {
    return this.statusOf('VmRSS')
  }

  forgetPeak(): void {
    writeFileSync(`/proc/${this.pid}/clear_refs`, '5')
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Waits for its end, and says how it ended. */
  async ended(): Promise<NonNullable<SluiceProcess['exit']>> {
    if (this.exit === null) await once(this.#child, 'exit')
    return this.exit!
  }

  /** Ends it whatever it does. */
  async stop(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended()
    this.tidy()
  }

  private tidy(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  private statusOf(name: string): number {
    const line = readFileSync(`/proc/${this.pid}/status`, 'utf8').match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))
    return Number(line![1]) * 1024
  }
}

/** What runs must be what is tested: dist is made anew when a source is younger. */
function bringUpToDate(): void {
  const newestMs = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((newest, { parentPath, name }) => Math.max(newest, statSync(join(parentPath, name)).mtimeMs), 0)
  const builtMs = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (builtMs > newestMs) return
  const { status } = spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { stdio: 'inherit' })
  if (status !== 0) throw new Error('dist could not be made')
}
