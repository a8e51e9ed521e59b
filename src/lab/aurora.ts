// A cluster on this machine that looks like Aurora to a client and to whoever reads its topology: real servers that
// replicate, and a front for each instance. It fails over as Aurora does, as fast and with as many lies as it is told.

import { readFile } from 'node:fs/promises'
import { AuroraFront, type Refusal } from './aurora-front.ts'
import { answerNames } from './aurora-names.ts'
import { asAurora, type StatusRow } from './aurora-sql.ts'
import type { EngineName } from './engine.ts'
import { type LabCluster, startCluster } from './lab-cluster.ts'
import type { LabServer } from './lab-server.ts'
import { freePort, LabError, type Progress } from './machine.ts'
import { certificates } from './templates.ts'

/** What an old writer does after it has lost its office, until it comes back as a reader. */
export type OldWriter =
  /** It restarts: nobody listens. */
  | 'restarts'
  /** Half dead: it accepts connections, keeps those it has, and answers nothing. */
  | 'mute'
  /** Half dead: its doomed process goes on answering, and calls itself the writer; what writes is refused. */
  | 'doomed'

export interface AuroraScript {
  /** From the loss of the old writer until the new one takes writes; the servers need some part of it. */
  readonly outageMs: number
  /** From then on: until the old writer is back as a reader. */
  readonly oldWriterBackMs: number
  readonly oldWriter: OldWriter
  /** … how long both have a row that says MASTER_SESSION_ID. */
  readonly twoMastersMs: number
  /** … how long the other readers tell the old story. */
  readonly staleMs: number
  /** … and until the cluster's names lead to the new writer. */
  readonly dnsLateMs: number
  /** How often the instances write their rows. */
  readonly statusMs: number
  /** How long the row of an instance that was deleted stays. */
  readonly ghostMs: number
  /** How long a new instance has no row. */
  readonly rowLateMs: number
  /** What readers tell of their lag, at least and at most. */
  readonly lagMs: readonly [min: number, max: number]
  readonly refusal: Refusal
}

export const AURORA_SCRIPT: AuroraScript = {
  outageMs: 2_000,
  oldWriterBackMs: 1_500,
  oldWriter: 'restarts',
  twoMastersMs: 1_000,
  staleMs: 1_500,
  dnsLateMs: 6_000,
  statusMs: 1_000,
  ghostMs: 20_000,
  rowLateMs: 500,
  lagMs: [8, 25],
  refusal: {
    errno: 1290,
    message: 'The MySQL server is running with the --read-only option so it cannot execute this statement',
  },
}

export interface AuroraSettings {
  readonly engine: EngineName
  /** At the beginning. */
  readonly instances?: number
  /** That there can ever be, deleted ones included. */
  readonly instancesMax?: number
  /** The same seed and script make the same lags and the same choices. */
  readonly seed?: number
  readonly script?: Partial<AuroraScript>
  readonly flags?: readonly string[]
  readonly progress?: Progress
}

interface Instance {
  readonly name: string
  readonly host: string
  readonly server: LabServer
  readonly front: AuroraFront
  /** From when on there is a row for it. */
  readonly sinceMs: number
  /** When it began to run, this time. */
  upMs: number
  /** When it last could write its row; null while it can. */
  downMs: number | null
  deletedMs: number | null
  /** It tells the story of this moment, and has been told to until the other one. */
  stale: { readonly fromMs: number; readonly untilMs: number; readonly writer: string } | null
  /** Its doomed process still calls itself the writer. */
  isDoomed: boolean
}

/** What happened in a failover, in milliseconds since it began. */
export interface FailoverStep {
  readonly ms: number
  readonly what: string
}

const DOMAIN = 'lab0aurora.local-1.rds.amazonaws.com'
const CLUSTER = 'lab'
const VERSION = '3.05.2'

let clusters = 0

export class AuroraCluster {
  readonly port: number
  readonly #lab: LabCluster
  readonly #script: AuroraScript
  readonly #certificate: { readonly key: string; readonly cert: string }
  readonly #random: () => number
  readonly #instances = new Map<string, Instance>()
  readonly #domain: string
  readonly #hostBase: string
  readonly #forgetNames: () => void
  readonly #timers = new Set<NodeJS.Timeout>()
  #writer: string
  /** Whom DNS takes for the writer. */
  #named: string
  #former: { readonly name: string; readonly untilMs: number } | null = null
  #made = 0

  private constructor(
    lab: LabCluster,
    port: number,
    certificate: { key: string; cert: string },
    settings: AuroraSettings,
  ) {
    clusters += 1
    this.#lab = lab
    this.port = port
    this.#certificate = certificate
    this.#script = { ...AURORA_SCRIPT, ...settings.script }
    this.#random = randomFrom(settings.seed ?? 1)
    // Every cluster of a process has names and addresses of its own; all of 127/8 is this machine.
    this.#domain = clusters === 1 ? DOMAIN : DOMAIN.replace('lab0', `lab${clusters - 1}`)
    this.#hostBase = `127.${77 + (process.pid % 100)}.${clusters % 250}`
    this.#writer = 'db-1'
    this.#named = 'db-1'
    this.#forgetNames = answerNames((name) => this.addressOf(name))
  }

  static async start(settings: AuroraSettings): Promise<AuroraCluster> {
    const { engine, instances = 3, instancesMax = instances, flags = [], progress = () => {} } = settings
    const lab = await startCluster({ engine, readers: Math.max(instances, instancesMax) - 1, flags, progress })
    const { certFile, keyFile } = await certificates()
    const [key, cert] = await Promise.all([readFile(keyFile, 'utf8'), readFile(certFile, 'utf8')])
    const aurora = new AuroraCluster(lab, await freePort(), { key, cert }, settings)
    try {
      for (let count = 0; count < instances; count++) await aurora.add(0)
      return aurora
    } catch (error) {
      await aurora.stop()
      throw error
    }
  }

  /** The cluster's own name, which follows the writer, late. */
  get endpoint(): string {
    return `${CLUSTER}.cluster-${this.#domain}`
  }

  get readerEndpoint(): string {
    return `${CLUSTER}.cluster-ro-${this.#domain}`
  }

  /** What a proxy is told to begin with. */
  get seeds(): readonly string[] {
    return [`${this.endpoint}:${this.port}`]
  }

  get writer(): string {
    return this.#writer
  }

  get names(): readonly string[] {
    return this.living().map(({ name }) => name)
  }

  /** Nothing of a failover is still to come. */
  get settled(): boolean {
    return this.#timers.size === 0
  }

  /** How a backend of this name is known: `host:port`. */
  idOf(name: string): string {
    return `${name}.${this.#domain}:${this.port}`
  }

  /** The real server behind an instance. */
  serverOf(name: string): LabServer {
    return this.instance(name).server
  }

  get lab(): LabCluster {
    return this.#lab
  }

  /** A reader more, as autoscaling makes them. */
  async add(rowLateMs = this.#script.rowLateMs): Promise<string> {
    const taken = new Set([...this.#instances.values()].map(({ server }) => server))
    const server = this.#made === 0 ? this.#lab.writer : this.#lab.servers.find((each) => !taken.has(each))
    if (server === undefined) throw new LabError('all the servers of this cluster have been used: raise instancesMax')
    this.#made += 1
    const name = `db-${this.#made}`
    const host = `${this.#hostBase}.${this.#made}`
    const front = new AuroraFront({
      host,
      port: this.port,
      server,
      certificate: this.#certificate,
      rewrite: (sql) => asAurora(sql, this.viewOf(name)),
      catchUp: () => this.#lab.waitFor(server),
      refusal: this.#script.refusal,
    })
    this.#instances.set(name, {
      name,
      host,
      server,
      front,
      sinceMs: performance.now() + rowLateMs,
      upMs: performance.now(),
      downMs: null,
      deletedMs: null,
      stale: null,
      isDoomed: false,
    })
    await front.become('up')
    return name
  }

  /** Deleted: its name is gone at once, its row stays for a while. */
  async remove(name: string): Promise<void> {
    if (name === this.#writer) throw new LabError(`${name} is the writer; fail over first`)
    const instance = this.instance(name)
    instance.deletedMs = performance.now()
    instance.downMs = instance.deletedMs
    await instance.front.become('gone')
  }

  /**
   * Resolves once the new writer takes writes, with what happened until then; what comes later happens by itself.
   * Without a name, chance and the seed choose.
   */
  async failover(
    to: string | null = null,
    oldWriter: OldWriter = this.#script.oldWriter,
  ): Promise<readonly FailoverStep[]> {
    const startMs = performance.now()
    const steps: FailoverStep[] = []
    const told = (what: string) => steps.push({ ms: Math.round(performance.now() - startMs), what })
    const { outageMs, oldWriterBackMs, staleMs, twoMastersMs, dnsLateMs } = this.#script
    const old = this.instance(this.#writer)
    const readers = this.living().filter(({ name }) => name !== old.name)
    const next = to === null ? readers[Math.floor(this.#random() * readers.length)] : this.instance(to)
    if (next === undefined || next === old) throw new LabError('there is nobody to fail over to')
    old.downMs = startMs
    next.downMs = startMs
    old.isDoomed = oldWriter === 'doomed'
    await Promise.all([
      next.front.become('gone'),
      oldWriter === 'doomed' ? null : old.front.become(oldWriter === 'mute' ? 'mute' : 'gone'),
    ])
    told(`${old.name} is lost (${oldWriter}), ${next.name} restarts`)
    await this.#lab.switchover(next.server)
    await this.pause(outageMs - (performance.now() - startMs))
    const nowMs = performance.now()
    this.#writer = next.name
    this.#former = { name: old.name, untilMs: nowMs + twoMastersMs }
    for (const reader of readers) {
      if (reader !== next) reader.stale = { fromMs: startMs, untilMs: nowMs + staleMs, writer: old.name }
    }
    if (old.isDoomed) old.stale = { fromMs: startMs, untilMs: nowMs + oldWriterBackMs, writer: old.name }
    next.downMs = null
    next.upMs = nowMs
    await next.front.become('up')
    told(`${next.name} takes writes`)
    this.later(oldWriterBackMs, async () => {
      old.isDoomed = false
      await old.front.become('gone')
      old.downMs = null
      old.upMs = performance.now()
      await old.front.become('up')
    })
    this.later(dnsLateMs, () => {
      this.#named = next.name
    })
    return steps
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#forgetNames()
    await Promise.all([...this.#instances.values()].map(({ front }) => front.become('gone')))
    await this.#lab.stop()
  }

  private living(): readonly Instance[] {
    return [...this.#instances.values()].filter(({ deletedMs }) => deletedMs === null)
  }

  private instance(name: string): Instance {
    const found = this.#instances.get(name)
    if (found === undefined || found.deletedMs !== null) throw new LabError(`there is no instance ${name}`)
    return found
  }

  private addressOf(name: string): string | null | undefined {
    if (!name.endsWith(this.#domain)) return undefined
    const [label = ''] = name.split('.')
    if (name === this.endpoint) return this.#instances.get(this.#named)?.host ?? null
    if (name === this.readerEndpoint) {
      const readers = this.living().filter((each) => each.name !== this.#named)
      return (readers[Math.floor(Math.random() * readers.length)] ?? this.#instances.get(this.#named))?.host ?? null
    }
    const found = this.#instances.get(label)
    return found === undefined || found.deletedMs !== null ? null : found.host
  }

  private viewOf(name: string) {
    const instance = this.#instances.get(name)!
    const readOnly = name !== this.#writer && !instance.isDoomed
    return { engine: this.#lab.engine, name, version: VERSION, readOnly, rows: this.rowsSeenBy(instance) }
  }

  /** One that tells an old story has the rows of that moment, which have aged since. */
  private rowsSeenBy({ stale }: Instance): readonly StatusRow[] {
    const nowMs = performance.now()
    const isStale = stale !== null && nowMs < stale.untilMs
    const atMs = isStale ? stale.fromMs : nowMs
    const writer = isStale ? stale.writer : this.#writer
    const former = !isStale && this.#former !== null && nowMs < this.#former.untilMs ? this.#former.name : null
    const rows: StatusRow[] = []
    for (const { name, sinceMs, upMs, downMs, deletedMs } of this.#instances.values()) {
      if (sinceMs > atMs || (deletedMs !== null && nowMs - deletedMs > this.#script.ghostMs)) continue
      const [min, max] = this.#script.lagMs
      const lastMs = Math.min(downMs ?? atMs, atMs)
      rows.push({
        name,
        writer: name === writer || name === former,
        lagMs: name === writer ? 0 : Math.round((min + this.#random() * (max - min)) * 1000) / 1000,
        // Rows are written when an instance starts and then every so often, each instance's at moments of its own.
        ageMs:
          nowMs - lastMs + Math.min((lastMs + name.length * 137) % this.#script.statusMs, Math.max(0, lastMs - upMs)),
        cpu: Math.round(this.#random() * 100) / 10,
      })
    }
    return rows
  }

  private pause(ms: number): Promise<void> {
    return new Promise((done) => {
      this.later(ms, done)
    })
  }

  private later(ms: number, what: () => unknown): void {
    const timer = setTimeout(
      () => {
        void Promise.resolve(what()).then(() => this.#timers.delete(timer))
      },
      Math.max(0, ms),
    )
    this.#timers.add(timer)
  }
}

export function startAurora(settings: AuroraSettings): Promise<AuroraCluster> {
  return AuroraCluster.start(settings)
}

/** The same numbers for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
