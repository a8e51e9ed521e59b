// A client that appends numbered rows for as long as it is told to, each in the way that is its own, and enters into the
// book what it was told.

import { type Connection, createConnection, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise'
import { WIRE } from '../../../src/protocol/mysql/wire-errors.ts'
import type { Book, Outcome, Row } from './book.ts'

/** Ways to append: two statements of its own, or a transaction of two rows begun in so many words or by the first row. */
export const WAYS = ['text', 'prepared', 'transaction', 'autocommit off'] as const
export type Way = (typeof WAYS)[number]

const OUTCOMES: ReadonlyMap<number, Outcome> = new Map([
  [WIRE.OUTCOME_UNKNOWN.errno, 'unknown'],
  [WIRE.COMMIT_UNKNOWN.errno, 'unknown'],
  [WIRE.NO_WRITER.errno, 'failed'],
  [WIRE.POOL_WAIT_TIMEOUT.errno, 'failed'],
  [WIRE.POOL_WAITERS_MAX.errno, 'failed'],
  [WIRE.BACKEND_CONNECT_FAILED.errno, 'failed'],
])

const INSERT = 'INSERT INTO ledger.entries (client, number, mark) VALUES (?, ?, @@SESSION.lock_wait_timeout)'
const LOGIN_MS_MAX = 60_000
/** Rows to read. */
export const NAMES = 10
/** A deadlock cannot be: nobody touches another's rows. */
const START_AGAIN = WIRE.TRANSACTION_LOST

export interface ClerkSettings {
  readonly port: number
  readonly client: number
  readonly book: Book
  /** The longest pause between two appends. */
  readonly pauseMsMax: number
}

export class Clerk {
  readonly #settings: ClerkSettings
  readonly #way: Way
  #connection: Connection | null = null
  #next = 1
  #stopped = false
  #run: Promise<void> | null = null
  #wake: () => void = () => {}

  constructor(settings: ClerkSettings) {
    this.#settings = settings
    this.#way = WAYS[settings.client % WAYS.length]!
  }

  /** Resolves once it is logged in and has set up its session. */
  async start(): Promise<void> {
    await this.connect()
    this.#run = this.work()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#wake()
    await this.#run
    await this.#connection?.end().catch(() => {})
  }

  private async connect(): Promise<void> {
    const { port, book, client } = this.#settings
    this.#connection = null
    const login = { host: '127.0.0.1', port, user: 'app', password: 'app_pw', connectTimeout: LOGIN_MS_MAX }
    const connection = await createConnection(login)
    connection.on('error', () => {
      if (!this.#stopped) book.closed += 1
    })
    // What a session has set is with every row, so that a row tells whose session wrote it.
    await connection.query(`SET SESSION lock_wait_timeout = ${markOf(client)}`)
    if (this.#way === 'autocommit off') await connection.query('SET autocommit = 0')
    this.#connection = connection
  }

  private async work(): Promise<void> {
    const { pauseMsMax } = this.#settings
    while (!this.#stopped) {
      try {
        if (this.#connection === null) await this.connect()
        await this.append()
        await this.read()
      } catch (error) {
        this.surprise(error)
      }
      await this.pause(Math.random() * pauseMsMax)
    }
  }

  private async append(): Promise<void> {
    const { client, book } = this.#settings
    const rows: Row[] = [{ client, number: this.#next++ }]
    if (this.#way === 'transaction' || this.#way === 'autocommit off') rows.push({ client, number: this.#next++ })
    for (;;) {
      try {
        await this.write(rows)
        return book.enter(rows, 'acknowledged')
      } catch (error) {
        const { errno, sqlState, fatal } = error as { errno?: number; sqlState?: string; fatal?: boolean }
        if (errno === START_AGAIN.errno && sqlState === START_AGAIN.sqlState) {
          book.restarts += 1
          if (this.#stopped) return book.enter(rows, 'failed')
          continue
        }
        const outcome = OUTCOMES.get(errno ?? 0)
        if (fatal === true) this.#connection = null
        else if (outcome === undefined) this.surprise(error)
        else await this.#connection?.query('ROLLBACK')
        return book.enter(rows, fatal === true ? 'unknown' : (outcome ?? 'unknown'))
      }
    }
  }

  private async write(rows: readonly Row[]): Promise<void> {
    const connection = this.#connection!
    const isPrepared = this.#way === 'prepared'
    if (this.#way === 'transaction') await connection.query('BEGIN')
    for (const { client, number } of rows) {
      const [result] = isPrepared
        ? await connection.execute<ResultSetHeader>(INSERT, [client, number])
        : await connection.query<ResultSetHeader>(INSERT, [client, number])
      if (result.affectedRows !== 1) throw new Error(`an append affected ${result.affectedRows} rows`)
    }
    if (rows.length > 1) await connection.query('COMMIT')
  }

  /** A read is answered whatever happens. Without autocommit it begins a transaction, which may be lost. */
  private async read(): Promise<void> {
    const { client, book } = this.#settings
    const connection = this.#connection
    if (connection === null || this.#way === 'autocommit off') return
    const name = client % NAMES
    const [rows] = await connection.query<RowDataPacket[]>(`SELECT client FROM ledger.names WHERE client = ${name}`)
    if (rows[0]?.client !== name) book.surprises.push(`client ${client} read ${JSON.stringify(rows)}`)
    book.reads += 1
  }

  private surprise(error: unknown): void {
    const { errno, sqlState, message, fatal } = error as Error & { errno?: number; sqlState?: string; fatal?: boolean }
    this.#settings.book.surprises.push(
      `client ${this.#settings.client} (${this.#way}): ${errno} ${sqlState} ${message}`,
    )
    if (fatal === true || errno === undefined) this.#connection = null
  }

  private pause(ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** A setting that nobody else has. */
export function markOf(client: number): number {
  return 10_000 + client
}
