// A port that speaks one protocol: turns sockets into sessions, up to the admission limit.

import net from 'node:net'
import { ProxyError } from '../errors.ts'
import { type AcceptOptions, ClientLost, type Protocol } from '../protocol/protocol.ts'
import { Session } from './session.ts'
import type { Shared } from './shared.ts'

export interface ListenerOptions {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly clientsMax: number
  readonly protocol: Protocol
  readonly shared: Shared
  /** What the accepting side needs besides what is the arrival's own; asked at every arrival. */
  readonly accept: () => AcceptOptions
}

export class Listener {
  readonly #options: ListenerOptions
  readonly #server: net.Server
  /** Clients that are still logging in here. */
  readonly #arriving = new Set<AbortController>()

  constructor(options: ListenerOptions) {
    this.#options = options
    // The protocol takes the socket over, with its own buffer: nothing may be read before that.
    this.#server = net.createServer({ pauseOnConnect: true, noDelay: true, keepAlive: true }, (socket) => {
      this.receive(socket)
    })
  }

  /** Where clients connect, once it listens. */
  get address(): { readonly host: string; readonly port: number } {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') return this.#options
    return { host: address.address, port: address.port }
  }

  listen(): Promise<void> {
    const { host, port } = this.#options
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host, port, backlog: 1024 }, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  /** Stops listening; who is already in stays, and whoever is still logging in is told to go. */
  close(): void {
    this.#server.close()
    const reason = new ProxyError('SHUTTING_DOWN', 'Server shutdown in progress')
    for (const arrival of this.#arriving) arrival.abort(reason)
  }

  private receive(socket: net.Socket): void {
    const { protocol, shared, clientsMax } = this.#options
    const { sessions } = shared
    if (sessions.count + sessions.arriving >= clientsMax) {
      const error = new ProxyError('CLIENTS_MAX', 'Too many connections')
      this.tell(error, socket)
      return protocol.turnAway(socket, error)
    }
    const arrival = new AbortController()
    this.#arriving.add(arrival)
    sessions.arriving += 1
    void this.logIn(socket, arrival.signal).then((session) => {
      this.#arriving.delete(arrival)
      sessions.arriving -= 1
      if (session !== null) this.serve(session)
    })
  }

  /** Knows nothing of the login, so that nothing of the login lives on. */
  private serve(session: Session): void {
    const { sessions } = this.#options.shared
    sessions.add(session)
    void session.run().then(() => sessions.remove(session))
  }

  /** Null: the client was turned away, or has gone. */
  private async logIn(socket: net.Socket, signal: AbortSignal): Promise<Session | null> {
    const { protocol, shared, accept } = this.#options
    const { sessions, metrics } = shared
    let options: ReturnType<typeof accept> | null = null
    try {
      options = accept()
      const client = await protocol.accept(socket, options, { signal, sessionId: sessions.issueId() })
      metrics.logins.labels('ok').value += 1
      return new Session(client, shared)
    } catch (error) {
      if (error instanceof ProxyError) {
        this.tell(error, socket)
        // Nobody has said a word to it yet.
        if (options === null) protocol.turnAway(socket, error)
      } else if (error instanceof ClientLost) {
        // Port scans and health checks come and go without a word.
        metrics.logins.labels('client lost').value += 1
      } else shared.log.error({ err: error }, 'login ended by a bug')
      if (options !== null) socket.destroy()
      return null
    }
  }

  private tell(error: ProxyError, socket: net.Socket): void {
    const { log, metrics } = this.#options.shared
    metrics.logins.labels(error.code).value += 1
    log[error.traits.level]({ code: error.code, client: socket.remoteAddress, why: error.message }, 'login failed')
  }
}
