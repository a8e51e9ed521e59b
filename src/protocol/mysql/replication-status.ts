// What SHOW REPLICA STATUS and its older forms say: whom a server follows, how that goes, how far behind it is. Pure.

import type { Position, Source } from '../../topology/claim.ts'
import { mariadbPosition, mysqlPosition } from './positions.ts'

export type Row = Readonly<Record<string, unknown>>

export interface ReplicationStatus {
  readonly sources: readonly Source[]
  readonly lagMs: number | null
}

export interface StatusReading {
  readonly engine: 'mysql' | 'mariadb'
  /** What the server had executed after it told its status. */
  readonly executed: Position | null
  /** The age of the oldest transaction being applied, where the server measures that. */
  readonly applyingMs: number | null
}

/** One row for each source. The farthest behind counts. */
export function replicationStatus(rows: readonly Row[], reading: StatusReading): ReplicationStatus {
  const sources: Source[] = []
  const lags: (number | null)[] = []
  for (const row of rows) {
    const field = fieldsOf(row)
    const host = field('Source_Host', 'Master_Host')
    // A group's own channels have no source that anybody could name.
    if (host === '' || host === '<NULL>') continue
    const port = field('Source_Port', 'Master_Port')
    const serverId =
      reading.engine === 'mysql' ? field('Source_UUID', 'Master_UUID') : field('Source_Server_Id', 'Master_Server_Id')
    const applying = field('Replica_SQL_Running', 'Slave_SQL_Running') === 'Yes'
    const error = [applying ? '' : field('Last_SQL_Error'), field('Last_IO_Error')].find((text) => text !== '')
    sources.push({
      address: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
      serverId: serverId === '' || serverId === '0' ? null : serverId,
      receiving: receivingOf(field('Replica_IO_Running', 'Slave_IO_Running')),
      applying,
      error: error === undefined ? null : shortened(error),
    })
    lags.push(lagOf(field, reading))
  }
  return { sources, lagMs: lags.length === 0 || lags.includes(null) ? null : Math.max(...lags.map(Number)) }
}

type Field = (...names: readonly string[]) => string

/** The first of these columns that there is; which names are in use depends on the version. */
function fieldsOf(row: Row): Field {
  return (...names) => {
    const value = names.map((name) => row[name]).find((found) => found !== undefined && found !== null)
    return value === undefined ? '' : String(value)
  }
}

function receivingOf(text: string): Source['receiving'] {
  if (text === 'Yes') return 'yes'
  return text === 'No' ? 'no' : 'trying'
}

function lagOf(field: Field, { engine, executed, applyingMs }: StatusReading): number | null {
  if (hasAppliedAll(field, engine, executed)) return 0
  if (applyingMs !== null) return Math.max(0, applyingMs)
  const seconds = field('Seconds_Behind_Source', 'Seconds_Behind_Master')
  return seconds === '' ? null : Number(seconds) * 1000
}

/** All that was received is there. The server's own whole seconds show one where there is none. */
function hasAppliedAll(field: Field, engine: 'mysql' | 'mariadb', executed: Position | null): boolean {
  if (engine === 'mysql' && field('Auto_Position') === '1') {
    const received = mysqlPosition(field('Retrieved_Gtid_Set'))
    return received === null || executed?.lacks(received, null) === false
  }
  if (engine === 'mariadb' && field('Using_Gtid').toLowerCase() !== 'no') {
    const received = mariadbPosition(field('Gtid_IO_Pos'))
    return received !== null && executed?.lacks(received, null) === false
  }
  const received = [field('Source_Log_File', 'Master_Log_File'), field('Read_Source_Log_Pos', 'Read_Master_Log_Pos')]
  const applied = [
    field('Relay_Source_Log_File', 'Relay_Master_Log_File'),
    field('Exec_Source_Log_Pos', 'Exec_Master_Log_Pos'),
  ]
  return received[0] !== '' && received.join() === applied.join()
}

const ERROR_LENGTH_MAX = 240

function shortened(error: string): string {
  return error.length <= ERROR_LENGTH_MAX ? error : `${error.slice(0, ERROR_LENGTH_MAX)}…`
}
