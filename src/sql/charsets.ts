// Client character sets, as far as they matter for finding the ends of strings and words.

/**
 * `ascii`: bytes from 0x80 on are not letters in every such set, and some are spaces. `utf8`: they are letters.
 * The others have two-byte characters whose second byte may be a backslash, a backtick or another ASCII character.
 */
export type CharsetFamily = 'ascii' | 'utf8' | 'gbk' | 'big5' | 'sjis' | 'gb18030' | 'euc'

const FAMILIES: Readonly<Record<string, CharsetFamily>> = {
  '': 'utf8',
  utf8: 'utf8',
  utf8mb3: 'utf8',
  utf8mb4: 'utf8',
  gbk: 'gbk',
  big5: 'big5',
  sjis: 'sjis',
  cp932: 'sjis',
  gb18030: 'gb18030',
  euckr: 'euc',
  gb2312: 'euc',
  ujis: 'euc',
  eucjpms: 'euc',
}

export function familyOf(charset: string): CharsetFamily {
  return FAMILIES[charset.toLowerCase()] ?? 'ascii'
}

/** True where a character's later bytes may look like ASCII, so strings must be read character by character. */
export function hidesAscii(family: CharsetFamily): boolean {
  return family === 'gbk' || family === 'big5' || family === 'sjis' || family === 'gb18030'
}

/**
 * How many bytes the character at `at` has, whose first byte is 0x80 or more; 1 where the bytes are no character of the
 * set, as the server then takes them one by one.
 */
export function characterLength(sql: Uint8Array, at: number, family: CharsetFamily): number {
  const first = sql[at]!
  const second = at + 1 < sql.length ? sql[at + 1]! : 0
  switch (family) {
    case 'gbk':
      return between(first, 0x81, 0xfe) && (between(second, 0x40, 0x7e) || between(second, 0x80, 0xfe)) ? 2 : 1
    case 'big5':
      return between(first, 0xa1, 0xf9) && (between(second, 0x40, 0x7e) || between(second, 0xa1, 0xfe)) ? 2 : 1
    case 'sjis': {
      const leads = between(first, 0x81, 0x9f) || between(first, 0xe0, 0xfc)
      return leads && (between(second, 0x40, 0x7e) || between(second, 0x80, 0xfc)) ? 2 : 1
    }
    case 'gb18030': {
      if (!between(first, 0x81, 0xfe)) return 1
      if (between(second, 0x40, 0x7e) || between(second, 0x80, 0xfe)) return 2
      if (!between(second, 0x30, 0x39) || at + 3 >= sql.length) return 1
      return between(sql[at + 2]!, 0x81, 0xfe) && between(sql[at + 3]!, 0x30, 0x39) ? 4 : 1
    }
    case 'utf8':
      return utf8Length(sql, at)
    default:
      return 1
  }
}

function utf8Length(sql: Uint8Array, at: number): number {
  const first = sql[at]!
  const length = between(first, 0xc2, 0xdf) ? 2 : between(first, 0xe0, 0xef) ? 3 : between(first, 0xf0, 0xf4) ? 4 : 1
  if (at + length > sql.length) return 1
  for (let next = at + 1; next < at + length; next++) if (!between(sql[next]!, 0x80, 0xbf)) return 1
  return length
}

function between(value: number, from: number, to: number): boolean {
  return value >= from && value <= to
}
