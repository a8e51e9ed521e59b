// Counts answered statements: by where they went and what they were, and how long they took.

import type { Child, Metrics } from '../metrics.ts'
import type { Access, Classification } from '../sql/classification.ts'
import type { Outcome, Statements } from './statements.ts'

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

  /** `sentMs`: when a backend got it. */
  count(classification: Classification, outcome: Outcome, sentMs: number): void {
    const nowMs = this.#nowMs()
    const { statementSeconds, backendSeconds } = this.#metrics
    statementSeconds.observeMs(nowMs - outcome.arrivedMs)
    backendSeconds.observeMs(nowMs - sentMs)
    this.add(classification, outcome, nowMs)
  }

  /** What no backend answered. */
  countOwn(classification: Classification, outcome: Omit<Outcome, 'target'>): void {
    const nowMs = this.#nowMs()
    this.#metrics.statementSeconds.observeMs(nowMs - outcome.arrivedMs)
    this.add(classification, { target: 'proxy', ...outcome }, nowMs)
  }

  private add(classification: Classification, outcome: Outcome, nowMs: number): void {
    this.childrenFor(outcome.target)[classification.access].value += 1
    this.#statements.count(classification, outcome, nowMs)
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
