// A client arrives: greeting, TLS, login. The last word of the login (OK or an error) is left to the session, which may
// still have to refuse.

import { ProxyError } from '../../errors.ts'
import { type AcceptOptions, type Account, type Arrival, ClientLost, type Refusal } from '../protocol.ts'
import { startServerTls } from '../tls.ts'
import type { Transport } from '../transport.ts'
import { certificateProof, createScramble } from './auth.ts'
import { authenticate, type Proving } from './authenticate.ts'
import { Channel, ChannelError } from './channel.ts'
import { frame, MessageReader } from './frames.ts'
import {
  buildError,
  buildGreeting,
  CAPABILITY,
  type HandshakeResponse,
  isSslRequest,
  MalformedMessage,
  OldProtocol,
  parseChangeUser,
  parseHandshakeResponse,
  serverVersion,
} from './messages.ts'
import { freshStatus } from './modes.ts'
import { defaultCollation, greetingVersion, type Offer, offerTo } from './offer.ts'
import { buildWireError } from './wire-errors.ts'

/** A client that has proved who it is and still waits for the answer to its login. */
export interface ClientLogin {
  /**
   * The way to the client, inside TLS where it asked for that. Paused, and without callbacks: set them, then `resume`.
   * Never compressed yet: with `compression`, everything after the answer to the login is (`startCompression`).
   */
  readonly transport: Transport
  /** Holds what the client sent beyond its login. */
  readonly reader: MessageReader
  /** Sequence number of the answer to the login. */
  readonly sequence: number
  /** What both sides can do: the client's wishes out of what was offered to it. Unsigned. */
  readonly capabilities: number
  /** MariaDB's further 32 bits; 0 with a client that does not know them. */
  readonly extendedCapabilities: number
  readonly account: Account
  /** Number of the collation the client asked for. */
  readonly collation: number
  /** Null when the client named none. */
  readonly schema: string | null
  readonly attributes: ReadonlyMap<string, string>
  readonly compression: Compression
  /** The largest packet the client said it can take; 0: it did not say. */
  readonly packetBytesMax: number
  /** What the OK that answers the login has to say besides; empty as a rule. */
  readonly text: Buffer
  /** Of the greeting. A client without CLIENT_PLUGIN_AUTH proves itself with it again when it changes its user. */
  readonly scramble: Buffer
}

export type Compression = 'none' | 'zlib' | 'zstd'

/**
 * Greets and authenticates. Throws ProxyError once the client was told and its transport ended, ClientLost when it went
 * away. The transport's own callbacks are replaced.
 */
export async function acceptLogin(
  transport: Transport,
  options: AcceptOptions & Arrival & Proving,
): Promise<ClientLogin> {
  const { loginMsMax, loginBytesMax, signal } = options
  const limits = { msMax: loginMsMax, bytesMax: loginBytesMax, sequence: 0, strict: true, signal }
  const channel = new Channel(transport, new MessageReader(loginBytesMax), limits)
  return guard(channel, async () => {
    const offer = offerTo(options)
    const scramble = createScramble()
    channel.write(greetingOf(options, offer, scramble))
    const response = await readResponse(channel, options)
    if (options.tls.mode === 'required' && channel.transport.tls === null)
      throw new ProxyError('TLS_REQUIRED', TLS_TEXT)
    const wish = { user: userName(response.user), response: response.authResponse, plugin: response.authPlugin }
    const account = await authenticate(channel, wish, {
      ...provingOf(options),
      fallback: offer.plugin,
      scramble,
      // A client that brings another plugin than the greeting's may not have looked at the greeting's scramble.
      mustSwitch: response.authPlugin !== offer.plugin,
      canSwitch: (response.capabilities & CAPABILITY.PLUGIN_AUTH) !== 0,
    })
    return {
      ...channel.release(),
      ...agreedBy(response, offer),
      account,
      collation: response.collation,
      schema: response.schema?.toString() ?? null,
      attributes: response.attributes,
      packetBytesMax: response.packetBytesMax,
      text: welcomeText(options.serverVersion, account, scramble, channel.transport.tls),
      scramble,
    }
  })
}

function provingOf({ accounts, rsaKey, proven }: Proving): Proving {
  return { accounts, rsaKey, proven }
}

const NOTHING = Buffer.alloc(0)
/** The first MariaDB whose clients want to know whose certificate it is, and take the password for an answer. */
const CERTIFICATE_PROOF_VERSION = 110401

function welcomeText(version: string, account: Account, scramble: Buffer, tls: Transport['tls']): Buffer {
  const { engine, number } = serverVersion(version)
  if (engine !== 'mariadb' || number < CERTIFICATE_PROOF_VERSION) return NOTHING
  if (!account.password || tls === null || tls.fingerprint === null) return NOTHING
  return certificateProof(account.password, scramble, tls.fingerprint)
}

const TLS_TEXT = 'Connections using insecure transport are prohibited while the listener has tls.mode: required.'

function greetingOf(options: AcceptOptions & Arrival, offer: Offer, scramble: Buffer): Buffer {
  return buildGreeting({
    version: greetingVersion(options.serverVersion),
    connectionId: options.sessionId,
    capabilities: offer.capabilities,
    mariadbCapabilities: offer.extendedCapabilities,
    collation: options.serverCollation ?? defaultCollation(options.serverVersion),
    status: freshStatus(serverVersion(options.serverVersion), options.serverModes),
    scramble,
    authPlugin: offer.plugin,
  })
}

/** The handshake response, from inside TLS if the client asks for that first. */
async function readResponse(channel: Channel, { tls }: AcceptOptions): Promise<HandshakeResponse> {
  const first = await channel.read()
  if (!isSslRequest(first)) return parseHandshakeResponse(first)
  const { secureContext } = tls
  if (tls.mode === 'off' || secureContext === null) throw new MalformedMessage('TLS was not offered')
  await channel.secure((plain, early) => startServerTls(plain, secureContext, early))
  return parseHandshakeResponse(await channel.read())
}

/** As the servers do: quotes around a name are not part of it. */
function userName(bytes: Buffer): string {
  const name = bytes.toString()
  return name.length > 1 && name.startsWith("'") && name.endsWith("'") ? name.slice(1, -1) : name
}

function agreedBy(response: HandshakeResponse, offer: Offer) {
  const capabilities = (response.capabilities & offer.capabilities) >>> 0
  let compression: Compression = 'none'
  if ((capabilities & CAPABILITY.COMPRESS) !== 0) compression = 'zlib'
  else if ((capabilities & CAPABILITY.ZSTD_COMPRESSION_ALGORITHM) !== 0) compression = 'zstd'
  return { capabilities, extendedCapabilities: response.mariadbCapabilities & offer.extendedCapabilities, compression }
}

/** What a client's wish to become another user came to. */
export type ChangeUserOutcome = ChangeUserLogin | ChangeUserRefusal

export interface ChangeUserLogin {
  /** Sequence number of the answer. */
  readonly sequence: number
  readonly refusal: null
  readonly account: Account
  /** Null: the message named none, the server's default applies. */
  readonly collation: number | null
  readonly schema: string | null
}

export interface ChangeUserRefusal {
  readonly sequence: number
  readonly refusal: Refusal
  /** The client is not to be trusted with another request. */
  readonly closes: boolean
}

export interface ChangeUserOptions extends Proving {
  readonly loginMsMax: number
  readonly loginBytesMax: number
  /** As agreed at login. */
  readonly capabilities: number
  readonly serverVersion: string
  /** Of the greeting. */
  readonly scramble: Buffer
}

/**
 * Authenticates a COM_CHANGE_USER (`payload` is the whole message, `sequence` the one of the next message to send) over
 * a connection that is between requests. Takes over the transport's callbacks while it lasts, and gives it back paused.
 * The answer is left to the session. Throws ClientLost.
 */
export async function acceptChangeUser(
  link: { readonly transport: Transport; readonly reader: MessageReader },
  payload: Buffer,
  sequence: number,
  options: ChangeUserOptions,
): Promise<ChangeUserOutcome> {
  const { capabilities, loginMsMax, loginBytesMax } = options
  const { bytesMax } = link.reader
  const limits = { msMax: loginMsMax, bytesMax: loginBytesMax, sequence, strict: true }
  const channel = new Channel(link.transport, link.reader, limits)
  try {
    const request = parseChangeUser(payload, capabilities)
    const canSwitch = (capabilities & CAPABILITY.PLUGIN_AUTH) !== 0
    const wish = { user: request.user.toString(), response: request.authResponse, plugin: request.authPlugin }
    const account = await authenticate(channel, wish, {
      ...provingOf(options),
      fallback:
        serverVersion(options.serverVersion).engine === 'mysql' ? 'caching_sha2_password' : 'mysql_native_password',
      scramble: options.scramble,
      // Both servers ask every client that can be asked, with a scramble of its own.
      mustSwitch: true,
      canSwitch,
    })
    const { collation, schema } = request
    return {
      sequence: channel.release().sequence,
      refusal: null,
      account,
      collation,
      schema: schema?.toString() ?? null,
    }
  } catch (error) {
    throwIfLost(error, channel)
    const { error: failure, answer } = failureOf(error)
    const refusal = { what: 'login', message: failure.message, frame: answer } as const
    return { sequence: channel.sequence, refusal, closes: error instanceof ChannelError }
  } finally {
    channel.leave()
    link.reader.bytesMax = bytesMax
  }
}

/** Tells a client that it cannot be served, before any login, and closes. */
export function turnAway(transport: Transport, error: ProxyError): void {
  // Before a client has said what it can do, servers leave the SQLSTATE out.
  transport.write(frame(buildWireError(error, false), 0))
  transport.end()
}

/** Tells the client what went wrong, closes, and throws it on as what the core knows. */
async function guard<T>(channel: Channel, login: () => Promise<T>): Promise<T> {
  try {
    return await login()
  } catch (error) {
    throwIfLost(error, channel)
    const failure = failureOf(error)
    channel.write(failure.answer)
    channel.end()
    throw failure.error
  }
}

function throwIfLost(error: unknown, channel: Channel): void {
  if (!(error instanceof ChannelError) || !['closed', 'tls'].includes(error.fault)) return
  channel.destroy()
  throw new ClientLost(`the client left during its login: ${error.message}`, { cause: error })
}

function failureOf(error: unknown): { readonly error: ProxyError; readonly answer: Buffer } {
  if (error instanceof ProxyError) return { error, answer: buildWireError(error) }
  if (error instanceof ChannelError && error.fault === 'timeout') {
    const timeout = new ProxyError('LOGIN_TIMEOUT', `${error.message} (limits.loginMsMax)`, { cause: error })
    return { error: timeout, answer: buildWireError(timeout) }
  }
  if (error instanceof OldProtocol) {
    const old = new ProxyError('MALFORMED_REQUEST', error.message, { cause: error })
    return {
      error: old,
      answer: buildError(1251, '', 'Client does not support authentication protocol requested by server'),
    }
  }
  if (error instanceof MalformedMessage || error instanceof ChannelError) {
    const malformed = new ProxyError('MALFORMED_REQUEST', `bad handshake: ${error.message}`, { cause: error })
    return { error: malformed, answer: buildError(1043, '08S01', 'Bad handshake') }
  }
  const internal = new ProxyError('INTERNAL', 'the login failed for a reason of our own', { cause: error })
  return { error: internal, answer: buildWireError(internal) }
}
