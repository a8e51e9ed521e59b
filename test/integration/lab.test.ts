// What the lab promises to everybody who uses it: real servers that replicate, take each other's place, fail, and go.

import { execFile, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type LabCluster, type LabServer, startCluster, tool, until } from '../../src/lab/index.ts'
import { withLock } from '../../src/lab/machine.ts'
import { clusterOf, describeEngines, useCluster } from '../support/lab.ts'

const isRunning = (pid: number) => {
  try {
    // A process that has ended but was not waited for yet is a zombie: it runs no more.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

describeEngines((engine) => {
  describe('a cluster', () => {
    const cluster = clusterOf(engine)
    const schema = 'lab_shared'

    beforeAll(async () => {
      await cluster.writer.ask(`DROP SCHEMA IF EXISTS ${schema}`)
      await cluster.writer.ask(`CREATE SCHEMA ${schema}`)
      await cluster.writer.ask(`CREATE TABLE ${schema}.t (n INT PRIMARY KEY)`)
    })
    afterAll(() => cluster.writer.ask(`DROP SCHEMA ${schema}`))

    test('is one writer and two readers, of the version it says', async () => {
      expect(cluster.servers.map(({ role }) => role)).toEqual(['writer', 'reader', 'reader'])
      for (const server of cluster.servers) {
        expect(await server.ask('SELECT VERSION()')).toMatch(cluster.version)
        expect(await server.ask('SELECT @@GLOBAL.read_only')).toBe(server.role === 'reader' ? 1 : 0)
      }
    })

    test('has readers that follow the writer', async () => {
      await cluster.writer.ask(`INSERT INTO ${schema}.t VALUES (1), (2), (3)`)
      await cluster.settle()
      for (const reader of cluster.readers) expect(await reader.ask(`SELECT SUM(n) FROM ${schema}.t`)).toBe('6')
    })

    test('has readers that refuse writes with 1290', async () => {
      for (const reader of cluster.readers) {
        const app = await reader.connect('app')
        await expect(app.query(`INSERT INTO ${schema}.t VALUES (9)`)).rejects.toMatchObject({ errno: 1290 })
        app.destroy()
      }
    })

    test.each(['root', 'app', 'monitor'] as const)('lets %s in on every server', async (user) => {
      for (const server of cluster.servers) {
        const connection = await server.connect(user)
        const [rows] = await connection.query('SELECT CURRENT_USER() LIKE ? AS isUser', [`${user}@%`])
        expect(rows).toEqual([{ isUser: 1 }])
        connection.destroy()
      }
    })

    test('shows a monitor roles and replication, and lets an application administer nothing', async () => {
      const [reader] = cluster.readers
      const monitor = await reader!.connect('monitor')
      const [status] = await monitor.query(engine === 'mysql' ? 'SHOW REPLICA STATUS' : 'SHOW SLAVE STATUS')
      expect(status).toMatchObject([{ Last_SQL_Error: '' }])
      monitor.destroy()
      const app = await cluster.writer.connect('app')
      await expect(app.query('SET GLOBAL read_only = ON')).rejects.toMatchObject({ errno: 1227 })
      app.destroy()
    })

    test('proves itself to who trusts its authority', async () => {
      const ssl = { ca: readFileSync(cluster.caFile), rejectUnauthorized: true, verifyIdentity: true }
      for (const { port } of cluster.servers) {
        const connection = await createConnection({ host: 'localhost', port, user: 'app', password: 'app_pw', ssl })
        const [rows] = await connection.query("SHOW STATUS LIKE 'Ssl_version'")
        expect(rows).toMatchObject([{ Value: expect.stringMatching(/^TLSv1\.[23]$/) }])
        connection.destroy()
      }
    })

    test('tells which statements reached which server', async () => {
      await cluster.watchStatements()
      const [first, second] = cluster.readers
      const app = await first!.connect('app')
      await app.query("SELECT 'grüße'")
      await app.execute('SELECT ? + 1', [41])
      app.destroy()
      const seen = await first!.statementsSeen()
      expect(seen.filter(({ command }) => command !== 'Quit').map(({ command, text }) => `${command} ${text}`)).toEqual(
        [
          expect.stringMatching(/^Connect app@127\.0\.0\.1/),
          "Query SELECT 'grüße'",
          'Prepare SELECT ? + 1',
          expect.stringMatching(/^Execute SELECT '?41'? \+ 1/),
        ],
      )
      expect(await second!.statementsSeen()).toEqual([])

      await cluster.ignoreStatements()
      await first!.ask("SELECT 'unheard'")
      expect((await first!.statementsSeen(['root'])).map(({ text }) => text)).not.toContain("SELECT 'unheard'")
    })
  })

  describe('a cluster whose commits wait for a reader', () => {
    const cluster = useCluster(engine, { semiSync: true })
    const isOn = (server: LabServer, side: string) =>
      server.asRoot(async (root) => {
        const [rows] = await root.query(`SHOW STATUS LIKE 'Rpl_semi_sync_${side}_status'`)
        return (rows as { Value: string }[])[0]?.Value === 'ON' ? true : null
      })
    const [source, replica] = engine === 'mysql' ? ['source', 'replica'] : ['master', 'slave']

    test('loses nothing answered with its writer, if the reader that has received most is promoted', async () => {
      const { writer: old, readers } = cluster()
      for (const reader of readers) expect(await isOn(reader, replica!)).toBe(true)
      expect(await isOn(old, source!)).toBe(true)
      const app = await old.connect('app')
      await app.query('CREATE TABLE app.t (n INT PRIMARY KEY)')
      // One reader receives no more, so it must not be the next writer.
      await readers[0]!.ask(engine === 'mysql' ? 'STOP REPLICA IO_THREAD' : 'STOP SLAVE IO_THREAD')
      for (let n = 1; n <= 50; n++) await app.query('INSERT INTO app.t VALUES (?)', [n])
      app.destroy()
      await old.kill()
      expect(await cluster().bestReader()).toBe(readers[1])
      await cluster().promote(readers[1]!)
      expect(await readers[1]!.ask('SELECT COUNT(*) FROM app.t')).toBe(50)
      const onNew = () => isOn(readers[1]!, source!)
      await readers[1]!.ask('INSERT INTO app.t VALUES (51)')
      await until(onNew, 15_000, () => 'the new writer waits for nobody')
      await cluster().rejoin(old)
      expect(await old.ask('SELECT COUNT(*) FROM app.t')).toBe(51)
    })
  })

  describe('failures', () => {
    const cluster = useCluster(engine)
    const count = (server: LabServer) => server.ask('SELECT COUNT(*) FROM app.t')
    let next = 1
    const write = (server: LabServer) => server.ask('INSERT INTO app.t VALUES (?)', [next++])

    beforeAll(() => cluster().writer.ask('CREATE TABLE app.t (n INT PRIMARY KEY)'))

    test('a planned switch loses no write, and the old writer follows', async () => {
      const { writer: old, readers } = cluster()
      await write(old)
      await cluster().switchover(readers[0]!)
      expect(cluster().writer).toBe(readers[0])
      await expect(old.connect('app').then((app) => app.query('INSERT INTO app.t VALUES (0)'))).rejects.toMatchObject({
        errno: 1290,
      })
      await write(cluster().writer)
      await cluster().waitForReaders()
      for (const server of cluster().servers) expect(await count(server)).toBe(2)
    })

    test("a planned switch does not stand still where a statement waits for another transaction's row", async () => {
      const { writer, readers } = cluster()
      await writer.ask('CREATE TABLE app.pair (n INT PRIMARY KEY, v INT)')
      await writer.ask('INSERT INTO app.pair VALUES (1, 0), (2, 0)')
      await cluster().waitForReaders()
      const clients = [await writer.connect('app'), await writer.connect('app')]
      const [holds, waits] = clients as [(typeof clients)[0], (typeof clients)[0]]
      await holds.query('BEGIN')
      await holds.query('UPDATE app.pair SET v = 1 WHERE n = 1')
      const waiting = waits.query('UPDATE app.pair SET v = 2 WHERE n = 1').catch(() => null)
      const isWaiting = () => writer.ask("SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")
      await until(isWaiting, 5_000, () => 'nobody waits for the row')
      const switched = cluster().switchover(readers[0]!)
      const isAsked = () =>
        writer.ask("SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SET GLOBAL %read_only%'")
      await until(isAsked, 5_000, () => 'nobody makes the writer read-only')
      // It is held up, and with it the row.
      await holds.query('UPDATE app.pair SET v = 1 WHERE n = 2').catch(() => null)
      await holds.query('ROLLBACK')
      await waiting
      await switched
      for (const client of clients) client.destroy()
      await cluster().waitForReaders()
    }, 30_000)

    test('a frozen server accepts connections, answers nothing, and goes on when it is thawed', async () => {
      const { writer } = cluster()
      writer.freeze()
      await expect(
        createConnection({ host: writer.host, port: writer.port, user: 'root', connectTimeout: 300 }),
      ).rejects.toMatchObject({ code: 'ETIMEDOUT' })
      writer.thaw()
      await write(writer)
    })

    test('a killed writer is replaced, with everything its readers had received', async () => {
      const old = cluster().writer
      const pid = old.pid!
      await cluster().waitForReaders()
      await old.kill()
      expect(old.pid).toBeNull()
      expect(isRunning(pid)).toBe(false)
      await expect(old.connect()).rejects.toMatchObject({ code: 'ECONNREFUSED' })

      const [heir, other] = cluster().readers
      await cluster().promote(heir!)
      await write(cluster().writer)
      await cluster().waitForReaders()
      expect(await count(other!)).toBe(4)

      await cluster().rejoin(old)
      expect(old.role).toBe('reader')
      expect(await count(old)).toBe(4)
    })

    test('a reader that was stopped and started again catches up', async () => {
      const [reader] = cluster().readers
      await reader!.stop()
      await write(cluster().writer)
      await reader!.start()
      await cluster().waitForReaders()
      expect(await count(reader!)).toBe(5)
      expect(await reader!.ask('SELECT @@GLOBAL.read_only')).toBe(1)
    })

    test('what was committed outlives a killed server, and its readers find it again', async () => {
      const { writer } = cluster()
      await write(writer)
      await writer.kill()
      await writer.start()
      expect(await count(writer)).toBe(6)
      await write(writer)
      await cluster().waitForReaders()
      for (const server of cluster().servers) expect(await count(server)).toBe(7)
    })
  })

  describe('the end', () => {
    test('of a cluster leaves no process and no folder', async () => {
      const cluster: LabCluster = await startCluster({ engine, readers: 1 })
      const pids = cluster.servers.map(({ pid }) => pid!)
      cluster.readers[0]!.freeze()
      await cluster.stop()
      expect(pids.filter(isRunning)).toEqual([])
      expect(cluster.servers.filter(({ folder }) => existsSync(folder))).toEqual([])
    })

    test('of the process that started it is the end of its servers', async () => {
      const program = `
        import { startCluster } from '${new URL('../../dist/lab/index.js', import.meta.url)}'
        const { servers } = await startCluster({ engine: '${engine}', readers: 1 })
        console.log(JSON.stringify(servers.map(({ pid, folder }) => ({ pid, folder }))))
        setInterval(() => {}, 1000)`
      const parent = spawn(process.execPath, ['--input-type=module', '--eval', program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const line = await new Promise<string>((heard, failed) => {
        parent.stdout.once('data', (chunk) => heard(String(chunk)))
        parent.once('exit', () => failed(new Error('it ended at once: has dist been built (npm run build)?')))
      })
      const servers: { pid: number; folder: string }[] = JSON.parse(line)
      expect(servers.map(({ pid }) => isRunning(pid))).toEqual([true, true])
      parent.kill('SIGKILL')
      const remains = () => servers.filter(({ pid, folder }) => isRunning(pid) || existsSync(folder))
      await until(
        () => remains().length === 0 || null,
        10_000,
        () => `still there: ${JSON.stringify(remains())}`,
      )
    })
  })
})

test.each([
  ['mariadb', ['--version'], /MariaDB/],
  ['sysbench', ['--version'], /sysbench 1/],
  ['python3', ['-c', 'import pymysql, cryptography; print(pymysql.__version__)'], /^\d+\./],
] as const)('%s can be had as a program', async (name, args, answer) => {
  const program = await tool(name)
  const said = await new Promise<string>((done, failed) =>
    execFile(program, args, (error, stdout) => (error === null ? done(stdout) : failed(error))),
  )
  expect(said).toMatch(answer)
})

test('work under one lock is done one at a time, and a failure frees the lock', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-lock-'))
  const lock = join(folder, 'lock')
  let working = 0
  const work = async () => {
    expect(++working).toBe(1)
    await readdir(folder)
    working--
  }
  await expect(withLock(lock, () => Promise.reject(new Error('it failed')))).rejects.toThrow('it failed')
  await Promise.all([withLock(lock, work), withLock(lock, work), withLock(lock, work)])
  await rm(folder, { recursive: true })
})
