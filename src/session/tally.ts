// Counts answered statements: by where they went and what they were, and how long they took.

import type { Child, Metrics } from '../metrics.ts'
import type { Access, Classification } from '../sql/classification.ts'
import type { Answered } from './sending.ts'
import type { Statements } from './statements.ts'

export class Tally {
  readonly #cluster: string
  readonly #metrics: Metrics
  readonly #statements: Statements
  readonly #nowMs: () => number
  readonly #children = new Map<string, Record<Access, Child>>()

  constructor(cluster: string, metrics: Metrics, statements: Statements, nowMs: () => number) {
    this.#cluster = cluster
    this.#metrics = metrics
    this.#statements = statements
    this.#nowMs = nowMs
  }

  /** It came back from `target`; `failed`: with an error. */
  count({ classification, decision, arrivedMs, startedMs }: Answered, target: string, failed: boolean): void {
    const nowMs = this.#nowMs()
    this.#metrics.backendSeconds.observeMs(nowMs - startedMs)
    this.add(classification, target, decision!.because, failed, arrivedMs, nowMs)
  }

  /** What no backend answered. */
  countOwn(classification: Classification, because: string, failed: boolean, arrivedMs: number): void {
    this.add(classification, 'proxy', because, failed, arrivedMs, this.#nowMs())
  }

  private add(
    classification: Classification,
    target: string,
    because: string,
    failed: boolean,
    arrivedMs: number,
    nowMs: number,
  ): void {
    this.#metrics.statementSeconds.observeMs(nowMs - arrivedMs)
    this.childrenFor(target)[classification.access].value += 1
    this.#statements.count(classification, target, because, failed, arrivedMs, nowMs)
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
