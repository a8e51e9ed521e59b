// Starts one MySQL and one MariaDB cluster for all the tests that need servers, and stops them at the end.

import type { TestProject } from 'vitest/node'
import {
  type EngineName,
  LabCluster,
  type RunningCluster,
  ServerUnavailable,
  startCluster,
} from '../../src/lab/index.ts'

/** Where a cluster is that another process started, or why there is none. */
export type SharedCluster =
  | {
      readonly version: string
      readonly caFile: string
      /** The writer's first. */
      readonly ports: readonly number[]
    }
  | { readonly unavailable: string }

declare module 'vitest' {
  export interface ProvidedContext {
    clusters: Record<EngineName, SharedCluster>
  }
}

interface Shared {
  readonly clusters: Promise<readonly (LabCluster | ServerUnavailable)[]>
  users: number
}

// Every project loads this file for itself, and they shall share one set of servers.
declare global {
  var sluiceTestClusters: Shared | null
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  globalThis.sluiceTestClusters ??= { clusters: Promise.all([start('mysql'), start('mariadb')]), users: 0 }
  const shared = globalThis.sluiceTestClusters
  shared.users++
  const [mysql, mariadb] = (await shared.clusters).map(describe)
  project.provide('clusters', { mysql: mysql!, mariadb: mariadb! })
  return async () => {
    if (--shared.users > 0) return
    globalThis.sluiceTestClusters = null
    for (const cluster of await shared.clusters) if (cluster instanceof LabCluster) await cluster.stop()
  }
}

async function start(engine: EngineName): Promise<LabCluster | ServerUnavailable> {
  try {
    return await startCluster({ engine, progress: (line) => console.log(`lab: ${line}`) })
  } catch (error) {
    if (!(error instanceof ServerUnavailable)) throw error
    console.error(`\nlab: WHATEVER NEEDS ${engine.toUpperCase()} IS SKIPPED: ${error.message}\n`)
    return error
  }
}

function describe(cluster: RunningCluster | ServerUnavailable): SharedCluster {
  if (cluster instanceof ServerUnavailable) return { unavailable: cluster.message }
  return { version: cluster.version, caFile: cluster.caFile, ports: cluster.servers.map(({ port }) => port) }
}
