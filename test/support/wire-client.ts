// A client that shows every byte: sends commands frame by frame and gives back the frames of the answer, unread.

import { type BackendLogin, type BackendTarget, changeUser, logIn } from '../../src/protocol/mysql/connect.ts'
import { frame, MessageReader } from '../../src/protocol/mysql/frames.ts'
import { CAPABILITY, type Ok } from '../../src/protocol/mysql/messages.ts'
import { type ReplyKind, ReplyTracker } from '../../src/protocol/mysql/reply-tracker.ts'
import { connectSocket } from '../../src/protocol/socket-transport.ts'

export interface WireClientOptions {
  readonly port: number
  readonly user?: string
  readonly password?: string
  readonly schema?: string | null
  readonly capabilities: number
  readonly extendedCapabilities?: number
  readonly sessionTrack?: boolean
  readonly tls?: BackendTarget['tls']['mode']
}

/** One frame of an answer. */
export interface WireFrame {
  readonly sequence: number
  readonly payload: Buffer
}

const ANSWER_MS_MAX = 20_000

export class WireClient {
  readonly login: BackendLogin
  readonly #tracker = new ReplyTracker()
  #closed: Error | null = null

  private constructor(login: BackendLogin) {
    this.login = login
    this.attach()
  }

  private attach(): void {
    const { login } = this
    login.transport.onClosed = (error) => {
      this.#closed = error ?? new Error('the other side closed the connection')
    }
    login.transport.onBytes = () => {}
    login.transport.resume()
  }

  static async connect(options: WireClientOptions): Promise<WireClient> {
    const { port, user = 'app', password = 'app_pw', schema = null, tls = 'disabled' } = options
    const transport = await connectSocket('127.0.0.1', port, AbortSignal.timeout(5_000))
    const target: BackendTarget = {
      host: '127.0.0.1',
      port,
      tls: { mode: tls, ca: null, cert: null, key: null },
      connectMsMax: 10_000,
      collation: 0,
      schema,
    }
    const { capabilities, extendedCapabilities = 0, sessionTrack = true } = options
    const login = await logIn(
      transport,
      target,
      { user, password },
      { capabilities, extendedCapabilities, sessionTrack },
    )
    return new WireClient(login)
  }

  /** Sends one command and gives the frames of its whole answer. */
  async ask(payload: Buffer, kind: ReplyKind): Promise<WireFrame[]> {
    if (this.#closed !== null) throw this.#closed
    const { transport, capabilities } = this.login
    const form = {
      deprecateEof: (capabilities & CAPABILITY.DEPRECATE_EOF) !== 0,
      optionalMetadata: (capabilities & CAPABILITY.OPTIONAL_RESULTSET_METADATA) !== 0,
    }
    this.#tracker.begin(kind, form)
    return new Promise((resolve, reject) => {
      let bytes = Buffer.alloc(0)
      let at = 0
      const deadline = setTimeout(() => reject(new Error('no whole answer in time')), ANSWER_MS_MAX)
      transport.onClosed = (error) => {
        this.#closed = error ?? new Error('the other side closed the connection')
        clearTimeout(deadline)
        reject(this.#closed)
      }
      transport.onBytes = (chunk) => {
        bytes = Buffer.concat([bytes, chunk])
        while (!this.#tracker.ended) {
          const stop = this.#tracker.feed(bytes, at)
          at = stop === 'none' ? this.#tracker.forwardable : this.#tracker.end
          if (stop === 'none') break
        }
        if (!this.#tracker.ended) return
        clearTimeout(deadline)
        resolve(framesIn(bytes))
      }
      transport.write(frame(payload, 0))
    })
  }

  /** COM_CHANGE_USER, with what the server wants to know on the way. Rejects where the change is refused. */
  async changeUser(schema: string | null, collation: number, user = 'app', password = 'app_pw'): Promise<Ok> {
    const ok = await changeUser({ ...this.login, collation }, { user, password }, schema, ANSWER_MS_MAX)
    this.attach()
    return ok
  }

  /** Sends a command that nobody answers. */
  tell(payload: Buffer): void {
    this.login.transport.write(frame(payload, 0))
  }

  end(): void {
    this.login.transport.write(frame(Buffer.from([1]), 0))
    this.login.transport.end()
  }
}

function framesIn(bytes: Buffer): WireFrame[] {
  const reader = new MessageReader(1 << 30)
  reader.push(bytes)
  const frames: WireFrame[] = []
  for (let message = reader.shift(); message !== null; message = reader.shift()) {
    frames.push({ sequence: message.sequence, payload: message.payload })
  }
  return frames
}
