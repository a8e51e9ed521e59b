// What clients of one worker were told is known to the others before they answer a read, even where a word of it is lost.

import { closeSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { mariadbPosition } from '../../../src/protocol/mysql/positions.ts'
import { Board, openBoard } from '../../../src/workers/board.ts'
import type { GlobalsSet, Raised } from '../../../src/workers/messages.ts'
import { Relay } from '../../../src/workers/relay.ts'

let fd: number
beforeEach(() => {
  fd = openBoard()
  vi.useFakeTimers()
})
afterEach(() => {
  closeSync(fd)
  vi.useRealTimers()
})

const position = mariadbPosition('0-1-1')
const told = (atMs: number, tables: readonly string[] | null) => ({ position, atMs, tables, rights: false })

function worker(number: number) {
  const [sent, heeded]: [Raised[], Raised[]] = [[], []]
  const globals: GlobalsSet[] = []
  const relay = new Relay({
    board: new Board(fd, number, 2),
    worker: number,
    clusters: ['main', 'other'],
    send: (raised) => sent.push(raised),
    sendGlobals: (set) => globals.push(set),
    heed: (raised) => heeded.push(raised),
    nowMs: () => 7,
  })
  relay.start()
  return { relay, sent, heeded, globals }
}

async function isOver(promise: Promise<void> | null): Promise<boolean> {
  let over = false
  void promise?.then(() => {
    over = true
  })
  await vi.advanceTimersByTimeAsync(0)
  return over
}

test('there is nothing to wait for while nobody was told of anything', () => {
  const [one, other] = [worker(1), worker(2)]
  expect([one.relay.unheard, other.relay.unheard]).toEqual([null, null])
  one.relay.tell('main', told(5, ['app.t']))
  expect(one.relay.unheard).toBe(null)
  expect(one.sent).toEqual([
    { cluster: 'main', position: '0-1-1', atMs: 5, tables: ['app.t'], rights: false, worker: 1, count: 1 },
  ])
})

test('a read waits for the word on its way, and for no later one', async () => {
  const [one, other] = [worker(1), worker(2)]
  one.relay.tell('main', told(5, null))
  const first = other.relay.unheard
  one.relay.tell('main', told(6, null))
  const second = other.relay.unheard
  expect(await isOver(first)).toBe(false)
  other.relay.hear(one.sent[0]!)
  expect([await isOver(first), await isOver(second)]).toEqual([true, false])
  other.relay.hear(one.sent[1]!)
  expect(await isOver(second)).toBe(true)
  expect(other.heeded).toEqual(one.sent)
  expect(other.relay.unheard).toBe(null)
})

describe('a word that does not come', () => {
  test('is waited for no longer than it may take, and stands for anything in every cluster then', async () => {
    const [one, other] = [worker(1), worker(2)]
    one.relay.tell('main', told(5, ['app.t']))
    const wait = other.relay.unheard
    await vi.advanceTimersByTimeAsync(49)
    expect(await isOver(wait)).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await isOver(wait)).toBe(true)
    expect(other.heeded.map(({ cluster, position, tables }) => ({ cluster, position, tables }))).toEqual([
      { cluster: 'main', position: null, tables: null },
      { cluster: 'other', position: null, tables: null },
    ])
    expect(other.relay.unheard).toBe(null)
  })

  test('because its worker died is made good by the worker in its place', async () => {
    const [one, other] = [worker(1), worker(2)]
    one.relay.tell('main', told(5, ['app.t']))
    const next = worker(1)
    expect(next.sent.map(({ cluster, position, count }) => ({ cluster, position, count }))).toEqual([
      { cluster: 'main', position: null, count: 0 },
      { cluster: 'other', position: null, count: 2 },
    ])
    const wait = other.relay.unheard
    other.relay.hear(next.sent[0]!)
    expect(await isOver(wait)).toBe(false)
    other.relay.hear(next.sent[1]!)
    expect(await isOver(wait)).toBe(true)
    expect(other.heeded).toEqual(next.sent)
  })
})

test('what was set globally is told, and no read waits for it', () => {
  const [one, other] = [worker(1), worker(2)]
  one.relay.tellGlobals('main', 'db1:3306', ['sort_buffer_size'])
  expect(one.globals).toEqual([{ cluster: 'main', backend: 'db1:3306', names: ['sort_buffer_size'] }])
  expect(other.relay.unheard).toBe(null)
})

test('a worker that comes later knows that something was committed before', () => {
  const one = worker(1)
  one.relay.tell('main', told(5, ['app.t']))
  const other = worker(2)
  expect(other.heeded.map(({ cluster, position }) => [cluster, position])).toEqual([
    ['main', null],
    ['other', null],
  ])
  expect(other.relay.unheard).toBe(null)
})
