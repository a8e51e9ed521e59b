// What a statement has changed and its server has not told: noticed when it is answered, and asked for, some of it at once
// and some before anybody else gets the connection.

import {
  BackendLost,
  type Collected,
  type ExchangeOptions,
  type Reply,
  type Settings,
  type SettingsChange,
} from '../protocol.ts'
import type { MysqlClient } from './client.ts'
import type { Exchange } from './exchange.ts'
import { buildCommand, buildQuery, COMMAND, parseOk, STATUS, TRACK } from './messages.ts'
import { type Asker, changeOf, changesIn } from './own-replies.ts'
import { untoldBesides, untoldChange, withSources, withUntold } from './questions.ts'
import { isReported, isUnmovable, SOURCE_OF } from './variables.ts'

/** The connection, as far as its server's reports go. */
export interface Reporting extends Asker {
  readonly capabilities: number
  readonly settings: Settings
  unreported: boolean
  untold: boolean
  /** Variables were set for one statement, and are again as they were, of which the server has not told. */
  putBack: boolean
  /** The server's session has changed. */
  follow(changed: SettingsChange): void
}

/** Changes when it is set to what it is. */
const A_CHANGE = 'session_track_schema'

/** Takes note of what is not told yet, and will be asked for by `collectReports`. */
export function noteReports(connection: Reporting, exchange: Exchange, reply: Reply): void {
  const { mayChange, mayFailLate, passing, setsSeveral } = exchange.options
  const isUnreported = (mayChange && exchange.endedInEof) || (reply.outcome === 'error' && mayFailLate)
  // MySQL tells it with the next OK. MariaDB tells no more of what it says in an EOF has changed, nor of what it set
  // before something that it refused.
  const isLeftOut = isUnreported && setsSeveral && reply.outcome === 'error' && !reply.didNothing
  connection.untold ||= ((mayChange && exchange.changedInEof) || isLeftOut) && connection.engine === 'mariadb'
  // What SET STATEMENT has put back MariaDB tells with another change, and with nothing else.
  connection.putBack = connection.engine === 'mariadb' && passing.some((name) => isReported(connection.settings, name))
  connection.unreported = isUnreported || connection.untold || connection.putBack
}

/** With what the server would not tell of it at all; null: it has told everything, or will. */
export function completed(
  connection: Reporting,
  exchange: Exchange,
  reply: Reply,
  bytesMax: number,
): Promise<Reply> | null {
  const { options, unknownSources } = exchange
  const isUntold = leavesUntold(connection, reply, options)
  if (!isUntold && unknownSources.length === 0) return null
  const asking = isUntold
    ? withUntold(connection, reply, options, connection.settings, bytesMax)
    : withSources(connection, reply, unknownSources, options, bytesMax)
  return asking
    .then((whole) => {
      if (whole.changed !== null && whole.changed !== reply.changed) connection.follow(whole.changed)
      return whole
    })
    .catch((error: unknown) => {
      // The statement has run and was answered: only what it changed is not known, and goes with the connection.
      if (error instanceof BackendLost) return { ...reply, unmovable: true, disturbed: true }
      throw error
    })
}

function leavesUntold({ engine }: Reporting, { outcome, didNothing }: Reply, options: ExchangeOptions): boolean {
  const { sets, hushes, mayFailLate } = options
  if (sets.length === 0 || !(hushes || engine === 'mariadb')) return false
  return outcome === 'ok' || (hushes && mayFailLate && !didNothing)
}

/** Asks for what was noted. Throws BackendLost. */
export async function collectReports(connection: Reporting, client: MysqlClient): Promise<Collected> {
  const { untold, putBack, capabilities, attributes } = connection
  // Both leave diagnostics as they are; a PING leaves all the rest as well.
  const question = putBack ? buildQuery(`SET ${A_CHANGE} = ON`, attributes) : buildCommand(COMMAND.PING)
  const [reply] = await connection.ask([[question, 'single']])
  connection.unreported = false
  connection.untold = false
  connection.putBack = false
  const { status, warnings } = parseOk(reply!.at(-1)!, capabilities)
  // It also counts the conditions, of which a statement that failed may have left more than its error.
  if (connection.engine === 'mysql') client.warnings = Math.max(client.warnings, warnings)
  const told = changesIn(reply!, capabilities).filter(({ name }) => !putBack || name !== A_CHANGE)
  client.owe(told)
  const changed = untold ? await changeUntold(connection) : changeOf(told)
  const besides = untold ? await untoldBesides(connection) : null
  if (changed !== null) connection.follow(changed)
  const isUnmovableTold = told.some(({ kind, name, value }) => {
    if (kind !== TRACK.SYSTEM_VARIABLES) return false
    // Nor can what another variable says, which is not told: nobody asks for it.
    const source = SOURCE_OF.get(name)
    const isKnown = source === undefined || untold || changed?.variables.has(source) === true
    return !isKnown || isUnmovable(name, value?.toString() ?? '')
  })
  return {
    changed,
    stateChanged: besides?.userVariables ?? told.some(({ kind }) => kind === TRACK.STATE_CHANGE),
    unmovable: isUnmovableTold || besides?.schemaCollation === true,
    transaction: (status & STATUS.IN_TRANS) === 0 ? 'none' : 'open',
  }
}

async function changeUntold(connection: Reporting): Promise<SettingsChange | null> {
  const changed = await untoldChange(connection, connection.settings)
  if (changed === null) throw new BackendLost('unsent', true, 'the server does not tell its variables')
  return changed.variables.size === 0 ? null : changed
}
