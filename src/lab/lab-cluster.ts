// One writer and its readers, as processes of ours on loopback ports.

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Engine, EngineName, ServerSettings } from './engine.ts'
import { LabServer } from './lab-server.ts'
import { cacheFolder, freePort, LabError, type Progress } from './machine.ts'
import { mariadbEngine } from './mariadb.ts'
import { mysqlEngine } from './mysql.ts'
import { RunningCluster } from './running-cluster.ts'
import { certificates, copyTemplate, templateOf } from './templates.ts'
import { Watchdog } from './watchdog.ts'

export interface ClusterSettings {
  readonly engine: EngineName
  readonly readers?: number
  /** One for each server, the writer's first; free ones by default. */
  readonly ports?: readonly number[]
  readonly performanceSchema?: boolean
  /** Commits wait until a reader has received them. */
  readonly semiSync?: boolean
  /** Servers write down every statement, for statementsSeen(). */
  readonly generalLog?: boolean
  /** Servers call whoever comes from this machine `localhost`, as most do. */
  readonly resolvesNames?: boolean
  /** More flags for every server program. */
  readonly flags?: readonly string[]
  readonly progress?: Progress
}

export class LabCluster extends RunningCluster<LabServer> {
  readonly #template: string
  readonly #folder: string
  readonly #watchdog: Watchdog
  /** When the writer was told to take writes, if it was promoted. */
  promotedMs: number | null = null

  private constructor(engine: Engine, settings: readonly ServerSettings[], template: string, folder: string) {
    const watchdog = new Watchdog(folder)
    const servers = settings.map((each) => new LabServer(engine, each, watchdog))
    super(engine.name, engine.version, settings[0]!.certificates.caFile, servers)
    this.#template = template
    this.#folder = folder
    this.#watchdog = watchdog
  }

  static async start(settings: ClusterSettings): Promise<LabCluster> {
    const { readers = 2, ports = [], performanceSchema = false, generalLog = false, flags = [] } = settings
    const { resolvesNames = false, semiSync = false, progress = () => {} } = settings
    const engine = await (settings.engine === 'mysql' ? mysqlEngine : mariadbEngine)(progress)
    const template = await templateOf(engine, progress)
    const tls = await certificates()
    const runs = join(cacheFolder(), 'run')
    await mkdir(runs, { recursive: true })
    const folder = await mkdtemp(join(runs, `${engine.name}-`))
    const servers: ServerSettings[] = []
    for (let index = 0; index <= readers; index++) {
      servers.push({
        folder: join(folder, `server-${index + 1}`),
        port: ports[index] ?? (await freePort()),
        serverId: index + 1,
        readOnly: index > 0,
        performanceSchema,
        generalLog,
        resolvesNames,
        certificates: tls,
        semiSync,
        flags,
      })
    }
    const cluster = new LabCluster(engine, servers, template, folder)
    try {
      progress(`${engine.name} ${engine.version}: starting ${servers.length} servers`)
      await Promise.all(cluster.servers.map((server) => cluster.startAfresh(server)))
      await Promise.all(cluster.readers.map((reader) => cluster.follow(reader)))
      await cluster.waitForReaders()
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  /**
   * What an operator or an orchestrator does when the writer is gone: the reader becomes the writer, and the other
   * running readers follow it. The old writer is not touched; should it still run, there are two.
   */
  async promote(reader: LabServer): Promise<void> {
    const old = this.servers.find(({ role }) => role === 'writer')
    await reader.asRoot(async (root) => {
      if (!(await this.words.unfollow(root, 30))) throw new LabError('the reader cannot apply what it has received')
      this.promotedMs = performance.now()
      await this.words.setReadOnly(root, false)
    })
    if (old !== undefined) old.role = 'reader'
    reader.role = 'writer'
    const others = this.servers.filter((server) => server !== reader && server !== old && this.isUp(server))
    await Promise.all(others.map((server) => this.follow(server)))
  }

  /** Of the readers that run, the one to promote when the writer is lost: it has received most. */
  async bestReader(): Promise<LabServer> {
    const running = this.readers.filter((reader) => this.isUp(reader))
    const counts = await Promise.all(running.map((reader) => reader.asRoot((root) => this.words.received(root))))
    const best = running[counts.indexOf(Math.max(...counts))]
    if (best === undefined) throw new LabError('no reader runs that could be promoted')
    return best
  }

  /** The planned way, with no write lost: the old writer becomes read-only, the reader catches up and takes over. */
  async switchover(reader: LabServer): Promise<void> {
    const old = this.writer
    const position = await old.asRoot(async (root) => {
      await this.words.setReadOnly(root, true)
      return this.words.position(root)
    })
    await this.awaitPosition(reader, position, 30)
    await this.promote(reader)
    await this.follow(old)
  }

  /** Brings back a server that was left behind by a promotion: emptied, it fetches everything from the writer. */
  async rejoin(server: LabServer): Promise<void> {
    await server.kill()
    await rm(join(server.folder, 'data'), { recursive: true, force: true })
    server.role = 'reader'
    server.serverId = Math.max(...this.servers.map(({ serverId }) => serverId)) + 1
    await this.startAfresh(server)
    await this.follow(server)
    await this.waitForReaders()
  }

  /** Ends every server at once; nothing of them remains, neither processes nor folders. */
  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill()))
    await this.#watchdog.finish()
    await rm(this.#folder, { recursive: true, force: true })
  }

  protected override isUp(server: LabServer): boolean {
    return server.pid !== null
  }

  private async startAfresh(server: LabServer): Promise<void> {
    await copyTemplate(this.#template, join(server.folder, 'data'))
    await server.start()
  }

  private async follow(server: LabServer): Promise<void> {
    const { host, port } = this.writer
    await server.asRoot((root) => this.words.follow(root, { host, port }))
  }
}

/** A writer and its readers with the lab's users, replicating by GTID, up and level. */
export async function startCluster(settings: ClusterSettings): Promise<LabCluster> {
  for (let tries = 1; ; tries++) {
    try {
      return await LabCluster.start(settings)
    } catch (error) {
      // Somebody else took a port between our finding it free and the server's asking for it.
      const isTaken = error instanceof LabError && error.message.includes('already in use')
      if (!isTaken || settings.ports !== undefined || tries === 3) throw error
    }
  }
}
