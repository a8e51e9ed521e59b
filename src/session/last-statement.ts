// Questions about a session's last statement, once its connection has gone to somebody else: answered from what was read
// out of it, or put into words that any connection answers.

import type { ClientConnection, ClientRequest } from '../protocol/protocol.ts'
import { asksAboutLast, hasNoTable } from '../routing/diagnostics.ts'
import type { SessionState } from '../routing/session-state.ts'
import type { Classification } from '../sql/classification.ts'
import type { SqlContext } from '../sql/classifier.ts'
import { questionIn } from '../sql/questions.ts'
import type { Leases } from './leases.ts'

/** Whose statement it was. */
export interface Asker {
  readonly client: ClientConnection
  readonly state: SessionState
  readonly leases: Leases
  readonly context: SqlContext
  /** On this engine a statement without tables leaves conditions as they are. */
  readonly keepsDiagnostics: boolean
}

/** `asks`: what a backend is to be asked; null: the client has been answered, but for what stands `behind` in its text. */
export type Recalled = { readonly asks: ClientRequest } | { readonly asks: null; readonly behind: ClientRequest | null }

/** Throws BackendLost. */
export async function answerAboutLast(
  classification: Classification,
  request: ClientRequest,
  { client, state, leases, context, keepsDiagnostics }: Asker,
): Promise<Recalled> {
  const asIs = { asks: request }
  const { kind } = request
  const { facts } = classification
  const { diagnostics } = state
  if (kind !== 'statement' && kind !== 'execute') return asIs
  const asksForUnknownId = facts.includes('last-insert-id') && diagnostics.insertId === null
  if (!asksAboutLast(facts) && !asksForUnknownId) return asIs
  if (await leases.recall(classification)) return asIs
  if (!asksAboutLast(facts)) return asIs
  const { rowCount, foundRows, count, errors, conditions } = diagnostics
  // MySQL warns of FOUND_ROWS() as it reads a text, and what there was it forgets, also where that was prepared.
  const forgets = facts.includes('found-rows') && !keepsDiagnostics
  // MariaDB forgets it before a statement that has a table.
  const isPlain = classification.statements === 1 && !facts.includes('diagnostics')
  const isGone = keepsDiagnostics && isPlain && !hasNoTable(classification)
  const ofItself = { conditions: forgets && kind === 'statement' ? 1 : 0, errors: 0 }
  const left = forgets || isGone ? ofItself : { conditions: count, errors }
  const question = questionIn(request.sql, context, { rowCount, foundRows, ...left })
  if (question === null) return asIs
  if (question.kind === 'text') return { asks: client.reword(request, question.sql) }
  const { rest } = question
  if (rest !== null && !client.takesSeveral(state.settings)) return asIs
  if (!client.conditions(conditions, question, request, rest !== null)) return asIs
  diagnostics.listed()
  return { asks: null, behind: rest === null ? null : client.reword(request, rest) }
}
