// A client that is all socket: it logs in as it should and from then on sends whatever bytes a test wants, closes as
// rudely as a test wants, and keeps what it is sent.

import net from 'node:net'
import { firstProof } from '../../src/protocol/mysql/auth.ts'
import { startCompression } from '../../src/protocol/mysql/compressed-transport.ts'
import { type BackendLogin, logIn } from '../../src/protocol/mysql/connect.ts'
import { frame, HEADER_BYTES, MessageReader, payloadLength } from '../../src/protocol/mysql/frames.ts'
import {
  buildCommand,
  buildHandshakeResponse,
  buildQuery,
  CAPABILITY,
  COMMAND,
  parseError,
  parseGreeting,
} from '../../src/protocol/mysql/messages.ts'
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
const SKIMMED_BYTES = 600

export class RawClient {
  readonly socket: net.Socket
  /** Everything that has come since the login, or since the connection where there was none. */
  readonly frames: RawFrame[] = []
  receivedBytes = 0
  /** Called when something has come. */
  onBytes: () => void = () => {}
  /** Of frames from here on only the first bytes are kept; set it between two answers. */
  skims = false
  /** Called when everything that was sent has been taken, after `send` gave false. */
  onDrain: () => void = () => {}
  /** How the other side ended it; null while it has not. */
  closed: 'fin' | 'rst' | null = null
  readonly #reader = new MessageReader(1 << 30)
  #transport: Transport | null = null
  #login: BackendLogin | null = null
  #changed: () => void = () => {}
  #attributes = false
  /** While skimming: what is kept of the frame that is coming, its header included, and how much of it is still to come. */
  #head = Buffer.alloc(0)
  #left = 0

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
    client.#attributes = (login.capabilities & CAPABILITY.QUERY_ATTRIBUTES) !== 0
    client.attach(login.transport)
    return client
  }

  /** The same inside the compressed protocol. */
  static async logInCompressed({ port, capabilities = 0 }: RawClientOptions): Promise<RawClient> {
    const client = await RawClient.open(port)
    const [first] = await client.awaitFrames(1)
    const { authPlugin, scramble } = parseGreeting(first!.payload)
    const basic = CAPABILITY.PROTOCOL_41 | CAPABILITY.SECURE_CONNECTION | CAPABILITY.PLUGIN_AUTH
    const response = buildHandshakeResponse({
      capabilities: basic | CAPABILITY.COMPRESS | capabilities,
      mariadbCapabilities: 0,
      packetBytesMax: 1 << 30,
      collation: 45,
      user: Buffer.from('app'),
      authResponse: firstProof(authPlugin, 'app_pw', scramble, false)!,
      schema: null,
      authPlugin,
      attributes: new Map(),
      zstdLevel: 0,
    })
    client.send(frame(response, 1))
    const isIn = () => client.frames.slice(1).some(({ payload }) => payload[0] === 0)
    await client.wait(
      () => isIn() || client.closed !== null,
      () => 'a login',
    )
    if (!isIn()) throw new Error(`not let in: ${client.frames.map((each) => told(each)).join('; ')}`)
    client.frames.length = 0
    client.attach(startCompression(client.#transport!, 'zlib'))
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

  /** Bytes as they are. False: they have not all been taken yet. */
  send(...bytes: readonly Buffer[]): boolean {
    let isTaken = true
    for (const each of bytes) isTaken = this.#transport!.write(each) && isTaken
    return isTaken
  }

  command(command: number, argument: string | Buffer = '', sequence = 0): void {
    this.send(frame(buildCommand(command, argument), sequence))
  }

  query(sql: string): void {
    this.send(frame(buildQuery(sql, this.#attributes), 0))
  }

  /** Waits until so many frames have come since the login, or the connection is closed. */
  async awaitFrames(count: number, msMax = ANSWER_MS_MAX): Promise<readonly RawFrame[]> {
    await this.wait(
      () => this.frames.length >= count || this.closed !== null,
      () => `${count} frames`,
      msMax,
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
      if (this.skims) this.skim(bytes)
      else this.keep(bytes)
      this.#changed()
      this.onBytes()
    }
    transport.onDrain = () => this.onDrain()
    transport.onClosed = (error) => {
      this.closed = error === null ? 'fin' : 'rst'
      this.#changed()
    }
    transport.resume()
  }

  private keep(bytes: Buffer): void {
    this.#reader.push(bytes)
    for (let message = this.#reader.shift(); message !== null; message = this.#reader.shift()) {
      this.frames.push({ sequence: message.sequence, payload: message.payload })
    }
  }

  private skim(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#head.length < HEADER_BYTES) {
        const end = Math.min(bytes.length, at + HEADER_BYTES - this.#head.length)
        this.#head = Buffer.concat([this.#head, bytes.subarray(at, end)])
        at = end
        if (this.#head.length < HEADER_BYTES) return
        this.#left = payloadLength(this.#head, 0)
      } else {
        const end = Math.min(bytes.length, at + this.#left)
        const room = SKIMMED_BYTES - this.#head.length
        if (room > 0) this.#head = Buffer.concat([this.#head, bytes.subarray(at, Math.min(end, at + room))])
        this.#left -= end - at
        at = end
      }
      if (this.#left > 0) continue
      this.frames.push({ sequence: this.#head[3]!, payload: this.#head.subarray(HEADER_BYTES) })
      this.#head = Buffer.alloc(0)
    }
  }

  private wait(isThere: () => boolean, what: () => string, msMax = ANSWER_MS_MAX): Promise<void> {
    if (isThere()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.#changed = () => {}
        reject(new Error(`waited for ${what()} in vain; ${this.frames.length} frames came`))
      }, msMax)
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
