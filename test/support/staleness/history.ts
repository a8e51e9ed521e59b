// What happened, as the clients saw it: who wrote which version of an item, who read what, and when it was asked and
// answered. Values only. The order of the list is the order of events; the times are for people.

/** What a read was promised. Each includes the one before. */
export type Guarantee =
  /** Nothing. */
  | 'eventual'
  /** What the session itself wrote. */
  | 'session'
  /** What anybody wrote through this Sluice, if that was acknowledged before the read was asked. */
  | 'service'
  /** The same for what was written on the writer directly. */
  | 'global'

export interface Promised {
  readonly guarantee: Guarantee
  /** Never older than what the session has read already. */
  readonly monotonic: boolean
}

/** An item's versions are written one after the other: the next is begun when the last one's fate is known. */
export interface Sight {
  readonly item: number
  readonly version: number
}

export type Event =
  /** A write is sent: one statement, or a whole transaction. */
  | {
      readonly what: 'writes'
      readonly id: number
      readonly ms: number
      readonly session: string
      readonly through: 'sluice' | 'direct'
      readonly puts: readonly Sight[]
      readonly how: string
    }
  /** What became of a write: acknowledged; certainly nothing; or nobody knows, as when its connection was lost. */
  | { readonly what: 'wrote' | 'undone' | 'unknown'; readonly id: number; readonly ms: number }
  /** A read is sent, or the first of a transaction that shows one moment only. */
  | {
      readonly what: 'reads'
      readonly id: number
      readonly ms: number
      readonly session: string
      readonly promised: Promised
      readonly items: readonly number[]
      readonly how: string
    }
  | {
      readonly what: 'read'
      readonly id: number
      readonly ms: number
      readonly saw: readonly Sight[]
      /** Which server answered, where the statement asked for that. */
      readonly where: string | null
    }
  | { readonly what: 'failed'; readonly id: number; readonly ms: number; readonly why: string }
  /** Something else that a reader of the history wants to know. */
  | { readonly what: 'note'; readonly ms: number; readonly text: string }
