// Hints for the route in a comment before a statement: `/* sluice:reader */`, and the forms people already have.

import type { RouteHint } from './classification.ts'
import type { Tokens } from './tokens.ts'

const WRITER = 1
const READER = 2
const AUTO = 3
const ENDPOINT = 4

/** Longer comments are not looked at beyond this. */
const COMMENT_BYTES = 1024

const PLAIN: ReadonlyMap<string, number> = new Map([
  ['@writer', WRITER],
  ['@reader', READER],
  ['master', WRITER],
  ['slave', READER],
])

const OWN = /(?:^|[\s,;])sluice:(?:(writer|reader|auto)|endpoint=([\w.-]+))(?![\w.=:-])/i

/** Notes in `tokens` the hint that the comment's inside, from `from` to `to`, gives. */
export function findHint(sql: Buffer, tokens: Tokens, from: number, to: number): void {
  let first = from
  while (first < to && sql[first]! <= 0x20) first++
  const comment = sql.toString('latin1', first, Math.min(to, first + COMMENT_BYTES))
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

/** What a hint adds to the key of a remembered answer. */
export function hintMix(sql: Buffer, tokens: Tokens): number {
  let mix = tokens.hint
  if (mix === ENDPOINT) {
    for (let at = tokens.hintFrom; at < tokens.hintTo; at++) mix = Math.imul(mix ^ sql[at]!, 0x01000193)
  }
  return mix
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
