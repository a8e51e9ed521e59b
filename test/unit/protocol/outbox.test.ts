// What is sent together, and when.

import { setImmediate as turn } from 'node:timers/promises'
import { beforeEach, expect, test } from 'vitest'
import { post, type Sender, sendPosted } from '../../../src/protocol/outbox.ts'
import { SHORT_BYTES_MAX } from '../../../src/protocol/transport.ts'

let sent: string[] = []

/** Says whether it is done with what it was given. */
function sender(name: string, isDone = true): Sender {
  return {
    sendNow(bytes) {
      sent.push(`${name}: ${bytes}`)
      return isDone
    },
  }
}

const [one, two] = [sender('one'), sender('two')]

/** Several letters in one turn, so that the next is posted as well. */
async function busyTurn(): Promise<void> {
  while (!(post(one, Buffer.from('a'), false) && post(two, Buffer.from('b'), false))) await turn()
  await turn()
  sent = []
}

beforeEach(busyTurn)

test('what is posted in one turn is sent at its end, in order', async () => {
  expect([
    post(one, Buffer.from('a'), false),
    post(two, Buffer.from('b'), false),
    post(one, Buffer.from('c'), false),
  ]).toEqual([true, true, true])
  expect(sent).toEqual([])
  await turn()
  expect(sent).toEqual(['one: a', 'two: b', 'one: c'])
})

test('it can be sent sooner, and only once', async () => {
  post(one, Buffer.from('a'), false)
  sendPosted()
  post(two, Buffer.from('b'), false)
  expect(sent).toEqual(['one: a'])
  await turn()
  expect(sent).toEqual(['one: a', 'two: b'])
})

test('it is a copy: whoever posts may use the bytes again at once', async () => {
  const bytes = Buffer.from('as it was')
  post(one, bytes, false)
  bytes.fill(0)
  await turn()
  expect(sent).toEqual(['one: as it was'])
})

test('unless they stay as they are: then it is those themselves', async () => {
  const bytes = Buffer.from('as it was')
  post(one, bytes, true)
  bytes.fill('x')
  await turn()
  expect(sent).toEqual(['one: xxxxxxxxx'])
})

test('turn after turn of the same lengths, and then of others, goes out as it was posted', async () => {
  for (const words of [
    ['a', 'bc'],
    ['d', 'ef'],
    ['ghi', 'j'],
    ['k', 'lm', 'n'],
  ]) {
    for (const word of words) post(one, Buffer.from(word), false)
    await turn()
  }
  expect(sent.map((line) => line.slice(5))).toEqual(['a', 'bc', 'd', 'ef', 'ghi', 'j', 'k', 'lm', 'n'])
})

test('what a sender is not done with is left alone', async () => {
  const kept: Buffer[] = []
  const slow: Sender = {
    sendNow(bytes) {
      kept.push(bytes)
      return false
    },
  }
  post(slow, Buffer.from('slow'), false)
  post(one, Buffer.from('a'), false)
  await turn()
  post(one, Buffer.from('over it?'), false)
  post(two, Buffer.from('b'), false)
  await turn()
  expect(String(kept[0])).toBe('slow')
})

test('more than it has room for goes out sooner', async () => {
  const long = Buffer.alloc(SHORT_BYTES_MAX, 'x')
  for (let count = 0; count < 100; count++) expect(post(one, long, false)).toBe(true)
  expect(sent.length).toBeGreaterThan(0)
  await turn()
  expect(sent).toEqual(Array.from({ length: 100 }, () => `one: ${long}`))
})

test('who is alone is soon sent at once, until there are others again', async () => {
  let posted = 0
  for (let count = 0; count < 100; count++) {
    if (post(one, Buffer.from('a'), false)) posted += 1
    await turn()
  }
  expect(posted).toBeLessThan(20)
  await busyTurn()
  expect(post(one, Buffer.from('a'), false)).toBe(true)
  await turn()
})
