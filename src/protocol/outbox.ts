// What sockets are to write in one turn of the event loop goes to the kernel at the end of it: first all that has come is
// worked through, then all that is to go is sent. Measured with 64 busy clients at a fifth less processor time per statement
// than to send each at once: whoever reads it is woken once for several of them, and our own code stays in the caches.

/** Whoever has bytes to send. */
export interface Sender {
  /** Calls nobody back before it returns. False: `bytes` are in use for longer. */
  sendNow(bytes: Buffer): boolean
}

const SHEET_BYTES = 256 * 1024
const LONE_TURNS_MAX = 5

/** Copies of what may not stay where it is until the end of the turn. */
let sheet = Buffer.allocUnsafeSlow(SHEET_BYTES)
let used = 0
let posted = 0
const senders: (Sender | null)[] = []
const letters: (Buffer | null)[] = []
/** What shows the copies, by their order: turn after turn they are of the same lengths. */
const copies: Buffer[] = []
let copied = 0
/** Turns in a row in which one letter was all there was. The more of them, the more are sent at once before the next is posted. */
let loneTurns = 0
let unposted = 0

/**
 * Sends `bytes` at the end of this turn, or sooner; a copy of them, unless they stay as they are. False: it does not, there is
 * nothing to wait for.
 */
export function post(sender: Sender, bytes: Buffer, stays: boolean): boolean {
  if (unposted > 0) {
    unposted -= 1
    return false
  }
  if (used + bytes.length > SHEET_BYTES) sendPosted()
  if (posted === 0) setImmediate(endTurn)
  senders[posted] = sender
  letters[posted] = stays ? bytes : copyOf(bytes)
  posted += 1
  return true
}

function copyOf(bytes: Buffer): Buffer {
  const start = used
  used += bytes.copy(sheet, start)
  const known = copies[copied]
  if (known !== undefined && known.byteOffset === start && known.length === bytes.length) {
    copied += 1
    return known
  }
  const copy = sheet.subarray(start, used)
  copies[copied] = copy
  copied += 1
  return copy
}

function endTurn(): void {
  loneTurns = posted > 1 ? 0 : Math.min(loneTurns + 1, LONE_TURNS_MAX)
  unposted = (1 << loneTurns) - 1
  sendPosted()
}

/** Sends all that was posted so far, in that order. */
export function sendPosted(): void {
  let isInUse = false
  for (let at = 0; at < posted; at++) {
    if (!senders[at]!.sendNow(letters[at]!)) isInUse = true
    senders[at] = null
    letters[at] = null
  }
  posted = 0
  copied = 0
  used = 0
  if (!isInUse) return
  sheet = Buffer.allocUnsafeSlow(SHEET_BYTES)
  copies.length = 0
}
