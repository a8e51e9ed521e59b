// Turns: no more than so many at a time, and nobody is forgotten.

import { expect, test } from 'vitest'
import { Turns } from '../../../src/protocol/turns.ts'

test('at most so many work at a time, the others follow in order, and a failure gives its turn back', async () => {
  const turns = new Turns(2)
  const begun: number[] = []
  const ends: (() => void)[] = []
  const work = (nth: number) =>
    turns.take(async () => {
      begun.push(nth)
      await new Promise<void>((resolve) => ends.push(resolve))
      if (nth === 1) throw new Error('failed')
    })
  const all = [1, 2, 3, 4].map((nth) => work(nth).catch((error: Error) => error.message))
  await Promise.resolve()
  expect(begun).toEqual([1, 2])
  ends[0]!()
  await all[0]
  await Promise.resolve()
  expect(begun).toEqual([1, 2, 3])
  for (const end of ends.slice(1)) end()
  await all[1]
  await Promise.resolve()
  ends.at(-1)!()
  expect(await Promise.all(all)).toEqual(['failed', undefined, undefined, undefined])
  expect([begun, turns.taken]).toEqual([[1, 2, 3, 4], 0])
})
