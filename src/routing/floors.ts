// What reads must see. Whatever a client is told is committed raises the floor by one version; a reader has reached a
// version when it has all that was raised until then. So what a read asks of a reader is one comparison of numbers, and
// positions are compared only when there is news of a reader. Pure.

import { covers, type Position } from '../topology/claim.ts'
import type { Progress } from '../topology/staleness.ts'
import { type Topology, writerOf } from '../topology/topology.ts'

/** What a reader must have before it may answer. */
export interface Need {
  /** All that was raised up to this version; 0: nothing. */
  readonly version: number
  /** And this; null: nothing more. */
  readonly position: Position | null
  /** The only reader that may answer; null: whichever has it. */
  readonly only: string | null
}

/** What no reader can be known to have. */
export const WRITER_ONLY: Need = { version: Number.POSITIVE_INFINITY, position: null, only: null }

/** What the servers had when something was told to be committed. */
interface Step {
  /** It stands for all versions after those of the step before it, up to this one. */
  readonly version: number
  /** Null: not known, or not counted by the servers. */
  position: Position | null
  readonly atMs: number
}

/** How far a reader is known to have come. */
export interface Reached {
  readonly id: string
  version: number
  /** What was heard of it last. */
  progress: Progress
  /** How old what it lacked was when it was asked last; 0: it lacked nothing, or has been waited for since. */
  behindMs: number
  /** It was waited for in vain, and nothing has been heard of it since. */
  stalled: boolean
}

/** What operators see: what reads must see at the most, and what each server is known to have. */
export interface FloorsSnapshot {
  /** How many writes clients were told are committed, and where the newest of them are. */
  readonly writes: number
  readonly position: string | null
  readonly backends: readonly {
    readonly id: string
    readonly position: string | null
    /** How many of those writes it is not known to have. */
    readonly lacks: number
  }[]
}

/** When there are more steps, two old ones become one, so that the newest are told apart and the oldest not forgotten. */
const STEPS_MAX = 512
/** Readers that were no further apart than this are equally quick: each lacks what was written just before it was asked. */
const LEVEL_MS = 50
/** So far the clocks of processes that work together may be apart. */
const SKEW_MS = 50

export class Floors {
  #version = 0
  /** There may be steps whose position is not known. */
  #hasUnsettled = false
  /** Oldest first. */
  #steps: Step[] = []
  readonly #readers = new Map<string, Reached>()
  /** What was heard last of a server; the same until there is more. */
  readonly #progressOf: (id: string) => Progress | null
  #writer: string | null = null
  #writerEpoch = 0
  /** What was last heard of the writer; what it has is known of all that was raised before it was asked. */
  #heeded: Progress | null = null
  /** Up to this version. */
  #checked = 0

  constructor(progressOf: (id: string) => Progress | null) {
    this.#progressOf = progressOf
  }

  /** All that was raised so far. */
  get version(): number {
    return this.#version
  }

  /** The writer counts its transactions, so an answer without a position has committed nothing. */
  get byPosition(): boolean {
    return this.#writer !== null && this.#progressOf(this.#writer)?.position != null
  }

  /** Something was committed, and a client is about to be told. Null: how far the writer was then is not known. */
  raise(position: Position | null, atMs: number): number {
    this.heedWriter()
    this.#version += 1
    if (position === null) this.#hasUnsettled = true
    this.#steps.push({ version: this.#version, position, atMs })
    if (this.#steps.length > STEPS_MAX) this.thin()
    return this.#version
  }

  /** The writer had this at `askedMs`, and so all that was committed before. */
  settle(position: Position, askedMs: number): void {
    for (const step of this.#steps) if (step.position === null && step.atMs <= askedMs) step.position = position
    this.#hasUnsettled = this.#steps.some((step) => step.position === null)
  }

  /** How far the writer was is known of all that was raised up to this version, or nobody could tell. */
  isSettled(version: number): boolean {
    if (!this.#hasUnsettled || !this.byPosition) return true
    let before = 0
    for (const step of this.#steps) {
      if (before >= version) break
      if (step.position === null) return false
      before = step.version
    }
    return true
  }

  /** May this reader answer? */
  reaches(id: string, need: Need): boolean {
    const reached = this.reached(id)
    if (reached === null || reached.version < need.version || isExcluded(id, need)) return false
    const { position } = reached.progress
    return need.position === null || (position !== null && covers(position, need.position))
  }

  /**
   * Of these readers those that will be first to have it, as far as can be told; none: none is worth waiting for. Who was
   * waited for before is not preferred for that, or all would wait for one.
   */
  quickest(ids: readonly string[], need: Need, stalledToo = false): readonly string[] {
    const worth = ids
      .map((id) => this.reached(id))
      .filter((reached) => reached !== null)
      .filter(({ id, stalled }) => (!stalled || stalledToo) && this.missing(id, need) !== null)
    const leastMs = Math.min(...worth.map(({ behindMs }) => behindMs))
    return worth.filter(({ behindMs }) => behindMs <= leastMs + LEVEL_MS).map(({ id }) => id)
  }

  /** What the reader must be waited for to have; null: nothing that can be waited for. */
  missing(id: string, need: Need): Position | null {
    const reached = this.reached(id)
    if (reached === null || reached.progress.position === null || need.version > this.#version) return null
    if (isExcluded(id, need)) return null
    const positions: Position[] = need.position === null ? [] : [need.position]
    let { version } = reached
    for (let at = this.after(version); version < need.version && at < this.#steps.length; at++) {
      const step = this.#steps[at]!
      if (step.position === null) return null
      positions.push(step.position)
      version = step.version
    }
    const [first, ...others] = positions
    return first === undefined ? null : first.plus(others)
  }

  /** How far a reader has come, as far as it was heard; null: it never was. */
  reached(id: string): Reached | null {
    const progress = this.#progressOf(id)
    if (progress === null) return null
    const known = this.#readers.get(id)
    return known !== undefined && known.progress === progress ? known : this.hear(id, progress, known ?? null)
  }

  /** It was waited for, and has it. */
  proved(reached: Reached, need: Need): void {
    reached.version = Math.max(reached.version, need.version)
    reached.behindMs = 0
    reached.stalled = false
  }

  /** All that was raised up to `version`; null where that is nothing, or not known. */
  position(version = this.#version): Position | null {
    const positions: Position[] = []
    for (const step of this.#steps) {
      if (step.position !== null) positions.push(step.position)
      if (step.version >= version) break
    }
    const [first, ...others] = positions
    return first === undefined ? null : first.plus(others)
  }

  snapshot(topology: Topology): FloorsSnapshot {
    const backends = topology.backends.map(({ id, role }) => {
      const reached = this.reached(id)
      const lacks = role === 'writer' ? 0 : this.#version - (reached?.version ?? 0)
      return { id, position: reached?.progress.position?.text ?? null, lacks }
    })
    return { writes: this.#version, position: this.position()?.text ?? null, backends }
  }

  /** A new topology: who is gone is forgotten. */
  follow(topology: Topology): void {
    const { backends, writerEpoch } = topology
    this.#writer = writerOf(topology)?.id ?? null
    if (writerEpoch !== this.#writerEpoch) {
      this.#writerEpoch = writerEpoch
      // What it had before it was the writer says nothing.
      this.#heeded = this.#writer === null ? null : this.#progressOf(this.#writer)
      this.#checked = 0
    }
    const known = new Set(backends.filter(({ health }) => health !== 'down').map(({ id }) => id))
    for (const id of this.#readers.keys()) if (!known.has(id)) this.#readers.delete(id)
  }

  /**
   * What the writer itself has not got, of what it was told before it was asked, went down with the one before it, and no
   * reader can be asked for that: all it has is enough then.
   */
  private heedWriter(): void {
    const progress = this.#writer === null ? null : this.#progressOf(this.#writer)
    if (progress === null || progress === this.#heeded) return
    this.#heeded = progress
    const { position, askedMs } = progress
    if (position === null) return
    for (let at = this.after(this.#checked); at < this.#steps.length; at++) {
      const step = this.#steps[at]!
      if (step.atMs > askedMs - SKEW_MS) break
      if (step.position === null || !covers(position, step.position)) step.position = position
      this.#checked = step.version
    }
  }

  private hear(id: string, progress: Progress, before: Reached | null): Reached {
    this.heedWriter()
    const [was, is] = [before?.progress.position ?? null, progress.position]
    const isNews = was?.text !== is?.text
    // It has less than before: it is another one under the same name, or lost what it had.
    const isLess = was !== null && isNews && (is === null || !covers(is, was))
    const reached = before === null || isLess ? { id, version: 0, progress, behindMs: 0, stalled: false } : before
    reached.progress = progress
    if (isNews) reached.stalled = false
    this.#readers.set(id, reached)
    for (let at = this.after(reached.version); at < this.#steps.length; at++) {
      const step = this.#steps[at]!
      if (!has(progress, step)) break
      reached.version = step.version
    }
    const lacked = this.#steps[this.after(reached.version)]
    reached.behindMs = lacked === undefined ? 0 : Math.max(0, progress.askedMs - lacked.atMs)
    return reached
  }

  /** Where the first step is that has versions beyond this one. */
  private after(version: number): number {
    let low = 0
    let high = this.#steps.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#steps[middle]!.version <= version) low = middle + 1
      else high = middle
    }
    return low
  }

  private thin(): void {
    const half = this.#steps.length >> 1
    const thinned: Step[] = []
    for (let at = 0; at + 1 < half; at += 2) thinned.push(both(this.#steps[at]!, this.#steps[at + 1]!))
    this.#steps = [...thinned, ...this.#steps.slice(half - (half % 2))]
  }
}

function isExcluded(id: string, { only }: Need): boolean {
  return only !== null && only !== id
}

/** Where servers do not count, only time tells. */
function has({ position, asOfMs }: Progress, step: Step): boolean {
  if (position !== null) return step.position !== null && covers(position, step.position)
  return asOfMs !== null && step.atMs < asOfMs
}

function both(one: Step, other: Step): Step {
  const position = one.position === null || other.position === null ? null : one.position.plus([other.position])
  return { version: other.version, position, atMs: Math.max(one.atMs, other.atMs) }
}
