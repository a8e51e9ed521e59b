// The connections to one backend for one identity. Each is in exactly one place, and only move() changes which.
//
// A connection given back keeps the name of who used it last, its keeper: while nobody else needs it, the keeper finds
// everything in place when it comes back. Before anybody else gets it, what the keeper left is saved, and wiped out.

import { type CloseReason, ProxyError } from '../errors.ts'
import { type BackendConnection, ConnectFailed, type Settings } from '../protocol/protocol.ts'
import { sameSettings } from '../protocol/settings.ts'
import type { Backend } from '../topology/topology.ts'
import { IdleList, type Linked } from './idle-list.ts'

type Place = 'idle' | 'lent' | 'cleaning' | 'closed'

export interface PoolLimits {
  readonly connectionsMax: number
  readonly openingMax: number
  readonly idleMsMax: number
  readonly lifetimeMsMax: number
  readonly waitMsMax: number
  readonly waitersMax: number
  /** How long a statement may run on when its session is gone; null: until it ends. */
  readonly abandonedMsMax: number | null
}

/** Whoever takes and gives back connections. */
export interface Keeper {
  readonly settings: Settings
  /** Has it left something on that connection that must be saved before the connection goes to somebody else? */
  leaves(lease: Lease): boolean
  /** Saves it: asked once, before `hands` grows. False: that cannot be done. Rejects with BackendLost. */
  readOut(lease: Lease): Promise<boolean>
  /** Takes a connection back on which it left what cannot be saved. False: it does not matter any more. */
  keeps(lease: Lease): boolean
}

/** One connection of a pool, and where it is. */
export interface Lease extends Linked<Lease> {
  readonly pool: Pool
  readonly connection: BackendConnection
  /** Who used it last; everything it left there is still in place. */
  keeper: Keeper | null
  /** Grows whenever it goes to another keeper, or what the last one left there is wiped out. */
  hands: number
  place: Place
  sinceMs: number
  /** It must not be lent again: too old, or its backend has changed its role. */
  retired: boolean
  /** It is for nobody but its keeper: something has been set on its server that only new connections go by. */
  outdated: boolean
  readonly expiresMs: number
}

interface Waiter {
  readonly keeper: Keeper
  readonly resolve: (lease: Lease) => void
  readonly reject: (error: Error) => void
  readonly deadline: NodeJS.Timeout
}

/** A server that has only just become the writer lets the first in the sooner the fewer knock together. */
const OPENING_AT_FIRST = 2

export interface PoolOptions {
  /** For messages: the backend's address. */
  readonly name: string
  readonly limits: PoolLimits
  readonly open: () => Promise<BackendConnection>
  /** Does the connection itself say that it leads to a writer? */
  readonly verify: (connection: BackendConnection) => Promise<boolean>
  readonly nowMs: () => number
  /** What `nowMs` told last: connections go to and fro with every statement, and somebody has just asked. */
  readonly recentMs: () => number
  readonly onClose: (reason: CloseReason) => void
  /** Called when the number of lent connections changes. */
  readonly onLent: (difference: 1 | -1) => void
  readonly onReset: () => void
}

export interface PoolCounts {
  readonly idle: number
  readonly lent: number
  readonly cleaning: number
  readonly opening: number
  readonly waiting: number
}

export class Pool {
  readonly #options: PoolOptions
  readonly #leases = new Set<Lease>()
  /** Oldest first, so that the ends of it are the fairest to take from and the warmest to reuse. */
  readonly #idle = new IdleList<Lease>()
  readonly #waiters = new Set<Waiter>()
  readonly #abandoned = new Set<Promise<void>>()
  #opening = 0
  #cleaning = 0
  #retired = false
  /** Grows whenever what there was is retired. */
  #generation = 0
  /** Connections opened since then. */
  #openedSince = 0
  /** Grows whenever connections begin with something else. */
  #renewals = 0

  constructor(options: PoolOptions) {
    this.#options = options
  }

  get counts(): PoolCounts {
    const [idle, cleaning] = [this.#idle.size, this.#cleaning]
    const lent = this.#leases.size - idle - cleaning
    return { idle, lent, cleaning, opening: this.#opening, waiting: this.#waiters.size }
  }

  /** What the server calls the connections of this pool. */
  get serverIds(): number[] {
    return Array.from(this.#leases, ({ connection }) => connection.serverId)
  }

  get empty(): boolean {
    return this.#leases.size === 0 && this.#opening === 0 && this.#waiters.size === 0
  }

  /**
   * A connection for this keeper: the one it used last if that is still free, else one whose settings match, else any,
   * else a new one, else the first that is given back. At once where one is free.
   * Rejects with ProxyError (wait too long, too many waiting) or ConnectFailed. `waitMsMax`: where that is less than the settings say.
   */
  acquire(keeper: Keeper, waitMsMax?: number): Lease | Promise<Lease> {
    const lease = this.take(keeper)
    if (lease !== null) return lease
    // Those who wait have a connection cleared for each of them, as long as there are any.
    const other = this.choose(keeper)
    if (other !== null) this.clear(other)
    return this.wait(keeper, Math.min(waitMsMax ?? Number.POSITIVE_INFINITY, this.#options.limits.waitMsMax))
  }

  /** The same, if one is free just as it is. */
  take(keeper: Keeper): Lease | null {
    // Nobody overtakes those who wait.
    if (this.#waiters.size > 0) return null
    const lease = this.choose(keeper)
    if (lease === null || !isReadyFor(keeper, lease)) return null
    this.lend(lease, keeper)
    return lease
  }

  /** Takes `lease` again if nobody has touched it since this keeper gave it back. */
  reclaim(lease: Lease, keeper: Keeper): boolean {
    if (lease.place !== 'idle' || lease.keeper !== keeper || lease.retired) return false
    this.lend(lease, keeper)
    return true
  }

  /** Takes a connection back. */
  release(lease: Lease): void {
    if (lease.connection.broken) return this.discard(lease, 'backend lost')
    if (lease.retired || this.#options.recentMs() >= lease.expiresMs) return this.dismiss(lease, 'proxy retired')
    // Nobody will come back to it as it is.
    if (lease.keeper === null && lease.connection.dirty) return this.clear(lease)
    this.makeIdle(lease)
  }

  /** Closes a connection. In doubt about a connection, this is what to do. */
  discard(lease: Lease, reason: CloseReason): void {
    if (lease.place === 'closed') return
    this.move(lease, 'closed')
    lease.connection.close(reason)
    this.#options.onClose(reason)
    this.openForWaiters()
  }

  /**
   * Takes a connection back in the middle of a statement that nobody waits for. It counts as one of the pool's until the
   * statement has ended, or the server was told to end it.
   */
  abandon(lease: Lease, reason: CloseReason, msMax = this.#options.limits.abandonedMsMax): void {
    const { connection } = lease
    lease.keeper = null
    this.move(lease, 'cleaning')
    const over = connection.finish(msMax).then(async (how) => {
      if (how === 'running') await connection.kill()
      this.#abandoned.delete(over)
      if (lease.place !== 'cleaning') return
      if (how !== 'ended') return this.discard(lease, reason)
      connection.dirty = true
      this.release(lease)
    })
    this.#abandoned.add(over)
  }

  /** The statements that nobody waits for; each ends with the statement. */
  get abandoned(): readonly Promise<void>[] {
    return [...this.#abandoned]
  }

  /** Whoever waits with this keeper gives up. */
  withdraw(keeper: Keeper, error: Error): void {
    for (const waiter of this.#waiters) if (waiter.keeper === keeper) this.settle(waiter, error)
  }

  /** Nobody will come back for what this keeper left. */
  forget(lease: Lease, keeper: Keeper): void {
    if (lease.keeper !== keeper) return
    lease.keeper = null
    if (lease.place === 'idle' && lease.connection.dirty) this.clear(lease)
  }

  /** The keeper wants what it left there saved now. */
  vacate(lease: Lease, keeper: Keeper): void {
    if (lease.place === 'idle' && lease.keeper === keeper) this.clear(lease)
  }

  /** What all keepers left is saved now, and they come back to nothing. */
  vacateAll(): void {
    for (const lease of this.#idle.all) if (lease.keeper !== null) this.clear(lease)
  }

  /** Idle connections close now, lent ones when they are given back; later ones are opened anew. */
  retire(): void {
    this.#generation += 1
    this.#openedSince = 0
    for (const lease of [...this.#leases]) {
      lease.retired = true
      if (lease.place === 'idle') this.dismiss(lease, 'proxy retired')
    }
  }

  /**
   * The backend is the writer now. What is idle is used again once it has said itself that it takes writes, which is sooner
   * than a new one could; what is lent is closed when it is given back.
   */
  promote(backend: Backend): void {
    this.#generation += 1
    this.#openedSince = 0
    for (const lease of this.#leases) {
      if (lease.place !== 'idle') lease.retired = true
    }
    for (const lease of this.#idle.all) void this.verify(lease, backend)
  }

  private async verify(lease: Lease, backend: Backend): Promise<void> {
    const { connection } = lease
    this.move(lease, 'cleaning')
    connection.backend = backend
    const isWriter = await this.#options.verify(connection).catch(() => false)
    if (lease.place !== 'cleaning') return
    if (isWriter) this.release(lease)
    else this.discard(lease, 'proxy in doubt')
  }

  /**
   * The backend is not the writer any more. What sessions hold there is of no use, and in the way of the next writer's; what
   * waits for it wants the writer, and goes elsewhere.
   */
  demote(why: string): void {
    this.turnAway(new ConnectFailed('network', why, null))
    this.retire()
    for (const { place, connection } of [...this.#leases]) if (place === 'lent') connection.giveUpSoon(why)
  }

  /** The backend answers no more. What waits for it goes elsewhere; what was sent there counts as lost. */
  giveUp(why: string): void {
    for (const { connection } of [...this.#leases]) connection.giveUp(why)
    this.turnAway(new ConnectFailed('network', why, null))
  }

  /** Retires everything, and turns away who waits. The pool is not used again. */
  close(error: Error): void {
    this.#retired = true
    this.retire()
    this.turnAway(error)
  }

  /**
   * What connections begin with is something else now: whoever comes begins with that, and whoever is there goes on with
   * what was. Some of it takes more than a reset: `byLogin`.
   */
  renew(byLogin: boolean): void {
    this.#renewals += 1
    // What is being opened may have logged in before.
    if (byLogin) this.#generation += 1
    for (const lease of [...this.#leases]) {
      lease.connection.dirty = true
      lease.outdated ||= byLogin
      if (lease.place === 'idle' && lease.keeper === null) this.clear(lease)
    }
  }

  /** Closes what has been idle or alive for too long. Called every second or so. */
  sweep(): void {
    const nowMs = this.#options.nowMs()
    const { idleMsMax } = this.#options.limits
    for (const lease of this.#idle.all) {
      if (nowMs - lease.sinceMs >= idleMsMax) this.dismiss(lease, 'proxy idle')
      else if (nowMs >= lease.expiresMs) this.dismiss(lease, 'proxy lifetime')
    }
  }

  /** Closes a connection in good order: what its keeper left there is saved first. */
  private dismiss(lease: Lease, reason: CloseReason): void {
    if (lease.keeper?.leaves(lease) === true) this.clear(lease, reason)
    else this.discard(lease, reason)
  }

  /**
   * Saves and wipes out what the keeper left, in the background; then whoever waits gets the connection, unless there is a
   * reason to close it.
   */
  private clear(lease: Lease, reason: CloseReason | null = null): void {
    const { keeper } = lease
    const saving = keeper?.leaves(lease) === true ? keeper.readOut(lease) : null
    lease.keeper = null
    lease.hands += 1
    this.move(lease, 'cleaning')
    void this.cleared(lease, keeper, saving)
      .catch(() => false)
      .then((isClean) => {
        if (lease.place !== 'cleaning') return
        if (!isClean) this.discard(lease, 'proxy reset failed')
        else if (lease.retired || lease.outdated || reason !== null) this.discard(lease, reason ?? 'proxy retired')
        else this.makeIdle(lease)
      })
  }

  private async cleared(lease: Lease, keeper: Keeper | null, saving: Promise<boolean> | null): Promise<boolean> {
    if (saving !== null && !(await saving) && this.isKept(lease, keeper!)) return true
    if (!lease.connection.dirty || lease.outdated) return true
    let renewals: number
    do {
      renewals = this.#renewals
      this.#options.onReset()
      if (!(await lease.connection.reset())) return false
      // Nobody knows which came first, the reset or what it was to bring.
    } while (renewals !== this.#renewals)
    return true
  }

  /** What cannot be saved stays where it is, and the connection with its keeper, as if nobody had asked for it. */
  private isKept(lease: Lease, keeper: Keeper): boolean {
    if (lease.place !== 'cleaning' || lease.retired) return false
    lease.hands -= 1
    if (!keeper.keeps(lease)) {
      lease.hands += 1
      return false
    }
    lease.keeper = keeper
    this.move(lease, 'lent')
    this.openForWaiters()
    return true
  }

  private choose(keeper: Keeper): Lease | null {
    let best: Lease | null = null
    let bestRank = -1
    // The most recently used is the warmest; the kept ones are taken from who has waited longest with them.
    for (let lease = this.#idle.first; lease !== null; lease = lease.after) {
      if (lease.keeper === keeper) return lease
      const rank = rankOf(lease, keeper)
      if (rank > bestRank || (rank === bestRank && lease.keeper === null)) {
        best = lease
        bestRank = rank
      }
    }
    return best
  }

  private wait(keeper: Keeper, waitMsMax: number): Promise<Lease> {
    const { waitersMax } = this.#options.limits
    if (this.#waiters.size >= waitersMax) {
      const text = `${waitersMax} statements already wait for a connection to ${this.#options.name} (pool.waitersMax)`
      return Promise.reject(new ProxyError('POOL_WAITERS_MAX', text))
    }
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => this.settle(waiter, this.waitedTooLong()), waitMsMax)
      const waiter: Waiter = { keeper, resolve, reject, deadline }
      this.#waiters.add(waiter)
      this.openForWaiters()
    })
  }

  private waitedTooLong(): ProxyError {
    const { connectionsMax, waitMsMax } = this.#options.limits
    const { lent, opening } = this.counts
    const text =
      `no connection to ${this.#options.name} became free within ${waitMsMax} ms (pool.waitMsMax): ` +
      `${lent} of ${connectionsMax} (pool.connectionsMax) are in use, ${opening} are being opened`
    return new ProxyError('POOL_WAIT_TIMEOUT', text)
  }

  private openForWaiters(): void {
    const { connectionsMax, openingMax } = this.#options.limits
    while (
      !this.#retired &&
      // What is being cleared serves one of them in a moment.
      this.#opening + this.#cleaning < this.#waiters.size &&
      this.#opening < Math.min(openingMax, OPENING_AT_FIRST + this.#openedSince) &&
      this.#leases.size + this.#opening < connectionsMax
    ) {
      this.#opening += 1
      const [generation, renewals] = [this.#generation, this.#renewals]
      void this.#options.open().then(
        (connection) => {
          if (renewals !== this.#renewals) connection.dirty = true
          this.opened(connection, generation)
        },
        (error: Error) => this.openFailed(error),
      )
    }
  }

  private opened(connection: BackendConnection, generation: number): void {
    this.#opening -= 1
    this.#openedSince += 1
    const { nowMs, limits } = this.#options
    // Spread over a tenth of the lifetime, or all that were opened together would end together.
    const expiresMs = nowMs() + limits.lifetimeMsMax * (0.9 + Math.random() / 10)
    // Its backend may have changed its role meanwhile.
    const retired = this.#retired || generation !== this.#generation
    const lease: Lease = {
      pool: this,
      connection,
      keeper: null,
      hands: 0,
      place: 'lent',
      sinceMs: nowMs(),
      retired,
      outdated: false,
      expiresMs,
      before: null,
      after: null,
    }
    this.#leases.add(lease)
    this.#options.onLent(1)
    connection.onLost = () => {
      if (lease.place !== 'lent') this.discard(lease, 'backend lost')
    }
    if (retired) this.discard(lease, 'proxy retired')
    else this.makeIdle(lease)
    this.openForWaiters()
  }

  private openFailed(error: Error): void {
    this.#opening -= 1
    const isFull = error instanceof ConnectFailed && error.kind === 'capacity'
    // A full server still serves the connections we have: whoever waits may get one of those.
    if (isFull && this.#leases.size > 0) return
    const first = this.#waiters.values().next().value
    if (first !== undefined) this.settle(first, error)
    this.openForWaiters()
  }

  private makeIdle(lease: Lease): void {
    this.move(lease, 'idle')
    const first = this.#waiters.values().next().value
    if (first === undefined) return
    if (!isReadyFor(first.keeper, lease)) return this.clear(lease)
    this.lend(lease, first.keeper)
    this.settle(first, lease)
  }

  private turnAway(error: Error): void {
    for (const waiter of this.#waiters) this.settle(waiter, error)
  }

  private settle(waiter: Waiter, outcome: Lease | Error): void {
    this.#waiters.delete(waiter)
    clearTimeout(waiter.deadline)
    if (outcome instanceof Error) waiter.reject(outcome)
    else waiter.resolve(outcome)
  }

  private lend(lease: Lease, keeper: Keeper): void {
    this.move(lease, 'lent')
    if (lease.keeper === keeper) return
    lease.keeper = keeper
    lease.hands += 1
  }

  private move(lease: Lease, to: Place): void {
    const from = lease.place
    if (from === to) return
    if (from === 'idle') this.#idle.remove(lease)
    if (from === 'cleaning') this.#cleaning -= 1
    if (from === 'lent') this.#options.onLent(-1)
    lease.place = to
    lease.sinceMs = this.#options.recentMs()
    if (to === 'idle') this.#idle.add(lease)
    if (to === 'cleaning') this.#cleaning += 1
    if (to === 'lent') this.#options.onLent(1)
    if (to === 'closed') this.#leases.delete(lease)
  }
}

/** Can this keeper have it just as it is? */
function isReadyFor(keeper: Keeper, lease: Lease): boolean {
  if (lease.keeper === keeper) return true
  return !lease.connection.dirty && lease.keeper?.leaves(lease) !== true
}

/** The cheaper it is to give, the higher: ready at all, settings that match, nobody who may come back for it. */
function rankOf(lease: Lease, keeper: Keeper): number {
  if (!isReadyFor(keeper, lease)) return 0
  return 1 + (sameSettings(lease.connection.settings, keeper.settings) ? 2 : 0) + (lease.keeper === null ? 1 : 0)
}
