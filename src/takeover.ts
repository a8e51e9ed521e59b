// A new process takes over from the one that serves, without a moment in which nobody listens: the old one starts it (so
// that it is of the version that is installed now, with the settings as they are now), gives it the listening sockets
// once it could serve, and lets its own sessions end. The process that was started first stays as the parent of whoever
// serves, because that is the one that a service manager or container knows: it passes on signals, and sockets from one
// successor to the next.

import { type ChildProcess, fork, type SendHandle } from 'node:child_process'
import type { Log } from './log.ts'
import type { AnyProxy, Sockets } from './proxy.ts'
import { closeHandle, type SocketHandle } from './session/listening-socket.ts'

/** Tells a process that it is a successor. */
export const INHERIT = '--inherit'

/** A successor that cannot serve by then is given up. */
const READY_MS_MAX = 60_000

/** For a moment both accept clients: the successor leaves so many numbers to those of the old one. */
const IDS_LEFT = 65_536

/** Between versions of Sluice: what is here may grow, and not change. */
type Message =
  /** Successor: give me the sockets; I have them and serve; somebody asked me to be replaced. */
  | { readonly sluice: 'ready' | 'serving' | 'replace' }
  /** Parent: another one is ready, give up your sockets; and end. */
  | { readonly sluice: 'give' | 'retire' }
  /** A socket comes with it. */
  | { readonly sluice: 'socket'; readonly key: string }
  /** That was all. */
  | { readonly sluice: 'given'; readonly nextId: number }

/** Whoever serves: this process, or a child. */
interface Generation {
  give(to: Successor): Promise<void>
  retire(): void
}

export interface GenerationsOptions {
  readonly proxy: AnyProxy
  readonly log: Log
  /** Called before this process gives up its sockets. */
  readonly onRetire: () => void
}

/** The parent's side: replaces whoever serves, and knows when all is over. */
export class Generations {
  readonly #options: GenerationsOptions
  readonly #over: (code: number) => void
  /** Resolves with the exit code when nobody serves any more. */
  readonly over: Promise<number>
  #serving: Generation
  #child: Successor | null = null
  #retiring: Promise<void> = Promise.resolve()
  #isReplacing = false
  #isStopping = false

  constructor(options: GenerationsOptions) {
    this.#options = options
    let over: (code: number) => void = () => {}
    this.over = new Promise((resolve) => {
      over = resolve
    })
    this.#over = over
    const { proxy, log, onRetire } = options
    this.#serving = {
      give: async (to) => {
        for (const [key, handle] of proxy.sockets()) to.tell({ sluice: 'socket', key }, handle)
        to.tell({ sluice: 'given', nextId: proxy.nextId })
      },
      retire: () => {
        onRetire()
        this.#retiring = proxy.retire().then(() => log.info('all sessions of before have ended'))
      },
    }
  }

  /** Drains whoever serves. */
  stop(signal: NodeJS.Signals): void {
    this.#isStopping = true
    if (this.#child !== null) this.#child.signal(signal)
    else void this.#options.proxy.stop().then(() => this.#over(0))
  }

  /** For whoever serves, if it is not this process. */
  pass(signal: NodeJS.Signals): void {
    this.#child?.signal(signal)
  }

  async replace(): Promise<void> {
    const { log } = this.#options
    if (this.#isReplacing || this.#isStopping) return
    this.#isReplacing = true
    log.info('starting a successor')
    const next: Successor = new Successor({
      onReplace: () => void this.replace(),
      onExit: (code) => {
        if (this.#child === next) void this.#retiring.then(() => this.#over(code))
      },
    })
    try {
      await next.ready
      await this.#serving.give(next)
      await next.serving
      this.#serving.retire()
      this.#serving = next
      this.#child = next
      log.info({ successor: next.pid }, 'a successor has taken over; sessions of before may end')
    } catch (error) {
      next.signal('SIGKILL')
      log.error({ why: (error as Error).message }, 'the successor cannot serve; the old one goes on')
    } finally {
      this.#isReplacing = false
    }
  }
}

/** A child that is to serve, or serves. */
class Successor implements Generation {
  readonly ready: Promise<void>
  readonly serving: Promise<void>
  readonly #child: ChildProcess
  /** Who gets the sockets that it gives up. */
  #heir: { readonly to: Successor; readonly done: () => void } | null = null

  constructor({ onReplace, onExit }: { onReplace: () => void; onExit: (code: number) => void }) {
    const args = process.argv.slice(2).filter((arg) => arg !== INHERIT)
    this.#child = fork(process.argv[1]!, [...args, INHERIT])
    const said = (word: 'ready' | 'serving') =>
      new Promise<void>((resolve, reject) => {
        this.#child.on('message', (message: Message) => {
          if (message.sluice === word) resolve()
        })
        this.#child.once('exit', (code, signal) => reject(new Error(`it ended (${signal ?? `exit code ${code}`})`)))
        this.#child.once('error', reject)
      })
    this.ready = within(READY_MS_MAX, said('ready'))
    this.serving = said('serving')
    this.serving.catch(() => {})
    this.#child.on('message', (message: Message, handle) => this.hear(message, handle as unknown, onReplace))
    this.#child.once('exit', (code) => onExit(code ?? 1))
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  tell(message: Message, handle: SocketHandle | null = null, sent = () => {}): void {
    if (this.#child.connected) this.#child.send(message, (handle ?? undefined) as SendHandle | undefined, {}, sent)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  give(to: Successor): Promise<void> {
    return new Promise((resolve) => {
      this.#heir = { to, done: resolve }
      this.tell({ sluice: 'give' })
    })
  }

  retire(): void {
    this.tell({ sluice: 'retire' })
  }

  private hear(message: Message, handle: unknown, onReplace: () => void): void {
    if (message.sluice === 'replace') onReplace()
    else if (message.sluice === 'socket') {
      const socket = handle as SocketHandle
      // Not listened on here, so nobody who connects meanwhile is met by a process that does not serve.
      this.#heir?.to.tell(message, socket, () => closeHandle(socket))
    } else if (message.sluice === 'given') {
      this.#heir?.to.tell(message)
      this.#heir?.done()
    }
  }
}

export interface Inheritance {
  readonly sockets: Sockets
  readonly nextId: number
}

/** The successor's side. */
export class Predecessor {
  readonly #sockets = new Map<string, SocketHandle>()
  #given: ((inheritance: Inheritance) => void) | null = null
  #proxy: AnyProxy | null = null

  constructor(onRetire: () => void) {
    process.on('message', (message: Message, handle: unknown) => {
      if (message.sluice === 'socket') this.#sockets.set(message.key, handle as SocketHandle)
      else if (message.sluice === 'given') this.#given?.({ sockets: this.#sockets, nextId: message.nextId + IDS_LEFT })
      else if (message.sluice === 'give') this.give()
      else if (message.sluice === 'retire') onRetire()
    })
  }

  /** This process could serve; resolves with what it is to listen on. */
  ready(): Promise<Inheritance> {
    return new Promise((resolve) => {
      this.#given = resolve
      this.tell({ sluice: 'ready' })
    })
  }

  serves(proxy: AnyProxy): void {
    this.#proxy = proxy
    this.tell({ sluice: 'serving' })
  }

  /** Only the parent can. */
  replace(): void {
    this.tell({ sluice: 'replace' })
  }

  private give(): void {
    const proxy = this.#proxy
    if (proxy === null) return
    for (const [key, handle] of proxy.sockets()) this.tell({ sluice: 'socket', key }, handle)
    this.tell({ sluice: 'given', nextId: proxy.nextId })
  }

  private tell(message: Message, handle: SocketHandle | null = null): void {
    if (process.connected) process.send?.(message, (handle ?? undefined) as SendHandle | undefined, {}, () => {})
  }
}

function within<T>(msMax: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error(`it was not ready within ${msMax} ms`)), msMax)
    promise.then(resolve, reject).finally(() => clearTimeout(deadline))
  })
}
