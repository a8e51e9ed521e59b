// Real servers for tests: the clusters that all files share, and clusters of a file's own that it may break.

import { afterAll, beforeAll, describe, inject } from 'vitest'
import {
  type ClusterSettings,
  type EngineName,
  type LabCluster,
  LabError,
  RunningCluster,
  RunningServer,
  startCluster,
} from '../../src/lab/index.ts'

export const ENGINES: readonly EngineName[] = ['mysql', 'mariadb']

/** The tests of the body once for each kind of server; those of a kind that cannot be had are skipped, and say why. */
export function describeEngines(body: (engine: EngineName) => void, engines = ENGINES): void {
  for (const engine of engines) {
    const shared = inject('clusters')[engine]
    if ('unavailable' in shared) {
      // There is no such server on this machine: nothing here can be tried. The title says why, and the start said it loudly.
      describe.skip(`${engine} (${shared.unavailable.split('\n')[0]})`, () => body(engine))
    } else {
      describe(engine, () => body(engine))
    }
  }
}

/** A cluster that other files use too: read and write in schemas of your own, but leave the servers as they are. */
export class SharedLabCluster extends RunningCluster {
  /** What a proxy is told to begin with. */
  get seeds(): readonly string[] {
    return this.servers.map(({ address }) => address)
  }

  get writerPort(): number {
    return this.writer.port
  }

  /** Readers are level with the writer. */
  async settle(): Promise<void> {
    await this.waitForReaders()
  }
}

export function clusterOf(engine: EngineName): SharedLabCluster {
  const shared = inject('clusters')[engine]
  if ('unavailable' in shared) return new SharedLabCluster(engine, 'none', '', [])
  const servers = shared.ports.map((port, index) => new RunningServer(port, index === 0 ? 'writer' : 'reader'))
  return new SharedLabCluster(engine, shared.version, shared.caFile, servers)
}

/** A cluster for this file (or describe) alone, to promote, kill and freeze in; call the result inside tests. */
export function useCluster(engine: EngineName, settings: Omit<ClusterSettings, 'engine'> = {}): () => LabCluster {
  let cluster: LabCluster | null = null
  beforeAll(async () => {
    cluster = await startCluster({ engine, ...settings })
  })
  afterAll(async () => cluster?.stop())
  return () => {
    if (cluster === null) throw new LabError('the cluster starts before the first test: ask for it inside one')
    return cluster
  }
}
