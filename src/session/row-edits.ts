// What is done to the rows of an answer before a client sees them. Only one result can be edited.

import type { Row, RowEdit } from '../protocol/protocol.ts'
import type { SessionState } from '../routing/session-state.ts'
import type { Classification } from '../sql/classification.ts'
import { type Killer, rightsOf } from './kills.ts'
import { processRows } from './processes.ts'

/** SHOW PROCESSLIST: sessions of ours in place of the connections that serve them. */
export async function processEdit({ facts, statements }: Classification, asker: Killer): Promise<RowEdit | null> {
  const { client, leases, shared } = asker
  const { sessions, cluster, pools } = shared
  if (statements > 1) return null
  const user = (await rightsOf(asker)).see ? null : client.account.user
  const full = facts.includes('sessions-in-full')
  const elsewhere = (await sessions.siblings?.processes(cluster, user)) ?? null
  return (columns, rows) => {
    const backend = leases.current?.connection.backend.id ?? ''
    const serverIds = pools.serverIds(backend)
    const processes = [...sessions.processes(cluster, user), ...(elsewhere?.processes ?? [])]
    const isOurs = (id: number) => serverIds.has(id) || elsewhere?.serverIds.get(backend)?.has(id) === true
    return processRows(columns, rows, { processes, backend, isOurs, nowMs: shared.nowMs(), full })
  }
}

/** A reader refuses in words of its own what a READ ONLY transaction would; the client was told the writer's. */
export function conditionsEdit({ facts, statements }: Classification, { transaction }: SessionState): RowEdit | null {
  if (statements > 1 || !facts.includes('diagnostics') || transaction !== 'read-only') return null
  return (_columns, rows) => rows.map((row) => (isRefusedByReader(row) ? refusedByTransaction(row) : row))
}

// A condition's row: level, number, text.
const isRefusedByReader = ([, number, text]: Row) => number === '1290' && /read.only/i.test(text ?? '')
const refusedByTransaction = ([level, , text]: Row): Row => [
  level!,
  '1792',
  `Cannot execute statement in a READ ONLY transaction${text!.includes('MariaDB') ? '' : '.'}`,
]
