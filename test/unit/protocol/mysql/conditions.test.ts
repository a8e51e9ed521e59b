// A list of conditions kept for a session: given again as the server gave it, whole or in part, and never beyond its bound.

import { describe, expect, test } from 'vitest'
import { conditionsIn, listFrames } from '../../../../src/protocol/mysql/conditions.ts'
import { MessageReader } from '../../../../src/protocol/mysql/frames.ts'
import {
  buildTextResult,
  buildTextRow,
  CAPABILITY,
  parseTextRow,
  STATUS,
} from '../../../../src/protocol/mysql/messages.ts'

const ROWS = [
  ['Warning', '1264', 'Out of range'],
  ['Error', '1062', 'Duplicate entry'],
  ['Note', '1051', 'Unknown table'],
]
const FORMS = [
  ['an EOF', { deprecateEof: false, optionalMetadata: false }, 0],
  ['an OK', { deprecateEof: true, optionalMetadata: false }, CAPABILITY.DEPRECATE_EOF],
] as const

function payloadsOf(bytes: Buffer): Buffer[] {
  const reader = new MessageReader(1 << 20)
  reader.push(bytes)
  const payloads: Buffer[] = []
  for (let message = reader.shift(); message !== null; message = reader.shift()) payloads.push(message.payload)
  return payloads
}

function answered(capabilities: number): Buffer[] {
  const form = { capabilities, mariadbCapabilities: 0, status: 2, collation: 45, sequence: 1 }
  return payloadsOf(buildTextResult(['Level', 'Code', 'Message'], ROWS, form))
}

const ALL = { errorsOnly: false, offset: 0, limit: Number.POSITIVE_INFINITY }

describe.each(FORMS)('ended by %s', (_end, form, capabilities) => {
  const conditions = conditionsIn(answered(capabilities), form, 1000)
  const given = (range: typeof ALL, binary = false) =>
    payloadsOf(listFrames(conditions, range, { ...form, binary, status: STATUS.AUTOCOMMIT, sequence: 1 }))

  test('is counted', () => {
    expect(conditions).toMatchObject({ count: 3, errors: 1 })
  })

  test('comes back message by message', () => {
    expect(given(ALL)).toEqual(answered(capabilities))
  })

  test.each([
    ['errors alone', { ...ALL, errorsOnly: true }, ['1062']],
    ['the first two', { ...ALL, limit: 2 }, ['1264', '1062']],
    ['from the second on', { ...ALL, offset: 1 }, ['1062', '1051']],
    ['none', { ...ALL, offset: 5 }, []],
  ])('%s', (_what, range, codes) => {
    const rows = given(range).slice(form.deprecateEof ? 4 : 5, -1)
    expect(rows.map((row) => parseTextRow(row, 3)[1]?.toString())).toEqual(codes)
  })

  test('as rows of the binary protocol', () => {
    const row = given({ ...ALL, limit: 1 }, true)[form.deprecateEof ? 4 : 5]!
    const expected = Buffer.concat([
      Buffer.from([0, 0]),
      Buffer.from([7]),
      Buffer.from('Warning'),
      Buffer.from([0xf0, 0x04, 0, 0]),
      Buffer.from([12]),
      Buffer.from('Out of range'),
    ])
    expect(row).toEqual(expected)
  })

  test('is cut at its bound, and still knows how many there were', () => {
    const bytes = buildTextRow(ROWS[0]!).length
    const short = conditionsIn(answered(capabilities), form, bytes)
    expect(short).toMatchObject({ count: 3, errors: 1 })
    const frames = payloadsOf(
      listFrames(short, ALL, { ...form, binary: false, status: STATUS.AUTOCOMMIT, sequence: 1 }),
    )
    expect(frames.slice(form.deprecateEof ? 4 : 5, -1).map((row) => parseTextRow(row, 3)[1]?.toString())).toEqual([
      '1264',
    ])
  })
})
