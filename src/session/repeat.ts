// What may be done about a connection that was lost under a statement. Pure.

import { ProxyError } from '../errors.ts'
import type { BackendLost } from '../protocol/protocol.ts'
import type { Classification, PinReason } from '../sql/classification.ts'

/** How often one statement may be sent once more after it was on its way: a statement that kills readers must not kill them all. */
const REPEATS_AFTER_SENT_MAX = 2
/** How often one statement looks for another connection before it gives up, unless it may wait for a writer. */
export const ATTEMPTS_MAX = 16

const SHORT: ReadonlySet<PinReason> = new Set(['diagnostics', 'found-rows'])

/** May end a transaction without saying so in its own text; XA PREPARE makes one that outlives its connection. */
const MAY_COMMIT: ReadonlySet<string> = new Set(['call', 'execute', 'xa'])

/** What a session held on the connection. */
export interface Held {
  readonly pins: readonly PinReason[]
  /** False: whatever wrote had begun a transaction. */
  readonly autocommit: boolean
}

/**
 * What was not sent may be sent again. What was sent may be sent again only if repeating it changes nothing; `losses`: how
 * often it was lost after it was sent, this time included.
 */
export function mayRepeat(lost: BackendLost, classification: Classification, losses: number): boolean {
  if (lost.progress === 'unsent') return true
  if (lost.progress === 'replying' || losses > REPEATS_AFTER_SENT_MAX) return false
  const { transaction, access, statements } = classification
  if (transaction === 'begin' || transaction === 'begin-read-only') return statements === 1
  return access !== 'write' && transaction === 'none'
}

/** The error for what a lost connection held and nothing can bring back, or null if it held nothing. */
export function lossOf(
  lost: BackendLost,
  classification: Classification,
  { pins, autocommit }: Held,
  backend: string,
): ProxyError | null {
  // Whatever is lost, an error in the middle of a frame would be read as a part of it.
  if (lost.progress === 'replying' && !lost.resumable) return unknownOutcome(lost, backend)
  const held = pins.filter((reason) => !SHORT.has(reason))
  const isSent = lost.progress !== 'unsent'
  const inTransaction = held.includes('transaction') && !held.includes('xa')
  const maySettle = isSent && mayCommit(classification)
  const begins = held.length === 0 && !autocommit && isSent && classification.access === 'write' && !maySettle
  if (inTransaction || begins) {
    if (maySettle) {
      const text = `${lost.message}, after what may have ended the transaction was sent: whether it was committed is not known`
      return new ProxyError('COMMIT_UNKNOWN', text, { cause: lost })
    }
    const text = `${lost.message}, and the open transaction with it; it was rolled back: try restarting it`
    return new ProxyError('TRANSACTION_LOST', text, { cause: lost })
  }
  if (held.length === 0) return null
  const what = `what the session held there: ${held.join(', ')}; the session goes on without`
  if (lost.progress === 'sent' && classification.access === 'write') {
    const text = `${lost.message}: whether the statement was executed is not known, so it was not repeated; lost is also ${what}`
    return new ProxyError('OUTCOME_UNKNOWN', text, { cause: lost })
  }
  return new ProxyError('STATE_LOST', `${lost.message}, and with it ${what}`, { cause: lost })
}

/** The error for a statement that may have been executed or not. */
export function unknownOutcome(lost: BackendLost, backend: string): ProxyError {
  if (lost.progress === 'replying') {
    const text = `the connection to ${backend} was lost in the middle of the answer`
    return new ProxyError(lost.resumable ? 'REPLY_CUT' : 'REPLY_BROKEN', text, { cause: lost })
  }
  const text = `the connection to ${backend} was lost before it answered: whether the statement was executed is not known, so it was not repeated`
  return new ProxyError('OUTCOME_UNKNOWN', text, { cause: lost })
}

function mayCommit({ transaction, shapes, routines }: Classification): boolean {
  if (shapes.length > 1) return transaction !== 'none' || routines.length > 0
  const verb = shapes[0]?.verb ?? ''
  if (verb === 'rollback') return false
  return (transaction !== 'none' && transaction !== 'next') || MAY_COMMIT.has(verb)
}
