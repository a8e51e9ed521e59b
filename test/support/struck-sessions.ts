// Sessions in every state that a change of the writer may find them in, and what must become of each: one error for what
// it was in the middle of, and everything else that it had set up is there on the new writer.

import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import { expect } from 'vitest'

/** What they write to: the rows with id 0 must never be there. */
export const ENTRIES_SQL = 'CREATE DATABASE changes; CREATE TABLE changes.entries (id INT, whose TEXT, zone TEXT)'
/** Connections to one server, so that the sessions are moved from one to the other. */
export const NARROW = 6

/** What a lost transaction is told. */
export const LOST = { errno: 1213, sqlState: '40001' }
export const INSERT = 'INSERT INTO entries VALUES (?, @whose, @@SESSION.time_zone)'

const IN_VAIN = 'INSERT INTO entries VALUES (0, NULL, NULL)'
const ZONE = '+03:30'
let entries = 0

export function connectTo(port: number): Promise<Connection> {
  return createConnection({ host: '127.0.0.1', port, user: 'app', password: 'app_pw', database: 'changes' })
}

/** It has a setting, a user variable (if it is anybody's), a schema and a prepared statement of its own. */
export async function sessionOf(whose: string | null, port: number): Promise<Connection> {
  const client = await connectTo(port)
  await client.query(`SET time_zone = '${ZONE}'`)
  if (whose !== null) await client.query('SET @whose = ?', [whose])
  await enter(client, whose)
  return client
}

/** All that the session has set up is needed for this. */
export async function enter(client: Connection, whose: string | null): Promise<void> {
  const id = ++entries
  await client.execute(INSERT, [id])
  const sql = '/* sluice:writer */ SELECT id, whose, zone FROM entries WHERE id = ?'
  const [rows] = await client.query<RowDataPacket[]>(sql, [id])
  expect(rows).toEqual([{ id, whose, zone: ZONE }])
}

interface Struck {
  readonly whose: string
  /** What it holds when the writer changes. */
  readonly hold: (client: Connection) => Promise<unknown>
  /** What it asks afterwards, and is told; null: it notices nothing. */
  readonly miss: { readonly sql: string; readonly error: object } | null
}

const STRUCK: readonly Struck[] = [
  { whose: 'nothing', hold: async () => {}, miss: null },
  {
    whose: 'a transaction',
    hold: (client) => client.query('BEGIN').then(() => client.query(IN_VAIN)),
    miss: { sql: IN_VAIN, error: LOST },
  },
  {
    whose: 'a transaction to commit',
    hold: (client) => client.query('BEGIN').then(() => client.query(IN_VAIN)),
    miss: { sql: 'COMMIT', error: LOST },
  },
  {
    whose: 'a transaction without autocommit',
    hold: (client) => client.query('SET autocommit = 0').then(() => client.query(IN_VAIN)),
    miss: { sql: 'SET autocommit = 1', error: LOST },
  },
  {
    whose: 'a temporary table',
    hold: (client) => client.query('CREATE TEMPORARY TABLE own (n INT)'),
    miss: { sql: 'SELECT * FROM own', error: missing('temporary-table') },
  },
  {
    whose: 'a lock',
    hold: (client) => client.query("SELECT GET_LOCK('mine', 0)"),
    miss: { sql: 'SELECT 1', error: missing('advisory-lock') },
  },
]

export class StruckSessions {
  readonly #sessions: readonly (Struck & { readonly client: Connection })[]

  private constructor(sessions: readonly (Struck & { readonly client: Connection })[]) {
    this.#sessions = sessions
  }

  /** For a Sluice with no more than NARROW connections to a server. */
  static async ready(port: number): Promise<StruckSessions> {
    const sessions = await Promise.all(
      STRUCK.map(async (struck) => ({ ...struck, client: await sessionOf(struck.whose, port) })),
    )
    // Whatever only a connection knew of them is read out, for these need them all.
    const others = await Promise.all(Array.from({ length: NARROW }, () => connectTo(port)))
    await Promise.all(others.map((other) => other.query('BEGIN')))
    await Promise.all(others.map((other) => other.query('ROLLBACK')))
    for (const other of others) other.destroy()
    for (const { client, hold } of sessions) await hold(client)
    return new StruckSessions(sessions)
  }

  /** The writer has changed: each is told once what it has lost, and goes on. */
  async expectLosses(): Promise<void> {
    for (const { client, miss } of this.#sessions) {
      if (miss !== null) await expect(client.query(miss.sql)).rejects.toMatchObject(miss.error)
    }
    for (const { client, whose } of this.#sessions) await enter(client, whose)
  }

  leave(): void {
    for (const { client } of this.#sessions) client.destroy()
  }
}

function missing(what: string): object {
  return { errno: 9142, message: expect.stringContaining(what) }
}
