// A writer is made read-only, as whoever plans its replacement does.

import type { Connection } from 'mysql2/promise'

/** ER_LOCK_WAIT_TIMEOUT. */
const LOCK_WAIT_TIMEOUT = 1205
const TRIES_MAX = 30

/**
 * Both servers wait for the statements in flight and hold up all others. Where one waits for a row that a transaction has, whose
 * next statement is held up, all would stand until `innodb_lock_wait_timeout`: so this lets go after a second, and tries again.
 */
export async function setGently(server: Connection, sql: string): Promise<void> {
  await server.query('SET lock_wait_timeout = 1')
  for (let tries = 1; ; tries++) {
    try {
      await server.query(sql)
      return
    } catch (error) {
      if ((error as { errno?: number }).errno !== LOCK_WAIT_TIMEOUT || tries === TRIES_MAX) throw error
    }
  }
}
