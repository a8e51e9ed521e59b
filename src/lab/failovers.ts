// The ways in which a lab cluster gets another writer, and how it is made whole again after each: for the drill.

import { startAurora } from './aurora.ts'
import type { EngineName } from './engine.ts'
import { startCluster } from './lab-cluster.ts'
import type { LabServer } from './lab-server.ts'
import { type Progress, until } from './machine.ts'

/** `kill`: the writer is gone at once; `freeze`: it says nothing any more; `switchover`: it hands over, as planned. */
export type FailoverKind = 'kill' | 'switchover' | 'freeze'

/** A cluster whose writer can be changed, and that loses nothing it has answered: what is missing, somebody else lost. */
export interface FailingCluster {
  /** For people. */
  readonly name: string
  /** What a proxy is told to begin with. */
  readonly seeds: readonly string[]
  /** Resolves once another server takes writes. */
  failOver(): Promise<void>
  /** All servers are there again, and level. */
  mend(): Promise<void>
  stop(): Promise<void>
}

export interface FailingSettings {
  readonly engine: EngineName
  readonly kind: FailoverKind
  /** Behind Aurora's face. */
  readonly aurora: boolean
  readonly progress?: Progress
}

const MEND_MS_MAX = 60_000

export function startFailing(settings: FailingSettings): Promise<FailingCluster> {
  return settings.aurora ? failingAurora(settings) : failingReplication(settings)
}

/** Commits wait for a reader, so the reader that has received most has all that was answered. */
async function failingReplication({ engine, kind, progress = () => {} }: FailingSettings): Promise<FailingCluster> {
  const lab = await startCluster({ engine, readers: 2, semiSync: true, progress })
  let lost: LabServer | null = null
  return {
    name: `${engine} ${lab.version}, a writer and two readers`,
    seeds: lab.servers.map(({ address }) => address),
    async failOver() {
      if (kind === 'switchover') return lab.switchover(lab.readers[0]!)
      lost = lab.writer
      if (kind === 'kill') await lost.kill()
      else lost.freeze()
      await lab.promote(await lab.bestReader())
    },
    async mend() {
      if (lost !== null) await lab.rejoin(lost)
      lost = null
      await lab.waitForReaders()
    },
    stop: () => lab.stop(),
  }
}

/** Aurora's own planned failover cuts connections too; the gentlest is that of a writer that answers on, and refuses. */
const OLD_WRITERS = { kill: 'restarts', freeze: 'mute', switchover: 'doomed' } as const

async function failingAurora({ engine, kind, progress = () => {} }: FailingSettings): Promise<FailingCluster> {
  const aurora = await startAurora({ engine, script: { outageMs: 1_000, dnsLateMs: 2_000 }, progress })
  return {
    name: `${engine} ${aurora.lab.version} behind the face of Aurora, a writer and two readers`,
    seeds: aurora.seeds,
    async failOver() {
      await aurora.failover(null, OLD_WRITERS[kind])
    },
    async mend() {
      const isOver = () => (aurora.settled ? true : null)
      await until(isOver, MEND_MS_MAX, () => 'the failover does not come to its end')
      await aurora.lab.waitForReaders()
    },
    stop: () => aurora.stop(),
  }
}
