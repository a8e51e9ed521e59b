// The text people see for a digest: keywords in capitals, names as they are, literals as ?, lists of literals and their rows as one.

import type { Text } from './text.ts'
import { CLOSE, COMMA, DOT, HINT, NUMBER, OP, OPEN, PARAM, SEMICOLON, STRING, SYSTEM_VARIABLE, WORD } from './tokens.ts'
import { BEFORE_NAMES, IS_FUNCTION, IS_KEYWORD, IS_RESERVED, LITERAL_WORDS, wordSet } from './words.ts'

const LENGTH_MAX = 1024
const EQUALS = 0x3d
const BEFORE_EXPRESSIONS = wordSet('select where and or not by having distinct between')

export function digestText(text: Text): string {
  let out = ''
  let at = 0
  let space = false
  const put = (token: string, before: boolean, after: boolean) => {
    out += space && before ? ` ${token}` : token
    space = after
  }
  while (at < text.count && out.length < LENGTH_MAX) {
    const kind = text.kind(at)
    if (kind === STRING || kind === NUMBER || kind === PARAM) {
      put('?', true, true)
      if (kind === STRING) while (text.kind(at + 1) === STRING) at++
    } else if (text.op(at, OPEN)) {
      const after = IS_FUNCTION[text.word(at - 1)] === 1 ? 0 : listEnd(text, at)
      if (after > 0) {
        put('(?)', !isCall(text, at), true)
        at = rowsEnd(text, after)
        continue
      }
      put('(', !isCall(text, at), false)
    } else if (text.op(at, CLOSE)) put(')', false, true)
    else if (text.op(at, COMMA)) put(',', false, true)
    else if (text.op(at, DOT)) put('.', false, false)
    else if (text.op(at, SEMICOLON)) {
      if (out !== '' && at + 1 < text.count && !text.op(at + 1, SEMICOLON)) put(';', false, true)
    } else if (kind === SYSTEM_VARIABLE) put('@@', true, false)
    else if (kind === OP && isSign(text, at)) space = true
    else if (kind === HINT) put(text.raw(at), true, true)
    else if (kind === WORD && isFolded(text, at))
      put(isName(text, at) ? text.lower(at) : text.raw(at).toUpperCase(), true, true)
    else put(text.raw(at), true, true)
    at++
  }
  return out.length > LENGTH_MAX ? out.slice(0, LENGTH_MAX) : out
}

/** Words whose case the digest does not hold. */
function isFolded(text: Text, at: number): boolean {
  const number = text.word(at)
  if (text.isCalled(at)) return true
  return IS_KEYWORD[number] === 1 && BEFORE_NAMES[text.word(at - 1)] !== 1
}

/** A keyword that need not be one, where an expression or a column stands. */
function isName(text: Text, at: number): boolean {
  if (IS_RESERVED[text.word(at)] === 1 || text.isCalled(at)) return false
  if (text.op(at + 1, EQUALS) || text.op(at + 1, DOT) || BEFORE_EXPRESSIONS[text.word(at - 1)] === 1) return true
  return text.kind(at - 1) === SYSTEM_VARIABLE || (text.kind(at - 1) === OP && !text.op(at - 1, CLOSE))
}

/** No space before the parenthesis of a call, except where that space makes a difference. */
function isCall(text: Text, at: number): boolean {
  const number = text.word(at - 1)
  if (text.kind(at - 1) !== WORD || IS_RESERVED[number] === 1) return false
  return IS_FUNCTION[number] !== 1 || text.isCalled(at - 1)
}

/** Behind the list of nothing but literals that begins at `at`, or 0. */
function listEnd(text: Text, at: number): number {
  let items = 0
  for (let next = at + 1; next < text.count; next++) {
    const kind = text.kind(next)
    if (kind === STRING || kind === NUMBER || kind === PARAM || LITERAL_WORDS[text.word(next)] === 1) items++
    else if (text.op(next, CLOSE)) return items > 0 ? next + 1 : 0
    else if (!text.op(next, COMMA) && !text.op(next, 0x2d) && !text.op(next, 0x2b)) return 0
  }
  return 0
}

function rowsEnd(text: Text, from: number): number {
  let at = from
  while (text.op(at, COMMA) && text.op(at + 1, OPEN)) {
    const after = listEnd(text, at + 1)
    if (after === 0) break
    at = after
  }
  return at
}

/** A sign that belongs to the number after it. */
function isSign(text: Text, at: number): boolean {
  if (!(text.op(at, 0x2d) || text.op(at, 0x2b)) || text.kind(at + 1) !== NUMBER) return false
  if (at === 0 || IS_KEYWORD[text.word(at - 1)] === 1) return true
  return text.kind(at - 1) === OP && !text.op(at - 1, CLOSE)
}
