// What one server lacks of what another has, by table, in the words of both kinds.

import { describe, expect, test } from 'vitest'
import { mariadbPosition, mysqlPosition } from '../../../../src/protocol/mysql/positions.ts'

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
