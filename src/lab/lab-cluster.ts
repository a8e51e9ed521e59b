// One writer and its readers, as processes of ours on loopback ports.

import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { RowDataPacket } from 'mysql2/promise'
import type { Engine, EngineName, ServerSettings } from './engine.ts'
import { LabServer } from './lab-server.ts'
import { cacheFolder, freePort, LabError, type Progress } from './machine.ts'
import { mariadbEngine } from './mariadb.ts'
import { mysqlEngine } from './mysql.ts'
import { certificates, copyTemplate, templateOf } from './templates.ts'
import { Watchdog } from './watchdog.ts'

export interface ClusterSettings {
  readonly engine: EngineName
  readonly readers?: number
  /** One for each server, the writer's first; free ones by default. */
  readonly ports?: readonly number[]
  readonly performanceSchema?: boolean
  /** Servers write down every statement, for statementsSeen(). */
  readonly generalLog?: boolean
  /** More flags for every server program. */
  readonly flags?: readonly string[]
  readonly progress?: Progress
}

/** A statement as a server wrote it down in its general log. */
export interface SeenStatement {
  readonly user: string
  readonly connectionId: number
  /** The server's word: Query, Prepare, Execute, Init DB, Connect, Quit … */
  readonly command: string
  readonly text: string
}

export class LabCluster {
  readonly engine: EngineName
  readonly version: string
  readonly servers: readonly LabServer[]
  readonly caFile: string
  readonly #kind: Engine
  readonly #template: string
  readonly #folder: string
  readonly #watchdog: Watchdog
  readonly #forgotten = new Map<LabServer, number>()

  private constructor(kind: Engine, folder: string, template: string, settings: readonly ServerSettings[]) {
    this.engine = kind.name
    this.version = kind.version
    this.#kind = kind
    this.#template = template
    this.#folder = folder
    this.#watchdog = new Watchdog(folder)
    this.servers = settings.map((each) => new LabServer(kind, each, this.#watchdog))
    this.caFile = settings[0]!.certificates.caFile
  }

  static async start(settings: ClusterSettings): Promise<LabCluster> {
    const { readers = 2, ports = [], performanceSchema = false, generalLog = false, flags = [] } = settings
    const { progress = () => {} } = settings
    const kind = await (settings.engine === 'mysql' ? mysqlEngine : mariadbEngine)(progress)
    const template = await templateOf(kind, progress)
    const tls = await certificates()
    const runs = join(cacheFolder(), 'run')
    await mkdir(runs, { recursive: true })
    const folder = await mkdtemp(join(runs, `${kind.name}-`))
    const servers: ServerSettings[] = []
    for (let index = 0; index <= readers; index++) {
      servers.push({
        folder: join(folder, `server-${index + 1}`),
        port: ports[index] ?? (await freePort()),
        serverId: index + 1,
        readOnly: index > 0,
        performanceSchema,
        generalLog,
        certificates: tls,
        flags,
      })
    }
    const cluster = new LabCluster(kind, folder, template, servers)
    try {
      progress(`${kind.name} ${kind.version}: starting ${servers.length} servers`)
      await Promise.all(cluster.servers.map((server) => cluster.startAfresh(server)))
      await Promise.all(cluster.readers.map((reader) => cluster.follow(reader)))
      await cluster.waitForReaders()
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  get writer(): LabServer {
    const writer = this.servers.find(({ role }) => role === 'writer')
    if (writer === undefined) throw new LabError('this cluster has no writer')
    return writer
  }

  get readers(): readonly LabServer[] {
    return this.servers.filter(({ role }) => role === 'reader')
  }

  /** Waits until every running reader has what the writer has now. */
  async waitForReaders(secondsMax = 30): Promise<void> {
    const position = await this.writer.asRoot((root) => this.#kind.position(root))
    const running = this.readers.filter(({ pid }) => pid !== null)
    await Promise.all(running.map((reader) => this.catchUp(reader, position, secondsMax)))
  }

  /**
   * What an operator or an orchestrator does when the writer is gone: the reader becomes the writer, and the other
   * running readers follow it. The old writer is not touched; should it still run, there are two.
   */
  async promote(reader: LabServer): Promise<void> {
    const old = this.servers.find(({ role }) => role === 'writer')
    await reader.asRoot(async (root) => {
      await this.#kind.unfollow(root)
      await this.#kind.setReadOnly(root, false)
    })
    if (old !== undefined) old.role = 'reader'
    reader.role = 'writer'
    const others = this.servers.filter((server) => server !== reader && server !== old && server.pid !== null)
    await Promise.all(others.map((server) => this.follow(server)))
  }

  /** The planned way, with no write lost: the old writer becomes read-only, the reader catches up and takes over. */
  async switchover(reader: LabServer): Promise<void> {
    const old = this.writer
    const position = await old.asRoot(async (root) => {
      await this.#kind.setReadOnly(root, true)
      return this.#kind.position(root)
    })
    await this.catchUp(reader, position, 30)
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

  /** The statements that reached this server since forgetStatements(), in order; the lab's own left out. */
  async statementsSeen(server: LabServer, users: readonly string[] = ['app']): Promise<SeenStatement[]> {
    const rows = await server.asRoot(async (root) => {
      const [rows] = await root.query<RowDataPacket[]>(
        `SELECT user_host, thread_id, command_type, CONVERT(argument USING utf8mb4) AS text
         FROM mysql.general_log LIMIT 1000000000 OFFSET ${this.#forgotten.get(server) ?? 0}`,
      )
      return rows
    })
    return rows
      .map((row) => ({
        user: /^(?:[^[]*\[)?([^\]]*)\]?/.exec(String(row.user_host))?.[1] ?? '',
        connectionId: Number(row.thread_id),
        command: String(row.command_type),
        text: String(row.text),
      }))
      .filter(({ user }) => users.includes(user))
  }

  /** From here on, statementsSeen() tells what comes after now. */
  async forgetStatements(): Promise<void> {
    for (const server of this.servers.filter(({ pid }) => pid !== null)) {
      const rows = await server.asRoot(async (root) => {
        const [[row]] = await root.query<RowDataPacket[]>('SELECT COUNT(*) AS count FROM mysql.general_log')
        return Number(row?.count)
      })
      this.#forgotten.set(server, rows)
    }
  }

  /** Ends every server at once; nothing of them remains, neither processes nor folders. */
  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill()))
    await this.#watchdog.finish()
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** The server's own words, for a report of what went wrong. */
  async errorLog(server: LabServer): Promise<string> {
    return readFile(server.errorLogFile, 'utf8').catch(() => '')
  }

  private async startAfresh(server: LabServer): Promise<void> {
    await copyTemplate(this.#template, join(server.folder, 'data'))
    await server.start()
  }

  private async follow(server: LabServer): Promise<void> {
    const { host, port } = this.writer
    await server.asRoot((root) => this.#kind.follow(root, { host, port }))
  }

  private async catchUp(reader: LabServer, position: string, secondsMax: number): Promise<void> {
    await reader.asRoot(async (root) => {
      if (await this.#kind.reached(root, position, secondsMax)) return
      const why = await this.#kind.replicationError(root)
      throw new LabError(`the reader on port ${reader.port} did not catch up in ${secondsMax} s: ${why}`)
    })
  }
}

/** A writer and its readers with the lab's users, replicating by GTID, up and level. */
export async function startCluster(settings: ClusterSettings): Promise<LabCluster> {
  return LabCluster.start(settings)
}
