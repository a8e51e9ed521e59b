// Asks a MySQL or MariaDB server what it is: role, whom it follows, how far behind. mysql2 does the talking, on a
// connection of its own that stays open between probes, in one round trip once the server is known.

import { connect, type Socket } from 'node:net'
import type { Connection, ConnectionOptions } from 'mysql2'
import {
  type Claim,
  type Position,
  type ProbeDepth,
  ProbeFailed,
  type ProbeFailure,
  type Prober,
  type RosterKind,
  type TableName,
} from '../../topology/claim.ts'
import type { BackendTls, Heartbeat, ProbeTarget } from '../protocol.ts'
import { serverVersion } from './login-messages.ts'
import { mariadbPosition, mysqlPosition, positionOf } from './positions.ts'
import { type Row, replicationStatus } from './replication-status.ts'
import { hasMajority, ROSTER_SQL, ROSTER_VARIABLES, rosterFrom } from './rosters.ts'
import { foldsCaseIn, RIGHTS_SQL, tableFactsIn, tablesSql } from './table-questions.ts'

let loading: Promise<typeof import('mysql2')> | null = null
/** Loaded when the first server is asked. */
function driver(): Promise<typeof import('mysql2')> {
  loading ??= import('mysql2')
  return loading
}

/** After this many probes without a privilege it is tried again, on a new connection: grants take effect on new ones. */
const DENIED_PROBES_MAX = 30

export function createProber(target: ProbeTarget): Prober {
  let line: ProbeLine | null = null
  const memory: Memory = { last: null }

  const hangUp = () => {
    line?.destroy()
    line = null
  }
  const askOn = async <T>(question: (line: ProbeLine) => Promise<T>): Promise<T> => {
    const isReused = line !== null
    line ??= new ProbeLine(target, memory)
    const asked = line
    try {
      return await question(asked)
    } catch (error) {
      // Somebody may have closed it since the last question; that says nothing of the server.
      if (!isReused || asked.destroyed || !isLoss(error)) throw error
      hangUp()
      return askOn(question)
    }
  }
  const ask = async <T>(question: (line: ProbeLine) => Promise<T>): Promise<T> => {
    try {
      const answer = askOn(question)
      // The first time, loading the driver takes longer than many a server does; none of that is the server's silence.
      await driver()
      return await within(target.timeoutMs, answer, () => new ProbeFailed('timeout', silence(target)))
    } catch (error) {
      hangUp()
      throw error instanceof ProbeFailed ? error : failureOf(error, target)
    }
  }

  return {
    probe: (depth = 'cluster') => ask((asked) => asked.ask(depth)),
    position: () => ask((asked) => asked.position()),
    tables: (tables) => ask((asked) => asked.tables(tables)),
    close: hangUp,
  }
}

function within<T>(ms: number, answer: Promise<T>, tooLate: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    // Where it was us who were late, the answer is here already and only has to be read.
    const deadline = setTimeout(() => setImmediate(() => setImmediate(() => reject(tooLate()))), ms)
    answer.then(resolve, reject).finally(() => clearTimeout(deadline))
  })
}

/** What a server can be asked, found out once for each connection. */
interface Questions {
  readonly engine: 'mysql' | 'mariadb'
  readonly variables: readonly string[]
  readonly status: string | null
  readonly applying: string | null
  readonly roster: RosterKind | null
  readonly heartbeat: string | null
  readonly note: string | null
}

type TablesTold = NonNullable<Awaited<ReturnType<Prober['tables']>>>

/** What could be asked of the server on the connection before this one. */
interface Memory {
  last: { readonly questions: Questions; readonly version: string } | null
}

/** One connection. Closing it closes the socket, whatever the server does. */
class ProbeLine {
  readonly #target: ProbeTarget
  readonly #memory: Memory
  readonly #sockets: Socket[] = []
  #connection: Connection | null = null
  #questions: Questions | null = null
  #engine: 'mysql' | 'mariadb' | null = null
  #collation = 0
  #deniedProbes = 0
  #destroyed = false

  constructor(target: ProbeTarget, memory: Memory) {
    this.#target = target
    this.#memory = memory
  }

  get destroyed(): boolean {
    return this.#destroyed
  }

  async ask(depth: ProbeDepth): Promise<Claim> {
    if (this.#questions !== null && isDenied(this.#questions) && ++this.#deniedProbes > DENIED_PROBES_MAX) {
      this.hangUp()
    }
    if (this.#connection === null) {
      this.#connection = await this.open()
      const claim = await this.claimAtOnce(this.#connection, depth)
      if (claim !== null) return claim
    }
    this.#questions ??= await this.findQuestions(this.#connection)
    const claim = await this.claim(this.#connection, this.#questions, depth)
    this.#memory.last = isDenied(this.#questions) ? null : { questions: this.#questions, version: claim.version }
    return claim
  }

  /**
   * A server that comes back is mostly what it was, and somebody waits for its first answer: what can be asked is found out
   * with the next one. Null: it is another one, or we do not know it.
   */
  private async claimAtOnce(connection: Connection, depth: ProbeDepth): Promise<Claim | null> {
    const { last } = this.#memory
    if (last === null) return null
    const claim = await this.claim(connection, last.questions, depth).catch((error: unknown) => {
      if (isLoss(error)) throw error
      return null
    })
    return claim?.version === last.version ? claim : null
  }

  async position(): Promise<Position | null> {
    const { connection, engine } = await this.opened()
    const name = engine === 'mysql' ? 'gtid_executed' : 'gtid_current_pos'
    const [rows] = await query(connection, `SELECT @@global.${name} AS position`)
    return positionOf(String(rows![0]?.position ?? ''))
  }

  async tables(tables: readonly TableName[]): Promise<TablesTold | null> {
    const { connection, engine } = await this.opened()
    const [rights] = await query(connection, RIGHTS_SQL)
    const foldsCase = foldsCaseIn(rights![0])
    if (foldsCase === null) return null
    const [rows] = tables.length === 0 ? [[]] : await query(connection, tablesSql(engine, tables))
    return { foldsCase, facts: rows!.map(tableFactsIn) }
  }

  destroy(): void {
    this.#destroyed = true
    this.hangUp()
  }

  private hangUp(): void {
    for (const socket of this.#sockets.splice(0)) socket.destroy()
    this.#connection = null
    this.#questions = null
    this.#engine = null
    this.#deniedProbes = 0
  }

  private async opened(): Promise<{ readonly connection: Connection; readonly engine: 'mysql' | 'mariadb' }> {
    this.#connection ??= await this.open()
    const connection = this.#connection
    if (this.#engine === null) {
      const [rows] = await query(connection, 'SELECT @@version AS version')
      this.#engine = serverVersion(String(rows![0]?.version ?? '')).engine
    }
    return { connection, engine: this.#engine }
  }

  private async open(): Promise<Connection> {
    const { tls } = this.#target
    try {
      return await this.login(tls)
    } catch (error) {
      // A server without TLS is all right where TLS is only preferred.
      if (tls.mode !== 'preferred' || codeOf(error) !== 'HANDSHAKE_NO_SSL_SUPPORT') throw error
      return this.login({ ...tls, mode: 'disabled' })
    }
  }

  private async login(tls: BackendTls): Promise<Connection> {
    const { createConnection } = await driver()
    const { host, port, user, password } = this.#target
    if (this.#destroyed) throw new Error('closed while connecting')
    const socket = connect({ host, port, noDelay: true, keepAlive: true })
    this.#sockets.push(socket)
    const ssl = tlsFor(tls)
    const options: ConnectionOptions = {
      user,
      password,
      host,
      stream: socket,
      // The deadline of the probe holds for this too.
      connectTimeout: 0,
      multipleStatements: true,
      supportBigNumbers: true,
      bigNumberStrings: true,
      dateStrings: true,
      connectAttributes: { program_name: 'sluice' },
      ...(ssl === null ? {} : { ssl }),
    }
    const made = createConnection(options)
    return new Promise((resolve, reject) => {
      made.once('connect', (greeting: { readonly characterSet: number }) => {
        this.#collation = greeting.characterSet
        resolve(made)
      })
      // Stays: what is lost between two questions shows with the next one.
      made.on('error', reject)
    })
  }

  private async findQuestions(connection: Connection): Promise<Questions> {
    const wanted = [...VALUE_VARIABLES, ...ROSTER_VARIABLES.map(([, name]) => name), 'performance_schema']
    const names = wanted.map((name) => `'${name}'`).join(',')
    const rows = await query(connection, `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${names})`)
    const found = new Map(rows[0]!.map((row) => [String(row.Variable_name).toLowerCase(), String(row.Value)]))
    const { engine, number } = serverVersion(found.get('version') ?? '')
    const roster = await this.findRoster(connection, found)
    const modern = engine === 'mysql' && number >= 80022
    const showStatus = engine === 'mariadb' ? 'SHOW ALL SLAVES STATUS' : `SHOW ${modern ? 'REPLICA' : 'SLAVE'} STATUS`
    // Aurora's readers share the writer's storage, and know of no replication.
    const status = roster === 'aurora' ? null : showStatus
    const mayRead = status === null || (await isAllowed(connection, status))
    const measures = status !== null && engine === 'mysql' && number >= 80000 && isOn(found.get('performance_schema'))
    const mayMeasure = measures && (await isAllowed(connection, APPLYING))
    const grant = engine === 'mysql' || number < 100509 ? 'REPLICATION CLIENT' : 'REPLICA MONITOR'
    const { user, heartbeat, kind } = this.#target
    const isMissed = roster === null && ROSTER_VARIABLES.some(([named]) => named === kind)
    const missed = `it keeps no list of members that the monitor user ('${user}') can read, as ${kind} (topology.kind) does`
    return {
      engine,
      variables: VALUE_VARIABLES.filter((name) => found.has(name)),
      status: mayRead ? status : null,
      applying: mayMeasure ? APPLYING : null,
      roster,
      heartbeat: heartbeat === null ? null : heartbeatSql(heartbeat),
      note: mayRead
        ? isMissed
          ? missed
          : null
        : `whom it follows, and how far behind, is not known: GRANT ${grant} ON *.* TO the monitor user ('${user}')`,
    }
  }

  /** The first kind of list that it has: of the kind the settings name, or of any. */
  private async findRoster(connection: Connection, found: ReadonlyMap<string, string>): Promise<RosterKind | null> {
    const { kind } = this.#target
    for (const [candidate, variable] of ROSTER_VARIABLES) {
      if ((kind !== 'auto' && kind !== candidate) || (found.get(variable) ?? '') === '') continue
      const rows = await rowsIfAny(connection, ROSTER_SQL[candidate])
      if (rows !== null && rosterFrom(candidate, rows) !== null) return candidate
    }
    return null
  }

  private async claim(connection: Connection, questions: Questions, depth: ProbeDepth): Promise<Claim> {
    const { engine, variables, status, applying, note } = questions
    const asksRoster = questions.roster !== null && depth === 'cluster'
    // What is executed is asked last: whatever was received by then and is missing in it was missing indeed.
    const values = `SELECT ${variables.map((name) => `@@global.${name} AS ${name}`).join(', ')}`
    const roster = asksRoster ? ROSTER_SQL[questions.roster!] : null
    const asked =
      depth === 'role' ? [null, null, null, null, values] : [status, applying, questions.heartbeat, roster, values]
    const answers = (await query(connection, asked.filter((text) => text !== null).join('; '))).values()
    const [statusRows, applyingRows, beatRows, rosterRows, valueRows] = asked.map((text) =>
      text === null ? [] : (answers.next().value ?? []),
    ) as [readonly Row[], readonly Row[], readonly Row[], readonly Row[], readonly Row[]]
    const row = valueRows[0] ?? {}
    const text = (name: string) => String(row[name] ?? '')
    const version = text('version')
    const position =
      engine === 'mysql' ? mysqlPosition(text('gtid_executed')) : mariadbPosition(text('gtid_current_pos'))
    const applyingMs = numberOf(applyingRows[0]?.ms)
    const { sources, lagMs } = replicationStatus(statusRows, { engine, executed: position, applyingMs })
    const isCutOff = questions.roster === 'group-replication' && asksRoster && !hasMajority(rosterRows)
    return {
      version,
      modes: text('sql_mode'),
      isolation: text('transaction_isolation') || text('tx_isolation'),
      collation: this.#collation,
      readOnly: isCutOff || ['read_only', 'super_read_only', 'innodb_read_only'].some((name) => isOn(text(name))),
      sharedStorage: isOn(text('innodb_read_only')),
      serverId: engine === 'mysql' ? text('server_uuid') : text('server_id'),
      sources,
      position,
      lagMs: questions.heartbeat === null ? lagMs : heartbeatLag(numberOf(beatRows[0]?.ms)),
      roster: asksRoster ? rosterFrom(questions.roster!, rosterRows) : null,
      note: isCutOff ? 'it cannot hear the majority of its group, so it can take no writes' : note,
    }
  }
}

const ROLE_VARIABLES = [
  'version',
  'sql_mode',
  // The latter on MariaDB before 11.1.
  'transaction_isolation',
  'tx_isolation',
  'read_only',
  'super_read_only',
  'innodb_read_only',
  'server_id',
  'server_uuid',
]
const POSITION_VARIABLES = ['gtid_executed', 'gtid_current_pos']
const VALUE_VARIABLES = [...ROLE_VARIABLES, ...POSITION_VARIABLES]

/**
 * The age of the oldest transaction that is being applied, by the clock of the server that committed it first. Null when
 * none is.
 */
const APPLYING = `SELECT TIMESTAMPDIFF(MICROSECOND, MIN(began), NOW(6)) / 1000 AS ms FROM (
SELECT APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP AS began
FROM performance_schema.replication_applier_status_by_worker WHERE APPLYING_TRANSACTION <> ''
UNION ALL SELECT PROCESSING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP
FROM performance_schema.replication_applier_status_by_coordinator WHERE PROCESSING_TRANSACTION <> ''
) AS pending WHERE YEAR(began) > 0`

/** The newest beat's age by the server's own clock, whoever wrote it. */
function heartbeatSql({ table, column, utc }: Heartbeat): string {
  const quoted = table.split('.').map(quote).join('.')
  const now = utc ? 'UTC_TIMESTAMP(6)' : 'NOW(6)'
  return `SELECT TIMESTAMPDIFF(MICROSECOND, MAX(${quote(column)}), ${now}) / 1000 AS ms FROM ${quoted}`
}

const quote = (name: string) => `\`${name.replaceAll('`', '``')}\``

function numberOf(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value)
}

/** Clocks that differ must not make a lag below none. */
function heartbeatLag(ms: number | null): number | null {
  return ms === null ? null : Math.max(0, ms)
}

function isDenied({ note }: Questions): boolean {
  return note !== null
}

/** MariaDB 12 has read_only in degrees. */
function isOn(value: string | undefined): boolean {
  return /^(1|ON|YES|READ_ONLY|NO_LOCK)/i.test(value ?? '')
}

/** What is missing is a privilege: without it the server still tells its role. */
const DENIED: ReadonlySet<string> = new Set([
  'ER_SPECIFIC_ACCESS_DENIED_ERROR',
  'ER_ACCESS_DENIED_ERROR',
  'ER_TABLEACCESS_DENIED_ERROR',
  'ER_COLUMNACCESS_DENIED_ERROR',
  'ER_DBACCESS_DENIED_ERROR',
])

async function isAllowed(connection: Connection, sql: string): Promise<boolean> {
  try {
    await query(connection, sql)
    return true
  } catch (error) {
    if (DENIED.has(codeOf(error))) return false
    throw error
  }
}

/** Null where there is no such table, or none for us. */
async function rowsIfAny(connection: Connection, sql: string): Promise<readonly Row[] | null> {
  try {
    return (await query(connection, sql))[0] ?? []
  } catch (error) {
    const code = codeOf(error)
    if (DENIED.has(code) || /^ER_(NO_SUCH_TABLE|BAD_DB_ERROR|UNKNOWN_TABLE|UNKNOWN_SYSTEM_VARIABLE)$/.test(code))
      return null
    throw error
  }
}

/** The rows of each statement in `sql`. */
function query(connection: Connection, sql: string): Promise<readonly (readonly Row[])[]> {
  return new Promise((resolve, reject) => {
    connection.query(sql, (error: Error | null, results: unknown) => {
      if (error !== null) return reject(error)
      // With a single statement there is no list around its rows.
      const rows = results as readonly (Row | readonly Row[])[]
      resolve(Array.isArray(rows[0]) ? (rows as readonly (readonly Row[])[]) : [rows as readonly Row[]])
    })
  })
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

function codeOf(error: unknown): string {
  return (error as { readonly code?: string }).code ?? ''
}

/** mysql2 has a code for some of the ways to lose a connection, and this mark for all of them. */
function isLoss(error: unknown): boolean {
  return (error as { readonly fatal?: boolean }).fatal === true || codeOf(error) === 'ER_CLIENT_INTERACTION_TIMEOUT'
}

function silence({ host, port, timeoutMs }: ProbeTarget): string {
  return `${host}:${port} did not answer within ${timeoutMs} ms (clusters.<name>.monitor.timeoutMs)`
}

const NOT_LET_IN = 'check clusters.<name>.monitor, and that user on the server'

/** Cause and cure for what is met most; by the server's own word for it. */
const FAILURES: Readonly<Record<string, readonly [kind: ProbeFailure, cure: string]>> = {
  ECONNREFUSED: ['refused', 'no server listens there'],
  ETIMEDOUT: ['timeout', 'nothing answers at that address'],
  ENOTFOUND: ['network', 'no such host name'],
  ER_ACCESS_DENIED_ERROR: ['login', NOT_LET_IN],
  ER_ACCESS_DENIED_NO_PASSWORD_ERROR: ['login', NOT_LET_IN],
  ER_HOST_NOT_PRIVILEGED: ['login', `no user may log in from this machine; ${NOT_LET_IN}`],
  ER_HOST_IS_BLOCKED: ['login', 'FLUSH HOSTS there, and raise max_connect_errors'],
  ER_ACCOUNT_HAS_BEEN_LOCKED: ['login', NOT_LET_IN],
  ER_MUST_CHANGE_PASSWORD: ['login', NOT_LET_IN],
  ER_MUST_CHANGE_PASSWORD_LOGIN: ['login', NOT_LET_IN],
  ER_SECURE_TRANSPORT_REQUIRED: ['login', 'set clusters.<name>.tls.mode'],
  ER_CON_COUNT_ERROR: ['capacity', 'raise max_connections there, or lower clusters.<name>.pool.connectionsMax'],
  ER_TOO_MANY_USER_CONNECTIONS: ['capacity', 'raise max_user_connections for the monitor user'],
  ER_USER_LIMIT_REACHED: ['capacity', 'raise the limits of the monitor user'],
  HANDSHAKE_NO_SSL_SUPPORT: ['login', 'it has no TLS, and clusters.<name>.tls.mode wants it'],
  HANDSHAKE_SSL_ERROR: ['login', 'its certificate is not what clusters.<name>.tls wants'],
}

function failureOf(error: unknown, { host, port, user }: ProbeTarget): ProbeFailed {
  const { message } = error as Error
  const [kind, cure] = FAILURES[codeOf(error)] ?? ['network', '']
  const said = message === '' ? codeOf(error) : message
  const who = kind === 'login' || kind === 'capacity' ? ` does not let the monitor user '${user}' in` : ''
  return new ProbeFailed(kind, `${host}:${port}${who}: ${said}${cure === '' ? '' : ` (${cure})`}`, { cause: error })
}
