// A session on a stage: a writer and readers that remember what they were asked, a client that asks, and nothing real.

import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { Pools } from '../../src/pool/pools.ts'
import { mariadbPosition } from '../../src/protocol/mysql/positions.ts'
import { ConnectFailed } from '../../src/protocol/protocol.ts'
import { Floors, type Need } from '../../src/routing/floors.ts'
import { TableFloors } from '../../src/routing/table-floors.ts'
import { WriterShare } from '../../src/routing/writer-share.ts'
import { FailoverHold } from '../../src/session/failover-hold.ts'
import { Renewals } from '../../src/session/renewals.ts'
import { Session } from '../../src/session/session.ts'
import { Sessions } from '../../src/session/sessions.ts'
import type { Shared } from '../../src/session/shared.ts'
import { Statements } from '../../src/session/statements.ts'
import { Tally } from '../../src/session/tally.ts'
import { VariableSaver } from '../../src/session/variable-saver.ts'
import type { Classification } from '../../src/sql/classification.ts'
import { mysql, type SqlContext } from '../../src/sql/classifier.ts'
import { FailoverRecorder, type FailoverTimeline } from '../../src/topology/failover-timeline.ts'
import type { Progress } from '../../src/topology/staleness.ts'
import type { Backend, Topology } from '../../src/topology/topology.ts'
import { FakeBackendConnection } from './fake-backend-connection.ts'
import { FakeClient } from './fake-client.ts'
import { classification } from './values.ts'

const CONTEXT: SqlContext = {
  dialect: mysql,
  version: 90700,
  ansiQuotes: false,
  noBackslashEscapes: false,
  ignoreSpace: false,
  charset: '',
}

const KNOWN: readonly (readonly [RegExp, Partial<Classification>])[] = [
  [/^select/i, { access: 'read' }],
  [/^begin$/i, { access: 'write', transaction: 'begin' }],
  [/^(commit|rollback)$/i, { access: 'write', transaction: 'end' }],
  [/^set /i, { access: 'session' }],
  [/^call (\w+)/i, { routines: ['p'] }],
  [/^set @a/i, { assigned: ['a'] }],
  [/^set @b/i, { assigned: ['b'] }],
  [/^set @é/i, { assigned: ['é'] }],
  [/^set @many/i, { assigned: ['a', 'b', 'c', 'd'] }],
  [/^select @/i, { facts: ['user-variable'] }],
  [/ from t$/i, { tables: ['t'] }],
  // The short way is for all that only read, so that every story with reads tells of it.
  [/^select [^@(]*$/i, { plain: true }],
  [/^get diagnostics @a/i, { access: 'session', facts: ['diagnostics'], assigned: ['a'] }],
  [
    /^get diagnostics condition @b @a/i,
    { access: 'session', facts: ['diagnostics', 'user-variable'], assigned: ['a'] },
  ],
  [/^show (warnings|errors)$/i, { access: 'session', facts: ['diagnostics'] }],
  [/row_count\(/i, { access: 'session', facts: ['row-count'] }],
  [/last_insert_id/i, { access: 'session', facts: ['last-insert-id'] }],
  [
    /^create temporary table (\w+)/i,
    { access: 'write', pins: [{ change: 'start', reason: 'temporary-table', name: 'tmp' }] },
  ],
  [/^drop temporary table/i, { access: 'write', pins: [{ change: 'end', reason: 'temporary-table', name: 'tmp' }] }],
]

/** As the classifier would say, for the few statements the stories are told with. */
export function classifyForStage(sql: string): Classification {
  const changes = KNOWN.filter(([pattern]) => pattern.test(sql)).map(([, change]) => change)
  const kill = /^kill (?:(query|connection) )?(\d+|.+)$/i.exec(sql)
  if (kill !== null) {
    const what = kill[1]?.toLowerCase() === 'query' ? 'query' : 'connection'
    const id = /^\d+$/.test(kill[2]!) ? Number(kill[2]) : null
    return classification({
      access: 'write',
      digestText: sql,
      digest: sql.slice(0, 16),
      kill: { what, id, user: null },
    })
  }
  return classification(Object.assign({ access: 'write', digestText: sql, digest: sql.slice(0, 16) }, ...changes))
}

export interface StageOptions {
  readonly readers?: number
  readonly connectionsMax?: number
  readonly holdMsMax?: number
}

export class Stage {
  /** Everything that reached a backend, in order, as `db1: select 1`. */
  readonly calls: string[] = []
  readonly connections: FakeBackendConnection[] = []
  readonly suspected: string[] = []
  /** Failovers that are over. */
  readonly timelines: FailoverTimeline[] = []
  readonly failovers: FailoverRecorder
  readonly sessions = new Sessions()
  readonly metrics = createMetrics()
  readonly statements = new Statements('main', 100)
  readonly pools: Pools
  readonly hold: FailoverHold
  /** What was heard of the servers, by their names. */
  readonly progress = new Map<string, Progress>()
  readonly floors = new Floors((id) => this.progress.get(id) ?? null)
  readonly tables = new TableFloors({ tablesMax: 100, nowMs: () => Date.now(), onWanted: () => {} })
  readonly writerShare = new WriterShare(1)
  readonly saver = new VariableSaver(() => Date.now())
  readonly refusing = new Set<string>()
  topology: Topology
  readonly shared: Shared
  readonly #holdMsMax: number
  #turn = 0

  constructor({ readers = 1, connectionsMax = 4, holdMsMax = 1_000 }: StageOptions = {}) {
    const roles = ['writer', ...Array.from({ length: readers }, () => 'reader')] as ('writer' | 'reader')[]
    this.topology = {
      cluster: 'main',
      epoch: 1,
      kind: null,
      writerEpoch: 1,
      backends: roles.map((role, at) => backend(`db${at + 1}`, role)),
    }
    const holdLimits = {
      heldMax: 2,
      heldBytesMax: 1_000,
      failoverMsMax: 60_000,
      restMsMin: 0,
      drainPerSecond: 1_000_000,
    }
    this.hold = new FailoverHold(holdLimits, this.metrics.holdSeconds, () => Date.now())
    this.#holdMsMax = holdMsMax
    this.pools = new Pools({
      limits: {
        connectionsMax,
        openingMax: 4,
        idleMsMax: 60_000,
        lifetimeMsMax: 600_000,
        waitMsMax: 1_000,
        waitersMax: 100,
        abandonedMsMax: 250,
      },
      connect: async ({ id, role }) => {
        if (this.refusing.has(id)) throw new ConnectFailed('network', `${id} refuses`, null)
        const connection = new FakeBackendConnection(id, role, this.calls)
        this.connections.push(connection)
        return connection
      },
      nowMs: () => Date.now(),
      recentMs: () => Date.now(),
      onClose: () => {},
      verify: async () => true,
      onReset: () => {},
    })
    this.failovers = new FailoverRecorder({
      cluster: 'main',
      nowMs: () => Date.now(),
      heardMs: () => null,
      sessions: () => this.sessions.idsOf('main'),
      failovers: this.metrics.failovers.labels('main'),
      log: createLog('silent'),
      onEnd: (timeline) => this.timelines.push(timeline),
    })
    this.failovers.follow(this.topology)
    this.floors.follow(this.topology)
    this.shared = this.share()
  }

  /** A session of a new client, running. */
  join(user = 'app', schema: string | null = null): { client: FakeClient; session: Session; over: Promise<void> } {
    const client = new FakeClient(this.sessions.issueId(), user, schema)
    const session = new Session(client, this.shared)
    this.sessions.add(session)
    const over = session.run().then(() => this.sessions.remove(session))
    return { client, session, over }
  }

  /** The connection to `id` opened last. */
  connectionTo(id: string): FakeBackendConnection {
    return this.connections.findLast((connection) => connection.backend.id === id)!
  }

  change(id: string, change: Partial<Backend>): void {
    const { epoch, backends } = this.topology
    const changed = backends.map((one) => (one.id === id ? { ...one, ...change } : one))
    this.topology = { ...this.topology, epoch: epoch + 1, backends: changed }
    this.failovers.follow(this.topology)
    this.floors.follow(this.topology)
    this.pools.follow(this.topology)
    this.hold.follow(this.topology)
  }

  private share(): Shared {
    const stage = this
    return {
      cluster: 'main',
      pools: this.pools,
      renewals: new Renewals({ pools: this.pools, floors: this.floors, topology: () => this.topology }),
      hold: this.hold,
      waits: {
        writer: { waitMsMax: this.#holdMsMax, setting: 'hold.waitMsMax' },
        reader: { waitMsMax: this.#holdMsMax, setting: 'reads.waitMsMax' },
      },
      sessions: this.sessions,
      metrics: this.metrics,
      tally: new Tally('main', this.metrics, this.statements, () => Date.now()),
      failovers: this.failovers,
      log: createLog('silent'),
      policy: {
        listenerRoute: 'split',
        userRoutes: new Map(),
        endpoints: new Map(),
        rules: [],
        fallback: 'writer',
        beyondShare: 'error',
        consistency: { level: 'service', monotonic: false },
        userConsistencies: new Map(),
      },
      userVariables: { countMax: 3, bytesMax: 100 },
      saver: this.saver,
      keepsDiagnostics: false,
      topology: () => this.topology,
      nowMs: () => Date.now(),
      recentMs: () => Date.now(),
      sqlContext: () => CONTEXT,
      classify: (sql: Buffer) => classifyForStage(sql.toString()),
      withOwnId: () => null,
      behindKill: () => null,
      learn: ({ digest }: Classification) => void this.calls.push(`learned ${digest}`),
      suspect: ({ id }: Backend) => {
        this.suspected.push(id)
        this.change(id, { health: 'suspect' })
      },
      freshness: {
        others: null,
        readersWait: false,
        floors: this.floors,
        tables: this.tables,
        share: this.writerShare,
        writerPosition: async () => null,
        positionOf: mariadbPosition,
        limits: { catchUpMsMax: 250, waitMsMax: 1_000 },
        reads: {
          free: this.metrics.freshReads.labels('main', 'free'),
          waited: this.metrics.freshReads.labels('main', 'waited'),
          writer: this.metrics.freshReads.labels('main', 'writer'),
          stale: this.metrics.freshReads.labels('main', 'stale'),
        },
        catchUpSeconds: this.metrics.catchUpSeconds,
      },
      reaches: ({ id, role }: Backend, need: Need) => role === 'writer' || this.floors.reaches(id, need),
      quickest: (backends: readonly Backend[], need: Need, stalledToo?: boolean) => {
        const ids = backends.map(({ id }) => id)
        const quickest = this.floors.quickest(ids, need, stalledToo)
        return backends.filter(({ id }) => quickest.includes(id))
      },
      get writerShareOpen() {
        return stage.writerShare.open
      },
      outstanding: (one: Backend) => this.pools.outstanding(one),
      usable: ({ health }: Backend) => health === 'up',
      get turn() {
        return stage.#turn++
      },
    }
  }
}

function backend(id: string, role: 'writer' | 'reader'): Backend {
  return { id, host: id, port: 3306, role, health: 'up', lagMs: 0, weight: 1, version: '9.7.0', sinceMs: 0, why: '' }
}
