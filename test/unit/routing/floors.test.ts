// The floor that reads must not fall below: raised by writes, reached by readers, and what becomes of it when servers change.

import { describe, expect, test } from 'vitest'
import { mariadbPosition, mysqlPosition } from '../../../src/protocol/mysql/positions.ts'
import { Floors } from '../../../src/routing/floors.ts'
import type { Progress } from '../../../src/topology/staleness.ts'
import type { Backend } from '../../../src/topology/topology.ts'

const UUID = 'd65b62f1-ea45-11f1-99f0-02fc00000001'
const at = (sequence: number) => mariadbPosition(`0-1-${sequence}`)!
const gtids = (set: string) => mysqlPosition(`${UUID}:${set}`)!
const need = (version: number) => ({ version, position: null, only: null })

type Told = Partial<Progress>

function backend(id: string, role: Backend['role'], health: Backend['health'] = 'up'): Backend {
  return { id, host: id, port: 1, role, health, lagMs: 0, weight: 1, version: null, sinceMs: 0, why: '' }
}

/** Floors of a writer `w` and readers of which is heard what a test says. */
class World {
  readonly heard = new Map<string, Progress>()
  readonly floors = new Floors((id) => this.heard.get(id) ?? null)

  /** The writer has this, and the readers `r` or `r1`, `r2` … that. */
  hear(writer: Told, ...readers: readonly Told[]): void {
    const nameOf = (index: number) => (readers.length === 1 ? 'r' : `r${index + 1}`)
    const all = [['w', writer] as const, ...readers.map((told, index) => [nameOf(index), told] as const)]
    for (const [id, told] of all) this.heard.set(id, { position: null, asOfMs: null, askedMs: 0, ...told })
  }

  follow(writerEpoch = 1, health: Backend['health'] = 'up'): void {
    const backends = [...this.heard.keys()].map((id) =>
      id === 'w' ? backend(id, 'writer') : backend(id, 'reader', health),
    )
    this.floors.follow({ cluster: 'main', epoch: 1, kind: null, writerEpoch, backends })
  }
}

/** After writes with these positions, and what was heard then. */
function after(writes: readonly (Progress['position'] | null)[], writer: Told, ...readers: readonly Told[]): World {
  const world = new World()
  for (const [atMs, position] of writes.entries()) world.floors.raise(position, atMs)
  world.hear(writer, ...readers)
  world.follow()
  return world
}

const reaching = ({ floors }: World, ...versions: readonly number[]) =>
  versions.map((version) => floors.reaches('r', need(version)))

describe('a reader', () => {
  test('has reached what its position covers, and nothing of what came later', () => {
    const world = after([at(10), at(11), at(12)], { position: at(12) }, { position: at(11) })
    expect(reaching(world, 1, 2, 3)).toEqual([true, true, false])
  })

  test('has not reached what follows a gap, whatever of it it has', () => {
    const writes = [gtids('5'), gtids('4'), gtids('6')]
    const world = after(writes, { position: gtids('1-6') }, { position: gtids('1-3:5-6') })
    expect(reaching(world, 1, 2, 3)).toEqual([true, false, false])
  })

  test('is to be waited for with what it lacks, and with nothing that only a later read needs', () => {
    const writes = [gtids('4'), gtids('5'), gtids('6'), gtids('7')]
    const { floors } = after(writes, { position: gtids('1-7') }, { position: gtids('1-4') })
    expect(floors.missing('r', need(3))!.text).toBe(`${UUID}:5-6`)
    expect(floors.missing('r', { ...need(2), position: gtids('9') })!.text).toBe(`${UUID}:5:9`)
    expect(floors.missing('r', need(99))).toBeNull()
  })

  test('shows how many writes it is not known to have', () => {
    const world = after([at(10), at(11), at(12)], { position: at(12) }, { position: at(11) })
    const backends = [...world.heard.keys()].map((id) => backend(id, id === 'w' ? 'writer' : 'reader'))
    const topology = {
      cluster: 'main',
      epoch: 1,
      kind: null,
      writerEpoch: 1,
      backends: [...backends, backend('x', 'reader')],
    }
    expect(world.floors.snapshot(topology)).toEqual({
      writes: 3,
      position: '0-1-12',
      backends: [
        { id: 'w', position: '0-1-12', lacks: 0 },
        { id: 'r', position: '0-1-11', lacks: 1 },
        { id: 'x', position: null, lacks: 3 },
      ],
    })
  })

  test('that was waited for has it, and all that was raised before', () => {
    const world = after([at(1), at(2), at(3)], { position: at(3) }, { position: at(0) })
    world.floors.proved(world.floors.reached('r')!, need(2))
    expect(reaching(world, 1, 2, 3)).toEqual([true, true, false])
  })

  test('keeps what it proved when older news of it arrive', () => {
    const world = after([at(1), at(2), at(3)], { position: at(3) }, { position: at(1) })
    world.floors.proved(world.floors.reached('r')!, need(3))
    world.hear({ position: at(3) }, { position: at(2) })
    expect(reaching(world, 3)).toEqual([true])
  })

  test('that has less than before is another one: nothing is known of it but what it says', () => {
    const world = after([at(1), at(2), at(3)], { position: at(3) }, { position: at(3) })
    expect(reaching(world, 3)).toEqual([true])
    world.hear({ position: at(3) }, { position: at(1) })
    expect(reaching(world, 1, 2, 3)).toEqual([true, false, false])
  })

  test('that went down is forgotten', () => {
    const world = after([at(1), at(2)], { position: at(2) }, { position: at(1) })
    world.floors.proved(world.floors.reached('r')!, need(2))
    world.follow(1, 'down')
    expect(reaching(world, 1, 2)).toEqual([true, false])
  })

  test('nobody has heard of has reached nothing', () => {
    const world = after([at(1)], { position: at(1) })
    expect(reaching(world, 1)).toEqual([false])
    expect(world.floors.missing('r', need(1))).toBeNull()
  })
})

describe('the quickest reader', () => {
  test('is the one that lacked the least when it was asked, unless it was waited for in vain', () => {
    const world = new World()
    for (const [sequence, atMs] of [1, 2, 3, 4].map((one) => [one, 1_000 * one] as const))
      world.floors.raise(at(sequence), atMs)
    const heard = (sequence: number) => ({ position: at(sequence), askedMs: 5_000 })
    world.hear(heard(4), heard(1), heard(3), heard(2))
    world.follow()
    const { floors } = world
    const ids = ['r1', 'r2', 'r3']
    expect(floors.quickest(ids, need(4))).toEqual(['r2'])
    floors.reached('r2')!.stalled = true
    expect(floors.quickest(ids, need(4))).toEqual(['r3'])
    expect(floors.quickest(ids, need(4), true)).toEqual(['r2'])
  })

  test('is any of those that lacked no more than what was written just before, whoever was waited for already', () => {
    const world = new World()
    for (const sequence of [1, 2, 3]) world.floors.raise(at(sequence), 1_000 + sequence)
    const heard = (sequence: number) => ({ position: at(sequence), askedMs: 1_005 })
    world.hear(heard(3), heard(1), heard(2))
    world.follow()
    world.floors.proved(world.floors.reached('r2')!, need(3))
    world.floors.raise(at(4), 1_010)
    expect(world.floors.quickest(['r1', 'r2'], need(4))).toEqual(['r1', 'r2'])
  })

  test('that was waited for in vain gets another chance when it goes on', () => {
    const world = after([at(1), at(2), at(3)], { position: at(3) }, { position: at(1) })
    world.floors.reached('r')!.stalled = true
    world.hear({ position: at(3) }, { position: at(1) })
    expect(world.floors.quickest(['r'], need(3))).toEqual([])
    world.hear({ position: at(3) }, { position: at(2) })
    expect(world.floors.quickest(['r'], need(3))).toEqual(['r'])
  })
})

describe('a write whose position is not known', () => {
  test('is reached by nobody and cannot be waited for, until the writer has told its own', () => {
    const { floors } = after([at(1), null], { position: at(1) }, { position: at(1) })
    expect([floors.reaches('r', need(2)), floors.missing('r', need(2))]).toEqual([false, null])
    floors.settle(at(7), 0)
    expect(floors.missing('r', need(2))).toBeNull()
    floors.settle(at(7), 1)
    expect(floors.missing('r', need(2))!.text).toBe('0-1-7')
  })

  test('is settled by what the monitor hears of the writer, if it asked clearly later', () => {
    const world = after([null], { position: at(7), askedMs: 49 }, { position: at(7) })
    expect(reaching(world, 1)).toEqual([false])
    world.hear({ position: at(7), askedMs: 50 }, { position: at(7) })
    expect(reaching(world, 1)).toEqual([true])
  })

  test('where nobody counts is reached by who is known to have all that was written until then', () => {
    const world = after([null], {}, { asOfMs: 0 })
    expect([world.floors.byPosition, ...reaching(world, 1)]).toEqual([false, false])
    world.hear({}, { asOfMs: 1 })
    expect(reaching(world, 1)).toEqual([true])
  })
})

describe('a change of the writer', () => {
  test('takes what the new one never got off the floor, for no reader can have it', () => {
    const world = after([at(1), at(2), at(3)], { position: at(3) }, { position: at(1) })
    world.follow(2)
    world.hear({ position: at(2), askedMs: 90 }, { position: at(1) })
    expect(world.floors.missing('r', need(3))!.text).toBe('0-1-2')
    world.hear({ position: at(2), askedMs: 100 }, { position: at(2) })
    expect(reaching(world, 3)).toEqual([true])
  })

  test('does not believe what the new one said before it was the writer', () => {
    const world = after([at(1), at(2), at(3)], { position: at(3) }, { position: at(1) })
    world.hear({ position: at(1), askedMs: 90 }, { position: at(1) })
    world.follow(2)
    expect(world.floors.missing('r', need(3))!.text).toBe('0-1-3')
  })

  test('leaves the floor alone where nothing was lost', () => {
    const world = after([at(1), at(2), at(3)], { position: at(3) }, { position: at(1) })
    world.follow(2)
    world.hear({ position: at(3), askedMs: 90 }, { position: at(2) })
    expect(reaching(world, 2, 3)).toEqual([true, false])
  })

  test('leaves alone what was raised after the new one was asked', () => {
    const world = after([at(1), at(2)], { position: at(2) }, { position: at(1) })
    world.follow(2)
    world.hear({ position: at(1), askedMs: 90 }, { position: at(1) })
    world.floors.raise(at(3), 91)
    expect(reaching(world, 2, 3)).toEqual([true, false])
    expect(world.floors.missing('r', need(3))!.text).toBe('0-1-3')
  })
})

test('many writes leave few steps: the newest are told apart, and the oldest are still asked for', () => {
  const writes = Array.from({ length: 10_000 }, (_, index) => at(index + 1))
  const world = after(writes, { position: at(10_000) }, { position: at(9_990) })
  expect(reaching(world, 9_990)).toEqual([true])
  expect(world.floors.missing('r', need(9_995))!.text).toBe('0-1-9995')
  expect(world.floors.position()!.text).toBe('0-1-10000')
  world.hear({ position: at(10_000) }, { position: at(1) })
  expect(reaching(world, 500)).toEqual([false])
})
