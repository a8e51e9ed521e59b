// The lists of members that servers keep themselves: Aurora's instances, the nodes of an RDS Multi-AZ cluster, the
// members of a replication group. What to ask for each, and what the rows mean.

import type { Roster, RosterKind, RosterRow } from '../../topology/claim.ts'
import type { Row } from './replication-status.ts'

/** What a server has to say for a list of its kind to be looked for: a variable that is there and not empty. */
export const ROSTER_VARIABLES: readonly (readonly [kind: RosterKind, variable: string])[] = [
  ['aurora', 'aurora_version'],
  // Not enough by itself, for every server may have been given one.
  ['rds-multi-az', 'report_host'],
  ['group-replication', 'group_replication_group_name'],
]

/**
 * Each statement gives the rows of the list, and with each of them what the server calls itself. Of Aurora's columns only
 * these are documented.
 */
export const ROSTER_SQL: Readonly<Record<RosterKind, string>> = {
  aurora: `SELECT @@aurora_server_id AS self, SERVER_ID AS name, SESSION_ID = 'MASTER_SESSION_ID' AS writer,
REPLICA_LAG_IN_MILLISECONDS AS lag_ms, TIMESTAMPDIFF(MICROSECOND, LAST_UPDATE_TIMESTAMP, NOW(6)) / 1000 AS age_ms
FROM information_schema.replica_host_status`,
  'rds-multi-az': 'SELECT @@server_id AS self, rds_topology.* FROM mysql.rds_topology',
  'group-replication': `SELECT @@server_uuid AS self, MEMBER_ID, MEMBER_HOST, MEMBER_PORT, MEMBER_STATE, MEMBER_ROLE
FROM performance_schema.replication_group_members`,
}

const READERS: Readonly<Record<RosterKind, (row: Row) => RosterRow | null>> = {
  aurora: (row) => ({
    name: String(row.name),
    address: null,
    writer: Number(row.writer) === 1,
    lagMs: row.lag_ms === null ? null : Number(row.lag_ms),
    // A clock that was set back makes rows that are not written yet; they are as new as can be.
    ageMs: row.age_ms === null ? Number.POSITIVE_INFINITY : Math.max(0, Number(row.age_ms)),
    unfit: null,
  }),
  'rds-multi-az': (row) => {
    // The same table tells of blue/green deployments, which have roles and are no cluster.
    if (/BLUE_GREEN/i.test(String(row.role ?? ''))) return null
    const address = { host: String(row.endpoint).toLowerCase(), port: Number(row.port) }
    return { name: String(row.id), address, writer: false, lagMs: null, ageMs: 0, unfit: null }
  },
  'group-replication': (row) => {
    const [host, state] = [String(row.MEMBER_HOST), String(row.MEMBER_STATE)]
    // OFFLINE is who has the plugin and is in no group just now.
    if (host === '' || state === 'OFFLINE') return null
    return {
      name: String(row.MEMBER_ID),
      address: { host: host.toLowerCase(), port: Number(row.MEMBER_PORT) },
      writer: row.MEMBER_ROLE === 'PRIMARY' && state === 'ONLINE',
      lagMs: null,
      ageMs: 0,
      unfit: state === 'ONLINE' ? null : `its group says that it is ${state}`,
    }
  },
}

/** Null: there is no such list after all. */
export function rosterFrom(kind: RosterKind, rows: readonly Row[]): Roster | null {
  const members = rows.map(READERS[kind]).filter((row) => row !== null)
  return members.length === 0 ? null : { kind, self: String(rows[0]!.self), rows: members }
}

/** A member that cannot see most of its group would take a write and keep it waiting. */
export function hasMajority(rows: readonly Row[]): boolean {
  const seen = rows.filter(({ MEMBER_STATE: state }) => state === 'ONLINE' || state === 'RECOVERING')
  return seen.length * 2 > rows.length
}
