// Clusters whose writer changes, and loses nothing that it has answered: what is missing afterwards, the proxy has lost.

import { type EngineName, type LabCluster, startAurora, startCluster, until } from '../../../src/lab/index.ts'

/** Ways to change the writer. */
export type Upheaval = 'kill' | 'switchover'

export interface Scene {
  readonly seeds: readonly string[]
  readonly lab: LabCluster
  /** Ends with the new writer in office; `settle` waits until there may be another. */
  change(how: Upheaval): Promise<void>
  settle(): Promise<void>
  stop(): Promise<void>
}

const SETTLE_MS_MAX = 60_000

/** Commits wait for a reader, so the reader that has received most knows all that was answered. */
export async function replicationScene(engine: EngineName): Promise<Scene> {
  const lab = await startCluster({ engine, readers: 2, semiSync: true })
  const dead: (typeof lab.servers)[number][] = []
  return {
    lab,
    seeds: lab.servers.map(({ address }) => address),
    async change(how) {
      if (how === 'switchover') return lab.switchover(lab.readers[0]!)
      const old = lab.writer
      await old.kill()
      dead.push(old)
      await lab.promote(await lab.bestReader())
    },
    async settle() {
      for (const server of dead.splice(0)) await lab.rejoin(server)
      await awaitSemiSync(lab)
      await lab.waitForReaders()
    },
    stop: () => lab.stop(),
  }
}

/** Storage is shared, so nothing is lost with a writer, however it ends. */
export async function auroraScene(engine: EngineName): Promise<Scene> {
  const aurora = await startAurora({ engine, instances: 3, script: { outageMs: 800, dnsLateMs: 2_000 } })
  let deaths = 0
  return {
    lab: aurora.lab,
    seeds: aurora.seeds,
    async change(how) {
      // A failover that cuts nobody off is that of a writer which refuses to write any more.
      const ends = how === 'switchover' ? 'doomed' : deaths++ % 2 === 0 ? 'restarts' : 'mute'
      await aurora.failover(null, ends)
    },
    async settle() {
      await until(
        () => (aurora.settled ? true : null),
        SETTLE_MS_MAX,
        () => 'the failover does not come to its end',
      )
      await aurora.lab.waitForReaders()
    },
    stop: () => aurora.stop(),
  }
}

/** The writer answers commits once both readers have them. */
async function awaitSemiSync({ writer, engine }: LabCluster): Promise<void> {
  const side = engine === 'mysql' ? 'source' : 'master'
  const waits = () =>
    writer.asRoot(async (root) => {
      const [rows] = await root.query(`SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_${side}_%'`)
      const values = new Map(
        (rows as { Variable_name: string; Value: string }[]).map((row) => [row.Variable_name, row.Value]),
      )
      const told = (name: string) => values.get(`Rpl_semi_sync_${side}_${name}`)
      return told('status') === 'ON' && Number(told('clients')) >= 2 ? true : null
    })
  await until(waits, SETTLE_MS_MAX, () => 'the writer does not wait for its readers')
}
