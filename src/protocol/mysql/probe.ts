// Asks a MySQL or MariaDB server what it is: role, whom it follows, how far behind. mysql2 does the talking, on a
// connection of its own that stays open between probes.

import type { Connection, RowDataPacket } from 'mysql2/promise'
import type { Prober } from '../../topology/monitor.ts'
import type { Claim } from '../../topology/roles.ts'
import type { BackendTls, ProbeTarget } from '../protocol.ts'
import { serverVersion } from './login-messages.ts'

type Row = Readonly<Record<string, unknown>>

/** Access denied; what is missing is a privilege, and without it the server still tells its role. */
const DENIED: ReadonlySet<string> = new Set([
  'ER_SPECIFIC_ACCESS_DENIED_ERROR',
  'ER_ACCESS_DENIED_ERROR',
  'ER_TABLEACCESS_DENIED_ERROR',
  'ER_DBACCESS_DENIED_ERROR',
])

export function createProber(target: ProbeTarget): Prober {
  let connection: Promise<Connection> | null = null

  const drop = () => {
    const dropped = connection
    connection = null
    void dropped?.then((open) => open.destroy()).catch(() => {})
  }

  return {
    async probe(): Promise<Claim> {
      const { host, port, timeoutMs, user } = target
      try {
        return await withDeadline(timeoutMs, async () => {
          connection ??= open(target)
          return ask(await connection)
        })
      } catch (error) {
        drop()
        throw new Error(explain(error, `${host}:${port}`, user), { cause: error })
      }
    },
    close: drop,
  }
}

async function open(target: ProbeTarget): Promise<Connection> {
  const { createConnection } = await import('mysql2/promise')
  const { host, port, user, password, tls, timeoutMs } = target
  const options = {
    host,
    port,
    user,
    password,
    connectTimeout: timeoutMs,
    connectAttributes: { program_name: 'sluice' },
  }
  const tlsOptions = tlsFor(tls)
  const made = await createConnection(tlsOptions === null ? options : { ...options, ssl: tlsOptions }).catch(
    (error) => {
      // A server without TLS is all right where TLS is only preferred.
      if (tls.mode !== 'preferred' || (error as { code?: string }).code !== 'HANDSHAKE_NO_SSL_SUPPORT') throw error
      return createConnection(options)
    },
  )
  // Its errors come with the next question.
  made.on('error', () => {})
  return made
}

function tlsFor({ mode, ca, cert, key }: BackendTls) {
  if (mode === 'disabled') return null
  return {
    rejectUnauthorized: mode === 'verify-ca' || mode === 'verify-identity',
    verifyIdentity: mode === 'verify-identity',
    ...(ca === null ? {} : { ca }),
    ...(cert === null || key === null ? {} : { cert, key }),
  }
}

function withDeadline<T>(ms: number, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
    work()
      .then(resolve, reject)
      .finally(() => clearTimeout(deadline))
  })
}

function explain(error: unknown, address: string, user: string): string {
  const { code, message } = error as { code?: string; message: string }
  if (code === 'ER_ACCESS_DENIED_ERROR') {
    return `${address} refuses the monitor user '${user}' (${message}): check clusters.<name>.monitor, or create that user there`
  }
  if (code === 'ECONNREFUSED') return `${address} refuses connections`
  return `${address}: ${message === '' ? (code ?? 'unknown error') : message}`
}

const ROLE_VARIABLES = ['version', 'read_only', 'super_read_only', 'innodb_read_only', 'server_id', 'server_uuid']

async function ask(connection: Connection): Promise<Claim> {
  const names = ROLE_VARIABLES.map((name) => `'${name}'`).join(',')
  const variables = new Map<string, string>()
  for (const row of await rows(connection, `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${names})`)) {
    variables.set(String(row.Variable_name), String(row.Value))
  }
  const version = variables.get('version') ?? ''
  const { engine, number } = serverVersion(version)
  const isOn = (name: string) => /^(ON|1|YES)$/i.test(variables.get(name) ?? '')
  const readOnly = ['read_only', 'super_read_only', 'innodb_read_only'].some(isOn) || isEnforced(variables)
  const serverId = engine === 'mysql' ? variables.get('server_uuid') : variables.get('server_id')
  const claim = { version, readOnly, serverId: serverId ?? '' }
  const question = engine === 'mysql' && number >= 80022 ? 'SHOW REPLICA STATUS' : 'SHOW SLAVE STATUS'
  try {
    const [status] = await rows(connection, question)
    return {
      ...claim,
      ...(status === undefined ? NO_SOURCE : await replication(connection, status, engine)),
      note: null,
    }
  } catch (error) {
    if (!DENIED.has((error as { code?: string }).code ?? '')) throw error
    const grant = engine === 'mysql' ? 'REPLICATION CLIENT' : 'REPLICA MONITOR'
    return { ...claim, ...NO_SOURCE, note: `whom it follows is not known: GRANT ${grant} ON *.* to the monitor user` }
  }
}

/** MariaDB 12 has read_only as a list of degrees. */
function isEnforced(variables: ReadonlyMap<string, string>): boolean {
  return /^(READ_ONLY|NO_LOCK)/i.test(variables.get('read_only') ?? '')
}

const NO_SOURCE = { source: null, sourceServerId: null, replicating: false, lagMs: null }

async function replication(connection: Connection, status: Row, engine: 'mysql' | 'mariadb') {
  const field = (...names: string[]) => names.map((name) => status[name]).find((value) => value != null) ?? null
  const host = field('Source_Host', 'Master_Host')
  const port = field('Source_Port', 'Master_Port')
  const running = [field('Replica_IO_Running', 'Slave_IO_Running'), field('Replica_SQL_Running', 'Slave_SQL_Running')]
  const isApplying = running[1] === 'Yes'
  const seconds = field('Seconds_Behind_Source', 'Seconds_Behind_Master')
  const uuid = field('Source_UUID', 'Master_UUID')
  const numeric = field('Source_Server_Id', 'Master_Server_Id')
  const sourceServerId = engine === 'mysql' ? uuid : numeric
  // The IO thread reconnects by itself, and what it has not fetched while its source is dead does not exist for us.
  const hasCaughtUp = isApplying && (await caughtUp(connection, status, engine))
  return {
    source: host === null || host === '' ? null : `${String(host)}:${String(port)}`,
    sourceServerId: sourceServerId === null || sourceServerId === '' ? null : String(sourceServerId),
    replicating: isApplying,
    lagMs: hasCaughtUp ? 0 : seconds === null ? null : Number(seconds) * 1000,
  }
}

/** Everything fetched has been applied: whole seconds would hide it, or show a second where there is none. */
async function caughtUp(connection: Connection, status: Row, engine: 'mysql' | 'mariadb'): Promise<boolean> {
  if (engine === 'mariadb') {
    const [row] = await rows(connection, 'SELECT @@global.gtid_slave_pos AS applied')
    return row?.applied !== '' && row?.applied === status.Gtid_IO_Pos
  }
  const received = status.Retrieved_Gtid_Set
  if (typeof received !== 'string' || received === '') return false
  const [row] = await rows(
    connection,
    `SELECT GTID_SUBSET('${received.replaceAll(/\s/g, '')}', @@global.gtid_executed) AS applied`,
  )
  return Number(row?.applied) === 1
}

async function rows(connection: Connection, sql: string): Promise<readonly Row[]> {
  const [found] = await connection.query<RowDataPacket[]>(sql)
  return found
}
