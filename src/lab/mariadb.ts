// MariaDB as the lab runs it: its template, its flags, its replication by GTID.

import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Connection, RowDataPacket } from 'mysql2/promise'
import { type Engine, LAB_USERS, type ReplicationWords, type ServerSettings, type Source } from './engine.ts'
import { type Progress, run } from './machine.ts'
import { BUNDLES, type Unpacked, unpacked } from './packages.ts'
import { setGently } from './read-only.ts'

const { app, ed25519, monitor, repl } = LAB_USERS

const ON_SCHEMAS =
  'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, LOCK TABLES, ' +
  'EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER, DELETE HISTORY'

const USERS_SQL = `
FLUSH PRIVILEGES;
CREATE OR REPLACE USER root@'127.0.0.1';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
CREATE USER ${app.user}@'%' IDENTIFIED BY '${app.password}';
GRANT ${ON_SCHEMAS} ON *.* TO ${app.user}@'%';
CREATE USER ${ed25519.user}@'%' IDENTIFIED VIA ed25519 USING PASSWORD('${ed25519.password}');
GRANT ${ON_SCHEMAS} ON *.* TO ${ed25519.user}@'%';
CREATE USER ${monitor.user}@'%' IDENTIFIED BY '${monitor.password}';
GRANT BINLOG MONITOR, SLAVE MONITOR, PROCESS, SELECT, TRIGGER ON *.* TO ${monitor.user}@'%';
CREATE USER ${repl.user}@'%' IDENTIFIED BY '${repl.password}';
GRANT REPLICATION SLAVE ON *.* TO ${repl.user}@'%';
CREATE DATABASE app;
`

// What mariadb-install-db feeds to the server, without the help tables.
const SYSTEM_SQL = [
  'mysql_system_tables.sql',
  'mysql_performance_tables.sql',
  'mysql_system_tables_data.sql',
  'maria_add_gis_sp_bootstrap.sql',
  'mysql_sys_schema.sql',
]

// Fast and small, yet what was committed outlives the process: only a crash of the machine would lose it.
const LEAN = [
  '--innodb-flush-method=nosync',
  '--innodb-doublewrite=OFF',
  '--innodb-flush-log-at-trx-commit=2',
  '--innodb-buffer-pool-size=64M',
  '--innodb-log-file-size=32M',
  '--sync-binlog=0',
]

/** Any server may become the writer. One that has no reader, as for a moment after a promotion, does not wait for any. */
const SEMI_SYNC = [
  '--rpl-semi-sync-master-enabled=ON',
  '--rpl-semi-sync-slave-enabled=ON',
  '--rpl-semi-sync-master-wait-point=AFTER_SYNC',
  '--rpl-semi-sync-master-wait-no-slave=OFF',
  '--rpl-semi-sync-master-timeout=30000',
]

/** mariadbd refuses to run as root unless told to. */
const asRoot = process.getuid?.() === 0 ? ['--user=root'] : []

/** The MariaDB of this machine's own release. */
export async function mariadbEngine(progress: Progress): Promise<Engine> {
  const tree = await unpacked(BUNDLES.mariadb, progress)
  const places = placesIn(tree)
  return {
    name: 'mariadb',
    version: tree.version.replace(/-.*/, ''),
    program: tree.program('mariadbd'),
    templateKey: USERS_SQL,
    makeTemplate: (dataFolder) => makeTemplate(tree, dataFolder),
    args: (settings) => [...places, ...args(settings)],
    words: mariadbWords,
  }
}

// Its folders are compiled in, so it does not find them by itself when unpacked elsewhere.
function placesIn({ root }: Unpacked): string[] {
  return [
    '--no-defaults',
    ...asRoot,
    `--basedir=${join(root, 'usr')}`,
    `--lc-messages-dir=${join(root, 'usr/share/mysql')}`,
    `--character-sets-dir=${join(root, 'usr/share/mysql/charsets')}`,
    `--plugin-dir=${join(root, 'usr/lib/mysql/plugin')}`,
    '--plugin-load-add=auth_ed25519',
  ]
}

async function makeTemplate(tree: Unpacked, dataFolder: string): Promise<void> {
  await mkdir(join(dataFolder, 'mysql'), { recursive: true })
  const share = join(tree.root, 'usr/share/mysql')
  const parts = await Promise.all(SYSTEM_SQL.map((file) => readFile(join(share, file), 'utf8')))
  const input = ['CREATE DATABASE IF NOT EXISTS mysql;', 'USE mysql;', 'SET @auth_root_socket = NULL;', ...parts]
  await run(
    tree.program('mariadbd'),
    [...placesIn(tree), '--bootstrap', `--datadir=${dataFolder}`, '--skip-log-bin', ...LEAN],
    { input: [...input, USERS_SQL].join('\n') },
  )
}

function args(settings: ServerSettings): string[] {
  const { folder, port, serverId, certificates } = settings
  const onOff = (value: boolean) => (value ? 'ON' : 'OFF')
  return [
    `--datadir=${join(folder, 'data')}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    // In the data directory, where the server runs: a whole path may be longer than a socket's may be.
    '--socket=s.sock',
    `--pid-file=${join(folder, 'server.pid')}`,
    `--tmpdir=${folder}`,
    `--server-id=${serverId}`,
    '--report-host=127.0.0.1',
    `--report-port=${port}`,
    '--log-bin=binlog',
    '--relay-log=relay',
    '--log-slave-updates=ON',
    '--gtid-strict-mode=ON',
    '--slave-net-timeout=10',
    ...(settings.resolvesNames ? [] : ['--skip-name-resolve']),
    '--log-bin-trust-function-creators=ON',
    '--max-connections=1000',
    `--performance-schema=${onOff(settings.performanceSchema)}`,
    `--general-log=${onOff(settings.generalLog)}`,
    '--log-output=TABLE',
    `--read-only=${onOff(settings.readOnly)}`,
    `--ssl-ca=${certificates.caFile}`,
    `--ssl-cert=${certificates.certFile}`,
    `--ssl-key=${certificates.keyFile}`,
    '--secure-file-priv=',
    '--local-infile=ON',
    ...LEAN,
    ...(settings.semiSync ? SEMI_SYNC : []),
    ...settings.flags,
  ]
}

async function setReadOnly(server: Connection, readOnly: boolean): Promise<void> {
  await setGently(server, `SET GLOBAL read_only = ${readOnly ? 'ON' : 'OFF'}`)
}

async function follow(server: Connection, source: Source): Promise<void> {
  // A former writer knows its own writes as binlog position only; a replica asks for what follows its slave position.
  await server.query(
    `STOP SLAVE; SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_current_pos;
     CHANGE MASTER TO MASTER_HOST = ?, MASTER_PORT = ?, MASTER_USER = ?, MASTER_PASSWORD = ?,
     MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1, MASTER_HEARTBEAT_PERIOD = 1; START SLAVE`,
    [source.host, source.port, repl.user, repl.password],
  )
}

async function unfollow(server: Connection, secondsMax: number): Promise<boolean> {
  await server.query('STOP SLAVE IO_THREAD')
  const [[row]] = await server.query<RowDataPacket[]>('SHOW SLAVE STATUS')
  const isApplied = await reached(server, String(row?.Gtid_IO_Pos ?? ''), secondsMax)
  await server.query('STOP SLAVE; RESET SLAVE ALL')
  return isApplied
}

async function position(server: Connection): Promise<string> {
  const [[row]] = await server.query<RowDataPacket[]>('SELECT @@GLOBAL.gtid_binlog_pos AS position')
  return String(row?.position)
}

async function reached(server: Connection, position: string, secondsMax: number): Promise<boolean> {
  const [[row]] = await server.query<RowDataPacket[]>('SELECT MASTER_GTID_WAIT(?, ?) AS late', [position, secondsMax])
  return row?.late === 0
}

async function received(server: Connection): Promise<number> {
  const [[status]] = await server.query<RowDataPacket[]>('SHOW SLAVE STATUS')
  const [[row]] = await server.query<RowDataPacket[]>('SELECT @@GLOBAL.gtid_current_pos AS applied')
  const numbers = `${status?.Gtid_IO_Pos ?? ''},${row?.applied ?? ''}`.matchAll(/-(\d+)(?:,|$)/g)
  return Math.max(0, ...Array.from(numbers, ([, number]) => Number(number)))
}

async function replicationError(server: Connection): Promise<string> {
  const [[row]] = await server.query<RowDataPacket[]>('SHOW SLAVE STATUS')
  return [row?.Last_IO_Error, row?.Last_SQL_Error].filter((text) => text).join('; ')
}

export const mariadbWords: ReplicationWords = {
  setReadOnly,
  follow,
  unfollow,
  position,
  reached,
  received,
  replicationError,
}
