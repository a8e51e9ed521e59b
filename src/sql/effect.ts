// What one statement does, as the rules find it; a Classification is made of one or several of these.

import type {
  Access,
  Assignment,
  KillRequest,
  PinChange,
  Release,
  SessionFact,
  TransactionEffect,
} from './classification.ts'
import type { SqlContext } from './dialects.ts'
import type { Vouched } from './survey.ts'
import type { Text } from './text.ts'

export interface Effect {
  readonly access: Access
  readonly because: string
  readonly transaction: TransactionEffect
  readonly release: Release
  readonly releaseMidway: Release
  readonly pins: readonly PinChange[]
  readonly facts: readonly SessionFact[]
  readonly assigns: readonly Assignment[]
  readonly routines: readonly string[]
  readonly tables: readonly string[] | null
  readonly kill: KillRequest | null
  readonly rights: boolean
  /** The answer hangs on a literal's value, so it must not be remembered by digest. */
  readonly literal: boolean
}

/** One statement of a text, and how it is to be read. */
export interface Statement {
  readonly text: Text
  readonly from: number
  readonly to: number
  readonly context: SqlContext
  readonly vouched: Vouched
  /** Texts inside of texts (EXECUTE IMMEDIATE '…') that may still be looked into. */
  readonly depth: number
}

const NOTHING: Effect = {
  access: 'write',
  because: '',
  transaction: 'none',
  release: 'no',
  releaseMidway: 'no',
  pins: [],
  facts: [],
  assigns: [],
  routines: [],
  tables: [],
  kill: null,
  rights: false,
  literal: false,
}

export function effect(access: Access, because: string, more: Partial<Effect> = {}): Effect {
  return { ...NOTHING, access, because, ...more }
}

export function start(reason: PinChange['reason'], name: string | null): PinChange {
  return { change: 'start', reason, name }
}

export function end(reason: PinChange['reason'], name: string | null): PinChange {
  return { change: 'end', reason, name }
}
