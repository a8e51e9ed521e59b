// The programs that a benchmark starts: how they are started and ended, and what they cost. Linux only: it reads /proc.

import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder } from '../../src/lab/index.ts'
import { Watchdog } from '../../src/lab/watchdog.ts'

/** /proc tells times in ticks of this length, on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100
const STOP_MS_MAX = 5_000

/** Processor time spent so far. */
export interface CpuTime {
  readonly seconds: number
  /** Of it outside the kernel; in ticks, so that a short time is not told exactly. */
  readonly userSeconds: number
}

export class Program {
  readonly pid: number
  readonly child: ChildProcess
  readonly startedMs = performance.now()
  readonly #onEnded: (pid: number) => void

  constructor(child: ChildProcess, onEnded: (pid: number) => void) {
    this.child = child
    this.pid = child.pid!
    this.#onEnded = onEnded
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  /** Of all threads that live. */
  cpuTime(): CpuTime {
    const stat = readFileSync(`/proc/${this.pid}/stat`, 'utf8')
    // The name, in parentheses, may hold anything; behind it come the state and numbers only.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return {
      seconds: threadNanoseconds(this.pid) / 1e9,
      userSeconds: Number(fields[11]) / TICKS_PER_SECOND,
    }
  }

  residentBytes(): number {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.running) {
      const exit = once(this.child, 'exit')
      this.child.kill(signal)
      const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS_MAX)
      await exit
      clearTimeout(timer)
    }
    this.#onEnded(this.pid)
  }
}

function threadNanoseconds(pid: number): number {
  const tasks = `/proc/${pid}/task`
  return readdirSync(tasks).reduce((sum, task) => {
    try {
      return sum + Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0])
    } catch {
      // It has ended since we looked.
      return sum
    }
  }, 0)
}

/** Everything that a benchmark has running. It ends with us, even if we are killed, and leaves nothing. */
export class Programs {
  readonly folder: string
  readonly #watchdog: Watchdog
  readonly #programs: Program[] = []

  private constructor(folder: string) {
    this.folder = folder
    this.#watchdog = new Watchdog(folder)
  }

  static async create(): Promise<Programs> {
    const runs = join(cacheFolder(), 'run')
    await mkdir(runs, { recursive: true })
    return new Programs(mkdtempSync(join(runs, 'bench-')))
  }

  /** What it prints goes to `<name>.log` in the folder. */
  start(name: string, command: string, args: readonly string[], cwd = process.cwd()): Program {
    const log = openSync(this.logFile(name), 'a')
    // Detached: Ctrl-C is for us, who then end the others in turn.
    const child = spawn(command, args, { stdio: ['ignore', log, log], cwd, detached: true })
    closeSync(log)
    return this.watch(child)
  }

  /** A module of ours, with messages to and fro. */
  fork(module: string, args: readonly string[] = []): Program {
    return this.watch(fork(new URL(module, import.meta.url), [...args], { detached: true }))
  }

  logFile(name: string): string {
    return join(this.folder, `${name}.log`)
  }

  async stop(): Promise<void> {
    for (const program of this.#programs.reverse()) await program.stop()
    await this.#watchdog.finish()
  }

  private watch(child: ChildProcess): Program {
    const program = new Program(child, (pid) => this.#watchdog.ended(pid))
    this.#watchdog.started(program.pid)
    this.#programs.push(program)
    return program
  }
}

/** The next message of a program of ours; an error if it ends instead. */
export async function answerOf<T>(program: Program): Promise<T> {
  const abort = new AbortController()
  try {
    const message = once(program.child, 'message', { signal: abort.signal }).then(([answer]) => answer as T)
    const exit = once(program.child, 'exit', { signal: abort.signal }).then(([code, signal]) => {
      throw new Error(`a program of the benchmark ended (${code ?? signal}) instead of answering`)
    })
    return await Promise.race([message, exit])
  } finally {
    abort.abort()
  }
}
