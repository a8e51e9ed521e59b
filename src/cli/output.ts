// Where a command writes and what it reads besides files; replaced in tests.

import { readFileSync } from 'node:fs'
import type { Environment } from '../config.ts'

/** All is well; it did not work (settings, addresses, a broken promise); the arguments make no sense. */
export type ExitCode = 0 | 1 | 2

export interface Output {
  readonly env: Environment
  /** A line of the answer. */
  print(line: string): void
  /** A line about what went wrong. */
  error(line: string): void
  readInput(): string
}

export const TERMINAL: Output = {
  env: process.env,
  print: (line) => void process.stdout.write(`${line}\n`),
  error: (line) => void process.stderr.write(`${line}\n`),
  readInput: () => readFileSync(0, 'utf8'),
}
