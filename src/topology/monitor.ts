// Asks every backend for its role and lag, on a timer or at once when the data path doubts one, and publishes what
// follows. Probes have connections of their own. Is handed the probing, so it knows no protocol.

import type { Log } from '../log.ts'
import type { Claim, TopologyKind } from './roles.ts'
import { nextTopology, type Observation, type Topology, type TopologyPolicy, type TopologyStore } from './topology.ts'

/** A connection to one backend that answers what it is; opened on demand. Rejects when it does not, within its time. */
export interface Prober {
  probe(): Promise<Claim>
  close(): void
}

export interface MonitorOptions {
  readonly cluster: string
  readonly topology: {
    readonly kind: TopologyKind
    readonly seeds: readonly { readonly host: string; readonly port: number }[]
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

/** While there is no writer the question is asked this often. */
const URGENT_MS = 100
/** … for this long; then the interval is good enough. */
const URGENT_MS_MAX = 30_000

interface Member {
  readonly prober: Prober
  seen: Observation
  /** The probe on its way, so that there is never a second one. */
  probing: Promise<void> | null
  /** It was doubted while a probe was on its way: that probe's answer may be older than the doubt. */
  doubted: boolean
}

export class Monitor {
  readonly #options: MonitorOptions
  readonly #policy: TopologyPolicy
  readonly #members = new Map<string, Member>()
  #timer: NodeJS.Timeout | null = null
  #writerLostMs: number | null = null
  #stopped = false

  constructor(options: MonitorOptions) {
    const { topology, lagMsMax, probing, weights, prober } = options
    const { failuresToDown, successesToUp } = probing
    this.#options = options
    this.#policy = { kind: topology.kind, writer: topology.writer, lagMsMax, failuresToDown, successesToUp }
    for (const { host, port } of topology.seeds) {
      const id = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
      const weight = weights.get(id) ?? 1
      const seen = { id, host, port, weight, claim: null, successes: 0, failures: 0, trouble: null }
      this.#members.set(id, { prober: prober(host, port), seen, probing: null, doubted: false })
    }
  }

  /** Resolves after the first round: every backend has answered, or has had its time. */
  async start(): Promise<void> {
    await this.round()
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    for (const { prober } of this.#members.values()) prober.close()
  }

  /** The data path doubts a backend: nobody is sent there until a probe, sent at once, says otherwise. */
  suspect(id: string, why: string): void {
    const member = this.#members.get(id)
    if (member === undefined || this.#stopped) return
    if (member.probing !== null) {
      if (member.doubted) return
      member.doubted = true
    }
    member.seen = { ...member.seen, trouble: why }
    this.publish()
    void this.ask(member)
  }

  private async round(): Promise<void> {
    await Promise.all(Array.from(this.#members.values(), (member) => this.ask(member)))
    if (this.#stopped) return
    const waitMs = this.urgent()
      ? Math.min(URGENT_MS, this.#options.probing.intervalMs)
      : this.#options.probing.intervalMs
    this.#timer = setTimeout(() => void this.round(), waitMs).unref()
  }

  private urgent(): boolean {
    return this.#writerLostMs !== null && this.#options.nowMs() - this.#writerLostMs < URGENT_MS_MAX
  }

  private ask(member: Member): Promise<void> {
    member.probing ??= this.probe(member).finally(() => {
      member.probing = null
      if (!member.doubted) return
      member.doubted = false
      if (!this.#stopped) void this.ask(member)
    })
    return member.probing
  }

  private async probe(member: Member): Promise<void> {
    try {
      const claim = await member.prober.probe()
      const { seen, doubted } = member
      const trouble = doubted ? seen.trouble : null
      member.seen = { ...seen, claim, successes: seen.successes + 1, failures: 0, trouble }
    } catch (error) {
      const { seen } = member
      const trouble = (error as Error).message
      member.seen = { ...seen, successes: 0, failures: seen.failures + 1, trouble }
    }
    if (!this.#stopped) this.publish()
  }

  private publish(): void {
    const { store, nowMs } = this.#options
    const before = store.current
    const seen = Array.from(this.#members.values(), (member) => member.seen)
    const after = nextTopology(before, seen, nowMs(), this.#policy)
    if (after === before) return
    this.tell(before, after)
    const hasWriter = after.backends.some(({ role, health }) => role === 'writer' && health === 'up')
    if (hasWriter) this.#writerLostMs = null
    else if (this.#writerLostMs === null) this.hurry()
    store.publish(after)
  }

  /** No writer: the next round is not waited for. */
  private hurry(): void {
    this.#writerLostMs = this.#options.nowMs()
    if (this.#timer === null) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.round(), URGENT_MS).unref()
  }

  private tell(before: Topology, after: Topology): void {
    const { log, cluster } = this.#options
    const old = new Map(before.backends.map((backend) => [backend.id, backend]))
    for (const { id, role, health, why, lagMs } of after.backends) {
      const was = old.get(id)
      if (was?.role !== role) log.info({ cluster, backend: id, role, was: was?.role, why }, 'role of a backend changed')
      if (was?.health === health) continue
      const fields = { cluster, backend: id, health, was: was?.health, why, lagMs }
      if (health === 'up') log.info(fields, 'backend is usable')
      else if (was !== undefined) log.warn(fields, 'backend is not usable')
    }
  }
}
