// What happened in a failover, and when: written down while it happens, from what the topology, the connections and the
// sessions say. One of them at a time for each cluster; what is over goes to the log of events.

import type { CloseReason, ErrorCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Child } from '../metrics.ts'
import { type Topology, writerOf } from './topology.ts'

/** Moments are on the proxy's clock; null: not yet, or never. */
export interface FailoverTimeline {
  /** `interruption`: the same writer came back, and nobody else had its place in between. */
  readonly kind: 'failover' | 'interruption'
  readonly cluster: string
  /** Of the first topology without the old writer. */
  readonly epoch: number
  readonly from: string
  readonly to: string | null
  /** What was said of the old writer when it was given up. */
  readonly because: string
  /** How often the writer was lost before it was over. */
  readonly losses: number
  /** When the old writer last proved to be one: by a write that it answered, or to a probe. */
  readonly lostMs: number
  /** From here on nobody was sent there. */
  readonly detectedMs: number
  /** The new writer was published. */
  readonly foundMs: number | null
  /** The first connection to it said so itself. */
  readonly verifiedMs: number | null
  /** The first write that it answered. */
  readonly firstWriteMs: number | null
  readonly endedMs: number | null
  /** Statements that waited for a writer, and how long one of them had waited when it was sent at last. */
  readonly held: number
  readonly longestWaitMs: number
  /** Sessions that lived when the loss was detected: all, those whose clients left, those that we ended. */
  readonly sessions: { readonly before: number; readonly left: number; readonly lost: number }
  readonly transactionsLost: number
  readonly outcomesUnknown: number
  /** Errors of our own that clients were told meanwhile. */
  readonly errors: ReadonlyMap<ErrorCode, number>
}

export interface TimelineOptions {
  readonly cluster: string
  readonly nowMs: () => number
  /** When this backend last told a probe that it takes writes. */
  readonly heardMs: (backend: string) => number | null
  /** The sessions that live now. */
  readonly sessions: () => ReadonlySet<number>
  readonly failovers: Child
  readonly log: Log
  /** It is over. */
  readonly onEnd: (timeline: FailoverTimeline) => void
}

/** After the new writer is known, late errors still belong to the failover, and so does a second loss. */
const SETTLE_MS = 1_000
/** A hold that does not empty is another story. */
const SETTLE_MS_MAX = 60_000

const LEAVING: ReadonlySet<CloseReason> = new Set([
  'client quit',
  'client lost',
  'client timeout',
  'client malformed',
  'client killed',
  'proxy draining',
])
const UNKNOWN: ReadonlySet<ErrorCode> = new Set(['OUTCOME_UNKNOWN', 'COMMIT_UNKNOWN'])

interface Open {
  readonly epoch: number
  readonly from: string
  readonly because: string
  readonly lostMs: number
  readonly detectedMs: number
  readonly before: ReadonlySet<number>
  to: string | null
  changed: boolean
  losses: number
  foundMs: number | null
  verifiedMs: number | null
  firstWriteMs: number | null
  held: number
  longestWaitMs: number
  left: number
  lost: number
  readonly errors: Map<ErrorCode, number>
}

export class FailoverRecorder {
  readonly #options: TimelineOptions
  #topology: Topology | null = null
  #open: Open | null = null
  #waiting = 0
  #timer: NodeJS.Timeout | null = null
  /** Who was the writer last, whether or not it can be used just now. */
  #writer: string | null = null
  #wroteOn = ''
  #wroteMs = 0

  constructor(options: TimelineOptions) {
    this.#options = options
  }

  /** The failover under way, as far as it has come. */
  get current(): FailoverTimeline | null {
    return this.#open === null ? null : this.timelineOf(this.#open, null)
  }

  follow(topology: Topology): void {
    const was = this.#topology === null ? null : writerOf(this.#topology)
    const writer = writerOf(topology)
    this.#topology = topology
    if (was !== null && was.id !== writer?.id) this.lose(was.id, topology)
    if (writer !== null && was?.id !== writer.id) this.find(writer.id)
  }

  /** A connection to the writer said itself that it takes writes. */
  verified(backend: string): void {
    const open = this.#open
    if (open !== null && open.to === backend) open.verifiedMs ??= this.#options.nowMs()
  }

  /** A statement waits for a writer … */
  holds(): void {
    this.#waiting += 1
    if (this.#open !== null) this.#open.held += 1
  }

  /** … no longer. */
  letsGo(): void {
    this.#waiting -= 1
  }

  /** A statement was done by the writer; `waitedMs` went by before it was sent there. */
  answered(backend: string, isWrite: boolean, waitedMs: number): void {
    const open = this.#open
    if (isWrite) {
      this.#wroteOn = backend
      this.#wroteMs = this.#options.nowMs()
    }
    if (open === null || open.foundMs === null || backend !== open.to) return
    open.longestWaitMs = Math.max(open.longestWaitMs, waitedMs)
    if (isWrite) open.firstWriteMs ??= this.#wroteMs
  }

  /** A client was told an error of ours. */
  failed(code: ErrorCode): void {
    const open = this.#open
    if (open !== null) open.errors.set(code, (open.errors.get(code) ?? 0) + 1)
  }

  sessionEnded(id: number, reason: CloseReason): void {
    const open = this.#open
    if (open === null || !open.before.has(id)) return
    if (LEAVING.has(reason)) open.left += 1
    else open.lost += 1
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#open !== null && this.#open.foundMs !== null) this.end()
  }

  private lose(from: string, topology: Topology): void {
    const { nowMs, heardMs, sessions } = this.#options
    const now = nowMs()
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#open !== null) {
      this.#open.losses += 1
      this.#open.foundMs = null
      this.#open.verifiedMs = null
      this.#open.firstWriteMs = null
      return
    }
    const lastMs = Math.max(this.#wroteOn === from ? this.#wroteMs : 0, heardMs(from) ?? 0)
    const gone = topology.backends.find(({ id }) => id === from)
    this.#open = {
      epoch: topology.epoch,
      from,
      because: gone?.why ?? 'it is no member any more',
      lostMs: lastMs === 0 ? now : Math.min(lastMs, now),
      detectedMs: now,
      before: sessions(),
      to: null,
      changed: false,
      losses: 1,
      foundMs: null,
      verifiedMs: null,
      firstWriteMs: null,
      held: this.#waiting,
      longestWaitMs: 0,
      left: 0,
      lost: 0,
      errors: new Map(),
    }
  }

  private find(to: string): void {
    const { nowMs, failovers } = this.#options
    const isChange = this.#writer !== null && this.#writer !== to
    this.#writer = to
    if (isChange) failovers.value += 1
    const open = this.#open
    if (open === null) return
    open.to = to
    open.changed ||= isChange
    open.foundMs = nowMs()
    this.settle(nowMs() + SETTLE_MS_MAX)
  }

  private settle(latestMs: number): void {
    this.#timer = setTimeout(() => {
      if (this.#waiting > 0 && this.#options.nowMs() < latestMs) this.settle(latestMs)
      else this.end()
    }, SETTLE_MS).unref()
  }

  private end(): void {
    const { cluster, log, nowMs, onEnd } = this.#options
    const open = this.#open!
    this.#open = null
    const timeline = this.timelineOf(open, nowMs())
    const { kind, from, to } = timeline
    const text = kind === 'failover' ? 'the writer changed' : 'the writer was gone for a while'
    log.info({ cluster, from, to, ...figuresOf(timeline) }, text)
    onEnd(timeline)
  }

  private timelineOf(open: Open, endedMs: number | null): FailoverTimeline {
    const { before, changed, left, lost, errors, ...rest } = open
    const count = (code: ErrorCode) => errors.get(code) ?? 0
    return {
      ...rest,
      kind: changed ? 'failover' : 'interruption',
      cluster: this.#options.cluster,
      endedMs,
      sessions: { before: before.size, left, lost },
      transactionsLost: count('TRANSACTION_LOST'),
      outcomesUnknown: [...UNKNOWN].reduce((sum, code) => sum + count(code), 0),
      errors: new Map(errors),
    }
  }
}

/** As it is shown to people and programs: moments in whole milliseconds since the writer was lost. */
export function figuresOf(timeline: FailoverTimeline) {
  const { lostMs, held, longestWaitMs, sessions, transactionsLost, outcomesUnknown, errors } = timeline
  const since = (ms: number | null) => (ms === null ? null : Math.round(ms - lostMs))
  return {
    epoch: timeline.epoch,
    because: timeline.because,
    losses: timeline.losses,
    timeline: {
      detectedMs: since(timeline.detectedMs),
      foundMs: since(timeline.foundMs),
      verifiedMs: since(timeline.verifiedMs),
      firstWriteMs: since(timeline.firstWriteMs),
      endedMs: since(timeline.endedMs),
    },
    held,
    longestWaitMs: Math.round(longestWaitMs),
    sessions: { ...sessions, kept: sessions.before - sessions.left - sessions.lost },
    transactionsLost,
    outcomesUnknown,
    errors: Object.fromEntries(errors),
  }
}
