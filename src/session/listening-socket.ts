// A socket that clients connect to: opened here, or taken over from a process that has listened on it so far.

import net from 'node:net'

export interface Bind {
  readonly host: string
  readonly port: number
}

/** What a process that takes over knows a socket by. */
export const keyOf = ({ host, port }: Bind): string => `${host}:${port}`

/** A socket as Node holds it, for another process that goes on with it. Opaque. */
export type SocketHandle = object

export class ListeningSocket {
  /** Where the settings want it; with port 0 it is elsewhere. */
  readonly bind: Bind
  readonly #server: net.Server

  constructor(bind: Bind, receive: (socket: net.Socket) => void) {
    this.bind = bind
    // Whoever takes a socket over has a buffer of its own: nothing may be read before that.
    this.#server = net.createServer({ pauseOnConnect: true, noDelay: true, keepAlive: true }, receive)
  }

  /** Where clients connect, once it listens. */
  get address(): Bind {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') return this.bind
    return { host: address.address, port: address.port }
  }

  /** What another process needs to listen here as well; it may go on when this one closes. */
  get handle(): SocketHandle {
    return handleOf(this.#server)
  }

  /** `given`: the handle of another process. Rejects when the address cannot be listened on. */
  listen(given: SocketHandle | null): Promise<void> {
    return listen(this.#server, this.bind, given)
  }

  close(): void {
    this.#server.close()
  }
}

const BACKLOG = 1024

export function listen(server: net.Server, { host, port }: Bind, given: SocketHandle | null): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const listening = () => {
      server.off('error', reject)
      resolve()
    }
    if (given === null) server.listen({ host, port, backlog: BACKLOG }, listening)
    else server.listen(given, BACKLOG, listening)
  })
}

/** Not public in Node, and the only way to give a socket away without a listener of its own in every process it passes. */
export function handleOf(owner: net.Server): SocketHandle {
  return (owner as unknown as { readonly _handle: SocketHandle })._handle
}

/** Takes a client's socket that nothing was read from out of this process's hands; null: it is closed already. */
export function detach(socket: net.Socket): SocketHandle | null {
  const owner = socket as unknown as { _handle: SocketHandle | null }
  const handle = owner._handle
  owner._handle = null
  socket.destroy()
  return handle
}

/** Into this process's hands; paused, as `ListeningSocket` gives them. */
export function attach(handle: SocketHandle): net.Socket {
  return new net.Socket({ handle, pauseOnCreate: true } as net.SocketConstructorOpts)
}

/** Done with here; another process may have it. */
export function closeHandle(handle: SocketHandle): void {
  ;(handle as { close(): void }).close()
}
