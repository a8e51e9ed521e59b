// Idle connections keep their order, whoever leaves.

import { expect, test } from 'vitest'
import { IdleList, type Linked } from '../../../src/pool/idle-list.ts'

interface One extends Linked<One> {
  readonly name: string
}

function named(name: string): One {
  return { name, before: null, after: null }
}

function names(list: IdleList<One>): string {
  return list.all.map(({ name }) => name).join('')
}

test.each([
  ['the first', 'a', 'bcd'],
  ['one in between', 'c', 'abd'],
  ['the last', 'd', 'abc'],
])('%s may leave, and comes back at the end', (_which, who, left) => {
  const list = new IdleList<One>()
  const all = [...'abcd'].map(named)
  for (const one of all) list.add(one)
  const leaver = all.find(({ name }) => name === who)!
  list.remove(leaver)
  expect([names(list), list.size, leaver.before, leaver.after]).toEqual([left, 3, null, null])
  list.add(leaver)
  expect([names(list), list.first?.name, list.size]).toEqual([left + who, left[0], 4])
})

test('all may leave', () => {
  const list = new IdleList<One>()
  const all = [...'ab'].map(named)
  for (const one of all) list.add(one)
  for (const one of all) list.remove(one)
  expect([names(list), list.first, list.size]).toEqual(['', null, 0])
})
