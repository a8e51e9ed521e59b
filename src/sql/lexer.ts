// One pass over a statement's bytes: its tokens, as the server would read them, and what they add to its digest. Linear,
// flat, without exceptions on any input; what cannot be read with certainty is said in `doubt`.

import { type CharsetFamily, characterLength, hidesAscii } from './charsets.ts'
import { findHint } from './hints.ts'
import {
  ASSIGN,
  CLOSE,
  DOT,
  EQUALS,
  HINT,
  NUMBER,
  OP,
  OPEN,
  PARAM,
  QUOTED,
  SEMICOLON,
  STRING,
  SYSTEM_VARIABLE,
  type Tokens,
  USER_VARIABLE,
  WORD,
} from './tokens.ts'
import {
  BEFORE_NAMES,
  IS_FUNCTION,
  IS_KEYWORD,
  SLOT_HASHES,
  SLOT_MASK,
  SLOT_WORDS,
  WORD_PRIME,
  WORD_SEED,
  word,
  wordSet,
} from './words.ts'

export interface LexRules {
  readonly mariadb: boolean
  readonly version: number
  readonly ansiQuotes: boolean
  readonly noBackslashEscapes: boolean
  readonly ignoreSpace: boolean
  readonly family: CharsetFamily
  /** Secret of this process, for `Tokens.guard`. */
  readonly secret: number
}

// What a byte can start.
const SPACE = 1
const LETTER = 2
const DIGIT = 3
const QUOTE = 4
const DOUBLE_QUOTE = 5
const BACKTICK = 6
const AT = 7
const MINUS = 8
const HASH = 9
const SLASH = 10
const STAR = 11
const POINT = 12
const COLON = 13
const QUESTION = 14
const PLUS = 15
const OTHER = 16
const STRAY = 17

const STARTS = new Uint8Array(256)
/** Bytes that go on in a word, letters folded to lower case; 0 for all others. */
const FOLDED = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) {
  const letter = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
  const digit = byte >= 0x30 && byte <= 0x39
  STARTS[byte] = digit ? DIGIT : letter || byte === 0x5f || byte === 0x24 || byte >= 0x80 ? LETTER : OTHER
  if (letter) FOLDED[byte] = byte | 0x20
  else if (digit || byte === 0x5f || byte === 0x24 || byte >= 0x80) FOLDED[byte] = byte
  if (byte < 0x20 || byte === 0x7f || byte === 0x5c) STARTS[byte] = STRAY
}
for (const byte of [0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d]) STARTS[byte] = SPACE
for (const [character, start] of [
  ["'", QUOTE],
  ['"', DOUBLE_QUOTE],
  ['`', BACKTICK],
  ['@', AT],
  ['-', MINUS],
  ['#', HASH],
  ['/', SLASH],
  ['*', STAR],
  ['.', POINT],
  [':', COLON],
  ['?', QUESTION],
  ['+', PLUS],
] as const) {
  STARTS[character.charCodeAt(0)] = start
}

const LF = 0x0a
const APOSTROPHE = 0x27
const BACKSLASH = 0x5c

const INSERT = word('insert')
const REPLACE = word('replace')
const VALUES = word('values')
const VALUE = word('value')
const HINTED = wordSet('select insert replace update delete')

/** How often an end of dollar quotes is looked for in one text. */
const DOLLARS_MAX = 64

/** Where a bulk INSERT may be cut. */
const HEAD_BYTES = 2048

/** Fills `tokens` with the text's tokens and what they add to its digest. */
export function scan(sql: Buffer, rules: LexRules, tokens: Tokens): void {
  const end = sql.length
  const { family, secret } = rules
  let { kinds, words, starts, ends, mixes, nameMixes, guardMixes } = tokens
  let count = 0
  let executable = false
  let dollarsLeft = DOLLARS_MAX
  /** The byte after a dot that makes a name of whatever follows at once. */
  let nameAt = -1
  let previousWord = 0
  // Whether this is an INSERT, and whether these are its rows.
  let bulk = false
  let rows = false
  let depth = 0
  tokens.doubt = null
  tokens.headOnly = false
  tokens.hint = 0

  let at = 0
  while (at < end) {
    const byte = sql[at]!
    if (byte === 0x20) {
      at++
      continue
    }
    const from = at
    let kind = OP
    let number = byte
    let start = STARTS[byte]!
    if (start === DIGIT) {
      if (nameAt !== at) {
        do at++
        while (at < end && isDigit(sql[at]!))
        if (at < end && (FOLDED[sql[at]!] !== 0 || sql[at] === DOT)) at = numberEnd(sql, from)
        if (at < 0) {
          at = -at
          tokens.doubt ??= 'a number that only half looks like one'
        }
      }
      // A word may start with digits.
      if (at === from) start = LETTER
    } else if (start === DOUBLE_QUOTE) start = rules.ansiQuotes ? BACKTICK : QUOTE

    switch (start) {
      case SPACE:
        at++
        continue

      case DIGIT:
        kind = NUMBER
        number = 0
        break

      case LETTER: {
        let folded = WORD_SEED
        let raw = 0x2545f491
        let guard = secret
        let any = 0
        let fold = FOLDED[byte]!
        do {
          const one = sql[at]!
          folded = Math.imul(folded ^ fold, WORD_PRIME)
          raw = Math.imul(raw ^ one, 0x5bd1e995)
          guard = Math.imul(guard ^ fold, 0x27d4eb2f)
          any |= one
          at++
          fold = at < end ? FOLDED[sql[at]!]! : 0
        } while (fold !== 0)
        if (any >= 0x80 && family !== 'utf8') tokens.doubt ??= 'a name with letters outside ASCII'
        kind = WORD
        number = 0
        const next = at < end ? sql[at]! : 0
        if (next === APOSTROPHE && at === from + 1 && nameAt !== from) {
          const prefix = byte | 0x20
          if (prefix === 0x6e || prefix === 0x78 || prefix === 0x62) {
            // N'…', x'…' and b'…' are literals; in the last two a backslash is nothing special, and not allowed.
            at = literalEnd(sql, at, rules, prefix !== 0x6e, tokens)
            kind = STRING
            break
          }
        }
        if (byte === 0x24) {
          const dollars = !rules.mariadb && rules.version >= 90000 && dollarsLeft-- > 0
          const close = dollars ? dollarQuoteEnd(sql, from) : -1
          tokens.doubt ??= 'a name that starts with a dollar sign'
          if (close > 0) {
            at = close
            kind = STRING
            break
          }
        }
        if (next === DOT && at + 1 < end && FOLDED[sql[at + 1]!] !== 0) {
          // Before a dot stands a name, and after it: neither is looked up as a keyword.
        } else if (nameAt !== from) {
          let slot = (folded ^ (folded >>> 15)) & SLOT_MASK
          while (SLOT_WORDS[slot] !== 0) {
            if (SLOT_HASHES[slot] === folded) {
              number = SLOT_WORDS[slot]!
              break
            }
            slot = (slot + 1) & SLOT_MASK
          }
        }
        mixes[count] = folded
        // Some functions are only functions with their parenthesis at once.
        if (next === OPEN && IS_FUNCTION[number] === 1) nameMixes[count] = number | 0x10000
        else nameMixes[count] = IS_KEYWORD[number] === 1 && BEFORE_NAMES[previousWord] === 0 ? number : raw
        guardMixes[count] = guard
        break
      }

      case QUOTE:
        at = literalEnd(sql, at, rules, rules.noBackslashEscapes, tokens)
        kind = STRING
        break

      case BACKTICK:
        at = nameEnd(quotedEnd(sql, at, family), end, tokens)
        kind = QUOTED
        mixBytes(sql, from, at, tokens, count, secret)
        break

      case AT: {
        at++
        const next = at < end ? sql[at]! : 0
        if (next === 0x40) {
          at++
          kind = SYSTEM_VARIABLE
          mixBytes(sql, from, at, tokens, count, secret)
          break
        }
        kind = USER_VARIABLE
        if (next === APOSTROPHE || (next === 0x22 && !rules.ansiQuotes)) {
          at = literalEnd(sql, at, rules, rules.noBackslashEscapes, tokens)
        } else if (next === 0x60 || next === 0x22) at = nameEnd(quotedEnd(sql, at, family), end, tokens)
        else {
          while (at < end && (FOLDED[sql[at]!] !== 0 || sql[at] === DOT)) {
            if (sql[at]! >= 0x80 && family !== 'utf8') tokens.doubt ??= 'a name with letters outside ASCII'
            at++
          }
        }
        mixBytes(sql, from, at, tokens, count, secret)
        break
      }

      case MINUS:
        // Two dashes begin a comment only before a space or a control character.
        if (at + 1 < end && sql[at + 1] === 0x2d && (at + 2 >= end || startsDashComment(sql[at + 2]!))) {
          if (at + 2 < end && sql[at + 2]! >= 0x80) tokens.doubt ??= 'a comment that may be none'
          at = lineEnd(sql, at + 2)
          if (count === 0 && tokens.hint === 0) findHint(sql, tokens, from + 2, at)
          continue
        }
        at++
        break

      case HASH:
        at = lineEnd(sql, at + 1)
        if (count === 0 && tokens.hint === 0) findHint(sql, tokens, from + 1, at)
        continue

      case SLASH: {
        if (at + 1 >= end || sql[at + 1] !== 0x2a) {
          at++
          break
        }
        const code = codeAt(sql, at, rules, tokens)
        if (code > 0) {
          at = code
          executable = true
          continue
        }
        const third = at + 2 < end ? sql[at + 2]! : 0
        at = code < 0 ? discardedEnd(sql, -code) : commentEnd(sql, at + 2)
        if (at < 0) {
          at = end
          tokens.doubt ??= 'a comment without an end'
        }
        if (code < 0) continue
        if (third === 0x2b && HINTED[previousWord] === 1) {
          kind = HINT
          if (cutsQuote(sql, from + 3, at - 2)) tokens.doubt ??= 'an optimizer hint with an open quote'
          mixBytes(sql, from, at, tokens, count, secret)
          break
        }
        if (count === 0 && tokens.hint === 0 && third !== 0x2b) findHint(sql, tokens, from + 2, at - 2)
        continue
      }

      case STAR:
        if (executable && at + 1 < end && sql[at + 1] === 0x2f) {
          executable = false
          at += 2
          continue
        }
        at++
        break

      case POINT: {
        const next = at + 1 < end ? sql[at + 1]! : 0
        // After an unquoted name at once, `.5` is a name too.
        const afterName = count > 0 && kinds[count - 1] === WORD && ends[count - 1] === at
        if (isDigit(next) && !afterName) {
          at = fractionEnd(sql, at)
          if (at < 0) {
            at = -at
            tokens.doubt ??= 'a number that only half looks like one'
          }
          kind = NUMBER
          break
        }
        at++
        nameAt = at
        break
      }

      case COLON:
        at++
        if (at < end && sql[at] === EQUALS) {
          at++
          kind = ASSIGN
        }
        break

      case QUESTION:
        at++
        kind = PARAM
        break

      case STRAY:
        tokens.doubt ??= 'a character that has no place in SQL'
        at++
        break

      default:
        at++
    }

    kinds[count] = kind
    words[count] = kind === WORD || kind === OP ? number : 0
    starts[count] = from
    ends[count] = at
    count++
    if (count === kinds.length) {
      tokens.grow()
      ;({ kinds, words, starts, ends, mixes, nameMixes, guardMixes } = tokens)
    }

    if (kind === WORD) {
      previousWord = number
      if (count === 1) bulk = number === INSERT || number === REPLACE
      else if (bulk && depth === 0) rows = number === VALUES || number === VALUE
      continue
    }
    previousWord = 0
    if (!bulk || kind !== OP) continue
    if (byte === OPEN) depth++
    else if (byte === CLOSE && --depth === 0 && rows && at > HEAD_BYTES) {
      rows = false
      tokens.headOnly = holdsRowsOnly(sql, at)
      if (tokens.headOnly) break
    }
  }

  if (executable) tokens.doubt ??= 'an executable comment without an end'
  tokens.count = count
}

/** What the name or the like from `from` to `to` adds to the digest. */
function mixBytes(sql: Buffer, from: number, to: number, tokens: Tokens, index: number, secret: number): void {
  let mix = 0
  let name = 0
  let guard = secret
  for (let at = from; at < to; at++) {
    const byte = sql[at]!
    mix = Math.imul(mix ^ byte, WORD_PRIME)
    name = Math.imul(name ^ byte, 0x5bd1e995)
    guard = Math.imul(guard ^ byte, 0x27d4eb2f)
  }
  tokens.mixes[index] = mix
  tokens.nameMixes[index] = name
  tokens.guardMixes[index] = guard
}

/**
 * Where the code of an executable comment begins that is executed; negative: where the inside begins of one that is not;
 * 0: a plain comment.
 */
function codeAt(sql: Buffer, from: number, rules: LexRules, tokens: Tokens): number {
  const third = from + 2 < sql.length ? sql[from + 2]! : 0
  const marked = third === 0x4d && from + 3 < sql.length && sql[from + 3] === 0x21
  if (marked && !rules.mariadb) tokens.doubt ??= 'a comment that MariaDB executes'
  const maria = marked && rules.mariadb
  if (third !== 0x21 && !maria) return 0
  const inside = from + (maria ? 4 : 3)
  const digits = versionDigits(sql, inside, rules.mariadb)
  const version = versionAt(sql, inside, digits)
  if (digits === 0 || appliesTo(rules, version, maria)) return inside + digits
  // Another server of the cluster may be newer, and MySQL before 8.4 may not read a sixth digit.
  const never = digits === 6 && (rules.mariadb || rules.version < 80400) ? 999990 : 99990
  if (version > rules.version && version < never) tokens.doubt ??= 'a comment that a newer server executes'
  return -inside
}

/** The end of a string, or of the text if it has none. */
function literalEnd(sql: Buffer, from: number, rules: LexRules, noEscapes: boolean, tokens: Tokens): number {
  const close = stringEnd(sql, from, noEscapes, hidesAscii(rules.family) ? rules.family : null)
  if (close >= 0) return close
  tokens.doubt ??= 'a string without an end'
  return sql.length
}

function nameEnd(close: number, end: number, tokens: Tokens): number {
  if (close >= 0) return close
  tokens.doubt ??= 'a quoted name without a clear end'
  return end
}

/** Where the string that begins at `from` ends, or -1. */
function stringEnd(sql: Buffer, from: number, noBackslashEscapes: boolean, family: CharsetFamily | null): number {
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
function quotedEnd(sql: Buffer, from: number, family: CharsetFamily): number {
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
function numberEnd(sql: Buffer, from: number): number {
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
function fractionEnd(sql: Buffer, from: number): number {
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

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

function isHexDigit(byte: number): boolean {
  const folded = byte | 0x20
  return isDigit(byte) || (folded >= 0x61 && folded <= 0x66)
}

function startsDashComment(byte: number): boolean {
  return byte <= 0x20 || byte === 0x7f || byte >= 0x80
}

/** A comment to the end of the line; a NUL ends it too. */
function lineEnd(sql: Buffer, from: number): number {
  const end = sql.length
  let at = from
  while (at < end && sql[at] !== LF && sql[at] !== 0) at++
  return at
}

/** Behind the next end of a comment, or -1. */
function commentEnd(sql: Buffer, from: number): number {
  const end = sql.length
  for (let at = from; at + 1 < end; at++) if (sql[at] === 0x2a && sql[at + 1] === 0x2f) return at + 2
  return -1
}

/** Behind the end of an executable comment that is not executed: comments inside it count, one level deep. */
function discardedEnd(sql: Buffer, from: number): number {
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

/** How many digits of version stand at the head of an executable comment: 0, 5 or 6. */
function versionDigits(sql: Buffer, from: number, mariadb: boolean): number {
  let digits = 0
  while (digits < 6 && from + digits < sql.length && isDigit(sql[from + digits]!)) digits++
  if (digits < 5) return 0
  if (digits === 5 || mariadb) return digits
  // MySQL takes a sixth digit only before a space.
  return from + 6 < sql.length && STARTS[sql[from + 6]!] === SPACE ? 6 : 5
}

function versionAt(sql: Buffer, from: number, digits: number): number {
  let version = 0
  for (let at = from; at < from + digits; at++) version = version * 10 + sql[at]! - 0x30
  return version
}

function appliesTo(rules: LexRules, version: number, maria: boolean): boolean {
  if (version > rules.version) return false
  // MariaDB leaves to MySQL what MySQL 5.7 and later have of their own.
  return !rules.mariadb || maria || version < 50700 || version > 99999
}

/** Whether a comment that ends at `to` ends inside of a quoted name. */
function cutsQuote(sql: Buffer, from: number, to: number): boolean {
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
function dollarQuoteEnd(sql: Buffer, from: number): number {
  let at = from + 1
  while (at < sql.length && sql[at] !== 0x24 && FOLDED[sql[at]!] !== 0) at++
  if (at >= sql.length || sql[at] !== 0x24) return -1
  const tag = sql.subarray(from, at + 1)
  const close = sql.indexOf(tag, at + 1)
  return close < 0 ? -1 : close + tag.length
}

/**
 * Whether the rest of a bulk INSERT holds nothing but more of the same: no further statement, no variable, no question
 * about the session. Looks at bytes only, so it may say no where strings contain such text.
 */
function holdsRowsOnly(sql: Buffer, from: number): boolean {
  if (sql.indexOf(SEMICOLON, from) >= 0 || sql.indexOf(0, from) >= 0) return false
  for (let at = sql.indexOf(0x40, from); at >= 0; at = sql.indexOf(0x40, at + 1)) {
    if (FOLDED[sql[at - 1]!] === 0) return false
  }
  const end = sql.length - 2
  let at = sql.indexOf(0x5f, from)
  if (at < 0) return true
  for (; at < end; at++) if (sql[at] === 0x5f && isTelling(sql, at + 1)) return false
  return true
}

/** last_INSERt_id, row_COUNt, found_ROWS, get_LOCK, release_ALL, connection_ID. */
function isTelling(sql: Buffer, from: number): boolean {
  const first = sql[from]! | 0x20
  const second = sql[from + 1]! | 0x20
  switch (first) {
    case 0x69:
      return second === 0x6e || second === 0x64
    case 0x63:
      return second === 0x6f
    case 0x72:
      return second === 0x6f
    case 0x6c:
      return second === 0x6f
    case 0x61:
      return second === 0x6c
    default:
      return false
  }
}
