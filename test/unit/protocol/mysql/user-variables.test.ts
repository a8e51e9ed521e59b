// User variables as a server describes them, and the SQL that makes them anew. That the servers agree is proved by the
// conformance tests.

import { describe, expect, test } from 'vitest'
import { FieldWriter } from '../../../../src/protocol/mysql/fields.ts'
import { COLUMN_TYPE } from '../../../../src/protocol/mysql/numbers.ts'
import { buildTextRow } from '../../../../src/protocol/mysql/results.ts'
import { assignments, variableQuestions, variablesIn } from '../../../../src/protocol/mysql/user-variables.ts'

interface Found {
  readonly type?: number
  readonly flags?: number
  readonly length?: number
  readonly text: string | Buffer | null
  readonly collation?: string
  readonly double?: string
}

const NEVER_SET = { type: COLUMN_TYPE.VAR_STRING, flags: 0x80, length: 65532 }
const END = Buffer.from([0xfe, 0, 0, 0, 0, 0, 0])

function definition(name: string, { type = COLUMN_TYPE.LONG_BLOB, flags = 0, length = 99 }: Partial<Found>): Buffer {
  const writer = new FieldWriter().string('def').string('').string('').string('').string(name).string('')
  return writer.u8(0x0c).u16(255).u32(length).u8(type).u16(flags).u8(31).u16(0).bytes()
}

/** What a server answers about one variable, and what becomes of it on a connection with another collation or the same. */
function moved(found: Found, collation = 'utf8mb4_general_ci', bytesMax = 100): readonly string[] | null {
  const shape = [Buffer.from([2]), definition('a', found), definition('never', NEVER_SET), END]
  const length = found.text === null ? null : String(Buffer.byteLength(found.text))
  const row = buildTextRow([length, found.text, found.collation ?? 'utf8mb4_general_ci', found.double ?? '0'])
  const variables = variablesIn({ names: ['a'], bytesMax }, [shape, [Buffer.from([4]), row, END]])
  return variables === null ? null : assignments(variables, collation)
}

describe('a variable', () => {
  test.each<[string, Found, readonly string[]]>([
    ['an integer', { type: COLUMN_TYPE.LONGLONG, text: '-5' }, ['@`a` = -5']],
    ['unsigned', { type: COLUMN_TYPE.LONGLONG, flags: 0x20, text: '5' }, ['@`a` = CAST(5 AS UNSIGNED)']],
    ['a NULL that was one', { type: COLUMN_TYPE.LONGLONG, text: null }, ['@`a` = 0', '@`a` = NULL']],
    ['a decimal', { type: COLUMN_TYPE.NEWDECIMAL, text: '1.50' }, ['@`a` = 1.50']],
    ['a decimal without decimals', { type: COLUMN_TYPE.NEWDECIMAL, text: '15' }, ['@`a` = 15.']],
    [
      'a double, as it is and not as a cast shows it',
      { type: COLUMN_TYPE.DOUBLE, text: '1', double: '1.5' },
      ['@`a` = 1.5e0'],
    ],
    ['a great double', { type: COLUMN_TYPE.DOUBLE, text: '1e300', double: '1e300' }, ['@`a` = 1e300']],
    ['wide digits', { type: COLUMN_TYPE.LONGLONG, text: Buffer.from('\x007\x008', 'latin1') }, ['@`a` = 78']],
    ['text', { text: 'aé' }, ["@`a` = _utf8mb4 x'61c3a9' COLLATE utf8mb4_general_ci"]],
    ['no text', { text: '', collation: 'latin1_bin' }, ["@`a` = _latin1 x'' COLLATE latin1_bin"]],
    ['a NULL that was text', { text: null }, ["@`a` = _utf8mb4 x'' COLLATE utf8mb4_general_ci", '@`a` = NULL']],
    ['bytes', { text: Buffer.from([0, 255]), collation: 'binary' }, ["@`a` = x'00ff'"]],
    ['what was never set', { ...NEVER_SET, text: null, collation: 'binary' }, []],
    ['a plain NULL', { text: null, collation: 'binary' }, ['@`a` = NULL']],
  ])('%s is made anew', (_what, found, expected) => {
    expect(moved(found)).toEqual(expected)
  })

  test('that is a number keeps the collation it was assigned under', () => {
    const found = { type: COLUMN_TYPE.LONGLONG, text: '5', collation: 'latin1_bin' }
    expect(moved(found)).toEqual([
      'collation_connection = latin1_bin',
      '@`a` = 5',
      'collation_connection = utf8mb4_general_ci',
    ])
  })

  test.each<[string, Found]>([
    ['longer than may be remembered', { text: 'x'.repeat(101) }],
    ['of a type that no literal has', { type: COLUMN_TYPE.GEOMETRY, text: 'x', collation: 'binary' }],
    ['not valid in its character set', { text: Buffer.from([0xff]) }],
    ['too long for its character set', { text: '😀', collation: 'utf8mb3_general_ci' }],
    ['in a character set we cannot judge', { text: Buffer.from([0x83, 0x5c]), collation: 'sjis_bin' }],
    ['with a collation that is none', { text: 'x', collation: "a' b" }],
  ])('%s stays where it is', (_what, found) => {
    expect(moved(found)).toBeNull()
  })

  test('stays where it is if the server will not tell', () => {
    const wish = { names: ['a'], bytesMax: 100 }
    const error = [Buffer.from([0xff, 1, 0])]
    const row = [Buffer.from([4]), buildTextRow(['1', '1', 'binary', '1']), END]
    expect(variablesIn(wish, [error, row])).toBeNull()
    expect(variablesIn(wish, [[Buffer.from([2]), END], row])).toBeNull()
  })
})

test('names are quoted', () => {
  const [shape] = variableQuestions(['a b`c'], 1)
  expect(shape).toBe('SELECT @`a b``c`, @`sluice: never set` LIMIT 0')
})
