// Asks a MySQL or MariaDB server what it is: role, whom it follows, how far behind. It does so on a connection of its own
// that stays open between probes, in one round trip once the server is known.

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
import { ConnectFailed, type Heartbeat, type ProbeTarget } from '../protocol.ts'
import { ChannelError } from './channel.ts'
import { Inquiry, InquiryLost, InquiryRefused, type Row } from './inquiry.ts'
import { parseError, serverVersion } from './messages.ts'
import { mariadbPosition, mysqlPosition, positionOf } from './positions.ts'
import { replicationStatus } from './replication-status.ts'
import { hasMajority, ROSTER_SQL, ROSTER_VARIABLES, rosterFrom } from './rosters.ts'
import { foldsCaseIn, RIGHTS_SQL, tableFactsIn, tablesSql } from './table-questions.ts'

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
      if (!isReused || asked.destroyed || !(error instanceof InquiryLost)) throw error
      hangUp()
      return askOn(question)
    }
  }
  const ask = async <T>(question: (line: ProbeLine) => Promise<T>): Promise<T> => {
    try {
      return await within(target.timeoutMs, askOn(question), () => new ProbeFailed('timeout', silence(target)))
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
  readonly #end = new AbortController()
  #connection: Inquiry | null = null
  #questions: Questions | null = null
  #engine: 'mysql' | 'mariadb' | null = null
  #deniedProbes = 0

  constructor(target: ProbeTarget, memory: Memory) {
    this.#target = target
    this.#memory = memory
  }

  get destroyed(): boolean {
    return this.#end.signal.aborted
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
  private async claimAtOnce(connection: Inquiry, depth: ProbeDepth): Promise<Claim | null> {
    const { last } = this.#memory
    if (last === null) return null
    const claim = await this.claim(connection, last.questions, depth).catch((error: unknown) => {
      if (error instanceof InquiryLost) throw error
      return null
    })
    return claim?.version === last.version ? claim : null
  }

  async position(): Promise<Position | null> {
    const { connection, engine } = await this.opened()
    const name = engine === 'mysql' ? 'gtid_executed' : 'gtid_current_pos'
    const [rows] = await connection.ask(`SELECT @@global.${name} AS position`)
    return positionOf(String(rows![0]?.position ?? ''))
  }

  async tables(tables: readonly TableName[]): Promise<TablesTold | null> {
    const { connection, engine } = await this.opened()
    const [rights] = await connection.ask(RIGHTS_SQL)
    const foldsCase = foldsCaseIn(rights![0])
    if (foldsCase === null) return null
    const [rows] = tables.length === 0 ? [[]] : await connection.ask(tablesSql(engine, tables))
    return { foldsCase, facts: rows!.map(tableFactsIn) }
  }

  destroy(): void {
    this.#end.abort(new Error('closed while connecting'))
    this.hangUp()
  }

  private hangUp(): void {
    this.#connection?.destroy()
    this.#connection = null
    this.#questions = null
    this.#engine = null
    this.#deniedProbes = 0
  }

  private async opened(): Promise<{ readonly connection: Inquiry; readonly engine: 'mysql' | 'mariadb' }> {
    this.#connection ??= await this.open()
    const connection = this.#connection
    if (this.#engine === null) {
      const [rows] = await connection.ask('SELECT @@version AS version')
      this.#engine = serverVersion(String(rows![0]?.version ?? '')).engine
    }
    return { connection, engine: this.#engine }
  }

  private open(): Promise<Inquiry> {
    const { host, port, user, password, tls, timeoutMs } = this.#target
    // The deadline of the probe holds for this too, and comes first.
    const target = { host, port, tls, connectMsMax: 2 * timeoutMs, collation: 0, schema: null }
    return Inquiry.open(target, { user, password }, this.#end.signal)
  }

  private async findQuestions(connection: Inquiry): Promise<Questions> {
    const wanted = [...VALUE_VARIABLES, ...ROSTER_VARIABLES.map(([, name]) => name), 'performance_schema']
    const names = wanted.map((name) => `'${name}'`).join(',')
    const rows = await connection.ask(`SHOW GLOBAL VARIABLES WHERE Variable_name IN (${names})`)
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
  private async findRoster(connection: Inquiry, found: ReadonlyMap<string, string>): Promise<RosterKind | null> {
    const { kind } = this.#target
    for (const [candidate, variable] of ROSTER_VARIABLES) {
      if ((kind !== 'auto' && kind !== candidate) || (found.get(variable) ?? '') === '') continue
      const rows = await rowsIfAny(connection, ROSTER_SQL[candidate])
      if (rows !== null && rosterFrom(candidate, rows) !== null) return candidate
    }
    return null
  }

  private async claim(connection: Inquiry, questions: Questions, depth: ProbeDepth): Promise<Claim> {
    const { engine, variables, status, applying, note } = questions
    const asksRoster = questions.roster !== null && depth === 'cluster'
    // What is executed is asked last: whatever was received by then and is missing in it was missing indeed.
    const values = `SELECT ${variables.map((name) => `@@global.${name} AS ${name}`).join(', ')}`
    const roster = asksRoster ? ROSTER_SQL[questions.roster!] : null
    const asked =
      depth === 'role' ? [null, null, null, null, values] : [status, applying, questions.heartbeat, roster, values]
    const answers = (await connection.ask(asked.filter((text) => text !== null).join('; '))).values()
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
      collation: connection.collation,
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

/** What is missing is a privilege: without it the server still tells its role. ER_…_ACCESS_DENIED_ERROR of all kinds. */
const DENIED: ReadonlySet<number> = new Set([1044, 1045, 1142, 1143, 1227])
/** ER_BAD_DB_ERROR, ER_UNKNOWN_TABLE, ER_NO_SUCH_TABLE, ER_UNKNOWN_SYSTEM_VARIABLE. */
const MISSING: ReadonlySet<number> = new Set([1049, 1109, 1146, 1193])

async function isAllowed(connection: Inquiry, sql: string): Promise<boolean> {
  try {
    await connection.ask(sql)
    return true
  } catch (error) {
    if (error instanceof InquiryRefused && DENIED.has(error.errno)) return false
    throw error
  }
}

/** Null where there is no such table, or none for us. */
async function rowsIfAny(connection: Inquiry, sql: string): Promise<readonly Row[] | null> {
  try {
    return (await connection.ask(sql))[0] ?? []
  } catch (error) {
    if (error instanceof InquiryRefused && (DENIED.has(error.errno) || MISSING.has(error.errno))) return null
    throw error
  }
}

function silence({ host, port, timeoutMs }: ProbeTarget): string {
  return `${host}:${port} did not answer within ${timeoutMs} ms (clusters.<name>.monitor.timeoutMs)`
}

const NOT_LET_IN = 'check clusters.<name>.monitor, and that user on the server'

/** Cause and cure for what is met most; by the server's number, or the system's word, for it. */
const FAILURES: Readonly<Record<string | number, readonly [kind: ProbeFailure, cure: string]>> = {
  ECONNREFUSED: ['refused', 'no server listens there'],
  ETIMEDOUT: ['timeout', 'nothing answers at that address'],
  ENOTFOUND: ['network', 'no such host name'],
  // Wrong user, password or host; an account that is locked, or whose password must be changed first.
  1045: ['login', NOT_LET_IN],
  1130: ['login', `no user may log in from this machine; ${NOT_LET_IN}`],
  1698: ['login', NOT_LET_IN],
  1820: ['login', NOT_LET_IN],
  1862: ['login', NOT_LET_IN],
  3118: ['login', NOT_LET_IN],
  4151: ['login', NOT_LET_IN],
  1129: ['login', 'FLUSH HOSTS there, and raise max_connect_errors'],
  3159: ['login', 'set clusters.<name>.tls.mode'],
  1040: ['capacity', 'raise max_connections there, or lower clusters.<name>.pool.connectionsMax'],
  1203: ['capacity', 'raise max_user_connections for the monitor user'],
  1226: ['capacity', 'raise the limits of the monitor user'],
  tls: ['login', 'the server and clusters.<name>.tls do not agree'],
}

function failureOf(error: unknown, { host, port, user }: ProbeTarget): ProbeFailed {
  const { word, said } = wordsOf(error)
  const [kind, cure] = FAILURES[word] ?? ['network', '']
  const who = kind === 'login' || kind === 'capacity' ? ` does not let the monitor user '${user}' in` : ''
  return new ProbeFailed(kind, `${host}:${port}${who}: ${said}${cure === '' ? '' : ` (${cure})`}`, { cause: error })
}

/** What the failure is called, and what was said of it. */
function wordsOf(error: unknown): { readonly word: string | number; readonly said: string } {
  if (error instanceof InquiryRefused) return { word: error.errno, said: error.message }
  if (!(error instanceof ConnectFailed)) return { word: '', said: (error as Error).message }
  const { refusal, cause } = error
  if (refusal !== null) return { word: parseError(refusal.frame).errno, said: refusal.message }
  if (cause instanceof ChannelError) return { word: cause.fault, said: cause.message }
  const { code, message } = (cause ?? error) as Error & { readonly code?: string }
  return { word: code ?? '', said: message === '' ? (code ?? '') : message }
}
