// What is told of a statement whose connection was lost: never that something was rolled back which may have been
// committed, nor that something was not executed which may have been.

import { describe, expect, test } from 'vitest'
import { BackendLost } from '../../../src/protocol/protocol.ts'
import { type Held, lossOf, mayRepeat } from '../../../src/session/repeat.ts'
import type { Classification } from '../../../src/sql/classification.ts'
import { classification } from '../../support/values.ts'

const lost = (progress: BackendLost['progress'], resumable = true) =>
  new BackendLost(progress, resumable, 'lost db1:3306: a test says so')
const write = (change: Partial<Classification> = {}) =>
  classification({ access: 'write', digestText: 'insert', ...change })
const read = classification({ access: 'read' })
const commit = classification({ access: 'session', digestText: 'COMMIT', transaction: 'end' })
const rollback = classification({ access: 'session', digestText: 'ROLLBACK', transaction: 'end' })
const ddl = write({ digestText: 'ALTER TABLE t', transaction: 'implicit-commit' })
const begin = write({ digestText: 'BEGIN', transaction: 'begin' })
const call = write({ digestText: 'CALL p ( )', routines: ['p'] })
const several = write({ statements: 2, digestText: 'INSERT ; BEGIN', transaction: 'begin' })

const NOTHING: Held = { pins: [], autocommit: true }
const OPEN: Held = { pins: ['transaction'], autocommit: true }
const TABLE: Held = { pins: ['temporary-table'], autocommit: true }
const OFF: Held = { pins: [], autocommit: false }

describe('what is lost with a connection', () => {
  test.each<[string, BackendLost, Classification, Held, string | null]>([
    ['nothing was held', lost('sent'), write(), NOTHING, null],
    ['a statement in a transaction', lost('sent'), write(), OPEN, 'TRANSACTION_LOST'],
    ['a COMMIT that was not sent', lost('unsent'), commit, OPEN, 'TRANSACTION_LOST'],
    ['a COMMIT that was sent', lost('sent'), commit, OPEN, 'COMMIT_UNKNOWN'],
    ['a ROLLBACK that was sent', lost('sent'), rollback, OPEN, 'TRANSACTION_LOST'],
    ['what commits by the way', lost('sent'), ddl, OPEN, 'COMMIT_UNKNOWN'],
    ['the begin of the next transaction', lost('sent'), begin, OPEN, 'COMMIT_UNKNOWN'],
    ['a procedure, which may commit', lost('sent'), call, OPEN, 'COMMIT_UNKNOWN'],
    ['a procedure that was not sent', lost('unsent'), call, OPEN, 'TRANSACTION_LOST'],
    ['several statements, one of which begins anew', lost('sent'), several, OPEN, 'COMMIT_UNKNOWN'],
    ['the first write without autocommit', lost('sent'), write(), OFF, 'TRANSACTION_LOST'],
    ['the first write without autocommit, if it commits', lost('sent'), ddl, OFF, null],
    ['rows in a transaction', lost('replying'), read, OPEN, 'TRANSACTION_LOST'],
    ['half a row in a transaction', lost('replying', false), read, OPEN, 'REPLY_BROKEN'],
    ['half a row of a temporary table', lost('replying', false), read, TABLE, 'REPLY_BROKEN'],
    ['a read with a temporary table', lost('sent'), read, TABLE, 'STATE_LOST'],
    ['a write with a temporary table that was not sent', lost('unsent'), write(), TABLE, 'STATE_LOST'],
    ['a write with a temporary table that was sent', lost('sent'), write(), TABLE, 'OUTCOME_UNKNOWN'],
    ['diagnostics only', lost('sent'), read, { pins: ['diagnostics'], autocommit: true }, null],
    [
      'an XA transaction, prepared or not',
      lost('unsent'),
      write(),
      { pins: ['transaction', 'xa'], autocommit: true },
      'STATE_LOST',
    ],
  ])('%s', (_what, loss, statement, held, code) => {
    expect(lossOf(loss, statement, held, 'db1:3306')?.code ?? null).toBe(code)
  })

  test('is named, and so is why', () => {
    const { message } = lossOf(lost('sent'), write(), TABLE, 'db1:3306')!
    expect(message).toContain('lost db1:3306: a test says so')
    expect(message).toContain('temporary-table')
    expect(message).toContain('whether the statement was executed is not known')
  })
})

describe('what may be sent again', () => {
  test.each<[string, BackendLost, Classification, boolean]>([
    ['whatever was not sent', lost('unsent'), write(), true],
    ['a read that was sent', lost('sent'), read, true],
    ['a begin that was sent', lost('sent'), begin, true],
    ['but no write that was', lost('sent'), write(), false],
    ['nor one that a begin follows', lost('sent'), several, false],
    ['nor a read whose rows the client has', lost('replying'), read, false],
  ])('%s', (_what, loss, statement, may) => expect(mayRepeat(loss, statement, 1)).toBe(may))
})
