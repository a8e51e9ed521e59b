// One cluster behind the proxy, put together: who is there, the connections to them, and what its sessions share.

import type { ClusterFloors } from './admin/snapshots.ts'
import { backendTls, proberOf } from './cluster-settings.ts'
import { Clock, type ClusterInside, ClusterShared } from './cluster-shared.ts'
import type { ClusterConfig, Config } from './config.ts'
import { type CloseReason, ProxyError } from './errors.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import { Pools } from './pool/pools.ts'
import {
  type Account,
  type BackendConnection,
  ConnectFailed,
  type Identity,
  type Protocol,
} from './protocol/protocol.ts'
import { Turns } from './protocol/turns.ts'
import { Floors } from './routing/floors.ts'
import type { RoutingPolicy } from './routing/policy.ts'
import { type TableFloor, TableFloors } from './routing/table-floors.ts'
import { WriterShare } from './routing/writer-share.ts'
import { FailoverHold } from './session/failover-hold.ts'
import { type OtherProcesses, type Raised, settle } from './session/freshness.ts'
import { Renewals } from './session/renewals.ts'
import type { Sessions } from './session/sessions.ts'
import type { Shared } from './session/shared.ts'
import { type StatementKind, Statements } from './session/statements.ts'
import { Tally } from './session/tally.ts'
import { VariableSaver } from './session/variable-saver.ts'
import type { Classification } from './sql/classification.ts'
import { type Classifier, createClassifier } from './sql/classifier.ts'
import { Catalogue } from './topology/catalogue.ts'
import { type EventLog, eventsBetween } from './topology/events.ts'
import { FailoverRecorder, type FailoverTimeline } from './topology/failover-timeline.ts'
import { FullBackends } from './topology/full-backends.ts'
import { Monitor, type MonitorOptions } from './topology/monitor.ts'
import { type Backend, type Topology, TopologyStore } from './topology/topology.ts'
import type { Watch } from './topology/watch.ts'
import { WriterPosition } from './topology/writer-position.ts'

export interface ClusterParts {
  readonly name: string
  readonly config: ClusterConfig
  readonly limits: Config['limits']
  readonly protocol: Protocol
  readonly metrics: Metrics
  readonly sessions: Sessions
  readonly events: Pick<EventLog, 'add'>
  /** Who finds out who is there, and publishes it in this store. */
  readonly watch: (store: TopologyStore) => Watch
  readonly others: OtherProcesses | null
  readonly log: Log
  readonly nowMs: () => number
}

export interface MonitorParts extends Pick<ClusterParts, 'name' | 'config' | 'protocol' | 'log' | 'nowMs'> {
  readonly store: TopologyStore
  readonly onProgress?: MonitorOptions['onProgress']
}

/** How often the time to reach a server is granted at a stop for ending what runs there. */
const KILLING_TRIES = 2

export class Cluster {
  readonly name: string
  readonly #parts: ClusterParts
  readonly #store: TopologyStore
  readonly #watch: Watch
  readonly #pools: Pools
  readonly #renewals: Renewals
  readonly #hold: FailoverHold
  readonly #classifier: Classifier
  readonly #statements: Statements
  readonly #tally: Tally
  readonly #failovers: FailoverRecorder
  readonly #floors: Floors
  readonly #tables: TableFloors
  readonly #share: WriterShare
  readonly #saver: VariableSaver
  readonly #writerPosition: WriterPosition
  readonly #catalogue: Catalogue<TableFloor>
  readonly #full = new FullBackends()
  /** Backends whose engine is not the one of the settings, each told of once. */
  readonly #odd = new Set<string>()
  /** Whose turn it is to stop a statement, by backend. */
  readonly #killing = new Map<string, Turns>()
  readonly #clock: Clock
  readonly #inside: ClusterInside

  constructor(parts: ClusterParts) {
    const { name, config, limits, metrics, sessions, events, log } = parts
    const clock = new Clock(parts.nowMs)
    const nowMs = () => clock.nowMs()
    const recentMs = () => clock.recentMs
    this.name = name
    this.#parts = parts
    this.#clock = clock
    this.#store = new TopologyStore(name)
    this.#hold = new FailoverHold(config.hold, metrics.holdSeconds, nowMs)
    this.#hold.observe({
      onHold: (_startedMs, why) => log.warn({ cluster: name, why }, 'writes wait'),
      onDrained: ({ startedMs, servedMs, endedMs, held, failed, longestWaitMs }) => {
        const times = { withoutWriterMs: Math.round(servedMs - startedMs), drainMs: Math.round(endedMs - servedMs) }
        const waits = { held, failed, longestWaitMs: Math.round(longestWaitMs) }
        log.info({ cluster: name, ...times, ...waits }, 'writes go on')
      },
    })
    this.#statements = new Statements(name, limits.statementsMax)
    this.#tally = new Tally(name, metrics, this.#statements, nowMs)
    const { safeFunctions, readProcedures } = config
    this.#classifier = createClassifier({ digestsMax: limits.digestsMax, safeFunctions, readProcedures })
    this.#pools = new Pools({
      limits: config.pool,
      connect: (backend, identity, account) => this.connect(backend, identity, account),
      verify: async (connection) => (await this.verify(connection)) === null,
      nowMs,
      recentMs,
      onClose: (backend: string, reason: CloseReason) => {
        metrics.backendCloses.labels(reason).value += 1
        log.debug({ cluster: name, backend, reason }, 'backend connection closed')
      },
      onReset: () => {
        metrics.resets.value += 1
      },
    })
    this.#floors = new Floors((id) => this.#watch.progress(id))
    this.#renewals = new Renewals({ pools: this.#pools, floors: this.#floors, topology: () => this.topology })
    this.#saver = new VariableSaver(nowMs)
    this.#share = new WriterShare(config.reads.writerShareMax)
    this.#tables = new TableFloors({
      tablesMax: config.reads.tableFloorsMax,
      nowMs,
      onWanted: () => this.#catalogue.wake(),
    })
    this.#catalogue = new Catalogue({
      prober: () => this.#writerPosition.prober,
      takeWanted: (countMax) => this.#tables.takeWanted(countMax),
      learn: (tables, generation, facts) => this.#tables.learn(tables, generation, facts),
      learnCase: (foldsCase) => this.#tables.learnCase(foldsCase),
    })
    const prober = (host: string, port: number) => proberOf(parts, host, port)
    this.#writerPosition = new WriterPosition({ writer: () => this.writer, prober })
    this.#watch = parts.watch(this.#store)
    this.#failovers = new FailoverRecorder({
      cluster: name,
      nowMs,
      heardMs: (backend) => this.#watch.writableMs(backend),
      sessions: () => sessions.idsOf(name),
      failovers: metrics.failovers.labels(name),
      log,
      onEnd: (timeline) => events.add(timeline),
    })
    this.#inside = this.insideOf(parts)
    let last = this.#store.current
    this.#store.subscribe((topology) => {
      for (const event of eventsBetween(last, topology, nowMs())) events.add(event)
      last = topology
      this.#failovers.follow(topology)
      this.checkEngine(topology)
      this.#floors.follow(topology)
      this.#pools.follow(topology)
      this.#hold.follow(topology)
    })
  }

  get topology(): Topology {
    return this.#store.current
  }

  get writer(): Backend | null {
    return this.topology.backends.find(({ role, health }) => role === 'writer' && health === 'up') ?? null
  }

  /** What clients are greeted with: the writer's version, or that of whoever answered; null while nobody has. */
  get serverVersion(): string | null {
    const { backends } = this.topology
    return this.writer?.version ?? backends.find(({ version }) => version !== null)?.version ?? null
  }

  /** What is assumed of a session that has not set its own. */
  get serverModes(): string {
    const { backends } = this.topology
    return (this.writer ?? backends.find(({ modes }) => modes !== undefined))?.modes ?? ''
  }

  /** The number of the collation that clients are greeted with, and many then ask for; null while nobody has told. */
  get serverCollation(): number | null {
    const { backends } = this.topology
    return (this.writer ?? backends.find(({ collation }) => collation !== undefined))?.collation ?? null
  }

  get pools(): Pools {
    return this.#pools
  }

  get held(): number {
    return this.#hold.held
  }

  /** What became of its statements, by digest. */
  get statements(): readonly StatementKind[] {
    return this.#statements.kinds
  }

  /** What reads must see, and what its servers are known to have. */
  get floors(): ClusterFloors {
    return { cluster: this.name, ...this.#floors.snapshot(this.topology) }
  }

  /** The failover under way. */
  get failover(): FailoverTimeline | null {
    return this.#failovers.current
  }

  /** A client of another process was told that this is committed. */
  raise({ position, atMs, tables, rights }: Raised): void {
    const floors = this.#floors
    const version = floors.raise(position, atMs)
    this.#tables.raiseNamed(version, tables)
    if (rights) this.#renewals.rightsChanged(version)
    // It may have defined something anew.
    if (tables === null) this.#tables.forget()
    if (position !== null || !floors.byPosition) return
    void settle({ floors, writerPosition: () => this.#writerPosition.ask() }, atMs)
  }

  /** A client of another process has set global variables of a server. */
  globalsSet(backend: string, names: readonly string[]): void {
    this.#renewals.globalsSet(backend, names)
  }

  /** Resolves once every backend has been asked, whatever they answered. */
  start(): Promise<void> {
    return this.#watch.start()
  }

  /** Leaves no statement running that nobody waits for, as far as the servers can be told in time. */
  async stop(): Promise<void> {
    this.#watch.stop()
    this.#saver.stop()
    this.#catalogue.stop()
    this.#writerPosition.close()
    await this.#pools.settle(KILLING_TRIES * this.#parts.config.connectMsMax)
    const error = new ProxyError('SHUTTING_DOWN', 'the proxy is shutting down')
    this.#hold.close(error)
    this.#pools.close(error)
    this.#failovers.stop()
  }

  /** What the sessions of a listener share. `policy` is asked at every statement, so that new settings take effect. */
  sharedBy(policy: () => RoutingPolicy): Shared {
    return new ClusterShared(this.#inside, policy)
  }

  private insideOf({ config, limits, metrics, sessions, log, protocol, others }: ClusterParts): ClusterInside {
    return {
      cluster: this.name,
      pools: this.#pools,
      renewals: this.#renewals,
      hold: this.#hold,
      sessions,
      waits: {
        writer: { waitMsMax: config.hold.waitMsMax, setting: 'hold.waitMsMax' },
        reader: { waitMsMax: config.reads.waitMsMax, setting: 'reads.waitMsMax' },
      },
      freshness: {
        floors: this.#floors,
        tables: this.#tables,
        share: this.#share,
        writerPosition: () => this.#writerPosition.ask(),
        others,
        positionOf: (text) => protocol.position(text),
        limits: config.reads,
        readersWait: readersWait(config),
        reads: {
          free: metrics.freshReads.labels(this.name, 'free'),
          waited: metrics.freshReads.labels(this.name, 'waited'),
          writer: metrics.freshReads.labels(this.name, 'writer'),
          stale: metrics.freshReads.labels(this.name, 'stale'),
        },
        catchUpSeconds: metrics.catchUpSeconds,
      },
      metrics,
      tally: this.#tally,
      failovers: this.#failovers,
      log,
      userVariables: { countMax: limits.userVariablesMax, bytesMax: limits.userVariableBytesMax },
      saver: this.#saver,
      protocol,
      classifier: this.#classifier,
      store: this.#store,
      full: this.#full,
      turns: { next: 0 },
      clock: this.#clock,
      words: () => ({ version: this.serverVersion ?? '', modes: this.serverModes }),
      learn: (classification) => this.learn(classification),
      suspect: (backend, why) => this.suspect(backend, why),
    }
  }

  private suspect({ id, role }: Backend, why: string): void {
    const known = this.topology.backends.find((backend) => backend.id === id)
    // That a connection to the writer is lost because that is none any more is no news of it.
    if (role !== 'writer' || known === undefined || known.role === 'writer') this.#watch.suspect(id, why)
  }

  private async connect(backend: Backend, identity: Identity, account: Account): Promise<BackendConnection> {
    const { config, limits, protocol, metrics } = this.#parts
    const { connectMsMax, pool } = config
    const tls = backendTls(config)
    const killing = this.killingAt(backend.id)
    try {
      const connection = await protocol.connect({
        backend,
        identity,
        account,
        tls,
        connectMsMax,
        preparedMax: pool.preparedMax,
        readersWait: readersWait(config),
        diagnosticsBytesMax: limits.diagnosticsBytesMax,
        ownRoundTrips: metrics.ownRoundTrips,
        killing,
      })
      this.#full.admitted(backend.id)
      return await this.verified(connection)
    } catch (error) {
      if (error instanceof ConnectFailed && error.kind === 'capacity')
        this.#full.refused(backend.id, this.#clock.nowMs())
      throw error
    }
  }

  /**
   * After a change of the writer a name may still lead to the old one, and a doomed one may still let us in: it is the
   * connection itself that must say that it can write.
   */
  private async verified(connection: BackendConnection): Promise<BackendConnection> {
    if (connection.backend.role !== 'writer' || this.topology.writerEpoch <= 1) return connection
    const why = await this.verify(connection)
    if (why === null) return connection
    connection.close('proxy in doubt')
    throw new ConnectFailed('network', why, null)
  }

  /** Why this connection does not lead to a writer, by its own word; null: it does. */
  private async verify(connection: BackendConnection): Promise<string | null> {
    const { id } = connection.backend
    const why = await connection.query('SELECT @@innodb_read_only, @@read_only').then(
      (answer) => {
        if ('message' in answer) return answer.message
        const isWriter = answer[0]?.every((value) => value === '0' || value === 'OFF') === true
        return isWriter ? null : `${id} was to be the writer, and says on a connection that it is read-only`
      },
      (error: Error) => error.message,
    )
    if (why === null) this.#failovers.verified(id)
    else this.#watch.suspect(id, why)
    return why
  }

  /** The settings may say which engine it is; the servers know. */
  private checkEngine({ backends }: Topology): void {
    const { engine } = this.#parts.config
    for (const { id, version } of backends) {
      if (engine === 'auto' || version === null || this.#odd.has(id)) continue
      if (/mariadb/i.test(version) === (engine === 'mariadb')) continue
      this.#odd.add(id)
      this.#parts.log.warn({ cluster: this.name, backend: id, version, engine }, 'not the engine of the settings')
    }
  }

  private killingAt(backend: string): Turns {
    let turns = this.#killing.get(backend)
    if (turns === undefined) {
      turns = new Turns(this.#parts.config.pool.killersMax)
      this.#killing.set(backend, turns)
    }
    return turns
  }

  private learn(classification: Classification): void {
    const { metrics, log } = this.#parts
    this.#classifier.learn(classification)
    metrics.learnedWrites.value += 1
    log.info({ cluster: this.name, digest: classification.digest }, 'a reader refused a statement; it is a write now')
  }
}

function readersWait({ reads }: ClusterConfig): boolean {
  return reads.auroraReadConsistency === 'global'
}

/** What asks the servers of a cluster themselves, as its settings say. */
export function monitorOf(parts: MonitorParts): Monitor {
  const { name, config, store, onProgress, log, nowMs } = parts
  return new Monitor({
    cluster: name,
    topology: config.topology,
    weights: new Map(Object.entries(config.weights)),
    lagMsMax: config.reads.lagMsMax,
    probing: config.monitor,
    prober: (host, port) => proberOf(parts, host, port),
    store,
    ...(onProgress === undefined ? {} : { onProgress }),
    log,
    nowMs,
  })
}
