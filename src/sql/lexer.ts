// One pass over a statement's bytes: its tokens, as the server would read them, and what they add to its digest. Linear,
// flat, without exceptions on any input; what cannot be read with certainty is said in `doubt`.

import { holdsRowsOnly } from './bulk.ts'
import {
  AT,
  BACKTICK,
  COLON,
  DIGIT,
  DOUBLE_QUOTE,
  FOLDED,
  HASH,
  isDigit,
  LETTER,
  MINUS,
  POINT,
  QUESTION,
  QUOTE,
  SLASH,
  SPACE,
  STAR,
  STARTS,
  STRAY,
} from './bytes.ts'
import { hidesAscii } from './charsets.ts'
import { codeAt } from './executable.ts'
import { findHint } from './hints.ts'
import {
  commentEnd,
  cutsQuote,
  discardedEnd,
  dollarQuoteEnd,
  fractionEnd,
  lineEnd,
  numberEnd,
  quotedEnd,
  startsDashComment,
  stringEnd,
} from './spans.ts'
import {
  ASSIGN,
  CALLED,
  CLOSE,
  DOT,
  EQUALS,
  HINT,
  type LexRules,
  NUMBER,
  OP,
  OPEN,
  PARAM,
  QUOTED,
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

const APOSTROPHE = 0x27

const INSERT = word('insert')
const REPLACE = word('replace')
const VALUES = word('values')
const VALUE = word('value')
const HINTED = wordSet('select insert replace update delete')

/** How often an end of dollar quotes is looked for in one text. */
const DOLLARS_MAX = 64

/** A longer text is not read on: what it takes to remember its tokens is more than what knowing them is worth. */
const TOKENS_MAX = 1 << 22

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
  tokens.freshness = 0
  tokens.afterTo = 0

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
        if (IS_FUNCTION[number] === 1 && isCalled(sql, at, rules.ignoreSpace)) nameMixes[count] = number | CALLED
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
          if (count === 0) findHint(sql, tokens, from + 2, at)
          continue
        }
        at++
        break

      case HASH:
        at = lineEnd(sql, at + 1)
        if (count === 0) findHint(sql, tokens, from + 1, at)
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
        if (count === 0 && third !== 0x2b) findHint(sql, tokens, from + 2, at - 2)
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
      if (count >= TOKENS_MAX) {
        tokens.doubt ??= 'too long to be read'
        break
      }
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

/** Whether a parenthesis follows at once; with IGNORE_SPACE, behind nothing but spaces. */
function isCalled(sql: Buffer, from: number, ignoreSpace: boolean): boolean {
  let at = from
  if (ignoreSpace) while (at < sql.length && STARTS[sql[at]!] === SPACE) at++
  return at < sql.length && sql[at] === OPEN
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
