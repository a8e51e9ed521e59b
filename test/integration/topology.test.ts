// What the monitor makes of real servers: roles, lag, silence, promotion, and a monitor user without rights.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type LabServer, type RunningServer, until } from '../../src/lab/index.ts'
import { Inquiry } from '../../src/protocol/mysql/inquiry.ts'
import { createProber } from '../../src/protocol/mysql/probe.ts'
import type { ProbeTarget } from '../../src/protocol/protocol.ts'
import type { Claim, ProbeFailed } from '../../src/topology/claim.ts'
import { clusterOf, describeEngines, useCluster } from '../support/lab.ts'
import {
  PREFERRED_TLS,
  probeTarget,
  WATCH_TIMEOUT_MS,
  type Watch,
  type WatchSettings,
  watch,
} from '../support/watch.ts'

async function probeOnce(server: RunningServer, change: Partial<ProbeTarget> = {}): Promise<Claim> {
  const prober = createProber(probeTarget(server, change))
  try {
    return await prober.probe()
  } finally {
    prober.close()
  }
}

describeEngines((engine) => {
  const words =
    engine === 'mysql'
      ? {
          stop: 'STOP REPLICA',
          start: 'START REPLICA',
          delay: 'CHANGE REPLICATION SOURCE TO SOURCE_DELAY =',
          port: 'CHANGE REPLICATION SOURCE TO SOURCE_PORT =',
          readOnly: 'SET GLOBAL super_read_only = ON',
        }
      : {
          stop: 'STOP SLAVE',
          start: 'START SLAVE',
          delay: 'CHANGE MASTER TO MASTER_DELAY =',
          port: 'CHANGE MASTER TO MASTER_PORT =',
          readOnly: 'SET GLOBAL read_only = ON',
        }

  describe('a probe', () => {
    const cluster = clusterOf(engine)
    const limited = `limited_${engine}`

    beforeAll(async () => {
      await cluster.writer.ask(`CREATE USER IF NOT EXISTS ${limited}@'%' IDENTIFIED BY 'limited_pw'`)
      await cluster.settle()
    })
    afterAll(() => cluster.writer.ask(`DROP USER ${limited}@'%'`))

    test('questions to a server are answered in their order, and an error is that question’s alone', async () => {
      const { host, port, user, password, tls } = probeTarget(clusterOf(engine).writer)
      const target = { host, port, tls, connectMsMax: 10_000, collation: 0, schema: null }
      const inquiry = await Inquiry.open(target, { user, password }, new AbortController().signal)
      try {
        const answers = await Promise.allSettled([
          inquiry.ask("SELECT 1 AS one, NULL AS none; DO 0; SELECT 'x' AS word UNION SELECT ''"),
          inquiry.ask('SELECT 1 AS one; SELECT * FROM nowhere.at_all; SELECT 2 AS two'),
          inquiry.ask('SELECT REPEAT("long ", 40000) AS word'),
        ])
        expect(answers[0]).toMatchObject({ value: [[{ one: '1', none: null }], [], [{ word: 'x' }, { word: '' }]] })
        expect(answers[1]).toMatchObject({
          reason: { errno: expect.toSatisfy((errno) => [1049, 1142, 1146].includes(errno)) },
        })
        expect(answers[2]).toMatchObject({ value: [[{ word: 'long '.repeat(40_000) }]] })
      } finally {
        inquiry.destroy()
      }
    })

    test('tells the writer from readers, whom they follow, and that they are level', async () => {
      const writer = await probeOnce(cluster.writer)
      expect(writer).toMatchObject({ readOnly: false, sources: [], sharedStorage: false, note: null })
      expect(writer.version).toContain(cluster.version)
      for (const reader of cluster.readers) {
        const claim = await probeOnce(reader)
        const source = { address: cluster.writer.address, serverId: writer.serverId, receiving: 'yes', applying: true }
        expect(claim).toMatchObject({ readOnly: true, sources: [{ ...source, error: null }], lagMs: 0 })
        expect(claim.position!.lacks(writer.position!, null)).toBe(false)
        expect(claim.serverId).not.toBe(writer.serverId)
      }
    })

    test('uses one connection for many questions', async () => {
      const count = () => cluster.writer.ask("SHOW GLOBAL STATUS LIKE 'Connections'").then(() => connectionsOf(cluster))
      const prober = createProber(probeTarget(cluster.writer))
      await prober.probe()
      const before = await count()
      const between = await count()
      for (let turn = 0; turn < 5; turn++) await prober.probe()
      const after = await count()
      prober.close()
      // Counting takes connections too, the same number every time.
      expect(after - between).toBe(between - before)
    })

    test('goes on when its connection was closed between two questions', async () => {
      const prober = createProber(probeTarget(cluster.writer))
      await prober.probe()
      await killConnectionsOf(cluster.writer, 'monitor')
      expect(await prober.probe()).toMatchObject({ readOnly: false })
      prober.close()
    })

    test('without the right to see replication still tells the role, and says which right is missing', async () => {
      const claim = await probeOnce(cluster.readers[0]!, { user: limited, password: 'limited_pw' })
      expect(claim).toMatchObject({ readOnly: true, sources: [], lagMs: null })
      expect(claim.note).toMatch(/GRANT REPL\w+ \w+ ON \*\.\* TO the monitor user \('limited_/)
    })

    test('learns of a right that is granted later, without being started anew', async () => {
      const prober = createProber(probeTarget(cluster.writer, { user: limited, password: 'limited_pw' }))
      expect((await prober.probe()).note).not.toBeNull()
      const grant = engine === 'mysql' ? 'REPLICATION CLIENT' : 'REPLICA MONITOR'
      await cluster.writer.ask(`GRANT ${grant} ON *.* TO ${limited}@'%'`)
      const notes: (string | null)[] = []
      for (let turn = 0; turn < 40; turn++) notes.push((await prober.probe()).note)
      prober.close()
      expect(notes.at(-1)).toBeNull()
    })

    test('says that the monitor user was refused, and where to mend it', async () => {
      const failing = probeOnce(cluster.writer, { password: 'wrong' })
      await expect(failing).rejects.toMatchObject({ kind: 'login' } satisfies Partial<ProbeFailed>)
      await expect(failing).rejects.toThrow(/does not let the monitor user 'monitor' in.*clusters\.<name>\.monitor/)
    })

    test('says that nobody listens', async () => {
      const port = await unusedPort()
      const failing = probeOnce(cluster.writer, { port })
      await expect(failing).rejects.toMatchObject({ kind: 'refused' })
      await expect(failing).rejects.toThrow(/no server listens there/)
    })

    test('gives up on who accepts and says nothing, and leaves no connection behind', async () => {
      const sockets = new Set<string>()
      const mute = createServer((socket) => {
        sockets.add('open')
        socket.on('error', () => {}).on('close', () => sockets.delete('open'))
        socket.resume()
      })
      await new Promise<void>((done) => mute.listen(0, '127.0.0.1', done))
      const { port } = mute.address() as { port: number }
      const startMs = performance.now()
      await expect(probeOnce(cluster.writer, { port, timeoutMs: 200 })).rejects.toMatchObject({ kind: 'timeout' })
      expect(performance.now() - startMs).toBeLessThan(1_000)
      await expect.poll(() => sockets.size).toBe(0)
      await new Promise((done) => mute.close(done))
    })

    test.each(['disabled', 'required', 'verify-ca'] as const)('logs in with TLS %s', async (mode) => {
      const ca = mode === 'verify-ca' ? readFileSync(cluster.caFile, 'utf8') : null
      expect(await probeOnce(cluster.writer, { tls: { ...PREFERRED_TLS, mode, ca } })).toMatchObject({
        readOnly: false,
      })
    })

    test('does not trust a certificate of an unknown authority where it is to be verified', async () => {
      const failing = probeOnce(cluster.writer, { tls: { ...PREFERRED_TLS, mode: 'verify-ca' } })
      await expect(failing).rejects.toMatchObject({ kind: 'login' })
      await expect(failing).rejects.toThrow(/clusters\.<name>\.tls/)
    })
  })

  describe('a cluster that changes', () => {
    const cluster = useCluster(engine, { performanceSchema: true })
    let current: Watch | null = null
    const watching = async (servers: readonly LabServer[], settings: WatchSettings = {}) => {
      current = await watch(servers, settings)
      return current
    }
    afterEach(() => {
      current?.monitor.stop()
      current = null
    })

    test('is known after the first round', async () => {
      const { servers } = cluster()
      const seen = await watching(servers)
      expect(servers.map((server) => seen.of(server).role)).toEqual(['writer', 'reader', 'reader'])
      // On a busy machine a reader may still lack the last of what made the cluster.
      await seen.until(['writer', 'reader', 'reader'])
    })

    test('keeps its roles by the settings when the kind is static', async () => {
      const { servers } = cluster()
      const seen = await watching(servers, { topology: { kind: 'static', writer: servers[1]!.address } })
      expect(seen.of(servers[1]!)).toMatchObject({ role: 'unknown', why: expect.stringContaining('read-only') })
      expect(seen.of(servers[0]!)).toMatchObject({ role: 'reader' })
    })

    test('loses a reader whose replication is stopped, and has it back once it goes on', async () => {
      const { servers, readers } = cluster()
      const seen = await watching(servers)
      for (const part of ['SQL_THREAD', 'IO_THREAD']) {
        await readers[0]!.asRoot((root) => root.query(`${words.stop} ${part}`))
        await seen.until(['writer', 'reader behind', 'reader'])
        expect(seen.of(readers[0]!).why).toMatch(/replication is stopped|receives nothing/)
        await readers[0]!.asRoot((root) => root.query(words.start))
        await seen.until(['writer', 'reader', 'reader'])
      }
    })

    test('loses a reader that is late, shows by how much, and has it back once it has caught up', async () => {
      const { servers, writer, readers } = cluster()
      const seen = await watching(servers, { lagMsMax: 400 })
      const late = readers[1]!
      await late.asRoot((root) => root.query(`${words.stop}; ${words.delay} 3; ${words.start}`))
      await seen.until(['writer', 'reader', 'reader'])
      await writer.ask('CREATE TABLE IF NOT EXISTS app.late (n INT)')
      // A probe may have met it while its replication stood still: it was behind then, too, by nobody knows how much.
      const told = () => ((seen.of(late).lagMs ?? 0) > 400 ? true : null)
      await until(told, 10_000, () => `${seen.of(late).lagMs} ms behind: ${seen.of(late).why}`)
      await seen.until(['writer', 'reader', 'reader behind'])
      expect(seen.of(late).lagMs).toBeLessThan(5_000)
      expect(seen.of(late).why).toMatch(/^it is \d+ ms behind; reads\.lagMsMax is 400$/)
      await late.asRoot((root) => root.query(`${words.stop}; ${words.delay} 0; ${words.start}`))
      await seen.until(['writer', 'reader', 'reader'])
      expect(seen.of(late).lagMs).toBe(0)
    })

    test('loses a reader that cannot reach the writer once there is something to miss', async () => {
      const { servers, writer, readers } = cluster()
      const lost = readers[0]!
      const seen = await watching(servers)
      await lost.asRoot((root) => root.query(`${words.stop}; ${words.port} 9; ${words.start}`))
      await writer.ask('CREATE TABLE IF NOT EXISTS app.missed (n INT)')
      await writer.ask('INSERT INTO app.missed VALUES (1)')
      await seen.until(['writer', 'reader behind', 'reader'])
      await lost.asRoot((root) => root.query(`${words.stop}; ${words.port} ${writer.port}; ${words.start}`))
      await seen.until(['writer', 'reader', 'reader'])
    })

    // MariaDB tells whole seconds only.
    if (engine === 'mysql') {
      test('tells lag in parts of a second where the server measures it', async () => {
        const { writer, readers } = cluster()
        const [blocked] = readers
        await writer.ask('CREATE TABLE IF NOT EXISTS app.locked (n INT)')
        await cluster().waitForReaders()
        await blocked!.asRoot(async (root) => {
          await root.query('LOCK TABLES app.locked READ')
          await writer.ask('INSERT INTO app.locked VALUES (1)')
          const prober = createProber(probeTarget(blocked!))
          await expect
            .poll(async () => ((await prober.probe()).lagMs ?? 0) % 1_000, { timeout: 10_000 })
            .toBeGreaterThan(0)
          prober.close()
        })
        await cluster().waitForReaders()
      })
    }

    test('does not take a reader for the writer because it lacks read_only, not even when the writer is gone', async () => {
      const { servers, writer, readers } = cluster()
      const careless = readers[0]!
      const seen = await watching(servers)
      await careless.ask('SET GLOBAL read_only = OFF')
      await expect.poll(() => seen.of(careless).why).toContain('set read_only there')
      await seen.until(['writer', 'reader', 'reader'])
      await writer.kill()
      await seen.until(['writer down', 'reader', 'reader'])
      await expect.poll(() => seen.of(careless).why).toContain(`waits for ${writer.address}, which is down`)
      expect(seen.of(careless).role).toBe('reader')
      await writer.start()
      await careless.ask(words.readOnly)
      await seen.until(['writer', 'reader', 'reader'])
    })

    test('finds a frozen reader within the timeout, and has it back when it thaws', async () => {
      const { servers, readers } = cluster()
      const seen = await watching(servers)
      const frozen = readers[0]!
      const startMs = performance.now()
      frozen.freeze()
      try {
        await seen.until(['writer', 'reader suspect', 'reader'])
        expect(performance.now() - startMs).toBeLessThan(WATCH_TIMEOUT_MS + 500)
        expect(seen.of(frozen).why).toContain(`did not answer within ${WATCH_TIMEOUT_MS} ms`)
        await seen.until(['writer', 'reader down', 'reader'])
      } finally {
        frozen.thaw()
      }
      await seen.until(['writer', 'reader', 'reader'])
    })

    test('has another writer after a switchover, and the old one becomes a reader', async () => {
      const { servers, readers, writer } = cluster()
      const seen = await watching(servers)
      const { epoch } = seen.topology
      await cluster().switchover(readers[0]!)
      await seen.until(['reader', 'writer', 'reader'])
      expect(seen.topology.epoch).toBeGreaterThan(epoch)
      await cluster().switchover(writer)
      await seen.until(['writer', 'reader', 'reader'])
    })

    test('has a new writer soon after the old one was killed and another promoted', async () => {
      const { servers, readers, writer } = cluster()
      const seen = await watching(servers)
      await writer.kill()
      await seen.until(['writer down', 'reader', 'reader'], WATCH_TIMEOUT_MS)
      await cluster().promote(readers[1]!)
      await seen.until(['unknown down', 'reader', 'writer'])
      expect(seen.of(readers[0]!).why).toContain('read-only')
      await cluster().rejoin(writer)
      await seen.until(['reader', 'reader', 'writer'])
    })

    test('believes the promoted one when the old writer was frozen and thaws again', async () => {
      const { servers, readers, writer } = cluster()
      const seen = await watching(servers)
      writer.freeze()
      try {
        seen.monitor.suspect(writer.address, 'a test says so')
        expect(seen.of(writer)).toMatchObject({ role: 'writer', health: 'suspect' })
        await cluster().promote(readers[0]!)
        await seen.until(['writer', 'reader', 'unknown down'])
      } finally {
        writer.thaw()
      }
      await seen.until(['writer', 'reader', 'unknown'])
      expect(seen.of(writer).why).toContain(readers[0]!.address)
    })
  })
})

async function killConnectionsOf(server: RunningServer, user: string): Promise<void> {
  await server.asRoot(async (root) => {
    const [rows] = await root.query('SELECT id FROM information_schema.processlist WHERE user = ?', [user])
    for (const { id, ID } of rows as { id?: number; ID?: number }[]) await root.query(`KILL ${id ?? ID}`)
  })
}

async function connectionsOf({ writer }: { readonly writer: RunningServer }): Promise<number> {
  return writer.asRoot(async (root) => {
    const [rows] = await root.query("SHOW GLOBAL STATUS LIKE 'Connections'")
    return Number((rows as { Value: string }[])[0]!.Value)
  })
}

async function unusedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { port: number }
  await new Promise((done) => server.close(done))
  return port
}
