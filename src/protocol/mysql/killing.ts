// Stops what a connection is at, or the connection itself, by a second connection: one that is busy cannot be told.

import type { ConnectOptions } from '../protocol.ts'

/** A connection of its own for that. */
export interface Killer {
  query(sql: string): Promise<unknown>
  close(reason: 'proxy in doubt'): void
}

export class Killing {
  /** On its way to stop the exchange in progress; nobody else gets the connection before it has arrived. */
  cancelling: Promise<void> | null = null
  /** What was told may still arrive, and would hit whoever uses the connection then: nobody must. */
  doubtful = false
  readonly #options: ConnectOptions
  readonly #serverId: number
  readonly #connect: () => Promise<Killer>

  constructor(options: ConnectOptions, serverId: number, connect: () => Promise<Killer>) {
    this.#options = options
    this.#serverId = serverId
    this.#connect = connect
  }

  cancel(makesSense: () => boolean): Promise<void> {
    this.cancelling ??= this.tell('KILL QUERY', makesSense).finally(() => {
      this.cancelling = null
    })
    return this.cancelling
  }

  kill(makesSense: () => boolean): Promise<void> {
    return this.tell('KILL', makesSense)
  }

  /** When the turn comes, and if it still makes sense then. */
  private tell(words: 'KILL' | 'KILL QUERY', makesSense: () => boolean): Promise<void> {
    const { killing, connectMsMax } = this.#options
    return killing.take(async () => {
      if (!makesSense()) return
      try {
        const killer = await this.#connect()
        const deadline = setTimeout(() => killer.close('proxy in doubt'), connectMsMax)
        try {
          if (!makesSense()) return
          this.doubtful = true
          await killer.query(`${words} ${this.#serverId}`)
          this.doubtful = false
        } finally {
          clearTimeout(deadline)
          killer.close('proxy in doubt')
        }
      } catch {
        // It cannot be reached, or would not let us in: what it is at ends with its connection, or by itself.
      }
    })
  }
}
