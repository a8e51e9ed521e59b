// Hints in a comment before a statement, for its route (`/* sluice:reader */`, and the forms people already have) and for
// how fresh its answer must be (`/* sluice:consistency=eventual */`, `/* sluice:monotonic=true */`, `/* sluice:after=<position> */`).

import type { FreshnessHint, RouteHint } from './classification.ts'
import type { Tokens } from './tokens.ts'

const WRITER = 1
const READER = 2
const AUTO = 3
const ENDPOINT = 4

/** Longer comments are not looked at beyond this. */
const COMMENT_BYTES = 4096

const PLAIN: ReadonlyMap<string, number> = new Map([
  ['@writer', WRITER],
  ['@reader', READER],
  ['master', WRITER],
  ['slave', READER],
])

const OWN = /(?:^|[\s,;])sluice:(?:(writer|reader|auto)|endpoint=([\w.-]+))(?![\w.=:-])/i

const FRESHNESS = /(?:^|[\s,;])sluice:consistency=(eventual|session|service|global)(?![\w.=:-])/i
const LEVELS = ['eventual', 'session', 'service', 'global'] as const
/** In the number of a `Tokens.freshness`, above those of the levels. */
const MONOTONIC = /(?:^|[\s,;])sluice:monotonic=(true|false)(?![\w.=:-])/i
const MONOTONIC_TRUE = 8
const MONOTONIC_FALSE = 16
const LEVEL = 7
const AFTER = /(?:^|[\s,;])sluice:after=([\w:,-]+)/i

/** Notes in `tokens` the hints that the comment's inside, from `from` to `to`, gives, unless one before it has. */
export function findHint(sql: Buffer, tokens: Tokens, from: number, to: number): void {
  let first = from
  while (first < to && sql[first]! <= 0x20) first++
  const comment = sql.toString('latin1', first, Math.min(to, first + COMMENT_BYTES))
  if (tokens.hint === 0) findRoute(comment, tokens, first)
  if (!comment.includes('=')) return
  if (tokens.freshness === 0) {
    const level = FRESHNESS.exec(comment)?.[1]?.toLowerCase() ?? ''
    const monotonic = MONOTONIC.exec(comment)?.[1]?.toLowerCase() ?? ''
    const also = monotonic === 'true' ? MONOTONIC_TRUE : monotonic === 'false' ? MONOTONIC_FALSE : 0
    tokens.freshness = (LEVELS as readonly string[]).indexOf(level) + 1 + also
  }
  const after = tokens.afterTo === 0 ? AFTER.exec(comment) : null
  if (after === null) return
  tokens.afterTo = first + after.index + after[0].length
  tokens.afterFrom = tokens.afterTo - after[1]!.length
}

function findRoute(comment: string, tokens: Tokens, first: number): void {
  tokens.hint = PLAIN.get(comment.trimEnd().toLowerCase()) ?? 0
  if (tokens.hint !== 0) return
  const match = OWN.exec(comment)
  if (match === null) return
  const [whole, route, endpoint] = match
  if (endpoint !== undefined) {
    tokens.hint = ENDPOINT
    tokens.hintTo = first + match.index + whole.length
    tokens.hintFrom = tokens.hintTo - endpoint.length
  } else tokens.hint = route!.toLowerCase() === 'writer' ? WRITER : route!.toLowerCase() === 'reader' ? READER : AUTO
}

/** What hints add to the key of a remembered answer; 0: there are none. */
export function hintMix(sql: Buffer, tokens: Tokens): number {
  let mix = tokens.hint | (tokens.freshness << 3)
  if (tokens.hint === ENDPOINT) mix = mixed(sql, tokens.hintFrom, tokens.hintTo, mix)
  return tokens.afterTo === 0 ? mix : mixed(sql, tokens.afterFrom, tokens.afterTo, mix)
}

function mixed(sql: Buffer, from: number, to: number, start: number): number {
  let mix = start
  for (let at = from; at < to; at++) mix = Math.imul(mix ^ sql[at]!, 0x01000193)
  return mix
}

export function freshnessHint(sql: Buffer, tokens: Tokens): FreshnessHint | null {
  const { freshness, afterFrom, afterTo } = tokens
  if (freshness === 0 && afterTo === 0) return null
  return {
    consistency: LEVELS[(freshness & LEVEL) - 1] ?? null,
    monotonic: freshness < MONOTONIC_TRUE ? null : freshness < MONOTONIC_FALSE,
    after: afterTo === 0 ? null : sql.toString('latin1', afterFrom, afterTo),
  }
}

export function routeHint(sql: Buffer, tokens: Tokens): RouteHint | null {
  switch (tokens.hint) {
    case WRITER:
      return { to: 'writer', endpoint: null }
    case READER:
      return { to: 'reader', endpoint: null }
    case AUTO:
      return { to: 'auto', endpoint: null }
    case ENDPOINT:
      return { to: 'endpoint', endpoint: sql.toString('latin1', tokens.hintFrom, tokens.hintTo) }
    default:
      return null
  }
}
