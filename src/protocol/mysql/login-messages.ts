// The messages of a login: greeting, TLS request, handshake response, and the turns of authentication. Pure.

import { FieldReader, FieldWriter, MalformedMessage } from './fields.ts'
import { CAPABILITY, COMMAND, LEAD } from './numbers.ts'

export interface Greeting {
  /** As the server sent it, a "5.5.5-" in front included; see `engineOf`. */
  readonly version: string
  readonly connectionId: number
  readonly capabilities: number
  /** MariaDB's upper half; 0 from MySQL. */
  readonly mariadbCapabilities: number
  readonly collation: number
  readonly status: number
  /** 20 bytes as a rule, without the zero that ends it. */
  readonly scramble: Buffer
  /** Empty when the server named none. */
  readonly authPlugin: string
}

export interface ServerVersion {
  readonly engine: 'mysql' | 'mariadb'
  /** Without MariaDB's "5.5.5-". */
  readonly version: string
  /** Major * 10000 + minor * 100 + patch; 0 when the text does not begin with numbers. */
  readonly number: number
}

// MariaDB 10 calls itself 5.5.5 on the wire, so that old replicas do not take it for MySQL 10.
const MARIADB_PREFIX = '5.5.5-'

export function serverVersion(text: string): ServerVersion {
  const prefixed = text.startsWith(MARIADB_PREFIX)
  const version = prefixed ? text.slice(MARIADB_PREFIX.length) : text
  const parts = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(version)
  const number =
    parts === null ? 0 : Number(parts[1]) * 10000 + Number(parts[2]) * 100 + Number.parseInt(parts[3] ?? '0', 10)
  return { engine: prefixed || /mariadb/i.test(version) ? 'mariadb' : 'mysql', version, number }
}

const PROTOCOL_VERSION = 10
const SCRAMBLE_HEAD_BYTES = 8

/** Throws MalformedMessage; an ERR instead of a greeting is the caller's to look for first. */
export function parseGreeting(payload: Buffer): Greeting {
  const reader = new FieldReader(payload)
  const protocolVersion = reader.u8()
  if (protocolVersion !== PROTOCOL_VERSION) throw new MalformedMessage(`protocol version ${protocolVersion}`)
  const version = reader.zeroEnded().toString()
  const connectionId = reader.u32()
  const head = reader.take(SCRAMBLE_HEAD_BYTES)
  reader.skip(1)
  let capabilities = reader.u16()
  let collation = 0
  let status = 0
  let mariadbCapabilities = 0
  let scramble = Buffer.from(head)
  let authPlugin = ''
  if (reader.left > 0) {
    collation = reader.u8()
    status = reader.u16()
    capabilities = (capabilities | (reader.u16() << 16)) >>> 0
    const scrambleBytes = reader.u8()
    reader.skip(6)
    const extended = reader.u32()
    if ((capabilities & CAPABILITY.LONG_PASSWORD) === 0) mariadbCapabilities = extended
    if ((capabilities & (CAPABILITY.SECURE_CONNECTION | CAPABILITY.PLUGIN_AUTH)) !== 0) {
      // The rest has at least 13 bytes, the last of them a zero.
      const tail = reader.take(Math.min(Math.max(13, scrambleBytes - SCRAMBLE_HEAD_BYTES), reader.left))
      const end = tail.length > 0 && tail[tail.length - 1] === 0 ? tail.length - 1 : tail.length
      scramble = Buffer.concat([head, tail.subarray(0, end)])
    }
    if ((capabilities & CAPABILITY.PLUGIN_AUTH) !== 0) authPlugin = reader.zeroEndedOrRest().toString()
  }
  return { version, connectionId, capabilities, mariadbCapabilities, collation, status, scramble, authPlugin }
}

/** LONG_PASSWORD in `capabilities` decides the flavour: without it MariaDB's capabilities are sent, else zeros. */
export function buildGreeting(greeting: Greeting): Buffer {
  const { capabilities, scramble } = greeting
  const extended = (capabilities & CAPABILITY.LONG_PASSWORD) === 0 ? greeting.mariadbCapabilities : 0
  const tail = scramble.subarray(SCRAMBLE_HEAD_BYTES)
  const writer = new FieldWriter()
    .u8(PROTOCOL_VERSION)
    .zeroEnded(greeting.version)
    .u32(greeting.connectionId)
    .put(scramble.subarray(0, SCRAMBLE_HEAD_BYTES))
    .u8(0)
    .u16(capabilities & 0xffff)
    .u8(greeting.collation & 0xff)
    .u16(greeting.status)
    .u16(capabilities >>> 16)
    .u8((capabilities & CAPABILITY.PLUGIN_AUTH) === 0 ? 0 : scramble.length + 1)
    .zeros(6)
    .u32(extended)
    .put(tail)
    .zeros(Math.max(1, 13 - tail.length))
  if ((capabilities & CAPABILITY.PLUGIN_AUTH) !== 0) writer.zeroEnded(greeting.authPlugin)
  return writer.bytes()
}

export interface HandshakeResponse {
  readonly capabilities: number
  readonly mariadbCapabilities: number
  readonly packetBytesMax: number
  readonly collation: number
  readonly user: Buffer
  readonly authResponse: Buffer
  /** Null when none was given, or an empty one. */
  readonly schema: Buffer | null
  /** Empty when the client named none. */
  readonly authPlugin: string
  readonly attributes: ReadonlyMap<string, string>
  /** 0 when not given. */
  readonly zstdLevel: number
}

const SSL_REQUEST_BYTES = 32

/** A client's first message when it wants TLS: the head of a handshake response, and nothing more. */
export interface SslRequest {
  readonly capabilities: number
  readonly mariadbCapabilities: number
  readonly packetBytesMax: number
  readonly collation: number
}

export function isSslRequest(payload: Buffer): boolean {
  return payload.length >= 4 && (payload.readUInt16LE(0) & CAPABILITY.SSL) !== 0 && payload.length <= SSL_REQUEST_BYTES
}

export function parseSslRequest(payload: Buffer): SslRequest {
  return readHead(new FieldReader(payload))
}

function readHead(reader: FieldReader): SslRequest {
  const capabilities = reader.u32()
  if ((capabilities & CAPABILITY.PROTOCOL_41) === 0) throw new OldProtocol('a client of before MySQL 4.1')
  const packetBytesMax = reader.u32()
  const collation = reader.u8()
  reader.skip(19)
  const extended = reader.u32()
  const mariadb = (capabilities & CAPABILITY.LONG_PASSWORD) === 0
  return { capabilities, mariadbCapabilities: mariadb ? extended : 0, packetBytesMax, collation }
}

/** A client of before 4.1: recognised, and not served. */
export class OldProtocol extends MalformedMessage {}

function writeHead(head: SslRequest): FieldWriter {
  const mariadb = (head.capabilities & CAPABILITY.LONG_PASSWORD) === 0
  return new FieldWriter()
    .u32(head.capabilities)
    .u32(head.packetBytesMax)
    .u8(head.collation & 0xff)
    .zeros(19)
    .u32(mariadb ? head.mariadbCapabilities : 0)
}

export function buildSslRequest(head: SslRequest): Buffer {
  return writeHead(head).bytes()
}

/** Throws OldProtocol for a client of before 4.1, MalformedMessage for one that cannot be read. */
export function parseHandshakeResponse(payload: Buffer): HandshakeResponse {
  const reader = new FieldReader(payload)
  const head = readHead(reader)
  const { capabilities } = head
  const user = reader.zeroEnded()
  let authResponse: Buffer
  if ((capabilities & CAPABILITY.PLUGIN_AUTH_LENENC_CLIENT_DATA) !== 0) authResponse = reader.string()
  else if ((capabilities & CAPABILITY.SECURE_CONNECTION) !== 0) authResponse = reader.take(reader.u8())
  else authResponse = reader.zeroEnded()
  const schema = (capabilities & CAPABILITY.CONNECT_WITH_DB) !== 0 ? nameOrNull(reader.zeroEnded()) : null
  const authPlugin = (capabilities & CAPABILITY.PLUGIN_AUTH) !== 0 ? reader.zeroEndedOrRest().toString() : ''
  const attributes = (capabilities & CAPABILITY.CONNECT_ATTRS) !== 0 ? parseAttributes(reader) : NO_ATTRIBUTES
  const zstd = (capabilities & CAPABILITY.ZSTD_COMPRESSION_ALGORITHM) !== 0 && reader.left > 0
  const zstdLevel = zstd ? reader.u8() : 0
  return { ...head, user, authResponse, schema, authPlugin, attributes, zstdLevel }
}

const NO_ATTRIBUTES: ReadonlyMap<string, string> = new Map()

function nameOrNull(name: Buffer): Buffer | null {
  return name.length > 0 ? name : null
}

function parseAttributes(reader: FieldReader): ReadonlyMap<string, string> {
  if (reader.left === 0) return NO_ATTRIBUTES
  const pairs = new FieldReader(reader.string())
  const attributes = new Map<string, string>()
  while (pairs.left > 0) {
    const name = pairs.string().toString()
    attributes.set(name, pairs.string().toString())
  }
  return attributes
}

function buildAttributes(attributes: ReadonlyMap<string, string>): Buffer {
  const writer = new FieldWriter()
  for (const [name, value] of attributes) writer.string(name).string(value)
  return writer.bytes()
}

/** `capabilities` say which parts are written, and how. */
export function buildHandshakeResponse(response: HandshakeResponse): Buffer {
  const { capabilities } = response
  const writer = writeHead(response).zeroEnded(response.user)
  if ((capabilities & CAPABILITY.PLUGIN_AUTH_LENENC_CLIENT_DATA) !== 0) writer.string(response.authResponse)
  else if ((capabilities & CAPABILITY.SECURE_CONNECTION) !== 0) {
    writer.u8(response.authResponse.length).put(response.authResponse)
  } else writer.zeroEnded(response.authResponse)
  if ((capabilities & CAPABILITY.CONNECT_WITH_DB) !== 0) writer.zeroEnded(response.schema ?? '')
  if ((capabilities & CAPABILITY.PLUGIN_AUTH) !== 0) writer.zeroEnded(response.authPlugin)
  if ((capabilities & CAPABILITY.CONNECT_ATTRS) !== 0) writer.string(buildAttributes(response.attributes))
  if ((capabilities & CAPABILITY.ZSTD_COMPRESSION_ALGORITHM) !== 0) writer.u8(response.zstdLevel)
  return writer.bytes()
}

export interface AuthSwitch {
  /** `mysql_old_password` when the server sent the bare byte of before 4.1. */
  readonly plugin: string
  readonly challenge: Buffer
}

/** The challenge loses the zero that ends it, when it has one. */
export function parseAuthSwitch(payload: Buffer): AuthSwitch {
  return parsePluginTurn(payload, LEAD.EOF)
}

export function buildAuthSwitch(request: AuthSwitch): Buffer {
  return new FieldWriter().u8(LEAD.EOF).zeroEnded(request.plugin).zeroEnded(request.challenge).bytes()
}

/** MySQL asks for one more proof (MULTI_FACTOR_AUTHENTICATION). */
export function parseAuthNextFactor(payload: Buffer): AuthSwitch {
  return parsePluginTurn(payload, LEAD.AUTH_NEXT_FACTOR)
}

function parsePluginTurn(payload: Buffer, lead: number): AuthSwitch {
  const reader = new FieldReader(payload)
  if (reader.u8() !== lead) throw new MalformedMessage('not what was expected during the login')
  if (reader.left === 0) return { plugin: 'mysql_old_password', challenge: reader.rest() }
  const plugin = reader.zeroEnded().toString()
  const challenge = reader.rest()
  const ended = challenge.length > 0 && challenge[challenge.length - 1] === 0
  return { plugin, challenge: ended ? challenge.subarray(0, -1) : challenge }
}

export function parseAuthMoreData(payload: Buffer): Buffer {
  const reader = new FieldReader(payload)
  if (reader.u8() !== LEAD.AUTH_MORE_DATA) throw new MalformedMessage('not what was expected during the login')
  return reader.rest()
}

export function buildAuthMoreData(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([LEAD.AUTH_MORE_DATA]), bytes])
}

export interface ChangeUser {
  readonly user: Buffer
  readonly authResponse: Buffer
  readonly schema: Buffer | null
  /** Null when the client left it out. */
  readonly collation: number | null
  readonly authPlugin: string
  readonly attributes: ReadonlyMap<string, string>
}

export function parseChangeUser(payload: Buffer, capabilities: number): ChangeUser {
  const reader = new FieldReader(payload)
  if (reader.u8() !== COMMAND.CHANGE_USER) throw new MalformedMessage('not a change of user')
  const user = reader.zeroEnded()
  const secure = (capabilities & (CAPABILITY.SECURE_CONNECTION | CAPABILITY.PLUGIN_AUTH)) !== 0
  const authResponse = secure ? reader.take(reader.u8()) : reader.zeroEnded()
  const schema = nameOrNull(reader.zeroEndedOrRest())
  const collation = reader.left >= 2 ? reader.u16() : null
  const plugin = (capabilities & CAPABILITY.PLUGIN_AUTH) !== 0 && reader.left > 0
  const authPlugin = plugin ? reader.zeroEndedOrRest().toString() : ''
  const attributes = (capabilities & CAPABILITY.CONNECT_ATTRS) !== 0 ? parseAttributes(reader) : NO_ATTRIBUTES
  return { user, authResponse, schema, collation, authPlugin, attributes }
}

export function buildChangeUser(request: ChangeUser, capabilities: number): Buffer {
  const writer = new FieldWriter().u8(COMMAND.CHANGE_USER).zeroEnded(request.user)
  if ((capabilities & (CAPABILITY.SECURE_CONNECTION | CAPABILITY.PLUGIN_AUTH)) !== 0) {
    writer.u8(request.authResponse.length).put(request.authResponse)
  } else writer.zeroEnded(request.authResponse)
  writer.zeroEnded(request.schema ?? '').u16(request.collation ?? 0)
  if ((capabilities & CAPABILITY.PLUGIN_AUTH) !== 0) writer.zeroEnded(request.authPlugin)
  if ((capabilities & CAPABILITY.CONNECT_ATTRS) !== 0) writer.string(buildAttributes(request.attributes))
  return writer.bytes()
}
