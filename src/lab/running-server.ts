// A lab server that runs, seen from anywhere: where it is, how to log in, which statements reached it. Whether it is
// ours to stop is another matter: lab-server.ts.

import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import { LAB_USERS, type LabUser } from './engine.ts'

export type LabRole = 'writer' | 'reader'

/** A statement as a server wrote it down in its general log. */
export interface SeenStatement {
  readonly user: string
  readonly connectionId: number
  /** The server's word: Query, Prepare, Execute, Init DB, Connect, Quit … */
  readonly command: string
  readonly text: string
}

export class RunningServer {
  readonly host = '127.0.0.1'
  readonly port: number
  /** What the cluster means this server to be. */
  role: LabRole
  #forgottenRows = 0

  constructor(port: number, role: LabRole) {
    this.port = port
    this.role = role
  }

  get address(): string {
    return `${this.host}:${this.port}`
  }

  /** A connection of the caller's own, as root unless said otherwise; several statements in one text are allowed. */
  async connect(as: LabUser = 'root'): Promise<Connection> {
    return createConnection({
      host: this.host,
      port: this.port,
      ...LAB_USERS[as],
      multipleStatements: true,
      connectTimeout: 10_000,
      // caching_sha2_password wants a safe way for the password; root has none.
      ...(as === 'root' ? {} : { ssl: { rejectUnauthorized: false } }),
    })
  }

  /** Runs the work on a connection of its own as root. */
  async asRoot<T>(work: (root: Connection) => Promise<T>): Promise<T> {
    const root = await this.connect()
    try {
      return await work(root)
    } finally {
      root.destroy()
    }
  }

  /** Runs one statement as root and gives the first column of the first row, null if it has none. */
  async ask(statement: string, values: readonly (string | number)[] = []): Promise<unknown> {
    return this.asRoot(async (root) => {
      const [rows] = await root.query(statement, [...values])
      const [row] = Array.isArray(rows) ? rows : []
      return row === undefined ? null : Object.values(row)[0]
    })
  }

  /** From here on statements are written down, and statementsSeen() tells those that come after now. */
  async watchStatements(): Promise<void> {
    await this.asRoot((root) => root.query('SET GLOBAL general_log = ON'))
    this.#forgottenRows = Number(await this.ask('SELECT COUNT(*) FROM mysql.general_log'))
  }

  /** Writes down no more: a log that goes on makes the server slower, and reading it back slower still. */
  async ignoreStatements(): Promise<void> {
    await this.asRoot((root) => root.query('SET GLOBAL general_log = OFF'))
  }

  /** The statements of these users that reached the server since watchStatements(), in order. */
  async statementsSeen(users: readonly string[] = ['app']): Promise<SeenStatement[]> {
    const rows = await this.asRoot(async (root) => {
      const [rows] = await root.query<RowDataPacket[]>(
        `SELECT user_host, thread_id, command_type, CONVERT(argument USING utf8mb4) AS text
         FROM mysql.general_log LIMIT 1000000000 OFFSET ${this.#forgottenRows}`,
      )
      return rows
    })
    return rows
      .map((row) => ({
        user: userOf(String(row.user_host)),
        connectionId: Number(row.thread_id),
        command: String(row.command_type),
        text: String(row.text),
      }))
      .filter(({ user }) => users.includes(user))
  }
}

// `app[app] @  [127.0.0.1]` once logged in, `[app] @  [127.0.0.1]` while it connects.
const userOf = (userHost: string) => /\[([^\]]*)\]/.exec(userHost)?.[1] ?? ''
