// The regression suites that the servers' makers wrote, where they are and what plays them: one program, mysqltest, one
// script at a time, on whatever listens at a port.

import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EngineName, Progress } from '../../../src/lab/index.ts'
import { BUNDLES, type Unpacked, unpacked } from '../../../src/lab/packages.ts'

export interface Suite {
  readonly engine: EngineName
  readonly version: string
  /** Where `include/` and `std_data/` are. */
  readonly folder: string
  /** Where the scripts are, and where what they should print is. */
  readonly scripts: string
  readonly results: string
  readonly player: string
  /** The client programs that scripts call. */
  program(name: string): string
  /** Their definitions of character sets. */
  readonly charsets: string
}

const PLACES = {
  mysql: { folder: 'usr/lib/mysql-test', scripts: 't', results: 'r', charsets: 'usr/share/mysql/charsets' },
  mariadb: {
    folder: 'usr/share/mysql/mysql-test',
    scripts: 'main',
    results: 'main',
    charsets: 'usr/share/mysql/charsets',
  },
} as const

export async function suiteOf(engine: EngineName, progress: Progress): Promise<Suite> {
  const server = await unpacked(BUNDLES[engine], progress)
  const tests: Unpacked = await unpacked(BUNDLES[`${engine}Suite`], progress)
  const places = PLACES[engine]
  const folder = join(tests.root, places.folder)
  return {
    engine,
    version: tests.version,
    folder,
    scripts: join(folder, places.scripts),
    results: join(folder, places.results),
    player: tests.program('mysqltest'),
    program: (name) => (existsSync(server.program(name)) ? server.program(name) : tests.program(name)),
    charsets: join(server.root, places.charsets),
  }
}

export interface Script {
  readonly name: string
  readonly file: string
  readonly text: string
  /** What it must print. */
  readonly expected: string
}

/**
 * What needs a server of its own, started in another way or stopped on the way, is nothing for a server that runs; and where
 * transactions lose their numbers, or begin to count anew, readers no longer follow.
 */
const OWN_SERVER =
  /\b(restart_mysqld|shutdown_mysqld|kill_mysqld|kill_and_restart|start_mysqld|shutdown_server|MYSQLD_CMD|SET\W+GLOBAL\W+gtid_mode|reset +(master|binary))\b/i

/** The scripts of the main suite that can be played on a server that runs already, by name. */
export async function scriptsOf(suite: Suite): Promise<Script[]> {
  const files = new Set(await readdir(suite.scripts))
  const results = new Set(await readdir(suite.results))
  const found: Script[] = []
  for (const file of [...files].sort()) {
    const name = /^(.*)\.test$/.exec(file)?.[1]
    if (name === undefined || !results.has(`${name}.result`)) continue
    const settings = ['-master.opt', '.opt', '.cnf', '.combinations', '-master.sh', '.sh']
    if (settings.some((ending) => files.has(`${name}${ending}`))) continue
    const text = await readFile(join(suite.scripts, file), 'latin1')
    if (OWN_SERVER.test(await withIncluded(text, suite))) continue
    const expected = byName(await readFile(join(suite.results, `${name}.result`), 'latin1'))
    found.push({ name, file: join(suite.scripts, file), text, expected })
  }
  return found
}

/** Where a script connects to is printed as most scripts have it, however it is played. */
export const byName = (printed: string) =>
  printed.replace(/^(connect\s*\(?\s*\w+\s*,\s*)127\.0\.0\.1\b/gim, '$1localhost')

/** A script with the text of what it includes. What that includes in turn is mostly for when something fails. */
async function withIncluded(text: string, { folder }: Suite): Promise<string> {
  const names = Array.from(text.matchAll(/^\s*(?:--\s*)?source\s+([\w./-]+)/gim), ([, name = '']) => name)
  const included = names.map((name) => readFile(join(folder, name), 'latin1').catch(() => ''))
  return [text, ...(await Promise.all(included))].join('\n')
}

/** What scripts include. */
export async function includedBy(suite: Suite): Promise<string[]> {
  const folder = join(suite.folder, 'include')
  const files = (await readdir(folder)).filter((file) => file.endsWith('.inc'))
  return Promise.all(files.map((file) => readFile(join(folder, file), 'latin1')))
}

/** What scripts expect to find in the environment, for a server (or whoever speaks for it) at the port. */
export function environmentOf(suite: Suite, port: number, folder: string, dataFolder: string): Record<string, string> {
  const login = `--no-defaults --host=127.0.0.1 --port=${port} --protocol=tcp --user=root`
  const client = (name: string) => `${suite.program(name)} ${login}`
  const own = suite.engine === 'mysql' ? 'mysql' : 'mariadb'
  const dash = suite.engine === 'mysql' ? '' : '-'
  const tools = {
    MYSQL: client(own),
    EXE_MYSQL: suite.program(own),
    MYSQL_DUMP: client(`${own}${dash}dump`),
    MYSQLADMIN: suite.program(`${own}${dash}admin`),
    MYSQL_CHECK: client(`${own}${dash}check`),
    MYSQL_SHOW: client(`${own}${dash}show`),
    MYSQL_IMPORT: client(`${own}${dash}import`),
    MYSQL_SLAP: client(`${own}${dash}slap`),
    MYSQL_BINLOG: `${suite.program(`${own}${dash}binlog`)} --no-defaults`,
    MYSQL_CLIENT_TEST: client('mysql_client_test'),
    MYSQL_TEST: `${suite.player} ${login} --basedir=${suite.folder}/ --tmpdir=${folder}/tmp --logdir=${folder}/log --database=test --silent`,
    MY_PERROR: suite.program('perror'),
    MYSQL_MY_PRINT_DEFAULTS: suite.program('my_print_defaults'),
  }
  return {
    ...tools,
    MYSQL_TEST_DIR: suite.folder,
    MYSQL_TEST_DIR_ABS: suite.folder,
    MTR_SUITE_DIR: suite.folder,
    MYSQLTEST_VARDIR: folder,
    MYSQLTEST_VARDIR_ABS: folder,
    MYSQLTEST_REAL_VARDIR: folder,
    MYSQL_TMP_DIR: join(folder, 'tmp'),
    SECURE_LOAD_PATH: join(suite.folder, 'std_data'),
    MYSQL_CHARSETSDIR: suite.charsets,
    MYSQLTEST_CHARSETSDIR: suite.charsets,
    MYSQLD_DATADIR: dataFolder,
    MYSQL_TEST_LOGIN_FILE: join(folder, 'tmp', '.mylogin.cnf'),
    DEFAULT_MASTER_PORT: '3306',
    MASTER_MYPORT: String(port),
    SERVER_MYPORT_1: String(port),
    MASTER_MYSOCK: join(dataFolder, 's.sock'),
    DEFAULT_ENGINE: 'InnoDB',
    ENGINE: 'InnoDB',
    USE_RUNNING_SERVER: '0',
    VALGRIND_TEST: '0',
    MTR_RECORD: '0',
    LC_ALL: 'C',
    UMASK: '0660',
    UMASK_DIR: '0770',
    TZ: 'GMT-3',
  }
}
