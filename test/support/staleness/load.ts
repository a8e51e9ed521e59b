// Many sessions that write and read as chance has it, until they are told to stop. Whatever they do and see is told, in
// the order in which it happens.

import { type Connection, createConnection } from 'mysql2/promise'
import { type EngineName, until } from '../../../src/lab/index.ts'
import type { Random } from '../torture/random.ts'
import type { Event, Promised, Sight } from './history.ts'
import { ITEMS, type Item, SCHEMA } from './kinds.ts'
import { planRead, planWrite, type ReadPlan, type Step, type WritePlan } from './plans.ts'

/** Where sessions come in, and what reads are promised there. */
export interface Door {
  readonly name: string
  /** Asked anew for every connection: the writer itself is another one after a failover. */
  readonly port: () => number
  readonly through: 'sluice' | 'direct'
  readonly promised: Promised
  readonly sessions: number
}

export interface LoadSettings {
  readonly engine: EngineName
  readonly random: Random
  readonly doors: readonly Door[]
  readonly tell: (event: Event) => void
  readonly nowMs: () => number
  readonly writeShare: number
  /** Nobody writes for the second part of every so many milliseconds; null: at all times. */
  readonly rhythm: { readonly writeMs: number; readonly restMs: number } | null
  /** Takes back a prepared transaction that was left behind. */
  readonly rollBack: (xa: string) => Promise<void>
}

/** Failures that a session has to live with while servers change their roles, or while others write the same tables. */
const EXPECTED: ReadonlySet<number | string> = new Set<number | string>([
  1053, // shutdown
  1205, // lock wait
  1213, // deadlock; also a transaction that was lost with its connection
  1290, // read only
  1412, // the table changed since the transaction began
  1615, // prepare anew
  1792, // read only transaction
  1836, // read only
  2013, // lost
  9110, // ours: no writer in time
  9130, // ours: no backend could serve it
  9140, // ours: nobody can tell whether it was executed
  9141, // ours: … or committed
  9142, // ours: what the session held is gone
  9144, // ours: the answer was cut
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'PROTOCOL_CONNECTION_LOST',
])
/** These say that the statement has done nothing. */
const DID_NOTHING: ReadonlySet<number | string> = new Set<number | string>([
  1205, 1213, 1290, 1412, 1615, 1792, 1836, 9110, 9130,
])

const READ_ONLY = 1290

const RECENT_MAX = 8

/** A Sluice asks often enough to know the roles by then. */
const ROLES_KNOWN_MS = 1_000

export class Load {
  readonly #settings: LoadSettings
  readonly #random: Random
  #over = false
  #escapes = true
  #escaping = 0
  #ids = 0
  #names = 0
  readonly #versions = new Int32Array(ITEMS.length)
  readonly #busy = new Set<number>()
  /** What was written last: whoever reads that finds what is stale. */
  #recent: number[] = []
  /** Failures by what they say; those that should not be are complaints too. */
  readonly failures = new Map<string, number>()
  readonly complaints: string[] = []
  /** How often each way of writing and reading came to its end. */
  readonly done = new Map<string, number>()

  constructor(settings: LoadSettings) {
    this.#settings = settings
    this.#random = settings.random
  }

  /** Resolves when everybody has come to an end, after `stop`. */
  async run(): Promise<void> {
    const sessions = this.#settings.doors.flatMap((door) =>
      Array.from({ length: door.sessions }, () => this.live(door)),
    )
    await Promise.all(sessions)
  }

  stop(): void {
    this.#over = true
  }

  /**
   * Meanwhile, and until it is known everywhere who writes, nobody does what a server takes though it is read-only: a
   * writer that was replaced would lose it, whoever asks for it.
   */
  async withoutEscapes(work: () => Promise<void>): Promise<void> {
    if (this.#settings.engine === 'mysql') return work()
    this.#escapes = false
    await until(
      () => this.#escaping === 0 || null,
      20_000,
      () => 'a procedure does not come to its end',
    )
    await work()
    await new Promise((done) => setTimeout(done, ROLES_KNOWN_MS))
    this.#escapes = true
  }

  private async live(door: Door): Promise<void> {
    while (!this.#over) {
      const session = new Session(door, this.#random.fork(), `${door.name}_${++this.#names}`)
      try {
        await session.connect()
        // Now and then somebody new comes in its place.
        for (let left = 20 + session.random.below(400); left > 0 && !this.#over && !session.lost; left--) {
          await this.act(session)
        }
        if (session.lost) await new Promise((next) => setTimeout(next, 20))
      } catch (error) {
        this.failed(error, 'login')
        await new Promise((next) => setTimeout(next, 20))
      } finally {
        session.end()
      }
    }
  }

  private async act(session: Session): Promise<void> {
    const { random, door } = session
    const share = door.through === 'direct' ? 1 : this.#settings.writeShare
    if (this.isResting) {
      if (door.through === 'direct') return void (await new Promise((next) => setTimeout(next, 10)))
      return this.read(session)
    }
    if (!random.chance(share)) return this.read(session)
    const written = await this.write(session)
    // Its own write is what a session looks for at once, and so do others.
    if (written.length > 0 && door.through === 'sluice' && random.chance(0.6)) await this.read(session, written)
  }

  private get isResting(): boolean {
    const { rhythm, nowMs } = this.#settings
    return rhythm !== null && nowMs() % (rhythm.writeMs + rhythm.restMs) > rhythm.writeMs
  }

  private async write(session: Session): Promise<readonly number[]> {
    const { random, door } = session
    const free = ITEMS.filter(({ id }) => !this.#busy.has(id))
    if (free.length === 0) return []
    const count = 1 + random.below(3)
    const items = [...new Set(Array.from({ length: count }, () => random.pick(free)))]
    const plan = planWrite(random, items, {
      engine: this.#settings.engine,
      versionOf: ({ id }) => this.#versions[id]! + 1,
      name: `${session.name}_${this.#ids}`,
      escapes: this.#escapes,
    })
    const sights = plan.writes.flat()
    for (const { item, version } of sights) {
      this.#busy.add(item)
      this.#versions[item] = version
    }
    const { name, through } = { name: session.name, through: door.through }
    const ids = plan.writes.map((puts) => {
      const id = ++this.#ids
      this.tell({ what: 'writes', id, ms: this.nowMs(), session: name, through, puts, how: plan.how })
      return id
    })
    if (plan.escapes) this.#escaping += 1
    const fate = await this.carryOut(session, plan)
    if (plan.escapes) this.#escaping -= 1
    for (const id of ids) this.tell({ what: fate, id, ms: this.nowMs() })
    for (const { item } of sights) this.#busy.delete(item)
    if (fate !== 'wrote') return []
    this.count(plan.how)
    const written = sights.map(({ item }) => item)
    this.#recent = [...written, ...this.#recent].slice(0, RECENT_MAX)
    return written
  }

  private async carryOut(session: Session, plan: WritePlan): Promise<'wrote' | 'undone' | 'unknown'> {
    let at = 0
    try {
      for (; at < plan.steps.length; at++) await session.ask(plan.steps[at]!)
      return plan.isUndone ? 'undone' : 'wrote'
    } catch (error) {
      this.failed(error, plan.how)
      const didNothing =
        at < plan.decidesAt || (plan.steps.length === 1 && plan.writes.length === 1 && isNothing(error))
      // A transaction is gone with its connection, and a prepared one is not.
      for (const sql of plan.mend) await session.ask({ sql, values: [], prepared: false }).catch(() => session.end())
      if (session.lost && plan.xa !== null) await this.#settings.rollBack(plan.xa)
      return didNothing ? 'undone' : 'unknown'
    }
  }

  private async read(session: Session, own: readonly number[] = []): Promise<void> {
    const { random, door } = session
    const wish = (): Item => {
      if (own.length > 0 && random.chance(0.8)) return ITEMS[random.pick(own)]!
      return this.#recent.length > 0 && random.chance(0.7) ? ITEMS[random.pick(this.#recent)]! : random.pick(ITEMS)
    }
    const items = [...new Set(Array.from({ length: 1 + random.below(3) }, wish))]
    const plan = planRead(random, items)
    const id = ++this.#ids
    const begin = () => {
      const { promised } = door
      const { name } = session
      this.tell({ what: 'reads', id, ms: this.nowMs(), session: name, promised, items: plan.items, how: plan.how })
    }
    try {
      const { saw, where } = await this.look(session, plan, begin)
      this.tell({ what: 'read', id, ms: this.nowMs(), saw, where })
      this.count(plan.how)
    } catch (error) {
      this.failed(error, plan.how)
      this.tell({ what: 'failed', id, ms: this.nowMs(), why: wordsOf(error) })
      if (plan.before.length === 0) return
      await session.ask({ sql: 'ROLLBACK', values: [], prepared: false }).catch(() => session.end())
    }
  }

  private async look(session: Session, plan: ReadPlan, begin: () => void): Promise<Seen> {
    if (plan.isSnapshot) begin()
    for (const sql of plan.before) await session.ask({ sql, values: [], prepared: false })
    if (!plan.isSnapshot) begin()
    const rows: unknown[][] = []
    for (const query of plan.queries) rows.push(...(await session.ask(query)))
    for (const sql of plan.after) await session.ask({ sql, values: [], prepared: false })
    return seenIn(rows)
  }

  private failed(error: unknown, how: string): void {
    const words = wordsOf(error)
    this.failures.set(words, (this.failures.get(words) ?? 0) + 1)
    if (!EXPECTED.has(codeOf(error)) && !EXPECTED.has((error as { code?: string }).code ?? '')) {
      this.complaints.push(`${how}: ${words}`)
    }
  }

  private count(how: string): void {
    this.done.set(how, (this.done.get(how) ?? 0) + 1)
  }

  private tell(event: Event): void {
    this.#settings.tell(event)
  }

  private nowMs(): number {
    return this.#settings.nowMs()
  }
}

class Session {
  readonly door: Door
  readonly random: Random
  readonly name: string
  lost = false
  #connection: Connection | null = null

  constructor(door: Door, random: Random, name: string) {
    this.door = door
    this.random = random
    this.name = name
  }

  async connect(): Promise<void> {
    const connection = await createConnection({
      host: '127.0.0.1',
      port: this.door.port(),
      user: 'app',
      password: 'app_pw',
      database: SCHEMA,
      multipleStatements: true,
      rowsAsArray: true,
      maxPreparedStatements: 60,
      // caching_sha2_password wants a safe way for the password.
      ...(this.door.through === 'direct' ? { ssl: { rejectUnauthorized: false } } : {}),
    })
    connection.on('error', () => {
      this.lost = true
    })
    connection.on('end', () => {
      this.lost = true
    })
    this.#connection = connection
  }

  /** All rows of all results. */
  async ask({ sql, values, prepared }: Step): Promise<unknown[][]> {
    const connection = this.#connection!
    try {
      const [answer] = await (prepared ? connection.execute(sql, [...values]) : connection.query(sql, [...values]))
      return rowsIn(answer)
    } catch (error) {
      // Whoever is connected to a writer that is none any more looks for the new one.
      const isMoved = this.door.through === 'direct' && codeOf(error) === READ_ONLY
      if (isMoved || (error as { fatal?: boolean }).fatal === true) this.end()
      throw error
    }
  }

  end(): void {
    this.lost = true
    this.#connection?.destroy()
  }
}

/** Rows are arrays, and so are lists of rows, and lists of results. */
function rowsIn(answer: unknown): unknown[][] {
  if (!Array.isArray(answer)) return []
  return answer.flatMap((each) => {
    if (!Array.isArray(each)) return []
    return Array.isArray(each[0]) ? (each as unknown[][]) : [each]
  })
}

interface Seen {
  readonly saw: readonly Sight[]
  readonly where: string | null
}

/** Item, version and place, as often as a row has room for. */
function seenIn(rows: readonly unknown[][]): Seen {
  const saw: Sight[] = []
  const places = new Set<string>()
  for (const row of rows) {
    for (let at = 0; at + 2 < row.length; at += 3) {
      saw.push({ item: Number(row[at]), version: Number(row[at + 1]) })
      if (row[at + 2] !== null) places.add(String(row[at + 2]))
    }
  }
  return { saw, where: places.size === 0 ? null : [...places].join(' and ') }
}

function codeOf(error: unknown): number | string {
  const { errno, code } = error as { errno?: number; code?: string }
  return errno ?? code ?? ''
}

function isNothing(error: unknown): boolean {
  return DID_NOTHING.has(codeOf(error))
}

function wordsOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return `${codeOf(error)} ${message.replace(/\d{4,}/g, 'N').slice(0, 160)}`
}
