// What a connection has from its beginning, while others have something else by now: rights, and what was set globally.
// Sessions that come later are served by connections that began later.

import type { Pools } from '../pool/pools.ts'
import type { Floors } from '../routing/floors.ts'
import { type Topology, writerOf } from '../topology/topology.ts'

export interface RenewalsOptions {
  readonly pools: Pick<Pools, 'renew' | 'vacate'>
  readonly floors: Pick<Floors, 'reaches'>
  readonly topology: () => Topology
}

/** What a connection goes by as it was set globally at its login: a reset changes the variable, and nothing else. */
const BY_LOGIN: ReadonlySet<string> = new Set(['max_allowed_packet'])

export class Renewals {
  readonly #options: RenewalsOptions
  /** When rights changed last, as a version of what was committed; 0: never. */
  #version = 0
  /** Backends whose connections have been renewed since. */
  readonly #renewed = new Set<string>()
  /** Somebody has come since, and there are readers that had not heard of it. */
  #isAwaited = false

  constructor(options: RenewalsOptions) {
    this.#options = options
  }

  /** Global variables of a server have been set. */
  globalsSet(backend: string, names: readonly string[]): void {
    const byLogin = names.some((name) => BY_LOGIN.has(name))
    this.#options.pools.renew(backend, byLogin)
  }

  /** Something was committed, as this version, that changes what accounts may do. */
  rightsChanged(version: number): void {
    this.#version = Math.max(this.#version, version)
    this.#renewed.clear()
  }

  /** Somebody comes, and has the rights of now: the writer's at once, and a reader's once it has heard of them. */
  comes(): void {
    if (this.#version !== 0) this.renew()
  }

  /** A connection is about to be lent: readers may have heard more since somebody came. */
  lends(): void {
    if (this.#isAwaited) this.renew()
  }

  private renew(): void {
    const version = this.#version
    const { pools, floors, topology } = this.#options
    const writer = writerOf(topology())?.id ?? null
    this.#isAwaited = false
    for (const { id } of topology().backends) {
      if (this.#renewed.has(id)) continue
      const isWriter = id === writer
      if (!isWriter && !floors.reaches(id, { version, position: null, only: null })) {
        this.#isAwaited = true
        continue
      }
      this.#renewed.add(id)
      pools.renew(id, true)
      // Whoever came before the reader had heard of them may come back to what began before.
      if (!isWriter) pools.vacate(id)
    }
  }
}
