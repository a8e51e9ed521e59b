// Clients that share one connection to the server: what one leaves behind, in whatever way it leaves, must not reach
// the next one, and what it locked must be free.

import { type Connection, createConnection } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../../src/lab/index.ts'
import { COMMAND } from '../../src/protocol/mysql/messages.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { RawClient, told } from '../support/raw-client.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `fault_neighbours_${engine}`
  let sluice: RunningSluice
  const clients: Connection[] = []

  async function connect(): Promise<Connection> {
    const login = { host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw', database: schema }
    const client = await createConnection({ ...login, multipleStatements: true })
    client.on('error', () => {})
    clients.push(client)
    return client
  }

  const firstValue = async (client: Connection, sql: string): Promise<unknown> => {
    const [rows] = await client.query(sql)
    return Object.values((rows as object[])[0]!)[0]
  }

  beforeAll(async () => {
    await cluster.writer.ask(`CREATE DATABASE ${schema}`)
    await cluster.writer.ask(`CREATE TABLE ${schema}.t (id INT PRIMARY KEY, v INT)`)
    await cluster.writer.ask(`CREATE TABLE ${schema}.made (id INT AUTO_INCREMENT PRIMARY KEY)`)
    await cluster.settle()
    sluice = await startSluice({
      seeds: [cluster.writer.address],
      cluster: '    pool: { connectionsMax: 1, waitMsMax: 5000 }',
      more: 'limits: { drainMsMax: 100 }',
    })
  })
  afterAll(async () => {
    await sluice.stop()
    await cluster.writer.ask(`DROP DATABASE ${schema}`)
  })
  beforeEach(async () => {
    await cluster.writer.ask(`REPLACE INTO ${schema}.t VALUES (1, 0)`)
  })
  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy()
  })

  /** How a client goes away. */
  const departures: [string, (client: Connection) => unknown][] = [
    ['says goodbye', (client) => client.end()],
    ['vanishes', (client) => client.destroy()],
    [
      'changes its user to itself',
      (client) => client.changeUser({ user: 'app', password: 'app_pw', database: schema }),
    ],
    [
      'stays, and has tidied up',
      // The last of it leaves no warnings, or they would keep the connection for the next statement.
      (client) =>
        client.query(
          "ROLLBACK; DROP TEMPORARY TABLE IF EXISTS own; DO RELEASE_LOCK('mine'); SELECT 1 FROM (SELECT 1) AS d",
        ),
    ],
  ]
  /** MariaDB 10.11 has no other name for it. */
  const isolation = engine === 'mysql' ? 'transaction_isolation' : 'tx_isolation'

  describe.each(departures)('after a client that %s', (_how, depart) => {
    test.each<[string, string, string, unknown]>([
      [
        'session variables',
        "SET SESSION sql_mode = 'ANSI_QUOTES', SESSION sort_buffer_size = 65536",
        'SELECT @@sort_buffer_size = 65536',
        0,
      ],
      [
        'the isolation level',
        'SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED',
        `SELECT @@session.${isolation}`,
        'REPEATABLE-READ',
      ],
      ['the time zone', "SET time_zone = '+07:00'", 'SELECT @@time_zone', 'SYSTEM'],
      [
        'character sets',
        "SET NAMES latin1; SET character_set_results = 'binary'",
        'SELECT @@character_set_results',
        'utf8mb4',
      ],
      ['the schema', 'USE mysql', 'SELECT DATABASE()', schema],
      ['the last insert id', 'DO LAST_INSERT_ID(77)', 'SELECT LAST_INSERT_ID()', 0],
      ['an open transaction', 'BEGIN; UPDATE t SET v = 9', 'SELECT v FROM t', 0],
      ['named locks', "DO GET_LOCK('mine', 0)", "SELECT IS_FREE_LOCK('mine')", 1],
    ])('%s are not to be seen', async (_what, deed, question, expected) => {
      const first = await connect()
      await first.query(deed)
      await depart(first)
      const second = await connect()
      expect(await firstValue(second, question)).toEqual(expected)
    })

    test('temporary tables are not to be seen', async () => {
      const first = await connect()
      await first.query('CREATE TEMPORARY TABLE own (a INT); INSERT INTO own VALUES (1)')
      await depart(first)
      const second = await connect()
      await expect(second.query('SELECT * FROM own')).rejects.toMatchObject({ errno: 1146 })
    })

    test('warnings are not to be seen', async () => {
      const first = await connect()
      await first.query(`SELECT CAST('no number' AS SIGNED)`)
      await depart(first)
      const second = await connect()
      expect((await second.query('SHOW WARNINGS'))[0]).toEqual([])
    })

    test('prepared statements by name do not exist', async () => {
      const first = await connect()
      await first.query("PREPARE own FROM 'SELECT 1'")
      if (_how === 'stays, and has tidied up') await first.query('DEALLOCATE PREPARE own')
      await depart(first)
      const second = await connect()
      await expect(second.query('EXECUTE own')).rejects.toMatchObject({ errno: 1243 })
    })
  })

  // Who stays with these keeps the connection: a user variable pins, and so does what autocommit=0 opens.
  describe.each(departures.slice(0, -1))('after a client that %s', (_how, depart) => {
    test.each<[string, string, string, unknown]>([
      ['user variables', 'SET @secret = 42', 'SELECT @secret', null],
      ['autocommit', 'SET autocommit = 0; SELECT v FROM t FOR UPDATE', 'SELECT @@autocommit', 1],
    ])('%s are not to be seen', async (_what, deed, question, expected) => {
      const first = await connect()
      await first.query(deed)
      await depart(first)
      const second = await connect()
      expect(await firstValue(second, question)).toEqual(expected)
    })
  })

  test.each<[string, (client: Connection) => unknown]>([
    ['says goodbye', (client) => client.end()],
    ['vanishes', (client) => client.destroy()],
  ])(
    'row locks of a client that %s in its transaction are free at once, and nothing of it stays',
    async (_how, depart) => {
      const first = await connect()
      await first.query('BEGIN; UPDATE t SET v = 9 WHERE id = 1')
      await depart(first)
      const root = await cluster.writer.connect()
      try {
        await root.query('SET innodb_lock_wait_timeout = 2')
        await root.query(`UPDATE ${schema}.t SET v = v + 1 WHERE id = 1`)
        expect(await firstValue(root, `SELECT v FROM ${schema}.t WHERE id = 1`)).toBe(1)
      } finally {
        root.destroy()
      }
    },
  )

  test.each(['SET autocommit = 1', 'UNLOCK TABLES', 'CREATE TABLE'])(
    "what was said of the next transaction, and %s did not end, is said of nobody else's",
    async (sql) => {
      const first = await connect()
      await first.query('SET TRANSACTION READ ONLY')
      await first.query(sql).catch(() => {})
      await first.end()
      const second = await connect()
      await second.query('UPDATE t SET v = 5')
    },
  )

  test.each([
    'SELECT 1; SET TRANSACTION READ ONLY; SELECT * FROM nosuch',
    'SET TRANSACTION READ ONLY; SET autocommit = 1',
    'COMMIT; SET TRANSACTION READ ONLY; UNLOCK TABLES',
    'START TRANSACTION READ ONLY; SET autocommit = 0; SET autocommit = 1',
  ])("what is said of a transaction in a text of several statements is said of nobody else's: %s", async (sql) => {
    const first = await connect()
    await first.query(sql).catch(() => {})
    await first.end()
    const second = await connect()
    await second.query('UPDATE t SET v = 5')
  })

  test("a read-only transaction that SET autocommit has ended makes nobody else's read-only", async () => {
    const first = await connect()
    for (const sql of ['START TRANSACTION READ ONLY', 'SET autocommit = 0', 'SELECT v FROM t', 'SET autocommit = 1'])
      await first.query(sql)
    await first.end()
    const second = await connect()
    await second.query('BEGIN; UPDATE t SET v = 5; ROLLBACK')
  })

  test.runIf(engine === 'mariadb')(
    'an insert id that came with rows, and so untold, is found when another client has had the connection',
    async () => {
      const gone = await connect()
      await gone.query('INSERT INTO made VALUES (NULL)')
      await gone.end()
      const client = await connect()
      const [rows] = await client.query('INSERT INTO made VALUES (NULL) RETURNING id')
      const other = await connect()
      await other.query('SELECT v FROM t FOR UPDATE')
      expect(await firstValue(client, 'SELECT LAST_INSERT_ID()')).toBe((rows as { id: number }[])[0]!.id)
    },
  )

  test.runIf(engine === 'mariadb')('so it is after one that was told', async () => {
    const gone = await connect()
    await gone.query('INSERT INTO made VALUES (NULL)')
    await gone.end()
    const client = await connect()
    await client.query('INSERT INTO made VALUES (NULL)')
    const [rows] = await client.query('INSERT INTO made VALUES (NULL) RETURNING id')
    const other = await connect()
    await other.query('SELECT v FROM t FOR UPDATE')
    expect(await firstValue(client, 'SELECT LAST_INSERT_ID()')).toBe((rows as { id: number }[])[0]!.id)
  })

  /** Wipes out what is prepared on the connection, by what it leaves there. */
  const comesBetween = async () => {
    const other = await connect()
    await other.query('SET @left = 1; DO 1')
    await other.end()
  }

  test.each<[string, string[]]>([
    ['COMMIT RELEASE', ['BEGIN', 'UPDATE t SET v = 1', 'COMMIT RELEASE']],
    ['COMMIT, as the session has set it', ['SET completion_type = 2; BEGIN; UPDATE t SET v = 1', 'COMMIT']],
    ['one that was prepared', ["PREPARE s FROM 'COMMIT RELEASE'; UPDATE t SET v = 1", 'EXECUTE s']],
    ['one in the middle of a text', ['BEGIN; UPDATE t SET v = 1', 'COMMIT RELEASE; SELECT 5']],
  ])(
    'a session that the server ends with its transaction ends, and nobody gets its connection: %s',
    async (_, sqls) => {
      const [first, second] = [await connect(), await connect()]
      for (const sql of sqls.slice(0, -1)) await first.query(sql)
      const waiting = second.query('INSERT INTO made () VALUES (); UPDATE t SET v = v + 1')
      await first.query(sqls.at(-1)!).catch(() => {})
      await waiting
      expect(await firstValue(second, 'SELECT v FROM t WHERE id = 1')).toBe(2)
      await expect(first.query('SELECT 5')).rejects.toThrow(/closed|lost/i)
    },
  )

  test.runIf(engine === 'mariadb')('what was taken from a sequence is for nobody else to read', async () => {
    await cluster.writer.ask(`CREATE SEQUENCE ${schema}.numbers`)
    const [first, second] = [await connect(), await connect()]
    for (const sql of ['SELECT NEXTVAL(numbers)', 'SELECT NEXT VALUE FOR numbers', 'DO NEXTVAL(numbers)']) {
      await first.query(sql)
      expect(await firstValue(second, 'SELECT LASTVAL(numbers)')).toBe(null)
    }
    // Who asks keeps it from then on.
    expect(await firstValue(first, 'SELECT LASTVAL(numbers)')).toBe(null)
    const next = await firstValue(first, 'SELECT NEXTVAL(numbers)')
    expect(await firstValue(first, 'SELECT LASTVAL(numbers)')).toBe(next)
  })

  test("what a routine has set is the session's, also where the text goes on behind it", async () => {
    await cluster.writer.ask(
      `CREATE FUNCTION ${schema}.keeps_zone(z VARCHAR(10)) RETURNS INT DETERMINISTIC NO SQL BEGIN SET time_zone = z; RETURN 1; END`,
    )
    const [first, second] = [await connect(), await connect()]
    for (const [zone, sql] of [
      ['+03:00', "SELECT keeps_zone('+03:00'); DO 1"],
      ['+04:00', "SELECT keeps_zone('+04:00'); SELECT 1; DO 2"],
    ] as const) {
      await first.query(sql)
      expect(await firstValue(second, 'SELECT @@time_zone')).toBe('SYSTEM')
      expect(await firstValue(first, 'SELECT @@time_zone')).toBe(zone)
    }
  })

  test('what was prepared in one schema is executed there, also where it has to be prepared anew', async () => {
    await cluster.writer.ask(`CREATE DATABASE ${schema}_2`)
    await cluster.writer.ask(`CREATE TABLE ${schema}_2.t (id INT PRIMARY KEY, v INT)`)
    const client = await connect()
    const add = await client.prepare('UPDATE t SET v = v + ? WHERE id = 1')
    const read = await client.prepare('SELECT v, DATABASE() AS d FROM t WHERE id = 1 FOR UPDATE')
    await client.query(`USE ${schema}_2`)
    for (const v of [5, 10]) {
      await comesBetween()
      await add.execute([5])
      expect((await read.execute([]))[0]).toEqual([{ v, d: schema }])
    }
    expect(await firstValue(client, 'SELECT COUNT(*) FROM t')).toBe(0)
    await cluster.writer.ask(`DROP DATABASE ${schema}_2`)
  })

  test('what was prepared in one mode means there what it meant, also where it has to be prepared anew', async () => {
    const client = await connect()
    await client.query("SET sql_mode = 'ANSI_QUOTES'")
    const read = await client.prepare('SELECT "v" AS v FROM t WHERE id = 1 FOR UPDATE')
    await client.query("SET sql_mode = 'STRICT_TRANS_TABLES'")
    await comesBetween()
    expect((await read.execute([]))[0]).toEqual([{ v: 0 }])
    expect(await firstValue(client, 'SELECT "v"')).toBe('v')
  })

  test('what was prepared in a schema that is gone is executed in no other', async () => {
    await cluster.writer.ask(`CREATE DATABASE ${schema}_2`)
    await cluster.writer.ask(`CREATE TABLE ${schema}_2.t (id INT PRIMARY KEY, v INT)`)
    const client = await connect()
    await client.query(`USE ${schema}_2`)
    const add = await client.prepare('UPDATE t SET v = 7 WHERE id = 1')
    await client.query(`USE ${schema}`)
    await cluster.writer.ask(`DROP DATABASE ${schema}_2`)
    await comesBetween()
    await expect(add.execute([])).rejects.toMatchObject({ errno: 1049 })
    expect(await firstValue(client, 'SELECT v FROM t WHERE id = 1')).toBe(0)
  })

  test('what was set globally is what everybody begins with who comes later, and nobody who is there', async () => {
    const one = await startSluice({
      seeds: [cluster.writer.address],
      users: "  - { name: root, password: '' }",
      more: 'limits: { drainMsMax: 100 }',
    })
    const come = async (user: 'app' | 'root') => {
      const password = user === 'app' ? 'app_pw' : ''
      const client = await createConnection({ host: '127.0.0.1', port: one.port, user, password })
      client.on('error', () => {})
      clients.push(client)
      return client
    }
    const size = (client: Connection) => firstValue(client, 'SELECT @@sort_buffer_size')
    const before = await cluster.writer.ask('SELECT @@GLOBAL.sort_buffer_size')
    try {
      // Connections are there already, some of them used by nobody.
      const [root, gone, there] = [await come('root'), await come('app'), await come('app')]
      for (const client of [root, gone, there]) expect(await size(client)).toBe(before)
      await gone.end()
      await root.query('SET GLOBAL sort_buffer_size = 777777')
      expect(await Promise.all([root, there].map(size))).toEqual([before, before])
      const later = [await come('root'), await come('app'), await come('app')]
      expect(await Promise.all(later.map(size))).toEqual([777777, 777777, 777777])
    } finally {
      await cluster.writer.asRoot((root) => root.query(`SET GLOBAL sort_buffer_size = ${before}`))
      await one.stop()
    }
  })

  test('how large a statement may be is set for everybody who comes later', async () => {
    const setTo = (bytes: string) =>
      cluster.writer.asRoot((root) => root.query(`SET GLOBAL max_allowed_packet = ${bytes}`))
    const before = await cluster.writer.ask('SELECT @@GLOBAL.max_allowed_packet')
    await setTo('1048576')
    const one = await startSluice({
      seeds: [cluster.writer.address],
      users: "  - { name: root, password: '' }",
      more: 'limits: { drainMsMax: 100 }',
    })
    const come = async () => {
      const client = await createConnection({ host: '127.0.0.1', port: one.port, user: 'root', password: '' })
      client.on('error', () => {})
      clients.push(client)
      return client
    }
    const bound = (client: Connection) => firstValue(client, 'SELECT @@max_allowed_packet')
    try {
      const [there, gone] = [await come(), await come()]
      for (const client of [there, gone]) expect(await bound(client)).toBe(1048576)
      await gone.end()
      await there.query('SET GLOBAL max_allowed_packet = 4194304')
      expect(await bound(there)).toBe(1048576)
      // A connection refuses by what was set when it was opened, whatever its variable says since.
      for (const client of [await come(), await come()]) {
        expect(await bound(client)).toBe(4194304)
        expect(await firstValue(client, `SELECT LENGTH('${'x'.repeat(2097152)}')`)).toBe(2097152)
      }
    } finally {
      await setTo(String(before))
      await one.stop()
    }
  })

  /** Executions that say less than they must, behind their head (number, no cursor, once). */
  const HALF_EXECUTIONS: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['that nothing is NULL', '00'],
    ['that its type is as before, and nothing more', '00 00'],
    ['that its type is as before, and a text', '00 00 02 6f6b'],
    ['that its type is as before, and half a text', '00 00 20 6f6b'],
    ['that it is NULL', '01 00'],
  ]

  test.each(HALF_EXECUTIONS)(
    'whoever executes a statement without its parameter, and says %s, is answered as if there were nobody else',
    async (_what, rest) => {
      /** Prepares; gives what executes, with these bytes behind the head, and says what the answer was. */
      const prepare = async (client: RawClient): Promise<(behindHead: Buffer) => Promise<readonly string[]>> => {
        client.command(COMMAND.STMT_PREPARE, "SELECT CONCAT('<', ?, '>') AS v")
        // The statement, its parameter and its column, each of the last two with an EOF behind.
        const [prepared] = await client.awaitFrames(5)
        const head = Buffer.from([...prepared!.payload.subarray(1, 5), 0, 1, 0, 0, 0])
        return async (behindHead) => {
          client.command(COMMAND.STMT_EXECUTE, Buffer.concat([head, behindHead]))
          await client.awaitFrames(6)
          // Either an error, or a count, a column, an EOF, the row and an EOF.
          const isError = client.frames[5]!.payload[0] === 0xff
          return (await client.awaitFrames(isError ? 6 : 10)).slice(5).map((each) => told(each))
        }
      }
      const secret = Buffer.from('a secret of the second')
      const whole = Buffer.concat([Buffer.from([0, 1, 0xfd, 0, secret.length]), secret])
      const half = Buffer.from(rest.replaceAll(' ', ''), 'hex')
      // All come in the same way, and stay, so that they share a connection and what is prepared there.
      const come = (port: number) => RawClient.logIn({ port, capabilities: 0, schema })
      const [first, second, direct] = [await come(sluice.port), await come(sluice.port), await come(cluster.writerPort)]
      try {
        const execute = await prepare(first)
        expect((await (await prepare(second))(whole))[3]).toContain(secret.toString('hex', 0, 20))
        expect(await execute(half)).toEqual(await (await prepare(direct))(half))
      } finally {
        for (const client of [first, second, direct]) client.reset()
      }
    },
  )

  test('a client that vanishes in the middle of a query: its connection is not kept, and its transaction ends', async () => {
    const first = await connect()
    await first.query('BEGIN; UPDATE t SET v = 9 WHERE id = 1')
    const marker = `SELECT SLEEP(600), '${schema} in flight'`
    first.query(marker).catch(() => {})
    const running = () =>
      cluster.writer.ask(
        `SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(600)%${schema}%'`,
      )
    await until(
      async () => ((await running()) === 1 ? true : null),
      5_000,
      () => 'the query does not run',
    )
    first.destroy()
    const second = await connect()
    expect(await firstValue(second, 'SELECT 5')).toBe(5)
    await until(
      async () => ((await running()) === 0 ? true : null),
      5_000,
      () => 'its query still runs',
    )
    await second.query('SET innodb_lock_wait_timeout = 2')
    await second.query('UPDATE t SET v = v + 1 WHERE id = 1')
    expect(await firstValue(second, 'SELECT v FROM t WHERE id = 1')).toBe(1)
  })
})
