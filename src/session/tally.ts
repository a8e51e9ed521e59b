// Counts answered statements: by where they went and what they were, and how long they took.

import type { Child, Metrics } from '../metrics.ts'
import type { Access } from '../sql/classification.ts'

export class Tally {
  readonly #cluster: string
  readonly #metrics: Metrics
  readonly #nowMs: () => number
  readonly #children = new Map<string, Record<Access, Child>>()

  constructor(cluster: string, metrics: Metrics, nowMs: () => number) {
    this.#cluster = cluster
    this.#metrics = metrics
    this.#nowMs = nowMs
  }

  /** `arrivedMs`: when the request came; `sentMs`: when a backend got it. */
  count(target: string, access: Access, arrivedMs: number, sentMs: number): void {
    const nowMs = this.#nowMs()
    const { statementSeconds, backendSeconds } = this.#metrics
    statementSeconds.observeMs(nowMs - arrivedMs)
    backendSeconds.observeMs(nowMs - sentMs)
    this.childrenFor(target)[access].value += 1
  }

  private childrenFor(target: string): Record<Access, Child> {
    const known = this.#children.get(target)
    if (known !== undefined) return known
    const child = (access: Access) => this.#metrics.statements.labels(this.#cluster, target, access)
    const children = { read: child('read'), write: child('write'), session: child('session') }
    this.#children.set(target, children)
    return children
  }
}
