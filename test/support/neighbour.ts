// A session that takes every connection another one leaves free for a moment, and leaves it full of its own traces.

import { buildQuery, CAPABILITY } from '../../src/protocol/mysql/messages.ts'
import type { RunningSluice } from './sluice.ts'
import { WireClient, type WireClientOptions } from './wire-client.ts'

/** Each changes something that a careless proxy would let the next session see. */
const MEDDLING = [
  'SELECT 1 UNION SELECT 2 UNION SELECT 3',
  "SET NAMES latin1, sql_mode = '', time_zone = '+05:00'",
  "/* sluice:reader */ SELECT CAST('neighbour' AS SIGNED)",
  'SELECT nothing_like_it FROM nowhere',
  'USE information_schema',
  "SELECT CAST('neighbour' AS SIGNED), CAST('again' AS SIGNED) FROM tables LIMIT 2",
  'SET last_insert_id = 4711',
  'SET autocommit = 0',
  'SET autocommit = 1',
  'SELECT SQL_CALC_FOUND_ROWS table_name FROM tables LIMIT 1',
  '/* sluice:reader */ SELECT 5 UNION SELECT 6',
]

export class Neighbour {
  readonly #sluice: RunningSluice
  readonly #client: WireClient
  #turn = 0

  private constructor(sluice: RunningSluice, client: WireClient) {
    this.#sluice = sluice
    this.#client = client
  }

  /** Its capabilities must be the other session's: only then do they share connections. */
  static async join(sluice: RunningSluice, options: Omit<WireClientOptions, 'port'>): Promise<Neighbour> {
    return new Neighbour(sluice, await WireClient.connect({ ...options, port: sluice.port }))
  }

  /** Does what comes next in its list, on every connection that nobody holds. */
  async meddle(): Promise<void> {
    const held = this.#sluice.proxy.snapshots.sessions().some(({ pins }) => pins.length > 0)
    if (held) return
    const attributes = (this.#client.login.capabilities & CAPABILITY.QUERY_ATTRIBUTES) !== 0
    for (let count = 0; count < 2; count++) {
      await this.#client.ask(buildQuery(MEDDLING[this.#turn % MEDDLING.length]!, attributes), 'query')
      this.#turn += 1
    }
  }

  leave(): void {
    this.#client.end()
  }
}
