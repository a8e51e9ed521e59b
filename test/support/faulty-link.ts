// A loopback link to a server that fails on command: cuts, freezes, half-closes, passes one byte at a time, or late. The
// monitor's connections go through it unharmed, so that a test breaks only what it means to break.

import net from 'node:net'

export type Direction = 'to-client' | 'to-server'

export interface Cut {
  readonly direction: Direction
  /** How many more bytes pass in that direction on the connection that is cut; the next one does not. */
  readonly afterBytes: number
  readonly how: 'fin' | 'rst'
}

/** One connection through the link; the client is whoever connected to it. */
class Connection {
  readonly client: net.Socket
  readonly server: net.Socket
  /** Null while nothing has been said that tells. */
  user: string | null = null
  /** Bytes that passed towards the client since `record()`. */
  recorded: Buffer[] | null = null
  /** What is late, by direction, in its order. */
  readonly late = new Map<Direction, Promise<void>>()

  constructor(client: net.Socket, server: net.Socket) {
    this.client = client
    this.server = server
  }

  end(how: Cut['how']): void {
    for (const socket of [this.client, this.server]) {
      if (how === 'rst') socket.resetAndDestroy()
      else socket.destroySoon()
    }
  }
}

export class FaultyLink {
  readonly #server: net.Server
  readonly #connections = new Set<Connection>()
  readonly #trickled = new Set<Direction>()
  #cut: Cut | null = null
  #passedBytes = 0
  #frozen = false
  #swallows = false
  #lateMs = 0
  #awaited: string | null = null
  /** Where it listened before it began to refuse. */
  #port = 0
  readonly #held: (() => void)[] = []
  /** How many connections were cut by `cutNext`. */
  cuts = 0

  private constructor(targetPort: number) {
    this.#server = net.createServer({ noDelay: true, pauseOnConnect: true }, (client) => {
      const server = net.connect({ host: '127.0.0.1', port: targetPort, noDelay: true })
      this.join(new Connection(client, server))
    })
  }

  static async open(targetPort: number): Promise<FaultyLink> {
    const link = new FaultyLink(targetPort)
    await new Promise<void>((resolve) => link.#server.listen(0, '127.0.0.1', resolve))
    return link
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`
  }

  /** How many connections live that are not the monitor's. */
  get connections(): number {
    return this.ours().length
  }

  /** The next connection to carry so many bytes that way ends there; the others live on. */
  cutNext(cut: Cut): void {
    this.#cut = cut
    this.#passedBytes = 0
  }

  /** All connections end now. */
  cutAll(how: Cut['how']): void {
    for (const connection of this.ours()) connection.end(how)
  }

  /** Only one direction of every connection ends now; the other stays open. */
  halfClose(direction: Direction): void {
    for (const { client, server } of this.ours()) (direction === 'to-client' ? client : server).end()
  }

  /** Every byte of this direction goes alone, each in a turn of the event loop of its own. */
  trickle(...directions: readonly Direction[]): void {
    this.#trickled.clear()
    for (const direction of directions) this.#trickled.add(direction)
  }

  /** Nothing passes any more, and nobody is told. */
  freeze(): void {
    this.#frozen = true
    for (const { client, server } of this.ours()) {
      client.pause()
      server.pause()
    }
  }

  thaw(): void {
    this.#frozen = false
    this.#swallows = false
    for (const { client, server } of this.#connections) {
      client.resume()
      server.resume()
    }
  }

  /** From now on everything takes so much longer; what is late already keeps its place. */
  slow(ms: number): void {
    this.#lateMs = ms
  }

  /** Like a cable that is pulled: for everybody, the monitor included, whoever is there or comes; until `thaw`. */
  swallow(): void {
    this.#swallows = true
    for (const { client, server } of this.#connections) {
      client.pause()
      server.pause()
    }
  }

  /** What is said to the server with this text in it waits until `letGo`; all else passes. */
  holdBack(text: string): void {
    this.#awaited = text
  }

  get held(): number {
    return this.#held.length
  }

  letGo(): void {
    this.#awaited = null
    for (const pass of this.#held.splice(0)) pass()
  }

  record(): void {
    for (const connection of this.ours()) connection.recorded = []
  }

  /** What passed towards clients since `record`, on the one connection that carried something. */
  get recorded(): Buffer {
    return Buffer.concat(this.ours().flatMap(({ recorded }) => recorded ?? []))
  }

  /** Like a server that has died: everybody is cut off, the monitor included, and who comes is refused, until `accept`. */
  async refuse(): Promise<void> {
    this.#port = (this.#server.address() as net.AddressInfo).port
    await this.close()
  }

  async accept(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve))
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return
    for (const connection of this.#connections) connection.end('rst')
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  private ours(): Connection[] {
    return [...this.#connections].filter(({ user }) => user === 'app')
  }

  private join(connection: Connection): void {
    const { client, server } = connection
    this.#connections.add(connection)
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('error', () => to.destroy())
      from.on('end', () => to.end())
      from.on('close', () => {
        this.#connections.delete(connection)
        to.destroySoon()
      })
    }
    client.on('data', (bytes) => this.pass(connection, 'to-server', bytes))
    server.on('data', (bytes) => this.pass(connection, 'to-client', bytes))
    server.once('connect', () => {
      if (this.#swallows) server.pause()
      else client.resume()
    })
  }

  private pass(connection: Connection, direction: Direction, bytes: Buffer): void {
    // The first thing a client says without TLS is its name.
    if (direction === 'to-server') connection.user ??= bytes.includes('monitor\0') ? 'monitor' : 'app'
    const [from, to] =
      direction === 'to-client' ? [connection.server, connection.client] : [connection.client, connection.server]
    if (connection.user !== 'app') return void to.write(bytes)
    if (direction === 'to-server' && this.#awaited !== null && bytes.includes(this.#awaited)) {
      this.#held.push(() => to.write(bytes))
      return
    }
    if (this.#frozen) from.pause()
    if (direction === 'to-client') connection.recorded?.push(Buffer.from(bytes))
    const cut = this.#cut
    if (cut !== null && cut.direction === direction) {
      const left = cut.afterBytes - this.#passedBytes
      this.#passedBytes += bytes.length
      if (bytes.length > left) {
        this.#cut = null
        this.cuts += 1
        from.pause()
        const rest = bytes.subarray(0, left)
        // What passes must have arrived before the end does, or a reset would take it back.
        if (rest.length === 0) return connection.end(cut.how)
        return void to.write(rest, () => setImmediate(() => setImmediate(() => connection.end(cut.how))))
      }
    }
    if (this.#lateMs > 0 || connection.late.has(direction)) return this.passLate(connection, direction, to, bytes)
    if (this.#trickled.has(direction)) return this.passSlowly(from, to, bytes)
    if (to.write(bytes)) return
    from.pause()
    to.once('drain', () => from.resume())
  }

  private passLate({ late }: Connection, direction: Direction, to: net.Socket, bytes: Buffer): void {
    const due = new Promise((done) => setTimeout(done, this.#lateMs))
    const passed = Promise.all([late.get(direction), due]).then(() => {
      to.write(bytes)
      if (late.get(direction) === passed) late.delete(direction)
    })
    late.set(direction, passed)
  }

  private passSlowly(from: net.Socket, to: net.Socket, bytes: Buffer): void {
    from.pause()
    let at = 0
    const next = (): void => {
      if (to.destroyed) return
      to.write(bytes.subarray(at, at + 1))
      at += 1
      if (at < bytes.length) setImmediate(next)
      else from.resume()
    }
    next()
  }
}
