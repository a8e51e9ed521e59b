// MySQL 9 as the lab runs it: its template, its flags, its replication by GTID.

import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Connection, RowDataPacket } from 'mysql2/promise'
import { type Engine, LAB_USERS, type ReplicationWords, type ServerSettings, type Source } from './engine.ts'
import { type Progress, run, ServerUnavailable } from './machine.ts'
import { BUNDLES, type Unpacked, unpacked } from './packages.ts'
import { setGently } from './read-only.ts'

const ON_SCHEMAS =
  'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, LOCK TABLES, ' +
  'EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER'

// The server reads it statement by statement, each on one line.
const TEMPLATE_SQL = `
CREATE USER root@'127.0.0.1';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
GRANT PROXY ON ''@'' TO root@'127.0.0.1' WITH GRANT OPTION;
CREATE USER ${LAB_USERS.app.user}@'%' IDENTIFIED BY '${LAB_USERS.app.password}';
GRANT ${ON_SCHEMAS} ON *.* TO ${LAB_USERS.app.user}@'%';
CREATE USER ${LAB_USERS.monitor.user}@'%' IDENTIFIED BY '${LAB_USERS.monitor.password}';
GRANT REPLICATION CLIENT, PROCESS, SELECT, TRIGGER ON *.* TO ${LAB_USERS.monitor.user}@'%';
CREATE USER ${LAB_USERS.repl.user}@'%' IDENTIFIED BY '${LAB_USERS.repl.password}';
GRANT REPLICATION SLAVE ON *.* TO ${LAB_USERS.repl.user}@'%';
CREATE DATABASE app;
`

// Fast and small, yet what was committed outlives the process: only a crash of the machine would lose it.
const LEAN = [
  '--innodb-flush-method=nosync',
  '--innodb-doublewrite=OFF',
  '--innodb-flush-log-at-trx-commit=2',
  '--sync-binlog=0',
  '--innodb-buffer-pool-size=64M',
  '--innodb-log-buffer-size=4M',
  // The kernel grants a machine only so many slots for it, and a few dozen servers use them up (io_setup: EAGAIN).
  '--innodb-use-native-aio=OFF',
  '--mysqlx=OFF',
]

/** The newest MySQL of the rolling suite. Fails with ServerUnavailable when there is none today. */
export async function mysqlEngine(progress: Progress): Promise<Engine> {
  const tree = await unpacked(BUNDLES.mysql, progress).catch((error: unknown) => {
    throw new ServerUnavailable(`MySQL 9 cannot be had: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  })
  const program = tree.program('mysqld')
  return {
    name: 'mysql',
    version: tree.version.replace(/-.*/, ''),
    program,
    templateKey: TEMPLATE_SQL,
    makeTemplate: (dataFolder) => makeTemplate(program, dataFolder),
    args: (settings) => [...args(settings), ...(settings.semiSync ? semiSyncFlags(tree) : [])],
    words: mysqlWords,
  }
}

/** mysqld refuses to run as root unless told to. */
const asRoot = process.getuid?.() === 0 ? ['--user=root'] : []

async function makeTemplate(program: string, dataFolder: string): Promise<void> {
  const initFile = `${dataFolder}.sql`
  await mkdir(dataFolder, { recursive: true })
  await writeFile(initFile, TEMPLATE_SQL.trimStart())
  await run(program, [
    '--no-defaults',
    ...asRoot,
    '--initialize-insecure',
    `--datadir=${dataFolder}`,
    `--init-file=${initFile}`,
    '--innodb-redo-log-capacity=32M',
    '--innodb-autoextend-increment=1',
    ...LEAN,
  ])
  // Each copy shall give itself an identity of its own.
  await rm(join(dataFolder, 'auto.cnf'), { force: true })
  await rm(initFile)
}

function args(settings: ServerSettings): string[] {
  const { folder, port, serverId, certificates } = settings
  const onOff = (value: boolean) => (value ? 'ON' : 'OFF')
  return [
    '--no-defaults',
    ...asRoot,
    `--datadir=${join(folder, 'data')}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    // In the data directory, where the server runs: a whole path may be longer than a socket's may be.
    '--socket=s.sock',
    `--pid-file=${join(folder, 'server.pid')}`,
    `--tmpdir=${folder}`,
    `--server-id=${serverId}`,
    `--report-host=127.0.0.1`,
    `--report-port=${port}`,
    '--log-bin=binlog',
    '--relay-log=relay',
    '--gtid-mode=ON',
    '--enforce-gtid-consistency=ON',
    '--relay-log-recovery=ON',
    '--replica-net-timeout=10',
    ...(settings.resolvesNames ? [] : ['--skip-name-resolve']),
    '--log-bin-trust-function-creators=ON',
    '--max-connections=1000',
    '--innodb-redo-log-capacity=32M',
    `--performance-schema=${onOff(settings.performanceSchema)}`,
    `--general-log=${onOff(settings.generalLog)}`,
    '--log-output=TABLE',
    `--read-only=${onOff(settings.readOnly)}`,
    `--super-read-only=${onOff(settings.readOnly)}`,
    `--ssl-ca=${certificates.caFile}`,
    `--ssl-cert=${certificates.certFile}`,
    `--ssl-key=${certificates.keyFile}`,
    '--secure-file-priv=',
    '--local-infile=ON',
    ...LEAN,
    ...settings.flags,
  ]
}

/** Any server may become the writer. One that has no reader, as for a moment after a promotion, does not wait for any. */
function semiSyncFlags({ root }: Unpacked): string[] {
  return [
    `--plugin-dir=${join(root, 'usr/lib/mysql/plugin')}`,
    '--plugin-load-add=semisync_source.so',
    '--plugin-load-add=semisync_replica.so',
    '--rpl-semi-sync-source-enabled=ON',
    '--rpl-semi-sync-replica-enabled=ON',
    '--rpl-semi-sync-source-wait-no-replica=OFF',
    '--rpl-semi-sync-source-timeout=30000',
  ]
}

async function setReadOnly(server: Connection, readOnly: boolean): Promise<void> {
  await setGently(server, readOnly ? 'SET GLOBAL super_read_only = ON' : 'SET GLOBAL read_only = OFF')
}

async function follow(server: Connection, source: Source): Promise<void> {
  await server.query(
    `STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_HOST = ?, SOURCE_PORT = ?, SOURCE_USER = ?, SOURCE_PASSWORD = ?,
     SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 86400,
     SOURCE_HEARTBEAT_PERIOD = 1; START REPLICA`,
    [source.host, source.port, LAB_USERS.repl.user, LAB_USERS.repl.password],
  )
}

async function unfollow(server: Connection, secondsMax: number): Promise<boolean> {
  await server.query('STOP REPLICA IO_THREAD')
  const [[row]] = await server.query<RowDataPacket[]>('SHOW REPLICA STATUS')
  const isApplied = await reached(server, String(row?.Retrieved_Gtid_Set ?? ''), secondsMax)
  await server.query('STOP REPLICA; RESET REPLICA ALL')
  return isApplied
}

async function position(server: Connection): Promise<string> {
  const [[row]] = await server.query<RowDataPacket[]>('SELECT @@GLOBAL.gtid_executed AS position')
  return String(row?.position)
}

async function reached(server: Connection, position: string, secondsMax: number): Promise<boolean> {
  const [[row]] = await server.query<RowDataPacket[]>('SELECT WAIT_FOR_EXECUTED_GTID_SET(?, ?) AS late', [
    position,
    secondsMax,
  ])
  return row?.late === 0
}

async function received(server: Connection): Promise<number> {
  const [[status]] = await server.query<RowDataPacket[]>('SHOW REPLICA STATUS')
  const retrieved = String(status?.Retrieved_Gtid_Set ?? '')
  const [[row]] = await server.query<RowDataPacket[]>(
    'SELECT @@GLOBAL.gtid_executed AS executed, GTID_SUBTRACT(?, @@GLOBAL.gtid_executed) AS waiting',
    [retrieved],
  )
  return transactionsIn(String(row?.executed)) + transactionsIn(String(row?.waiting))
}

/** How many `uuid:1-5:7,uuid:1-3` names. */
function transactionsIn(gtids: string): number {
  const ranges = [...gtids.matchAll(/:(\d+)(?:-(\d+))?/g)]
  return ranges.reduce((sum, [, first, last]) => sum + Number(last ?? first) - Number(first) + 1, 0)
}

async function replicationError(server: Connection): Promise<string> {
  const [[row]] = await server.query<RowDataPacket[]>('SHOW REPLICA STATUS')
  // The status of the whole names the worker that failed, and not why.
  const [workers] = await server.query<RowDataPacket[]>(
    "SELECT last_error_message AS why FROM performance_schema.replication_applier_status_by_worker WHERE last_error_message <> ''",
  )
  const whys = workers.map(({ why }) => why)
  return [row?.Last_IO_Error, row?.Last_SQL_Error, ...whys].filter((text) => text).join('; ')
}

export const mysqlWords: ReplicationWords = {
  setReadOnly,
  follow,
  unfollow,
  position,
  reached,
  received,
  replicationError,
}
