// A backend connection without a backend: remembers what it was asked, and answers as told.

import {
  type BackendConnection,
  BackendLost,
  type ClientRequest,
  type Collected,
  type ReadOut,
  type ReadOutWish,
  type Refusal,
  type Reply,
  type ReplyTo,
  type SavedVariable,
  type Settings,
} from '../../src/protocol/protocol.ts'
import { NO_SETTINGS } from '../../src/protocol/settings.ts'
import type { Position } from '../../src/topology/claim.ts'
import { reply } from './values.ts'

let lastServerId = 0

export class FakeBackendConnection implements BackendConnection {
  backend: BackendConnection['backend']
  readonly identity = { key: 'app', user: 'app' }
  readonly openedMs = 0
  readonly serverId: number
  /** What becomes of an exchange that nobody waits for. */
  finishes: 'ended' | 'running' | 'closing' = 'ended'
  /** Set, requests are not answered before it resolves, or the connection is told to cancel them. */
  pending: Promise<void> | null = null
  #cancelled: () => void = () => {}
  settings: Settings = NO_SETTINGS
  dirty = false
  broken = false
  stained = false
  unreported = false
  onLost: () => void = () => {}
  /** Everything asked of it, in order. */
  readonly calls: string[]
  /** Of its account. */
  grants: readonly string[] = ['GRANT SELECT ON *.* TO `app`@`%`']
  /** Does a reset work? */
  resets = true
  /** Set, no reset is answered before it resolves. */
  resetting: Promise<void> | null = null
  /** What the next alignment is refused with. */
  refusal: Refusal | null = null
  /** What a read-out finds. */
  remains: ReadOut = { conditions: null, counters: null, variables: null }
  /** What it tells of the last statement when it is asked. */
  told: Collected = { changed: null, stateChanged: false, unmovable: false, transaction: 'none' }
  /** Does it get what it waits for in time? */
  catchesUp = true
  /** Can its user variables be read out? */
  tells = true
  /** Answers to requests, in order; when there are no more, a row to who selects, and plain success. */
  readonly replies: (Partial<Reply> | Error)[] = []

  constructor(id = 'db1', role: BackendConnection['backend']['role'] = 'writer', calls: string[] = []) {
    this.calls = calls
    this.serverId = ++lastServerId
    this.backend = {
      id,
      host: id,
      port: 3306,
      role,
      health: 'up',
      lagMs: 0,
      weight: 1,
      version: '9.7.0',
      sinceMs: 0,
      why: '',
    }
  }

  align(settings: Settings, variables: readonly SavedVariable[] = []): Promise<Refusal | null> | null {
    if (this.refusal !== null) return Promise.resolve(this.refusal)
    this.settings = settings
    if (variables.length === 0) return null
    this.calls.push(`${this.backend.id} sets ${variables.map(({ name }) => `@${name}`).join(', ')}`)
    return Promise.resolve(null)
  }

  fits(settings: Settings): boolean {
    return this.refusal === null && settings === this.settings
  }

  exchange(request: ClientRequest, _client: unknown, _options: unknown, to: ReplyTo): void {
    this.answer(request).then(
      (answer) => to.answered(answer),
      (error) => to.failed(error),
    )
  }

  private async answer(request: ClientRequest): Promise<Reply> {
    if (this.broken) throw new BackendLost('unsent', true, 'it is gone')
    this.calls.push(`${this.backend.id}: ${request.sql.toString()}`)
    if (this.pending !== null) {
      const cancelled = new Promise<void>((resolve) => {
        this.#cancelled = resolve
      })
      await Promise.race([this.pending, cancelled])
    }
    const next = this.replies.shift() ?? (/^select/i.test(request.sql.toString()) ? { rows: 1 } : {})
    if (next instanceof Error) throw next
    return reply(next)
  }

  async query(sql: string): Promise<readonly (readonly (string | null)[])[]> {
    this.calls.push(`${this.backend.id} itself: ${sql}`)
    return sql === 'SHOW GRANTS' ? this.grants.map((grant) => [grant]) : []
  }

  async catchUp(position: Position, msMax: number): Promise<boolean> {
    this.calls.push(`${this.backend.id} waits for ${position.text}, ${msMax} ms at most`)
    return this.catchesUp
  }

  async readOut(wish: ReadOutWish): Promise<ReadOut> {
    const names = wish.variables?.names ?? []
    const variables = names.map((name) => `@${name}`)
    const what = [wish.conditions ? 'conditions' : '', wish.counters ? 'counters' : '', ...variables]
    this.calls.push(`${this.backend.id} reads out ${what.filter((one) => one !== '').join(', ')}`)
    const told = wish.variables === null || !this.tells ? null : names.map((name) => ({ name, bytes: 1, set: true }))
    return { ...this.remains, counters: this.remains.counters ?? { foundRows: 0, insertId: 0n }, variables: told }
  }

  untold = false
  insertId: bigint | null = 0n

  async beginReadOnly(): Promise<void> {
    this.calls.push('begin read only')
  }

  async endReadOnly(): Promise<void> {
    this.calls.push('end read only')
  }

  async clear(): Promise<void> {
    this.calls.push(`${this.backend.id} clears its diagnostics`)
  }

  async collect(): Promise<Collected> {
    this.unreported = false
    return this.told
  }

  async cancel(): Promise<void> {
    this.calls.push('cancel')
    this.#cancelled()
  }

  async finish(msMax: number | null): Promise<'ended' | 'running' | 'closing'> {
    this.calls.push(`finish in ${msMax}`)
    return this.finishes
  }

  async kill(): Promise<void> {
    this.calls.push('kill')
  }

  async reset(): Promise<boolean> {
    this.calls.push('reset')
    if (this.resetting !== null) await this.resetting
    this.dirty = false
    return this.resets
  }

  giveUp(why: string): void {
    this.calls.push(`give up: ${why}`)
    this.broken = true
    this.onLost()
  }

  giveUpSoon(why: string): void {
    if (this.pending === null) this.giveUp(why)
  }

  close(): void {
    this.calls.push('close')
    this.broken = true
  }
}
