// One database server as a process of ours.

import { type ChildProcess, spawn } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Connection, createConnection } from 'mysql2/promise'
import { type Engine, LAB_USERS, type LabUser, type ServerSettings } from './engine.ts'
import { ended, LabError, lastLines, until } from './machine.ts'
import type { Watchdog } from './watchdog.ts'

const START_MS_MAX = 60_000
const STOP_MS_MAX = 20_000

export type LabRole = 'writer' | 'reader'

export class LabServer {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly folder: string
  /** What the cluster means this server to be; the server's own read_only follows it at every start. */
  role: LabRole
  /** A replica skips what bears its own number, so a server that lost its data needs a new one to get that back. */
  serverId: number
  readonly #engine: Engine
  readonly #settings: ServerSettings
  readonly #watchdog: Watchdog
  #process: ChildProcess | null = null

  constructor(engine: Engine, settings: ServerSettings, watchdog: Watchdog) {
    this.#engine = engine
    this.#settings = settings
    this.#watchdog = watchdog
    this.port = settings.port
    this.folder = settings.folder
    this.serverId = settings.serverId
    this.role = settings.readOnly ? 'reader' : 'writer'
  }

  /** null while it does not run. */
  get pid(): number | null {
    return this.#process?.pid ?? null
  }

  get address(): string {
    return `${this.host}:${this.port}`
  }

  get errorLogFile(): string {
    return join(this.folder, 'error.log')
  }

  /** Starts it and waits until it lets root in. A writer that was stopped comes back as its role says. */
  async start(): Promise<void> {
    if (this.#process !== null) return
    const settings = { ...this.#settings, serverId: this.serverId, readOnly: this.role === 'reader' }
    const log = await open(this.errorLogFile, 'a')
    const child = spawn(this.#engine.program, this.#engine.args(settings), {
      stdio: ['ignore', log.fd, log.fd],
      cwd: this.folder,
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
    this.signal('SIGCONT')
    this.signal('SIGTERM')
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
    this.signal('SIGSTOP')
  }

  thaw(): void {
    this.signal('SIGCONT')
  }

  /** A connection of the caller's own, as root unless said otherwise. */
  async connect(as: LabUser = 'root'): Promise<Connection> {
    return createConnection({
      host: this.host,
      port: this.port,
      ...LAB_USERS[as],
      multipleStatements: true,
      connectTimeout: 10_000,
      // Root's empty password and mysql_native_password need none; caching_sha2_password asks for one of these.
      ...(as === 'root' ? {} : { ssl: { rejectUnauthorized: false } }),
    })
  }

  /** Runs the work on a connection of its own as root. */
  async asRoot<T>(work: (root: Connection) => Promise<T>): Promise<T> {
    const root = await this.connect()
    try {
      return await work(root)
    } finally {
      root.destroy()
    }
  }

  private signal(name: NodeJS.Signals): void {
    this.#process?.kill(name)
  }

  private async awaitLogin(): Promise<void> {
    let refusal = ''
    const isIn = async (): Promise<true | null> => {
      if (this.#process === null) throw new LabError(`${this.describe()} ended at once:\n${await this.complaints()}`)
      try {
        await this.asRoot((root) => root.query('select 1'))
        return true
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
    const log = await readFile(this.errorLogFile, 'utf8').catch(() => '')
    const errors = log.split('\n').filter((line) => /\[ERROR\]|error while loading/.test(line))
    return lastLines(errors.length > 0 ? errors.join('\n') : log, 6)
  }
}
