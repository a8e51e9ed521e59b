// How far a server's data goes, in its own words: MySQL's sets of transactions, MariaDB's last one for each domain.

import type { Position } from '../../topology/claim.ts'
import { coarsened, type Intervals, normalised, reach } from './intervals.ts'

/**
 * What was put together of many pieces is not kept in more pieces than this for each origin: it then asks for some
 * transactions more than it was made of, all of them older than others in it.
 */
const INTERVALS_MAX = 128

const NONE: Intervals = []

/** In whichever of the two forms it is written; null where it is neither. */
export function positionOf(text: string): Position | null {
  const form = text.replaceAll(/\s/g, '')
  if (MYSQL_FORM.test(form)) return mysqlPosition(form)
  return MARIADB_FORM.test(form) ? mariadbPosition(form) : null
}

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
const PIECE = '(?:[a-z_]\\w{0,31}:)?\\d{1,19}(?:-\\d{1,19})?'
const MYSQL_FORM = new RegExp(`^${UUID}(?::${PIECE})+(?:,${UUID}(?::${PIECE})+)*$`, 'i')
const MARIADB_FORM = /^\d{1,10}-\d{1,10}-\d{1,20}(?:,\d{1,10}-\d{1,10}-\d{1,20})*$/

/** `uuid:1-5:7,uuid:tag:1-3`: what was executed, whoever wrote it, with gaps where there are any. Null when empty. */
export function mysqlPosition(text: string): Position | null {
  const pairs = new Map<string, number[]>()
  for (const part of text.replaceAll(/\s/g, '').split(',')) {
    const [uuid, ...rest] = part.split(':')
    let origin = uuid!.toLowerCase()
    for (const piece of rest) {
      const found = /^(\d+)(?:-(\d+))?$/.exec(piece)
      // A tag holds for the intervals that come after it.
      if (found === null) origin = `${uuid!.toLowerCase()}:${piece.toLowerCase()}`
      else push(pairs, origin, Number(found[1]), Number(found[2] ?? found[1]))
    }
  }
  const position = new MysqlPosition(intervalsOf(pairs), text)
  return position.intervals.size === 0 ? null : position
}

function push(pairs: Map<string, number[]>, origin: string, first: number, last: number): void {
  const known = pairs.get(origin)
  if (known === undefined) pairs.set(origin, [first, last])
  else known.push(first, last)
}

function intervalsOf(pairs: ReadonlyMap<string, readonly number[]>): Map<string, Intervals> {
  const intervals = new Map<string, Intervals>()
  for (const [origin, some] of pairs) {
    const normal = normalised(some)
    if (normal.length > 0) intervals.set(origin, normal)
  }
  return intervals
}

class MysqlPosition implements Position {
  /** By origin: a server's uuid, with the tag if there is one. */
  readonly intervals: ReadonlyMap<string, Intervals>
  #text: string | null

  constructor(intervals: ReadonlyMap<string, Intervals>, text: string | null) {
    this.intervals = intervals
    this.#text = text
  }

  get text(): string {
    this.#text ??= printed(this.intervals)
    return this.#text
  }

  lacks(target: Position, base: Position | null): boolean | null {
    if (!(target instanceof MysqlPosition) || !(base === null || base instanceof MysqlPosition)) return null
    for (const [origin, wanted] of target.intervals) {
      const known = this.intervals.get(origin) ?? NONE
      const given = base?.intervals.get(origin) ?? NONE
      for (let at = 0; at < wanted.length; at += 2) {
        if (!isCovered(wanted[at]!, wanted[at + 1]!, known, given)) return true
      }
    }
    return false
  }

  plus(others: readonly Position[]): Position {
    const pairs = new Map<string, number[]>()
    for (const one of [this, ...others]) {
      if (!(one instanceof MysqlPosition)) continue
      for (const [origin, some] of one.intervals) {
        const known = pairs.get(origin)
        if (known === undefined) pairs.set(origin, [...some])
        else for (const number of some) known.push(number)
      }
    }
    const intervals = intervalsOf(pairs)
    for (const [origin, some] of intervals) intervals.set(origin, coarsened(some, INTERVALS_MAX))
    return new MysqlPosition(intervals, null)
  }
}

function isCovered(first: number, last: number, known: Intervals, given: Intervals): boolean {
  let next = first
  while (next <= last) {
    const end = Math.max(reach(known, next), reach(given, next))
    if (end < next) return false
    next = end + 1
  }
  return true
}

/** As the server prints it: origins in order, those without a tag before those with one. */
function printed(intervals: ReadonlyMap<string, Intervals>): string {
  const byUuid = new Map<string, string>()
  for (const origin of [...intervals.keys()].sort()) {
    const [uuid, tag] = origin.split(':')
    const before = byUuid.get(uuid!) ?? uuid!
    byUuid.set(uuid!, `${before}${tag === undefined ? '' : `:${tag}`}${pieces(intervals.get(origin)!)}`)
  }
  return [...byUuid.values()].join(',')
}

function pieces(intervals: Intervals): string {
  let text = ''
  for (let at = 0; at < intervals.length; at += 2) {
    const [first, last] = [intervals[at]!, intervals[at + 1]!]
    text += first === last ? `:${first}` : `:${first}-${last}`
  }
  return text
}

/** `0-1-100,7-2-5`: for each domain the last transaction, which all before it precede. Null when empty. */
export function mariadbPosition(text: string): Position | null {
  const lastOf = new Map<string, Last>()
  for (const part of text.split(',')) {
    const found = /^\s*(\d+)-(\d+)-(\d+)\s*$/.exec(part)
    if (found !== null) raise(lastOf, found[1]!, { server: found[2]!, sequence: Number(found[3]) })
  }
  return lastOf.size === 0 ? null : new MariadbPosition(lastOf, text)
}

interface Last {
  readonly server: string
  readonly sequence: number
}

function raise(lastOf: Map<string, Last>, domain: string, last: Last): void {
  const known = lastOf.get(domain)
  if (known === undefined || known.sequence < last.sequence) lastOf.set(domain, last)
}

class MariadbPosition implements Position {
  readonly lastOf: ReadonlyMap<string, Last>
  #text: string | null

  constructor(lastOf: ReadonlyMap<string, Last>, text: string | null) {
    this.lastOf = lastOf
    this.#text = text
  }

  get text(): string {
    this.#text ??= [...this.lastOf]
      .map(([domain, { server, sequence }]) => `${domain}-${server}-${sequence}`)
      .sort()
      .join(',')
    return this.#text
  }

  lacks(target: Position, base: Position | null): boolean | null {
    if (!(target instanceof MariadbPosition) || !(base === null || base instanceof MariadbPosition)) return null
    for (const [domain, { sequence }] of target.lastOf) {
      if (reached(base, domain) < sequence && reached(this, domain) < sequence) return true
    }
    return false
  }

  plus(others: readonly Position[]): Position {
    const lastOf = new Map(this.lastOf)
    for (const other of others) {
      if (other instanceof MariadbPosition) for (const [domain, last] of other.lastOf) raise(lastOf, domain, last)
    }
    return new MariadbPosition(lastOf, null)
  }
}

function reached(position: MariadbPosition | null, domain: string): number {
  return position?.lastOf.get(domain)?.sequence ?? 0
}
