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
