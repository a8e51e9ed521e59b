// Where statements wait while there is nobody to serve them: idle, holding, draining. Bounded in number, bytes and time;
// first in, first out; and let go at a pace that a writer which has only just become one can bear.

import { type ErrorCode, ProxyError } from '../errors.ts'
import type { Histogram } from '../metrics.ts'
import { type Topology, writerOf } from '../topology/topology.ts'

export interface HoldLimits {
  readonly heldMax: number
  readonly heldBytesMax: number
  /** How long there may be no writer in one failover; from then on statements fail at once. */
  readonly failoverMsMax: number
  /** Holds with less than this between them are one failover: a writer that flaps uses up its time. */
  readonly restMsMin: number
  readonly drainPerSecond: number
}

/**
 * `holding`: there is no writer, or somebody waits for one. `draining`: there is one again, and those that waited have
 * not all gone; whoever comes now queues up behind them.
 */
export type HoldState = 'idle' | 'holding' | 'draining'

/** One hold from its beginning to its end. */
export interface Drained {
  readonly startedMs: number
  readonly why: string
  /** When there was a writer again, for the last time. */
  readonly servedMs: number
  readonly endedMs: number
  /** Statements that waited for the writer; `failed` of them in vain. */
  readonly held: number
  readonly failed: number
  readonly longestWaitMs: number
}

export interface HoldObserver {
  /** Writes wait from now on. `startedMs` is of the same clock as all other times. */
  onHold(startedMs: number, why: string): void
  /** Nobody waits for the writer any more. */
  onDrained(drained: Drained): void
}

/** One statement's wait. */
export interface Wait {
  readonly target: 'writer' | 'reader'
  /** Is there somebody for it now? Asked at every new topology. */
  readonly served: (topology: Topology) => boolean
  readonly because: string
  /** What the client is told when it was in vain. */
  readonly code: ErrorCode
  readonly bytes: number
  readonly waitMsMax: number
  /** When it began to wait: it may be back, and may not wait longer for that. */
  readonly sinceMs: number
  /** The setting that `waitMsMax` comes from, for the message. */
  readonly setting: string
  /** Is handed what ends the wait early. */
  readonly waiting?: (giveUp: (error: Error) => void) => void
}

interface Held extends Wait {
  readonly letGo: (error: Error | null) => void
}

/** The hold that goes on just now. */
interface Going {
  readonly startedMs: number
  readonly why: string
  servedMs: number
  held: number
  failed: number
  longestWaitMs: number
}

const TICK_MS = 5

export class FailoverHold {
  readonly #limits: HoldLimits
  readonly #seconds: Histogram
  readonly #nowMs: () => number
  readonly #observers: HoldObserver[] = []
  readonly #held = new Set<Held>()
  #heldBytes = 0
  #state: HoldState = 'idle'
  #going: Going | null = null
  #hadWriter = false
  #endedMs = Number.NEGATIVE_INFINITY
  /** Since when there has been no writer; only while holding. */
  #holdingMs = 0
  /** What this failover has used of `failoverMsMax` before that. */
  #spentMs = 0
  #isSpent = false
  #topology: Topology | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(limits: HoldLimits, seconds: Histogram, nowMs: () => number) {
    this.#limits = limits
    this.#seconds = seconds
    this.#nowMs = nowMs
  }

  get held(): number {
    return this.#held.size
  }

  get state(): HoldState {
    return this.#state
  }

  observe(observer: HoldObserver): void {
    this.#observers.push(observer)
  }

  /** Waits until a published topology satisfies `served`, and until its turn. Rejects with ProxyError at the bounds. */
  wait(wait: Wait): Promise<void> {
    const { because, code, bytes, sinceMs, waitMsMax, setting, target } = wait
    if (target === 'writer' && this.#state === 'idle') this.begin(because)
    const why = this.full(wait)
    if (why !== null) {
      if (target === 'writer' && this.#going !== null) this.#going.failed += 1
      return Promise.reject(new ProxyError(code, `${because}; ${why}`))
    }
    this.#heldBytes += bytes
    if (target === 'writer' && this.#going !== null) this.#going.held += 1
    return new Promise((resolve, reject) => {
      const tooLate = () =>
        held.letGo(new ProxyError(code, `${because}, and that lasted longer than ${waitMsMax} ms (${setting})`))
      const deadline = setTimeout(tooLate, Math.max(0, sinceMs + waitMsMax - this.#nowMs()))
      const held: Held = {
        ...wait,
        letGo: (error) => {
          clearTimeout(deadline)
          this.#held.delete(held)
          this.#heldBytes -= bytes
          this.count(held, error)
          if (error === null) resolve()
          else reject(error)
        },
      }
      this.#held.add(held)
      wait.waiting?.((error) => held.letGo(error))
    })
  }

  /** A new topology was published: those it can serve go on, first in, first out. */
  follow(topology: Topology): void {
    this.#topology = topology
    if (writerOf(topology) !== null) {
      this.#hadWriter = true
      if (this.#state === 'holding') this.drain()
    } else if (this.#hadWriter && this.#state !== 'holding') this.begin(whyNone(topology))
    for (const held of this.#held) {
      const isPaced = held.target === 'writer' && this.#state === 'draining'
      if (!isPaced && held.served(topology)) held.letGo(null)
    }
  }

  /** Nobody will come any more. */
  close(error: ProxyError): void {
    this.settle()
    for (const held of this.#held) held.letGo(error)
  }

  /** Why one more cannot wait; null: it can. */
  private full({ target, bytes }: Wait): string | null {
    const { heldMax, heldBytesMax } = this.#limits
    if (target === 'writer' && this.#isSpent) return this.spentText()
    if (this.#held.size >= heldMax) return `${heldMax} statements already wait (hold.heldMax)`
    if (this.#heldBytes + bytes <= heldBytesMax) return null
    return `statements of ${this.#heldBytes} bytes already wait (hold.heldBytesMax)`
  }

  private count({ target, sinceMs }: Held, error: Error | null): void {
    const waitedMs = this.#nowMs() - sinceMs
    this.#seconds.observeMs(waitedMs)
    if (target === 'reader' || this.#going === null) return
    if (error !== null) this.#going.failed += 1
    this.#going.longestWaitMs = Math.max(this.#going.longestWaitMs, waitedMs)
  }

  private begin(why: string): void {
    const nowMs = this.#nowMs()
    this.settle()
    this.#state = 'holding'
    this.#holdingMs = nowMs
    if (this.#going === null) {
      if (nowMs - this.#endedMs >= this.#limits.restMsMin) this.#spentMs = 0
      this.#going = {
        startedMs: nowMs,
        why,
        servedMs: nowMs,
        held: 0,
        failed: 0,
        longestWaitMs: 0,
      }
      for (const observer of this.#observers) observer.onHold(nowMs, why)
    }
    const leftMs = this.#limits.failoverMsMax - this.#spentMs
    if (leftMs <= 0) this.spend()
    else this.#timer = setTimeout(() => this.spend(), leftMs).unref()
  }

  /** The time is up: whoever waits has waited in vain, and nobody may wait any more until there is a writer. */
  private spend(): void {
    this.#timer = null
    this.#isSpent = true
    for (const held of this.#held) {
      if (held.target === 'writer') held.letGo(new ProxyError(held.code, `${held.because}; ${this.spentText()}`))
    }
  }

  private spentText(): string {
    const { failoverMsMax, restMsMin } = this.#limits
    const times = `within less than ${restMsMin} ms of one another (hold.restMsMin)`
    return `there has been none for ${failoverMsMax} ms (hold.failoverMsMax), once or ${times}`
  }

  private drain(): void {
    const nowMs = this.#nowMs()
    this.settle()
    this.#state = 'draining'
    this.#spentMs += nowMs - this.#holdingMs
    this.#isSpent = false
    this.#going!.servedMs = nowMs
    this.release()
  }

  /** Lets as many go as the pace allows, and comes back for the others. */
  private release(): void {
    this.#timer = null
    const { drainPerSecond } = this.#limits
    const count = Math.max(1, Math.round((drainPerSecond * TICK_MS) / 1000))
    let left = count
    for (const held of this.#held) {
      if (held.target === 'reader' || !held.served(this.#topology!)) continue
      if (left === 0) {
        this.#timer = setTimeout(() => this.release(), (count * 1000) / drainPerSecond)
        return
      }
      left -= 1
      held.letGo(null)
    }
    this.end()
  }

  private end(): void {
    this.#state = 'idle'
    this.#endedMs = this.#nowMs()
    const { startedMs, why, servedMs, held, failed, longestWaitMs } = this.#going!
    const drained = { startedMs, why, servedMs, endedMs: this.#endedMs, held, failed, longestWaitMs }
    for (const observer of this.#observers) observer.onDrained(drained)
    this.#going = null
  }

  private settle(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}

function whyNone({ backends }: Topology): string {
  const writer = backends.find(({ role }) => role === 'writer')
  if (writer !== undefined) return `${writer.id} is ${writer.health}: ${writer.why}`
  return backends
    .map(({ id, role, why }) => `${id} is ${role === 'unknown' ? 'nothing' : `a ${role}`}: ${why}`)
    .join('; ')
}
