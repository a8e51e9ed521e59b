// Several processes that serve, and this one above them: it listens and hands every client to the worker that has the
// fewest, asks the servers for all, replaces a worker that died, and is where operators ask.

import type { AdminServer } from '../admin/admin-server.ts'
import type { AdminSnapshots } from '../admin/snapshots.ts'
import { monitorOf } from '../cluster.ts'
import type { Config } from '../config.ts'
import { ProxyError } from '../errors.ts'
import { version } from '../home.ts'
import type { Log } from '../log.ts'
import { addRecord, clearMetrics, createMetrics, type MetricType, recordOf } from '../metrics.ts'
import type { Protocol } from '../protocol/protocol.ts'
import { type AnyProxy, gaugeLag, type Sockets } from '../proxy.ts'
import { createProtocol, restartNeeded } from '../serving.ts'
import { detach, keyOf, ListeningSocket } from '../session/listening-socket.ts'
import { Sessions } from '../session/sessions.ts'
import { EventLog, eventsBetween } from '../topology/events.ts'
import { FailoverRecorder, type FailoverTimeline } from '../topology/failover-timeline.ts'
import type { Monitor } from '../topology/monitor.ts'
import { TopologyStore, writerOf } from '../topology/topology.ts'
import { openBoard } from './board.ts'
import { mergedFloors, mergedPools, mergedProcesses, mergedStatements, mergedTimeline } from './merge.ts'
import type { Heard, Question, Questions, ToSupervisor, VictimRecord } from './messages.ts'
import { shareOf } from './shares.ts'
import { type Arrival, WorkerProcess } from './worker-process.ts'

const nowMs = () => performance.now()

/** A worker that lived for less is replaced later and later, up to the second. */
const HEALTHY_MS = 5_000
const PAUSE_MS_MIN = 100
const PAUSE_MS_MAX = 10_000
/** Beyond their own deadline workers get this long to end. */
const END_MS_MAX = 5_000
/** Until every worker's story of a failover is over. */
const STORY_MS = 250
const STORY_MS_MAX = 60_000
const ALL: ReadonlySet<MetricType> = new Set(['counter', 'gauge'])
const COUNTERS: ReadonlySet<MetricType> = new Set(['counter'])
/** Counted by who asks the servers, and not by each of those who are told. */
const OWN = new Set(['sluice_failovers_total'])

/** Who is there in one cluster, and what became of it. */
interface Watched {
  readonly store: TopologyStore
  readonly monitor: Monitor
  readonly failovers: FailoverRecorder
  readonly heard: Map<string, Heard>
}

export { workersFor } from './shares.ts'

export function createSupervisor(config: Config, count: number, log: Log): AnyProxy {
  return new Supervisor(config, count, log)
}

class Supervisor implements AnyProxy {
  readonly #config: Config
  readonly #count: number
  readonly #log: Log
  readonly #protocol: Protocol = createProtocol(nowMs)
  readonly #events: EventLog
  readonly #watched = new Map<string, Watched>()
  readonly #sockets: readonly ListeningSocket[]
  readonly #workers: (WorkerProcess | null)[] = []
  readonly #pauses: number[]
  /** Open for as long as this process lives, for workers that replace others. */
  readonly #board = openBoard()
  readonly #owners = new Map<number, WorkerProcess>()
  /** Who came while no worker could serve. */
  readonly #waiting: Arrival[] = []
  /** Only for numbering. */
  readonly #numbers = new Sessions()
  /** What this process has counted, what workers that are gone had, and the sum that is shown. */
  readonly #own = createMetrics()
  readonly #past = createMetrics()
  readonly #shown = createMetrics()
  readonly #timers = new Set<NodeJS.Timeout>()
  #reloaded: Config | null = null
  #admin: AdminServer | null = null
  #watching = false
  #listening = false
  #ending = false
  /** Waits for the first worker that can serve. */
  #first: { readonly ready: () => void; readonly ended: () => void } | null = null

  constructor(config: Config, count: number, log: Log) {
    this.#config = config
    this.#count = count
    this.#log = log
    this.#events = new EventLog(config.limits)
    this.#pauses = Array.from({ length: count }, () => 0)
    this.#sockets = config.listeners.map(
      ({ name, bind }) =>
        new ListeningSocket(bind, (socket) => {
          if (this.#owners.size + this.#waiting.length >= config.limits.clientsMax) {
            const error = new ProxyError('CLIENTS_MAX', 'Too many connections')
            this.#own.logins.labels(error.code).value += 1
            log.warn({ code: error.code, client: socket.remoteAddress, why: error.message }, 'login failed')
            return this.#protocol.turnAway(socket, error)
          }
          const handle = detach(socket)
          if (handle !== null) this.place({ listener: name, id: this.issueId(), handle })
        }),
    )
    for (const [name, cluster] of Object.entries(config.clusters)) this.#watched.set(name, this.watch(name, cluster))
    this.#shown.beforeScrape.push(() => this.gather())
  }

  async prepare(): Promise<void> {
    const ready = new Promise<void>((resolve, reject) => {
      this.#first = { ready: resolve, ended: () => reject(new Error('a worker ended before it could serve')) }
    })
    ready.catch(() => {})
    for (let at = 0; at < this.#count; at++) this.spawn(at)
    await Promise.all(Array.from(this.#watched.values(), ({ monitor }) => monitor.start()))
    this.#watching = true
    for (const worker of this.workers) this.tellWhoIsThere(worker)
    await ready
  }

  async listen(given: Sockets = new Map()): Promise<void> {
    for (const socket of this.#sockets) await socket.listen(given.get(keyOf(socket.bind)) ?? null)
    this.#listening = true
    const { startAdmin } = await import('../admin/admin-server.ts')
    const { bind } = this.#config.admin
    this.#admin = await startAdmin(bind, this.snapshots(), given.get(keyOf(bind)) ?? null)
    const listeners = this.#config.listeners.map(({ name }) => name)
    this.#log.info({ listeners, admin: this.#admin.port, workers: this.#count }, 'accepting clients')
  }

  sockets(): Sockets {
    const sockets = new Map(this.#sockets.map((socket) => [keyOf(socket.bind), socket.handle]))
    if (this.#admin !== null) sockets.set(keyOf(this.#config.admin.bind), this.#admin.handle)
    return sockets
  }

  get nextId(): number {
    return this.#numbers.nextId
  }

  set nextId(id: number) {
    this.#numbers.nextId = id
  }

  stop(): Promise<void> {
    return this.end('stop')
  }

  retire(): Promise<void> {
    return this.end('retire')
  }

  reload(next: Config): readonly string[] {
    const needRestart = restartNeeded(this.#reloaded ?? this.#config, next)
    this.#reloaded = next
    for (const worker of this.workers) worker.tell({ kind: 'reload', config: next })
    this.#log.level = next.log.level
    this.#log.info({ needRestart }, 'settings taken over')
    return needRestart
  }

  private get workers(): readonly WorkerProcess[] {
    return this.#workers.filter((worker) => worker !== null)
  }

  private issueId(): number {
    let id = this.#numbers.issueId()
    while (this.#owners.has(id)) id = this.#numbers.issueId()
    return id
  }

  private async end(how: 'stop' | 'retire'): Promise<void> {
    this.#ending = true
    for (const socket of this.#sockets) socket.close()
    if (how === 'retire') this.#admin?.stopListening()
    for (const timer of this.#timers) clearTimeout(timer)
    const msMax = this.#config.limits.drainMsMax + END_MS_MAX
    await Promise.all(this.workers.map((worker) => worker.end(how, msMax)))
    for (const { monitor, failovers } of this.#watched.values()) {
      monitor.stop()
      failovers.stop()
    }
    await this.#admin?.close()
    this.#log.info('stopped')
  }

  private watch(name: string, config: Config['clusters'][string]): Watched {
    const store = new TopologyStore(name)
    const heard = new Map<string, Heard>()
    const monitor = monitorOf({
      name,
      config,
      protocol: this.#protocol,
      store,
      log: this.#log,
      nowMs,
      onProgress: (backend, { position, asOfMs, askedMs }) => {
        const news: Heard = { cluster: name, backend, position: position?.text ?? null, asOfMs, askedMs }
        heard.set(backend, news)
        for (const worker of this.workers) worker.tell({ kind: 'heard', heard: news })
      },
    })
    const failovers = new FailoverRecorder({
      cluster: name,
      nowMs,
      heardMs: (backend) => monitor.writableMs(backend),
      sessions: () => new Set(),
      failovers: this.#own.failovers.labels(name),
      log: this.#log,
      onEnd: (timeline) => this.writeDown(timeline, nowMs()),
    })
    let last = store.current
    store.subscribe((topology) => {
      for (const event of eventsBetween(last, topology, nowMs())) this.#events.add(event)
      last = topology
      failovers.follow(topology)
      for (const worker of this.workers) worker.tellTopology(topology)
    })
    return { store, monitor, failovers, heard }
  }

  /** Waits for the workers' own stories of it to end. */
  private writeDown(own: FailoverTimeline, endedMs: number): void {
    void this.failoversTold().then((told) => {
      const isGoingOn = told.some(({ cluster, endedMs: over }) => cluster === own.cluster && over === null)
      if (!isGoingOn || this.#ending || nowMs() - endedMs > STORY_MS_MAX) this.#events.add(mergedTimeline(own, told))
      else this.later(STORY_MS, () => this.writeDown(own, endedMs))
    })
  }

  private later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      act()
    }, ms)
    this.#timers.add(timer.unref())
  }

  private spawn(at: number): void {
    const startedMs = nowMs()
    const worker = new WorkerProcess(at + 1, this.#board, {
      told: (told) => this.hear(worker, told),
      asked: (question) => this.answer(worker, question),
      exited: (code, signal) => {
        this.#workers[at] = null
        this.forget(worker)
        // What keeps one from starting keeps all of them.
        if (this.#first !== null) return this.#first.ended()
        if (this.#ending) return
        this.#own.workerDeaths.value += 1
        const lived = nowMs() - startedMs
        const pause = this.#pauses[at]!
        const pauseMs = lived >= HEALTHY_MS ? 0 : Math.min(PAUSE_MS_MAX, 2 * pause)
        this.#pauses[at] = Math.max(PAUSE_MS_MIN, pauseMs)
        this.#log.error({ worker: at + 1, code, signal, pauseMs }, 'a worker ended; another one takes its place')
        if (pauseMs === 0) this.spawn(at)
        else this.later(pauseMs, () => this.spawn(at))
      },
    })
    this.#workers[at] = worker
    worker.begin(shareOf(this.#config, at, this.#count), this.#count)
    if (this.#reloaded !== null) worker.tell({ kind: 'reload', config: this.#reloaded })
    if (this.#watching) this.tellWhoIsThere(worker)
  }

  private tellWhoIsThere(worker: WorkerProcess): void {
    for (const { store, heard } of this.#watched.values()) {
      for (const each of heard.values()) worker.tell({ kind: 'heard', heard: each })
      worker.tellTopology(store.current)
    }
  }

  /** Its sessions are gone with it; whom it had not taken yet goes to another. */
  private forget(worker: WorkerProcess): void {
    for (const [id, owner] of this.#owners) if (owner === worker) this.#owners.delete(id)
    if (worker.metrics !== null) addRecord(this.#past, worker.metrics.record, COUNTERS)
    for (const arrival of worker.unconfirmed) this.place(arrival)
  }

  /** To the worker that has the fewest. */
  private place(arrival: Arrival): void {
    let least: WorkerProcess | null = null
    for (const worker of this.workers) if (worker.ready && worker.clients < (least?.clients ?? Infinity)) least = worker
    if (least === null) {
      this.#waiting.push(arrival)
      return
    }
    this.#owners.set(arrival.id, least)
    least.receive(arrival)
  }

  private hear(worker: WorkerProcess, told: ToSupervisor): void {
    if (told.kind === 'ready') {
      worker.ready = true
      this.#first?.ready()
      this.#first = null
      for (const arrival of this.#waiting.splice(0)) this.place(arrival)
    } else if (told.kind === 'arrived') worker.arrived()
    else if (told.kind === 'left') {
      worker.clients -= 1
      this.#owners.delete(told.id)
    } else if (told.kind === 'doubt') {
      const watched = this.#watched.get(told.cluster)
      watched?.monitor.suspect(told.backend, told.why)
      worker.heed(told.cluster)
      if (watched !== undefined) worker.tellTopology(watched.store.current)
    } else {
      for (const other of this.workers) if (other !== worker) other.tell(told)
    }
  }

  /** What a worker wants to know of its siblings. */
  private async answer(worker: WorkerProcess, { name, about }: Question): Promise<unknown> {
    const others = this.workers.filter((each) => each !== worker)
    if (name === 'processes') return mergedProcesses(await this.askAll('processes', about, others))
    if (name === 'victims') return (await this.askAll('victims', about, others)).flat() satisfies VictimRecord[]
    if (name === 'kill') return this.#owners.get(about.id)?.ask('kill', about) ?? null
    throw new Error(`${name} is asked of workers`)
  }

  /** Who does not answer (any more) is left out. */
  private async askAll<Name extends keyof Questions>(
    name: Name,
    about: Questions[Name]['about'],
    workers = this.workers,
  ): Promise<Questions[Name]['answer'][]> {
    const answers = await Promise.all(workers.map((worker) => worker.ask(name, about).catch(() => null)))
    return answers.filter((answer) => answer !== null) as Questions[Name]['answer'][]
  }

  private async failoversTold(): Promise<readonly FailoverTimeline[]> {
    return (await this.askAll('failovers', null)).flat()
  }

  /** All that was counted, by whomever. */
  private async gather(): Promise<void> {
    const [shown, own] = [this.#shown, this.#own]
    await Promise.all(this.workers.map((worker) => worker.count()))
    clearMetrics(shown)
    gaugeLag(
      own,
      Array.from(this.#watched.values(), ({ store }) => store.current),
    )
    own.workers.value = this.workers.filter(({ ready }) => ready).length
    for (const family of [own.workerSessions, own.workerCpuSeconds, own.workerResidentBytes]) family.clear()
    for (const { number, clients, metrics } of this.workers) {
      own.workerSessions.labels(String(number)).value = clients
      if (metrics === null) continue
      own.workerCpuSeconds.labels(String(number)).value = metrics.cpuSeconds
      own.workerResidentBytes.labels(String(number)).value = metrics.residentBytes
      addRecord(shown, metrics.record, ALL)
    }
    addRecord(shown, recordOf(this.#past), COUNTERS)
    for (const family of shown.families) if (OWN.has(family.name)) family.clear()
    addRecord(shown, recordOf(own), ALL)
  }

  private snapshots(): AdminSnapshots {
    return {
      version,
      metrics: this.#shown,
      nowMs,
      ready: () => {
        if (this.#ending) return 'draining'
        if (!this.#listening) return 'starting'
        if (!this.workers.some(({ ready }) => ready)) return 'no worker is ready'
        for (const [name, { store }] of this.#watched) {
          if (writerOf(store.current) === null) return `cluster ${name} has no writer`
        }
        return null
      },
      topology: () => Array.from(this.#watched.values(), ({ store }) => store.current),
      floors: async () => mergedFloors((await this.askAll('floors', null)).flat()),
      pools: async () => mergedPools((await this.askAll('pools', null)).flat()),
      sessions: async () => (await this.askAll('sessions', null)).flat().sort((one, other) => one.id - other.id),
      statements: async () => mergedStatements((await this.askAll('statements', null)).flat()),
      events: (after) => this.#events.after(after),
      failovers: async () => {
        const told = await this.failoversTold()
        return [...this.#watched.values()].flatMap(({ failovers: { current } }) =>
          current === null ? [] : [mergedTimeline(current, told)],
        )
      },
    }
  }
}
