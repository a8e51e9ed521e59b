// One of several processes that serve clients: gets settings, clients and who is there from the supervisor, and answers
// what is asked about its sessions. Ends when told to, and when the supervisor is no more.

import { createLog } from '../log.ts'
import { recordOf } from '../metrics.ts'
import { createProtocol, Serving } from '../serving.ts'
import { attach, type SocketHandle } from '../session/listening-socket.ts'
import type { Siblings } from '../session/sessions.ts'
import type { ClusterEvent } from '../topology/events.ts'
import type { FailoverTimeline } from '../topology/failover-timeline.ts'
import { BOARD_FD, Board } from './board.ts'
import { Channel } from './channel.ts'
import { clockOffsetMs } from './clock.ts'
import type { Answerers, Begin, GlobalsSet, Question, Questions, Raised, ToSupervisor, ToWorker } from './messages.ts'
import { Relay } from './relay.ts'
import { RemoteWatch } from './remote-watch.ts'

/** Resolves when it is over. */
export function serveAsWorker(): Promise<void> {
  return new Promise((resolve) => {
    let worker: Worker | null = null
    const channel = new Channel(process, {
      told(message, handle) {
        const told = message as ToWorker
        if (told.kind === 'begin') worker = new Worker(channel, told, resolve)
        else worker?.hear(told, handle)
      },
      asked: (question) => worker?.answer(question as Question),
    })
    process.on('disconnect', () => worker?.end('retire') ?? resolve())
    // Meant for the supervisor, and sent to the whole group of processes by a terminal.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {})
  })
}

class Worker {
  readonly #channel: Channel
  readonly #serving: Serving
  readonly #watches = new Map<string, RemoteWatch>()
  readonly #lastFailovers = new Map<string, FailoverTimeline>()
  readonly #positionOf: ReturnType<typeof createProtocol>['position']
  readonly #answerers: Answerers
  readonly #relay: Relay
  readonly #over: () => void
  #ending: Promise<void> | null = null

  constructor(channel: Channel, { config, worker, workers, clockMs }: Begin, over: () => void) {
    const log = createLog(config.log.level).child({ worker })
    process.on('uncaughtException', (error) => log.error({ err: error }, 'a bug: nobody caught this'))
    process.on('unhandledRejection', (error) => log.error({ err: error }, 'a bug: nobody caught this'))
    const offsetMs = clockOffsetMs(clockMs)
    const nowMs = () => performance.now() + offsetMs
    const protocol = createProtocol(nowMs)
    this.#channel = channel
    this.#over = over
    this.#positionOf = (text) => protocol.position(text)
    this.#relay = new Relay({
      board: new Board(BOARD_FD, worker, workers),
      worker,
      clusters: Object.keys(config.clusters),
      send: (raised) => this.tell({ kind: 'raised', raised }),
      sendGlobals: (globals) => this.tell({ kind: 'globals', globals }),
      heed: (raised) => this.heed(raised),
      nowMs,
    })
    this.#serving = new Serving({
      config,
      protocol,
      log,
      nowMs,
      events: { add: (event) => this.keep(event) },
      watch: (cluster, store) => {
        const doubt = (backend: string, why: string) => this.tell({ kind: 'doubt', cluster, backend, why })
        const watch = new RemoteWatch({ store, nowMs, positionOf: this.#positionOf, doubt })
        this.#watches.set(cluster, watch)
        return watch
      },
      siblings: this.siblings(),
      others: this.#relay,
    })
    this.#relay.start()
    this.#answerers = this.answerers()
    void this.#serving.start().then(
      () => this.tell({ kind: 'ready' }),
      (error: Error) => {
        log.fatal({ why: error.message }, 'a worker cannot start')
        process.exitCode = 1
        over()
      },
    )
  }

  hear(told: Exclude<ToWorker, Begin>, handle: SocketHandle | null): void {
    if (told.kind === 'client') this.receive(told.listener, told.id, handle)
    else if (told.kind === 'topology') this.#watches.get(told.topology.cluster)?.told(told.topology, told.doubts)
    else if (told.kind === 'heard') this.#watches.get(told.heard.cluster)?.heard(told.heard)
    else if (told.kind === 'raised') this.#relay.hear(told.raised)
    else if (told.kind === 'globals') this.heedGlobals(told.globals)
    else if (told.kind === 'reload') this.#serving.reload(told.config)
    else void this.end(told.how)
  }

  answer({ name, about }: Question): unknown {
    return (this.#answerers[name] as (about: unknown) => unknown)(about)
  }

  end(how: 'stop' | 'retire'): Promise<void> {
    this.#ending ??= this.#serving[how]().then(this.#over)
    return this.#ending
  }

  private receive(name: string, id: number, handle: SocketHandle | null): void {
    this.tell({ kind: 'arrived' })
    const listener = this.#serving.listeners.find((each) => each.name === name)
    const gone = () => this.tell({ kind: 'left', id })
    if (handle === null || listener === undefined) return gone()
    void listener.receive(attach(handle), id).then(gone)
  }

  private heed({ cluster, position, ...raised }: Raised): void {
    const known = position === null ? null : this.#positionOf(position)
    this.#serving.clusters.get(cluster)?.raise({ ...raised, position: known })
  }

  private heedGlobals({ cluster, backend, names }: GlobalsSet): void {
    this.#serving.clusters.get(cluster)?.globalsSet(backend, names)
  }

  /** What becomes of servers the supervisor writes down itself; what a failover did to sessions it asks for. */
  private keep(event: ClusterEvent): void {
    if (event.kind === 'failover' || event.kind === 'interruption') this.#lastFailovers.set(event.cluster, event)
  }

  private answerers(): Answerers {
    const serving = this.#serving
    const { sessions, clusters, metrics } = serving
    return {
      sessions: () => serving.sessionList,
      pools: () => serving.pools,
      floors: () => serving.floors,
      statements: () => serving.statements.map(({ durations, ...kind }) => ({ ...kind, durations: durations.record })),
      metrics: async () => {
        for (const prepare of metrics.beforeScrape) await prepare()
        const { user, system } = process.cpuUsage()
        const cpuSeconds = (user + system) / 1e6
        return { record: recordOf(metrics), cpuSeconds, residentBytes: process.memoryUsage.rss() }
      },
      failovers: () => [...serving.failovers, ...this.#lastFailovers.values()],
      processes: ({ cluster, user }) => ({
        processes: sessions.processes(cluster, user),
        serverIds: clusters.get(cluster)!.pools.allServerIds,
      }),
      victims: (who) => sessions.wanted(who).map(({ id, user }) => ({ id, user })),
      kill: async ({ id, what }) => {
        await sessions.byId(id)?.kill(what)
        return null
      },
    }
  }

  private siblings(): Siblings {
    return {
      processes: (cluster, user) => this.ask('processes', { cluster, user }),
      victims: async (who) =>
        (await this.ask('victims', who)).map(({ id, user }) => ({
          user,
          kill: async (what) => void (await this.ask('kill', { id, what })),
        })),
    }
  }

  private ask<Name extends keyof Questions>(
    name: Name,
    about: Questions[Name]['about'],
  ): Promise<Questions[Name]['answer']> {
    return this.#channel.ask({ name, about }) as Promise<Questions[Name]['answer']>
  }

  private tell(told: ToSupervisor): void {
    this.#channel.tell(told)
  }
}
