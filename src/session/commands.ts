// Our own few commands, asked from any SQL client: SLUICE EXPLAIN, SLUICE SHOW SESSION, … TOPOLOGY, … POSITION.

import type { ClientConnection, ClientRequest } from '../protocol/protocol.ts'
import type { Need } from '../routing/floors.ts'
import type { Route } from '../routing/router.ts'
import { PIN_ENDS } from '../routing/session-state.ts'
import type { Classification, SluiceCommand } from '../sql/classification.ts'
import type { Freshness } from './freshness.ts'
import type { SessionSnapshot } from './sessions.ts'
import type { Shared } from './shared.ts'

type Row = readonly (string | null)[]

/** What a command asks of the session it is asked in. */
interface Asked {
  readonly snapshot: SessionSnapshot
  classify(request: Pick<ClientRequest, 'kind' | 'sql' | 'prepared'>): Classification
  route(classification: Classification, attribute: string | null): Route
  readonly freshness: Freshness
}

export function answerCommand(command: SluiceCommand, session: Asked, client: ClientConnection, shared: Shared): void {
  if (command.name === 'show topology') {
    client.rows(['cluster', 'epoch', 'backend', 'role', 'health', 'lag_ms', 'since', 'why'], topologyRows(shared))
  } else if (command.name === 'show position') {
    client.rows(['position'], [[shared.freshness.floors.position()?.text.replaceAll(/\s/g, '') ?? null]])
  } else if (command.name === 'show session') {
    client.rows(['name', 'value'], sessionRows(session, shared))
  } else {
    const sql = Buffer.from(command.sql)
    const classification = session.classify({ kind: 'statement', sql, prepared: null })
    const told = [
      ...explanation(classification, session.route(classification, null)),
      ...freshnessRows(classification, session),
    ]
    client.rows(['name', 'value'], told)
  }
}

/** What a statement does, where it would go and why, as rows of name and value. */
export function explanation(classification: Classification, decision: Route): Row[] {
  const pins = classification.pins.filter(({ change }) => change === 'start').map(({ reason }) => reason)
  return [
    ['statements', String(classification.statements)],
    ['access', classification.access],
    ['target', 'target' in decision ? decision.target : 'rejected'],
    ['backend', decision.action === 'send' ? decision.backend.id : null],
    ['action', decision.action],
    ['because', decision.because],
    ['classified', classification.because],
    ['pins', [...new Set(pins)].join(', ')],
    ['facts', classification.facts.join(', ')],
    ['transaction', classification.transaction],
    ['digest', classification.digest],
    ['digest_text', classification.digestText],
  ]
}

/** How fresh the answer must be, and what a reader must have for that. */
function freshnessRows(classification: Classification, { freshness }: Asked): Row[] {
  if (classification.access !== 'read') return []
  const { level, monotonic } = freshness.consistency(classification)
  const need = freshness.needNow(classification, null)
  return [
    ['consistency', monotonic ? `${level}, monotonic` : level],
    ['must_see', need === null ? 'nothing' : mustSee(need)],
  ]
}

function mustSee({ version, position, only }: Need): string {
  const parts = [
    ...(version === 0 ? [] : [`what was committed up to write ${version} of this Sluice`]),
    ...(position === null ? [] : [position.text]),
    ...(only === null ? [] : [`what was seen on ${only}`]),
  ]
  return Number.isFinite(version) ? parts.join(', and ') : 'what only the writer is known to have'
}

function sessionRows(session: Asked, shared: Shared): Row[] {
  const { id, user, schema, transaction, autocommit, override, pins, variables, backend } = session.snapshot
  const nowMs = shared.nowMs()
  return [
    ['id', String(id)],
    ['user', user],
    ['schema', schema],
    ['backend', backend],
    ['transaction', transaction],
    ['autocommit', autocommit ? 'ON' : 'OFF'],
    ['route', override === null ? null : (override.endpoint ?? override.to)],
    ['pinned', pins.length > 0 ? 'yes' : 'no'],
    ...pins.map(({ reason, sinceMs, because, names }): Row => {
      const held = names.size > 0 ? ` (${[...names.keys()].join(', ')})` : ''
      const age = Math.round(nowMs - sinceMs)
      return [`pin ${reason}`, `since ${age} ms${held}, because of ${because}; ends with ${PIN_ENDS[reason]}`]
    }),
    ...[...variables].map(([name, value]): Row => [`variable ${name}`, value]),
  ]
}

function topologyRows(shared: Shared): Row[] {
  const { cluster, epoch, backends } = shared.topology()
  return backends.map(({ id, role, health, lagMs, sinceMs, why }) => [
    cluster,
    String(epoch),
    id,
    role,
    health,
    lagMs === null ? null : String(lagMs),
    new Date(Date.now() - (shared.nowMs() - sinceMs)).toISOString(),
    why,
  ])
}
