// A backend connection without a backend: remembers what it was asked, and answers as told.

import type { BackendConnection, ClientRequest, Refusal, Reply, Settings } from '../../src/protocol/protocol.ts'
import { NO_SETTINGS } from '../../src/protocol/settings.ts'
import { reply } from './values.ts'

export class FakeBackendConnection implements BackendConnection {
  readonly backend: BackendConnection['backend']
  readonly identity = { key: 'app', user: 'app' }
  readonly openedMs = 0
  settings: Settings = NO_SETTINGS
  dirty = false
  broken = false
  stained = false
  unreported = false
  onLost: () => void = () => {}
  /** Everything asked of it, in order. */
  readonly calls: string[]
  /** Does a reset work? */
  resets = true
  /** What the next alignment is refused with. */
  refusal: Refusal | null = null
  /** Answers to requests, in order; plain success when there are no more. */
  readonly replies: (Partial<Reply> | Error)[] = []

  constructor(id = 'db1', role: BackendConnection['backend']['role'] = 'writer', calls: string[] = []) {
    this.calls = calls
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

  align(settings: Settings): Promise<Refusal | null> | null {
    if (this.refusal !== null) return Promise.resolve(this.refusal)
    this.settings = settings
    return null
  }

  async exchange(request: ClientRequest): Promise<Reply> {
    this.calls.push(`${this.backend.id}: ${request.sql.toString()}`)
    const next = this.replies.shift() ?? {}
    if (next instanceof Error) throw next
    return reply(next)
  }

  async query(sql: string): Promise<readonly (readonly (string | null)[])[]> {
    this.calls.push(`${this.backend.id} itself: ${sql}`)
    return []
  }

  async collect(): Promise<null> {
    return null
  }

  async cancel(): Promise<void> {
    this.calls.push('cancel')
  }

  async reset(): Promise<boolean> {
    this.calls.push('reset')
    this.dirty = false
    return this.resets
  }

  close(): void {
    this.calls.push('close')
    this.broken = true
  }
}
