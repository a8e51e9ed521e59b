// A client that is all socket: it logs in as it should and from then on sends whatever bytes a test wants, closes as
// rudely as a test wants, and keeps what it is sent.

import net from 'node:net'
import { type BackendLogin, logIn } from '../../src/protocol/mysql/connect.ts'
import { frame, MessageReader } from '../../src/protocol/mysql/frames.ts'
import { buildCommand, buildQuery, CAPABILITY, COMMAND, parseError } from '../../src/protocol/mysql/messages.ts'
import { StreamTransport } from '../../src/protocol/stream-transport.ts'
import type { Transport } from '../../src/protocol/transport.ts'

export interface RawClientOptions {
  readonly port: number
  readonly user?: string
  readonly password?: string
  readonly schema?: string | null
  readonly capabilities?: number
  readonly tls?: boolean
}

/** One frame of what came. */
export interface RawFrame {
  readonly sequence: number
  readonly payload: Buffer
}

const ANSWER_MS_MAX = 20_000
const LOGIN_MS_MAX = 30_000

export class RawClient {
  readonly socket: net.Socket
  /** Everything that has come since the login, or since the connection where there was none. */
  readonly frames: RawFrame[] = []
  receivedBytes = 0
  /** How the other side ended it; null while it has not. */
  closed: 'fin' | 'rst' | null = null
  readonly #reader = new MessageReader(1 << 30)
  #transport: Transport | null = null
  #login: BackendLogin | null = null
  #changed: () => void = () => {}

  private constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('error', () => {})
  }

  /** A connection on which nothing was said yet. */
  static async open(port: number): Promise<RawClient> {
    const client = await RawClient.dial(port)
    client.attach(new StreamTransport(client.socket))
    return client
  }

  /** Connected and logged in. */
  static async logIn(options: RawClientOptions): Promise<RawClient> {
    const { port, user = 'app', password = 'app_pw', schema = null, tls = false } = options
    const { capabilities = CAPABILITY.MULTI_RESULTS | CAPABILITY.PS_MULTI_RESULTS } = options
    const client = await RawClient.dial(port)
    const target = {
      host: '127.0.0.1',
      port,
      tls: { mode: tls ? ('required' as const) : ('disabled' as const), ca: null, cert: null, key: null },
      connectMsMax: LOGIN_MS_MAX,
      collation: 0,
      schema,
    }
    const wanted = { capabilities, extendedCapabilities: 0, sessionTrack: false }
    const login = await logIn(new StreamTransport(client.socket), target, { user, password }, wanted)
    client.#login = login
    client.attach(login.transport)
    return client
  }

  private static dial(port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host: '127.0.0.1', port, noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new RawClient(socket))
      })
    })
  }

  get login(): BackendLogin {
    if (this.#login === null) throw new Error('not logged in')
    return this.#login
  }

  /** Bytes as they are. */
  send(...bytes: readonly Buffer[]): void {
    for (const each of bytes) this.#transport!.write(each)
  }

  command(command: number, argument: string | Buffer = '', sequence = 0): void {
    this.send(frame(buildCommand(command, argument), sequence))
  }

  query(sql: string): void {
    const attributes = (this.login.capabilities & CAPABILITY.QUERY_ATTRIBUTES) !== 0
    this.send(frame(buildQuery(sql, attributes), 0))
  }

  /** Waits until so many frames have come since the login, or the connection is closed. */
  async awaitFrames(count: number): Promise<readonly RawFrame[]> {
    await this.wait(
      () => this.frames.length >= count || this.closed !== null,
      () => `${count} frames`,
    )
    return this.frames
  }

  async awaitBytes(count: number): Promise<void> {
    await this.wait(
      () => this.receivedBytes >= count || this.closed !== null,
      () => `${count} bytes`,
    )
  }

  async awaitClose(): Promise<'fin' | 'rst'> {
    await this.wait(
      () => this.closed !== null,
      () => 'the end of the connection',
    )
    return this.closed!
  }

  /** Does the connection still answer? Frames before the answer stay in `frames`. */
  async isAlive(): Promise<boolean> {
    if (this.closed !== null) return false
    const before = this.frames.length
    this.command(COMMAND.PING)
    await this.awaitFrames(before + 1)
    return this.closed === null && this.frames.at(-1)!.payload[0] === 0
  }

  /** Says goodbye as one should. */
  quit(): void {
    this.command(COMMAND.QUIT)
    this.#transport!.end()
  }

  /** The kernel says that it wants to hear no more. */
  reset(): void {
    this.#transport!.destroy()
    this.socket.resetAndDestroy()
  }

  /** Closes without a word. */
  hangUp(): void {
    this.socket.end()
    this.#transport!.destroy()
  }

  pause(): void {
    this.#transport!.pause()
  }

  resume(): void {
    this.#transport!.resume()
  }

  private attach(transport: Transport): void {
    this.#transport = transport
    transport.onBytes = (bytes) => {
      this.receivedBytes += bytes.length
      this.#reader.push(bytes)
      for (let message = this.#reader.shift(); message !== null; message = this.#reader.shift()) {
        this.frames.push({ sequence: message.sequence, payload: message.payload })
      }
      this.#changed()
    }
    transport.onClosed = (error) => {
      this.closed = error === null ? 'fin' : 'rst'
      this.#changed()
    }
    transport.resume()
  }

  private wait(isThere: () => boolean, what: () => string): Promise<void> {
    if (isThere()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.#changed = () => {}
        reject(new Error(`waited for ${what()} in vain; ${this.frames.length} frames came`))
      }, ANSWER_MS_MAX)
      this.#changed = () => {
        if (!isThere()) return
        clearTimeout(deadline)
        this.#changed = () => {}
        resolve()
      }
    })
  }
}

/** A frame for people: an error in its own words, everything else by its first bytes. */
export function told({ payload }: RawFrame): string {
  if (payload[0] === 0xff && payload.length > 2) {
    const { errno, sqlState, message } = parseError(payload)
    return `ERR ${errno} ${sqlState} ${message}`
  }
  return payload.length > 32 ? `${payload.toString('hex', 0, 32)}… ${payload.length} bytes` : payload.toString('hex')
}
