// A text's tokens as the rules read them: what stands where, and its words as strings. Used once per digest.

import { CALLED, CLOSE, COMMA, OP, OPEN, QUOTED, STRING, type Tokens, USER_VARIABLE, WORD } from './tokens.ts'
import { nameOfWord } from './words.ts'

export class Text {
  readonly #sql: Buffer
  readonly #tokens: Tokens
  readonly count: number
  #partners: Int32Array | null = null

  constructor(sql: Buffer, tokens: Tokens) {
    this.#sql = sql
    this.#tokens = tokens
    this.count = tokens.count
    this.checkWords()
  }

  kind(index: number): number {
    return index >= 0 && index < this.count ? this.#tokens.kinds[index]! : 0
  }

  /** The number of an unquoted word the lexer knows, else 0. */
  word(index: number): number {
    return this.kind(index) === WORD ? this.#tokens.words[index]! : 0
  }

  is(index: number, ...words: readonly number[]): boolean {
    const word = this.word(index)
    return word !== 0 && words.includes(word)
  }

  op(index: number, character: number): boolean {
    return this.kind(index) === OP && this.#tokens.words[index] === character
  }

  /** The token's own bytes. */
  raw(index: number): string {
    return this.#sql.toString('utf8', this.#tokens.starts[index]!, this.#tokens.ends[index]!)
  }

  /** An unquoted word in lower case, known to the lexer or not; else the empty string. */
  lower(index: number): string {
    return this.kind(index) === WORD ? this.raw(index).toLowerCase() : ''
  }

  isName(index: number): boolean {
    const kind = this.kind(index)
    return kind === WORD || kind === QUOTED
  }

  /** A name without its quotes. */
  name(index: number): string {
    return this.kind(index) === QUOTED ? unquoted(this.raw(index)) : this.raw(index)
  }

  /** A user variable's name without the @, as servers compare it. */
  variable(index: number): string {
    const text = this.raw(index).slice(1)
    return (/^["'`]/.test(text) ? unquoted(text) : text).toLowerCase()
  }

  /** What a string literal stands for, or null where that is not plain. */
  literal(index: number): string | null {
    if (this.kind(index) !== STRING) return null
    const text = this.raw(index)
    return /^["']/.test(text) && !text.includes('\\') ? unquoted(text) : null
  }

  /** A function's name whose parenthesis follows as closely as it must. */
  isCalled(index: number): boolean {
    const word = this.word(index)
    return word !== 0 && this.#tokens.nameMixes[index] === (word | CALLED)
  }

  start(index: number): number {
    return index < this.count ? this.#tokens.starts[index]! : this.#sql.length
  }

  /** The character that is the token, where it is one; else 0. */
  operator(index: number): number {
    return this.kind(index) === OP ? this.#tokens.words[index]! : 0
  }

  end(index: number): number {
    return index < this.count ? this.#tokens.ends[index]! : this.#sql.length
  }

  /** The text from a token to the end of another. */
  between(first: number, last: number): string {
    return this.#sql.toString('utf8', this.start(first), this.end(last))
  }

  /** The text behind a token to the end of all, comments included. */
  behind(index: number): string {
    return this.#sql.toString('utf8', this.end(index)).trimStart()
  }

  /** Where the parenthesis that belongs to the one at `index` stands; past the end if there is none. */
  partner(index: number): number {
    this.#partners ??= this.matchParentheses()
    return index >= 0 && index < this.count ? this.#partners[index]! : this.count
  }

  /** How many arguments stand in the parentheses that open at `index`. */
  arguments(index: number): number {
    const close = this.partner(index)
    if (close === index + 1) return 0
    let commas = 0
    for (let at = index + 1; at < close; at++) {
      if (this.op(at, OPEN)) at = Math.min(this.partner(at), close)
      else if (this.op(at, COMMA)) commas++
    }
    return commas + 1
  }

  /** `'user'@'host'` has the look of a string and a variable. */
  isHost(index: number): boolean {
    const before = this.kind(index - 1)
    return this.kind(index) === USER_VARIABLE && (before === STRING || before === QUOTED || before === WORD)
  }

  private matchParentheses(): Int32Array {
    const partners = new Int32Array(this.count).fill(this.count)
    const open: number[] = []
    for (let at = 0; at < this.count; at++) {
      if (this.op(at, OPEN)) open.push(at)
      else if (this.op(at, CLOSE)) {
        const from = open.pop()
        if (from === undefined) continue
        partners[from] = at
        partners[at] = from
      }
    }
    return partners
  }

  // The lexer knows words by a hash; another name may have the same.
  private checkWords(): void {
    const { kinds, words, starts, ends } = this.#tokens
    for (let at = 0; at < this.count; at++) {
      if (kinds[at] !== WORD || words[at] === 0) continue
      const name = nameOfWord(words[at]!)
      if (ends[at]! - starts[at]! !== name.length || this.raw(at).toLowerCase() !== name) words[at] = 0
    }
  }
}

function unquoted(text: string): string {
  const quote = text[0]!
  return text.slice(1, -1).replaceAll(quote + quote, quote)
}
