// Stories of sessions: what reaches which backend, and what the client is told.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
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

describe('a session', () => {
  test('reads from the readers and writes to the writer', async () => {
    const stage = new Stage()
    await tell(stage, 'select 1', 'insert 1', 'select 2')
    expect(stage.calls).toEqual(['db2: select 1', 'db1: insert 1', 'db2: select 2'])
  })

  test('keeps a transaction on one connection, and is free afterwards', async () => {
    const stage = new Stage()
    const { client, session } = await tell(stage, 'insert 0')
    stage.connectionTo('db1').replies.push({ transaction: 'open' }, { transaction: 'open' }, { transaction: 'none' })
    for (const sql of ['begin', 'select 1', 'commit', 'select 2']) client.ask(sql)
    await settle()
    expect(stage.calls.slice(1)).toEqual(['db1: begin', 'db1: select 1', 'db1: commit', 'db2: select 2'])
    expect(session.snapshot.pins).toEqual([])
  })

  test('stays where its temporary table is until that is dropped', async () => {
    const stage = new Stage()
    const { session, client } = await tell(stage, 'create temporary table tmp', 'select 1')
    expect(session.snapshot.pins.map(({ reason }) => reason)).toEqual(['temporary-table'])
    client.ask('drop temporary table tmp')
    client.ask('select 2')
    await settle()
    expect(stage.calls).toEqual([
      'db1: create temporary table tmp',
      'db1: select 1',
      'db1: drop temporary table tmp',
      'db2: select 2',
    ])
    // Nobody else gets what it left there.
    client.quit()
    await settle()
    await tell(stage, 'insert 1')
    expect(stage.calls.slice(-2)).toEqual(['reset', 'db1: insert 1'])
  })

  test('gets its diagnostics from where its last statement ran', async () => {
    const stage = new Stage()
    const { client, session } = await tell(stage, 'select 0')
    stage.connectionTo('db2').replies.push({ warnings: 2 })
    for (const sql of ['select 1', 'show warnings', 'show warnings', 'insert 1']) client.ask(sql)
    await settle()
    expect(stage.calls.slice(1)).toEqual(['db2: select 1', 'db2: show warnings', 'db2: show warnings', 'db1: insert 1'])
    expect(session.snapshot.pins).toEqual([])
  })

  test('finds its diagnostics again when its connection has gone to somebody else', async () => {
    const stage = new Stage({ connectionsMax: 1 })
    const ann = await tell(stage, 'insert 0')
    const connection = stage.connectionTo('db1')
    connection.replies.push({ warnings: 2, affectedRows: 3 })
    connection.remains = { conditions: { count: 2, errors: 1, list: Buffer.alloc(0) }, counters: null, variables: null }
    ann.client.ask('insert 1')
    await settle()
    expect(ann.session.snapshot.pins).toEqual([])
    await tell(stage, 'insert 2')
    for (const sql of ['show warnings', 'show errors', 'select row_count()']) ann.client.ask(sql)
    await settle()
    expect(ann.client.answers.slice(1)).toEqual(['2 conditions', '1 conditions'])
    expect(stage.calls.slice(1)).toEqual([
      'db1: insert 1',
      'db1 reads out conditions',
      'db1: insert 2',
      'db1: select IF(1,-1,row_count()) AS `row_count()`',
    ])
  })

  test('never sees the diagnostics that another session left', async () => {
    const stage = new Stage({ connectionsMax: 1 })
    await tell(stage, 'insert 1')
    await tell(stage, 'show warnings')
    expect(stage.calls).toEqual(['db1: insert 1', 'db1 clears its diagnostics', 'db1: show warnings'])
  })

  test('gets its own insert id on whatever connection', async () => {
    const stage = new Stage({ connectionsMax: 1 })
    const ann = await tell(stage, 'set a')
    const connection = stage.connectionTo('db1')
    connection.replies.push({ insertId: 7n }, { insertId: 8n })
    connection.remains = { conditions: null, counters: { foundRows: 0, insertId: 7n }, variables: null }
    ann.client.ask('insert 1')
    await settle()
    await tell(stage, 'insert 2')
    connection.remains = { conditions: null, counters: { foundRows: 0, insertId: 8n }, variables: null }
    ann.client.ask('select last_insert_id()')
    ann.client.ask('select last_insert_id()')
    await settle()
    expect(stage.calls).toEqual([
      'db1: set a',
      'db1: insert 1',
      'db1 reads out counters',
      'db1: insert 2',
      'db1 reads out counters',
      'db1 itself: SET last_insert_id = 7',
      'db1: select last_insert_id()',
      'db1: select last_insert_id()',
    ])
  })

  test('forgets what is still being read out for it when it starts over', async () => {
    const stage = new Stage({ connectionsMax: 1 })
    const ann = await tell(stage, 'set a')
    const connection = stage.connectionTo('db1')
    connection.replies.push({ insertId: 7n })
    ann.client.ask('insert 1')
    await settle()
    let read = () => {}
    connection.readOut = () =>
      new Promise((resolve) => {
        read = () => resolve({ conditions: null, counters: { foundRows: 0, insertId: 7n }, variables: null })
      })
    const ben = tell(stage, 'insert 2')
    await settle()
    ann.client.ask('', 'reset')
    await settle()
    read()
    await ben
    ann.client.ask('select last_insert_id()')
    await settle()
    expect(stage.calls).toContain('db1 itself: SET last_insert_id = 0')
  })

  test('leaves nothing behind when it ends in a transaction', async () => {
    const stage = new Stage()
    const { client, over } = await tell(stage, 'insert 0')
    stage.connectionTo('db1').replies.push({ transaction: 'open' })
    client.ask('begin')
    await settle()
    client.quit()
    await settle()
    await over
    expect(stage.calls.slice(1)).toEqual(['db1: begin', 'reset'])
  })

  test('that resets starts over, after the server has', async () => {
    const stage = new Stage()
    const { client, session } = await tell(stage, 'create temporary table tmp')
    client.ask('', 'reset')
    await settle()
    expect(stage.calls).toEqual(['db1: create temporary table tmp', 'reset'])
    expect(client.answers).toEqual(['welcome', 'ok'])
    expect(session.snapshot.pins).toEqual([])
  })
})

describe('when a connection is lost', () => {
  const lost = (progress: BackendLost['progress'], resumable = true) => new BackendLost(progress, resumable, 'cut')

  test('a read runs again elsewhere', async () => {
    const stage = new Stage({ readers: 2 })
    const { client } = await tell(stage, 'select 0', 'select 0')
    for (const connection of stage.connections) connection.replies.push(lost('sent'))
    client.ask('select 1')
    await settle()
    expect(stage.calls.filter((call) => call.includes('select 1'))).toHaveLength(3)
    expect(stage.calls.at(-1)).toBe('db1: select 1')
    expect(client.answers).toEqual(['welcome'])
  })

  test.each([
    ['a write that was sent is never repeated', 'insert 1', lost('sent'), 1, 'OUTCOME_UNKNOWN'],
    ['a write that was not sent runs on the next connection', 'insert 1', lost('unsent'), 2, null],
    ['an answer cut between rows is ended with an error', 'insert 1', lost('replying'), 1, 'REPLY_CUT'],
    ['an answer cut within a row ends the session', 'insert 1', lost('replying', false), 1, 'REPLY_BROKEN'],
  ])('%s', async (_promise, sql, loss, times, answer) => {
    const stage = new Stage()
    const { client } = await tell(stage, 'insert 0')
    stage.connectionTo('db1').replies.push(loss)
    client.ask(sql)
    await settle()
    stage.change('db1', { health: 'up' })
    await settle()
    expect(stage.calls.filter((call) => call === `db1: ${sql}`)).toHaveLength(times)
    expect(client.answers[1] ?? null).toBe(answer)
    expect(stage.suspected).toEqual(['db1'])
  })

  test.each([
    ['a statement', 'select 1', 'TRANSACTION_LOST'],
    ['a COMMIT', 'commit', 'COMMIT_UNKNOWN'],
    ['what commits by the way', 'begin', 'COMMIT_UNKNOWN'],
  ])('%s in a transaction is told so, and the session goes on', async (_what, sql, code) => {
    const stage = new Stage()
    const { client, session } = await tell(stage, 'insert 0')
    stage.connectionTo('db1').replies.push({ transaction: 'open' }, lost('sent'))
    client.ask('begin')
    client.ask(sql)
    await settle()
    expect(client.answers).toEqual(['welcome', code])
    stage.change('db1', { health: 'up' })
    client.ask('insert 2')
    await settle()
    expect(stage.calls.at(-1)).toBe('db1: insert 2')
    expect(session.snapshot.transaction).toBe('none')
  })

  test('what it held is named once', async () => {
    const stage = new Stage()
    const { client } = await tell(stage, 'create temporary table tmp')
    stage.connectionTo('db1').replies.push(lost('unsent'))
    client.ask('select 1')
    await settle()
    expect(client.answers).toEqual(['welcome', 'STATE_LOST'])
    client.ask('select 2')
    await settle()
    expect(client.answers).toEqual(['welcome', 'STATE_LOST'])
    expect(stage.calls.at(-1)).toBe('db2: select 2')
  })
})

describe('a writer that is demoted', () => {
  const demote = (stage: Stage) => {
    stage.change('db1', { role: 'reader', why: 'it is read-only' })
    stage.change('db2', { role: 'writer' })
  }

  test.each(['insert 1', 'commit'])('and refuses %s has lost the transaction, which is told as such', async (sql) => {
    const stage = new Stage()
    const { client, session } = await tell(stage, 'insert 0')
    stage.connectionTo('db1').replies.push({ transaction: 'open' }, { outcome: 'refused', transaction: 'open' })
    client.ask('begin')
    client.ask(sql)
    await settle()
    expect(client.answers).toEqual(['welcome', 'TRANSACTION_LOST'])
    expect(session.snapshot.transaction).toBe('none')
    expect(stage.connectionTo('db1').broken).toBe(true)
    demote(stage)
    client.ask('insert 2')
    await settle()
    expect(stage.calls.at(-1)).toBe('db2: insert 2')
    expect(client.answers).toHaveLength(2)
  })

  test('and refuses a statement of its own is waited for, however often it comes and goes', async () => {
    const stage = new Stage({ holdMsMax: 60_000 })
    const { client } = await tell(stage, 'insert 0')
    for (let turn = 0; turn < 30; turn++) {
      stage.connectionTo('db1').replies.push({ outcome: 'refused' })
      if (turn === 0) client.ask('insert 1')
      else stage.change('db1', { health: 'up' })
      await settle()
    }
    expect(client.answers).toEqual(['welcome'])
    demote(stage)
    await settle()
    expect(stage.calls.at(-1)).toBe('db2: insert 1')
    expect(client.answers).toEqual(['welcome'])
  })

  test('that goes on refusing is given up when the time for waiting is over', async () => {
    const stage = new Stage({ holdMsMax: 1_000 })
    const { client } = await tell(stage, 'insert 0')
    client.ask('insert 1')
    for (let turn = 0; turn < 12; turn++) {
      stage.connectionTo('db1').replies.push({ outcome: 'refused' })
      if (turn > 0) stage.change('db1', { health: 'up' })
      await vi.advanceTimersByTimeAsync(100)
    }
    expect(client.answers).toEqual(['welcome', 'NO_WRITER'])
  })

  test.each([
    ['a transaction', 'begin', 'TRANSACTION_LOST'],
    ['a temporary table', 'create temporary table tmp', 'STATE_LOST'],
  ])('has lost %s at once, not only when it is asked', async (_what, sql, code) => {
    const stage = new Stage()
    const { client } = await tell(stage, 'insert 0')
    if (sql === 'begin') stage.connectionTo('db1').replies.push({ transaction: 'open' })
    client.ask(sql)
    await settle()
    demote(stage)
    expect(stage.connectionTo('db1').broken).toBe(true)
    client.ask('insert 1')
    client.ask('insert 2')
    await settle()
    expect(client.answers).toEqual(['welcome', code])
    expect(stage.calls.filter((call) => call.includes('insert 1'))).toEqual([])
    expect(stage.calls.at(-1)).toBe('db2: insert 2')
  })

  test('gets nothing of what waits for a connection to it', async () => {
    const stage = new Stage({ connectionsMax: 1 })
    const ann = await tell(stage, 'insert 0')
    stage.connectionTo('db1').replies.push({ transaction: 'open' })
    ann.client.ask('begin')
    await settle()
    const bob = await tell(stage, 'begin')
    expect(bob.session.snapshot.state).toBe('waiting')
    demote(stage)
    await settle()
    expect(stage.calls.filter((call) => call.endsWith('begin'))).toEqual(['db1: begin', 'db2: begin'])
    expect(bob.client.answers).toEqual(['welcome'])
  })

  test('because another has taken its place loses them too, though nobody knows what it is now', async () => {
    const stage = new Stage()
    const { client } = await tell(stage, 'create temporary table tmp')
    stage.change('db2', { role: 'writer' })
    stage.change('db1', { role: 'unknown', why: 'it takes writes, but db2 is the writer' })
    expect(stage.connectionTo('db1').broken).toBe(true)
    client.ask('insert 1')
    await settle()
    expect(client.answers).toEqual(['welcome', 'STATE_LOST'])
  })
})

describe('a read-only answer', () => {
  test('of a reader sends the statement to the writer, and is remembered', async () => {
    const stage = new Stage()
    const { client } = await tell(stage, 'select 0')
    stage.connectionTo('db2').replies.push({ outcome: 'refused' })
    client.ask('select f()')
    await settle()
    expect(stage.calls.slice(1)).toEqual(['db2: select f()', 'learned select f()', 'db1: select f()'])
    expect(client.answers).toEqual(['welcome'])
  })

  test('of the writer waits for the next one', async () => {
    const stage = new Stage()
    const { client } = await tell(stage, 'insert 0')
    stage.connectionTo('db1').replies.push({ outcome: 'refused' })
    client.ask('insert 1')
    await settle()
    expect(stage.suspected).toEqual(['db1'])
    stage.change('db1', { role: 'reader', health: 'up' })
    stage.change('db2', { role: 'writer' })
    await settle()
    expect(stage.calls.at(-1)).toBe('db2: insert 1')
    expect(client.answers).toEqual(['welcome'])
  })
})

describe('without a writer', () => {
  test('a write waits, and runs when there is one', async () => {
    const stage = new Stage()
    stage.change('db1', { health: 'down' })
    const { client } = await tell(stage, 'insert 1')
    expect(stage.calls).toEqual([])
    stage.change('db1', { health: 'up' })
    await settle()
    expect(stage.calls).toEqual(['db1: insert 1'])
    expect(client.answers).toEqual(['welcome'])
  })

  test('a write waits so long and no longer', async () => {
    const stage = new Stage()
    stage.change('db1', { health: 'down' })
    const { client } = await tell(stage, 'insert 1')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(client.answers).toEqual(['welcome', 'NO_WRITER'])
    expect(stage.hold.held).toBe(0)
  })

  test('so many wait and no more', async () => {
    const stage = new Stage()
    stage.change('db1', { health: 'down' })
    const clients = [await tell(stage, 'insert 1'), await tell(stage, 'insert 2'), await tell(stage, 'insert 3')]
    expect(clients.map(({ client }) => client.answers.length)).toEqual([1, 1, 2])
  })

  test('reads go on', async () => {
    const stage = new Stage()
    stage.change('db1', { health: 'down' })
    await tell(stage, 'select 1', 'set a = 1')
    expect(stage.calls).toEqual(['db2: select 1', 'db2: set a = 1'])
  })
})

describe('a login', () => {
  test('with a schema that the writer refuses is refused in its words', async () => {
    const stage = new Stage()
    await tell(stage, 'insert 0')
    stage.connectionTo('db1').refusal = { what: 'schema', message: "Unknown database 'x'", frame: Buffer.alloc(0) }
    const { client, over } = stage.join('app', 'x')
    await settle()
    await over
    expect(client.answers).toEqual(["refused: Unknown database 'x'", 'end'])
  })

  test('is let in while the writer cannot be reached', async () => {
    const stage = new Stage()
    stage.refusing.add('db1')
    const { client } = stage.join('app', 'shop')
    await settle()
    expect(client.answers).toEqual(['welcome'])
    expect(stage.suspected).toEqual(['db1'])
  })
})

describe('KILL of a number of ours', () => {
  test('ends the session it names, wherever that is', async () => {
    const stage = new Stage()
    const victim = await tell(stage, 'select 1')
    const killer = await tell(stage, `kill ${victim.session.id}`)
    expect(victim.client.answers).toEqual(['welcome', 'end'])
    expect(killer.client.answers).toEqual(['welcome', 'ok'])
    expect(stage.calls).toEqual(['db2: select 1'])
  })

  test('stops a statement where it runs, and its connection is lent again only after that', async () => {
    const stage = new Stage()
    const victim = await tell(stage, 'select 1')
    stage.connectionTo('db2').pending = new Promise(() => {})
    victim.client.ask('select 2')
    await settle()
    const killer = await tell(stage, `kill query ${victim.session.id}`)
    expect(stage.calls).toEqual(['db2: select 1', 'db2: select 2', 'cancel'])
    expect(killer.client.answers).toEqual(['welcome', 'ok'])
  })

  test('stops a statement that still waits for a connection', async () => {
    const stage = new Stage({ connectionsMax: 1 })
    const holder = await tell(stage, 'insert 0')
    stage.connectionTo('db1').replies.push({ transaction: 'open' })
    holder.client.ask('begin')
    await settle()
    const victim = await tell(stage, 'insert 1')
    await tell(stage, `kill query ${victim.session.id}`)
    expect(victim.client.answers).toEqual(['welcome', 'QUERY_KILLED'])
    holder.client.ask('commit')
    await settle()
    victim.client.ask('insert 2')
    await settle()
    expect(stage.calls.filter((call) => call.includes('insert'))).toEqual(['db1: insert 0', 'db1: insert 2'])
  })

  test('of the session itself is answered as servers answer it', async () => {
    const stage = new Stage()
    const { client, session } = await tell(stage, 'select 1')
    client.ask(`kill query ${session.id}`)
    await settle()
    client.ask(`kill ${session.id}`)
    await settle()
    expect(client.answers).toEqual(['welcome', 'killed query', 'killed connection', 'end'])
  })

  test('of nobody is left to the writer, in whose words it is refused', async () => {
    const stage = new Stage()
    await tell(stage, `kill ${0x4000_ffff}`)
    expect(stage.calls).toEqual([`db1: kill ${0x4000_ffff}`])
  })

  test('by an expression: the writer says what it comes to', async () => {
    const stage = new Stage()
    const victim = await tell(stage, 'insert 1')
    const refusal = { what: 'kill', message: 'Unknown thread id', frame: Buffer.alloc(0) } as const
    const unknownSession = { id: victim.session.id, refusal }
    stage.connectionTo('db1').replies.push({ outcome: 'unknown-session', unknownSession })
    const killer = await tell(stage, 'kill @victim')
    expect(victim.client.answers).toEqual(['welcome', 'end'])
    expect(killer.client.answers).toEqual(['welcome', 'ok'])
    stage.connectionTo('db1').replies.push({
      outcome: 'unknown-session',
      unknownSession: { id: 0x4000_ffff, refusal },
    })
    killer.client.ask('kill @nobody')
    await settle()
    expect(killer.client.answers).toEqual(['welcome', 'ok', 'refused: Unknown thread id'])
  })

  test.each([
    ['may not', 'GRANT SELECT, PROCESS ON *.* TO `eve`@`%`', ['welcome', 'KILL_DENIED']],
    ['may, with the right to', 'GRANT SELECT, CONNECTION_ADMIN ON *.* TO `eve`@`%`', ['welcome', 'ok']],
  ])("another user's session: one %s", async (_may, grant, answers) => {
    const stage = new Stage()
    const victim = await tell(stage, 'select 1')
    const killer = stage.join('eve')
    killer.client.ask('insert 0')
    await settle()
    stage.connectionTo('db1').grants = [grant]
    killer.client.ask(`kill ${victim.session.id}`)
    await settle()
    expect(killer.client.answers).toEqual(answers)
    expect(victim.client.gone).toBe(answers.includes('ok'))
  })

  test("of a number of the writer's reaches the session that uses that connection", async () => {
    const stage = new Stage()
    const victim = await tell(stage, 'insert 1')
    stage.connectionTo('db1').replies.push({ transaction: 'open' })
    victim.client.ask('begin')
    await settle()
    await tell(stage, `kill ${stage.connectionTo('db1').serverId}`)
    expect(victim.client.answers).toEqual(['welcome', 'end'])
  })
})

describe('a client that goes away in the middle of a statement', () => {
  test.each([
    ['leaves its connection to others when the statement ends in time', 'ended', ['finish in 250', 'reset']],
    ['has its statement killed when that runs on', 'running', ['finish in 250', 'kill', 'close']],
    ['has its connection closed when that is all there is to do', 'closing', ['finish in 250', 'close']],
  ] as const)('%s', async (_promise, finishes, calls) => {
    const stage = new Stage()
    const { client } = await tell(stage, 'insert 1')
    const connection = stage.connectionTo('db1')
    connection.pending = new Promise(() => {})
    connection.finishes = finishes
    client.ask('insert 2')
    await settle()
    client.gone = true
    client.onGone()
    await settle()
    expect(stage.calls).toEqual(['db1: insert 1', 'db1: insert 2', ...calls])
  })

  test('waits for nothing any more', async () => {
    const stage = new Stage({ connectionsMax: 1 })
    const holder = await tell(stage, 'insert 0')
    stage.connectionTo('db1').replies.push({ transaction: 'open' })
    holder.client.ask('begin')
    await settle()
    const waiter = await tell(stage, 'insert 1')
    waiter.client.onGone()
    await settle()
    await waiter.over
    expect(stage.pools.snapshot()).toMatchObject([{ waiting: 0 }])
  })
})

test('draining ends who is free now, and who is in a transaction after it', async () => {
  const stage = new Stage()
  const idle = await tell(stage, 'insert 0')
  stage.connectionTo('db1').replies.push({ transaction: 'open' })
  const busy = await tell(stage, 'begin')
  const drained = stage.sessions.drain(10_000)
  await settle()
  expect([idle.client.gone, busy.client.gone]).toEqual([true, false])
  busy.client.ask('commit')
  await settle()
  await drained
  expect(busy.client.gone).toBe(true)
})

test('warnings that were read out are told from memory, also while only the connection knows the last insert id', async () => {
  const stage = new Stage()
  const { client } = await tell(stage, 'begin')
  const [connection] = stage.connections
  const conditions = { count: 1, errors: 0, list: Buffer.alloc(0) }
  connection!.replies.push({ transaction: 'open' }, { transaction: 'open', warnings: 1, conditions, disturbed: true })
  for (const sql of ['call p()', 'set names', 'show warnings']) client.ask(sql)
  await settle()
  expect(client.answers.slice(1)).toEqual(['1 conditions'])
  expect(stage.calls.slice(-2)).toEqual(['db1: call p()', 'db1: set names'])
})

test('draining does not wait for a statement that may ask for warnings', async () => {
  const stage = new Stage()
  const { client } = await tell(stage, 'insert 0')
  stage.connectionTo('db1').replies.push({ warnings: 1 })
  client.ask('get diagnostics')
  await settle()
  expect(stage.sessions.list()).toMatchObject([{ pins: [{ reason: 'diagnostics' }] }])
  await stage.sessions.drain(10_000)
  expect(client.gone).toBe(true)
})

test('draining tells those who wait in their login to go', async () => {
  const stage = new Stage({ connectionsMax: 1 })
  const holder = await tell(stage, 'insert 0')
  stage.connectionTo('db1').replies.push({ transaction: 'open' })
  holder.client.ask('begin')
  await settle()
  const late = stage.join('app', 'shop')
  await settle()
  expect(stage.pools.snapshot()).toMatchObject([{ waiting: 1 }])
  const drained = stage.sessions.drain(10_000)
  await late.over
  expect(late.client.answers).toEqual(['SHUTTING_DOWN', 'end'])
  expect(stage.pools.snapshot()).toMatchObject([{ waiting: 0 }])
  holder.client.quit()
  await drained
})

test('a writer whose connections are all in use is not doubted for that', async () => {
  const stage = new Stage({ connectionsMax: 1 })
  const holder = await tell(stage, 'insert 0')
  stage.connectionTo('db1').replies.push({ transaction: 'open' })
  holder.client.ask('begin')
  await settle()
  const late = stage.join('app', 'shop')
  await vi.advanceTimersByTimeAsync(1_000)
  expect(late.client.answers).toEqual(['welcome'])
  expect(stage.suspected).toEqual([])
})

test('a reader that cannot be reached is passed over', async () => {
  const stage = new Stage()
  stage.refusing.add('db2')
  const { client } = await tell(stage, 'select 1')
  expect(stage.calls).toEqual(['db1: select 1'])
  expect(stage.suspected).toEqual(['db2'])
  expect(client.answers).toEqual(['welcome'])
})
