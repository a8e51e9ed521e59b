// What share of the reads the writer takes over.

import { expect, test } from 'vitest'
import { WriterShare } from '../../../src/routing/writer-share.ts'

/** How many of `reads` the writer serves, if it serves whenever it may. */
function served(max: number, reads: number, everyMs: number): number {
  const share = new WriterShare(max)
  let count = 0
  for (let read = 0; read < reads; read++) {
    const isOpen = share.open
    if (isOpen) count += 1
    share.count(isOpen, read * everyMs)
  }
  return count
}

test.each([
  ['is all where it may be', 1, 1_000, 1_000],
  ['is nothing where it may not be', 0, 1_000, 0],
  ['is about what was allowed', 0.25, 1_000, 250],
])('the share %s', (_promise, max, reads, expected) => {
  expect(Math.abs(served(max, reads, 0) - expected)).toBeLessThanOrEqual(5)
})

test('what was long ago does not count', () => {
  const share = new WriterShare(0.5)
  while (share.open) share.count(true, 0)
  for (let ms = 0; ms <= 10_000; ms += 1_000) share.count(false, ms)
  expect(share.open).toBe(true)
})
