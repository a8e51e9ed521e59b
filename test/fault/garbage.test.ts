// Bytes that make no sense: before the login, where nobody is trusted with anything, and after it, where Sluice answers as
// the server does. Whoever else is connected notices nothing.

import { type Connection, createConnection } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type EngineName, until } from '../../src/lab/index.ts'
import { frame } from '../../src/protocol/mysql/frames.ts'
import { buildCommand, CAPABILITY, COMMAND } from '../../src/protocol/mysql/messages.ts'
import { garbage, randomNumbers } from '../support/cuts.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { RawClient, told } from '../support/raw-client.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const MEBIBYTE = 1024 * 1024
const DEADLINE_MS = 20_000
const LOGIN_MS_MAX = 2_500
const CLIENTS_MAX = 20

interface Nonsense {
  readonly what: string
  /** What is sent; `id` is that of a statement with two parameters. */
  readonly bytes: (id: number) => Buffer
  /** How many frames answer it, at least, unless the connection closes; 1 if not said. */
  readonly answers?: number | Readonly<Record<EngineName, number>>
  /** The client has CLIENT_QUERY_ATTRIBUTES. */
  readonly attributes?: boolean
  /** The server on which it is worth comparing; why only there is said beside it. */
  readonly only?: EngineName
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const command = (number: number, argument: Buffer | string = '', sequence = 0): Buffer =>
  frame(buildCommand(number, argument), sequence)
/** An execution: what comes after its id. */
const execution = (id: number, rest: string): Buffer =>
  command(COMMAND.STMT_EXECUTE, Buffer.concat([u32(id), hex(rest)]))
/** A query behind bytes that should be its attributes. */
const attributed = (attributes: string, sql = 'SELECT 1'): Buffer =>
  command(COMMAND.QUERY, Buffer.concat([hex(attributes), Buffer.from(sql)]))

const UNKNOWN = 4711
const GOOD = '00 01000000 00 01 fd00 fd00 01 61 01 61'

const NONSENSE: readonly Nonsense[] = [
  { what: 'a query with sequence 1', bytes: () => command(COMMAND.QUERY, 'SELECT 1', 1) },
  { what: 'a query with sequence 255', bytes: () => command(COMMAND.QUERY, 'SELECT 1', 255) },
  { what: 'a ping with sequence 7', bytes: () => command(COMMAND.PING, '', 7) },
  { what: 'a goodbye with sequence 1', bytes: () => command(COMMAND.QUIT, '', 1) },
  { what: 'a message of no bytes', bytes: () => hex('000000 00') },
  { what: 'a message of no bytes with sequence 3', bytes: () => hex('000000 03') },
  { what: 'two messages of no bytes', bytes: () => hex('000000 00 000000 00'), answers: 2 },

  { what: 'an empty query', bytes: () => command(COMMAND.QUERY) },
  { what: 'a query of one zero', bytes: () => command(COMMAND.QUERY, hex('00')) },
  { what: 'a query with a zero at its end', bytes: () => command(COMMAND.QUERY, 'SELECT 1\0'), answers: 5 },
  {
    what: 'a query that is no text',
    bytes: () => command(COMMAND.QUERY, Buffer.concat([Buffer.from(`SELECT '`), hex('ff fe 80'), Buffer.from(`'`)])),
    answers: 5,
  },
  { what: 'a query of nonsense', bytes: () => command(COMMAND.QUERY, hex('ff fe fd 01 02 03')) },
  { what: 'an empty schema', bytes: () => command(COMMAND.INIT_DB) },
  { what: 'a schema of nonsense', bytes: () => command(COMMAND.INIT_DB, hex('ff fe fd')) },
  { what: 'a list of fields of nothing', bytes: () => command(COMMAND.FIELD_LIST) },
  { what: 'a list of fields without an end of the name', bytes: () => command(COMMAND.FIELD_LIST, 'absent') },
  { what: 'half an option', bytes: () => command(COMMAND.SET_OPTION, hex('00')) },
  { what: 'an option there is not', bytes: () => command(COMMAND.SET_OPTION, hex('0900')) },
  { what: 'an option and more', bytes: () => command(COMMAND.SET_OPTION, hex('0000 6161')) },
  { what: 'a ping and more', bytes: () => command(COMMAND.PING, 'more') },
  { what: 'a reset and more', bytes: () => command(COMMAND.RESET_CONNECTION, 'more') },
  { what: 'half a kill', bytes: () => command(COMMAND.PROCESS_KILL, hex('01')) },

  { what: 'an execution of nothing', bytes: () => command(COMMAND.STMT_EXECUTE) },
  { what: 'an execution with half an id', bytes: () => command(COMMAND.STMT_EXECUTE, hex('0100')) },
  { what: 'an execution with an id and nothing else', bytes: (id) => command(COMMAND.STMT_EXECUTE, u32(id)) },
  { what: 'an execution that ends before its NULLs', bytes: (id) => execution(id, '00 01000000') },
  { what: 'an execution that ends after its NULLs', bytes: (id) => execution(id, '00 01000000 00') },
  { what: 'an execution that never told its types', bytes: (id) => execution(id, '00 01000000 00 00') },
  { what: 'an execution with half of its types', bytes: (id) => execution(id, '00 01000000 00 01 0800') },
  { what: 'an execution without values', bytes: (id) => execution(id, '00 01000000 00 01 0800 0800') },
  {
    what: 'an execution with half a value',
    bytes: (id) => execution(id, '00 01000000 00 01 0800 0800 0102030405060708 01'),
  },
  {
    what: 'an execution with a text longer than the message',
    bytes: (id) => execution(id, '00 01000000 00 01 fd00 fd00 01 61 7a 61'),
    answers: 6,
  },
  {
    what: 'an execution with a text of 2^64 - 1 bytes',
    bytes: (id) => execution(id, '00 01000000 00 01 fd00 fd00 01 61 fe ffffffffffffffff 61'),
    answers: 6,
  },
  {
    what: 'an execution with a type there is not',
    bytes: (id) => execution(id, '00 01000000 00 01 3300 3300 01 61 01 61'),
  },
  { what: 'an execution and more', bytes: (id) => execution(id, `${GOOD} 616161`), answers: 6 },
  {
    what: 'an execution seven times over',
    bytes: (id) => execution(id, GOOD.replace('01000000', '07000000')),
    answers: 6,
  },
  { what: 'an execution of an unknown statement', bytes: () => execution(UNKNOWN, '00 01000000') },
  { what: 'half an execution of an unknown statement', bytes: () => command(COMMAND.STMT_EXECUTE, u32(UNKNOWN)) },
  {
    what: 'an execution of what was prepared last',
    bytes: () => execution(0xffffffff, '00 01000000'),
    // MariaDB means it, and wants more than that.
    only: 'mysql',
  },
  {
    what: 'long data without an id',
    bytes: () => command(COMMAND.STMT_SEND_LONG_DATA),
    answers: { mysql: 1, mariadb: 0 },
  },
  {
    what: 'long data without a parameter',
    bytes: (id) => command(COMMAND.STMT_SEND_LONG_DATA, u32(id)),
    answers: { mysql: 1, mariadb: 0 },
  },
  {
    what: 'long data for an unknown statement',
    bytes: () => command(COMMAND.STMT_SEND_LONG_DATA, Buffer.concat([u32(UNKNOWN), hex('0000 61')])),
    answers: 0,
  },
  {
    what: 'long data for a parameter there is not, and an execution',
    bytes: (id) =>
      Buffer.concat([
        command(COMMAND.STMT_SEND_LONG_DATA, Buffer.concat([u32(id), hex('0900 61')])),
        execution(id, GOOD),
      ]),
  },
  {
    what: 'closing half an id',
    bytes: () => command(COMMAND.STMT_CLOSE, hex('01')),
    answers: { mysql: 1, mariadb: 0 },
  },
  { what: 'closing an unknown statement', bytes: () => command(COMMAND.STMT_CLOSE, u32(UNKNOWN)), answers: 0 },
  { what: 'resetting an unknown statement', bytes: () => command(COMMAND.STMT_RESET, u32(UNKNOWN)) },
  // MariaDB reads on behind the message here and in the next but two.
  { what: 'resetting half an id', bytes: () => command(COMMAND.STMT_RESET, hex('01')), only: 'mysql' },
  {
    what: 'a fetch from an unknown statement',
    bytes: () => command(COMMAND.STMT_FETCH, Buffer.concat([u32(UNKNOWN), u32(1)])),
  },
  {
    what: 'a fetch from a statement without a cursor',
    bytes: (id) => command(COMMAND.STMT_FETCH, Buffer.concat([u32(id), u32(1)])),
  },
  { what: 'half a fetch', bytes: (id) => command(COMMAND.STMT_FETCH, u32(id)) },
  { what: 'a fetch without an id', bytes: () => command(COMMAND.STMT_FETCH), only: 'mysql' },

  // What it tells of itself is how busy it is.
  ...[0x00, 0x05, 0x06, 0x07, 0x08, 0x0b, 0x0d, 0x0f, 0x10, 0x13, 0x14, 0x1d, 0x20, 0x22, 0x7f, 0xfe, 0xff].map(
    (number) => ({ what: `command 0x${number.toString(16)}`, bytes: () => command(number) }),
  ),
  ...[COMMAND.BINLOG_DUMP, COMMAND.BINLOG_DUMP_GTID, COMMAND.REGISTER_SLAVE].map((number) => ({
    what: `a replica's command 0x${number.toString(16)} from one who may not`,
    bytes: () => command(number),
  })),
  { what: 'a bulk execution of nothing', bytes: () => command(COMMAND.STMT_BULK_EXECUTE) },
  { what: 'a bulk execution cut short', bytes: (id) => command(COMMAND.STMT_BULK_EXECUTE, u32(id)) },

  // Only MySQL knows query attributes.
  ...(
    [
      ['no count of attributes', command(COMMAND.QUERY)],
      ['a count of attributes and nothing else', attributed('00', '')],
      ['two sets of attributes', attributed('00 02')],
      ['no set of attributes', attributed('00 00')],
      ['an attribute that is not there', attributed('01 01', '')],
      ['an attribute without a type', attributed('01 01 00 00')],
      ['an attribute with half a type', attributed('01 01 00 01 fd', '')],
      ['an attribute whose name is longer than the message', attributed('01 01 00 01 fd00 7f 61')],
      ['2^63 - 1 attributes', attributed('fe ffffffffffffff7f 01')],
      ['2^24 - 1 attributes', attributed('fd ffffff 01')],
      ['NULL attributes', attributed('fb 01')],
    ] as const
  ).map(([what, bytes]) => ({ what, bytes: () => bytes, attributes: true, only: 'mysql' as const })),
  {
    what: 'attributes with an odd flag',
    bytes: () => attributed('01 01 00 02 fd00 01 61 01 62'),
    answers: 5,
    attributes: true,
    only: 'mysql',
  },
  ...(
    [
      ['an execution with 2^63 - 1 attributes', '08 01000000 fe ffffffffffffff7f'],
      ['an execution with too few parameters', '08 01000000 01 00 01 fd00 00 01 61'],
      ['an execution with attributes without types', '08 01000000 02 00 00'],
      ['an execution without a count of attributes', '08 01000000'],
    ] as const
  ).map(([what, rest]) => ({
    what,
    bytes: (id: number) => execution(id, rest),
    attributes: true,
    only: 'mysql' as const,
  })),
]

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `fault_garbage_${engine}`
  const clients: RawClient[] = []
  let sluice: RunningSluice
  let neighbour: Connection

  beforeAll(async () => {
    await cluster.writer.ask(`CREATE DATABASE ${schema}`)
    await cluster.writer.ask(`CREATE TABLE ${schema}.t (id INT PRIMARY KEY, v VARCHAR(20))`)
    await cluster.settle()
    sluice = await startSluice({
      seeds: cluster.seeds,
      more: `limits: { drainMsMax: 100, requestBytesMax: ${MEBIBYTE}, loginMsMax: ${LOGIN_MS_MAX}, clientsMax: ${CLIENTS_MAX} }`,
    })
  })
  afterAll(async () => {
    await sluice.stop()
    await cluster.writer.ask(`DROP DATABASE ${schema}`)
  })

  // In a transaction, with a temporary table and a variable: everything that would be lost with a connection.
  beforeEach(async () => {
    const login = { host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw', database: schema }
    neighbour = await createConnection(login)
    await neighbour.query('CREATE TEMPORARY TABLE own (a INT)')
    await neighbour.query(`SET @mine = 'mine'`)
    await neighbour.beginTransaction()
    await neighbour.query(`REPLACE INTO t VALUES (1, 'neighbour')`)
    await neighbour.query('INSERT INTO own VALUES (1)')
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) client.reset()
    try {
      const [rows] = await neighbour.query('SELECT @mine AS mine, own.a, t.v FROM own, t WHERE t.id = 1')
      expect(rows).toEqual([{ mine: 'mine', a: 1, v: 'neighbour' }])
      await neighbour.rollback()
      const { sessions, pools, topology } = sluice.proxy.snapshots
      // Whoever sent nonsense has gone, and holds nothing; what was answered wrongly was not kept.
      await until(
        () => (sessions().length === 1 && pools().reduce((sum, { lent }) => sum + lent, 0) === 1 ? true : null),
        DEADLINE_MS,
        () => JSON.stringify([sessions().map(({ id }) => id), pools()]),
      )
      expect(topology()[0]!.backends.map(({ health }) => health)).toEqual(['up', 'up', 'up'])
    } finally {
      neighbour.destroy()
      const { sessions } = sluice.proxy.snapshots
      await until(
        () => (sessions().length === 0 ? true : null),
        DEADLINE_MS,
        () => 'the neighbour stays',
      )
    }
  })

  async function logIn(port: number, attributes = false): Promise<RawClient> {
    const capabilities = CAPABILITY.MULTI_RESULTS | CAPABILITY.PS_MULTI_RESULTS
    const client = await RawClient.logIn({
      port,
      capabilities: attributes ? capabilities | CAPABILITY.QUERY_ATTRIBUTES : capabilities,
    })
    clients.push(client)
    return client
  }

  async function open(): Promise<RawClient> {
    const client = await RawClient.open(sluice.port)
    clients.push(client)
    await client.awaitFrames(1)
    return client
  }

  /** Everything that is answered, and whether the connection lives on. */
  async function outcome(port: number, { bytes, answers = 1, attributes = false }: Nonsense): Promise<string[]> {
    const client = await logIn(port, attributes)
    client.command(COMMAND.STMT_PREPARE, 'SELECT ?, ?')
    await client.awaitFrames(7)
    const id = client.frames[0]!.payload.readUInt32LE(1)
    const from = client.frames.length
    client.send(bytes(id))
    await client.awaitFrames(from + (typeof answers === 'number' ? answers : answers[engine]))
    const isAlive = await client.isAlive()
    // What ends the list is the answer to the ping. A statement's number is ours, and the server's is its own.
    const lines = client.frames
      .slice(from, isAlive ? -1 : undefined)
      .map((each) => `${each.sequence}: ${told(each)}`.replace(/(handler|statement) \(\d+\)/, '$1 (…)'))
    return [...lines, isAlive ? 'goes on' : 'closed']
  }

  describe('after the login', () => {
    test.each(NONSENSE.filter(({ only = engine }) => only === engine))(
      '$what: as the server answers it',
      async (nonsense) => {
        expect(await outcome(sluice.port, nonsense)).toEqual(await outcome(cluster.writer.port, nonsense))
      },
    )

    /** It is told this and no more, and closed. */
    async function expectEnd(client: RawClient, error: string): Promise<void> {
      await client.awaitClose()
      expect(client.frames.map((each) => told(each))).toEqual([expect.stringContaining(error)])
    }

    test('a message over the limit: error 1153 as soon as its head says so, and closed', async () => {
      const client = await logIn(sluice.port)
      client.send(hex('01 00 10 00'))
      await expectEnd(client, 'ERR 1153 08S01')
    })

    test('a message that goes over the limit with its second frame: the same', async () => {
      const client = await logIn(sluice.port)
      client.send(hex('ff ff ff 00'))
      await expectEnd(client, 'ERR 1153 08S01')
    })

    test('long data that is over the limit all together: error 1153, and closed', async () => {
      const client = await logIn(sluice.port)
      client.command(COMMAND.STMT_PREPARE, 'SELECT ?')
      await client.awaitFrames(5)
      const id = client.frames[0]!.payload.readUInt32LE(1)
      const chunk = Buffer.concat([u32(id), hex('0000'), Buffer.alloc(MEBIBYTE / 4, 0x61)])
      for (let count = 0; count < 5; count++) client.command(COMMAND.STMT_SEND_LONG_DATA, chunk)
      await client.awaitClose()
      expect(told(client.frames[5]!)).toContain('ERR 1153 08S01')
    })

    test('half a request, and silence: it is waited for, and costs nobody anything', async () => {
      const whole = command(COMMAND.QUERY, `INSERT INTO ${schema}.t VALUES (2, 'late')`)
      const slow = await logIn(sluice.port)
      slow.send(whole.subarray(0, 3))
      const slower = await logIn(sluice.port)
      slower.send(whole.subarray(0, 20))
      const gone = await logIn(sluice.port)
      gone.send(whole.subarray(0, whole.length - 1))
      gone.reset()
      const { sessions } = sluice.proxy.snapshots
      await until(
        () => (sessions().length === 3 ? true : null),
        DEADLINE_MS,
        () => 'who has gone is still there',
      )
      // The neighbour's, which is in its transaction.
      expect(sessions().filter(({ backend }) => backend !== null)).toHaveLength(1)
      slow.send(whole.subarray(3))
      expect((await slow.awaitFrames(1))[0]!.payload[0]).toBe(0)
      slower.send(whole.subarray(20))
      expect(told((await slower.awaitFrames(1))[0]!)).toContain('ERR 1062')
      await cluster.writer.ask(`DELETE FROM ${schema}.t WHERE id = 2`)
    })

    test.each(Array.from({ length: 12 }, (_, seed) => seed))(
      'noise %i: answered or closed, never a bug',
      async (seed) => {
        const client = await logIn(sluice.port)
        const next = randomNumbers(seed + 1)
        for (let count = 0; count < 10; count++) {
          const noise = garbage(seed * 10 + count, 1 + next(60))
          // A goodbye would end it, and a change of the user too.
          if (noise[0] === COMMAND.QUIT || noise[0] === COMMAND.CHANGE_USER) continue
          client.send(frame(noise, 0))
        }
        client.send(garbage(seed, 400))
        // It has no more to say, and still hears what it is told.
        client.socket.end()
        await client.awaitClose()
        expect(client.frames.map((each) => told(each)).filter((text) => text.includes('ERR 9199'))).toEqual([])
      },
    )
  })

  describe('before the login', () => {
    test.each<[string, Buffer]>([
      ['a message over the limit', hex('ff ff 01 01')],
      ['a message of no bytes', hex('00 00 00 01')],
      ['a response with another sequence', frame(Buffer.alloc(40), 7)],
      ['a response cut short', frame(hex('85 a6 0f 00 00 00'), 1)],
      ['a request for TLS, and no TLS', Buffer.concat([frame(tlsRequest(), 1), Buffer.from('GET / HTTP/1.1\r\n\r\n')])],
      ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: db\r\n\r\n')],
      ['SSH', Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')],
      ['TLS at once', hex('16 03 01 02 00 01 00 01 fc 03 03')],
      ['a login of PostgreSQL', hex('00 00 00 08 04 d2 16 2f')],
    ])('%s: closed at once, with nothing of it kept', async (_what, bytes) => {
      const client = await open()
      const startedMs = performance.now()
      client.send(bytes)
      await client.awaitClose()
      expect(performance.now() - startedMs).toBeLessThan(LOGIN_MS_MAX)
      expect(client.frames.slice(1).map((each) => told(each))).toEqual(
        client.frames.slice(1).map(() => expect.stringContaining('ERR 1043 08S01 Bad handshake')),
      )
    })

    test.each(Array.from({ length: 12 }, (_, seed) => seed))('noise %i: closed', async (seed) => {
      const client = await open()
      client.send(garbage(seed, 2_000))
      await client.awaitClose()
    })

    test('silence, half a response, half a hello of TLS, up to the limit: more are told so, and all of it passes', async () => {
      const startedMs = performance.now()
      const flood = await Promise.all(Array.from({ length: CLIENTS_MAX - 1 }, () => open()))
      flood[1]!.send(frame(Buffer.alloc(200), 1).subarray(0, 30))
      flood[2]!.send(frame(tlsRequest(), 1), hex('16 03 01 02 00 01 00 01 fc 03'))
      const late = await RawClient.open(sluice.port)
      clients.push(late)
      await late.awaitClose()
      expect(told(late.frames[0]!)).toBe('ERR 1040  Too many connections')
      // Whoever is in is served meanwhile.
      expect((await neighbour.query('SELECT 5 AS a'))[0]).toEqual([{ a: 5 }])
      const outcomes = flood.map(async (client) => {
        await client.awaitClose()
        expect(performance.now() - startedMs).toBeGreaterThan(LOGIN_MS_MAX - 100)
        return client.frames.slice(1).map((each) => told(each))
      })
      const tooLate = [`ERR 9100 08S01 no login within ${LOGIN_MS_MAX} ms (limits.loginMsMax)`]
      // Inside a handshake of TLS nothing can be said.
      const expected = flood.map((_, at) => (at === 2 ? [] : tooLate))
      expect(await Promise.all(outcomes)).toEqual(expected)
      const after = await logIn(sluice.port)
      expect(await after.isAlive()).toBe(true)
    })
  })
})

/** Everything that a response begins with when TLS is to come first. */
function tlsRequest(): Buffer {
  const request = Buffer.alloc(32)
  request.writeUInt32LE(CAPABILITY.PROTOCOL_41 | CAPABILITY.SSL | CAPABILITY.SECURE_CONNECTION | CAPABILITY.PLUGIN_AUTH)
  return request
}
