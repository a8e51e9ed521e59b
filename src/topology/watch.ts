// Whoever finds out who is there and publishes it: a monitor, or the word of another process that has one.

import type { Progress } from './staleness.ts'

export interface Watch {
  /** Resolves once there is a first picture. */
  start(): Promise<void>
  stop(): void
  /** The data path doubts a backend: nobody is sent there until it was asked. */
  suspect(id: string, why: string): void
  /** When this backend last said that it takes writes; null: it never did, or that is not known here. */
  writableMs(id: string): number | null
  /** How far this backend had come when it answered last; null: it never did. The same object until it answers again. */
  progress(id: string): Progress | null
}
