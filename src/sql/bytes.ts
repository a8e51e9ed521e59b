// What single bytes mean to the lexer.

// What a byte can start.
export const SPACE = 1
export const LETTER = 2
export const DIGIT = 3
export const QUOTE = 4
export const DOUBLE_QUOTE = 5
export const BACKTICK = 6
export const AT = 7
export const MINUS = 8
export const HASH = 9
export const SLASH = 10
export const STAR = 11
export const POINT = 12
export const COLON = 13
export const QUESTION = 14
export const PLUS = 15
export const OTHER = 16
export const STRAY = 17

export const STARTS = new Uint8Array(256)
/** Bytes that go on in a word, letters folded to lower case; 0 for all others. */
export const FOLDED = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) {
  const letter = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
  const digit = byte >= 0x30 && byte <= 0x39
  STARTS[byte] = digit ? DIGIT : letter || byte === 0x5f || byte === 0x24 || byte >= 0x80 ? LETTER : OTHER
  if (letter) FOLDED[byte] = byte | 0x20
  else if (digit || byte === 0x5f || byte === 0x24 || byte >= 0x80) FOLDED[byte] = byte
  // A bracket quotes a name in MariaDB's sql_mode MSSQL, and is nothing elsewhere.
  if (byte < 0x20 || byte === 0x7f || byte === 0x5c || byte === 0x5b) STARTS[byte] = STRAY
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

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

export function isHexDigit(byte: number): boolean {
  const folded = byte | 0x20
  return isDigit(byte) || (folded >= 0x61 && folded <= 0x66)
}
