// Programs as they come with the distribution: command lines, dumps, PyMySQL, sysbench.

import { type ChildProcess, execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ToolName, tool } from '../../../src/lab/index.ts'
import { type DriverStage, describeDrivers, expectSameWork, type Place } from '../../support/drivers.ts'

const MIB = 1024 * 1024

interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program to its end, whatever its exit code. */
async function run(name: ToolName, args: readonly string[], input = '', cwd = tmpdir()): Promise<Finished> {
  const path = await tool(name)
  return new Promise((resolve) => {
    const child: ChildProcess = execFile(path, args, { maxBuffer: 64 * MIB, cwd }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
    child.stdin?.end(input)
  })
}

/** The options of the client programs of both kinds; MySQL's and MariaDB's have different words for TLS. */
function clientOptions(program: ToolName, { login, tls }: Place): string[] {
  const words = {
    mysql: tls ? ['--ssl-mode=REQUIRED'] : ['--ssl-mode=DISABLED', '--get-server-public-key'],
    mariadb: tls ? ['--ssl', '--ssl-verify-server-cert=OFF'] : ['--skip-ssl'],
  }
  const family = program.startsWith('mysql') ? 'mysql' : 'mariadb'
  const { host, port, user, password } = login
  return ['--no-defaults', `-h${host}`, `-P${port}`, `-u${user}`, `-p${password}`, ...words[family]]
}

// MySQL's program warns of a password among its arguments.
const complaints = (stderr: string) =>
  stderr
    .split('\n')
    .filter((line) => line !== '' && !/Using a password on the command line/.test(line))
    .join('\n')

describeDrivers('programs', (stage) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-programs-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  describe.each(['mysql', 'mariadb'] as const)('the %s command line', (program) => {
    const ask = async (place: Place, args: readonly string[], input = '') => {
      const { code, stdout, stderr } = await run(
        program,
        [...clientOptions(program, place), ...args, place.login.database],
        input,
      )
      return { code, stdout, stderr: complaints(stderr) }
    }
    const script = `
      DROP TABLE IF EXISTS c; CREATE TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(20));
      INSERT INTO c (s) VALUES ('é'), ('b');
      SELECT LAST_INSERT_ID(), DATABASE(), USER(), 'é' AS e;
      SELECT CAST('x' AS SIGNED) AS warned; SHOW WARNINGS;
      delimiter //
      DROP PROCEDURE IF EXISTS cp// CREATE PROCEDURE cp() BEGIN SELECT 1 AS one; SELECT 2 AS two; END//
      delimiter ;
      CALL cp();
      USE mysql;
      SELECT DATABASE();
      SELECT * FROM nosuch;
      SELECT 'after' AS error;`

    test.each([
      ['as a table', ['-t']],
      ['row by row, with warnings', ['-E', '--show-warnings']],
      ['quickly and unbuffered', ['--quick', '--unbuffered']],
      ['with the types of columns', ['-t', '--column-type-info']],
      ['compressed', ['--compress', '-vv']],
      ['by force, past errors', ['--force', '-N']],
    ])('tells the same %s', async (_name, args) => {
      const told = (await expectSameWork(stage, (place) => ask(place, args, script))) as Finished
      expect(told.stderr).toContain('ERROR 1146 (42S02)')
      expect(told.stdout).toContain('é')
    })

    test('knows the status of its connection', async () => {
      const status = async (place: Place) => {
        const { stdout, stderr } = await ask(place, program === 'mysql' ? ['-t', '--commands'] : ['-t'], 'status\n')
        const lines = stdout
          .split('\n')
          .filter((line) => !/^(Connection id|TCP port|Uptime|Threads|SSL):/.test(line) && !/^Threads: /.test(line))
        return { lines, encrypted: /SSL:\s+Cipher in use/.test(stdout), stderr }
      }
      const told = (await expectSameWork(stage, status)) as { lines: string[]; encrypted: boolean }
      expect(told.encrypted).toBe(stage.tls)
      expect(told.lines.join('\n')).toMatch(/Current user:\s+app@/)
    })

    test.each([
      ['plainly', [], program === stage.engine ? 100_000 : 10_000],
      ['compressed', ['--compress'], 10_000],
    ])('uploads a file that only it has, %s', async (_name, args, rows) => {
      const file = join(folder, `${program}.tsv`)
      writeFileSync(file, Array.from({ length: rows }, (_, at) => `${at}\tsome text for row number ${at}\n`).join(''))
      const sql = `
        DROP TABLE IF EXISTS l; CREATE TABLE l (a INT, b VARCHAR(60));
        LOAD DATA LOCAL INFILE '${file}' INTO TABLE l; SHOW WARNINGS; SELECT ROW_COUNT();
        BEGIN; SELECT COUNT(*), SUM(a), MAX(b) FROM l; COMMIT;
        LOAD DATA LOCAL INFILE '${file}.nosuch' INTO TABLE l; SELECT 'still here'`
      const told = (await expectSameWork(stage, (place) =>
        ask(place, ['--local-infile=1', '-N', '--force', ...args], sql),
      )) as Finished
      expect(told.stdout).toContain(`${rows}\t${(rows * (rows - 1)) / 2}\tsome text for row number ${rows - 1}`)
      expect(told.stdout).toContain('still here')
    })
  })

  test('dumps are the same, and can be read in again', async () => {
    const { writer } = stage.cluster
    const program = stage.engine === 'mysql' ? 'mysqldump' : 'mariadb-dump'
    const client = stage.engine === 'mysql' ? 'mysql' : 'mariadb'
    const root = await writer.connect()
    const app = await writer.connect('app')
    await root.query(`USE ${stage.schema}`)
    await root.query(`
      DROP TABLE IF EXISTS parent, child; DROP VIEW IF EXISTS seen; DROP PROCEDURE IF EXISTS dp;
      CREATE TABLE parent (id INT PRIMARY KEY, s VARCHAR(20), b BLOB, g INT GENERATED ALWAYS AS (id + 1));
      CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id));
      INSERT INTO parent (id, s, b) VALUES (1, 'é', x'00FF'), (2, 'it''s', NULL); INSERT INTO child VALUES (1, 2);
      CREATE TRIGGER tr BEFORE INSERT ON child FOR EACH ROW SET NEW.parent = NEW.parent;
      CREATE PROCEDURE dp() SELECT 1`)
    await app.query(`CREATE VIEW ${stage.schema}.seen AS SELECT s FROM ${stage.schema}.parent`)
    await Promise.all([root.end(), app.end()])
    await stage.cluster.settle()
    const flags = ['--single-transaction', '--skip-dump-date', '--quick']
    const everything = ['--triggers', '--routines', '--events']
    const own = stage.engine === 'mysql' ? ['--set-gtid-purged=OFF', '--no-tablespaces'] : []
    const dump = async (place: Place, more: readonly string[]) => {
      const args = [...clientOptions(program, place), ...flags, ...own, ...more, place.login.database]
      const { code, stdout, stderr } = await run(program, args)
      return { code, stdout, stderr: complaints(stderr) }
    }
    const whole = (await expectSameWork(stage, (place) => dump(place, everything))) as Finished
    expect([whole.code, whole.stderr]).toEqual([0, ''])
    expect(whole.stdout).toMatch(/INSERT INTO `child` VALUES[\s\S]*CREATE[\s\S]*PROCEDURE `dp`/)

    // Triggers and procedures of others need a privilege that an application has not.
    const { stdout } = await dump(stage.through, ['--skip-triggers'])
    const read = await run(client, [...clientOptions(client, stage.through), stage.schema], stdout)
    expect([read.code, complaints(read.stderr)]).toEqual([0, ''])
    expect((await dump(stage.direct, ['--skip-triggers'])).stdout).toBe(stdout)
  })

  test('PyMySQL', async () => {
    const script = `
import pymysql, sys
login = dict(host='127.0.0.1', port=int(sys.argv[1]), user='app', password='app_pw', database=sys.argv[2])
if sys.argv[3] == 'tls': login['ssl'] = {'check_hostname': False, 'verify_mode': False}
c = pymysql.connect(**login)
k = c.cursor()
k.execute('DROP TABLE IF EXISTS p')
k.execute('CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(20) UNIQUE, n DECIMAL(8,2), t DATETIME)')
k.execute("INSERT INTO p (s, n, t) VALUES (%s, 1.5, '2026-01-02'), (%s, NULL, NULL)", ('ä', 'b')); print(k.rowcount, k.lastrowid)
k.execute('SELECT * FROM p ORDER BY id'); print(k.fetchall(), k.description)
c.rollback(); k.execute('SELECT COUNT(*) FROM p'); print(k.fetchall()); c.commit()
c.autocommit(True); k.execute("INSERT INTO p (s) VALUES ('c')"); print(k.lastrowid, c.insert_id(), c.affected_rows())
print(k.executemany('INSERT INTO p (s) VALUES (%s)', [('x%d' % n,) for n in range(50)]))
for sql in ('SELECT * FROM nosuch', "INSERT INTO p (s) VALUES ('c')", 'SELEC'):
  try: k.execute(sql)
  except pymysql.err.Error as e: print(type(e).__name__, e.args)
with pymysql.connect(**login, cursorclass=pymysql.cursors.SSDictCursor, charset='latin1') as d:
  with d.cursor() as s:
    s.execute("SELECT 'é' AS e, @@character_set_client AS c"); print(s.fetchone())
c.select_db('mysql'); k.execute('SELECT DATABASE()'); print(k.fetchall())
c.ping(reconnect=False); c.close()
`
    const told = (await expectSameWork(stage, ({ login, tls }) =>
      run('python3', ['-c', script, String(login.port), login.database, tls ? 'tls' : 'plain']),
    )) as Finished
    expect([told.code, told.stderr]).toEqual([0, ''])
  })

  describe('sysbench', () => sysbenchTests(stage, folder))
})

function sysbenchTests(stage: DriverStage, folder: string): void {
  const args = (work: string, place: Place, command: string, more: readonly string[] = []) => [
    work,
    '--db-driver=mysql',
    `--mysql-host=${place.login.host}`,
    `--mysql-port=${place.login.port}`,
    `--mysql-user=${place.login.user}`,
    `--mysql-password=${place.login.password}`,
    `--mysql-db=${place.login.database}`,
    // It takes the certificates from the folder where it runs.
    ...(place.tls ? ['--mysql-ssl=on'] : []),
    '--table-size=2000',
    '--threads=8',
    ...more,
    command,
  ]

  beforeAll(async () => {
    for (const [own, lab] of [
      ['cacert.pem', 'ca.pem'],
      ['client-cert.pem', 'server-cert.pem'],
      ['client-key.pem', 'server-key.pem'],
    ] as const) {
      copyFileSync(join(dirname(stage.cluster.caFile), lab), join(folder, own))
    }
    // The servers themselves would look at the client's certificate, which is none.
    const plain = { ...stage.direct, tls: false }
    const { code, stdout } = await run('sysbench', args('oltp_common', plain, 'prepare'), '', folder)
    expect([code, stdout]).toEqual([0, expect.stringContaining('sbtest1')])
    await stage.cluster.settle()
  })

  // A deadlock is told to one of two writers by any server; sysbench then begins anew by itself.
  test.each([
    ['oltp_point_select', 'auto'],
    ['oltp_point_select', 'disable'],
    ['oltp_read_write', 'auto'],
    ['oltp_read_write', 'disable'],
  ])('%s with prepared statements %s meets no error', async (work, prepared) => {
    const more = ['--time=1', `--db-ps-mode=${prepared}`, '--mysql-ignore-errors=1213']
    const { code, stdout, stderr } = await run('sysbench', args(work, stage.through, 'run', more), '', folder)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).not.toContain('FATAL')
    expect(Number(/transactions:\s+(\d+)/.exec(stdout)?.[1])).toBeGreaterThan(8)
    expect(stdout).toMatch(/reconnects:\s+0 /)
  })
}
