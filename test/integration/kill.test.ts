// KILL in all its forms, and clients that vanish in the middle of a statement: what is left of it on the servers.

import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type RunningServer, until } from '../../src/lab/index.ts'
import { buildCommand, COMMAND, parseError } from '../../src/protocol/mysql/messages.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import { WireClient } from '../support/wire-client.ts'

const ENDLESS = 60
const HEAVY = `SELECT COUNT(*) FROM information_schema.COLLATIONS a, information_schema.COLLATIONS b,
  information_schema.COLLATIONS c, information_schema.COLLATIONS d, information_schema.COLLATIONS e`
/** Far less than what the statements would take if nobody ended them. */
const SOON_MS = 20_000

/** What `app` is running on a server, monitors and idle connections aside. */
async function running(server: RunningServer): Promise<string[]> {
  return server.asRoot(async (root) => {
    const [rows] = await root.query<RowDataPacket[]>(
      "SELECT info FROM information_schema.processlist WHERE user = 'app' AND command <> 'Sleep' AND info IS NOT NULL",
    )
    return rows.map((row) => String(row.info ?? row.INFO))
  })
}

const untilRunning = (server: RunningServer, part: string, count = 1) =>
  until(
    async () => ((await running(server)).filter((info) => info.includes(part)).length === count ? true : null),
    SOON_MS,
    () => `${count} statements with ${part} were expected on ${server.port}`,
  )

const outcomeOf = (asked: Promise<unknown>) =>
  asked.then(
    (answer) => JSON.stringify((answer as readonly unknown[])[0]),
    (error: { errno?: number; code?: string }) => `error ${error.errno ?? error.code}`,
  )

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  let sluice: RunningSluice
  let clients: Connection[] = []

  beforeAll(async () => {
    sluice = await startSluice({
      seeds: cluster.seeds,
      users: "  - { name: root, password: '' }",
      cluster: '    pool: { abandonedMsMax: 100, killersMax: 2 }',
    })
    const root = await cluster.writer.connect()
    await root.query('DROP DATABASE IF EXISTS killing; CREATE DATABASE killing')
    await root.query('CREATE TABLE killing.t (id INT PRIMARY KEY, v INT)')
    await root.query('INSERT INTO killing.t VALUES (1, 0), (2, 0)')
    root.destroy()
    await cluster.settle()
  })
  afterAll(() => sluice.stop())
  afterEach(() => {
    for (const client of clients) client.destroy()
    clients = []
  })

  async function join(user: 'app' | 'root' = 'app', port = sluice.port): Promise<Connection> {
    const password = user === 'app' ? 'app_pw' : ''
    const client = await createConnection({ host: '127.0.0.1', port, user, password, multipleStatements: true })
    // Whoever is killed sees its connection end.
    client.on('error', () => {})
    clients.push(client)
    return client
  }

  const idOf = (client: Connection) => client.threadId as number
  /** As when a machine is switched off, or a process killed: no word of farewell. */
  const vanish = (client: Connection) =>
    (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()

  describe('a client that vanishes', () => {
    test.each([
      ['sleeping on the writer', `DO SLEEP(${ENDLESS})`, 'writer', 'SLEEP'],
      ['sleeping on a reader', `SELECT SLEEP(${ENDLESS}) FROM killing.t`, 'reader', 'SLEEP'],
      ['in heavy work on the writer', `/* sluice:writer */ ${HEAVY}`, 'writer', 'COLLATIONS'],
    ] as const)('takes its statement along: %s', async (_where, statement, role, part) => {
      const client = await join()
      const gone = outcomeOf(client.query(statement))
      const servers = cluster.servers.filter((server) => server.role === role)
      const server = await until(
        async () => {
          for (const one of servers) if ((await running(one)).some((info) => info.includes(part))) return one
          return null
        },
        SOON_MS,
        () => 'it runs nowhere',
      )
      vanish(client)
      await untilRunning(server, part, 0)
      await gone
    })

    test('leaves no lock behind: in a transaction, while it waits for a row', async () => {
      const [holder, client, other] = [await join('root', cluster.writerPort), await join(), await join()]
      await holder.query('BEGIN')
      await holder.query('UPDATE killing.t SET v = v + 1 WHERE id = 1')
      await client.query('BEGIN')
      await client.query('UPDATE killing.t SET v = v + 1 WHERE id = 2')
      const gone = outcomeOf(client.query('UPDATE killing.t SET v = v + 2 WHERE id = 1'))
      await untilRunning(cluster.writer, 'v + 2')
      vanish(client)
      await untilRunning(cluster.writer, 'v + 2', 0)
      await other.query('SET innodb_lock_wait_timeout = 5')
      await other.query('UPDATE killing.t SET v = v + 3 WHERE id = 2')
      await holder.query('ROLLBACK')
      await gone
    })

    test('leaves no lock behind: idle in a transaction', async () => {
      const [client, other] = [await join(), await join()]
      await client.query('BEGIN')
      await client.query('UPDATE killing.t SET v = v + 1 WHERE id = 2')
      vanish(client)
      await other.query('SET innodb_lock_wait_timeout = 20')
      await other.query('UPDATE killing.t SET v = v + 3 WHERE id = 2')
    })

    test('is seen to go though it has sent more than was read', async () => {
      const client = await WireClient.connect({ port: sluice.port, capabilities: 0 })
      client.tell(buildCommand(COMMAND.QUERY, `DO SLEEP(${ENDLESS})`))
      await untilRunning(cluster.writer, 'SLEEP')
      client.end()
      await untilRunning(cluster.writer, 'SLEEP', 0)
    })

    test('many at once: all of their statements end, and their connections serve again', async () => {
      const many = await Promise.all(Array.from({ length: 20 }, () => join()))
      const gone = many.map((client) => outcomeOf(client.query(`DO SLEEP(${ENDLESS})`)))
      await untilRunning(cluster.writer, 'SLEEP', 20)
      for (const client of many) vanish(client)
      await untilRunning(cluster.writer, 'SLEEP', 0)
      await Promise.all(gone)
      await until(
        async () => (sluice.proxy.snapshots.pools().every(({ cleaning, lent }) => cleaning + lent === 0) ? true : null),
        SOON_MS,
        () => `some are still busy: ${JSON.stringify(sluice.proxy.snapshots.pools())}`,
      )
      const client = await join()
      expect(await outcomeOf(client.query('SELECT 1 AS n'))).toBe('[{"n":1}]')
    })
  })

  test('a stop of the proxy leaves nothing running', async () => {
    const other = await startSluice({ seeds: cluster.seeds, more: 'limits: { drainMsMax: 100 }' })
    const client = await join('app', other.port)
    // Servers look after a client while they sleep, but not in the middle of work.
    const ended = outcomeOf(client.query(`/* sluice:writer */ ${HEAVY}`))
    await untilRunning(cluster.writer, 'COLLATIONS')
    await other.stop()
    await untilRunning(cluster.writer, 'COLLATIONS', 0)
    expect(await ended).toMatch('error')
  })

  describe('KILL', () => {
    /** The number as each form says it; `killed` is what the victim's statement comes to. */
    const FORMS: readonly (readonly [string, (id: number) => string])[] = [
      ['a number', (id) => `KILL QUERY ${id}`],
      ['a sum', (id) => `KILL QUERY ${id - 1} + 1`],
      ['a text', (id) => `KILL QUERY '${id}'`],
      ['a hexadecimal number', (id) => `KILL QUERY 0x${id.toString(16)}`],
      ['a subquery', (id) => `KILL QUERY (SELECT ${id})`],
      ['a user variable', (id) => `KILL QUERY @victim /* ${id} */`],
      [
        'a text executed in SQL',
        (id) => (engine === 'mariadb' ? `EXECUTE IMMEDIATE 'KILL QUERY ${id}'` : `KILL QUERY ${id}`),
      ],
    ]

    test.each(FORMS)('QUERY by %s stops the statement and leaves the session', async (_form, words) => {
      const [victim, killer] = [await join(), await join()]
      const stopped = outcomeOf(victim.query(HEAVY))
      await untilRunningSomewhere('COLLATIONS')
      await killer.query('SET @victim = ?', [idOf(victim)])
      await killer.query(words(idOf(victim)))
      expect(await stopped).toBe('error 1317')
      expect(await outcomeOf(victim.query('SELECT 1 AS n'))).toBe('[{"n":1}]')
      expect(await outcomeOf(killer.query('SHOW WARNINGS'))).toBe('[]')
    })

    test.each([
      ['KILL', (id: number) => `KILL ${id}`],
      ['KILL CONNECTION', (id: number) => `KILL CONNECTION ${id}`],
      ['KILL by an expression', (id: number) => `KILL ${id} + 0`],
    ])('%s ends the session, busy or idle', async (_form, words) => {
      const killer = await join()
      const idle = await join()
      await killer.query(words(idOf(idle)))
      await until(
        async () => (/error/.test(await outcomeOf(idle.query('SELECT 1'))) ? true : null),
        SOON_MS,
        () => 'it lives',
      )
      const busy = await join()
      const ended = outcomeOf(busy.query(`DO SLEEP(${ENDLESS})`))
      await untilRunning(cluster.writer, 'SLEEP')
      await killer.query(words(idOf(busy)))
      expect(await ended).toBe('error PROTOCOL_CONNECTION_LOST')
      await untilRunning(cluster.writer, 'SLEEP', 0)
    })

    test('stops in the middle of a text at nobody, and goes on behind one of us', async () => {
      const [killer, idle, asleep] = [await join(), await join(), await join()]
      const stopped = outcomeOf(asleep.query(`DO SLEEP(${ENDLESS})`))
      await untilRunning(cluster.writer, 'SLEEP')
      const text = `SELECT 'begun' AS v; KILL ${idOf(idle)}; INSERT INTO killing.t VALUES (3, 0);
        KILL QUERY ${idOf(asleep)} + 0; DELETE FROM killing.t WHERE id = 3; SELECT 'over' AS v`
      const [answers] = await killer.query<RowDataPacket[][]>(text)
      expect(answers.map((answer) => answer[0]?.v ?? 'ok')).toEqual(['begun', 'ok', 'ok', 'ok', 'ok', 'over'])
      await stopped
      expect(await outcomeOf(idle.query('SELECT 1'))).toMatch('error')
      expect(await outcomeOf(asleep.query('SELECT 1 AS n'))).toBe('[{"n":1}]')
      await expect(killer.query('SELECT 1; KILL 1999999999; SELECT 2')).rejects.toMatchObject({ errno: 1094 })
      expect(await outcomeOf(killer.query('SELECT 1 AS n'))).toBe('[{"n":1}]')
    })

    test('of oneself is answered as the writer answers it', async () => {
      for (const words of [(id: number) => `KILL QUERY ${id}`, (id: number) => `KILL ${id}`]) {
        const [direct, through] = [await join('app', cluster.writerPort), await join()]
        const outcome = await outcomeOf(through.query(words(idOf(through))))
        expect(outcome).toBe(await outcomeOf(direct.query(words(idOf(direct)))))
        // Whether the end is seen before or after the next statement is written is a matter of time.
        const alive = async (client: Connection) => (await outcomeOf(client.query('SELECT 1 AS n'))) === '[{"n":1}]'
        expect(await alive(through)).toBe(await alive(direct))
      }
    })

    test('of nobody is answered as the writer answers it', async () => {
      const [direct, through] = [await join('app', cluster.writerPort), await join()]
      for (const statement of [
        'KILL 1999999999',
        'KILL QUERY 1999999998 + 1',
        "KILL 'abc'",
        'KILL nosuch',
        'KILL -1',
      ]) {
        const wordsOf = (client: Connection) => client.query(statement).catch((error: Error) => error.message)
        expect(await wordsOf(through)).toBe(await wordsOf(direct))
      }
    })

    test("another user's session needs the right to", async () => {
      const [app, root] = [await join(), await join('root')]
      await expect(app.query(`KILL ${idOf(root)}`)).rejects.toMatchObject({
        errno: 1095,
        message: `You are not owner of thread ${idOf(root)}`,
      })
      await root.query(`KILL ${idOf(app)}`)
      expect(await outcomeOf(app.query('SELECT 1'))).toMatch('error')
    })

    test('of a number of the writer reaches a direct connection, and a session by its connection', async () => {
      const [direct, victim, killer] = [await join('app', cluster.writerPort), await join(), await join('root')]
      await killer.query(`KILL ${idOf(direct)}`)
      await until(
        async () => (/error/.test(await outcomeOf(direct.query('SELECT 1'))) ? true : null),
        SOON_MS,
        () => 'it lives',
      )
      const ended = outcomeOf(victim.query(`DO SLEEP(${ENDLESS})`))
      await untilRunning(cluster.writer, 'SLEEP')
      const id = await cluster.writer.ask("SELECT id FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%'")
      await killer.query(`KILL ${id}`)
      expect(await ended).toBe('error PROTOCOL_CONNECTION_LOST')
    })

    // MySQL has no words for these, and takes no parameters in a KILL.
    describe.runIf(engine === 'mariadb')('in the words of MariaDB', () => {
      test('prepared, with the number as a parameter', async () => {
        const [victim, killer] = [await join(), await join()]
        const stopped = outcomeOf(victim.query(HEAVY))
        await untilRunningSomewhere('COLLATIONS')
        await killer.execute('KILL QUERY ?', [idOf(victim)])
        expect(await stopped).toBe('error 1317')
        await expect(killer.execute('KILL QUERY ?', [1_999_999_999])).rejects.toMatchObject({ errno: 1094 })
      })

      test("QUERY ID: by the server's number of the statement", async () => {
        const [victim, killer] = [await join(), await join()]
        const stopped = outcomeOf(victim.query(`/* sluice:writer */ SELECT SLEEP(${ENDLESS})`))
        await untilRunning(cluster.writer, 'SLEEP')
        const id = await cluster.writer.ask(
          "SELECT query_id FROM information_schema.processlist WHERE user = 'app' AND info LIKE '%SELECT SLEEP%'",
        )
        await killer.query(`KILL QUERY ID ${id}`)
        expect(await stopped).toBe('error 1317')
      })

      test.each([
        ['KILL USER app', 'app'],
        ["KILL HARD CONNECTION USER 'app'@'%'", 'root'],
      ] as const)('%s ends all sessions of the user, asked by %s', async (words, by) => {
        const [idle, reading, killer, root] = [await join(), await join(), await join(by), await join('root')]
        const ended = outcomeOf(reading.query(`SELECT SLEEP(${ENDLESS}) FROM killing.t`))
        await untilRunningSomewhere('SLEEP')
        await killer.query(words)
        expect(await ended).toBe('error PROTOCOL_CONNECTION_LOST')
        for (const client of [idle, by === 'app' ? killer : idle]) {
          expect(await outcomeOf(client.query('SELECT 1'))).toMatch('error')
        }
        expect(await outcomeOf(root.query('SELECT 1 AS n'))).toBe('[{"n":1}]')
      })

      test('KILL QUERY USER stops what the user is at; of another user it does nothing without the right to', async () => {
        const [victim, killer, root] = [await join(), await join(), await join('root')]
        const rooted = outcomeOf(root.query(`SELECT SLEEP(${ENDLESS}) FROM killing.t`))
        const stopped = outcomeOf(victim.query(`SELECT SLEEP(${ENDLESS}) FROM killing.t`))
        await untilRunningSomewhere('SLEEP')
        await killer.query('KILL QUERY USER root')
        await killer.query('KILL QUERY USER CURRENT_USER')
        expect(await stopped).toBe('error 1317')
        expect(await outcomeOf(victim.query('SELECT 1 AS n'))).toBe('[{"n":1}]')
        vanish(root)
        expect(await rooted).toMatch('error')
      })
    })

    test('as a command', async () => {
      const [victim, killer] = [await join(), await WireClient.connect({ port: sluice.port, capabilities: 0 })]
      const id = Buffer.alloc(4)
      id.writeUInt32LE(idOf(victim))
      const [answer] = await killer.ask(buildCommand(COMMAND.PROCESS_KILL, id), 'single')
      expect(answer!.payload[0]).toBe(0)
      id.writeUInt32LE(1_999_999_999)
      const [unknown] = await killer.ask(buildCommand(COMMAND.PROCESS_KILL, id), 'single')
      killer.end()
      const direct = await WireClient.connect({ port: cluster.writerPort, capabilities: 0 })
      const [expected] = await direct.ask(buildCommand(COMMAND.PROCESS_KILL, id), 'single')
      direct.end()
      expect(parseError(unknown!.payload)).toEqual(parseError(expected!.payload))
    })
  })

  async function untilRunningSomewhere(part: string): Promise<void> {
    await until(
      async () => {
        for (const server of cluster.servers)
          if ((await running(server)).some((info) => info.includes(part))) return true
        return null
      },
      SOON_MS,
      () => `nobody runs ${part}`,
    )
  }
})
