// The living sessions: numbering, counting, listing, killing, draining.

import type { Pin } from '../routing/session-state.ts'
import type { KillRequest, RouteHint } from '../sql/classification.ts'
import type { Process } from './processes.ts'

/** A session as operators see it. */
export interface SessionSnapshot {
  readonly id: number
  readonly cluster: string
  readonly user: string
  readonly schema: string | null
  readonly clientAddress: string
  readonly state: 'idle' | 'active' | 'waiting'
  /** When the request in flight came; of an idle session, when the last one was done. */
  readonly sinceMs: number
  readonly transaction: 'none' | 'open' | 'read-only'
  readonly autocommit: boolean
  readonly override: RouteHint | null
  readonly pins: readonly Pin[]
  readonly variables: ReadonlyMap<string, string>
  /** The user variables whose values only a connection knows; they would be lost with it. */
  readonly unreadVariables: readonly string[]
  readonly backend: string | null
  readonly statements: number
}

export interface LivingSession {
  readonly id: number
  readonly user: string
  readonly cluster: string
  readonly snapshot: SessionSnapshot
  readonly process: Process
  /** Is this the server's connection that it is using? */
  uses(backend: string, serverId: number): boolean
  kill(what: KillRequest['what']): Promise<void>
  drain(): void
  end(reason: 'proxy draining'): void
}

/** A session that may be another process's, as far as whoever kills needs to know it. */
export type Victim = Pick<LivingSession, 'user' | 'kill'>

/** The sessions that other processes serve behind the same sockets. */
export interface Siblings {
  /** As `processes`, and what backends call the connections of those processes, by backend. */
  processes(cluster: string, user: string | null): Promise<SiblingProcesses>
  /** Those sessions that `who` is about. */
  victims(who: Wanted): Promise<readonly Victim[]>
}

export interface SiblingProcesses {
  readonly processes: readonly Process[]
  readonly serverIds: ReadonlyMap<string, ReadonlySet<number>>
}

/** Which sessions of a cluster: one by our number or by that of the connection to the writer it is using; or a user's. */
export type Wanted = { readonly cluster: string } & (
  | { readonly id: number; readonly writer: string | null }
  | { readonly user: string }
)

/** Our numbers are far above those that servers give, so that KILL of a server's own number still reaches the server. */
const FIRST_ID = 0x4000_0000
const LAST_ID = 0x7fff_ffff

/** How long a session that is to retire may say nothing, and how often it is looked at. */
const REST_MS = 1_000
const SWEEP_MS = 100

export class Sessions {
  readonly #living = new Map<number, LivingSession>()
  /** Clients that are still logging in, on whatever listener; they are not living yet, and count against the limit. */
  #arriving = 0
  /** Null: there are none. */
  readonly siblings: Siblings | null
  readonly #nowMs: () => number
  #lastId = FIRST_ID
  #isDraining = false
  #emptied: (() => void) | null = null

  constructor(nowMs: () => number = () => performance.now(), siblings: Siblings | null = null) {
    this.#nowMs = nowMs
    this.siblings = siblings
  }

  get count(): number {
    return this.#living.size
  }

  /** A number for a new client connection; not given again while it is in use. */
  issueId(): number {
    do this.#lastId = following(this.#lastId)
    while (this.#living.has(this.#lastId))
    return this.#lastId
  }

  /** What the next one will be; who takes over from another process goes on where that stopped. */
  get nextId(): number {
    return following(this.#lastId)
  }

  set nextId(id: number) {
    this.#lastId = id > LAST_ID ? FIRST_ID : id - 1
  }

  /** Is this one of our numbers, whether or not its session still lives? */
  issued(id: number): boolean {
    return id > FIRST_ID && id <= LAST_ID
  }

  get arriving(): number {
    return this.#arriving
  }

  set arriving(count: number) {
    this.#arriving = count
    if (this.isEmpty) this.#emptied?.()
  }

  add(session: LivingSession): void {
    this.#living.set(session.id, session)
    if (this.#isDraining) session.drain()
  }

  remove(session: LivingSession): void {
    this.#living.delete(session.id)
    if (this.isEmpty) this.#emptied?.()
  }

  list(): SessionSnapshot[] {
    return Array.from(this.#living.values(), (session) => session.snapshot)
  }

  /** The numbers of a cluster's sessions. */
  idsOf(cluster: string): Set<number> {
    const ids = new Set<number>()
    for (const session of this.#living.values()) if (session.cluster === cluster) ids.add(session.id)
    return ids
  }

  /** The sessions of a cluster as processes; `user`: those of one user only. */
  processes(cluster: string, user: string | null): Process[] {
    const processes: Process[] = []
    for (const session of this.#living.values()) {
      if (session.cluster === cluster && (user === null || session.user === user)) processes.push(session.process)
    }
    return processes
  }

  /** Those that are meant, of this process. */
  wanted(who: Wanted): LivingSession[] {
    if ('user' in who) return this.where(({ user, cluster }) => user === who.user && cluster === who.cluster)
    const named = this.#living.get(who.id)
    if (named?.cluster === who.cluster) return [named]
    const { id, writer } = who
    return writer === null ? [] : this.where((session) => session.uses(writer, id)).slice(0, 1)
  }

  byId(id: number): LivingSession | null {
    return this.#living.get(id) ?? null
  }

  private where(holds: (session: LivingSession) => boolean): LivingSession[] {
    return [...this.#living.values()].filter(holds)
  }

  /** Resolves once every session has ended: by itself when free, or at the deadline. */
  async drain(drainMsMax: number): Promise<void> {
    this.#isDraining = true
    for (const session of [...this.#living.values()]) session.drain()
    const isEmpty = await this.emptied(drainMsMax)
    if (!isEmpty) for (const session of [...this.#living.values()]) session.end('proxy draining')
  }

  /**
   * The same where newcomers go elsewhere already, and nobody needs to be hurried: for half of the time only those are
   * ended that have said nothing for a while, so that who comes, asks and goes is served to the end.
   */
  async retire(drainMsMax: number): Promise<void> {
    const sweeper = setInterval(() => {
      for (const session of [...this.#living.values()]) {
        const { state, sinceMs } = session.snapshot
        if (state === 'idle' && this.#nowMs() - sinceMs > REST_MS) session.drain()
      }
    }, SWEEP_MS)
    await this.emptied(drainMsMax / 2)
    clearInterval(sweeper)
    await this.drain(drainMsMax / 2)
  }

  /** Resolves once nobody is here and nobody is coming, with true; and after `msMax` in any case. */
  private async emptied(msMax: number): Promise<boolean> {
    if (this.isEmpty) return true
    return new Promise<boolean>((resolve) => {
      const deadline = setTimeout(() => resolve(false), msMax)
      this.#emptied = () => {
        clearTimeout(deadline)
        resolve(true)
      }
    })
  }

  private get isEmpty(): boolean {
    return this.#living.size === 0 && this.#arriving === 0
  }
}

function following(id: number): number {
  return id >= LAST_ID ? FIRST_ID + 1 : id + 1
}
