// Which reads need not wait for which writes: tables that are surely plain are told apart, everything else counts as all.

import { describe, expect, test } from 'vitest'
import { TableFloors } from '../../../src/routing/table-floors.ts'
import type { TableFacts } from '../../../src/topology/claim.ts'
import { classification } from '../../support/values.ts'

const PLAIN = { plain: true, alone: true }
const TRIGGERED = { plain: true, alone: false }
const VIEW = { plain: false, alone: false }

/** Tables of a schema `s`, as a catalogue would tell of them. */
class World {
  nowMs = 0
  woken = 0
  readonly floors: TableFloors
  readonly #facts: Readonly<Record<string, TableFacts>>

  constructor(facts: Readonly<Record<string, TableFacts>>, tablesMax = 100) {
    this.#facts = facts
    const onWanted = () => {
      this.woken += 1
    }
    this.floors = new TableFloors({ tablesMax, nowMs: () => this.nowMs, onWanted })
    this.floors.learnCase(true)
  }

  /** Everything that is wanted is asked for, and answered. */
  ask(): readonly string[] {
    const { tables, generation } = this.floors.takeWanted(100)
    const names = tables.map(({ schema, table }) => `${schema}.${table}`)
    this.floors.learn(
      tables,
      generation,
      names.map((name) => this.#facts[name] ?? VIEW),
    )
    return names
  }

  needed(...tables: readonly string[]): number | null {
    return this.floors.neededBy(classification({ tables }), 's')
  }

  /** The same, once the catalogue has been asked. */
  known(...tables: readonly string[]): number | null {
    this.needed(...tables)
    this.ask()
    return this.needed(...tables)
  }

  write(version: number, ...tables: readonly string[]): void {
    const write = classification({ access: 'write', tables })
    this.known(...tables)
    this.floors.raise(version, this.floors.resolve(write, 's'))
  }
}

describe('a read', () => {
  test('of a table that nobody has written needs nothing, whatever else was written', () => {
    const world = new World({ 's.a': PLAIN, 's.b': PLAIN })
    world.write(7, 'a')
    expect([world.known('a'), world.known('b'), world.known('a', 'b')]).toEqual([7, 0, 7])
  })

  test('of anything that is no plain table needs all', () => {
    const world = new World({ 's.a': PLAIN, 's.v': VIEW })
    expect([world.known('v'), world.known('a', 'v'), world.known('nowhere')]).toEqual([null, null, null])
  })

  test('needs all until somebody was asked what the table is', () => {
    const world = new World({ 's.a': PLAIN })
    expect([world.needed('a'), world.ask(), world.needed('a')]).toEqual([null, ['s.a'], 0])
  })

  test('without tables needs nothing, and of tables unknown all', () => {
    const world = new World({})
    expect(world.needed()).toBe(0)
    expect(world.floors.neededBy(classification({ tables: null }), 's')).toBeNull()
  })

  test('is of its own schema', () => {
    const world = new World({ 's.a': PLAIN, 'r.a': PLAIN })
    world.write(7, 'r.a')
    expect([world.known('a'), world.known('r.a'), world.known('R.A')]).toEqual([0, 7, 7])
  })

  test('of names that a server may take in other ways needs all', () => {
    const world = new World({ 's.ä': PLAIN, 's.a b': PLAIN })
    expect([world.known('ä'), world.known('a b')]).toEqual([null, null])
  })

  test('in a text that changes the schema needs all', () => {
    const world = new World({ 's.a': PLAIN })
    world.known('a')
    const assigns = [{ scope: 'schema', name: 'schema', value: 'r' }] as const
    expect(world.floors.neededBy(classification({ tables: ['a'], assigns, statements: 2 }), 's')).toBeNull()
  })
})

describe('a write', () => {
  test.each([
    ['of a table with a trigger or a follower may have written anything', ['t']],
    ['of a view may have written anything', ['v']],
    ['of a plain table and a view may have written anything', ['a', 'v']],
  ])('%s', (_promise, tables) => {
    const world = new World({ 's.a': PLAIN, 's.b': PLAIN, 's.t': TRIGGERED, 's.v': VIEW })
    world.known('b')
    world.write(7, ...tables)
    expect(world.known('b')).toBe(7)
  })

  test('of nobody knows what, or of a table that nobody was asked about, too', () => {
    const world = new World({ 's.a': PLAIN, 's.b': PLAIN })
    world.known('b')
    world.floors.raise(5, null)
    expect(world.known('b')).toBe(5)
    world.floors.raise(6, world.floors.resolve(classification({ tables: ['a'] }), 's'))
    expect(world.known('b')).toBe(6)
    world.floors.raise(7, [])
    expect(world.known('b')).toBe(7)
  })
})

describe('what the catalogue said', () => {
  test('is forgotten when something is defined anew, and what was written is not', () => {
    const world = new World({ 's.a': PLAIN })
    world.write(7, 'a')
    world.floors.forget()
    expect([world.needed('a'), world.known('a')]).toEqual([null, 7])
  })

  test('is not believed if it was asked before that', () => {
    const world = new World({ 's.a': PLAIN })
    world.needed('a')
    const { tables, generation } = world.floors.takeWanted(100)
    world.floors.forget()
    world.floors.learn(tables, generation, [PLAIN])
    expect([world.needed('a'), world.known('a')]).toEqual([null, 0])
  })

  test('is asked for again in time, and believed no longer than 10 s', () => {
    const world = new World({ 's.a': PLAIN })
    world.known('a')
    world.nowMs = 6_000
    expect([world.needed('a'), world.ask()]).toEqual([0, ['s.a']])
    world.nowMs = 16_001
    expect(world.needed('a')).toBeNull()
  })

  test('is nothing while nobody may tell', () => {
    const world = new World({})
    world.needed('a')
    const { tables, generation } = world.floors.takeWanted(100)
    world.floors.learn(tables, generation, null)
    expect(world.needed('a')).toBeNull()
    expect(world.ask()).toEqual(['s.a'])
  })
})

test('more tables than are told apart: the oldest is given up, and what it was written with counts for all', () => {
  const world = new World({ 's.a': PLAIN, 's.b': PLAIN, 's.c': PLAIN }, 2)
  world.write(7, 'a')
  expect(world.known('b')).toBe(0)
  expect(world.known('c')).toBe(7)
  expect(world.floors.size).toBe(2)
})

test('a table that is given up before its write is committed counts for all, too', () => {
  const world = new World({ 's.a': PLAIN, 's.b': PLAIN, 's.c': PLAIN }, 2)
  world.known('a')
  const written = world.floors.resolve(classification({ tables: ['a'] }), 's')
  world.known('b')
  world.known('c')
  world.floors.raise(7, written)
  expect(world.known('c')).toBe(7)
})

test('names that differ in case are one where the server says so, and none before it has said anything', () => {
  const apart = new World({ 's.a': PLAIN, 's.A': PLAIN })
  apart.floors.learnCase(false)
  apart.write(7, 'a')
  expect([apart.known('a'), apart.known('A')]).toEqual([7, 0])
  const unknown = new TableFloors({ tablesMax: 9, nowMs: () => 0, onWanted: () => {} })
  expect(unknown.neededBy(classification({ tables: ['a'] }), 's')).toBeNull()
})
