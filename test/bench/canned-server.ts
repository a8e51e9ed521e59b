// A server that speaks the protocol and has one answer, so that a benchmark measures the proxy before it.

import net from 'node:net'
import { Channel } from '../../src/protocol/mysql/channel.ts'
import { type Message, MessageReader } from '../../src/protocol/mysql/frames.ts'
import {
  buildGreeting,
  buildOk,
  CAPABILITY,
  COMMAND,
  parseHandshakeResponse,
  parseQuery,
  STATUS,
} from '../../src/protocol/mysql/messages.ts'
import { offerTo } from '../../src/protocol/mysql/offer.ts'
import { acceptSocket } from '../../src/protocol/socket-transport.ts'
import type { Transport } from '../../src/protocol/transport.ts'
import {
  CANNED_VERSION,
  type CannedReplies,
  cannedClaim,
  cannedPrepared,
  cannedReplies,
  type Role,
} from './canned-replies.ts'

const LOGIN_MS_MAX = 10_000
const MESSAGE_BYTES_MAX = 1 << 24
const SCRAMBLE = Buffer.from('abcdefghijklmnopqrst')
const UTF8MB4_0900_AI_CI = 255
const POINT_SELECT = Buffer.from('SELECT c')
const TRACK_ALL = "session_track_system_variables = '*'"

/** What MySQL offers. */
const OFFER = offerTo({
  serverVersion: CANNED_VERSION,
  tls: { mode: 'off', secureContext: null },
  compression: false,
})

/** Everybody gets in. */
async function logIn(transport: Transport) {
  const limits = { msMax: LOGIN_MS_MAX, bytesMax: MESSAGE_BYTES_MAX, sequence: 0, strict: false }
  const channel = new Channel(transport, new MessageReader(MESSAGE_BYTES_MAX), limits)
  const { capabilities: offered } = OFFER
  channel.write(
    buildGreeting({
      version: CANNED_VERSION,
      connectionId: 1,
      capabilities: offered,
      mariadbCapabilities: 0,
      collation: UTF8MB4_0900_AI_CI,
      status: STATUS.AUTOCOMMIT,
      scramble: SCRAMBLE,
      authPlugin: 'mysql_native_password',
    }),
  )
  const capabilities = parseHandshakeResponse(await channel.read()).capabilities & offered
  channel.write(buildOk({}, capabilities))
  return { ...channel.release(), capabilities }
}

class CannedConnection {
  readonly #role: Role
  readonly #transport: Transport
  readonly #reader: MessageReader
  readonly #capabilities: number
  #replies: CannedReplies
  #statements = 0

  constructor(role: Role, login: Awaited<ReturnType<typeof logIn>>) {
    this.#role = role
    this.#transport = login.transport
    this.#reader = login.reader
    this.#capabilities = login.capabilities
    this.#replies = cannedReplies(login.capabilities, false)
    login.transport.onBytes = (bytes) => this.receive(bytes)
    login.transport.resume()
  }

  private receive(bytes: Buffer): void {
    this.#reader.push(bytes)
    for (let message = this.#reader.shift(); message !== null; message = this.#reader.shift()) {
      const reply = this.replyTo(message)
      if (reply !== null) this.#transport.write(reply)
    }
  }

  /** Null: nobody waits for an answer. */
  private replyTo({ payload }: Message): Buffer | null {
    switch (payload[0]) {
      case COMMAND.QUERY:
        return this.replyToQuery(payload)
      case COMMAND.STMT_EXECUTE:
        return this.#replies.binaryRow
      case COMMAND.STMT_PREPARE:
        this.#statements += 1
        return cannedPrepared(this.#statements, this.#capabilities)
      case COMMAND.RESET_CONNECTION:
        this.#replies = cannedReplies(this.#capabilities, false)
        return this.#replies.ok
      case COMMAND.STMT_CLOSE:
        return null
      case COMMAND.QUIT:
        this.#transport.end()
        return null
      default:
        return this.#replies.ok
    }
  }

  private replyToQuery(payload: Buffer): Buffer {
    const { sql } = parseQuery(payload, (this.#capabilities & CAPABILITY.QUERY_ATTRIBUTES) !== 0)
    if (POINT_SELECT.compare(sql, 0, POINT_SELECT.length) === 0) return this.#replies.textRow
    const text = sql.toString()
    if (text.includes(TRACK_ALL)) this.#replies = cannedReplies(this.#capabilities, true)
    return cannedClaim(text, this.#role, this.#capabilities) ?? this.#replies.ok
  }
}

export interface CannedServer {
  readonly port: number
  close(): void
}

export function startCanned(role: Role): Promise<CannedServer> {
  const server = net.createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    const transport = acceptSocket(socket)
    logIn(transport).then(
      (login) => new CannedConnection(role, login),
      // Whoever only looks whether somebody listens.
      () => transport.destroy(),
    )
  })
  return new Promise((resolve) => {
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, () => {
      resolve({ port: (server.address() as net.AddressInfo).port, close: () => server.close() })
    })
  })
}
