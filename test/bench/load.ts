// A process of its own: clients that each send the next SELECT when the last one is answered, or come anew for each. Told
// what to do by the process that started it, and ends with it.

import { LAB_USERS } from '../../src/lab/engine.ts'
import { type BackendLogin, logIn } from '../../src/protocol/mysql/connect.ts'
import { frame, HEADER_BYTES } from '../../src/protocol/mysql/frames.ts'
import { CAPABILITY, COMMAND, FieldWriter } from '../../src/protocol/mysql/messages.ts'
import { type ReplyKind, ReplyTracker } from '../../src/protocol/mysql/reply-tracker.ts'
import { connectSocket } from '../../src/protocol/socket-transport.ts'
import { Latencies, randomFrom } from './statistics.ts'
import { SCHEMA } from './sysbench.ts'

/**
 * `text` and `prepared`: a row by its key; `large`: a thousand rows, 124 kB; `connect`: a row by its key, by a client that
 * comes for it and goes.
 */
export type LoadWork = 'text' | 'prepared' | 'large' | 'connect'

export type LoadOrder =
  /** Until somebody there answers a statement. */
  | { readonly kind: 'reach'; readonly port: number }
  /** Adds to those that are there. */
  | { readonly kind: 'connect'; readonly port: number; readonly clients: number; readonly work: LoadWork }
  /** `clients`: how many of them; `rate`: statements per second of all together, null: as fast as they are answered. */
  | { readonly kind: 'run'; readonly seconds: number; readonly clients: number; readonly rate: number | null }
  /** As many at any moment. */
  | { readonly kind: 'visit'; readonly seconds: number; readonly port: number; readonly clients: number }
  | { readonly kind: 'disconnect' }

export type LoadReport =
  | { readonly kind: 'done' }
  | {
      readonly kind: 'ran'
      readonly statements: number
      readonly seconds: number
      readonly p50Ms: number
      readonly p95Ms: number
      readonly p99Ms: number
    }
  | { readonly kind: 'failed'; readonly message: string }

/** As sysbench's client has them. */
const CAPABILITIES =
  CAPABILITY.LONG_PASSWORD | CAPABILITY.DEPRECATE_EOF | CAPABILITY.MULTI_RESULTS | CAPABILITY.PS_MULTI_RESULTS

const CONNECT_MS_MAX = 20_000
const REACH_MS_MAX = 20_000
const REACH_EVERY_MS = 2
/** Enough at once to be quick, few enough for anybody's backlog. */
const CONNECTING_MAX = 32
const SELECT = 'SELECT c FROM sbtest1 WHERE id'
/** Ids that all have four digits, and are in sysbench's table with the thousand behind them. */
const ID_MIN = 1_000
const IDS = 8_000
const ROWS = 1_000
const FORM = { deprecateEof: true, optionalMetadata: false }
const TYPE_LONG = [0x03, 0x00]

interface Pace {
  readonly endMs: number
  /** From one statement of a client to its next; 0: no waiting. */
  readonly intervalMs: number
}

class LoadClient {
  readonly #login: BackendLogin
  readonly #random: () => number
  readonly #tracker = new ReplyTracker()
  #held: Buffer | null = null
  #answered: () => void = () => {}
  #failed: (error: Error) => void = () => {}
  #request: Buffer = Buffer.alloc(0)
  #work: LoadWork = 'text'

  private constructor(login: BackendLogin, random: () => number) {
    this.#login = login
    this.#random = random
    login.transport.onBytes = (bytes) => this.receive(bytes)
    login.transport.onClosed = (error) => this.#failed(error ?? new Error('the connection was closed'))
    login.transport.resume()
  }

  static async connect(port: number, work: LoadWork, random: () => number): Promise<LoadClient> {
    const transport = await connectSocket('127.0.0.1', port, AbortSignal.timeout(CONNECT_MS_MAX))
    const tls = { mode: 'disabled', ca: null, cert: null, key: null } as const
    const target = { host: '127.0.0.1', port, tls, connectMsMax: CONNECT_MS_MAX, collation: 0, schema: SCHEMA }
    const wanted = { capabilities: CAPABILITIES, extendedCapabilities: 0 }
    const client = new LoadClient(await logIn(transport, target, LAB_USERS.app, wanted), random)
    await client.getReady(work)
    return client
  }

  /** Asks one statement after the other, at its own pace or as fast as they are answered. */
  run(latencies: Latencies, { endMs, intervalMs }: Pace): Promise<void> {
    return new Promise((resolve, reject) => {
      let startMs = 0
      // Clients that wait begin one by one.
      let dueMs = performance.now() + this.#random() * intervalMs
      const ask = () => {
        startMs = performance.now()
        this.send(this.next(), 'query')
      }
      this.#failed = reject
      this.#answered = () => {
        const nowMs = performance.now()
        latencies.add(nowMs - startMs)
        if (nowMs >= endMs) return resolve()
        dueMs += intervalMs
        if (intervalMs !== 0 && dueMs > nowMs) return void setTimeout(ask, dueMs - nowMs)
        ask()
        // Whoever had to be asked before the last answer came, has waited since then.
        if (intervalMs !== 0) startMs = dueMs
      }
      setTimeout(ask, dueMs - performance.now())
    })
  }

  /** Asks once. */
  async askNext(): Promise<void> {
    await this.ask(this.next(), 'query')
  }

  end(): void {
    const { transport } = this.#login
    transport.write(frame(Buffer.from([COMMAND.QUIT]), 0))
    transport.end()
  }

  private async getReady(work: LoadWork): Promise<void> {
    this.#work = work
    if (work !== 'prepared') {
      const which = work === 'large' ? ` BETWEEN ${ID_MIN} AND ${ID_MIN}` : `=${ID_MIN}`
      this.#request = command(COMMAND.QUERY, `${SELECT}${which}`)
      return
    }
    await this.ask(command(COMMAND.STMT_PREPARE, `${SELECT}=?`), 'prepare')
    const head = () => new FieldWriter().u8(COMMAND.STMT_EXECUTE).u32(this.#tracker.statementId).u8(0).u32(1)
    // Types are sent with the first execution only.
    await this.ask(frame(head().u8(0).u8(1).put(Buffer.from(TYPE_LONG)).u32(ID_MIN).bytes(), 0), 'query')
    this.#request = frame(head().u8(0).u8(0).u32(ID_MIN).bytes(), 0)
  }

  /** The request with other ids, which are at its end. */
  private next(): Buffer {
    const request = this.#request
    const id = ID_MIN + Math.floor(this.#random() * IDS)
    if (this.#work === 'prepared') {
      request.writeUInt32LE(id, request.length - 4)
    } else if (this.#work === 'large') {
      request.write(`${id} AND ${id + ROWS - 1}`, request.length - '1000 AND 1999'.length, 'latin1')
    } else {
      request.write(String(id), request.length - 4, 'latin1')
    }
    return request
  }

  private ask(request: Buffer, reply: ReplyKind): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve
      this.#failed = reject
      this.send(request, reply)
    })
  }

  private send(request: Buffer, reply: ReplyKind): void {
    this.#tracker.begin(reply, FORM)
    this.#login.transport.write(request)
  }

  private receive(bytes: Buffer): void {
    const tracker = this.#tracker
    const chunk = this.#held === null ? bytes : Buffer.concat([this.#held, bytes])
    this.#held = null
    let at = 0
    while (!tracker.ended) {
      const stop = tracker.feed(chunk, at)
      at = stop === 'none' ? tracker.forwardable : tracker.end
      if (stop === 'none') break
      if (stop === 'error') {
        const text = chunk.toString('utf8', tracker.start + HEADER_BYTES + 3, tracker.end)
        return this.#failed(new Error(`answered with error ${tracker.errno}: ${text}`))
      }
    }
    if (tracker.ended) this.#answered()
    else this.#held = Buffer.from(chunk.subarray(at))
  }
}

function command(code: number, text: string): Buffer {
  return frame(Buffer.concat([Buffer.from([code]), Buffer.from(text)]), 0)
}

let clients: LoadClient[] = []
const random = randomFrom(Number(process.argv[2]))

async function connectAll({ port, clients: count, work }: LoadOrder & { kind: 'connect' }): Promise<void> {
  const wanted = clients.length + count
  while (clients.length < wanted) {
    const some = Math.min(CONNECTING_MAX, wanted - clients.length)
    const more = await Promise.all(Array.from({ length: some }, () => LoadClient.connect(port, work, random)))
    clients.push(...more)
  }
}

async function run({ seconds, clients: count, rate }: LoadOrder & { kind: 'run' }): Promise<LoadReport> {
  return timed(seconds, (endMs, latencies) => {
    const pace = { endMs, intervalMs: rate === null ? 0 : (count * 1000) / rate }
    return Promise.all(clients.slice(0, count).map((client) => client.run(latencies, pace)))
  })
}

async function visit({ seconds, port, clients: count }: LoadOrder & { kind: 'visit' }): Promise<LoadReport> {
  return timed(seconds, (endMs, latencies) =>
    Promise.all(Array.from({ length: count }, () => visitor(endMs, latencies))),
  )

  async function visitor(endMs: number, latencies: Latencies): Promise<void> {
    for (let nowMs = performance.now(); nowMs < endMs; ) {
      const startMs = nowMs
      await visitOnce(port)
      nowMs = performance.now()
      latencies.add(nowMs - startMs)
    }
  }
}

async function visitOnce(port: number): Promise<void> {
  const client = await LoadClient.connect(port, 'text', random)
  try {
    await client.askNext()
  } finally {
    client.end()
  }
}

async function timed(
  seconds: number,
  work: (endMs: number, latencies: Latencies) => Promise<unknown>,
): Promise<LoadReport> {
  const latencies = new Latencies()
  const startMs = performance.now()
  await work(startMs + seconds * 1000, latencies)
  return {
    kind: 'ran',
    statements: latencies.count,
    seconds: (performance.now() - startMs) / 1000,
    p50Ms: latencies.percentileMs(50),
    p95Ms: latencies.percentileMs(95),
    p99Ms: latencies.percentileMs(99),
  }
}

async function reach(port: number): Promise<void> {
  const endMs = performance.now() + REACH_MS_MAX
  for (;;) {
    try {
      return await visitOnce(port)
    } catch (error) {
      if (performance.now() > endMs) throw error
    }
    await new Promise((next) => setTimeout(next, REACH_EVERY_MS))
  }
}

async function obey(order: LoadOrder): Promise<LoadReport> {
  switch (order.kind) {
    case 'reach':
      await reach(order.port)
      return { kind: 'done' }
    case 'connect':
      await connectAll(order)
      return { kind: 'done' }
    case 'run':
      return run(order)
    case 'visit':
      return visit(order)
    case 'disconnect':
      for (const client of clients) client.end()
      clients = []
      return { kind: 'done' }
  }
}

process.once('disconnect', () => process.exit(0))
process.on('message', (order: LoadOrder) => {
  obey(order).then(
    (report) => process.send!(report),
    (error: Error) => process.send!({ kind: 'failed', message: error.message } satisfies LoadReport),
  )
})
