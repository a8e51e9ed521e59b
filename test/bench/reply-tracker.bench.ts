// How fast replies are followed: rows of 100 bytes in chunks of 64 KiB, and the smallest SELECT. On demand:
// `npx vitest bench --run --project unit`. Looked for: 10 million rows a second and more.

import { bench, describe } from 'vitest'
import { frame } from '../../src/protocol/mysql/frames.ts'
import { ReplyTracker } from '../../src/protocol/mysql/reply-tracker.ts'

const FORM = { deprecateEof: true, optionalMetadata: false }
const ROWS = 100_000
const CHUNK_BYTES = 65_536

const row = Buffer.alloc(96, 0x61)
const rows = Buffer.concat(Array.from({ length: ROWS }, (_, index) => frame(row, index)))
const select = Buffer.concat([
  frame(Buffer.from([1]), 1),
  frame(Buffer.alloc(40, 3), 2),
  frame(row, 3),
  frame(Buffer.from('fe000002000000', 'hex'), 4),
])

describe('reply tracker', () => {
  bench(`${ROWS} rows of 100 bytes`, () => {
    const tracker = new ReplyTracker()
    tracker.begin('fetch', FORM)
    for (let at = 0, end = CHUNK_BYTES; at < rows.length; end += CHUNK_BYTES) {
      const chunk = rows.subarray(at, end)
      tracker.feed(chunk, 0)
      at += tracker.forwardable
    }
  })

  const tracker = new ReplyTracker()
  bench('one small result set', () => {
    tracker.begin('query', FORM)
    tracker.feed(select, 0)
  })
})
