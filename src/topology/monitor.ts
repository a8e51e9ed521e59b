// Asks every backend for its role and lag, each on a timer of its own, or at once when the data path doubts one, and
// publishes what follows. Is handed the probing, so it knows no protocol.

import type { Log } from '../log.ts'
import { ProbeFailed, type Prober } from './claim.ts'
import { patternFrom } from './host-pattern.ts'
import { idOf, membershipOf } from './membership.ts'
import { answered, doubted, isHeard, isUnasked, missed, type Observation, unobserved } from './observation.ts'
import type { TopologyKind } from './roles.ts'
import { type Progress, progressOf } from './staleness.ts'
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
    /** Where members are that lists know by name only, with `?` for the name; null: as the names of the seeds tell. */
    readonly hostPattern: string | null
  }
  readonly weights: ReadonlyMap<string, number>
  readonly lagMsMax: number
  readonly probing: { readonly intervalMs: number; readonly failuresToDown: number; readonly successesToUp: number }
  readonly prober: (host: string, port: number) => Prober
  readonly store: TopologyStore
  /** Is told whenever a backend has answered how far it has come. */
  readonly onProgress?: (id: string, progress: Progress) => void
  readonly log: Log
  readonly nowMs: () => number
}

/** While there is no writer everybody is asked this often … */
const URGENT_MS = 50
/** … for this long; then the interval is good enough. */
const URGENT_MS_MAX = 30_000
/** One backend is not asked again and again within this time, however often the data path doubts it. */
const DOUBT_MS_MIN = 20
/** Intervals differ by this share, so that proxies started together do not keep asking together. */
const JITTER_SHARE = 0.1

interface Member {
  readonly prober: Prober
  /** Named by the settings; the others are known from lists of members. */
  readonly isSeed: boolean
  /** It serves. A seed that leads to members by other names is asked only when none of those can be heard. */
  joined: boolean
  /** The next probe asks for the list of members too. */
  wantsList: boolean
  seen: Observation
  askedMs: number
  /** When it last said that it takes writes. */
  writableMs: number | null
  /** How far it had come when it answered last. */
  progress: Progress | null
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
  /** Of host names, for members that lists know by name only. */
  readonly #pattern: string | null
  #writerLostMs: number | null = null
  /** Who was asked last for the list of members, when it was somebody's turn. */
  #lastTurn = ''
  #turnTimer: NodeJS.Timeout | null = null
  #listsAskedMs = Number.NEGATIVE_INFINITY
  #stopped = false

  constructor(options: MonitorOptions) {
    const { topology, lagMsMax, probing } = options
    const { kind, seeds, hostPattern } = topology
    const { failuresToDown, successesToUp } = probing
    this.#options = options
    this.#pattern = hostPattern ?? seeds.map(({ host }) => patternFrom(host)).find((found) => found !== null) ?? null
    for (const { host, port } of seeds)
      this.add(unobserved(idOf(host, port), host, port, this.weightOf(idOf(host, port))), true)
    const writer = topology.writer ?? [...this.#members.keys()][0] ?? null
    this.#policy = { kind, writer, lagMsMax, failuresToDown, successesToUp }
  }

  /** Resolves after the first round: every backend, and whom they know, has answered or has had its time. */
  async start(): Promise<void> {
    await Promise.all(Array.from(this.#members.values(), (member) => this.ask(member)))
    const others = [...this.#members.values()].filter(({ joined, seen }) => joined && isUnasked(seen))
    await Promise.all(others.map((member) => this.ask(member)))
  }

  stop(): void {
    this.#stopped = true
    if (this.#turnTimer !== null) clearTimeout(this.#turnTimer)
    for (const { timer, prober } of this.#members.values()) {
      if (timer !== null) clearTimeout(timer)
      prober.close()
    }
  }

  /** The data path doubts a backend: nobody is sent there until a probe, sent at once, says otherwise. */
  suspect(id: string, why: string): void {
    const member = this.#members.get(id)
    if (member === undefined || !member.joined || this.#stopped) return
    const { trouble, blind } = member.seen
    const isNews = trouble === null || (blind && !member.seen.doubted)
    if (member.probing !== null) member.doubtedMeanwhile = true
    // What is in trouble already will be asked soon enough; a thousand sessions may all have lost the same backend.
    else if (isNews) this.askIn(member, member.askedMs + DOUBT_MS_MIN - this.#options.nowMs())
    if (!isNews) return
    member.seen = doubted(member.seen, why)
    this.publish()
  }

  /** When this backend last said that it takes writes; null: it never did, or is no member. */
  writableMs(id: string): number | null {
    return this.#members.get(id)?.writableMs ?? null
  }

  /** How far this backend had come when it answered last; null: it never did, or is no member. The same until it answers. */
  progress(id: string): Progress | null {
    return this.#members.get(id)?.progress ?? null
  }

  private add(seen: Observation, isSeed: boolean): Member {
    const member: Member = {
      prober: this.#options.prober(seen.host, seen.port),
      isSeed,
      joined: true,
      wantsList: true,
      seen,
      askedMs: Number.NEGATIVE_INFINITY,
      writableMs: null,
      progress: null,
      timer: null,
      dueMs: 0,
      probing: null,
      doubtedMeanwhile: false,
    }
    this.#members.set(seen.id, member)
    return member
  }

  private weightOf(id: string): number {
    return this.#options.weights.get(id) ?? 1
  }

  private ask(member: Member): Promise<void> {
    if (member.timer !== null) clearTimeout(member.timer)
    member.timer = null
    member.probing ??= this.probe(member).finally(() => {
      member.probing = null
      const isInDoubt = member.doubtedMeanwhile
      member.doubtedMeanwhile = false
      if (!this.isAwake(member)) return this.rest(member)
      const pauseMs = isInDoubt || member.wantsList ? DOUBT_MS_MIN : this.pauseMs(member)
      this.askIn(member, member.askedMs + pauseMs - this.#options.nowMs())
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

  private pauseMs({ seen }: Member): number {
    const { probing, nowMs } = this.#options
    const { intervalMs, failuresToDown } = probing
    const isUrgent = this.#writerLostMs !== null && nowMs() - this.#writerLostMs < URGENT_MS_MAX
    if (isUrgent) return Math.min(URGENT_MS, intervalMs)
    // Whether a silent one is down is to be known soon: somebody's statement may hang there.
    if (seen.failures > 0 && seen.failures < failuresToDown && !seen.gone && !seen.blind) return DOUBT_MS_MIN
    return intervalMs * (1 + JITTER_SHARE * (Math.random() - 0.5))
  }

  private async probe(member: Member): Promise<void> {
    const { nowMs } = this.#options
    member.askedMs = nowMs()
    const depth = member.wantsList || this.#writerLostMs !== null ? 'cluster' : 'self'
    member.wantsList = false
    try {
      const claim = await member.prober.probe(depth)
      const { trouble } = member.seen
      member.seen = answered(member.seen, claim, member.askedMs, nowMs())
      if (!claim.readOnly) member.writableMs = nowMs()
      if (member.doubtedMeanwhile && trouble !== null) member.seen = doubted(member.seen, trouble)
    } catch (error) {
      const failure = error instanceof ProbeFailed ? error : new ProbeFailed('network', (error as Error).message)
      member.seen = missed(member.seen, failure, member.askedMs)
    }
    if (this.#stopped) return
    this.followLists()
    this.publish()
    if (member.seen.answeredMs >= member.askedMs && member.seen.trouble === null) this.note(member)
  }

  private note(member: Member): void {
    const { seen } = member
    const known = this.#options.store.current.backends.find(({ id }) => id === seen.id)
    const members = Array.from(this.#members.values(), (each) => each.seen)
    member.progress = progressOf(seen, members, known?.lagMs ?? null)
    if (member.progress !== null) this.#options.onProgress?.(seen.id, member.progress)
  }

  /** Members come and go as the servers' lists say; where they keep none, the seeds are the members. */
  private followLists(): void {
    const known = [...this.#members.values()]
    if (known.some(({ isSeed, seen }) => isSeed && isUnasked(seen))) return
    const { places, disputed } = membershipOf(known, this.#pattern)
    if (disputed) this.askForLists()
    this.wakeSeeds()
    if (places.size === 0) return
    for (const { id, host, port, name } of places.values()) {
      const member = this.#members.get(id)
      if (member?.joined) continue
      if (member !== undefined) member.joined = true
      const joining = member ?? this.add({ ...unobserved(id, host, port, this.weightOf(id)), name }, false)
      if (joining.timer === null && joining.probing === null) void this.ask(joining)
    }
    for (const member of known) if (member.joined && !places.has(member.seen.id)) this.leave(member)
    this.#turnTimer ??= setTimeout(() => this.takeTurn(), this.#options.probing.intervalMs).unref()
  }

  private leave(member: Member): void {
    member.joined = false
    if (!member.isSeed) this.#members.delete(member.seen.id)
    this.rest(member)
  }

  private rest(member: Member): void {
    if (member.timer !== null) clearTimeout(member.timer)
    member.timer = null
    member.prober.close()
  }

  /** A seed that is no member is asked again while no member can be heard. */
  private isAwake(member: Member): boolean {
    if (this.#stopped || this.#members.get(member.seen.id) !== member) return false
    return member.joined || ![...this.#members.values()].some(({ joined, seen }) => joined && isHeard(seen))
  }

  private wakeSeeds(): void {
    for (const member of this.#members.values()) {
      if (member.joined || !this.isAwake(member) || member.timer !== null || member.probing !== null) continue
      this.askIn(member, member.askedMs + this.pauseMs(member) - this.#options.nowMs())
    }
  }

  /** Any one list describes the whole cluster, so the members take turns in giving theirs. */
  private takeTurn(): void {
    this.#turnTimer = setTimeout(() => this.takeTurn(), this.#options.probing.intervalMs).unref()
    const able = [...this.#members.values()].filter(({ joined, seen }) => joined && isHeard(seen))
    able.sort((one, other) => (one.seen.id < other.seen.id ? -1 : 1))
    const next = able.find(({ seen }) => seen.id > this.#lastTurn) ?? able[0]
    if (next === undefined) return
    this.#lastTurn = next.seen.id
    this.askForList(next)
  }

  /** In doubt all are asked for theirs at once; not more often than twice in an interval. */
  private askForLists(): void {
    const { nowMs, probing } = this.#options
    if (nowMs() - this.#listsAskedMs < probing.intervalMs / 2) return
    this.#listsAskedMs = nowMs()
    for (const member of this.#members.values()) if (member.joined) this.askForList(member)
  }

  private askForList(member: Member): void {
    member.wantsList = true
    if (member.probing === null) this.askIn(member, member.askedMs + DOUBT_MS_MIN - this.#options.nowMs())
  }

  private publish(): void {
    const { store, nowMs } = this.#options
    const before = store.current
    const members = Array.from(this.#members.values()).filter(({ joined }) => joined)
    // Who of several is the writer can be told only once all of them were asked; who comes later is shown when it was.
    if (before.backends.length === 0 && members.some(({ seen }) => isUnasked(seen))) return
    const seen = members.map((member) => member.seen).filter((each) => !isUnasked(each))
    const after = nextTopology(before, seen, nowMs(), this.#policy)
    if (after === before) return
    this.tell(before, after)
    const [was, writer] = [writerOf(before), writerOf(after)]
    if (writer !== null) this.#writerLostMs = null
    else if (this.#writerLostMs === null) this.hurry()
    // The new writer knows the new picture first, and the others are heard on it at once.
    if (writer !== null && was?.id !== writer.id && this.#turnTimer !== null) this.askForLists()
    store.publish(after)
  }

  /** No writer: whoever is not being asked just now is asked soon. */
  private hurry(): void {
    const now = this.#options.nowMs()
    this.#writerLostMs = now
    const soonMs = Math.min(URGENT_MS, this.#options.probing.intervalMs)
    this.wakeSeeds()
    for (const member of this.#members.values()) {
      if (member.timer !== null && member.dueMs > now + soonMs) this.askIn(member, soonMs)
    }
  }

  private tell(before: Topology, after: Topology): void {
    const { log, cluster } = this.#options
    for (const { id, before: was, after: is } of changesBetween(before.backends, after.backends)) {
      if (is === null) {
        log.info({ cluster, backend: id }, 'backend left the cluster')
        continue
      }
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
