// Plays a play: every session alone on a connection of its own to the writer, and all of them together through Sluice.

import type { RunningCluster } from '../../../src/lab/index.ts'
import { STATUS } from '../../../src/protocol/mysql/messages.ts'
import { type Progress, query, take } from '../differential.ts'
import { startSluice } from '../sluice.ts'
import { WireClient } from '../wire-client.ts'
import { firstIdOf } from './author.ts'
import { type Move, mayWrite, stepOf } from './moves.ts'
import type { Play, Role } from './play.ts'
import { ROUTINES } from './routine-ideas.ts'

/** How long a move may take before the next session has its turn: it waits for a connection that others hold. */
const TURN_MS = 12

const UNTOLD = STATUS.SESSION_STATE_CHANGED | STATUS.QUERY_WAS_SLOW

interface Answer {
  readonly move: Move | null
  readonly text: string
}

/** The first answer that was another one. */
export interface Difference {
  readonly role: number
  /** Null: the login itself. */
  readonly move: Move | null
  readonly direct: string
  readonly through: string
}

export class Stage {
  readonly #cluster: RunningCluster

  constructor(cluster: RunningCluster) {
    this.#cluster = cluster
  }

  async perform(play: Play): Promise<Difference | null> {
    const direct = await this.alone(play)
    const through = await this.together(play)
    const differences: Difference[] = []
    for (const [role, expected] of direct) {
      const found = through.get(role) ?? []
      const at = firstDifference(expected, found)
      const [one, other] = [expected[at], found[at]]
      const move = (one ?? other)?.move ?? null
      if (at >= 0) differences.push({ role, move, direct: one?.text ?? 'nothing', through: other?.text ?? 'nothing' })
    }
    const orderOf = ({ move }: Difference) => play.moves.findIndex((one) => one.move === move)
    return differences.sort((one, other) => orderOf(one) - orderOf(other))[0] ?? null
  }

  private async alone(play: Play): Promise<Map<number, Answer[]>> {
    await this.furnish(play)
    const told = new Map<number, Answer[]>()
    for (const role of playing(play)) {
      const actor = new Actor(play.roles[role]!, this.#cluster.writer.port)
      for (const { move } of play.moves.filter((one) => one.role === role)) await actor.act(move)
      told.set(role, actor.leave())
    }
    return told
  }

  private async together(play: Play): Promise<Map<number, Answer[]>> {
    await this.furnish(play)
    const { withReaders, connectionsMax } = play
    const seeds = (withReaders ? this.#cluster.servers : [this.#cluster.writer]).map(({ address }) => address)
    const sluice = await startSluice({
      seeds,
      cluster: `    pool: { connectionsMax: ${connectionsMax}, waitMsMax: 60000 }`,
      more: 'limits: { drainMsMax: 100 }',
    })
    try {
      const actors = new Map(playing(play).map((role) => [role, new Actor(play.roles[role]!, sluice.port)]))
      const last = new Map(play.moves.map(({ role }, at) => [role, at]))
      const settled = new Settled(withReaders ? this.#cluster : null)
      const told = new Map<number, Answer[]>()
      for (const [at, { role, move }] of play.moves.entries()) {
        const actor = actors.get(role)!
        const done = actor.queue(async () => {
          await settled.before()
          await actor.act(move)
          settled.after(move)
          if (last.get(role) === at) told.set(role, actor.leave())
        })
        if (play.pace === 'turns') await Promise.race([done, turn()])
      }
      await Promise.all([...actors.values()].map((actor) => actor.queue(async () => {})))
      return told
    } finally {
      await sluice.stop()
    }
  }

  /** Gives every role its own schema, as it is at the beginning. */
  private async furnish(play: Play): Promise<void> {
    await this.#cluster.writer.asRoot(async (root) => {
      for (const role of playing(play)) {
        const { name } = play.roles[role]!
        for (const sql of furniture(name)) await root.query(sql)
      }
    })
    await this.#cluster.waitForReaders()
  }
}

/** The place of the first answer that was another one; -1: there is none. */
function firstDifference(direct: readonly Answer[], through: readonly Answer[]): number {
  let hasFailed = false
  for (let at = 0; at < Math.max(direct.length, through.length); at++) {
    const [one, other] = [direct[at]?.text, through[at]?.text]
    if (one === undefined || other === undefined) return at
    // What a failed statement changed, or put back, the servers report with the next OK, whichever that is. Sluice may have
    // answered that itself, or had it answered elsewhere.
    if (one !== other && !(hasFailed && withoutReports(one) === withoutReports(other))) return at
    hasFailed = / ERR \d/.test(one) || (hasFailed && withoutReports(one) === one)
  }
  return -1
}

/** An answer, as `alike` leaves it, without what its OK reports of the session. */
function withoutReports(answer: string): string {
  return answer
    .replace(/^( *\d+: OK\? .* text=.*?) \.\.\..*$/gm, '$1')
    .replace(/^( *\d+: fe[0-9a-f]{6})40(0000)00[0-9a-f]+ .*$/gm, (_all, start, rest) => `${start}0${rest}`)
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, TURN_MS))
}

function playing({ moves }: Play): readonly number[] {
  return [...new Set(moves.map(({ role }) => role))].sort((one, other) => one - other)
}

/** Readers are waited for only when something may have been written. */
class Settled {
  readonly #cluster: RunningCluster | null
  #level = true

  constructor(cluster: RunningCluster | null) {
    this.#cluster = cluster
  }

  async before(): Promise<void> {
    if (this.#cluster === null || this.#level) return
    this.#level = true
    await this.#cluster.waitForReaders()
  }

  after(move: Move): void {
    if (mayWrite(move)) this.#level = false
  }
}

/** One session's client, and what it was told. */
class Actor {
  readonly #role: Role
  readonly #port: number
  readonly #told: Answer[] = []
  #progress: Progress | null = null
  #over = false
  #queue: Promise<void> = Promise.resolve()

  constructor(role: Role, port: number) {
    this.#role = role
    this.#port = port
  }

  /** After everything that was queued before. */
  queue(work: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(work)
    return this.#queue
  }

  async act(move: Move): Promise<void> {
    if (this.#over) return
    this.#progress ??= { client: await this.arrive(), prepared: [] }
    if (this.lacks(move)) return
    const step = stepOf(move)
    if (move.kind === 'reset' || move.kind === 'login') this.#progress.prepared.length = 0
    const answer = await take(step, this.#progress)
    if (move.kind === 'close') this.#progress.prepared[move.slot] = 0
    if (answer === null) return
    this.#told.push({ move, text: alike(answer) })
    this.#over = answer.endsWith('closed')
  }

  /** What could not be prepared, or was closed, is not executed: the refusal of that is the proxy's own. */
  private lacks(move: Move): boolean {
    if (!('slot' in move) || move.kind === 'prepare') return false
    return (this.#progress?.prepared[move.slot] ?? 0) === 0
  }

  leave(): Answer[] {
    this.#progress?.client.end()
    return this.#told
  }

  private async arrive(): Promise<WireClient> {
    const { schema, capabilities, sessionTrack } = this.#role
    const client = await WireClient.connect({ port: this.#port, schema, capabilities, sessionTrack })
    // MariaDB begins a session with the FOUND_ROWS() of whoever had its thread before.
    await take(query('SELECT 1'), { client, prepared: [] })
    // The writer tells a client with trackers what the login itself set; Sluice does not.
    this.#told.push({ move: null, text: `login => status ${client.login.status & ~STATUS.SESSION_STATE_CHANGED}` })
    return client
  }
}

/**
 * Without what differs and tells a client nothing, or next to it: the mark that something changed where it is not told what
 * (which hangs on what else is tracked), the mark that it took longer than `long_query_time`, the state of the transaction
 * (a question of our own after a failed statement hears of it first), the next AUTO_INCREMENT of a table (readers do not
 * hear of values that failed inserts used up), how MariaDB describes the columns of conditions that the session has
 * carried into another character set, and the words of an error that is the proxy's own (`lc_messages` may be German).
 */
function alike(answer: string): string {
  const unmarked = (flags: string) => (Number.parseInt(flags, 16) & ~(UNTOLD >> 8)).toString(16)
  return answer
    .replace(/ ?\.\.\.[T_][A-Za-z_]{7}(?= |$)/gm, '')
    .replace(
      / status=(\d+)( warnings=.* text=.*?) {1,2}[0-9a-f]*$/gm,
      (_all, status, rest) => ` status=${Number(status) & ~UNTOLD}${rest}`,
    )
    .replace(
      /^( *\d+: fe[0-9a-f]{6})([0-9a-f]{2})((?:[0-9a-f]{4})?)(?:000b050908[0-9a-f]{16})? .*$/gm,
      (_all, start, flags, rest) => `${start}${unmarked(flags)}${rest}`,
    )
    .replace(/\b(ERR 1421 HY000) .*$/gm, '$1')
    .replace(/4155544f5f494e4352454d454e543d(?:3\d)+|AUTO_INCREMENT=\d+/g, '…')
    .replace(/^( *\d+: 03646566000000(?:054c6576656c|074d657373616765)000c)[0-9a-f]{12}(fd0100270000).*$/gm, '$1…$2')
}

function furniture(schema: string): readonly string[] {
  return [
    `DROP DATABASE IF EXISTS ${schema}`,
    `DROP DATABASE IF EXISTS ${schema}_more`,
    `CREATE DATABASE ${schema}`,
    `CREATE DATABASE ${schema}_more`,
    `USE ${schema}`,
    `CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100), n INT) AUTO_INCREMENT = ${firstIdOf(schema)}`,
    "INSERT INTO t (v, n) VALUES ('a', 1), ('b', 2), ('c', NULL)",
    `CREATE TABLE noted (id INT AUTO_INCREMENT PRIMARY KEY, t_id INT, what VARCHAR(20)) AUTO_INCREMENT = ${firstIdOf(schema)}`,
    'CREATE TABLE kept (k VARCHAR(100) PRIMARY KEY, at DATETIME)',
    'CREATE VIEW seen AS SELECT id, n FROM t',
    // Without a *: what that stands for MariaDB remembers on the connection, whatever becomes of the table.
    'CREATE PROCEDURE rows_of_t() SQL SECURITY INVOKER SELECT id, v, n FROM t ORDER BY id',
    // It looks for rows: of one that does not, nobody could tell that FOUND_ROWS() is still that of a statement before it.
    'CREATE PROCEDURE set_zone(IN zone VARCHAR(10)) SQL SECURITY INVOKER BEGIN SELECT zone INTO zone; SET time_zone = zone; END',
    "CREATE PROCEDURE troubles() SQL SECURITY INVOKER BEGIN SELECT CAST('x' AS SIGNED); SELECT 1; SELECT 1 / 0; END",
    'CREATE PROCEDURE fails() SQL SECURITY INVOKER BEGIN SELECT 1; SELECT * FROM nosuch; SELECT 2; END',
    'CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC NO SQL RETURN 2 * x',
    'CREATE FUNCTION zone(z VARCHAR(10)) RETURNS INT DETERMINISTIC NO SQL BEGIN SET time_zone = z; RETURN 1; END',
    ...ROUTINES,
  ]
}
