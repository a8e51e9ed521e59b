// Plays one seed, and says what went wrong in as few words as possible.

import type { EngineName, RunningCluster } from '../../../src/lab/index.ts'
import { printed } from './moves.ts'
import { kindOf, type Play, writePlay } from './play.ts'
import { shrunk } from './shrink.ts'
import { type Difference, Stage } from './stage.ts'
import { type Variable, variablesOf } from './variables.ts'

export interface CampaignSettings {
  readonly sessions: number
  readonly movesMin: number
  readonly shrinkMsMax: number
}

export class Campaign {
  readonly #cluster: RunningCluster
  readonly #engine: EngineName
  readonly #settings: CampaignSettings
  #variables: readonly Variable[] | null = null

  constructor(cluster: RunningCluster, engine: EngineName, settings: CampaignSettings) {
    this.#cluster = cluster
    this.#engine = engine
    this.#settings = settings
  }

  /** Null: every answer was the same. Else the shortest script found that fails, and how. */
  async play(seed: number): Promise<string | null> {
    const { sessions, movesMin, shrinkMsMax } = this.#settings
    this.#variables ??= await variablesOf(this.#engine, this.#cluster.writer)
    const play = writePlay({ seed, engine: this.#engine, sessions, movesMin, variables: this.#variables })
    const stage = new Stage(this.#cluster)
    const difference = await stage.perform(play)
    if (difference === null) return null
    let found = difference
    const fails = async (shorter: Play): Promise<boolean> => {
      // In a crowd it is chance who has the connection before.
      for (let tries = shorter.pace === 'crowd' ? 2 : 1; tries > 0; tries--) {
        const other = await stage.perform(shorter)
        if (other === null || other.role !== difference.role || other.move !== difference.move) continue
        found = other
        return true
      }
      return false
    }
    const orderly: Play = { ...play, pace: 'turns' }
    const begin = play.pace === 'crowd' && (await fails(orderly)) ? orderly : play
    const short = await shrunk(begin, difference, fails, performance.now() + shrinkMsMax)
    return story(short, found)
  }
}

function story(play: Play, { role, direct, through }: Difference): string {
  const { seed, engine, pace, connectionsMax, withReaders, moves, roles } = play
  const names = new Map([...new Set(moves.map((one) => one.role))].map((one) => [one, roles[one]!.name]))
  return [
    `seed ${seed} on ${engine}: ${connectionsMax} connections, ${withReaders ? 'readers too' : 'the writer alone'}, in ${pace}`,
    ...[...names].map(([one, name]) => `  ${name}: ${kindOf(roles[one]!)}, schema ${roles[one]!.schema}`),
    ...moves.map((one) => `  ${names.get(one.role)}: ${printed(one.move)}`),
    `${names.get(role)} was told through Sluice:`,
    through,
    'and directly:',
    direct,
  ].join('\n')
}
