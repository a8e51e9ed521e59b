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
  /** What the accepting side needs besides the session's number; asked at every arrival. */
  readonly accept: () => Omit<AcceptOptions, 'sessionId'>
}

export class Listener {
  readonly #options: ListenerOptions
  readonly #server: net.Server
  /** Clients that are still logging in, each counted against the limit. */
  readonly #arriving = new Set<net.Socket>()

  constructor(options: ListenerOptions) {
    this.#options = options
    // The protocol takes the socket over, with its own buffer: nothing may be read before that.
    this.#server = net.createServer({ pauseOnConnect: true, noDelay: true, keepAlive: true }, (socket) => {
      void this.receive(socket)
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

  /** Stops listening; who is already in stays. */
  close(): void {
    this.#server.close()
    for (const socket of this.#arriving) socket.destroy()
  }

  private async receive(socket: net.Socket): Promise<void> {
    const { protocol, shared, clientsMax, accept } = this.#options
    const { sessions, metrics, log } = shared
    if (sessions.count + this.#arriving.size >= clientsMax) {
      metrics.logins.labels('CLIENTS_MAX').value += 1
      return protocol.turnAway(socket, new ProxyError('CLIENTS_MAX', 'Too many connections'))
    }
    this.#arriving.add(socket)
    try {
      const client = await protocol.accept(socket, { ...accept(), sessionId: sessions.issueId() })
      metrics.logins.labels('ok').value += 1
      const session = new Session(client, shared)
      sessions.add(session)
      this.#arriving.delete(socket)
      await session.run()
      sessions.remove(session)
    } catch (error) {
      this.#arriving.delete(socket)
      socket.destroy()
      // Port scans and health checks come and go without a word.
      if (error instanceof ClientLost) {
        metrics.logins.labels('client lost').value += 1
        return
      }
      if (!(error instanceof ProxyError)) throw error
      metrics.logins.labels(error.code).value += 1
      log[error.traits.level]({ code: error.code, client: socket.remoteAddress, why: error.message }, 'login failed')
    }
  }
}
