// What a backend connection believes of the server's diagnostics, held against the server.

import { afterEach, expect, test } from 'vitest'
import { identityOf } from '../../src/protocol/mysql/identity.ts'
import { createMysqlProtocol } from '../../src/protocol/mysql/index.ts'
import { CAPABILITY } from '../../src/protocol/mysql/messages.ts'
import type { Account, BackendConnection } from '../../src/protocol/protocol.ts'
import { withChange } from '../../src/protocol/settings.ts'
import { Turns } from '../../src/protocol/turns.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { PREFERRED_TLS } from '../support/watch.ts'

const account: Account = {
  user: 'app',
  password: 'app_pw',
  passwordHash: null,
  backendUser: 'app',
  backendPassword: 'app_pw',
  requireTls: false,
  route: null,
}
const NOTHING_ASKED = { conditions: false, counters: true, variables: null }

describeEngines((engine) => {
  let connection: BackendConnection | null = null
  afterEach(() => connection?.close('proxy retired'))

  const ways: readonly (readonly [string, (connection: BackendConnection) => Promise<unknown>])[] = [
    ['a question without a table', (at) => at.query('SELECT 1')],
    ['a question with one', (at) => at.query('SELECT 1 FROM (SELECT 1) AS t')],
    ['something that is set', (at) => at.query('SET @x = 1')],
    ['what is to clear them', (at) => at.clear()],
    ['a read-out that does not ask for them', (at) => at.readOut(NOTHING_ASKED)],
    ['settings that the server refuses, at least at first', setsWhatOnlyTheMightyMay],
  ]

  test.each(ways)('conditions that may still be there are expected after %s', async (_what, does) => {
    connection = await connect()
    await connection.query('SELECT * FROM nosuch.nosuch')
    expect(connection.stained).toBe(true)
    await does(connection)
    const isExpected = connection.stained
    const [[count]] = (await connection.query('SHOW COUNT(*) WARNINGS')) as [[string]]
    // To expect some that are gone costs a question; not to expect some that are there shows them to somebody else.
    expect({ count, isExpected }).not.toEqual({ count: '1', isExpected: false })
  })

  /** MariaDB lets everybody set it to its default, and nobody without a privilege to the value that this is. */
  async function setsWhatOnlyTheMightyMay(at: BackendConnection): Promise<void> {
    await at.clear()
    const [[format]] = (await at.query('SELECT @@global.binlog_format')) as [[string]]
    await at.align(withChange(at.settings, { schema: undefined, variables: new Map([['binlog_format', format]]) }))
  }

  function connect(): Promise<BackendConnection> {
    const { host, port, address } = clusterOf(engine).writer
    const capabilities = CAPABILITY.DEPRECATE_EOF | CAPABILITY.MULTI_RESULTS | CAPABILITY.PS_MULTI_RESULTS
    return createMysqlProtocol(() => performance.now()).connect({
      backend: {
        id: address,
        host,
        port,
        role: 'writer',
        health: 'up',
        lagMs: 0,
        weight: 1,
        version: null,
        sinceMs: 0,
        why: '',
      },
      account,
      identity: identityOf(account, capabilities, 0),
      tls: PREFERRED_TLS,
      connectMsMax: 5_000,
      preparedMax: 10,
      readersWait: false,
      ownRoundTrips: { value: 0 },
      diagnosticsBytesMax: 1024,
      killing: new Turns(1),
    })
  }
})
