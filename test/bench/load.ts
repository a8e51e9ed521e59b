// A process of its own: clients that each send the next point select when the last one is answered. Told what to do by
// the process that started it, and ends with it.

import { type BackendLogin, logIn } from '../../src/protocol/mysql/connect.ts'
import { frame, HEADER_BYTES } from '../../src/protocol/mysql/frames.ts'
import { CAPABILITY, COMMAND, FieldWriter } from '../../src/protocol/mysql/messages.ts'
import { type ReplyKind, ReplyTracker } from '../../src/protocol/mysql/reply-tracker.ts'
import { connectSocket } from '../../src/protocol/socket-transport.ts'
import { Latencies, randomFrom } from './statistics.ts'

export type Work = 'text' | 'binary'

export type LoadOrder =
  | {
      readonly kind: 'connect'
      readonly port: number
      readonly clients: number
      readonly work: Work
      readonly seed: number
    }
  /** `rate`: statements per second of all clients together; null: as fast as they are answered. */
  | { readonly kind: 'run'; readonly seconds: number; readonly rate: number | null }
  | { readonly kind: 'disconnect' }

export type LoadReport =
  | { readonly kind: 'connected' }
  | {
      readonly kind: 'ran'
      readonly statements: number
      readonly seconds: number
      readonly p50Ms: number
      readonly p95Ms: number
      readonly p99Ms: number
    }
  | { readonly kind: 'disconnected' }
  | { readonly kind: 'failed'; readonly message: string }

/** As sysbench's client has them. */
const CAPABILITIES =
  CAPABILITY.LONG_PASSWORD | CAPABILITY.DEPRECATE_EOF | CAPABILITY.MULTI_RESULTS | CAPABILITY.PS_MULTI_RESULTS

const CONNECT_MS_MAX = 20_000
/** Enough at once to be quick, few enough for anybody's backlog. */
const CONNECTING_MAX = 32
const TEXT = 'SELECT c FROM sbtest1 WHERE id='
const ID_MIN = 10_000
const IDS = 90_000
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
  /** Where the id is in the request. */
  #idAt = 0
  #work: Work = 'text'

  private constructor(login: BackendLogin, random: () => number) {
    this.#login = login
    this.#random = random
    login.transport.onBytes = (bytes) => this.receive(bytes)
    login.transport.onClosed = (error) => this.#failed(error ?? new Error('the connection was closed'))
    login.transport.resume()
  }

  static async connect(port: number, work: Work, random: () => number): Promise<LoadClient> {
    const transport = await connectSocket('127.0.0.1', port, AbortSignal.timeout(CONNECT_MS_MAX))
    const tls = { mode: 'disabled', ca: null, cert: null, key: null } as const
    const target = { host: '127.0.0.1', port, tls, connectMsMax: CONNECT_MS_MAX, collation: 0, schema: null }
    const wanted = { capabilities: CAPABILITIES, extendedCapabilities: 0 }
    const client = new LoadClient(await logIn(transport, target, { user: 'app', password: 'app_pw' }, wanted), random)
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
        this.askNext()
      }
      this.#failed = reject
      this.#answered = () => {
        const nowMs = performance.now()
        latencies.add(nowMs - startMs)
        if (nowMs >= endMs) return resolve()
        dueMs += intervalMs
        if (intervalMs === 0 || dueMs <= nowMs) ask()
        else setTimeout(ask, dueMs - nowMs)
      }
      setTimeout(ask, dueMs - performance.now())
    })
  }

  end(): void {
    const { transport } = this.#login
    transport.write(frame(Buffer.from([COMMAND.QUIT]), 0))
    transport.end()
  }

  private async getReady(work: Work): Promise<void> {
    this.#work = work
    if (work === 'text') {
      this.#request = frame(Buffer.concat([Buffer.from([COMMAND.QUERY]), Buffer.from(`${TEXT}${ID_MIN}`)]), 0)
      this.#idAt = this.#request.length - String(ID_MIN).length
      return
    }
    await this.ask(frame(Buffer.concat([Buffer.from([COMMAND.STMT_PREPARE]), Buffer.from(`${TEXT}?`)]), 0), 'prepare')
    const head = () => new FieldWriter().u8(COMMAND.STMT_EXECUTE).u32(this.#tracker.statementId).u8(0).u32(1)
    // Types are sent with the first execution only.
    await this.ask(frame(head().u8(0).u8(1).put(Buffer.from(TYPE_LONG)).u32(ID_MIN).bytes(), 0), 'query')
    this.#request = frame(head().u8(0).u8(0).u32(ID_MIN).bytes(), 0)
    this.#idAt = this.#request.length - 4
  }

  private askNext(): void {
    const id = ID_MIN + Math.floor(this.#random() * IDS)
    if (this.#work === 'text') this.#request.write(String(id), this.#idAt, 'latin1')
    else this.#request.writeUInt32LE(id, this.#idAt)
    this.send(this.#request, 'query')
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

let clients: LoadClient[] = []

async function connectAll({ port, clients: count, work, seed }: LoadOrder & { kind: 'connect' }): Promise<void> {
  const random = randomFrom(seed)
  while (clients.length < count) {
    const some = Math.min(CONNECTING_MAX, count - clients.length)
    const more = await Promise.all(Array.from({ length: some }, () => LoadClient.connect(port, work, random)))
    clients.push(...more)
  }
}

async function run({ seconds, rate }: LoadOrder & { kind: 'run' }): Promise<LoadReport> {
  const latencies = new Latencies()
  const startMs = performance.now()
  const pace = { endMs: startMs + seconds * 1000, intervalMs: rate === null ? 0 : (clients.length * 1000) / rate }
  await Promise.all(clients.map((client) => client.run(latencies, pace)))
  return {
    kind: 'ran',
    statements: latencies.count,
    seconds: (performance.now() - startMs) / 1000,
    p50Ms: latencies.percentileMs(50),
    p95Ms: latencies.percentileMs(95),
    p99Ms: latencies.percentileMs(99),
  }
}

async function obey(order: LoadOrder): Promise<LoadReport> {
  switch (order.kind) {
    case 'connect':
      await connectAll(order)
      return { kind: 'connected' }
    case 'run':
      return run(order)
    case 'disconnect':
      for (const client of clients) client.end()
      clients = []
      return { kind: 'disconnected' }
  }
}

process.once('disconnect', () => process.exit(0))
process.on('message', (order: LoadOrder) => {
  obey(order).then(
    (report) => process.send!(report),
    (error: Error) => process.send!({ kind: 'failed', message: error.message } satisfies LoadReport),
  )
})
