// Asks every backend for its role and lag, each on a timer of its own, or at once when the data path doubts one, and
// publishes what follows. Is handed the probing, so it knows no protocol.

import type { Log } from '../log.ts'
import { ProbeFailed, type Prober } from './claim.ts'
import { answered, doubted, missed, type Observation, unobserved } from './observation.ts'
import type { TopologyKind } from './roles.ts'
import {
  changesBetween,
  nextTopology,
  type Topology,
  type TopologyPolicy,
  type TopologyStore,
  writerOf,
} from './topology.ts'

export type { Prober } from './claim.ts'

export interface MonitorOptions {
  readonly cluster: string
  readonly topology: {
    readonly kind: TopologyKind
    readonly seeds: readonly { readonly host: string; readonly port: number }[]
    /** With kind `static`: the id of the writer; null: the first seed. */
    readonly writer: string | null
  }
  readonly weights: ReadonlyMap<string, number>
  readonly lagMsMax: number
  readonly probing: { readonly intervalMs: number; readonly failuresToDown: number; readonly successesToUp: number }
  readonly prober: (host: string, port: number) => Prober
  readonly store: TopologyStore
  readonly log: Log
  readonly nowMs: () => number
}

/** While there is no writer everybody is asked this often … */
const URGENT_MS = 100
/** … for this long; then the interval is good enough. */
const URGENT_MS_MAX = 30_000
/** One backend is not asked again and again within this time, however often the data path doubts it. */
const DOUBT_MS_MIN = 20
/** Intervals differ by this share, so that proxies started together do not keep asking together. */
const JITTER_SHARE = 0.1

interface Member {
  readonly prober: Prober
  seen: Observation
  askedMs: number
  timer: NodeJS.Timeout | null
  dueMs: number
  /** The probe on its way, so that there is never a second one. */
  probing: Promise<void> | null
  /** It was doubted while a probe was on its way: that probe's answer may be older than the doubt. */
  doubtedMeanwhile: boolean
}

export class Monitor {
  readonly #options: MonitorOptions
  readonly #policy: TopologyPolicy
  readonly #members = new Map<string, Member>()
  #writerLostMs: number | null = null
  #stopped = false

  constructor(options: MonitorOptions) {
    const { topology, lagMsMax, probing, weights, prober } = options
    const { kind, seeds } = topology
    const { failuresToDown, successesToUp } = probing
    for (const { host, port } of seeds) {
      const id = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
      this.#members.set(id, {
        prober: prober(host, port),
        seen: unobserved(id, host, port, weights.get(id) ?? 1),
        askedMs: Number.NEGATIVE_INFINITY,
        timer: null,
        dueMs: 0,
        probing: null,
        doubtedMeanwhile: false,
      })
    }
    const writer = topology.writer ?? [...this.#members.keys()][0] ?? null
    this.#options = options
    this.#policy = { kind, writer, lagMsMax, failuresToDown, successesToUp }
  }

  /** Resolves after the first round: every backend has answered, or has had its time. */
  async start(): Promise<void> {
    await Promise.all(Array.from(this.#members.values(), (member) => this.ask(member)))
  }

  stop(): void {
    this.#stopped = true
    for (const { timer, prober } of this.#members.values()) {
      if (timer !== null) clearTimeout(timer)
      prober.close()
    }
  }

  /** The data path doubts a backend: nobody is sent there until a probe, sent at once, says otherwise. */
  suspect(id: string, why: string): void {
    const member = this.#members.get(id)
    if (member === undefined || this.#stopped) return
    const { trouble, blind } = member.seen
    const isNews = trouble === null || (blind && !member.seen.doubted)
    if (member.probing !== null) member.doubtedMeanwhile = true
    // What is in trouble already will be asked soon enough; a thousand sessions may all have lost the same backend.
    else if (isNews) this.askIn(member, member.askedMs + DOUBT_MS_MIN - this.#options.nowMs())
    if (!isNews) return
    member.seen = doubted(member.seen, why)
    this.publish()
  }

  private ask(member: Member): Promise<void> {
    if (member.timer !== null) clearTimeout(member.timer)
    member.timer = null
    member.probing ??= this.probe(member).finally(() => {
      member.probing = null
      const isInDoubt = member.doubtedMeanwhile
      member.doubtedMeanwhile = false
      this.askIn(member, member.askedMs + (isInDoubt ? DOUBT_MS_MIN : this.pauseMs()) - this.#options.nowMs())
    })
    return member.probing
  }

  private askIn(member: Member, ms: number): void {
    if (this.#stopped) return
    if (member.timer !== null) clearTimeout(member.timer)
    member.timer = null
    if (ms <= 0) {
      void this.ask(member)
      return
    }
    member.dueMs = this.#options.nowMs() + ms
    member.timer = setTimeout(() => void this.ask(member), ms).unref()
  }

  private pauseMs(): number {
    const { probing, nowMs } = this.#options
    const { intervalMs } = probing
    const isUrgent = this.#writerLostMs !== null && nowMs() - this.#writerLostMs < URGENT_MS_MAX
    return isUrgent ? Math.min(URGENT_MS, intervalMs) : intervalMs * (1 + JITTER_SHARE * (Math.random() - 0.5))
  }

  private async probe(member: Member): Promise<void> {
    const { nowMs } = this.#options
    member.askedMs = nowMs()
    try {
      const claim = await member.prober.probe()
      const { trouble } = member.seen
      member.seen = answered(member.seen, claim, member.askedMs, nowMs())
      if (member.doubtedMeanwhile && trouble !== null) member.seen = doubted(member.seen, trouble)
    } catch (error) {
      const failure = error instanceof ProbeFailed ? error : new ProbeFailed('network', (error as Error).message)
      member.seen = missed(member.seen, failure, member.askedMs)
    }
    if (!this.#stopped) this.publish()
  }

  private publish(): void {
    const { store, nowMs } = this.#options
    const before = store.current
    const seen = Array.from(this.#members.values(), (member) => member.seen)
    // Who of several is the writer can be told only once all of them were asked.
    if (seen.some(({ claim, failures }) => claim === null && failures === 0)) return
    const after = nextTopology(before, seen, nowMs(), this.#policy)
    if (after === before) return
    this.tell(before, after)
    if (writerOf(after) !== null) this.#writerLostMs = null
    else if (this.#writerLostMs === null) this.hurry()
    store.publish(after)
  }

  /** No writer: whoever is not being asked just now is asked soon. */
  private hurry(): void {
    const now = this.#options.nowMs()
    this.#writerLostMs = now
    const soonMs = Math.min(URGENT_MS, this.#options.probing.intervalMs)
    for (const member of this.#members.values()) {
      if (member.timer !== null && member.dueMs > now + soonMs) this.askIn(member, soonMs)
    }
  }

  private tell(before: Topology, after: Topology): void {
    const { log, cluster } = this.#options
    for (const { id, before: was, after: is } of changesBetween(before.backends, after.backends)) {
      if (is === null) continue
      const { role, health, lagMs, why } = is
      const fields = { cluster, backend: id, role, health, lagMs, why }
      if (was !== null && was.role !== role) log.info({ ...fields, was: was.role }, 'role of a backend changed')
      if (was?.health === health) continue
      if (health === 'up') log.info(fields, 'backend is up')
      else if (health === 'behind') log.warn(fields, 'reader is too far behind')
      else if (health === 'suspect') log.warn(fields, 'backend is in doubt')
      else log.warn(fields, 'backend is down')
    }
  }
}
