// What a cluster does with the connections it opens: after a change of the writer each must say itself that it can write.

import { afterEach, expect, test } from 'vitest'
import { Cluster, monitorOf } from '../../src/cluster.ts'
import { parseConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Lease } from '../../src/pool/pool.ts'
import { type Account, ConnectFailed, type ConnectOptions, type Protocol } from '../../src/protocol/protocol.ts'
import { NO_SETTINGS } from '../../src/protocol/settings.ts'
import { Sessions } from '../../src/session/sessions.ts'
import type { Claim } from '../../src/topology/claim.ts'
import { EventLog } from '../../src/topology/events.ts'
import { FakeBackendConnection } from '../support/fake-backend-connection.ts'
import { claim } from './topology/support.ts'

class Connection extends FakeBackendConnection {
  readonly #readOnly: () => boolean

  constructor({ backend }: ConnectOptions, readOnly: () => boolean) {
    super(backend.id, backend.role)
    this.#readOnly = readOnly
  }

  override async query(sql: string): Promise<readonly (readonly (string | null)[])[]> {
    this.calls.push(sql)
    const value = this.#readOnly() ? '1' : '0'
    return [[value, value]]
  }
}

const reads = () => claim({ readOnly: true, sharedStorage: true })
const account: Account = {
  user: 'app',
  password: '',
  passwordHash: null,
  backendUser: 'app',
  backendPassword: '',
  requireTls: false,
  route: null,
}
const keeper = { settings: NO_SETTINGS, leaves: () => false, readOut: async () => true, keeps: () => false }

let cluster: Cluster | null = null
afterEach(() => cluster?.stop())

function setUp() {
  const claims: Record<string, Claim> = { db1: claim(), db2: reads() }
  const world = { claims, opened: [] as Connection[], doomed: false, full: false }
  const protocol = {
    prober: ({ host }: { host: string }) => ({ probe: async () => claims[host]!, close: () => {} }),
    connect: async (options: ConnectOptions) => {
      if (world.full) throw new ConnectFailed('capacity', 'Too many connections', null)
      const made = new Connection(options, () => world.doomed || world.claims[options.backend.host]!.readOnly)
      world.opened.push(made)
      return made
    },
  } as unknown as Protocol
  const text = `
listeners: [{ name: app }]
clusters: { main: { topology: { seeds: [db1, db2] }, monitor: { user: m, password: p, intervalMs: 10 } } }
users: [{ name: app, password: x }]
`
  const { config } = parseConfig(text, '/x.yaml', {})
  const parts = {
    name: 'main',
    config: config.clusters.main!,
    protocol,
    log: createLog('silent'),
    nowMs: () => performance.now(),
  }
  cluster = new Cluster({
    ...parts,
    limits: config.limits,
    metrics: createMetrics(),
    sessions: new Sessions(),
    events: new EventLog(config.limits),
    others: null,
    watch: (store) => monitorOf({ ...parts, store }),
  })
  const made = cluster
  const acquire = async (id: string) => {
    const backend = made.topology.backends.find((each) => each.id === id)!
    return made.pools.of(backend, { key: 'k', user: 'app' }, account).acquire(keeper)
  }
  return { cluster: made, world, acquire }
}

async function failedOver() {
  const stage = setUp()
  await stage.cluster.start()
  Object.assign(stage.world.claims, { db1: reads(), db2: claim() })
  await expect.poll(() => stage.cluster.writer?.id).toBe('db2:3306')
  return stage
}

test('the first writer is taken at its word', async () => {
  const { cluster, world, acquire } = setUp()
  await cluster.start()
  await acquire('db1:3306')
  expect(world.opened[0]!.calls).toEqual([])
})

test('after a change of the writer every new connection to it says itself that it can write', async () => {
  const { world, acquire } = await failedOver()
  const { connection } = await acquire('db2:3306')
  expect((connection as Connection).calls).toEqual(['SELECT @@innodb_read_only, @@read_only'])
  expect(world.opened.length).toBe(1)
})

test('connections to a reader that becomes the writer are asked as well, and used again', async () => {
  const stage = setUp()
  await stage.cluster.start()
  const lease = (await stage.acquire('db2:3306')) as Lease
  lease.pool.release(lease)
  Object.assign(stage.world.claims, { db1: reads(), db2: claim() })
  await expect.poll(() => stage.cluster.writer?.id).toBe('db2:3306')
  const { connection } = await stage.acquire('db2:3306')
  expect(connection).toBe(lease.connection)
  expect((connection as Connection).calls).toEqual(['SELECT @@innodb_read_only, @@read_only'])
  expect(connection.backend.role).toBe('writer')
})

test('readers are not asked', async () => {
  const { world, acquire } = await failedOver()
  await acquire('db1:3306')
  expect(world.opened[0]!.calls).toEqual([])
})

test('one that cannot write is closed, and its backend is in doubt', async () => {
  const { cluster, world, acquire } = await failedOver()
  world.doomed = true
  const outcome = acquire('db2:3306')
  await expect(outcome).rejects.toThrow('says on a connection that it is read-only')
  expect(world.opened[0]!.calls.at(-1)).toBe('close')
  expect(cluster.writer).toBeNull()
  // Its probe says otherwise, so it is the writer again, and the next connection is asked again.
  await expect.poll(() => cluster.writer?.id).toBe('db2:3306')
})

test('a full reader is not in doubt, gets nobody for a moment, and then somebody again', async () => {
  const { cluster, world, acquire } = setUp()
  await cluster.start()
  const shared = cluster.sharedBy(() => {
    throw new Error('nobody asks for the policy')
  })
  const reader = cluster.topology.backends.find(({ role }) => role === 'reader')!
  world.full = true
  await expect(acquire(reader.id)).rejects.toMatchObject({ kind: 'capacity' })
  expect(reader.health).toBe('up')
  expect(shared.usable(reader)).toBe(false)
  await expect.poll(() => shared.usable(reader)).toBe(true)
  world.full = false
  await acquire(reader.id)
  expect(shared.usable(reader)).toBe(true)
})
