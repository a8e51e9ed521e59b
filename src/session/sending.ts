// A statement on its way to a backend, and perhaps to several: what is known of it so far.

import type { BackendConnection, ClientRequest, Reply } from '../protocol/protocol.ts'
import type { Need } from '../routing/floors.ts'
import type { Route } from '../routing/router.ts'
import type { Classification } from '../sql/classification.ts'
import type { PlainRead } from './plain-read.ts'

export interface Sending {
  readonly classification: Classification
  readonly request: ClientRequest
  readonly arrivedMs: number
  /** As it is to be taken after what backends said to it. */
  decided: Classification
  need: Need | null
  /** The last decision, the connection it went out on, and when that was to be had. */
  decision: Route | null
  connection: BackendConnection | null
  startedMs: number
  /** Since when it waits for a writer. */
  heldSinceMs: number | null
  /** How often it was lost after it was sent. */
  losses: number
  /** A reader was waited for in vain. */
  waited: boolean
  /** Its READ ONLY transaction has left its reader, and is to begin anew. */
  movesTransaction: boolean
}

/** What is counted once it is answered. */
export type Answered = Pick<Sending, 'classification' | 'decision' | 'need' | 'arrivedMs' | 'startedMs'>

/** `read`: a plain read that was sent. */
export function sendingOf(
  classification: Classification,
  request: ClientRequest,
  arrivedMs: number,
  read: PlainRead | null,
): Sending {
  return {
    classification,
    request,
    arrivedMs,
    decided: request.opensCursor === true ? holding(classification) : classification,
    need: read?.need ?? null,
    decision: read?.decision ?? null,
    connection: read?.connection ?? null,
    startedMs: read?.startedMs ?? arrivedMs,
    heldSinceMs: null,
    losses: 0,
    waited: false,
    movesTransaction: false,
  }
}

/** A plain read that was sent, and how that ends. */
export interface BegunRead {
  readonly read: PlainRead
  readonly reply: Promise<Reply>
}

/** With a cursor open the session stays where it is, whatever it does next: only the writer can serve all of that. */
function holding(classification: Classification): Classification {
  if (classification.access !== 'read') return classification
  return {
    ...classification,
    access: 'write',
    plain: false,
    because: 'it opens a cursor, which keeps the session where it is',
  }
}
