// All pools: one per backend and identity, made when first needed. They follow the topology: connections to a backend
// that left or changed its role are not used again.

import type { CloseReason, ProxyError } from '../errors.ts'
import type { Account, BackendConnection, Identity } from '../protocol/protocol.ts'
import { type Backend, type Role, type Topology, writerOf } from '../topology/topology.ts'
import { Pool, type PoolCounts, type PoolLimits } from './pool.ts'

export interface PoolsOptions {
  readonly limits: PoolLimits
  readonly connect: (backend: Backend, identity: Identity, account: Account) => Promise<BackendConnection>
  /** Does a connection say itself that it leads to a writer? */
  readonly verify: (connection: BackendConnection) => Promise<boolean>
  readonly nowMs: () => number
  readonly recentMs: () => number
  readonly onClose: (backend: string, reason: CloseReason) => void
  readonly onReset: () => void
}

interface BackendPools {
  backend: Backend
  role: Role
  lent: number
  readonly pools: Map<string, Pool>
}

export interface PoolSnapshot extends PoolCounts {
  readonly backend: string
  readonly user: string
  readonly identity: string
}

const SWEEP_MS = 1_000

export class Pools {
  readonly #options: PoolsOptions
  readonly #backends = new Map<string, BackendPools>()
  readonly #users = new Map<string, string>()
  readonly #sweeper: NodeJS.Timeout

  constructor(options: PoolsOptions) {
    this.#options = options
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_MS).unref()
  }

  /** The pool for this backend and identity. */
  of(backend: Backend, identity: Identity, account: Account): Pool {
    const entry = this.entryOf(backend)
    const pool = entry.pools.get(identity.key)
    if (pool !== undefined) return pool
    const made = this.create(entry, identity, account)
    entry.pools.set(identity.key, made)
    this.#users.set(identity.key, identity.user)
    return made
  }

  /** How many connections to this backend are at work. */
  outstanding(backend: Backend): number {
    return this.#backends.get(backend.id)?.lent ?? 0
  }

  /** What connections to a server begin with is something else now; `byLogin`: and a reset does not give it to older ones. */
  renew(backend: string, byLogin: boolean): void {
    for (const pool of this.#backends.get(backend)?.pools.values() ?? []) pool.renew(byLogin)
  }

  /** Nobody comes back to what is idle now. */
  vacate(backend: string): void {
    for (const pool of this.#backends.get(backend)?.pools.values() ?? []) pool.vacateAll()
  }

  /** What a server calls the connections that are ours. */
  serverIds(backend: string): Set<number> {
    const ids = new Set<number>()
    for (const pool of this.#backends.get(backend)?.pools.values() ?? []) for (const id of pool.serverIds) ids.add(id)
    return ids
  }

  /** The same, by backend. */
  get allServerIds(): Map<string, Set<number>> {
    return new Map(Array.from(this.#backends.keys(), (backend) => [backend, this.serverIds(backend)]))
  }

  /** A new topology was published. */
  follow(topology: Topology): void {
    const present = new Map(topology.backends.map((backend) => [backend.id, backend]))
    const hasWriter = writerOf(topology) !== null
    for (const entry of this.#backends.values()) {
      const backend = present.get(entry.backend.id)
      const role = backend?.role ?? 'unknown'
      if (backend !== undefined) entry.backend = backend
      // TCP may take minutes to notice that nobody is there any more.
      if (backend?.lost === true) for (const pool of entry.pools.values()) pool.giveUp(backend.why)
      const isDeposed = entry.role === 'writer' && role !== 'writer' && (role !== 'unknown' || hasWriter)
      // A server of unknown role is one we cannot see just now; what it was, it may still be.
      if (backend !== undefined && !isDeposed && (role === entry.role || role === 'unknown')) continue
      const isFirstSight = entry.role === 'unknown' && backend !== undefined
      const isPromoted = entry.role === 'reader' && role === 'writer'
      entry.role = role
      if (isFirstSight) continue
      for (const pool of entry.pools.values()) {
        if (isDeposed) pool.demote(`it is not the writer any more: ${backend?.why ?? 'it has left the cluster'}`)
        else if (isPromoted) pool.promote(entry.backend)
        else pool.retire()
      }
    }
  }

  snapshot(): PoolSnapshot[] {
    const rows: PoolSnapshot[] = []
    for (const [backend, { pools }] of this.#backends) {
      for (const [identity, pool] of pools) {
        rows.push({ backend, user: this.#users.get(identity) ?? '', identity, ...pool.counts })
      }
    }
    return rows
  }

  /** Resolves when no statement runs that nobody waits for, and after `msMax` in any case. */
  async settle(msMax: number): Promise<void> {
    const abandoned = [...this.#backends.values()].flatMap(({ pools }) =>
      [...pools.values()].flatMap((pool) => pool.abandoned),
    )
    if (abandoned.length === 0) return
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(resolve, msMax)
      void Promise.all(abandoned).then(() => {
        clearTimeout(deadline)
        resolve()
      })
    })
  }

  close(error: ProxyError): void {
    clearInterval(this.#sweeper)
    for (const { pools } of this.#backends.values()) for (const pool of pools.values()) pool.close(error)
  }

  private entryOf(backend: Backend): BackendPools {
    const known = this.#backends.get(backend.id)
    if (known !== undefined) return known
    const entry: BackendPools = { backend, role: backend.role, lent: 0, pools: new Map() }
    this.#backends.set(backend.id, entry)
    return entry
  }

  private create(entry: BackendPools, identity: Identity, account: Account): Pool {
    const { limits, connect, verify, nowMs, recentMs, onClose, onReset } = this.#options
    return new Pool({
      name: entry.backend.id,
      limits,
      open: () => connect(entry.backend, identity, account),
      verify,
      nowMs,
      recentMs,
      onClose: (reason) => onClose(entry.backend.id, reason),
      onLent: (difference) => {
        entry.lent += difference
      },
      onReset,
    })
  }

  private sweep(): void {
    for (const { pools } of this.#backends.values()) {
      for (const [key, pool] of pools) {
        pool.sweep()
        if (pool.empty) pools.delete(key)
      }
    }
  }
}
