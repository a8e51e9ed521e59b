// The tokens of one text: kinds, word numbers and positions in flat arrays that are used again and again.

import type { CharsetFamily } from './charsets.ts'

export const WORD = 1
/** A quoted identifier. */
export const QUOTED = 2
export const STRING = 3
export const NUMBER = 4
/** A `?`. */
export const PARAM = 5
/** `@name`, quoted or not, as one token. */
export const USER_VARIABLE = 6
/** The `@@` of a system variable; its name follows as words. */
export const SYSTEM_VARIABLE = 7
/** An optimizer hint, whole. */
export const HINT = 8
/** One character; its code stands in place of the word number. */
export const OP = 9
/** The `:=` sign. */
export const ASSIGN = 10

/** In `nameMixes`, with a function's word number: its parenthesis follows as closely as it must. */
export const CALLED = 0x10000

export const COMMA = 0x2c
export const DOT = 0x2e
export const OPEN = 0x28
export const CLOSE = 0x29
export const COLON = 0x3a
export const SEMICOLON = 0x3b
export const EQUALS = 0x3d

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

const CAPACITY = 1024
/** Beyond this the arrays of one giant statement are not kept for the next. */
const CAPACITY_KEPT = 1 << 17

export class Tokens {
  kinds = new Uint8Array(CAPACITY)
  words = new Uint16Array(CAPACITY)
  starts = new Int32Array(CAPACITY)
  ends = new Int32Array(CAPACITY)
  /** What names and the like add to the digest, in both halves, and to the guard. */
  mixes = new Int32Array(CAPACITY)
  nameMixes = new Int32Array(CAPACITY)
  guardMixes = new Int32Array(CAPACITY)
  count = 0
  /** The digest, in two halves. */
  high = 0
  low = 0
  /** A third hash, keyed by a secret: texts made to share a digest do not share this. */
  guard = 0
  /** Why the text cannot be read with certainty, or null. */
  doubt: string | null = null
  /** A bulk INSERT of which only the head was read; the rest holds nothing but rows. */
  headOnly = false
  /** A hint in a comment before the first token, one of `HINT_…`; 0: none. */
  hint = 0
  /** Where the endpoint's name stands that a hint gives. */
  hintFrom = 0
  hintTo = 0
  /** How fresh the answer must be, as hints give it (see hints.ts); 0: none does. */
  freshness = 0
  /** Where the position stands that a hint gives; `afterTo` is 0 where none does. */
  afterFrom = 0
  afterTo = 0

  grow(): void {
    const size = this.kinds.length * 2
    this.kinds = enlarged(this.kinds, new Uint8Array(size))
    this.words = enlarged(this.words, new Uint16Array(size))
    this.starts = enlarged(this.starts, new Int32Array(size))
    this.ends = enlarged(this.ends, new Int32Array(size))
    this.mixes = enlarged(this.mixes, new Int32Array(size))
    this.nameMixes = enlarged(this.nameMixes, new Int32Array(size))
    this.guardMixes = enlarged(this.guardMixes, new Int32Array(size))
  }

  /** Lets go of what one giant statement needed. */
  shrink(): void {
    if (this.kinds.length <= CAPACITY_KEPT) return
    this.kinds = new Uint8Array(CAPACITY)
    this.words = new Uint16Array(CAPACITY)
    this.starts = new Int32Array(CAPACITY)
    this.ends = new Int32Array(CAPACITY)
    this.mixes = new Int32Array(CAPACITY)
    this.nameMixes = new Int32Array(CAPACITY)
    this.guardMixes = new Int32Array(CAPACITY)
    this.count = 0
  }
}

function enlarged<T extends Uint8Array | Uint16Array | Int32Array>(from: T, to: T): T {
  to.set(from)
  return to
}
