// The list of processes as one behind the proxy sees it: the writer's own, with our sessions in place of the connections
// that serve them. Pure.

import type { Row } from '../protocol/protocol.ts'

/** A session as a process. */
export interface Process {
  readonly id: number
  readonly user: string
  readonly host: string
  readonly schema: string | null
  /** What it is doing, in the servers' word; null: it waits for its client. */
  readonly command: string | null
  readonly sinceMs: number
  readonly state: string
  /** The statement in flight. */
  readonly text: string | null
  /** The server's connection that it is using. */
  readonly connection: { readonly backend: string; readonly serverId: number } | null
}

export interface ProcessView {
  /** Those that may be seen. */
  readonly processes: readonly Process[]
  readonly backend: string
  /** Which of that backend's connections are ours, in use or not. */
  readonly isOurs: (serverId: number) => boolean
  readonly nowMs: number
  /** Statements are shown whole. */
  readonly full: boolean
}

const TEXT_MAX = 100

/** `columns` as the server calls them: Id, User, Host, db, Command, Time, State, Info, and what it has besides. */
export function processRows(columns: readonly string[], rows: readonly Row[], view: ProcessView): Row[] {
  const places = columns.map((column) => column.toLowerCase())
  const idAt = places.indexOf('id')
  if (idAt < 0) return [...rows]
  const served = new Map<number, Process>()
  for (const process of view.processes) {
    if (process.connection?.backend === view.backend) served.set(process.connection.serverId, process)
  }
  const shown: Row[] = []
  const ours: { id: number; row: Row }[] = []
  for (const row of rows) {
    const serverId = Number(row[idAt])
    const process = served.get(serverId)
    if (process !== undefined) {
      served.delete(serverId)
      ours.push({ id: process.id, row: places.map((place, at) => merged(place, row[at] ?? null, process, view)) })
    } else if (!view.isOurs(serverId)) shown.push(row)
  }
  const told = new Set(ours.map(({ id }) => id))
  for (const process of view.processes) {
    if (!told.has(process.id)) ours.push({ id: process.id, row: places.map((place) => own(place, process, view)) })
  }
  ours.sort((one, other) => one.id - other.id)
  return [...shown, ...ours.map(({ row }) => row)]
}

/** A session whose connection the server sees: what that does, under the session's name. */
function merged(place: string, theirs: string | null, process: Process, view: ProcessView): string | null {
  switch (place) {
    case 'id':
    case 'user':
    case 'host':
    case 'info':
      return own(place, process, view)
    case 'command':
      // Between two statements of ours the server sees a connection asleep.
      return theirs === 'Sleep' ? own(place, process, view) : theirs
    default:
      return theirs
  }
}

function own(place: string, process: Process, view: ProcessView): string | null {
  const { id, user, host, schema, command, sinceMs, state, text } = process
  switch (place) {
    case 'id':
      return String(id)
    case 'user':
      return user
    case 'host':
      return host
    case 'db':
      return schema
    case 'command':
      return command ?? 'Sleep'
    case 'time':
      return String(Math.max(0, Math.floor((view.nowMs - sinceMs) / 1_000)))
    case 'state':
      return state
    case 'info':
      return text === null || view.full ? text : [...text.slice(0, 2 * TEXT_MAX)].slice(0, TEXT_MAX).join('')
    case 'progress':
      return '0.000'
    default:
      return null
  }
}
