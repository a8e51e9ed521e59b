// Which savepoints a transaction has after its statements.

import { expect, test } from 'vitest'
import { type Savepoints, savepointsAfter } from '../../../src/routing/savepoints.ts'
import { classifyMysql } from '../sql/support.ts'

function after(...sqls: readonly string[]): Savepoints {
  let savepoints: Savepoints = []
  const shapes = sqls.flatMap((sql) => classifyMysql(sql).shapes)
  for (const shape of shapes) savepoints = savepointsAfter(savepoints, shape)
  return savepoints
}

test.each([
  ['those that were set, in their order', ['SAVEPOINT a', 'SAVEPOINT b'], ['a', 'b']],
  ['one that was set again, as the newest', ['SAVEPOINT a', 'SAVEPOINT b', 'SAVEPOINT `A`'], ['b', '`A`']],
  ['none that was released, nor any behind it', ['SAVEPOINT a', 'SAVEPOINT b', 'RELEASE SAVEPOINT A'], []],
  ['the one it went back to, and none behind it', ['SAVEPOINT a', 'SAVEPOINT b', 'ROLLBACK WORK TO a'], ['a']],
  [
    'those of a text of several statements',
    ['SELECT 1; SAVEPOINT a; SAVEPOINT b; SELECT 2', 'ROLLBACK TO a; SELECT 1'],
    ['a'],
  ],
  ['as many as before over other statements', ['SAVEPOINT a', 'SELECT 1', 'ROLLBACK TO SAVEPOINT other'], ['a']],
])('%s', (_promise, sqls, expected) => expect(after(...sqls)).toEqual(expected))

test('there may be too many to be followed', () => {
  const sqls = Array.from({ length: 65 }, (_, at) => `SAVEPOINT s${at}`)
  expect(after(...sqls.slice(1))).toHaveLength(64)
  expect(after(...sqls)).toBeNull()
})
