// The living sessions: numbering, counting, listing, killing, draining.

import { ProxyError } from '../errors.ts'
import type { Pin } from '../routing/session-state.ts'
import type { KillRequest, RouteHint } from '../sql/classification.ts'

/** A session as operators see it. */
export interface SessionSnapshot {
  readonly id: number
  readonly cluster: string
  readonly user: string
  readonly schema: string | null
  readonly clientAddress: string
  readonly state: 'idle' | 'active' | 'waiting'
  /** When the last request came. */
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
  readonly snapshot: SessionSnapshot
  kill(what: KillRequest['what']): Promise<void>
  drain(): void
  end(reason: 'proxy draining'): void
}

/** Our numbers are far above those that servers give, so that KILL of a server's own number still reaches the server. */
const FIRST_ID = 0x4000_0000
const LAST_ID = 0x7fff_ffff

export class Sessions {
  readonly #living = new Map<number, LivingSession>()
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

  /** Throws ProxyError when there is no such session, or it is somebody else's. */
  async kill(id: number, what: KillRequest['what'], by: { readonly user: string }): Promise<void> {
    const session = this.#living.get(id)
    if (session === undefined) throw new ProxyError('UNKNOWN_SESSION', `Unknown thread id: ${id}`)
    if (session.user !== by.user) throw new ProxyError('KILL_DENIED', `You are not owner of thread ${id}`)
    await session.kill(what)
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
