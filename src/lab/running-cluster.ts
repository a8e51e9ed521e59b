// A lab cluster that runs, seen from anywhere; tests use one that another process started and will stop.

import type { EngineName, ReplicationWords } from './engine.ts'
import { LabError } from './machine.ts'
import { mariadbWords } from './mariadb.ts'
import { mysqlWords } from './mysql.ts'
import type { RunningServer } from './running-server.ts'

export class RunningCluster<Server extends RunningServer = RunningServer> {
  readonly engine: EngineName
  readonly version: string
  /** The certificate authority that every server's certificate is signed by. */
  readonly caFile: string
  readonly servers: readonly Server[]
  protected readonly words: ReplicationWords

  constructor(engine: EngineName, version: string, caFile: string, servers: readonly Server[]) {
    this.engine = engine
    this.version = version
    this.caFile = caFile
    this.servers = servers
    this.words = engine === 'mysql' ? mysqlWords : mariadbWords
  }

  get writer(): Server {
    const writer = this.servers.find(({ role }) => role === 'writer')
    if (writer === undefined) throw new LabError('this cluster has no writer')
    return writer
  }

  get readers(): readonly Server[] {
    return this.servers.filter(({ role }) => role === 'reader')
  }

  /** Waits until every running reader has what the writer has now. */
  async waitForReaders(secondsMax = 30): Promise<void> {
    const position = await this.writer.asRoot((root) => this.words.position(root))
    const running = this.readers.filter((reader) => this.isUp(reader))
    await Promise.all(running.map((reader) => this.awaitPosition(reader, position, secondsMax)))
  }

  /** Waits until this server has what the writer has now. */
  async waitFor(server: Server, secondsMax = 30): Promise<void> {
    if (server.role === 'writer') return
    await this.awaitPosition(server, await this.writer.asRoot((root) => this.words.position(root)), secondsMax)
  }

  /** From here on every server writes down what it is asked; see RunningServer.statementsSeen(). */
  async watchStatements(): Promise<void> {
    await Promise.all(this.servers.filter((server) => this.isUp(server)).map((server) => server.watchStatements()))
  }

  async ignoreStatements(): Promise<void> {
    await Promise.all(this.servers.filter((server) => this.isUp(server)).map((server) => server.ignoreStatements()))
  }

  protected isUp(_server: Server): boolean {
    return true
  }

  protected async awaitPosition(reader: Server, position: string, secondsMax: number): Promise<void> {
    await reader.asRoot(async (root) => {
      if (await this.words.reached(root, position, secondsMax)) return
      const why = await this.words.replicationError(root)
      throw new LabError(`the reader on port ${reader.port} did not catch up in ${secondsMax} s: ${why}`)
    })
  }
}
