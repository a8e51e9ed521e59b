// sluice drill: a failover under load, in the lab or of a cluster of the user's, through a Sluice of the drill's own; and
// what became of its clients.

import { createConnection } from 'mysql2/promise'
import { DrillLoad, type FailoverKind, LabError, tableSql, until } from '../lab/index.ts'
import { createLog } from '../log.ts'
import { createProber, createProxy, type RunningProxy } from '../proxy.ts'
import { writerOf } from '../topology/topology.ts'
import { reportProblems } from './check.ts'
import { jsonOf, linesOf, type Plan, type Round, type Verdict, verdictsOn } from './drill-report.ts'
import { type DrillTarget, labTarget, ownTarget } from './drill-target.ts'
import type { ExitCode, Output } from './output.ts'
import { WriterWatch } from './writer-watch.ts'

export interface DrillOptions {
  readonly engine: 'mysql' | 'mariadb' | null
  readonly aurora: boolean
  readonly kind: FailoverKind | null
  readonly clients: number
  readonly rounds: number
  /** Settings of a cluster of the user's; null: the lab. */
  readonly file: string | null
  readonly command: string | null
  readonly schema: string | null
  readonly json: boolean
}

/** How long everything may take to be as it should be before a failover, and to be over after it. */
const READY_MS_MAX = 60_000
const FAILOVER_MS_MAX = 120_000

/** Why these options make no sense together; null: they do. */
export function misuseOf({ engine, aurora, kind, file, command, schema }: DrillOptions): string | null {
  const ofOwn = [file, command, schema].filter((given) => given !== null).length
  if (ofOwn !== 0 && ofOwn !== 3) return 'a cluster of yours needs --config, --command and --schema, all three'
  const ofLab = engine !== null || aurora || kind !== null
  if (ofOwn === 3 && ofLab) return '--engine, --aurora and --kind are for the lab, --config is for a cluster of yours'
  return null
}

/** What the drill has shown. */
export interface Shown {
  readonly rounds: readonly Round[]
  readonly verdicts: readonly Verdict[]
}

export async function drill(options: DrillOptions, output: Output): Promise<ExitCode> {
  const tell = options.json ? output.error : output.print
  try {
    const { rounds, verdicts } = await rehearse(options, tell, output.env)
    if (options.json) output.print(JSON.stringify(jsonOf(rounds, verdicts), null, 2))
    tell('\n── Promises')
    for (const { promise, held, seen } of verdicts) tell(`   ${held ? '✓' : '✗'} ${promise} (${seen})`)
    return verdicts.every(({ held }) => held) ? 0 : 1
  } catch (error) {
    if (!(error instanceof LabError)) return reportProblems(error, output)
    output.error(`sluice: the drill could not be held: ${error.message}`)
    return 1
  }
}

/** Holds the drill. Throws LabError or ConfigError where it cannot. */
export async function rehearse(
  options: DrillOptions,
  tell: (line: string) => void,
  env: Output['env'] = {},
): Promise<Shown> {
  const { clients, json } = options
  const target = await (options.file === null ? labTarget(options, tell) : ownTarget(options, tell, env))
  const plan: Plan = { kind: target.kind, loses: target.loses }
  try {
    const stage = await Stage.set(target, clients)
    try {
      const rounds: Round[] = []
      for (let number = 1; number <= options.rounds; number++) {
        tell(`\n── ${target.kind ?? 'failover'} ${number} of ${options.rounds}: ${clients} clients at work`)
        if (number > 1) await target.mend()
        const round = await stage.round()
        rounds.push(round)
        for (const line of json ? [] : linesOf(round)) tell(`   ${line}`)
      }
      return { rounds, verdicts: verdictsOn(rounds, plan) }
    } finally {
      await stage.strike()
    }
  } finally {
    await target.stop()
  }
}

/** A Sluice in front of the cluster, and a table of the drill's own. */
class Stage {
  readonly #target: DrillTarget
  readonly #proxy: RunningProxy
  readonly #clients: number
  #hasTable = false

  private constructor(target: DrillTarget, proxy: RunningProxy, clients: number) {
    this.#target = target
    this.#proxy = proxy
    this.#clients = clients
  }

  static async set(target: DrillTarget, clients: number): Promise<Stage> {
    const proxy = createProxy(target.config, createLog(target.config.log.level))
    const stage = new Stage(target, proxy, clients)
    try {
      await proxy.start()
      await stage.ready()
      await stage.ask(tableSql(target.table))
      stage.#hasTable = true
      return stage
    } catch (error) {
      await stage.strike()
      throw new LabError((error as Error).message, { cause: error })
    }
  }

  async strike(): Promise<void> {
    if (this.#hasTable) await this.ask(`DROP TABLE ${this.#target.table}`)
    await this.#proxy.stop()
  }

  /** One failover under load, from before until all is as it was. */
  async round(): Promise<Round> {
    const { table, failOver } = this.#target
    await this.ready()
    await this.ask(`DELETE FROM ${table}`)
    const load = await DrillLoad.start({ login: this.login, clients: this.#clients, table })
    const watch = this.watch()
    try {
      await load.goesOn(performance.now())
      const before = this.lastEventId
      await failOver()
      const timeline = await this.timelineAfter(before)
      const acceptsMs = timeline?.to == null ? null : watch.acceptsMs(timeline.to)
      const goesOn = await load.goesOn(timeline?.foundMs ?? performance.now())
      await load.finish()
      const { failures, closed, statements } = load
      const firstWriteMs = acceptsMs === null ? null : load.firstWriteMs(acceptsMs)
      const audit = await load.audit()
      return { timeline, acceptsMs, firstWriteMs, clients: this.#clients, closed, goesOn, statements, failures, audit }
    } finally {
      await watch.stop()
      await load.stop()
    }
  }

  private get login() {
    const { port } = this.#proxy.addresses().get(this.#target.config.listeners[0]!.name)!
    return { ...this.#target.login, host: '127.0.0.1', port }
  }

  private get topology() {
    return this.#proxy.snapshots.topology().find(({ cluster }) => cluster === this.#target.cluster)!
  }

  private get lastEventId(): number {
    return this.#proxy.snapshots.events(0).at(-1)?.id ?? 0
  }

  private watch(): WriterWatch {
    const settings = this.#target.config.clusters[this.#target.cluster]!
    return new WriterWatch(this.topology.backends, (host, port) => createProber(settings, host, port))
  }

  /** All members serve, in the lab; elsewhere a writer and one reader are enough for a failover. */
  private async ready(): Promise<void> {
    const up = () => this.topology.backends.filter(({ health }) => health === 'up')
    const wanted = this.#target.members ?? 2
    const isReady = () => (writerOf(this.topology) !== null && up().length >= wanted ? true : null)
    const seen = () => this.topology.backends.map(({ id, role, health, why }) => `${id} ${role}, ${health}: ${why}`)
    await until(isReady, READY_MS_MAX, () => `the cluster has not become ready: ${seen().join('; ')}`)
  }

  /** The failover that ended after that event. */
  private timelineAfter(id: number): Promise<Round['timeline']> {
    const find = () => {
      for (const { event } of this.#proxy.snapshots.events(id)) if ('lostMs' in event) return event
      return null
    }
    return until(find, FAILOVER_MS_MAX, () => '').catch(() => null)
  }

  private async ask(sql: string): Promise<void> {
    const connection = await createConnection(this.login)
    await connection.query(sql).finally(() => connection.end())
  }
}
