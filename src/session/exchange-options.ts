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

/** What a reader commits is nobody's, and to prepare a statement commits nothing. */
const UNHEARD = () => {}

/** May it have changed the session before it fails, though every statement is a transaction of its own? */
function mayFailLate({ transaction, routines, statements, assigns }: Classification): boolean {
  return statements > 1 || routines.length > 0 || assigns.length > 1 || transaction.startsWith('begin')
}

/** Who sets what is reported hears no more from then on, nor of what the same statement set before. */
function hushes({ assigns }: Classification): boolean {
  return assigns.length > 0 && assigns.some(({ name, scope }) => name.startsWith('session_track_') && isOwn(scope))
}

function isOwn(scope: Assignment['scope']): boolean {
  return scope === 'session' || scope === 'statement'
}

/** What a server may not report of what is set. */
function untoldNames(classification: Classification, isHushed: boolean): readonly string[] {
  if (!isHushed) return namesIn(classification, ({ unscoped }) => unscoped === true)
  const setsNames = classification.assigns.some(({ scope }) => scope === 'names')
  return [...namesIn(classification, ({ scope }) => scope === 'session'), ...(setsNames ? SET_BY_NAMES : [])]
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

/** It may be of a kind whose answers come of a routine. */
function mayCall({ access, tables, shapes }: Classification): boolean {
  return access !== 'read' && tables === null && shapes[0]?.verb !== 'select'
}

const NO_NAMES: readonly string[] = []
/** Besides the collation, which is asked for anyway. */
const SET_BY_NAMES: readonly string[] = ['character_set_client', 'character_set_results']

/** What that comes to for every plain read on a reader. */
export const PLAIN_ON_READER: ExchangeOptions = {
  holdRefused: true,
  holdBehind: true,
  holdUnknownSession: false,
  edit: null,
  mayChange: false,
  mayFailLate: false,
  sets: NO_NAMES,
  setsSeveral: false,
  hushes: false,
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
  const isHushed = isRun && hushes(classification)
  const passing = isRun ? namesIn(classification, ({ scope }) => scope === 'statement') : NO_NAMES
  return {
    // A writer that refuses is none any more, and what is held there is lost.
    holdRefused: isFree || !onReader,
    holdBehind: isFree && onReader,
    holdUnknownSession: classification.kill !== null && isRun,
    edit,
    mayChange: classification.access === 'write' || passing.length > 0,
    mayFailLate: isRun && (!autocommit || mayFailLate(classification)),
    sets: isRun ? untoldNames(classification, isHushed) : NO_NAMES,
    setsSeveral: isRun && classification.assigns.length > 1,
    hushes: isHushed,
    startsClock: isRun && startsClock(classification),
    passing,
    calls: mayCall(classification),
    readOnlyTransaction: onReader && transaction === 'read-only',
    committed: !isRun || onReader ? UNHEARD : committed,
  }
}
