// The clients of a drill: each has one connection that it never gives up, and keeps a book of what it was told. Some
// write, some write in transactions, some read, and some only sit there with a session that they expect to find again.

import {
  type Connection,
  type ConnectionOptions,
  createConnection,
  type ResultSetHeader,
  type RowDataPacket,
} from 'mysql2/promise'
import { until } from './machine.ts'

export type Work = 'write' | 'transaction' | 'read' | 'idle'

/** What a client was told other than what it had asked for. */
export interface Failure {
  readonly work: Work
  readonly errno: number
  readonly message: string
  /** The server's word for it: the connection is closed. */
  readonly fatal: boolean
  /** When its statement was sent, or its transaction begun. */
  readonly fromMs: number
  readonly atMs: number
}

export interface LoadOptions {
  readonly login: ConnectionOptions
  readonly clients: number
  /** A table of the drill's own, with its schema. */
  readonly table: string
}

/** Rows of one statement or transaction that was answered, refused for certain, or neither. */
export interface Booked {
  readonly key: string
  readonly rows: number
  readonly outcome: 'acknowledged' | 'undone' | 'unknown'
  readonly atMs: number
}

/** What the table holds that it should not, and the other way round. */
export interface Audit {
  readonly acknowledged: number
  readonly missing: number
  /** Undone by what the client was told, and there all the same; in part; or written by nobody. */
  readonly wrong: number
}

const PLAN: readonly Work[] = ['write', 'transaction', 'read', 'write', 'idle', 'transaction', 'read', 'write']
const PAUSE_MS = 10
const PROGRESS_MS_MAX = 30_000
const ZONE = '+03:00'
const LOGINS_MAX = 20
const LOGIN_MS_MAX = 60_000
/** It was rolled back, says the error. */
const UNDONE: ReadonlySet<number> = new Set([1213, 9110, 9120, 9121, 9130])

/** Makes the table of a drill. Fails where there is one already. */
export const tableSql = (table: string) =>
  `CREATE TABLE ${table} (client INT, turn INT, part INT, PRIMARY KEY (client, turn, part)) ENGINE = InnoDB`

interface Client {
  readonly number: number
  readonly work: Work
  readonly connection: Connection
  turn: number
  /** When it last began something that went well. */
  wentWellMs: number
  closed: boolean
}

export class DrillLoad {
  readonly failures: Failure[] = []
  readonly #options: LoadOptions
  readonly #clients: Client[] = []
  readonly #book: Booked[] = []
  readonly #runs: Promise<void>[] = []
  statements = 0
  #stopping = false

  private constructor(options: LoadOptions) {
    this.#options = options
  }

  static async start(options: LoadOptions): Promise<DrillLoad> {
    const load = new DrillLoad(options)
    // Many logins at once take longer than a client waits for one.
    for (let from = 0; from < options.clients; from += LOGINS_MAX) {
      const count = Math.min(LOGINS_MAX, options.clients - from)
      load.#clients.push(...(await Promise.all(Array.from({ length: count }, (_, at) => load.connect(from + at)))))
    }
    load.#runs.push(...load.#clients.map((client) => load.run(client)))
    return load
  }

  get closed(): number {
    return this.#clients.filter(({ closed }) => closed).length
  }

  /** When the first write was answered of those answered after that moment, or null. */
  firstWriteMs(sinceMs: number): number | null {
    const times = this.#book.filter(({ outcome, atMs }) => outcome === 'acknowledged' && atMs >= sinceMs)
    return times.length === 0 ? null : Math.min(...times.map(({ atMs }) => atMs))
  }

  /** Waits until every client that is not idle has begun something since that went well; false: some did not. */
  async goesOn(sinceMs: number): Promise<boolean> {
    const busy = () => this.#clients.filter(({ work }) => work !== 'idle')
    const isGoing = () => busy().every(({ wentWellMs, closed }) => closed || wentWellMs > sinceMs) || null
    return until(isGoing, PROGRESS_MS_MAX, () => '').catch(() => false)
  }

  /** Ends the work; who sat idle looks for the session that it left. The connections stay for the audit. */
  async finish(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#runs)
    await Promise.all(this.#clients.filter(({ work }) => work === 'idle').map((client) => this.awake(client)))
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#clients.map(({ connection }) => connection.end().catch(() => connection.destroy())))
  }

  /** Holds what the writer has against what the clients were told. */
  async audit(): Promise<Audit> {
    const asking = await createConnection(this.#options.login)
    const sql = `/* sluice:writer */ SELECT client, turn, COUNT(*) AS n FROM ${this.#options.table} GROUP BY client, turn`
    const [rows] = await asking.query<RowDataPacket[]>(sql).finally(() => asking.end())
    const found = new Map(rows.map(({ client, turn, n }) => [`${client}/${turn}`, Number(n)]))
    let [acknowledged, missing, wrong] = [0, 0, 0]
    for (const { key, rows, outcome } of this.#book) {
      const there = found.get(key) ?? 0
      found.delete(key)
      if (outcome === 'acknowledged') acknowledged += 1
      if (outcome === 'acknowledged' && there === 0) missing += 1
      else if (there !== 0 && (there !== rows || outcome === 'undone')) wrong += 1
    }
    return { acknowledged, missing, wrong: wrong + found.size }
  }

  private async connect(number: number): Promise<Client> {
    const connection = await createConnection({ connectTimeout: LOGIN_MS_MAX, ...this.#options.login })
    const work = PLAN[number % PLAN.length]!
    const client: Client = { number, work, connection, turn: 0, wentWellMs: 0, closed: false }
    connection.on('error', () => {
      client.closed = true
    })
    if (work === 'idle') {
      await connection.query(`SET time_zone = '${ZONE}'`)
      await connection.execute('SELECT ? AS same', [number])
    }
    return client
  }

  private async run(client: Client): Promise<void> {
    while (!this.#stopping && !client.closed && client.work !== 'idle') {
      await this.work(client)
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
  }

  private async work(client: Client): Promise<void> {
    const fromMs = performance.now()
    client.turn += 1
    try {
      if (client.work === 'write') await this.write(client, 0)
      else if (client.work === 'transaction') await this.transact(client)
      else await this.read(client)
      client.wentWellMs = fromMs
      this.booked(client, 'acknowledged')
    } catch (error) {
      this.failed(client, error, fromMs)
      // Where the error does not say so, a part may still be open.
      if (client.work === 'transaction' && !client.closed) await client.connection.query('ROLLBACK').catch(() => {})
    }
  }

  private async write({ number, turn, connection }: Client, part: number): Promise<void> {
    const sql = `INSERT INTO ${this.#options.table} VALUES (?, ?, ?)`
    const values = [number, turn, part]
    const answer = turn % 2 === 0 ? connection.execute(sql, values) : connection.query(sql, values)
    const [{ affectedRows }] = (await answer) as [ResultSetHeader, unknown]
    this.statements += 1
    if (affectedRows !== 1) throw new Error(`a row was written, and ${affectedRows} were told`)
  }

  private async transact(client: Client): Promise<void> {
    await client.connection.query('START TRANSACTION')
    await this.write(client, 0)
    await this.write(client, 1)
    await client.connection.query('COMMIT')
    this.statements += 2
  }

  private async read({ number, turn, connection }: Client): Promise<void> {
    const sql = `SELECT ? AS same, COUNT(*) AS n FROM ${this.#options.table} WHERE client = ?`
    const [rows] = await (turn % 2 === 0
      ? connection.execute(sql, [turn, number])
      : connection.query(sql, [turn, number]))
    this.statements += 1
    if (Number((rows as RowDataPacket[])[0]?.same) !== turn) throw new Error('the answer is another one')
  }

  private async awake(client: Client): Promise<void> {
    const fromMs = performance.now()
    try {
      const [[row]] = await client.connection.query<RowDataPacket[]>('SELECT @@time_zone AS zone')
      if (row?.zone !== ZONE) throw new Error(`a session had set its time_zone to ${ZONE}, and finds ${row?.zone}`)
      const [[same]] = await client.connection.execute<RowDataPacket[]>('SELECT ? AS same', [client.number])
      if (Number(same?.same) !== client.number) throw new Error('what was prepared answers otherwise')
    } catch (error) {
      this.failed(client, error, fromMs)
    }
  }

  private failed(client: Client, error: unknown, fromMs: number): void {
    const { errno = 0, message, fatal = false } = error as Error & { errno?: number; fatal?: boolean }
    if (fatal) client.closed = true
    this.failures.push({ work: client.work, errno, message, fatal, fromMs, atMs: performance.now() })
    this.booked(client, UNDONE.has(errno) ? 'undone' : 'unknown')
  }

  private booked({ number, turn, work }: Client, outcome: Booked['outcome']): void {
    if (work !== 'write' && work !== 'transaction') return
    const rows = work === 'write' ? 1 : 2
    this.#book.push({ key: `${number}/${turn}`, rows, outcome, atMs: performance.now() })
  }
}
