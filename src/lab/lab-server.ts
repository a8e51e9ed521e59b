// One database server as a process of ours: start, stop, kill, freeze.

import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Engine, ServerSettings } from './engine.ts'
import { ended, LabError, lastLines, until } from './machine.ts'
import { RunningServer } from './running-server.ts'
import type { Watchdog } from './watchdog.ts'

const START_MS_MAX = 60_000
const STOP_MS_MAX = 20_000
const STOPPED_MS_MAX = 1_000

export class LabServer extends RunningServer {
  readonly folder: string
  /** A replica skips what bears its own number, so a server that lost its data needs a new one to get that back. */
  serverId: number
  readonly #engine: Engine
  readonly #settings: ServerSettings
  readonly #watchdog: Watchdog
  #process: ChildProcess | null = null

  constructor(engine: Engine, settings: ServerSettings, watchdog: Watchdog) {
    super(settings.port, settings.readOnly ? 'reader' : 'writer')
    this.#engine = engine
    this.#settings = settings
    this.#watchdog = watchdog
    this.folder = settings.folder
    this.serverId = settings.serverId
  }

  /** null while it does not run. */
  get pid(): number | null {
    return this.#process?.pid ?? null
  }

  /** Starts it and waits until it lets root in. It comes up read-only if its role is reader. */
  async start(): Promise<void> {
    if (this.#process !== null) return
    const settings = { ...this.#settings, serverId: this.serverId, readOnly: this.role === 'reader' }
    const log = await open(join(this.folder, 'error.log'), 'a')
    const child = spawn(this.#engine.program, this.#engine.args(settings), {
      stdio: ['ignore', log.fd, log.fd],
      cwd: this.folder,
      // Ctrl-C in a terminal is meant for us, and we decide when servers end.
      detached: true,
    })
    await log.close()
    child.unref()
    const { pid } = child
    if (pid === undefined) throw new LabError(`${this.#engine.program} cannot be run`)
    this.#process = child
    this.#watchdog.started(pid)
    child.once('exit', () => {
      this.#watchdog.ended(pid)
      this.#process = null
    })
    try {
      await this.awaitLogin()
    } catch (error) {
      await this.kill()
      throw error
    }
  }

  /** Ends it in good order. */
  async stop(): Promise<void> {
    const child = this.#process
    if (child === null) return
    this.thaw()
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
    await ended(child)
    clearTimeout(late)
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    const child = this.#process
    if (child === null) return
    child.kill('SIGKILL')
    await ended(child)
  }

  /** It stops in its tracks: its sockets stay open and the kernel goes on accepting, but nothing answers. */
  freeze(): void {
    this.#process?.kill('SIGSTOP')
    const { pid } = this
    // A signal takes its time, and a thread that runs just then would answer what it is asked next.
    const deadline = performance.now() + STOPPED_MS_MAX
    while (pid !== null && !isStopped(pid) && performance.now() < deadline);
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  /** What the server said of itself since its first start. */
  async errorLog(): Promise<string> {
    return readFile(join(this.folder, 'error.log'), 'utf8').catch(() => '')
  }

  private async awaitLogin(): Promise<void> {
    let refusal = ''
    const isIn = async (): Promise<true | null> => {
      if (this.#process === null) throw new LabError(`${this.describe()} ended at once:\n${await this.complaints()}`)
      try {
        // Whoever answers on this port may be somebody else's server.
        return String(await this.ask('SELECT @@GLOBAL.datadir')).startsWith(this.folder) ? true : null
      } catch (error) {
        refusal = error instanceof Error ? error.message : String(error)
        return null
      }
    }
    await until(isIn, START_MS_MAX, () => `${this.describe()} did not come up in ${START_MS_MAX} ms: ${refusal}`)
  }

  private describe(): string {
    return `${this.#engine.name} ${this.#engine.version} on port ${this.port}`
  }

  private async complaints(): Promise<string> {
    const log = await this.errorLog()
    const errors = log.split('\n').filter((line) => /\[ERROR\]|error while loading/.test(line))
    return lastLines(errors.length > 0 ? errors.join('\n') : log, 6)
  }
}

/** All threads of a process, as /proc tells; taken for granted where there is none. */
function isStopped(pid: number): boolean {
  const tasks = `/proc/${pid}/task`
  try {
    return readdirSync(tasks).every((task) => /\) [TtZX]/.test(readFileSync(`${tasks}/${task}/stat`, 'latin1')))
  } catch {
    return true
  }
}
