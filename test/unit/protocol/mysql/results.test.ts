// Our own result sets, byte for byte as a server would write them, and read by our own tracker.

import { describe, expect, test } from 'vitest'
import { frame } from '../../../../src/protocol/mysql/frames.ts'
import {
  buildPrepareOk,
  buildTextResult,
  buildTextRow,
  CAPABILITY,
  lengthEncoded,
  MARIADB_CAPABILITY,
  MalformedMessage,
  parsePrepareOk,
  parseTextRow,
} from '../../../../src/protocol/mysql/messages.ts'
import { ReplyTracker } from '../../../../src/protocol/mysql/reply-tracker.ts'
import { transcript } from './transcripts.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const NEW = CAPABILITY.PROTOCOL_41 | CAPABILITY.LONG_PASSWORD | CAPABILITY.DEPRECATE_EOF
const OLD = CAPABILITY.PROTOCOL_41 | CAPABILITY.LONG_PASSWORD
const form = (capabilities: number, mariadbCapabilities = 0) => ({
  capabilities,
  mariadbCapabilities,
  status: 2,
  collation: 45,
  sequence: 1,
})

const COLUMN = hex('03646566 00 00 00 0161 00 0c 2d00 00040000 fd 0000 1f 0000')

describe('a result set', () => {
  test.each([
    ['with an OK at its end', form(NEW), ['01', COLUMN, '0131', 'fb', 'fe000002000000']],
    ['with EOFs', form(OLD), ['01', COLUMN, 'fe00000200', '0131', 'fb', 'fe00000200']],
    [
      'whose metadata is announced',
      form(NEW | CAPABILITY.OPTIONAL_RESULTSET_METADATA),
      ['0101', COLUMN, '0131', 'fb', 'fe000002000000'],
    ],
    [
      'with room for what MariaDB says of types',
      form(NEW & ~CAPABILITY.LONG_PASSWORD, MARIADB_CAPABILITY.EXTENDED_METADATA),
      ['01', hex('03646566 00 00 00 0161 00 00 0c 2d00 00040000 fd 0000 1f 0000'), '0131', 'fb', 'fe000002000000'],
    ],
  ])('%s', (_what, wanted, payloads) => {
    const expected = payloads.map((payload, index) =>
      frame(typeof payload === 'string' ? hex(payload) : payload, index + 1),
    )
    expect(buildTextResult(['a'], [['1'], [null]], wanted)).toEqual(Buffer.concat(expected))
  })

  test.each([NEW, OLD])('is followed to its end (%i)', (capabilities) => {
    const rows = Array.from({ length: 600 }, (_, index) => [`${index}`, null, 'x'.repeat(index)])
    const bytes = buildTextResult(['a', 'b', 'c'], rows, form(capabilities))
    const tracker = new ReplyTracker()
    tracker.begin('query', { deprecateEof: capabilities === NEW, optionalMetadata: false })
    let at = 0
    while (!tracker.ended) {
      expect(tracker.feed(bytes, at)).toBe('eof')
      at = tracker.end
    }
    expect([at, tracker.sequence]).toEqual([bytes.length, (1 + 3 + 600 + (capabilities === NEW ? 1 : 2)) & 0xff])
  })
})

describe('a row', () => {
  test.each([[['1', null, '']], [['x'.repeat(251), 'y'.repeat(70_000)]], [[]]])(
    'reads as it was written (%#)',
    (row) => {
      const read = parseTextRow(buildTextRow(row), row.length)
      expect(read.map((value) => value?.toString() ?? null)).toEqual(row)
    },
  )

  test('with a value longer than itself is malformed', () => {
    expect(() => parseTextRow(hex('0531'), 1)).toThrow(MalformedMessage)
    expect(() => parseTextRow(hex('0131'), 2)).toThrow(MalformedMessage)
  })
})

describe('the answer to a prepare', () => {
  const payload = transcript('mysql-9.7', 'prepare with parameters and columns').bytes.subarray(4, 16)

  test('of MySQL 9.7', () => {
    const prepared = parsePrepareOk(payload, NEW)
    expect(prepared).toMatchObject({ columns: 2, parameters: 2, warnings: 0, definitions: true })
    expect(buildPrepareOk(prepared, NEW)).toEqual(payload)
  })

  test.each([true, false])('that announces its definitions (%s)', (definitions) => {
    const capabilities = NEW | CAPABILITY.OPTIONAL_RESULTSET_METADATA
    const prepared = { statementId: 7, columns: 1, parameters: 0, warnings: 1, definitions }
    expect(parsePrepareOk(buildPrepareOk(prepared, capabilities), capabilities)).toEqual(prepared)
  })

  test('that is none is malformed', () => {
    expect(() => parsePrepareOk(hex('ff1504'), NEW)).toThrow(MalformedMessage)
    expect(() => parsePrepareOk(hex('0001'), NEW)).toThrow(MalformedMessage)
  })
})

test.each([
  [0, '00'],
  [250, 'fa'],
  [251, 'fcfb00'],
  [65_535, 'fcffff'],
  [65_536, 'fd000001'],
  [0xffffff, 'fdffffff'],
  [0x1000000, 'fe0000000100000000'],
  [2n ** 64n - 1n, 'feffffffffffffffff'],
])('%s with its length is %s', (value, bytes) => {
  expect(lengthEncoded(value)).toEqual(hex(bytes))
})
