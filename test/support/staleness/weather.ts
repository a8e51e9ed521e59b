// What happens to a cluster meanwhile: readers that fall behind in every way they can, and a writer that changes.

import type { Connection } from 'mysql2/promise'
import { type LabCluster, type LabServer, until } from '../../../src/lab/index.ts'
import type { FaultyLink } from '../faulty-link.ts'
import type { Random } from '../torture/random.ts'

const ENOUGH_MS_MAX = 30_000

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

type Spell = 'standStill' | 'lockUp' | 'lag' | 'slowLinks' | 'fair'

export interface WeatherSettings {
  readonly cluster: LabCluster
  readonly random: Random
  /** How often which, by weight. */
  readonly spells: Readonly<Partial<Record<Spell, number>>>
  readonly spellMsMax: number
  /** Between Sluice and the readers. */
  readonly links: readonly FaultyLink[]
  /** In a planned way, so that no write that was acknowledged is lost. */
  readonly changeWriter: (to: LabServer) => Promise<void>
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
    const { spells, spellMsMax } = this.#settings
    const kinds = Object.entries(spells).map(([spell, weight]) => [weight, spell as Spell] as const)
    const endMs = performance.now() + msMax
    for (let leftMs = msMax; leftMs > 0; leftMs = endMs - performance.now()) {
      const ms = Math.min(leftMs, spellMsMax * (0.1 + 0.9 * this.#random.next()))
      await this[this.#random.weighted(kinds)](ms)
    }
  }

  async fair(ms: number): Promise<void> {
    await pause(ms / 2)
  }

  /** A reader's applier is stopped, for so long or until enough was seen of that. */
  async standStill(ms: number, isEnough = () => true): Promise<void> {
    const reader = this.reader()
    const { pause: stop, resume } = WORDS[this.#settings.cluster.engine]
    this.note(`${reader.address} applies nothing for ${Math.round(ms)} ms`)
    await reader.asRoot(async (root) => {
      await root.query(stop)
      await pause(ms)
      await until(
        () => isEnough() || null,
        ENOUGH_MS_MAX,
        () => 'what a reader lacks is seen by nobody',
      )
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
    const { delay } = WORDS[this.#settings.cluster.engine]
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

  async changeWriter(): Promise<void> {
    const { cluster, changeWriter } = this.#settings
    this.note(`${cluster.writer.address} is to be replaced`)
    await changeWriter(this.reader())
    this.note(`${cluster.writer.address} is the writer`)
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
