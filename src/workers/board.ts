// How many commits each worker has told its clients of, where all workers see it at once: a file in memory that has no
// name, one number for each worker. What was committed is told by message, and messages take their time; a read that is
// faster than one of them sees here that there is something to wait for.

import { mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The descriptor under which a worker inherits the board. */
export const BOARD_FD = 3
const NUMBER_BYTES = 8
/** Linux keeps these in memory; elsewhere the system's cache does. */
const FOLDERS = ['/dev/shm', tmpdir()]

/** The descriptor of a new board; throws where no file can be made. */
export function openBoard(): number {
  const failures: string[] = []
  for (const parent of FOLDERS) {
    try {
      const folder = mkdtempSync(join(parent, 'sluice-'))
      try {
        return openSync(join(folder, 'board'), 'wx+', 0o600)
      } finally {
        rmSync(folder, { recursive: true })
      }
    } catch (error) {
      failures.push((error as Error).message)
    }
  }
  throw new Error(`workers need a small file in common (${failures.join('; ')}): make ${FOLDERS.join(' or ')} writable`)
}

/** The board as one worker sees it; workers are numbered from 1. */
export class Board {
  readonly #fd: number
  readonly #own: number
  readonly #posted: Float64Array
  readonly #bytes: Uint8Array
  readonly #known: Float64Array

  /** Goes on where the one before it in this worker's place had stopped; of the others it knows nothing yet. */
  constructor(fd: number, own: number, workers: number) {
    this.#fd = fd
    this.#own = own - 1
    this.#posted = new Float64Array(workers)
    this.#bytes = new Uint8Array(this.#posted.buffer)
    this.#known = new Float64Array(workers)
    this.#known[this.#own] = this.counts[this.#own]!
  }

  /** How many every worker has posted by now. */
  get counts(): readonly number[] {
    this.read()
    return [...this.#posted]
  }

  /** Somebody has posted what is not known here. */
  get hasNews(): boolean {
    this.read()
    for (let at = 0; at < this.#posted.length; at++) if (this.#posted[at]! > this.#known[at]!) return true
    return false
  }

  /** This worker is about to tell a client of one more; gives its number. */
  post(): number {
    const count = this.#known[this.#own]! + 1
    this.#known[this.#own] = count
    const from = this.#own * NUMBER_BYTES
    writeSync(this.#fd, new Uint8Array(this.#known.buffer, from, NUMBER_BYTES), 0, NUMBER_BYTES, from)
    return count
  }

  /** What `worker` has posted up to this number is known here. */
  learn(worker: number, count: number): void {
    if (count > this.#known[worker - 1]!) this.#known[worker - 1] = count
  }

  knows(counts: readonly number[]): boolean {
    return counts.every((count, at) => count <= this.#known[at]!)
  }

  /** Beyond the end of the file nobody has written yet, and zeros stay. */
  private read(): void {
    readSync(this.#fd, this.#bytes, 0, this.#bytes.length, 0)
  }
}
