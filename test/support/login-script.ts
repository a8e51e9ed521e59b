// A client that plays any login by hand, right or wrong, and writes down every frame it is answered with.

import { constants, publicEncrypt } from 'node:crypto'
import { cachingSha2Proof, clearProof, nativeProof, rsaProof, unmixed } from '../../src/protocol/mysql/auth.ts'
import { Channel, ChannelError } from '../../src/protocol/mysql/channel.ts'
import { MessageReader } from '../../src/protocol/mysql/frames.ts'
import {
  buildChangeUser,
  buildHandshakeResponse,
  buildQuery,
  buildSslRequest,
  CAPABILITY,
  LEAD,
  parseAuthSwitch,
  parseError,
  parseGreeting,
} from '../../src/protocol/mysql/messages.ts'
import { connectSocket } from '../../src/protocol/socket-transport.ts'
import { startClientTls } from '../../src/protocol/tls.ts'

const LIMITS = { msMax: 30_000, bytesMax: 1 << 20, sequence: 0, strict: true }

/** "The password is right": more data (1), of one byte (3). */
const FAST_OK = '0103'

export const MODERN =
  CAPABILITY.PROTOCOL_41 |
  CAPABILITY.SECURE_CONNECTION |
  CAPABILITY.PLUGIN_AUTH |
  CAPABILITY.PLUGIN_AUTH_LENENC_CLIENT_DATA

/** What a client sends next. `key`: the server's, once it was asked for. */
export type Move = (scramble: Buffer, key: string) => Buffer

export const proof =
  (password: string): Move =>
  (scramble) =>
    cachingSha2Proof(password, scramble)
export const native =
  (password: string): Move =>
  (scramble) =>
    nativeProof(password, scramble)
export const clear =
  (password: string): Move =>
  () =>
    clearProof(password)
export const bytes =
  (...values: readonly number[]): Move =>
  () =>
    Buffer.from(values)
export const garbage =
  (length: number): Move =>
  () =>
    Buffer.alloc(length, 0x5a)
export const askForKey = bytes(2)
export const encrypted =
  (password: string): Move =>
  (scramble, key) =>
    key === '' ? Buffer.alloc(256) : rsaProof(password, scramble, key)
/** Bytes that decrypt well, whatever they are. */
export const mixed =
  (clear: string): Move =>
  (scramble, key) =>
    publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING }, unmixed(Buffer.from(clear), scramble))
export const text =
  (characters: string): Move =>
  () =>
    Buffer.from(characters)

export interface LoginScript {
  readonly user: string
  readonly plugin?: string
  readonly tls?: boolean
  readonly capabilities?: number
  readonly schema?: string
  readonly collation?: number
  /** One for each turn of the client; the first goes with its handshake response. Then it hears until the end. */
  readonly moves: readonly Move[]
  /** Do not wait for the answer to the last move. */
  readonly leaves?: boolean
}

/** What is said to be the same everywhere is told byte by byte; scrambles and keys by what they are. */
export class LoginClient {
  readonly told: string[] = []
  #channel: Channel
  #scramble: Buffer = Buffer.alloc(0)
  #key = ''
  /** An error need not be the end of the connection. */
  #mayStay = false
  #answered = false
  #capabilities = MODERN

  private constructor(channel: Channel) {
    this.#channel = channel
  }

  static async arrive(port: number, script: LoginScript): Promise<LoginClient> {
    const transport = await connectSocket('127.0.0.1', port, AbortSignal.timeout(10_000))
    const client = new LoginClient(new Channel(transport, new MessageReader(LIMITS.bytesMax), LIMITS))
    await client.open(script)
    return client
  }

  /** PEM text, once the server has told its key. */
  get key(): string {
    return this.#key
  }

  private async open(script: LoginScript): Promise<void> {
    const channel = this.#channel
    const greeting = parseGreeting(await channel.read())
    this.#scramble = greeting.scramble
    const { tls = false, plugin = 'caching_sha2_password', user } = script
    this.#capabilities = (script.capabilities ?? MODERN) | CAPABILITY.LONG_PASSWORD
    if (tls) this.#capabilities |= CAPABILITY.SSL
    if (script.schema !== undefined) this.#capabilities |= CAPABILITY.CONNECT_WITH_DB
    const head = {
      capabilities: this.#capabilities,
      mariadbCapabilities: 0,
      packetBytesMax: 1 << 24,
      collation: script.collation ?? 45,
    }
    if (tls) {
      channel.write(buildSslRequest(head))
      const anyone = { mode: 'required', ca: null, cert: null, key: null } as const
      await channel.secure((plain) => startClientTls(plain, anyone, '127.0.0.1'))
    }
    channel.write(
      buildHandshakeResponse({
        ...head,
        user: Buffer.from(user),
        authResponse: script.moves[0]!(this.#scramble, ''),
        schema: script.schema === undefined ? null : Buffer.from(script.schema),
        authPlugin: plugin,
        attributes: new Map(),
        zstdLevel: 0,
      }),
    )
    await this.play(script)
  }

  async changeUser(script: LoginScript): Promise<void> {
    const request = {
      user: Buffer.from(script.user),
      authResponse: script.moves[0]!(this.#scramble, ''),
      schema: script.schema === undefined ? null : Buffer.from(script.schema),
      collation: script.collation ?? 45,
      authPlugin: script.plugin ?? 'caching_sha2_password',
      attributes: new Map(),
    }
    this.command(buildChangeUser(request, this.#capabilities))
    this.#mayStay = true
    await this.play(script)
  }

  /** Sends a command; its answer is to be heard. */
  command(payload: Buffer): void {
    this.#answered = false
    const { transport, reader } = this.#channel.release()
    this.#channel = new Channel(transport, reader, LIMITS)
    this.#channel.write(payload)
  }

  private async play({ moves, leaves = false }: LoginScript): Promise<void> {
    for (const move of moves.slice(1)) {
      if (!(await this.hear()) || this.#answered) return
      // Nobody has to say anything after that.
      if (this.told.at(-1) === FAST_OK) break
      this.#channel.write(move(this.#scramble, this.#key))
    }
    if (leaves) return
    while (!this.#answered && (await this.hear()));
  }

  /** What a statement gives: the words of its rows, or its error. False: the connection is closed. */
  async ask(sql: string): Promise<boolean> {
    this.command(buildQuery(sql, false))
    for (let ends = 0; ends < 2; ) {
      const payload = await this.#channel.read().catch((error: ChannelError) => error)
      if (payload instanceof Error) {
        this.told.push(`${sql}: ${payload.fault}`)
        return false
      }
      if (payload[0] === LEAD.EOF) ends += 1
      else if (payload[0] === LEAD.ERROR || payload[0] === LEAD.OK) {
        this.told.push(`${sql}: ${this.tell(payload)}`)
        return true
      } else if (ends === 1) this.told.push(`${sql}: ${payload.toString().replaceAll(/[^ -~]/g, '|')}`)
    }
    return true
  }

  /** False: nothing more will come before the client says something. */
  async hear(): Promise<boolean> {
    let payload: Buffer
    try {
      payload = await this.#channel.read()
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error
      this.told.push(error.fault)
      return false
    }
    this.told.push(this.tell(payload))
    this.#answered = this.#mayStay && payload[0] === LEAD.ERROR
    return payload[0] !== LEAD.OK
  }

  end(): void {
    this.#channel.end()
  }

  private tell(payload: Buffer): string {
    if (payload[0] === LEAD.ERROR) {
      const { errno, sqlState, message } = parseError(payload)
      return `error ${errno} ${sqlState} ${message}`
    }
    if (payload[0] === LEAD.EOF) {
      const { plugin, challenge } = parseAuthSwitch(payload)
      this.#scramble = challenge
      return `switch to ${plugin}, ${challenge.length} bytes`
    }
    if (payload[0] === LEAD.AUTH_MORE_DATA && payload.length > 100) {
      this.#key = payload.toString('latin1', 1)
      return `key: ${this.#key.replace(/^[A-Za-z0-9+/=]+$/gm, '…')}`
    }
    return payload.toString('hex')
  }
}
