// Backends that have as many connections as they may have. They are healthy, so they are left alone for a moment and tried
// again, each time that was in vain for twice as long. Holds no clock.

const PAUSE_MS_MIN = 250
const PAUSE_MS_MAX = 8_000

export class FullBackends {
  readonly #full = new Map<string, { readonly untilMs: number; readonly pauseMs: number }>()

  /** There are such. */
  get some(): boolean {
    return this.#full.size > 0
  }

  /** It let nobody in. Those that were on their way together count once. */
  refused(id: string, nowMs: number): void {
    const before = this.#full.get(id)
    if (before !== undefined && nowMs < before.untilMs) return
    const pauseMs = before === undefined ? PAUSE_MS_MIN : Math.min(2 * before.pauseMs, PAUSE_MS_MAX)
    this.#full.set(id, { untilMs: nowMs + pauseMs, pauseMs })
  }

  admitted(id: string): void {
    this.#full.delete(id)
  }

  isPaused(id: string, nowMs: number): boolean {
    const full = this.#full.get(id)
    return full !== undefined && nowMs < full.untilMs
  }
}
