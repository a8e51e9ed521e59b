// What every statement passes, V8 must find fast. An object with too many private fields it keeps as a hash table, in one
// process out of two and without a word: then a statement takes a sixth more processor time.

import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { MysqlBackend } from '../../src/protocol/mysql/backend.ts'
import { MysqlClient } from '../../src/protocol/mysql/client.ts'
import { Exchange } from '../../src/protocol/mysql/exchange.ts'
import { ReplyTracker } from '../../src/protocol/mysql/reply-tracker.ts'
import { ClientStatement } from '../../src/protocol/mysql/request.ts'
import { Diagnostics } from '../../src/routing/diagnostics.ts'
import { SessionState } from '../../src/routing/session-state.ts'
import { Dispatch } from '../../src/session/dispatch.ts'
import { Leases } from '../../src/session/leases.ts'
import { PlainRead } from '../../src/session/plain-read.ts'
import { Session } from '../../src/session/session.ts'
import { hasFastProperties } from '../support/fast-properties.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

test('an object that V8 keeps as a hash table is told from others', () => {
  const fields = Object.fromEntries(Array.from({ length: 2_000 }, (_, at) => [`field${at}`, at]))
  delete fields.field5
  expect([hasFastProperties({ a: 1 }), hasFastProperties(fields)]).toEqual([true, false])
})

describeEngines(
  (engine) => {
    let sluice: RunningSluice

    beforeAll(async () => {
      sluice = await startSluice({ seeds: clusterOf(engine).seeds })
    })
    afterAll(() => sluice.stop())

    test('the objects that every statement passes have their fields in place', async () => {
      // Whoever is called is seen by a method that statements call.
      const calls = [
        vi.spyOn(MysqlClient.prototype, 'send'),
        vi.spyOn(Session.prototype, 'take'),
        vi.spyOn(Dispatch.prototype, 'sendPlain'),
        vi.spyOn(Leases.prototype, 'takeNow'),
        vi.spyOn(PlainRead.prototype, 'answered'),
        vi.spyOn(MysqlBackend.prototype, 'exchange'),
        vi.spyOn(Exchange.prototype, 'feed'),
        vi.spyOn(ReplyTracker.prototype, 'feed'),
        vi.spyOn(SessionState.prototype, 'staysFor'),
        vi.spyOn(Diagnostics.prototype, 'observe'),
        vi.spyOn(ClientStatement.prototype, 'rephrase'),
      ]
      const client = await createConnection({ host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw' })
      try {
        await client.query('SELECT 1 FROM mysql.user LIMIT 1').catch(() => {})
        await client.query('SELECT 1 FROM information_schema.tables LIMIT 1')
        await client.execute('SELECT ? FROM information_schema.tables LIMIT 1', [1])
        await client.query('BEGIN')
        await client.query('ROLLBACK')
      } finally {
        await client.end()
      }
      const seen = calls.map(({ mock }) => mock.contexts as object[])
      vi.restoreAllMocks()
      for (const objects of seen) {
        expect(objects).not.toHaveLength(0)
        for (const object of objects)
          expect([object.constructor.name, hasFastProperties(object)]).toEqual([object.constructor.name, true])
      }
    })
  },
  ['mysql'],
)
