// What a login's collation sets. Every answer here is a real server's.

import { describe, expect, test } from 'vitest'
import {
  collationOf,
  hasTrailingAscii,
  loginVariables,
  refusedCharset,
} from '../../../../src/protocol/mysql/charsets.ts'
import { serverVersion } from '../../../../src/protocol/mysql/messages.ts'
import { RESULTS_COLLATION } from '../../../../src/protocol/mysql/variables.ts'

const MYSQL = '9.7.4-2'
const MARIADB = '11.8.9-MariaDB-4 from Debian'
const OLD_MARIADB = '5.5.5-10.11.19-MariaDB-0+deb12u1'

const nameOf = (id: number, version: string) => collationOf(id, serverVersion(version))?.name ?? null

describe('a collation', () => {
  test.each([
    [8, MYSQL, 'latin1_swedish_ci'],
    [45, MYSQL, 'utf8mb4_general_ci'],
    [63, MARIADB, 'binary'],
    [224, MYSQL, 'utf8mb4_unicode_ci'],
    [255, MYSQL, 'utf8mb4_0900_ai_ci'],
    [255, MARIADB, 'utf8mb4_0900_ai_ci'],
    [255, OLD_MARIADB, null],
    [255, '5.7.44', null],
    [309, MYSQL, 'utf8mb4_0900_bin'],
    [323, MYSQL, 'utf8mb4_mn_cyrl_0900_as_cs'],
    [245, MYSQL, 'utf8mb4_croatian_ci'],
    [245, MARIADB, 'utf8mb4_croatian_mysql561_ci'],
    [608, MYSQL, null],
    [608, MARIADB, 'utf8mb4_croatian_ci'],
    [248, MYSQL, 'gb18030_chinese_ci'],
    [248, MARIADB, null],
    [76, MYSQL, 'utf8mb3_tolower_ci'],
    [76, MARIADB, null],
    [1069, OLD_MARIADB, 'utf8mb4_general_nopad_ci'],
    [2048, MARIADB, 'utf8mb3_uca1400_ai_ci'],
    [2304, OLD_MARIADB, 'utf8mb4_uca1400_ai_ci'],
    [2308, MARIADB, 'utf8mb4_uca1400_nopad_ai_ci'],
    [3271, MARIADB, 'utf32_uca1400_croatian_nopad_as_cs'],
    [2304 + 21 * 8, MARIADB, null],
    [2304, '5.5.5-10.6.1-MariaDB', null],
    [2304, MYSQL, null],
    [0, MYSQL, null],
    [33, MYSQL, 'utf8mb3_general_ci'],
    [33, '8.0.29', 'utf8_general_ci'],
    [33, '5.5.5-10.5.8-MariaDB', 'utf8_general_ci'],
  ])('%i of %s is %s', (id, version, name) => {
    expect(nameOf(id, version)).toBe(name)
  })

  test('belongs to the character set its name begins with', () => {
    for (let id = 0; id < 4096; id++) {
      for (const version of [MYSQL, MARIADB, OLD_MARIADB]) {
        const collation = collationOf(id, serverVersion(version))
        if (collation !== null) expect(`${collation.name}_`.startsWith(`${collation.charset}_`)).toBe(true)
      }
    }
  })
})

describe('a login sets', () => {
  const told = (id: number | null, version: string) => {
    const { [RESULTS_COLLATION]: ofResults, ...others } = Object.fromEntries(loginVariables(id, version))
    expect(ofResults).toBe(others.collation_connection)
    return Object.values(others).join(' ')
  }

  test.each([
    ['client, results and connection', 45, MYSQL, 'utf8mb4 utf8mb4 utf8mb4_general_ci'],
    ['the same on an older MariaDB', 45, OLD_MARIADB, 'utf8mb4 utf8mb4 utf8mb4_general_ci'],
    [
      "what a newer MariaDB makes of a character set's first collation",
      45,
      MARIADB,
      'utf8mb4 utf8mb4 utf8mb4_uca1400_ai_ci',
    ],
    ['that for utf8mb3, too', 33, MARIADB, 'utf8mb3 utf8mb3 utf8mb3_uca1400_ai_ci'],
    ['and no other', 224, MARIADB, 'utf8mb4 utf8mb4 utf8mb4_unicode_ci'],
    ['nothing for a number that the server does not know', 255, OLD_MARIADB, ''],
    ['nothing for 0', 0, MYSQL, ''],
    ['nothing where none was given', null, MYSQL, ''],
  ])('%s', (_what, id, version, values) => {
    expect(told(id, version)).toBe(values)
  })
})

test.each([
  [35, MYSQL, 'ucs2'],
  [54, MARIADB, 'utf16'],
  [56, MYSQL, 'utf16le'],
  [183, MARIADB, 'utf32'],
  [17, MARIADB, 'filename'],
  [17, MYSQL, null],
  [45, MYSQL, null],
  [0, MYSQL, null],
])('a login with %i is refused by %s for %s', (id, version, charset) => {
  expect(refusedCharset(id, version)).toBe(charset)
  if (charset !== null) expect(loginVariables(id, version).size).toBe(0)
})

test.each([
  ['gbk', true],
  ['sjis', true],
  ['big5', true],
  ['gb18030', true],
  ['cp932', true],
  ['utf8mb4', false],
  ['latin1', false],
  ['ujis', false],
  ['euckr', false],
])('%s hides ASCII in its characters: %s', (charset, hides) => {
  expect(hasTrailingAscii(charset)).toBe(hides)
})
