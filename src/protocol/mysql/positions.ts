// How far a server's data goes, in its own words: MySQL's sets of transactions, MariaDB's last one for each domain.

import type { Position } from '../../topology/claim.ts'

type Interval = readonly [first: number, last: number]

/** `uuid:1-5:7,uuid:tag:1-3`: what was executed, whoever wrote it, with gaps where there are any. Null when empty. */
export function mysqlPosition(text: string): Position | null {
  const position = new MysqlPosition(text.replaceAll(/\s/g, ''))
  return position.intervals.size === 0 ? null : position
}

class MysqlPosition implements Position {
  readonly text: string
  /** By origin: a server's uuid, with the tag if there is one. */
  readonly intervals: ReadonlyMap<string, readonly Interval[]>

  constructor(text: string) {
    const intervals = new Map<string, Interval[]>()
    for (const part of text.split(',')) {
      const [uuid, ...rest] = part.split(':')
      let origin = uuid!.toLowerCase()
      for (const piece of rest) {
        const found = /^(\d+)(?:-(\d+))?$/.exec(piece)
        // A tag holds for the intervals that come after it.
        if (found === null) origin = `${uuid!.toLowerCase()}:${piece}`
        else push(intervals, origin, [Number(found[1]), Number(found[2] ?? found[1])])
      }
    }
    this.text = text
    this.intervals = intervals
  }

  lacks(target: Position, base: Position | null): boolean | null {
    if (!(target instanceof MysqlPosition) || !(base === null || base instanceof MysqlPosition)) return null
    for (const [origin, wanted] of target.intervals) {
      const known = [...(this.intervals.get(origin) ?? []), ...(base?.intervals.get(origin) ?? [])]
      if (wanted.some((interval) => !isCovered(interval, known))) return true
    }
    return false
  }
}

function push(intervals: Map<string, Interval[]>, origin: string, interval: Interval): void {
  const known = intervals.get(origin)
  if (known === undefined) intervals.set(origin, [interval])
  else known.push(interval)
}

function isCovered([first, last]: Interval, known: readonly Interval[]): boolean {
  let next = first
  while (next <= last) {
    const found = known.find(([from, to]) => from <= next && next <= to)
    if (found === undefined) return false
    next = found[1] + 1
  }
  return true
}

/** `0-1-100,7-2-5`: for each domain the last transaction, which all before it precede. Null when empty. */
export function mariadbPosition(text: string): Position | null {
  const position = new MariadbPosition(text)
  return position.lastOf.size === 0 ? null : position
}

class MariadbPosition implements Position {
  readonly text: string
  readonly lastOf: ReadonlyMap<string, number>

  constructor(text: string) {
    const lastOf = new Map<string, number>()
    for (const part of text.split(',')) {
      const found = /^\s*(\d+)-\d+-(\d+)\s*$/.exec(part)
      if (found !== null) lastOf.set(found[1]!, Math.max(lastOf.get(found[1]!) ?? 0, Number(found[2])))
    }
    this.text = text
    this.lastOf = lastOf
  }

  lacks(target: Position, base: Position | null): boolean | null {
    if (!(target instanceof MariadbPosition) || !(base === null || base instanceof MariadbPosition)) return null
    for (const [domain, wanted] of target.lastOf) {
      if ((base?.lastOf.get(domain) ?? 0) < wanted && (this.lastOf.get(domain) ?? 0) < wanted) return true
    }
    return false
  }
}
