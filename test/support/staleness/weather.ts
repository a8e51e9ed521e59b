// What happens to a cluster meanwhile: readers that fall behind in every way they can, and a writer that changes.

import type { Connection } from 'mysql2/promise'
import type { EngineName, LabCluster, LabServer } from '../../../src/lab/index.ts'
import type { FaultyLink } from '../faulty-link.ts'
import type { Random } from '../torture/random.ts'

const WORDS = {
  mysql: {
    pause: 'STOP REPLICA SQL_THREAD',
    resume: 'START REPLICA SQL_THREAD',
    delay: (seconds: number) =>
      `STOP REPLICA SQL_THREAD; CHANGE REPLICATION SOURCE TO SOURCE_DELAY = ${seconds}; START REPLICA SQL_THREAD`,
  },
  mariadb: {
    pause: 'STOP SLAVE SQL_THREAD',
    resume: 'START SLAVE SQL_THREAD',
    delay: (seconds: number) => `STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = ${seconds}; START SLAVE`,
  },
} as const

export interface WeatherSettings {
  readonly cluster: LabCluster
  readonly engine: EngineName
  readonly random: Random
  /** Between Sluice and the readers. */
  readonly links: readonly FaultyLink[]
  readonly note: (text: string) => void
}

export class Weather {
  readonly #settings: WeatherSettings
  readonly #random: Random

  constructor(settings: WeatherSettings) {
    this.#settings = settings
    this.#random = settings.random
  }

  /** One spell of bad weather after the other for so long; ends with a fair one. */
  async blow(msMax: number): Promise<void> {
    const endMs = performance.now() + msMax
    const left = () => endMs - performance.now()
    while (left() > 0) {
      const ms = Math.min(left(), 100 + this.#random.below(900))
      const spell = this.#random.weighted([
        [4, () => this.standStill(ms)],
        [4, () => this.lockUp(ms)],
        [2, () => this.lag(ms)],
        [2, () => this.slowLinks(ms)],
        [2, () => pause(ms / 2)],
      ])
      await spell()
    }
  }

  /** A reader's applier is stopped. */
  async standStill(ms: number): Promise<void> {
    const reader = this.reader()
    const { pause: stop, resume } = WORDS[this.#settings.engine]
    this.note(`${reader.address} applies nothing for ${Math.round(ms)} ms`)
    await reader.asRoot(async (root) => {
      await root.query(stop)
      await pause(ms)
      await root.query(resume)
    })
  }

  /** Its applier runs, and cannot go on: nobody is told. */
  async lockUp(ms: number): Promise<void> {
    const reader = this.reader()
    this.note(`${reader.address} is locked up for ${Math.round(ms)} ms`)
    await reader.asRoot((root) => locked(root, ms))
  }

  /** It is told to be late. */
  async lag(ms: number): Promise<void> {
    const reader = this.reader()
    const { delay } = WORDS[this.#settings.engine]
    this.note(`${reader.address} is a second late for ${Math.round(ms)} ms`)
    await reader.asRoot(async (root) => {
      await root.query(delay(1))
      await pause(ms)
      await root.query(delay(0))
    })
  }

  /** What goes between Sluice and readers goes late, or stands still for a while. */
  async slowLinks(ms: number): Promise<void> {
    const { links } = this.#settings
    if (links.length === 0) return
    const link = this.#random.pick(links)
    const freezes = this.#random.chance(0.3)
    this.note(`the link ${link.address} ${freezes ? 'stands still' : 'is slow'} for ${Math.round(ms)} ms`)
    if (freezes) link.freeze()
    else link.slow(1 + this.#random.below(30))
    await pause(freezes ? ms / 3 : ms)
    link.thaw()
    link.slow(0)
  }

  /** The planned way: no write that was acknowledged is lost. */
  async changeWriter(): Promise<void> {
    const { cluster } = this.#settings
    const next = this.reader()
    this.note(`${next.address} is to be the writer in place of ${cluster.writer.address}`)
    await cluster.switchover(next)
    this.note(`${next.address} is the writer`)
  }

  private reader(): LabServer {
    return this.#random.pick(this.#settings.cluster.readers)
  }

  private note(text: string): void {
    this.#settings.note(text)
  }
}

async function locked(root: Connection, ms: number): Promise<void> {
  await root.query('FLUSH TABLES WITH READ LOCK')
  await pause(ms)
  await root.query('UNLOCK TABLES')
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}
