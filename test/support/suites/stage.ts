// The servers that a suite is played on, with the settings that its scripts expect, Sluice in front of them, and the
// tidying up between two scripts.

import { mkdir, readFile, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import { type EngineName, type LabCluster, startCluster } from '../../../src/lab/index.ts'
import { type RunningSluice, startSluice } from '../sluice.ts'
import { accountsIn } from './accounts.ts'
import { includedBy, type Script, type Suite } from './programs.ts'

const FLAGS: Record<EngineName, readonly string[]> = {
  mysql: ['--log-bin-trust-function-creators=ON', '--explain-format=TRADITIONAL_STRICT'],
  mariadb: [
    '--log-bin-trust-function-creators=ON',
    '--character-set-server=latin1',
    '--default-storage-engine=MyISAM',
    '--use-stat-tables=preferably',
    '--histogram-type=json_hb',
    '--key-buffer-size=1M',
    '--sort-buffer-size=256K',
    '--max-heap-table-size=1M',
    '--binlog-format=ROW',
    '--gtid-strict-mode=OFF',
    '--binlog-direct-non-transactional-updates=ON',
  ],
}

const OURS = ['mysql', 'information_schema', 'performance_schema', 'sys', 'mtr', 'test']

// Scripts tell the suite's own runner which complaints in the servers' logs they expect. Here nobody reads those.
const SUPPRESSIONS = `
CREATE DATABASE IF NOT EXISTS mtr;
DROP PROCEDURE IF EXISTS mtr.add_suppression;
CREATE DEFINER = root@localhost PROCEDURE mtr.add_suppression(pattern VARCHAR(255)) BEGIN END;
`

// Whoever may log in may do nearly everything in this schema.
const EVERYBODYS = `
INSERT IGNORE INTO mysql.db (Host, Db, User, Select_priv, Insert_priv, Update_priv, Delete_priv, Create_priv, Drop_priv,
  References_priv, Index_priv, Alter_priv, Create_tmp_table_priv, Lock_tables_priv, Create_view_priv, Show_view_priv,
  Create_routine_priv, Event_priv, Trigger_priv)
VALUES ('%', 'test', '', ${"'Y', ".repeat(15)}'Y'), ('%', 'test\\_%', '', ${"'Y', ".repeat(15)}'Y');
FLUSH PRIVILEGES;
`

export type Way = 'direct' | 'sluice' | 'writer only'

export class Stage {
  readonly suite: Suite
  readonly cluster: LabCluster
  readonly sluice: RunningSluice
  readonly #users: ReadonlySet<string>
  readonly #globals: ReadonlyMap<string, string>

  private constructor(
    suite: Suite,
    cluster: LabCluster,
    sluice: RunningSluice,
    users: ReadonlySet<string>,
    globals: ReadonlyMap<string, string>,
  ) {
    this.suite = suite
    this.cluster = cluster
    this.sluice = sluice
    this.#users = users
    this.#globals = globals
  }

  static async build(suite: Suite, scripts: readonly Script[], readers: number): Promise<Stage> {
    const { engine } = suite
    const cluster = await startCluster({
      engine,
      readers,
      performanceSchema: true,
      resolvesNames: true,
      flags: FLAGS[engine],
    })
    try {
      const folder = dirname(cluster.writer.folder)
      for (const part of ['tmp', 'log', 'run']) await mkdir(join(folder, part), { recursive: true })
      // `LOAD DATA INFILE '../../std_data/…'` is seen from the data directory.
      await symlink(join(suite.folder, 'std_data'), join(folder, 'std_data'))
      const zones = await readFile(join(suite.folder, 'include/mtr_test_data_timezone.sql'), 'utf8').catch(() => '')
      const [users, globals] = await cluster.writer.asRoot(async (root) => {
        await root.query(SUPPRESSIONS)
        await root.query('CREATE DATABASE IF NOT EXISTS test')
        await root.query('DROP DATABASE IF EXISTS app')
        await root.query(EVERYBODYS)
        // Scripts expect to be root@localhost, and nobody else.
        await root.query("DROP USER IF EXISTS root@'127.0.0.1'")
        if (zones !== '') await root.query(`USE mysql; ${zones.replace(/^--.*$/gm, '')}`)
        return [await usersOf(root), await globalsOf(root)] as const
      })
      await cluster.waitForReaders()
      const accounts = accountsIn([...scripts.map(({ text }) => text), ...(await includedBy(suite))]).map(
        ({ name, password }) => `  - { name: ${JSON.stringify(name)}, password: ${JSON.stringify(password)} }`,
      )
      const sluice = await startSluice({
        seeds: cluster.servers.map(({ address }) => address),
        moreListeners: '  - { name: writer, bind: 127.0.0.1:0, cluster: main, route: writer }',
        users: ["  - { name: root, password: '' }", ...accounts].join('\n'),
      })
      return new Stage(suite, cluster, sluice, users, globals)
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  /** Where it is to be played: on the writer itself, through Sluice, or through Sluice with everything sent to the writer. */
  portOf(way: Way): number {
    if (way === 'direct') return this.cluster.writer.port
    return way === 'sluice' ? this.sluice.port : this.sluice.proxy.addresses().get('writer')!.port
  }

  get folder(): string {
    return dirname(this.cluster.writer.folder)
  }

  get dataFolder(): string {
    return join(this.cluster.writer.folder, 'data')
  }

  /** As if no script had been there. Settings are put back the way they were changed: through Sluice, or directly. */
  async tidy(port: number): Promise<void> {
    await this.cluster.writer.asRoot(async (root) => {
      await endOthers(root)
      await root.query('UNLOCK TABLES')
      await rollBackXa(root)
      const [schemas] = await root.query<RowDataPacket[]>('SHOW DATABASES')
      for (const row of schemas) {
        const name = String(Object.values(row)[0])
        if (!OURS.includes(name.toLowerCase())) await root.query(`DROP DATABASE \`${name.replaceAll('`', '``')}\``)
      }
      await root.query('DROP DATABASE IF EXISTS test')
      await root.query('CREATE DATABASE test')
      for (const user of await usersOf(root)) if (!this.#users.has(user)) await root.query(`DROP USER ${user}`)
    })
    const through = await createConnection({ host: '127.0.0.1', port, user: 'root', password: '' })
    try {
      for (const [name, value] of await globalsOf(through)) {
        const before = this.#globals.get(name)
        if (before === undefined || before === value) continue
        // Some can be read only, and follow others.
        await through.query(`SET GLOBAL ${name} = ${literalOf(before)}`).catch(() => {})
      }
      if (this.suite.engine === 'mysql') await countAgain(through)
    } finally {
      through.destroy()
    }
    await this.cluster.waitForReaders()
  }

  async stop(): Promise<void> {
    await this.sluice.stop().catch(() => {})
    await this.cluster.stop()
  }
}

const literalOf = (value: string) => (/^-?\d+(\.\d+)?$/.test(value) ? value : `'${value.replaceAll("'", "''")}'`)

async function usersOf(root: Connection): Promise<Set<string>> {
  const [rows] = await root.query<RowDataPacket[]>(
    "SELECT CONCAT(QUOTE(user), '@', QUOTE(host)) AS name FROM mysql.user",
  )
  return new Set(rows.map(({ name }) => String(name)))
}

async function globalsOf(root: Connection): Promise<Map<string, string>> {
  const [rows] = await root.query<RowDataPacket[]>('SHOW GLOBAL VARIABLES')
  const changing =
    /^(gtid_|enforce_gtid|timestamp|insert_id|innodb_buffer_pool_(load|dump)|binlog_snapshot|server_uuid|rand_seed)/
  return new Map(
    rows
      .map(({ Variable_name, Value }) => [String(Variable_name), String(Value)] as const)
      .filter(([name]) => !changing.test(name)),
  )
}

/** Transactions have numbers again; a server gets there only step by step. */
async function countAgain(root: Connection): Promise<void> {
  const [[row]] = await root.query<RowDataPacket[]>('SELECT @@GLOBAL.gtid_mode AS mode')
  const steps = ['OFF', 'OFF_PERMISSIVE', 'ON_PERMISSIVE', 'ON']
  if (row?.mode !== 'ON') await root.query('SET GLOBAL enforce_gtid_consistency = ON')
  for (const step of steps.slice(steps.indexOf(String(row?.mode)) + 1))
    await root.query(`SET GLOBAL gtid_mode = ${step}`)
}

/** Ends what scripts left running: what others do (the monitor, replication, idle connections) goes on. */
async function endOthers(root: Connection): Promise<void> {
  const [rows] = await root.query<RowDataPacket[]>(
    `SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND command IN ('Query', 'Execute')
     AND user NOT IN ('monitor', 'repl', 'system user', 'event_scheduler')`,
  )
  for (const { id, ID } of rows) await root.query(`KILL ${id ?? ID}`).catch(() => {})
}

async function rollBackXa(root: Connection): Promise<void> {
  const [rows] = await root.query<RowDataPacket[]>('XA RECOVER')
  for (const { formatID, gtrid_length, data } of rows) {
    const bytes = Buffer.from(String(data), 'latin1').toString('hex')
    const [first, second] = [bytes.slice(0, gtrid_length * 2), bytes.slice(gtrid_length * 2)]
    await root.query(`XA ROLLBACK X'${first}', X'${second}', ${formatID}`).catch(() => {})
  }
}
