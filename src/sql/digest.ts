// The digest of a text: 64 bits over its tokens. Literals count as one and the same, a list of nothing but literals as one
// literal, a row of such lists as one list; comments and the semicolon at the end do not count.

import { ASSIGN, CLOSE, COMMA, NUMBER, OP, OPEN, PARAM, SEMICOLON, STRING, type Tokens, WORD } from './tokens.ts'
import { IS_FUNCTION, IS_KEYWORD, LITERAL_WORDS } from './words.ts'

const MINUS = 0x2d
const PLUS = 0x2b

const MIX_LITERAL = 0x3c6ef372
const MIX_LIST = 0x510e527f

// Where we are in a row of lists.
const NO_ROW = 0
const AFTER_LIST = 1
const AFTER_COMMA = 2
const IN_LIST = 3

/** Mixes what the tokens add into `high`, `low` and `guard`. */
export function digest(tokens: Tokens, secret: number): void {
  const { kinds, words, mixes, nameMixes, guardMixes, count } = tokens
  let high = 0x6a09e667
  let low = 0xbb67ae85 | 0
  let guard = secret
  // The digest as it was before a sign, before a parenthesis, and behind the first list of a row.
  let highSign = 0
  let lowSign = 0
  let guardSign = 0
  let highList = 0
  let lowList = 0
  let guardList = 0
  let highRow = 0
  let lowRow = 0
  let guardRow = 0
  let signed = false
  let literals = false
  let items = 0
  let row = NO_ROW
  let semicolon = false

  for (let at = 0; at < count; at++) {
    const kind = kinds[at]!
    const character = kind === OP ? words[at]! : 0
    if (character === SEMICOLON) {
      semicolon = true
      row = NO_ROW
      literals = false
      signed = false
      continue
    }
    if (semicolon) {
      // One that parts statements; none at either end does.
      semicolon = false
      if (high !== 0x6a09e667 || low !== (0xbb67ae85 | 0)) {
        high = Math.imul(high ^ SEMICOLON, 0x85ebca6b)
        low = Math.imul(low ^ SEMICOLON, 0xc2b2ae35)
        guard = Math.imul(guard ^ SEMICOLON, 0x27d4eb2f)
      }
    }

    let mix = kind
    let name = 0
    let mixGuard = kind
    if (kind === OP) {
      mix = character
      mixGuard = character
      if (character === COMMA) row = row === AFTER_LIST ? AFTER_COMMA : row === IN_LIST ? IN_LIST : NO_ROW
      else if (character === OPEN) {
        row = row === AFTER_COMMA ? IN_LIST : NO_ROW
        // The arguments of a function are no list that grows.
        literals = !(at > 0 && kinds[at - 1] === WORD && IS_FUNCTION[words[at - 1]!] === 1)
        items = 0
        highList = high
        lowList = low
        guardList = guard
      } else if (character === CLOSE) {
        if (literals && items > 0) {
          literals = false
          signed = false
          if (row === IN_LIST) {
            high = highRow
            low = lowRow
            guard = guardRow
          } else {
            high = Math.imul(highList ^ MIX_LIST, 0x85ebca6b)
            high ^= high >>> 13
            low = Math.imul(lowList ^ MIX_LIST, 0xc2b2ae35)
            low ^= low >>> 16
            guard = Math.imul(guardList ^ MIX_LIST, 0x27d4eb2f)
            guard ^= guard >>> 15
            highRow = high
            lowRow = low
            guardRow = guard
          }
          row = AFTER_LIST
          continue
        }
        literals = false
        row = NO_ROW
      } else if (character === MINUS || character === PLUS) {
        if (!literals) row = NO_ROW
        signed = isUnary(tokens, at)
        highSign = high
        lowSign = low
        guardSign = guard
      } else {
        literals = false
        row = NO_ROW
      }
      if (character !== MINUS && character !== PLUS) signed = false
    } else if (kind === STRING || kind === NUMBER || kind === PARAM) {
      items++
      if (!literals) row = NO_ROW
      // Adjacent strings are one.
      if (kind === STRING && at > 0 && kinds[at - 1] === STRING) continue
      if (signed && kind === NUMBER) {
        high = highSign
        low = lowSign
        guard = guardSign
      }
      signed = false
      mix = MIX_LITERAL
      mixGuard = MIX_LITERAL
    } else {
      signed = false
      if (literals && kind === WORD && LITERAL_WORDS[words[at]!] === 1) items++
      else {
        literals = false
        row = NO_ROW
      }
      if (kind !== ASSIGN) {
        mix = mixes[at]! ^ (kind << 24)
        name = nameMixes[at]!
        mixGuard = guardMixes[at]! ^ kind
      }
    }
    high = Math.imul(high ^ mix, 0x85ebca6b)
    high ^= high >>> 13
    low = Math.imul(low ^ name ^ mix, 0xc2b2ae35)
    low ^= low >>> 16
    guard = Math.imul(guard ^ mixGuard, 0x27d4eb2f)
    guard ^= guard >>> 15
  }
  tokens.high = high
  tokens.low = low
  tokens.guard = guard
}

/** Whether a sign at `at` belongs to the number after it, there being nothing before it to subtract from. */
function isUnary(tokens: Tokens, at: number): boolean {
  if (at === 0) return true
  const kind = tokens.kinds[at - 1]!
  const number = tokens.words[at - 1]!
  if (kind === OP) return number !== CLOSE
  return kind === ASSIGN || (kind === WORD && IS_KEYWORD[number] === 1)
}
