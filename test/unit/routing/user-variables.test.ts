// What a session knows of its user variables.

import { describe, expect, test } from 'vitest'
import { mayUseVariables, UserVariables } from '../../../src/routing/user-variables.ts'
import { classification } from '../../support/values.ts'

const saved = (name: string, set = true, bytes = 1) => ({ name, set, bytes })

describe('user variables', () => {
  test('are unread until they are saved', () => {
    const variables = new UserVariables()
    variables.assigned(['a', 'b'])
    expect(variables.unreadNames).toEqual(['a', 'b'])
    variables.save([saved('a'), saved('b')])
    expect(variables).toMatchObject({ unread: false, some: true, count: 2 })
  })

  test('are unread again once they are assigned again', () => {
    const variables = new UserVariables()
    variables.assigned(['a', 'b'])
    variables.save([saved('a'), saved('b')])
    variables.assigned(['a'])
    expect(variables.unreadNames).toEqual(['a'])
  })

  test('come back in the order of their last assignment, since two names may mean one variable', () => {
    const variables = new UserVariables()
    variables.assigned(['a'])
    variables.assigned(['b'])
    variables.assigned(['a'])
    variables.save([saved('a'), saved('b')])
    expect(variables.after(0).map(({ name }) => name)).toEqual(['b', 'a'])
  })

  test('are given to a connection only as far as it has not seen them', () => {
    const variables = new UserVariables()
    variables.assigned(['a'])
    const before = variables.newest
    variables.assigned(['b'])
    variables.save([saved('a'), saved('b')])
    expect(variables.after(before).map(({ name }) => name)).toEqual(['b'])
    expect(variables.after(variables.newest)).toEqual([])
  })

  test('are no more if the statement failed before it set them', () => {
    const variables = new UserVariables()
    variables.assigned(['a'])
    variables.save([saved('a', false)])
    expect(variables).toMatchObject({ some: false, unread: false })
  })

  test('may all have been assigned by what was prepared in SQL, or by a routine', () => {
    const variables = new UserVariables()
    variables.assigned(['a'])
    variables.save([saved('a')])
    expect(variables.observe(classification({ assigned: [], routines: [] }), false)).toBeNull()
    variables.observe(classification({ routines: ['p'] }), false)
    expect(variables.unreadNames).toEqual(['a'])
    variables.save([saved('a')])
    variables.observe(classification({ assigned: ['b'] }), true)
    expect(variables.unreadNames).toEqual(['a', 'b'])
  })

  test('that only a lost connection knew are lost, and no others', () => {
    const variables = new UserVariables()
    variables.assigned(['a'])
    variables.save([saved('a')])
    variables.assigned(['b'])
    expect(variables.loseUnread()).toEqual(['b'])
    expect(variables.after(0)).toEqual([saved('a')])
  })

  test.each(['é', 'a\\b', '', 'a\n'])('cannot be moved where the name reads differently elsewhere: %j', (name) => {
    expect(new UserVariables().assigned([name])).toBe(false)
    expect(new UserVariables().assigned(['a b`c'])).toBe(true)
  })
})

test.each([
  ['a read without tables', {}, false],
  ['SET NAMES', { access: 'session' }, false],
  ['a read of a variable', { facts: ['user-variable'] }, true],
  ['an assignment', { access: 'session', assigned: ['a'] }, true],
  ['a read of tables: one may be a view with a function', { tables: ['t'] }, true],
  ['a read of unknown tables', { tables: null }, true],
  ['a write: there may be a trigger', { access: 'write' }, true],
  ['the begin of a transaction', { access: 'session', transaction: 'begin-read-only' }, true],
] as const)('%s may use variables: %#', (_what, change, expected) => {
  expect(mayUseVariables(classification(change as object))).toBe(expected)
})
