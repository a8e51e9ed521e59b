// What may be done about a connection that was lost under a statement. Pure.

import { ProxyError } from '../errors.ts'
import type { BackendLost } from '../protocol/protocol.ts'
import type { Classification, PinReason } from '../sql/classification.ts'

/** How often one statement may be sent once more after it was on its way: a statement that kills readers must not kill them all. */
const REPEATS_AFTER_SENT_MAX = 2
/** How often one statement looks for another connection before it gives up. */
export const ATTEMPTS_MAX = 16
/** How often a refusal by a read-only server sends a statement elsewhere; then the client is told. */
export const REFUSALS_MAX = 4

const SHORT: ReadonlySet<PinReason> = new Set(['diagnostics', 'found-rows'])

/** What was not sent may be sent again. What was sent may be sent again only if repeating it changes nothing. */
export function mayRepeat(lost: BackendLost, classification: Classification, attempts: number): boolean {
  if (lost.progress === 'unsent') return attempts < ATTEMPTS_MAX
  if (lost.progress === 'replying' || attempts > REPEATS_AFTER_SENT_MAX) return false
  if (classification.transaction === 'begin' || classification.transaction === 'begin-read-only') return true
  return classification.access !== 'write' && classification.transaction === 'none'
}

/** The error for what a lost connection held and nothing can bring back, or null if it held nothing. */
export function lossOf(
  lost: BackendLost,
  classification: Classification,
  pins: readonly PinReason[],
  backend: string,
): ProxyError | null {
  const held = pins.filter((reason) => !SHORT.has(reason))
  if (held.length === 0) return null
  if (held.includes('transaction')) {
    if (classification.transaction === 'end' && lost.progress !== 'unsent') {
      const text = `the connection to ${backend} was lost after the end of the transaction was sent: whether it was committed is not known`
      return new ProxyError('COMMIT_UNKNOWN', text, { cause: lost })
    }
    const text = `the connection to ${backend} was lost, and the open transaction with it; it was rolled back: try restarting it`
    return new ProxyError('TRANSACTION_LOST', text, { cause: lost })
  }
  const text = `the connection to ${backend} was lost, and with it what the session held there: ${held.join(', ')}; the session goes on without`
  return new ProxyError('STATE_LOST', text, { cause: lost })
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
