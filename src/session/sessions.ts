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

/** Our numbers are far above those that servers give, so that KILL of a server's own number still reaches the server. */
const FIRST_ID = 0x4000_0000
const LAST_ID = 0x7fff_ffff

export class Sessions {
  readonly #living = new Map<number, LivingSession>()
  /** Clients that are still logging in, on whatever listener; they are not living yet, and count against the limit. */
  arriving = 0
  #nextId = FIRST_ID
  #emptied: (() => void) | null = null

  get count(): number {
    return this.#living.size
  }

  /** A number for a new client connection; not given again while it is in use. */
  issueId(): number {
    do this.#nextId = this.#nextId >= LAST_ID ? FIRST_ID : this.#nextId + 1
    while (this.#living.has(this.#nextId))
    return this.#nextId
  }

  /** Is this one of our numbers, whether or not its session still lives? */
  issued(id: number): boolean {
    return id > FIRST_ID && id <= LAST_ID
  }

  add(session: LivingSession): void {
    this.#living.set(session.id, session)
  }

  remove(session: LivingSession): void {
    this.#living.delete(session.id)
    if (this.#living.size === 0) this.#emptied?.()
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

  /** The sessions of one user of a cluster. */
  ofUser(user: string, cluster: string): LivingSession[] {
    return [...this.#living.values()].filter((session) => session.user === user && session.cluster === cluster)
  }

  /** The session of this number among those of a cluster. */
  find(id: number, cluster: string): LivingSession | null {
    const session = this.#living.get(id)
    return session?.cluster === cluster ? session : null
  }

  /** The session that is using a server's connection just now. */
  user(backend: string, serverId: number): LivingSession | null {
    for (const session of this.#living.values()) if (session.uses(backend, serverId)) return session
    return null
  }

  /** Resolves once every session has ended: by itself when free, or at the deadline. */
  async drain(drainMsMax: number): Promise<void> {
    for (const session of [...this.#living.values()]) session.drain()
    if (this.#living.size === 0) return
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(() => {
        for (const session of [...this.#living.values()]) session.end('proxy draining')
        resolve()
      }, drainMsMax)
      this.#emptied = () => {
        clearTimeout(deadline)
        resolve()
      }
    })
  }
}
