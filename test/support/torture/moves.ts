// What a session of the torture can do, as plain data: made by chance, played, left out one by one, and printed.

import {
  changeUser,
  closeStatement,
  execute,
  fetchRows,
  longData,
  multiStatements,
  ping,
  prepare,
  query,
  resetConnection,
  resetStatement,
  type Step,
  useSchema,
  type Value,
} from '../differential.ts'

export type Move =
  | { readonly kind: 'sql'; readonly sql: string }
  | { readonly kind: 'prepare'; readonly slot: number; readonly sql: string }
  | { readonly kind: 'execute'; readonly slot: number; readonly values: readonly Value[]; readonly cursor?: boolean }
  | { readonly kind: 'fetch'; readonly slot: number; readonly rows: number }
  | { readonly kind: 'close'; readonly slot: number }
  | { readonly kind: 'reset-statement'; readonly slot: number }
  | { readonly kind: 'long-data'; readonly slot: number; readonly text: string }
  | { readonly kind: 'schema'; readonly schema: string }
  | { readonly kind: 'multi'; readonly on: boolean }
  | { readonly kind: 'ping' }
  | { readonly kind: 'reset' }
  /** COM_CHANGE_USER, to the same user. */
  | { readonly kind: 'login'; readonly schema: string | null }

/** utf8mb4_general_ci. */
const COLLATION = 45

/** The move as a step of the harness. */
export function stepOf(move: Move): Step {
  switch (move.kind) {
    case 'sql':
      return query(move.sql)
    case 'prepare':
      return prepare(move.sql, move.slot)
    case 'execute':
      return execute(move.slot, move.values, { cursor: move.cursor ?? false })
    case 'fetch':
      return fetchRows(move.slot, move.rows)
    case 'close':
      return closeStatement(move.slot)
    case 'reset-statement':
      return resetStatement(move.slot)
    case 'long-data':
      return longData(move.slot, 0, move.text)
    case 'schema':
      return useSchema(move.schema)
    case 'multi':
      return multiStatements(move.on)
    case 'ping':
      return ping
    case 'reset':
      return resetConnection
    case 'login':
      return changeUser(move.schema, COLLATION)
  }
}

/** As test/conformance/cases.ts would have it. */
export function printed(move: Move): string {
  const text = (value: unknown) => JSON.stringify(value)
  switch (move.kind) {
    case 'sql':
      return `q(${text(move.sql)})`
    case 'prepare':
      return `prepare(${text(move.sql)}, ${move.slot})`
    case 'execute':
      return `execute(${move.slot}, ${text(move.values)}${move.cursor === true ? ', { cursor: true }' : ''})`
    case 'fetch':
      return `fetchRows(${move.slot}, ${move.rows})`
    case 'close':
      return `closeStatement(${move.slot})`
    case 'reset-statement':
      return `resetStatement(${move.slot})`
    case 'long-data':
      return `longData(${move.slot}, 0, ${text(move.text)})`
    case 'schema':
      return `useSchema(${text(move.schema)})`
    case 'multi':
      return `multiStatements(${move.on})`
    case 'ping':
      return 'ping'
    case 'reset':
      return 'resetConnection'
    case 'login':
      return `changeUser(${text(move.schema)}, ${COLLATION})`
  }
}

/** May the readers be behind after it? Only what is plainly a read is thought to leave them level. */
export function mayWrite(move: Move): boolean {
  if (move.kind === 'sql')
    return /; *./.test(move.sql) || !/^(select|show|table|values|explain|desc)\b(?!.*\binto\b)/i.test(move.sql)
  return move.kind === 'execute' || move.kind === 'login' || move.kind === 'reset'
}
