// What sockets are to write in one turn of the event loop goes to the kernel at the end of it: first all that has come is
// worked through, then all that is to go is sent. Measured with 64 busy clients at a fifth less processor time per statement
// than to send each at once: whoever reads it is woken once for several of them, and our own code stays in the caches.

/** Whoever has bytes to send. */
export interface Sender {
  /** Calls nobody back before it returns. False: `bytes` are in use for longer. */
  sendNow(bytes: Buffer): boolean
}

/** Longer ones are not worth a copy. */
export const POSTED_BYTES_MAX = 8 * 1024

const SHEET_BYTES = 256 * 1024
const LONE_TURNS_MAX = 5

let sheet = Buffer.allocUnsafeSlow(SHEET_BYTES)
let used = 0
const senders: Sender[] = []
const letters: Buffer[] = []
/** Turns in a row in which one letter was all there was. The more of them, the more are sent at once before the next is posted. */
let loneTurns = 0
let unposted = 0

/** Takes a copy of `bytes`, and sends it at the end of this turn, or sooner. False: it does not, there is nothing to wait for. */
export function post(sender: Sender, bytes: Buffer): boolean {
  if (unposted > 0) {
    unposted -= 1
    return false
  }
  if (used + bytes.length > SHEET_BYTES) sendPosted()
  if (senders.length === 0) setImmediate(endTurn)
  const start = used
  used += bytes.copy(sheet, start)
  senders.push(sender)
  letters.push(sheet.subarray(start, used))
  return true
}

function endTurn(): void {
  loneTurns = senders.length > 1 ? 0 : Math.min(loneTurns + 1, LONE_TURNS_MAX)
  unposted = 2 ** loneTurns - 1
  sendPosted()
}

/** Sends all that was posted so far, in that order. */
export function sendPosted(): void {
  let isInUse = false
  for (let at = 0; at < senders.length; at++) if (!senders[at]!.sendNow(letters[at]!)) isInUse = true
  senders.length = 0
  letters.length = 0
  used = 0
  if (isInUse) sheet = Buffer.allocUnsafeSlow(SHEET_BYTES)
}
