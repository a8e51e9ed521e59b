// What one server lacks of what another has, by table, in the words of both kinds.

import { describe, expect, test } from 'vitest'
import { mariadbPosition, mysqlPosition, positionOf } from '../../../../src/protocol/mysql/positions.ts'
import { covers } from '../../../../src/topology/claim.ts'

const A = '3e11fa47-71ca-11e1-9e33-c80aa9429562'
const B = '4e11fa47-71ca-11e1-9e33-c80aa9429562'

describe('a MySQL set of transactions', () => {
  test.each<[has: string, target: string, base: string, lacks: boolean]>([
    [`${A}:1-5`, `${A}:1-5`, '', false],
    [`${A}:1-5`, `${A}:1-6`, '', true],
    [`${A}:1-6`, `${A}:1-5`, '', false],
    [`${A}:1-5`, `${A}:1-6`, `${A}:6`, false],
    [`${A}:1-3:5`, `${A}:1-5`, '', true],
    [`${A}:1-3:5`, `${A}:1-5`, `${A}:4`, false],
    [`${A}:1-3:4-9`, `${A}:2-8`, '', false],
    [`${A}:7`, `${A}:7`, '', false],
    [`${A}:1-5`, `${A}:1-5,${B}:1`, '', true],
    [`${B}:1,\n${A}:1-5`, `${A}:1-5,${B}:1`, '', false],
    [`${A.toUpperCase()}:1-5`, `${A}:1-5`, '', false],
    [`${A}:1-5:blue:1-3`, `${A}:1-5:blue:1-3`, '', false],
    [`${A}:1-5`, `${A}:1-5:blue:1`, '', true],
    [`${A}:1-5:blue:1-3:green:1`, `${A}:green:1-2`, '', true],
    [`${A}:blue:1-3`, `${A}:1`, '', true],
    [`${A}:1-9007199254740000`, `${A}:9007199254739999-9007199254740000`, '', false],
  ])('%j, asked for %j since %j: %s', (has, target, base, lacks) => {
    expect(mysqlPosition(has)!.lacks(mysqlPosition(target)!, mysqlPosition(base))).toBe(lacks)
  })

  test('is none where nothing is counted', () => {
    expect(mysqlPosition('')).toBeNull()
  })
})

describe('a MariaDB position', () => {
  test.each<[has: string, target: string, base: string, lacks: boolean]>([
    ['0-1-10', '0-1-10', '', false],
    ['0-1-10', '0-1-11', '', true],
    ['0-2-11', '0-1-10', '', false],
    ['0-1-10', '0-1-10,1-1-3', '', true],
    ['1-1-3,0-1-10', '0-1-10,1-1-3', '', false],
    ['0-1-10', '0-1-10,1-1-3', '1-1-3', false],
    ['0-1-10', '0-1-10,1-1-4', '1-1-3', true],
    ['0-1-9', '0-1-10', '0-1-10', false],
  ])('%j, asked for %j since %j: %s', (has, target, base, lacks) => {
    expect(mariadbPosition(has)!.lacks(mariadbPosition(target)!, mariadbPosition(base))).toBe(lacks)
  })

  test('is none where nothing is counted', () => {
    expect(mariadbPosition('')).toBeNull()
  })

  test('cannot be compared with one of the other kind', () => {
    expect(mariadbPosition('0-1-9')!.lacks(mysqlPosition(`${A}:1`)!, null)).toBeNull()
    expect(mysqlPosition(`${A}:1`)!.lacks(mariadbPosition('0-1-9')!, null)).toBeNull()
  })
})

/** A small random number generator, so that what fails can be run again. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const ORIGINS = [A, B, `${A}:blue`, `${B}:green_1`]
const NUMBERS = 24
type Naive = ReadonlySet<string>

/** A set of transactions as text, in no order and with overlaps, and as what it holds. */
function randomSet(random: (below: number) => number): { text: string; has: Naive } {
  const has = new Set<string>()
  const parts: string[] = []
  for (let count = 1 + random(6); count > 0; count--) {
    const origin = ORIGINS[random(ORIGINS.length)]!
    const first = 1 + random(NUMBERS)
    const last = Math.min(NUMBERS, first + random(5))
    for (let number = first; number <= last; number++) has.add(`${origin} ${number}`)
    parts.push(`${random(2) === 0 ? origin : origin.toUpperCase()}:${first === last ? first : `${first}-${last}`}`)
  }
  return { text: parts.join(random(2) === 0 ? ',' : ',\n'), has }
}

const holdsAll = (has: Naive, wanted: Naive) => [...wanted].every((one) => has.has(one))

describe('sets of transactions, compared with sets of single ones', () => {
  test.each(Array.from({ length: 300 }, (_, seed) => seed))('seed %i', (seed) => {
    const random = randomFrom(seed)
    const [one, other, base] = [randomSet(random), randomSet(random), randomSet(random)]
    const position = mysqlPosition(one.text)!
    const target = mysqlPosition(other.text)!
    expect(covers(position, target)).toBe(holdsAll(one.has, other.has))
    const known = new Set([...one.has, ...base.has])
    expect(position.lacks(target, mysqlPosition(base.text))).toBe(!holdsAll(known, other.has))
    const sum = position.plus([target, mysqlPosition(base.text)!])
    const all = new Set([...known, ...other.has])
    for (const origin of ORIGINS) {
      for (let number = 1; number <= NUMBERS; number++) {
        const single = mysqlPosition(`${origin}:${number}`)!
        expect(covers(sum, single)).toBe(all.has(`${origin} ${number}`))
      }
    }
    const again = positionOf(sum.text)!
    expect(again.plus([]).text).toBe(sum.text)
    expect([covers(again, sum), covers(sum, again)]).toEqual([true, true])
  })

  test('what is in very many pieces is kept in fewer, and lacks nothing', () => {
    const pieces = Array.from({ length: 5_000 }, (_, at) => mysqlPosition(`${A}:${at * 3 + 1}`)!)
    const far = mysqlPosition(`${A}:90000000`)!
    const sum = pieces[0]!.plus([...pieces.slice(1), far])
    expect(sum.text.split(':').length).toBeLessThan(150)
    expect(pieces.every((piece) => covers(sum, piece)) && covers(sum, far)).toBe(true)
    // The widest gap, that no server ever fills, stays one.
    expect(covers(sum, mysqlPosition(`${A}:80000000`)!)).toBe(false)
  })
})

describe('printed', () => {
  test.each([
    [`${B}:1, ${A}:7:1-5`, `${A}:1-5:7,${B}:1`],
    [`${A}:1-3:4-6`, `${A}:1-6`],
    [`${A}:blue:2:1,${A}:9`, `${A}:9:blue:1-2`],
    [`${A}:1:BLUE:1`, `${A}:1:blue:1`],
    ['1-1-5,0-2-9', '0-2-9,1-1-5'],
    ['0-1-5,0-2-9', '0-2-9'],
  ])('%j reads %j', (text, expected) => {
    expect(positionOf(text)!.plus([]).text).toBe(expected)
  })

  test.each(['', 'x', '1', '0-1', `${A}`, `${A}:`, `${A}:1-`, `${A}:1;DROP`, "0-1-2'", `${A}:1,0-1-2`, '0-1-2,'])(
    '%j is no position',
    (text) => {
      expect(positionOf(text)).toBeNull()
    },
  )
})

describe('MariaDB positions, compared with the highest of each domain', () => {
  test.each(Array.from({ length: 100 }, (_, seed) => seed))('seed %i', (seed) => {
    const random = randomFrom(seed + 1_000)
    const list = () => {
      const domains = [0, 1, 7].filter(() => random(3) > 0)
      return (domains.length === 0 ? [0] : domains).map((domain) => [domain, 1 + random(5)] as const)
    }
    const [one, other] = [list(), list()]
    const textOf = (entries: ReturnType<typeof list>) =>
      entries.map(([domain, last]) => `${domain}-${1 + random(3)}-${last}`).join(',')
    const [position, target] = [mariadbPosition(textOf(one))!, mariadbPosition(textOf(other))!]
    const high = new Map(one)
    expect(covers(position, target)).toBe(other.every(([domain, last]) => (high.get(domain) ?? 0) >= last))
    const sum = position.plus([target])
    expect(covers(sum, position) && covers(sum, target)).toBe(true)
    const highest = new Map(one)
    for (const [domain, last] of other) highest.set(domain, Math.max(last, highest.get(domain) ?? 0))
    const exact = mariadbPosition([...highest].map(([domain, last]) => `${domain}-9-${last}`).join(','))!
    expect(covers(exact, sum)).toBe(true)
  })
})
