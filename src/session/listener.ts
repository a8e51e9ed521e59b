// A port that speaks one protocol: turns sockets into sessions, up to the admission limit.

import type { Socket } from 'node:net'
import { ProxyError } from '../errors.ts'
import { type AcceptOptions, ClientLost, type Protocol } from '../protocol/protocol.ts'
import { type Bind, ListeningSocket } from './listening-socket.ts'
import { Session } from './session.ts'
import type { Shared } from './shared.ts'

export interface ListenerOptions {
  readonly name: string
  readonly bind: Bind
  readonly clientsMax: number
  readonly protocol: Protocol
  readonly shared: Shared
  /** What the accepting side needs besides what is the arrival's own; asked at every arrival. */
  readonly accept: () => AcceptOptions
}

export class Listener {
  readonly #options: ListenerOptions
  /** Where clients connect. */
  readonly socket: ListeningSocket
  /** Clients that are still logging in here. */
  readonly #arriving = new Set<AbortController>()

  constructor(options: ListenerOptions) {
    this.#options = options
    this.socket = new ListeningSocket(options.bind, (socket) => void this.receive(socket))
  }

  get name(): string {
    return this.#options.name
  }

  /** Whoever is still logging in is told to go; who is already in stays. */
  turnAway(): void {
    const reason = new ProxyError('SHUTTING_DOWN', 'Server shutdown in progress')
    for (const arrival of this.#arriving) arrival.abort(reason)
  }

  /** A client has connected, and gets this number. Resolves when it has gone. */
  receive(socket: Socket, id = this.#options.shared.sessions.issueId()): Promise<void> {
    const { protocol, shared, clientsMax } = this.#options
    const { sessions } = shared
    if (sessions.count + sessions.arriving >= clientsMax) {
      const error = new ProxyError('CLIENTS_MAX', 'Too many connections')
      this.tell(error, socket)
      protocol.turnAway(socket, error)
      return Promise.resolve()
    }
    const arrival = new AbortController()
    this.#arriving.add(arrival)
    sessions.arriving += 1
    return this.logIn(socket, id, arrival.signal).then((session) => {
      const gone = session === null ? undefined : this.serve(session)
      this.#arriving.delete(arrival)
      sessions.arriving -= 1
      return gone
    })
  }

  /** Knows nothing of the login, so that nothing of the login lives on. */
  private serve(session: Session): Promise<void> {
    const { sessions } = this.#options.shared
    sessions.add(session)
    return session.run().then(() => sessions.remove(session))
  }

  /** Null: the client was turned away, or has gone. */
  private async logIn(socket: Socket, id: number, signal: AbortSignal): Promise<Session | null> {
    const { protocol, shared, accept } = this.#options
    const { metrics } = shared
    let options: ReturnType<typeof accept> | null = null
    try {
      options = accept()
      const client = await protocol.accept(socket, options, { signal, sessionId: id })
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

  private tell(error: ProxyError, socket: Socket): void {
    const { log, metrics } = this.#options.shared
    metrics.logins.labels(error.code).value += 1
    log[error.traits.level]({ code: error.code, client: socket.remoteAddress, why: error.message }, 'login failed')
  }
}
