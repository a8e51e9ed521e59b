// What goes on behind a KILL in the middle of a text.

import { expect, test } from 'vitest'
import { createClassifier } from '../../../src/sql/classifier.ts'
import { MYSQL } from './support.ts'

test.each([
  ['KILL 7', null],
  ['SELECT 1; KILL 7;', null],
  ['KILL 7; SELECT 2', 'SELECT 2'],
  ["SELECT ';'; KILL 7 /* ; */ ; SELECT 2; SELECT 3", 'SELECT 2; SELECT 3'],
  ['KILL 5; KILL CONNECTION 7; SELECT 2', 'SELECT 2'],
  ['KILL 5; KILL 3 + 4; SELECT 2', 'SELECT 2'],
  ['KILL QUERY @victim; KILL 7; SELECT 2', 'SELECT 2'],
  ['KILL 7; KILL 7; SELECT 2', 'KILL 7; SELECT 2'],
  ['SELECT 7; SELECT 2', null],
])('%s', (sql, rest) => {
  const behind = createClassifier({ digestsMax: 10 }).behindKill(Buffer.from(sql), MYSQL, 7)
  expect(behind?.toString() ?? null).toBe(rest)
})
