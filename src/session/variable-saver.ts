// Reads user variables out of connections that rest, so that a connection that is lost takes as little along as can be.
// Nobody waits for that, so it is done a moment later and at a pace: a session that is busy need not be asked at all.

/** A session some of whose user variables only a connection knows. */
export interface Unsaved {
  /** Reads them out if the connection has rested since `sinceMs`. False: it has not, or the session is using one. */
  saveVariables(sinceMs: number): boolean
}

const TICK_MS = 50
const REST_MS = 100
/** How many are read out in one tick. */
const SAVED_MAX = 32

export class VariableSaver {
  readonly #nowMs: () => number
  /** Those that assigned some first come first. */
  readonly #unsaved = new Set<Unsaved>()
  #timer: NodeJS.Timeout | null = null

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  add(session: Unsaved): void {
    this.#unsaved.add(session)
    this.#timer ??= setInterval(() => this.tick(), TICK_MS).unref()
  }

  remove(session: Unsaved): void {
    this.#unsaved.delete(session)
  }

  stop(): void {
    this.#unsaved.clear()
    this.rest()
  }

  private tick(): void {
    const sinceMs = this.#nowMs() - REST_MS
    let left = SAVED_MAX
    for (const session of this.#unsaved) {
      if (!session.saveVariables(sinceMs)) continue
      this.#unsaved.delete(session)
      left -= 1
      if (left === 0) return
    }
    if (this.#unsaved.size === 0) this.rest()
  }

  private rest(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }
}
