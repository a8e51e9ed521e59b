// Where strings, names, numbers and comments end, byte by byte.

import { FOLDED, isDigit, isHexDigit } from './bytes.ts'
import { type CharsetFamily, characterLength } from './charsets.ts'
import { DOT } from './tokens.ts'

const LF = 0x0a
const APOSTROPHE = 0x27
const BACKSLASH = 0x5c

/** Where the string that begins at `from` ends, or -1. */
export function stringEnd(
  sql: Buffer,
  from: number,
  noBackslashEscapes: boolean,
  family: CharsetFamily | null,
): number {
  const end = sql.length
  const quote = sql[from]!
  let at = from + 1
  while (at < end) {
    const byte = sql[at]!
    if (byte === quote) {
      at++
      if (at >= end || sql[at] !== quote) return at
      at++
    } else if (byte === BACKSLASH && !noBackslashEscapes) at += 2
    else if (byte >= 0x80 && family !== null) at += characterLength(sql, at, family)
    else at++
  }
  return -1
}

/** Where the quoted name that begins at `from` ends; -1 without an end, or where servers may see another one. */
export function quotedEnd(sql: Buffer, from: number, family: CharsetFamily): number {
  const end = sql.length
  const quote = sql[from]!
  let at = from + 1
  while (at < end) {
    const byte = sql[at]!
    if (byte === quote) {
      at++
      if (at >= end || sql[at] !== quote) return at
      at++
    } else if (byte === 0) return -1
    else if (byte >= 0x80 && family !== 'ascii') {
      // A server takes as many bytes as the first one announces, even if they are none of the character's.
      const length = family === 'euc' ? eucLength(sql, at) : characterLength(sql, at, family)
      if (length === 1 && !(family === 'sjis' && byte >= 0xa1 && byte <= 0xdf)) return -1
      at += length
    } else at++
  }
  return -1
}

function eucLength(sql: Buffer, at: number): number {
  let length = 1
  while (length < 3 && at + length < sql.length && sql[at + length]! >= 0x80) length++
  return length
}

/** Where the number that begins at `from` ends; `from` itself if it is a word; negative if it only half is a number. */
export function numberEnd(sql: Buffer, from: number): number {
  const end = sql.length
  let at = from + 1
  if (sql[from] === 0x30 && at < end && (sql[at] === 0x78 || sql[at] === 0x62)) {
    const hexadecimal = sql[at] === 0x78
    at++
    while (at < end && (hexadecimal ? isHexDigit(sql[at]!) : sql[at] === 0x30 || sql[at] === 0x31)) at++
    return at - from > 2 && !(at < end && FOLDED[sql[at]!] !== 0) ? at : from
  }
  while (at < end && isDigit(sql[at]!)) at++
  const next = at < end ? sql[at]! : 0
  if (next === DOT) return fractionEnd(sql, at)
  if (FOLDED[next] === 0) return at
  if ((next | 0x20) !== 0x65) return from
  let digits = at + 1
  if (digits < end && (sql[digits] === 0x2b || sql[digits] === 0x2d)) digits++
  if (digits >= end || !isDigit(sql[digits]!)) return from
  while (digits < end && isDigit(sql[digits]!)) digits++
  return digits
}

/** Where the number ends whose point is at `from`; negative if its exponent has no digits. */
export function fractionEnd(sql: Buffer, from: number): number {
  const end = sql.length
  let at = from + 1
  while (at < end && isDigit(sql[at]!)) at++
  if (at >= end || (sql[at]! | 0x20) !== 0x65) return at
  at++
  if (at < end && (sql[at] === 0x2b || sql[at] === 0x2d)) at++
  if (at >= end || !isDigit(sql[at]!)) return -at
  while (at < end && isDigit(sql[at]!)) at++
  return at
}

export function startsDashComment(byte: number): boolean {
  return byte <= 0x20 || byte === 0x7f || byte >= 0x80
}

/** A comment to the end of the line; a NUL ends it too. */
export function lineEnd(sql: Buffer, from: number): number {
  const end = sql.length
  let at = from
  while (at < end && sql[at] !== LF && sql[at] !== 0) at++
  return at
}

/** Behind the next end of a comment, or -1. */
export function commentEnd(sql: Buffer, from: number): number {
  const end = sql.length
  for (let at = from; at + 1 < end; at++) if (sql[at] === 0x2a && sql[at + 1] === 0x2f) return at + 2
  return -1
}

/** Behind the end of an executable comment that is not executed: comments inside it count, one level deep. */
export function discardedEnd(sql: Buffer, from: number): number {
  const end = sql.length
  let at = from
  while (at + 1 < end) {
    if (sql[at] === 0x2f && sql[at + 1] === 0x2a) {
      at = commentEnd(sql, at + 2)
      if (at < 0) return -1
    } else if (sql[at] === 0x2a && sql[at + 1] === 0x2f) return at + 2
    else at++
  }
  return -1
}

/** Whether a comment that ends at `to` ends inside of a quoted name. */
export function cutsQuote(sql: Buffer, from: number, to: number): boolean {
  let quote = 0
  for (let at = from; at < to; at++) {
    const byte = sql[at]!
    if (quote !== 0) {
      if (byte === quote) quote = 0
    } else if (byte === 0x60 || byte === 0x22 || byte === APOSTROPHE) quote = byte
  }
  return quote !== 0
}

/** Where text between dollar quotes ends, or -1 if there are none. */
export function dollarQuoteEnd(sql: Buffer, from: number): number {
  let at = from + 1
  while (at < sql.length && sql[at] !== 0x24 && FOLDED[sql[at]!] !== 0) at++
  if (at >= sql.length || sql[at] !== 0x24) return -1
  const tag = sql.subarray(from, at + 1)
  const close = sql.indexOf(tag, at + 1)
  return close < 0 ? -1 : close + tag.length
}
