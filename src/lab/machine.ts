// This machine as the lab sees it: the cache folder, other programs, locks between processes, free ports.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { root } from '../home.ts'

/** Hears what is going on, a line at a time. */
export type Progress = (line: string) => void

/** Something the lab cannot do on this machine. `message` says what is missing and how to mend it. */
export class LabError extends Error {
  override readonly name: string = 'LabError'
}

/** There are no such server programs to be had here (today): a test may skip, loudly; nothing else may. */
export class ServerUnavailable extends LabError {
  override readonly name = 'ServerUnavailable'
}

/** Everything that is downloaded or created lives here: `.sluice` in the project, or where SLUICE_CACHE says. */
export function cacheFolder(): string {
  const named = process.env.SLUICE_CACHE
  if (named !== undefined && named !== '') return resolve(named)
  return join(root, '.sluice')
}

/** Runs a program to its end and gives what it printed. What it complained of becomes the error. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { input = '', env = {}, cwd, msMax = 300_000 } = options
  return new Promise((done, failed) => {
    const child = execFile(
      program,
      args,
      { env: { ...process.env, LC_ALL: 'C', ...env }, cwd, maxBuffer: 64 << 20, timeout: msMax, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (error === null) return done(stdout)
        const complaint = lastLines(stderr.trim() === '' ? stdout : stderr, 8)
        const why = error.killed === true ? `did not end within ${msMax} ms` : `failed (${error.code})`
        failed(new LabError(`${program} ${args[0] ?? ''} ${why}:\n${complaint}`))
      },
    )
    // A program that ends without reading its input breaks the pipe; its exit code says why.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

export interface RunOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly msMax?: number
}

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n')
}

/**
 * Does the work while no other process on this machine does work under the same lock. The kernel keeps the lock, so
 * there is no stale one: it goes with the process that took it, however that ends.
 */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(file), { recursive: true })
  const keeper = spawn('flock', ['--exclusive', file, 'sh', '-c', 'echo; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  })
  const taken = once(keeper.stdout!, 'data')
  const lost = once(keeper, 'exit').then(() => Promise.reject(new LabError(`cannot lock ${file}`)))
  lost.catch(() => {})
  try {
    await Promise.race([taken, lost])
    return await work()
  } finally {
    keeper.stdin!.end()
    await ended(keeper)
  }
}

/** Waits for its end, which keeps our own process alive until then. */
export async function ended(child: ChildProcess): Promise<void> {
  child.ref()
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) await once(child, 'exit')
}

// Below what the kernel hands out for outgoing connections, so that a stopped server finds its port again.
const PORT_MIN = 20_000
const PORT_MAX = 32_000

export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN))
    if (await isFree(port)) return port
  }
  throw new LabError(`found no free port between ${PORT_MIN} and ${PORT_MAX}`)
}

async function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => done(true)))
  })
}

/** Asks again and again until the answer is not null, or the deadline passes: then fails with what `because` says. */
export async function until<T>(
  ask: () => Promise<T | null> | T | null,
  msMax: number,
  because: () => string,
  everyMs = 25,
): Promise<T> {
  const deadline = performance.now() + msMax
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    if (performance.now() > deadline) throw new LabError(because())
    await new Promise((next) => setTimeout(next, everyMs))
  }
}
