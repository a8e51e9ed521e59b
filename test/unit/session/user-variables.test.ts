// Stories of sessions with user variables: where the values are, and who gets the connection that has them.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { BackendLost } from '../../../src/protocol/protocol.ts'
import { Stage } from '../../support/session-stage.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** Lets everything happen that does not wait for time. */
const settle = () => vi.advanceTimersByTimeAsync(0)

async function tell(stage: Stage, ...statements: string[]) {
  const joined = stage.join()
  for (const sql of statements) joined.client.ask(sql)
  await settle()
  return joined
}

test('a session with user variables is not pinned, and alone costs nothing', async () => {
  const stage = new Stage()
  const { session } = await tell(stage, 'set @a', 'set @b', 'select @a', 'insert 1')
  expect(session.snapshot.pins).toEqual([])
  expect(stage.calls).toEqual(['db1: set @a', 'db1: set @b', 'db1: select @a', 'db1: insert 1'])
})

test('they are read out before another session gets the connection, and set where they are next used', async () => {
  const stage = new Stage({ connectionsMax: 1 })
  const ann = await tell(stage, 'set @a')
  await tell(stage, 'insert 1')
  ann.client.ask('insert 2')
  await settle()
  expect(stage.calls).toEqual([
    'db1: set @a',
    'db1 reads out @a',
    'reset',
    'db1: insert 1',
    'db1 sets @a',
    'db1: insert 2',
  ])
})

test('a reader is given them once for all reads that may use them, and other reads go without', async () => {
  const stage = new Stage()
  await tell(stage, 'set @a', 'select 1', 'select @a from t', 'select 2 from t', 'select @a from t')
  expect(stage.calls).toEqual([
    'db1: set @a',
    'db2: select 1',
    'db1: select @a from t',
    'db1 reads out @a',
    'db2 sets @a',
    'db2: select 2 from t',
    'db2: select @a from t',
  ])
})

test('what was assigned since is all that a connection still lacks', async () => {
  const stage = new Stage()
  await tell(stage, 'set @a', 'select 1 from t', 'set @b', 'select 2 from t')
  expect(stage.calls.slice(-4)).toEqual(['db1: set @b', 'db1 reads out @b', 'db2 sets @b', 'db2: select 2 from t'])
})

test('a connection asked for conditions gets what else it lacks of them only afterwards: that would end the conditions', async () => {
  const stage = new Stage()
  await tell(stage, 'set @b', 'select 1', 'get diagnostics @a', 'get diagnostics @a', 'select 2 from t', 'set @a')
  expect(stage.calls).toEqual([
    'db1: set @b',
    'db2: select 1',
    'db1 reads out @b',
    'db2: get diagnostics @a',
    'db2: get diagnostics @a',
    'db2 sets @b',
    'db2: select 2 from t',
    'db2 reads out @a',
    'db1 sets @a',
    'db1: set @a',
  ])
})

test('which condition is asked for may stand in one, and then it is given first', async () => {
  const stage = new Stage()
  await tell(stage, 'set @b', 'select 1', 'get diagnostics condition @b @a')
  expect(stage.calls.slice(2)).toEqual(['db1 reads out @b', 'db2 sets @b', 'db2: get diagnostics condition @b @a'])
})

test('those that cannot be read out keep their connection, and pin the session to it', async () => {
  const stage = new Stage({ connectionsMax: 1 })
  const ann = await tell(stage, 'set @a')
  stage.connectionTo('db1').tells = false
  const ben = await tell(stage, 'insert 1')
  for (const sql of ['insert 2', 'select @a from t']) ann.client.ask(sql)
  await settle()
  expect(stage.calls.slice(2)).toEqual(['db1: insert 2', 'db1: select @a from t'])
  expect(ann.session.snapshot.pins.map(({ reason }) => reason)).toEqual(['user-variable'])
  // Its connection is free, and clean, when it goes.
  ann.client.quit()
  await settle()
  expect(stage.calls.slice(4)).toEqual(['reset', 'db1: insert 1'])
  ben.client.quit()
})

test('a session that comes back while they are being read out gets its connection back', async () => {
  const stage = new Stage({ connectionsMax: 1 })
  const ann = await tell(stage, 'set @a')
  stage.connectionTo('db1').tells = false
  const ben = stage.join()
  await settle()
  ben.client.ask('insert 1')
  ann.client.ask('insert 2')
  await settle()
  expect(stage.calls).toEqual(['db1: set @a', 'db1 reads out @a', 'db1: insert 2'])
  ben.client.quit()
})

test('those that cannot be moved to a reader keep the session where they are', async () => {
  const stage = new Stage()
  const { client, session } = await tell(stage, 'set @a')
  stage.connectionTo('db1').tells = false
  for (const sql of ['select 1 from t', 'select 2']) client.ask(sql)
  await settle()
  expect(stage.calls).toEqual(['db1: set @a', 'db1 reads out @a', 'db1: select 1 from t', 'db1: select 2'])
  expect(session.snapshot.pins).toMatchObject([{ reason: 'user-variable' }])
  client.ask('', 'reset')
  client.ask('select 3')
  await settle()
  expect(session.snapshot.pins).toEqual([])
  expect(stage.calls.slice(-2)).toEqual(['reset', 'db2: select 3'])
})

test('whoever may have called for hidden ones leaves a connection that is wiped', async () => {
  const stage = new Stage({ connectionsMax: 1 })
  await tell(stage, 'call p()')
  await tell(stage, 'insert 1')
  expect(stage.calls).toEqual(['db1: call p()', 'db1 reads out counters', 'reset', 'db1: insert 1'])
})

test.each([
  ['set @many', 'more of them than are remembered'],
  ['set @é', 'one with a name that reads differently elsewhere'],
])('%s pins: there are %s', async (sql) => {
  const { session } = await tell(new Stage(), sql)
  expect(session.snapshot.pins).toMatchObject([{ reason: 'user-variable' }])
})

test('those that went with a connection are missed once, and in words', async () => {
  const stage = new Stage()
  const { client } = await tell(stage, 'set @a')
  const connection = stage.connectionTo('db1')
  connection.broken = true
  connection.onLost()
  for (const sql of ['select 1', 'select @a from t', 'select @a from t']) client.ask(sql)
  await settle()
  expect(client.answers).toEqual(['welcome', 'STATE_LOST'])
  expect(stage.calls.slice(2)).toEqual(['db2: select 1', 'db2: select @a from t'])
})

test('they are read out of a connection that has rested for a while, and outlive it', async () => {
  const stage = new Stage()
  const { client, session } = await tell(stage, 'set @a')
  await vi.advanceTimersByTimeAsync(50)
  client.ask('set @b')
  await vi.advanceTimersByTimeAsync(90)
  expect(stage.calls).toEqual(['db1: set @a', 'db1: set @b'])
  await vi.advanceTimersByTimeAsync(100)
  expect(stage.calls.slice(2)).toEqual(['db1 reads out @a, @b'])
  const connection = stage.connectionTo('db1')
  connection.broken = true
  connection.onLost()
  client.ask('insert 1')
  await settle()
  expect(stage.calls.slice(3)).toEqual(['close', 'db1 sets @a, @b', 'db1: insert 1'])
  expect(client.answers).not.toContain('STATE_LOST')
  expect(session.snapshot.pins).toEqual([])
})

test("once they are read out nobody asks again, and the connection is its session's as before", async () => {
  const stage = new Stage()
  const { client } = await tell(stage, 'set @a')
  await vi.advanceTimersByTimeAsync(1_000)
  client.ask('insert 1')
  await vi.advanceTimersByTimeAsync(1_000)
  expect(stage.calls).toEqual(['db1: set @a', 'db1 reads out @a', 'db1: insert 1'])
})

test('those that cannot be read out while the connection rests stay there, and pin nothing', async () => {
  const stage = new Stage()
  const { client, session } = await tell(stage, 'set @a')
  stage.connectionTo('db1').tells = false
  await vi.advanceTimersByTimeAsync(1_000)
  client.ask('insert 1')
  await settle()
  expect(stage.calls).toEqual(['db1: set @a', 'db1 reads out @a', 'db1: insert 1'])
  expect(session.snapshot.pins).toEqual([])
})

test('a session that comes while they are read out waits for that, and goes on where it was', async () => {
  const stage = new Stage()
  const { client } = await tell(stage, 'set @a')
  const connection = stage.connectionTo('db1')
  const readOut = connection.readOut.bind(connection)
  let go: () => void = () => {}
  connection.readOut = async (wish) => {
    await new Promise<void>((resolve) => (go = resolve))
    return readOut(wish)
  }
  await vi.advanceTimersByTimeAsync(200)
  client.ask('insert 1')
  await settle()
  expect(stage.calls).toEqual(['db1: set @a'])
  go()
  await settle()
  expect(stage.calls.slice(1)).toEqual(['db1 reads out @a', 'db1: insert 1'])
})

test('those that went with a transaction are missed after it, and never taken for NULL', async () => {
  const stage = new Stage()
  const { client } = await tell(stage, 'set @a')
  stage.connectionTo('db1').replies.push({ transaction: 'open' }, new BackendLost('sent', true, 'gone'))
  for (const sql of ['begin', 'insert 1']) client.ask(sql)
  await settle()
  stage.change('db1', { health: 'up' })
  for (const sql of ['begin', 'begin']) client.ask(sql)
  await settle()
  expect(client.answers).toEqual(['welcome', 'TRANSACTION_LOST', 'STATE_LOST'])
  expect(stage.calls.slice(1)).toEqual(['db1: begin', 'db1: insert 1', 'close', 'db1: begin'])
})

test('those that were read out outlive every connection', async () => {
  const stage = new Stage()
  const { client } = await tell(stage, 'set @a', 'select 1 from t')
  const connection = stage.connectionTo('db1')
  connection.broken = true
  connection.onLost()
  client.ask('insert 1')
  await settle()
  expect(stage.calls.slice(-2)).toEqual(['db1 sets @a', 'db1: insert 1'])
})

test('a statement that was not sent is sent again with them, if they are known', async () => {
  const stage = new Stage()
  const { client } = await tell(stage, 'set @a', 'select 1 from t')
  stage.connectionTo('db1').replies.push(new BackendLost('unsent', true, 'gone'))
  client.ask('insert 1')
  await settle()
  stage.change('db1', { health: 'up' })
  await settle()
  expect(stage.calls.slice(-2)).toEqual(['db1 sets @a', 'db1: insert 1'])
})

test('a reset forgets them, and wipes every connection that has them', async () => {
  const stage = new Stage()
  const { client } = await tell(stage, 'set @a', 'select 1 from t')
  client.ask('', 'reset')
  for (const sql of ['select @a from t', 'insert 1']) client.ask(sql)
  await settle()
  expect(stage.calls.slice(-4)).toEqual(['reset', 'reset', 'db2: select @a from t', 'db1: insert 1'])
})
