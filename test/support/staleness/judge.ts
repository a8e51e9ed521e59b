// Was every read told what it was promised? Takes the events in their order, and says of each read what was wrong with
// it. Pure: it reads no clock and asks nobody.

import type { Event, Guarantee, Promised, Sight } from './history.ts'

export type Breach =
  /** Older than what its guarantee includes. */
  | Exclude<Guarantee, 'eventual'>
  /** Older than what the session has read before. */
  | 'monotonic'
  /** A version that nobody had begun to write, or that was taken back. */
  | 'invented'

export interface Violation {
  readonly breach: Breach
  readonly read: number
  readonly session: string
  readonly item: number
  readonly version: number
  /** At least this one should have been seen; null for what was invented. */
  readonly due: Due | null
}

/** A version that a read has to see at least, and the write or read that makes it so. */
export interface Due {
  readonly version: number
  readonly because: number
}

/** The newest versions that somebody has to see, by item; and what made each so. */
class Floor {
  readonly versions: Int32Array
  readonly because: Int32Array

  constructor(items: number) {
    this.versions = new Int32Array(items)
    this.because = new Int32Array(items)
  }

  raise(item: number, version: number, because: number): void {
    if (this.versions[item]! >= version) return
    this.versions[item] = version
    this.because[item] = because
  }

  dueOf(item: number): Due {
    return { version: this.versions[item]!, because: this.because[item]! }
  }
}

interface Write {
  readonly id: number
  readonly session: string
  readonly through: 'sluice' | 'direct'
  readonly puts: readonly Sight[]
  /** What was acknowledged to anybody when it was sent: whoever sees it sees all of that. */
  readonly before: Int32Array
  fate: 'open' | 'wrote' | 'undone' | 'unknown'
}

interface Read {
  readonly session: string
  readonly promised: Promised
  readonly dues: ReadonlyMap<number, readonly (readonly [breach: Breach, due: Due])[]>
  /** What the service had acknowledged, whatever was promised. */
  readonly newest: ReadonlyMap<number, number>
}

export class Judge {
  readonly #items: number
  readonly #service: Floor
  readonly #global: Floor
  readonly #own = new Map<string, Floor>()
  readonly #seen = new Map<string, Floor>()
  readonly #writes = new Map<number, Write>()
  /** By item, and by version. */
  readonly #versions: readonly Map<number, Write>[]
  readonly #reads = new Map<number, Read>()
  /** Reads that were judged, and how many of them saw less than the service had acknowledged, by guarantee. */
  readonly counts: Record<Guarantee, { reads: number; stale: number }> = {
    eventual: { reads: 0, stale: 0 },
    session: { reads: 0, stale: 0 },
    service: { reads: 0, stale: 0 },
    global: { reads: 0, stale: 0 },
  }

  constructor(items: number) {
    this.#items = items
    this.#service = new Floor(items)
    this.#global = new Floor(items)
    this.#versions = Array.from({ length: items }, () => new Map())
  }

  take(event: Event): readonly Violation[] {
    switch (event.what) {
      case 'writes': {
        const { id, session, through, puts } = event
        const write: Write = { id, session, through, puts, before: this.#global.versions.slice(), fate: 'open' }
        this.#writes.set(id, write)
        for (const { item, version } of puts) this.#versions[item]!.set(version, write)
        return []
      }
      case 'wrote':
      case 'undone':
      case 'unknown':
        this.settle(event.id, event.what)
        return []
      case 'reads': {
        const { session, promised, items } = event
        const dues = new Map(items.map((item) => [item, this.dues(session, promised, item)]))
        const newest = new Map(items.map((item) => [item, this.#service.versions[item]!]))
        this.#reads.set(event.id, { session, promised, dues, newest })
        return []
      }
      case 'read':
        return this.judge(event.id, event.saw)
      case 'failed':
        this.#reads.delete(event.id)
        return []
      case 'note':
        return []
    }
  }

  private settle(id: number, fate: Write['fate']): void {
    const write = this.#writes.get(id)!
    this.#writes.delete(id)
    write.fate = fate
    if (fate !== 'wrote') return
    for (const { item, version } of write.puts) {
      this.#global.raise(item, version, id)
      if (write.through === 'direct') continue
      this.#service.raise(item, version, id)
      this.floorOf(this.#own, write.session).raise(item, version, id)
    }
  }

  private dues(session: string, { guarantee, monotonic }: Promised, item: number): [Breach, Due][] {
    const dues: [Breach, Due][] = []
    const add = (breach: Breach, floor: Floor | undefined) => {
      if (floor !== undefined) dues.push([breach, floor.dueOf(item)])
    }
    if (guarantee !== 'eventual') add('session', this.#own.get(session))
    if (guarantee === 'service' || guarantee === 'global') add('service', this.#service)
    if (guarantee === 'global') add('global', this.#global)
    if (monotonic) add('monotonic', this.#seen.get(session))
    return dues
  }

  private judge(id: number, saw: readonly Sight[]): Violation[] {
    const { session, promised, dues, newest } = this.#reads.get(id)!
    this.#reads.delete(id)
    const violations: Violation[] = []
    let isStale = false
    for (const { item, version } of saw) {
      isStale ||= version < (newest.get(item) ?? 0)
      const write = this.#versions[item]!.get(version)
      if (version !== 0 && (write === undefined || write.fate === 'undone')) {
        violations.push({ breach: 'invented', read: id, session, item, version, due: null })
        continue
      }
      const broken = dues.get(item)?.find(([, due]) => version < due.version)
      if (broken !== undefined) {
        violations.push({ breach: broken[0], read: id, session, item, version, due: broken[1] })
      }
      this.see(session, id, write)
    }
    const count = this.counts[promised.guarantee]
    count.reads += 1
    if (isStale) count.stale += 1
    return violations
  }

  /** Writes become visible in one order, whole, and everywhere the same: with one of them comes all that was before it. */
  private see(session: string, read: number, write: Write | undefined): void {
    // A session sees what it writes before it is there for anybody, and may take it back.
    if (write === undefined || (write.fate === 'open' && write.session === session)) return
    const seen = this.floorOf(this.#seen, session)
    for (const put of write.puts) seen.raise(put.item, put.version, read)
    for (let other = 0; other < this.#items; other++) seen.raise(other, write.before[other]!, read)
  }

  private floorOf(floors: Map<string, Floor>, session: string): Floor {
    let floor = floors.get(session)
    if (floor === undefined) {
      floor = new Floor(this.#items)
      floors.set(session, floor)
    }
    return floor
  }
}

/** What a whole history breaks. */
export function judged(items: number, history: readonly Event[]): readonly Violation[] {
  const judge = new Judge(items)
  return history.flatMap((event) => judge.take(event))
}
