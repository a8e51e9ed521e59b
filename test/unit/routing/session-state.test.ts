// What a session holds by name, and when it lets go.

import { expect, test } from 'vitest'
import type { Reply } from '../../../src/protocol/protocol.ts'
import { settingsOf } from '../../../src/protocol/settings.ts'
import { SessionState } from '../../../src/routing/session-state.ts'
import { reply } from '../../support/values.ts'
import { classifyMysql } from '../sql/support.ts'

const names = (state: SessionState) => state.pins.map((pin) => `${pin.reason}: ${[...pin.names.keys()].join(', ')}`)

function after(...steps: readonly (readonly [sql: string, reply?: Partial<Reply>])[]): SessionState {
  const state = new SessionState(settingsOf('one', new Map()))
  for (const [sql, change] of steps) state.observe(classifyMysql(sql), reply(change), 0)
  return state
}

const toSchema = (schema: string) => ({ changed: { schema, variables: new Map() } })

test('a temporary table is held by its schema, whichever is current when it is dropped', () => {
  const created = ['CREATE TEMPORARY TABLE t (a INT)'] as const
  const moved = ['USE two', toSchema('two')] as const
  expect(names(after(created))).toEqual(['temporary-table: one.t'])
  expect(names(after(created, moved, ['DROP TABLE IF EXISTS t']))).toEqual(['temporary-table: one.t'])
  expect(names(after(created, moved, ['DROP TABLE one.t']))).toEqual([])
  expect(names(after(created, moved, ['RENAME TABLE one.t TO u'], ['DROP TABLE u']))).toEqual([])
})

test('a named lock is let go when the server says so, not when it is released', () => {
  const state = after(["SELECT GET_LOCK('a', 1), GET_LOCK('b', 1)"], ["SELECT RELEASE_LOCK('a')"])
  expect(state.locks).toEqual(['a', 'b'])
  state.holdsLocks(new Set(['b', 'c']))
  expect(names(state)).toEqual(['advisory-lock: b'])
  state.holdsLocks(new Set())
  expect(names(state)).toEqual([])
})

test('a lock whose name is not known is held until all are released', () => {
  const state = after(["SELECT GET_LOCK(CONCAT('a', 'b'), 1), GET_LOCK('c', 1)"])
  expect(state.locks).toEqual(['c'])
  state.holdsLocks(new Set())
  expect(names(state)).toEqual(['advisory-lock: (unknown)'])
  state.observe(classifyMysql('SELECT RELEASE_ALL_LOCKS()'), reply(), 0)
  expect(names(state)).toEqual([])
})

test('what a statement with variables changed is no riddle, unless a routine may have changed more', () => {
  const changed = { stateChanged: true }
  expect(names(after(['INSERT INTO t VALUES (@never_set)', changed]))).toEqual([])
  expect(names(after(['INSERT INTO t VALUES (f(@never_set))', changed]))).toEqual(['unknown-state: '])
  expect(names(after(['INSERT INTO t VALUES (1)', changed]))).toEqual(['unknown-state: '])
})

test('what SET TRANSACTION said holds until a transaction, and is wiped out where that had none', () => {
  const said = ['SET TRANSACTION READ ONLY'] as const
  const unrelated = [['SELECT 1'], ['SET @a = 1'], ['SELECT * FROM t', { outcome: 'error' }]] as const
  expect(names(after(said, ...unrelated))).toEqual(['transaction: '])
  const read = after(said, ...unrelated, ['SELECT * FROM t'])
  expect([names(read), read.leavesTraces]).toEqual([[], true])
  const ended = after(said, ['BEGIN', { transaction: 'open' }], ['COMMIT'])
  expect([names(ended), ended.leavesTraces]).toEqual([[], false])
  expect(after(said, ['ROLLBACK']).leavesTraces).toBe(false)
})
