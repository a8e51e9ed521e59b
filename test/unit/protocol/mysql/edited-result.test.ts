// A result with other rows under the same columns, as text and in binary.

import { expect, test } from 'vitest'
import { editedResult } from '../../../../src/protocol/mysql/edited-result.ts'
import { frame, MessageReader } from '../../../../src/protocol/mysql/frames.ts'
import { buildError, buildTextResult, CAPABILITY, COLUMN_TYPE } from '../../../../src/protocol/mysql/messages.ts'
import type { Row } from '../../../../src/protocol/protocol.ts'

function messagesIn(bytes: Buffer) {
  const reader = new MessageReader(1 << 20)
  reader.push(bytes)
  const found = []
  for (let message = reader.shift(); message !== null; message = reader.shift()) found.push(message)
  return found
}

const form = (capabilities: number) => ({ capabilities, mariadbCapabilities: 0, status: 2, collation: 45, sequence: 1 })

test.each([
  ['with EOFs', 0],
  ['without', CAPABILITY.DEPRECATE_EOF],
])('rows of text, %s: columns and end stay, frames are counted on', (_form, capabilities) => {
  const before = buildTextResult(['a', 'b'], [['1', null]], form(capabilities))
  const after = buildTextResult(
    ['a', 'b'],
    [
      ['x', '2'],
      [null, ''],
      ['1', null],
    ],
    form(capabilities),
  )
  const seen: unknown[] = []
  const edit = (columns: readonly string[], rows: readonly Row[]) => {
    seen.push(columns, rows)
    return [['x', '2'], [null, ''], ...rows]
  }
  expect(editedResult(before, edit, 'text', capabilities !== 0)).toEqual(after)
  expect(seen).toEqual([['a', 'b'], [['1', null]]])
})

test('rows in binary: numbers of every width, texts and NULLs survive', () => {
  const types = [COLUMN_TYPE.LONGLONG, COLUMN_TYPE.LONG, COLUMN_TYPE.SHORT, COLUMN_TYPE.TINY, COLUMN_TYPE.DOUBLE]
  const names = [...types.map((type) => `n${type}`), 'text', 'none']
  const frames = messagesIn(buildTextResult(names, [], form(CAPABILITY.DEPRECATE_EOF)))
  for (const [at, type] of types.entries()) {
    const { payload } = frames[1 + at]!
    payload[payload.length - 6] = type
  }
  const empty = Buffer.concat(frames.map(({ bytes }) => bytes))
  const row = ['1073741900', '-7', '300', '5', '0.5', 'é', null]
  const filled = editedResult(empty, () => [row], 'binary', true)
  const again = editedResult(filled, (_columns, rows) => [...rows, ...rows], 'binary', true)
  expect(messagesIn(again).map(({ sequence }) => sequence)).toEqual(messagesIn(again).map((_message, at) => at + 1))
  editedResult(
    again,
    (_columns, rows) => {
      expect(rows).toEqual([row, row])
      return rows
    },
    'binary',
    true,
  )
  expect.assertions(2)
})

test('what is no result stays as it is', () => {
  const error = frame(buildError(1227, '42000', 'Access denied'), 1)
  expect(editedResult(error, () => [], 'text', true)).toBe(error)
})
