// We arrive at a backend: greeting, TLS, login. What comes out is ready for its first command.

import { type BackendTls, ConnectFailed, type ConnectOptions } from '../protocol.ts'
import { connectSocket } from '../socket-transport.ts'
import { startClientTls } from '../tls.ts'
import type { Transport } from '../transport.ts'
import {
  clearProof,
  FAST_AUTH_OK,
  FULL_AUTH_NEEDED,
  firstProof,
  hasRawChallenge,
  KEY_REQUEST,
  parsecProof,
  RAW_CHALLENGE_BYTES,
  rsaProof,
} from './auth.ts'
import { Channel, ChannelError } from './channel.ts'
import { MessageReader } from './frames.ts'
import {
  buildChangeUser,
  buildHandshakeResponse,
  buildSslRequest,
  CAPABILITY,
  type Greeting,
  LEAD,
  MalformedMessage,
  type Ok,
  parseAuthMoreData,
  parseAuthSwitch,
  parseError,
  parseGreeting,
  parseOk,
  serverVersion,
} from './messages.ts'
import { defaultCollation } from './offer.ts'

/** A backend that has let us in. */
export interface BackendLogin {
  /** Paused, and without callbacks: set them, then `resume`. */
  readonly transport: Transport
  readonly reader: MessageReader
  /** What both sides can do. Unsigned. */
  readonly capabilities: number
  /** MariaDB's further 32 bits; 0 elsewhere. */
  readonly extendedCapabilities: number
  /** The server's version string, without the `5.5.5-` that MariaDB 10 puts before its own. */
  readonly version: string
  readonly engine: 'mysql' | 'mariadb'
  /** The server's number for this connection, what KILL takes. */
  readonly connectionId: number
  /** The OK that ended the login: status flags, and what the trackers say at the start. */
  readonly ok: Ok
  readonly status: number
  /** Number of the collation this connection was opened with. */
  readonly collation: number
  /** And of the one that the server greets with. */
  readonly serverCollation: number
  /** Of the greeting. */
  readonly scramble: Buffer
}

/** Who we are to a backend. */
export interface BackendUser {
  readonly user: string
  readonly password: string
}

export interface BackendTarget {
  readonly host: string
  readonly port: number
  readonly tls: BackendTls
  readonly connectMsMax: number
  /** Collation number to ask for; 0: the server's own choice for utf8mb4. */
  readonly collation: number
  readonly schema: string | null
}

export function targetOf({ backend, tls, connectMsMax }: ConnectOptions): BackendTarget {
  return { host: backend.host, port: backend.port, tls, connectMsMax, collation: 0, schema: null }
}

/** What every login of ours needs or wants, whatever the identity. */
const ALWAYS =
  CAPABILITY.PROTOCOL_41 |
  CAPABILITY.SECURE_CONNECTION |
  CAPABILITY.PLUGIN_AUTH |
  CAPABILITY.PLUGIN_AUTH_LENENC_CLIENT_DATA |
  CAPABILITY.CONNECT_ATTRS |
  CAPABILITY.LONG_FLAG |
  CAPABILITY.TRANSACTIONS |
  CAPABILITY.SESSION_TRACK

/** Asked for by our own doing only. */
const NEVER_FOR_THE_ASKING =
  CAPABILITY.SSL |
  CAPABILITY.COMPRESS |
  CAPABILITY.ZSTD_COMPRESSION_ALGORITHM |
  CAPABILITY.CONNECT_WITH_DB |
  CAPABILITY.MULTI_FACTOR_AUTHENTICATION

/** The largest message of a login we read; real ones have some hundred bytes. */
const LOGIN_BYTES_MAX = 64 * 1024
/** What a reply may bring at most in one message, once in. */
const MESSAGE_BYTES_MAX = 2 ** 30
/** The value of the servers' own clients: the largest packet we can take. */
const PACKET_BYTES_MAX = 2 ** 30

const ATTRIBUTES: ReadonlyMap<string, string> = new Map([
  ['_client_name', 'sluice'],
  ['program_name', 'sluice'],
  ['_pid', String(process.pid)],
])

export interface Wanted {
  readonly capabilities: number
  readonly extendedCapabilities: number
  /** Session tracking is always asked for, unless this says no. */
  readonly sessionTrack?: boolean
}

/**
 * Connects and logs in, asking for those of `capabilities` and `extendedCapabilities` that the server offers, and for
 * what a login needs. Throws ConnectFailed.
 */
export async function openBackend(
  target: BackendTarget,
  user: BackendUser,
  capabilities: number,
  extendedCapabilities: number,
): Promise<BackendLogin> {
  const startMs = performance.now()
  const transport = await reach(target)
  const connectMsMax = Math.max(1, target.connectMsMax - (performance.now() - startMs))
  return logIn(transport, { ...target, connectMsMax }, user, { capabilities, extendedCapabilities })
}

/** The login itself, over a transport on which nothing was said yet. */
export async function logIn(
  transport: Transport,
  target: BackendTarget,
  user: BackendUser,
  wanted: Wanted,
  signal?: AbortSignal,
): Promise<BackendLogin> {
  const limits = { msMax: target.connectMsMax, bytesMax: LOGIN_BYTES_MAX, sequence: 0, strict: false, signal }
  const channel = new Channel(transport, new MessageReader(LOGIN_BYTES_MAX), limits)
  return guard(channel, placeOf(target), async () => {
    const greeting = await readGreeting(channel)
    const { engine, version } = serverVersion(greeting.version)
    const agreed = {
      capabilities: agreedCapabilities(wanted, greeting, target.schema !== null),
      mariadbCapabilities: wanted.extendedCapabilities & greeting.mariadbCapabilities,
      packetBytesMax: PACKET_BYTES_MAX,
      collation: target.collation === 0 ? defaultCollation(version) : target.collation,
    }
    if (usesTls(target, greeting)) {
      agreed.capabilities = (agreed.capabilities | CAPABILITY.SSL) >>> 0
      channel.write(buildSslRequest(agreed))
      await channel.secure((plain) => startClientTls(plain, target.tls, target.host))
    }
    const prover = new Prover(channel, user.password, greeting)
    channel.write(
      buildHandshakeResponse({
        ...agreed,
        user: Buffer.from(user.user),
        authResponse: prover.start(),
        schema: target.schema === null ? null : Buffer.from(target.schema),
        authPlugin: prover.plugin,
        attributes: ATTRIBUTES,
        zstdLevel: 0,
      }),
    )
    const ok = parseOk(await prover.finish(), agreed.capabilities)
    return {
      ...released(channel),
      ...agreed,
      extendedCapabilities: agreed.mariadbCapabilities,
      version,
      engine,
      connectionId: greeting.connectionId,
      ok,
      status: ok.status,
      serverCollation: greeting.collation,
      scramble: greeting.scramble,
    }
  })
}

/**
 * Logs in again over an open connection that is between requests (COM_CHANGE_USER): another user, or the same with
 * everything forgotten. Takes over the transport's callbacks while it lasts, and gives it back paused. Throws
 * ConnectFailed; the connection is of no more use then.
 */
export async function changeUser(
  login: BackendLogin,
  user: BackendUser,
  schema: string | null,
  connectMsMax: number,
): Promise<Ok> {
  const { transport, reader, capabilities, collation } = login
  const limits = { msMax: connectMsMax, bytesMax: LOGIN_BYTES_MAX, sequence: 0, strict: false }
  const channel = new Channel(transport, reader, limits)
  return guard(channel, `${transport.peerAddress} (change of user)`, async () => {
    // Servers ask for a proof with a scramble of its own, so this one is not worked out twice.
    const prover = new Prover(channel, user.password, { authPlugin: '', scramble: login.scramble })
    const request = {
      user: Buffer.from(user.user),
      authResponse: NOTHING,
      schema: schema === null ? null : Buffer.from(schema),
      collation,
      authPlugin: '',
      attributes: ATTRIBUTES,
    }
    channel.write(buildChangeUser(request, capabilities))
    const ok = parseOk(await prover.finish(), capabilities)
    released(channel)
    return ok
  })
}

const NOTHING = Buffer.alloc(0)

/** A connection on which nothing was said yet. Throws ConnectFailed. `signal` ends the attempt. */
export async function reach(
  { host, port, connectMsMax }: BackendTarget,
  signal: AbortSignal | null = null,
): Promise<Transport> {
  const late = AbortSignal.timeout(connectMsMax)
  try {
    return await connectSocket(host, port, signal === null ? late : AbortSignal.any([late, signal]))
  } catch (error) {
    const timeout = (error as Error).name === 'TimeoutError'
    const why = timeout ? `no connection within ${connectMsMax} ms` : (error as Error).message
    throw new ConnectFailed('network', `${host}:${port}: ${why}`, null, { cause: error })
  }
}

async function readGreeting(channel: Channel): Promise<Greeting> {
  const payload = await channel.read()
  if (payload[0] === LEAD.ERROR) throw refused(payload)
  return parseGreeting(payload)
}

function agreedCapabilities(wanted: Wanted, greeting: Greeting, withSchema: boolean): number {
  const always = wanted.sessionTrack === false ? ALWAYS & ~CAPABILITY.SESSION_TRACK : ALWAYS
  let capabilities =
    always | (wanted.capabilities & ~NEVER_FOR_THE_ASKING) | (withSchema ? CAPABILITY.CONNECT_WITH_DB : 0)
  capabilities &= greeting.capabilities
  // MySQL expects it of every client; to MariaDB it says that no extended capabilities follow.
  if (serverVersion(greeting.version).engine === 'mysql') capabilities |= CAPABILITY.LONG_PASSWORD
  else capabilities &= ~CAPABILITY.LONG_PASSWORD
  return capabilities >>> 0
}

function usesTls({ tls, host }: BackendTarget, greeting: Greeting): boolean {
  if (tls.mode === 'disabled') return false
  if ((greeting.capabilities & CAPABILITY.SSL) !== 0) return true
  if (tls.mode === 'preferred') return false
  const why = `${host} offers no TLS, and tls.mode is ${tls.mode}`
  throw new ConnectFailed('network', why, null, { cause: new ChannelError('tls', why) })
}

function released(channel: Channel): { readonly transport: Transport; readonly reader: MessageReader } {
  const { transport, reader } = channel.release()
  reader.bytesMax = MESSAGE_BYTES_MAX
  return { transport, reader }
}

/** Answers a server's challenges until it is content. */
class Prover {
  plugin: string
  #scramble: Buffer
  readonly #channel: Channel
  readonly #password: string

  constructor(channel: Channel, password: string, first: { readonly authPlugin: string; readonly scramble: Buffer }) {
    this.#channel = channel
    this.#password = password
    this.plugin = first.authPlugin
    this.#scramble = first.scramble
  }

  private get secure(): boolean {
    return this.#channel.transport.tls !== null
  }

  /** The proof that goes with the handshake response; a plugin we lack, or none, becomes one that the server may change. */
  start(): Buffer {
    const known = firstProof(this.plugin, this.#password, this.#scramble, this.secure)
    if (known !== null) return known
    this.plugin = 'mysql_native_password'
    return firstProof(this.plugin, this.#password, this.#scramble, this.secure) ?? NOTHING
  }

  /** The OK's payload. */
  async finish(): Promise<Buffer> {
    for (;;) {
      const payload = await this.#channel.read()
      switch (payload[0]) {
        case LEAD.OK:
          return payload
        case LEAD.ERROR:
          throw refused(payload)
        case LEAD.EOF:
          this.switch(payload)
          break
        case LEAD.AUTH_MORE_DATA:
          await this.proveMore(parseAuthMoreData(payload))
          break
        default:
          // MariaDB sends what a plugin says as it is, unless it could be taken for something else.
          await this.proveMore(payload)
      }
    }
  }

  private switch(payload: Buffer): void {
    const { plugin, challenge: text } = parseAuthSwitch(payload)
    // Where every byte may be a zero, the last one is no end.
    const challenge = hasRawChallenge(plugin) ? payload.subarray(-RAW_CHALLENGE_BYTES) : text
    const proof = firstProof(plugin, this.#password, challenge, this.secure)
    if (proof === null) {
      const why = plugin === 'mysql_clear_password' ? ' over a link without TLS' : ', which is not known here'
      throw new ConnectFailed('login', `the server asks for ${plugin}${why}`, null)
    }
    this.plugin = plugin
    this.#scramble = challenge
    this.#channel.write(proof)
  }

  private async proveMore(bytes: Buffer): Promise<void> {
    if (this.plugin === 'parsec') {
      const proof = await parsecProof(this.#password, this.#scramble, bytes)
      if (proof !== null) return this.#channel.write(proof)
    }
    if (this.plugin === 'sha256_password') return this.#channel.write(rsaProof(this.#password, this.#scramble, bytes))
    if (this.plugin === 'caching_sha2_password' && bytes[0] === FAST_AUTH_OK) return
    if (this.plugin === 'caching_sha2_password' && bytes[0] === FULL_AUTH_NEEDED) return this.proveFully()
    throw new MalformedMessage(`an unknown turn of ${this.plugin}`)
  }

  private async proveFully(): Promise<void> {
    // The server's cache does not know us yet: it wants the password itself.
    if (this.secure) return this.#channel.write(clearProof(this.#password))
    this.#channel.write(Buffer.from([KEY_REQUEST.caching_sha2_password]))
    const answer = await this.#channel.read()
    if (answer[0] === LEAD.ERROR) throw refused(answer)
    const key = answer[0] === LEAD.AUTH_MORE_DATA ? parseAuthMoreData(answer) : answer
    this.#channel.write(rsaProof(this.#password, this.#scramble, key))
  }
}

/** 1040 too many connections, 1203 and 1226 too many of this user's. */
const CAPACITY = new Set([1040, 1203, 1226])
/**
 * Wrong user, password, host or schema (1044, 1045, 1049, 1130, 1698), a host that failed too often (1129), a scheme or
 * link that will not do (1251, 1275, 2059, 3159), a password that ran out or an account that is locked (1820, 1862, 3118,
 * 3955, 4151).
 */
const LOGIN = new Set([1044, 1045, 1049, 1129, 1130, 1251, 1275, 1698, 1820, 1862, 2059, 3118, 3159, 3955, 4151])

function refused(payload: Buffer): ConnectFailed {
  const { errno, message } = parseError(payload)
  const text = message.toString()
  let kind: ConnectFailed['kind'] = 'network'
  if (CAPACITY.has(errno)) kind = 'capacity'
  else if (LOGIN.has(errno)) kind = 'login'
  return new ConnectFailed(kind, text, { what: 'login', message: text, frame: payload })
}

async function guard<T>(channel: Channel, place: string, login: () => Promise<T>): Promise<T> {
  try {
    return await login()
  } catch (error) {
    channel.destroy()
    if (error instanceof ConnectFailed) throw error
    if (error instanceof ChannelError || error instanceof MalformedMessage) {
      throw new ConnectFailed('network', `${place}: ${error.message}`, null, { cause: error })
    }
    throw new ConnectFailed('network', `${place}: the login failed: ${(error as Error).message}`, null, {
      cause: error,
    })
  }
}

function placeOf({ host, port }: BackendTarget): string {
  return `${host}:${port}`
}
