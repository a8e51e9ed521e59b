// A command's output as lists of lines.

import type { Output } from '../../../src/cli/output.ts'

export interface Recorded extends Output {
  readonly printed: string[]
  readonly errors: string[]
}

export function recorded(env: Record<string, string> = {}, input = ''): Recorded {
  const printed: string[] = []
  const errors: string[] = []
  return {
    env,
    printed,
    errors,
    print: (line) => void printed.push(line),
    error: (line) => void errors.push(line),
    readInput: () => input,
  }
}
