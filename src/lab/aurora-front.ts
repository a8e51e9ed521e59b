// One instance's face: speaks as the server behind it does, but for what an Aurora instance would say otherwise. It reads
// along in both directions, rewrites what asks for Aurora's own things, and gives refusals Aurora's words.

import { connect, createServer, type Server, type Socket } from 'node:net'
import { Transform, type TransformCallback } from 'node:stream'
import { connect as connectTls, TLSSocket } from 'node:tls'

/** What a front does with whoever comes, and with who is there. */
export type FrontState =
  | 'up'
  /** Nobody listens, and who was connected is cut off. */
  | 'gone'
  /** Connections are accepted and stay, and nothing is ever answered on them. */
  | 'mute'

export interface FrontOptions {
  readonly host: string
  readonly port: number
  readonly server: { readonly host: string; readonly port: number }
  readonly certificate: { readonly key: string; readonly cert: string }
  /** What the server shall be asked instead. */
  readonly rewrite: (sql: string) => string
  /** Resolves when the server has all that is committed. */
  readonly catchUp: () => Promise<void>
  /** How a reader refuses to write. */
  readonly refusal: Refusal
}

export interface Refusal {
  readonly errno: number
  readonly message: string
}

export class AuroraFront {
  readonly #options: FrontOptions
  readonly #sockets = new Set<Socket>()
  #server: Server | null = null
  #state: FrontState = 'gone'

  constructor(options: FrontOptions) {
    this.#options = options
  }

  get connections(): number {
    return this.#sockets.size
  }

  async become(state: FrontState): Promise<void> {
    this.#state = state
    if (state === 'gone') {
      const server = this.#server
      this.#server = null
      const closed = server === null ? null : new Promise<void>((done) => server.close(() => done()))
      for (const socket of this.#sockets) socket.resetAndDestroy()
      await closed
      return
    }
    for (const socket of this.#sockets) {
      if (state === 'mute') socket.pause()
      else socket.destroy()
    }
    if (this.#server === null) await this.listen()
  }

  private async listen(): Promise<void> {
    const { host, port } = this.#options
    const server = createServer({ noDelay: true }, (socket) => this.arrived(socket))
    this.#server = server
    await new Promise<void>((done, failed) => {
      server.once('error', failed)
      server.listen(port, host, done)
    })
  }

  private arrived(client: Socket): void {
    this.#sockets.add(client)
    client.on('error', () => client.destroy())
    client.once('close', () => this.#sockets.delete(client))
    if (this.#state !== 'up') {
      client.pause()
      return
    }
    const server = connect({ ...this.#options.server, noDelay: true })
    server.on('error', () => client.destroy())
    client.once('close', () => server.destroy())
    server.once('close', () => client.destroy())
    void this.greet(client, server).catch(() => client.destroy())
  }

  /** Up to the login both sides are read a packet at a time; whether there is TLS is decided by then. */
  private async greet(client: Socket, server: Socket): Promise<void> {
    const greeting = await readPacket(server)
    client.write(plainGreeting(greeting))
    const first = await readPacket(client)
    server.write(first)
    const { key, cert } = this.#options.certificate
    // An SSLRequest is a login that ends before the user's name. What follows is for TLS.
    const isTls = first.length === 36 && (first.readUInt32LE(4) & CLIENT_SSL) !== 0
    const [near, far] = isTls
      ? [
          new TLSSocket(client, { isServer: true, key, cert }),
          connectTls({ socket: server, rejectUnauthorized: false }),
        ]
      : [client, server]
    for (const socket of [near, far]) socket.on('error', () => client.destroy())
    const phase = { isLoggedIn: false, readsNewest: false }
    near.pipe(new Requests(this.#options, phase)).pipe(far)
    far.pipe(new Replies(this.#options.refusal, phase)).pipe(near)
  }
}

const CLIENT_COMPRESS = 1 << 5
const CLIENT_SSL = 1 << 11
/** Of the upper half. */
const CLIENT_ZSTD = 1 << 10
const HEADER = 4
const PAYLOAD_MAX = 0xffffff

/** What the front could not read along with is not offered. */
function plainGreeting(packet: Buffer): Buffer {
  const protocolVersion = packet[HEADER]
  if (protocolVersion !== 10) return packet
  const copy = Buffer.from(packet)
  // After the version's NUL: connection id, 8 bytes of the challenge, a filler; then capabilities in two halves.
  const lower = copy.indexOf(0, HEADER + 1) + 1 + 4 + 8 + 1
  copy.writeUInt16LE(copy.readUInt16LE(lower) & ~CLIENT_COMPRESS, lower)
  const upper = lower + 2 + 1 + 2
  copy.writeUInt16LE(copy.readUInt16LE(upper) & ~CLIENT_ZSTD, upper)
  return copy
}

/** One packet, header and all; what comes after it stays in the socket. */
function readPacket(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let header: Buffer | null = null
    const look = () => {
      header ??= socket.read(HEADER) as Buffer | null
      const payload = header === null ? null : (socket.read(header.readUIntLE(0, 3)) as Buffer | null)
      if (header === null || payload === null) return
      socket.off('readable', look)
      resolve(Buffer.concat([header, payload]))
    }
    socket.on('readable', look)
    socket.once('close', () => reject(new Error('closed before it was logged in')))
    look()
  })
}

interface Phase {
  isLoggedIn: boolean
  /** `aurora_replica_read_consistency` is GLOBAL, so that whatever is asked waits for all that is committed. */
  readsNewest: boolean
}

/** Cuts a stream into packets, and hands on what `change` makes of each. */
abstract class Packets extends Transform {
  #pending: Buffer[] = []
  #pendingBytes = 0
  /** So much must be there before it is worth looking again. */
  #wantedBytes = HEADER
  /** The last packet was as long as can be: this one goes on with it. */
  #isContinued = false

  protected abstract change(packet: Buffer): Buffer

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#pending.push(chunk)
    this.#pendingBytes += chunk.length
    if (this.#pendingBytes >= this.#wantedBytes) this.cut(Buffer.concat(this.#pending))
    done()
  }

  private cut(bytes: Buffer): void {
    let rest = bytes
    this.#wantedBytes = HEADER
    while (rest.length >= HEADER) {
      const length = rest.readUIntLE(0, 3)
      if (rest.length < HEADER + length) {
        this.#wantedBytes = HEADER + length
        break
      }
      const packet = rest.subarray(0, HEADER + length)
      const isWhole = !this.#isContinued && length < PAYLOAD_MAX
      this.#isContinued = length === PAYLOAD_MAX
      this.push(isWhole && length > 0 ? this.change(packet) : packet)
      rest = rest.subarray(HEADER + length)
    }
    this.#pending = rest.length === 0 ? [] : [rest]
    this.#pendingBytes = rest.length
  }
}

const COM_QUERY = 0x03
const COM_STMT_PREPARE = 0x16
const COM_CHANGE_USER = 0x11
const COM_RESET_CONNECTION = 0x1f
const READ_CONSISTENCY = /,\s*(?:SESSION\s+)?aurora_replica_read_consistency\s*=\s*'(\w*)'/i

class Requests extends Packets {
  readonly #options: Pick<FrontOptions, 'rewrite' | 'catchUp'>
  readonly #phase: Phase

  constructor(options: Pick<FrontOptions, 'rewrite' | 'catchUp'>, phase: Phase) {
    super()
    this.#options = options
    this.#phase = phase
  }

  override _transform(chunk: Buffer, encoding: string, done: TransformCallback): void {
    if (!this.#phase.readsNewest) return super._transform(chunk, encoding, done)
    this.#options.catchUp().then(() => super._transform(chunk, encoding, done), done)
  }

  protected change(packet: Buffer): Buffer {
    const command = packet[HEADER]
    // A command is the first packet of its exchange; the others are parts of a login or an upload.
    if (this.#phase.isLoggedIn && packet[3] === 0 && (command === COM_RESET_CONNECTION || command === COM_CHANGE_USER))
      this.#phase.readsNewest = false
    if (!this.#phase.isLoggedIn || packet[3] !== 0 || (command !== COM_QUERY && command !== COM_STMT_PREPARE))
      return packet
    // No attributes, one set of them: what a query begins with where the client can send any.
    const hasPrefix = command === COM_QUERY && packet[HEADER + 1] === 0 && packet[HEADER + 2] === 1
    const textAt = HEADER + (hasPrefix ? 3 : 1)
    const sql = packet.toString('latin1', textAt)
    const rewritten = this.#options.rewrite(this.withoutConsistency(sql))
    if (rewritten === sql) return packet
    return framed(0, Buffer.concat([packet.subarray(HEADER, textAt), Buffer.from(rewritten, 'latin1')]))
  }

  /** The server behind does not know that variable. */
  private withoutConsistency(sql: string): string {
    const set = READ_CONSISTENCY.exec(sql)
    if (set === null) return sql
    this.#phase.readsNewest = set[1]!.toUpperCase() === 'GLOBAL'
    return sql.replace(READ_CONSISTENCY, '')
  }
}

const OK = 0x00
const ERR = 0xff
const ER_OPTION_PREVENTS_STATEMENT = 1290

class Replies extends Packets {
  readonly #refusal: Refusal
  readonly #phase: Phase

  constructor(refusal: Refusal, phase: Phase) {
    super()
    this.#refusal = refusal
    this.#phase = phase
  }

  protected change(packet: Buffer): Buffer {
    const first = packet[HEADER]
    if (!this.#phase.isLoggedIn) {
      this.#phase.isLoggedIn = first === OK
      return packet
    }
    // No row begins with that byte, so it is an error wherever it stands.
    if (first !== ERR || packet.readUInt16LE(HEADER + 1) !== ER_OPTION_PREVENTS_STATEMENT) return packet
    if (!packet.includes('read-only') && !packet.includes('read_only')) return packet
    const { errno, message } = this.#refusal
    const payload = Buffer.concat([Buffer.from([ERR, errno & 0xff, errno >> 8]), Buffer.from(`#HY000${message}`)])
    return framed(packet[3]!, payload)
  }
}

function framed(sequence: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(HEADER)
  header.writeUIntLE(payload.length, 0, 3)
  header[3] = sequence
  return Buffer.concat([header, payload])
}
