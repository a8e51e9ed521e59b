// What a connection must heed of a statement while it passes on the answer. Pure.

import type { ClientRequest, Committed, ExchangeOptions, RowEdit } from '../protocol/protocol.ts'
import type { Assignment, Classification } from '../sql/classification.ts'

/** Where the statement is about to run, and what session it is of. */
export interface Place {
  readonly onReader: boolean
  readonly pinned: boolean
  readonly autocommit: boolean
  readonly transaction: 'none' | 'open' | 'read-only'
  /** What is done to the rows of the answer. */
  readonly edit: RowEdit | null
  readonly committed: Committed
}

const SELECTS = /^select\b/i
/** What a reader commits is nobody's, and to prepare a statement commits nothing. */
const UNHEARD = () => {}

/** May it have changed the session before it fails, though every statement is a transaction of its own? */
function mayFailLate({ transaction, routines, statements, assigns }: Classification): boolean {
  return statements > 1 || routines.length > 0 || assigns.length > 1 || transaction.startsWith('begin')
}

function namesIn({ assigns }: Classification, wanted: (assignment: Assignment) => boolean): readonly string[] {
  return assigns.length === 0 ? NO_NAMES : assigns.filter(wanted).map(({ name }) => name)
}

/** SET timestamp = DEFAULT, or to 0, which means the same. */
function startsClock({ assigns }: Classification): boolean {
  if (assigns.length === 0) return false
  const last = assigns.findLast(({ name, scope }) => name === 'timestamp' && scope === 'session')
  return last !== undefined && /^(default|0+)$/i.test(last.value ?? '')
}

const NO_NAMES: readonly string[] = []

/** What that comes to for every plain read on a reader. */
export const PLAIN_ON_READER: ExchangeOptions = {
  holdRefused: true,
  holdBehind: true,
  holdUnknownSession: false,
  edit: null,
  mayChange: false,
  mayFailLate: false,
  sets: NO_NAMES,
  startsClock: false,
  passing: NO_NAMES,
  calls: false,
  readOnlyTransaction: false,
  committed: UNHEARD,
}

export function exchangeOptions(
  classification: Classification,
  { kind }: Pick<ClientRequest, 'kind'>,
  { onReader, pinned, autocommit, transaction, edit, committed }: Place,
): ExchangeOptions {
  const isRun = kind !== 'prepare'
  const isFree = !pinned && classification.transaction === 'none'
  const passing = isRun ? namesIn(classification, ({ scope }) => scope === 'statement') : NO_NAMES
  return {
    // A writer that refuses is none any more, and what is held there is lost.
    holdRefused: isFree || !onReader,
    holdBehind: isFree && onReader,
    holdUnknownSession: classification.kill !== null && isRun,
    edit,
    mayChange: classification.access === 'write' || passing.length > 0,
    mayFailLate: isRun && (!autocommit || mayFailLate(classification)),
    sets: isRun ? namesIn(classification, ({ unscoped }) => unscoped === true) : NO_NAMES,
    startsClock: isRun && startsClock(classification),
    passing,
    calls:
      classification.access !== 'read' && classification.tables === null && !SELECTS.test(classification.digestText),
    readOnlyTransaction: onReader && transaction === 'read-only',
    committed: !isRun || onReader ? UNHEARD : committed,
  }
}
