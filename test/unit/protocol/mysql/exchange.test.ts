// One reply on its way: what reaches the client, when the backend is read on, and what is learned.

import { describe, expect, test } from 'vitest'
import type { MysqlClient } from '../../../../src/protocol/mysql/client.ts'
import { Exchange } from '../../../../src/protocol/mysql/exchange.ts'
import { frame, Heads, Message } from '../../../../src/protocol/mysql/frames.ts'
import {
  buildCommand,
  buildError,
  buildOk,
  CAPABILITY,
  COMMAND,
  STATUS,
  TRACK,
} from '../../../../src/protocol/mysql/messages.ts'
import { ReplyTracker } from '../../../../src/protocol/mysql/reply-tracker.ts'
import { requestOf } from '../../../../src/protocol/mysql/request.ts'
import type { ExchangeOptions, Reply } from '../../../../src/protocol/protocol.ts'
import { NO_SETTINGS } from '../../../../src/protocol/settings.ts'
import type { Transport } from '../../../../src/protocol/transport.ts'

const CAPABILITIES = CAPABILITY.DEPRECATE_EOF | CAPABILITY.SESSION_TRACK
const OPTIONS: ExchangeOptions = {
  holdRefused: false,
  holdBehind: false,
  holdUnknownSession: false,
  edit: null,
  mayChange: false,
  mayFailLate: false,
  passing: [],
  calls: false,
  sets: [],
  setsSeveral: false,
  hushes: false,
  startsClock: false,
  readOnlyTransaction: false,
  committed: () => {},
}

function withResolvers<T>() {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((fulfil, fail) => {
    resolve = fulfil
    reject = fail
  })
  return { promise, resolve, reject }
}

/** A client that takes everything at once, or nothing until it is told to, and a backend that can be paused. */
function stage(options: Partial<ExchangeOptions> = {}) {
  const seen = { bytes: Buffer.alloc(0), paused: false, slow: false }
  const client = {
    capabilities: CAPABILITIES,
    sequence: 1,
    owed: null,
    onDrained: () => {},
    send(bytes: Buffer) {
      seen.bytes = Buffer.concat([seen.bytes, bytes])
      return !seen.slow
    },
    divert() {},
  }
  const transport = {
    pause: () => {
      seen.paused = true
    },
    resume: () => {
      seen.paused = false
    },
  }
  const bytes = frame(buildCommand(COMMAND.QUERY, 'SELECT 1'), 0)
  const request = requestOf('statement', new Message(bytes, 0, 0), 'query', { sql: Buffer.from('SELECT 1') })
  const line = {
    transport: transport as unknown as Transport,
    tracker: new ReplyTracker(),
    form: { deprecateEof: true, optionalMetadata: false },
    capabilities: CAPABILITIES,
    settings: NO_SETTINGS,
    onWriter: false,
    mayMakeRoom: false,
    tellsPositions: true,
    heads: new Heads(),
    status: STATUS.AUTOCOMMIT,
    heed: ({ reply }: Exchange) => reply,
  }
  const { promise: done, resolve: answered, reject: failed } = withResolvers<Reply>()
  const to = { answered, failed }
  const exchange = new Exchange(request, client as unknown as MysqlClient, { ...OPTIONS, ...options }, to)
  exchange.begin(line)
  return { exchange, client, seen, done }
}

const ok = frame(buildOk({ affectedRows: 3n, insertId: 9n }, CAPABILITIES), 1)
const refusal = frame(buildError(1290, 'HY000', 'running with the --read-only option'), 1)

describe('a client that does not read', () => {
  test('stops the backend from being read, and starts it again', () => {
    const { exchange, client, seen } = stage()
    seen.slow = true
    exchange.feed(ok.subarray(0, 4))
    expect(seen.paused).toBe(false)
    exchange.feed(ok.subarray(4))
    expect(seen.paused).toBe(true)
    client.onDrained()
    expect(seen.paused).toBe(false)
  })

  test('holds back the end of the exchange, and leaves the connection readable for the next', async () => {
    const { exchange, client, seen, done } = stage()
    let over = false
    void done.then(() => {
      over = true
    })
    seen.slow = true
    exchange.feed(ok)
    await Promise.resolve()
    expect([over, seen.paused]).toEqual([false, true])
    client.onDrained()
    const reply = await done
    expect([reply.affectedRows, reply.insertId, seen.paused]).toEqual([3, 9n, false])
  })
})

describe('a refusal', () => {
  test('that another backend can do better than does not reach the client', async () => {
    const { exchange, seen, done } = stage({ holdRefused: true })
    exchange.feed(refusal)
    expect((await done).outcome).toBe('refused')
    expect(seen.bytes).toHaveLength(0)
  })

  test('by another option of the server is an error like any other', async () => {
    const { exchange, seen, done } = stage({ holdRefused: true })
    const other = frame(buildError(1290, 'HY000', 'running with the --secure-file-priv option'), 1)
    exchange.feed(other)
    expect((await done).outcome).toBe('error')
    expect(seen.bytes).toEqual(other)
  })

  test('in a read-only transaction reads as that transaction says it', async () => {
    const { exchange, seen, done } = stage({ readOnlyTransaction: true })
    exchange.feed(refusal)
    await done
    expect(seen.bytes.readUInt16LE(5)).toBe(1792)
  })
})

describe('a backend that is lost', () => {
  test.each([
    ['before the first byte', 0, 'sent', true],
    ['within a frame', 4, 'sent', true],
  ])('%s may be repeated', async (_when, bytes, progress, resumable) => {
    const { exchange, done } = stage()
    if (bytes > 0) exchange.feed(ok.subarray(0, bytes))
    exchange.backendLost('gone')
    await expect(done).rejects.toMatchObject({ progress, resumable })
  })

  test('between rows leaves room for an error', async () => {
    const { exchange, client, done } = stage()
    const column = frame(Buffer.from('03646566000000013100 0c3f000100000008810000000 0'.replaceAll(' ', ''), 'hex'), 2)
    exchange.feed(Buffer.concat([frame(Buffer.from([1]), 1), column, frame(Buffer.from([1, 0x31]), 3)]))
    exchange.backendLost('gone')
    await expect(done).rejects.toMatchObject({ progress: 'replying', resumable: true })
    expect(client.sequence).toBe(4)
  })
})

describe('what was committed', () => {
  const STATE = STATUS.AUTOCOMMIT | STATUS.SESSION_STATE_CHANGED
  const GTID = 'd65b62f1-ea45-11f1-99f0-02fc00000001:7'
  const tracked = (kind: number, ...parts: readonly Buffer[]): Buffer => {
    const bytes = Buffer.concat(parts)
    return Buffer.concat([Buffer.from([kind, bytes.length]), bytes])
  }
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)])
  const gtids = tracked(TRACK.GTIDS, Buffer.from([0]), text(GTID))
  const lastGtid = tracked(TRACK.SYSTEM_VARIABLES, text('last_gtid'), text('0-1-7'))
  const okWith = (changes: Buffer | null, more = 0) =>
    frame(buildOk({ changes, status: (changes === null ? STATUS.AUTOCOMMIT : STATE) | more }, CAPABILITIES), 1)
  const error = frame(buildError(1062, '23000', 'Duplicate entry'), 1)
  const eof = frame(Buffer.from([0xfe, 0, 0, STATUS.AUTOCOMMIT, 0]), 1)

  const listen = () => {
    const heard: [position: string | null, doubt: string, sentBytes: number][] = []
    const { exchange, seen } = stage({
      committed: (position, doubt) => heard.push([position?.text ?? null, doubt, seen.bytes.length]),
    })
    return { exchange, heard, seen }
  }

  test.each([
    ['MySQL', gtids, GTID],
    ['MariaDB', lastGtid, '0-1-7'],
  ])('is heard before the client gets a byte of the answer that tells it: %s', (_engine, changes, position) => {
    const { exchange, heard, seen } = listen()
    exchange.feed(okWith(changes))
    expect(heard).toEqual([[position, 'none', 0]])
    expect(seen.bytes.length).toBeGreaterThan(0)
  })

  test('is heard with the first of several answers in one packet of bytes', () => {
    const { exchange, heard } = listen()
    exchange.feed(Buffer.concat([okWith(gtids, STATUS.MORE_RESULTS_EXISTS), okWith(null)]))
    expect(heard).toEqual([[GTID, 'none', 0]])
  })

  test.each([
    ['an OK without a position: nothing was', [okWith(null)], [[null, 'none', 0]]],
    ['an error: nobody knows', [error], [[null, 'failed', 0]]],
    ['an old EOF: nobody knows', [eof], [[null, 'untold', 0]]],
    [
      'an error behind an answer that told one: nobody knows what came after',
      [okWith(gtids, STATUS.MORE_RESULTS_EXISTS), error],
      [
        [GTID, 'none', 0],
        [null, 'failed', okWith(null).length],
      ],
    ],
    [
      'an OK of who has switched its trackers: nobody knows',
      [okWith(tracked(TRACK.SYSTEM_VARIABLES, text('session_track_gtids'), text('OFF')))],
      [[null, 'untold', 0]],
    ],
  ] as const)('%s', (_promise, chunks, expected) => {
    const { exchange, heard } = listen()
    for (const chunk of chunks) exchange.feed(Buffer.from(chunk))
    expect(heard).toEqual(expected)
  })

  test('is no moment at which the clock stands where it was set going again', async () => {
    const { exchange, done } = stage({ startsClock: true })
    exchange.feed(okWith(tracked(TRACK.SYSTEM_VARIABLES, text('timestamp'), text('978307200.000000'))))
    const reply = await done
    expect(reply.changed?.variables.get('timestamp')).toBe('DEFAULT')
  })
})
