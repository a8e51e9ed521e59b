// A server that speaks the protocol and has its answers ready, so that a benchmark measures the proxy before it.

import net from 'node:net'
import { FAST_AUTH_OK } from '../../src/protocol/mysql/auth.ts'
import { Channel } from '../../src/protocol/mysql/channel.ts'
import { type Message, MessageReader } from '../../src/protocol/mysql/frames.ts'
import {
  buildAuthMoreData,
  buildAuthSwitch,
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
import { CANNED_VERSION, CannedReplies, cannedClaim, cannedPrepared, type Role } from './canned-replies.ts'

const LOGIN_MS_MAX = 10_000
const MESSAGE_BYTES_MAX = 1 << 24
const PLUGIN = 'caching_sha2_password'
const SCRAMBLE = Buffer.from('abcdefghijklmnopqrst')
const UTF8MB4_0900_AI_CI = 255
const POINT_SELECT = Buffer.from('SELECT c FROM sbtest1 WHERE id=')
/** What sysbench asks for besides: rows by a range of ids, in some order; and their sum. */
const RANGE = /^SELECT (?:DISTINCT )?c FROM sbtest1 WHERE id BETWEEN (\d+) AND (\d+)/
const SUM = /^SELECT SUM/
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
      authPlugin: PLUGIN,
    }),
  )
  const response = parseHandshakeResponse(await channel.read())
  const capabilities = response.capabilities & offered
  if (response.authPlugin !== PLUGIN) {
    channel.write(buildAuthSwitch({ plugin: PLUGIN, challenge: SCRAMBLE }))
    await channel.read()
  }
  channel.write(buildAuthMoreData(Buffer.of(FAST_AUTH_OK)))
  channel.write(buildOk({}, capabilities))
  return { ...channel.release(), capabilities }
}

class CannedConnection {
  readonly #role: Role
  readonly #transport: Transport
  readonly #reader: MessageReader
  readonly #capabilities: number
  #tracking = false
  #inTransaction = false
  #replies: CannedReplies
  #statements = 0

  constructor(role: Role, login: Awaited<ReturnType<typeof logIn>>) {
    this.#role = role
    this.#transport = login.transport
    this.#reader = login.reader
    this.#capabilities = login.capabilities
    this.#replies = CannedReplies.of(login.capabilities, { tracking: false, inTransaction: false })
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
        return this.become(false, false).ok
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
    if (sql.length > POINT_SELECT.length && POINT_SELECT.compare(sql, 0, POINT_SELECT.length) === 0) {
      return this.#replies.textRow
    }
    const text = sql.toString()
    const range = RANGE.exec(text)
    if (range !== null) return this.#replies.rows(Number(range[2]) - Number(range[1]) + 1)
    if (SUM.test(text)) return this.#replies.textRow
    if (text === 'BEGIN') return this.become(this.#tracking, true).ok
    if (text === 'COMMIT') return this.become(this.#tracking, false).ok
    if (text.includes(TRACK_ALL)) this.become(true, this.#inTransaction)
    return cannedClaim(text, this.#role, this.#capabilities) ?? this.#replies.ok
  }

  private become(tracking: boolean, inTransaction: boolean): CannedReplies {
    this.#tracking = tracking
    this.#inTransaction = inTransaction
    this.#replies = CannedReplies.of(this.#capabilities, { tracking, inTransaction })
    return this.#replies
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
