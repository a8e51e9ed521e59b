// What a connection is told to heed of a statement.

import { expect, test } from 'vitest'
import { exchangeOptions, PLAIN_ON_READER } from '../../../src/session/exchange-options.ts'
import { classification } from '../../support/values.ts'

const FREE = { pinned: false, autocommit: true, transaction: 'none', edit: null, committed: () => {} } as const

test('of a plain read on a reader there is one answer, made beforehand', () => {
  const plain = classification({ plain: true, tables: ['t'] })
  for (const kind of ['statement', 'execute'] as const) {
    expect(exchangeOptions(plain, { kind }, { ...FREE, onReader: true })).toEqual(PLAIN_ON_READER)
  }
})

test('what a reader refuses goes elsewhere only while nothing holds the session there', () => {
  const read = classification({ tables: ['t'] })
  const { holdRefused, holdBehind } = exchangeOptions(
    read,
    { kind: 'statement' },
    { ...FREE, onReader: true, pinned: true },
  )
  expect([holdRefused, holdBehind]).toEqual([false, false])
})

test('to prepare a statement changes nothing that executing it would', () => {
  const sets = classification({
    access: 'session',
    assigns: [{ scope: 'statement', name: 'max_statement_time', value: '1' }],
    statements: 2,
  })
  const prepared = exchangeOptions(sets, { kind: 'prepare' }, { ...FREE, onReader: false })
  const executed = exchangeOptions(sets, { kind: 'execute' }, { ...FREE, onReader: false })
  expect([prepared.passing, prepared.mayFailLate]).toEqual([[], false])
  expect([executed.passing, executed.mayFailLate]).toEqual([['max_statement_time'], true])
})

test('who sets what is reported is asked for all that the statement sets', () => {
  const sets = classification({
    access: 'session',
    assigns: [
      { scope: 'session', name: 'tx_read_only', value: '1' },
      { scope: 'session', name: 'session_track_system_variables', value: null },
      { scope: 'names', name: 'names', value: 'latin1' },
      { scope: 'global', name: 'max_connections', value: '5' },
    ],
  })
  const { hushes, sets: names } = exchangeOptions(sets, { kind: 'statement' }, { ...FREE, onReader: false })
  expect(hushes).toBe(true)
  expect(names).toEqual([
    'tx_read_only',
    'session_track_system_variables',
    'character_set_client',
    'character_set_results',
  ])
})
