// Reads that see what was written, on real servers: readers that are late, readers that stand still, and what it costs.

import type { Connection, RowDataPacket } from 'mysql2/promise'
import mysql from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { describeEngines, useCluster } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import { SluiceProcess } from '../support/sluice-process.ts'

/** `SLUICE_CAUSAL_PAIRS=100000 npx vitest run --project integration test/integration/causal.test.ts` takes some minutes. */
const PAIRS_USUAL = 300
const PAIRS = Number(process.env.SLUICE_CAUSAL_PAIRS ?? PAIRS_USUAL)
const READ = 'SELECT n FROM t WHERE id = 1'

describeEngines((engine) => {
  const words =
    engine === 'mysql'
      ? {
          stop: 'STOP REPLICA SQL_THREAD',
          start: 'START REPLICA SQL_THREAD',
          delay: (seconds: number) => `CHANGE REPLICATION SOURCE TO SOURCE_DELAY = ${seconds}`,
        }
      : {
          stop: 'STOP SLAVE',
          start: 'START SLAVE',
          delay: (seconds: number) => `CHANGE MASTER TO MASTER_DELAY = ${seconds}`,
        }
  const cluster = useCluster(engine)
  const connections: Connection[] = []
  const sluices: RunningSluice[] = []
  let sluice: RunningSluice
  let delayed = false

  const connect = async (to: Pick<RunningSluice, 'port'> = sluice): Promise<Connection> => {
    const options = { host: '127.0.0.1', port: to.port, user: 'app', password: 'app_pw', database: 'app' }
    const connection = await mysql.createConnection({ ...options, multipleStatements: true })
    connections.push(connection)
    return connection
  }
  const start = async (settings: string): Promise<RunningSluice> => {
    const seeds = cluster().servers.map(({ address }) => address)
    const started = await startSluice({ seeds, cluster: settings, monitor: 'intervalMs: 200, timeoutMs: 2000' })
    sluices.push(started)
    return started
  }
  const everyReader = (statement: string) => Promise.all(cluster().readers.map((reader) => reader.ask(statement)))
  /** Readers that go on, and are late for everything; whoever asks on `connection` knows that they are usable. */
  const delayReaders = async (seconds: number, connection: Connection | null = null) => {
    delayed = seconds > 0
    for (const statement of [words.stop, words.delay(seconds), words.start]) await everyReader(statement)
    if (connection === null) return
    const healths = async () => {
      const [rows] = await connection.query<RowDataPacket[]>('SLUICE SHOW TOPOLOGY')
      return rows.map(({ health }) => String(health))
    }
    await expect.poll(healths, { timeout: 20_000 }).toEqual(['up', 'up', 'up'])
  }
  const valueIn = async (connection: Connection, sql: string): Promise<unknown> => {
    const [rows] = await connection.query<RowDataPacket[]>(sql)
    return Object.values(rows[0] ?? {})[0]
  }
  const reads = async (to: RunningSluice = sluice): Promise<Record<string, number>> => {
    const text = await (await fetch(`http://127.0.0.1:${to.adminPort}/metrics`)).text()
    const found = [...text.matchAll(/^sluice_fresh_reads_total\{.*how="(\w+)"\} (\d+)/gm)]
    return Object.fromEntries(found.map(([, how, count]) => [how!, Number(count)]))
  }
  const difference = (after: Record<string, number>, before: Record<string, number>) =>
    Object.fromEntries(Object.entries(after).map(([how, count]) => [how, count - (before[how] ?? 0)]))

  beforeAll(async () => {
    await cluster().writer.ask('CREATE TABLE app.t (id INT PRIMARY KEY, n INT NOT NULL) ENGINE = InnoDB')
    await cluster().writer.ask('INSERT INTO app.t VALUES (1, 0)')
    await cluster().waitForReaders()
    sluice = await start('    reads: { lagMsMax: 60000 }')
  })
  afterEach(async () => {
    if (delayed) await delayReaders(0)
    else await everyReader(words.start)
    await cluster().waitForReaders()
    for (const connection of connections.splice(0)) connection.destroy()
  })
  afterAll(async () => {
    for (const each of sluices) await each.stop()
  })

  describe('by default', () => {
    test(
      'what one session was told is committed, every session reads at once, and mostly from readers',
      async () => {
        const [writing, reading] = [await connect(), await connect()]
        await writing.query('CREATE TABLE rows_of_others (id INT PRIMARY KEY)')
        const before = await reads()
        for (let n = 1; n <= PAIRS; n++) {
          await writing.query(`INSERT INTO rows_of_others VALUES (${n})`)
          const found = await valueIn(reading, `SELECT id FROM rows_of_others WHERE id = ${n}`)
          if (found !== n) throw new Error(`row ${n} is not there`)
        }
        const { free = 0, waited = 0, writer = 0 } = difference(await reads(), before)
        if (PAIRS > PAIRS_USUAL) console.log({ engine, free, waited, writer })
        expect(free + waited + writer).toBe(PAIRS)
        expect(writer).toBeLessThan(PAIRS / 2)
      },
      30_000 + PAIRS * 20,
    )

    test('readers share the reads of what was written just before', async () => {
      const [writing, reading] = [await connect(), await connect()]
      await cluster().watchStatements()
      for (let n = 501; n <= 560; n++) {
        await writing.query(`UPDATE t SET n = ${n} WHERE id = 1`)
        expect(await valueIn(reading, 'SELECT n AS shared FROM t WHERE id = 1')).toBe(n)
      }
      const seen = await Promise.all(cluster().readers.map((reader) => reader.statementsSeen()))
      await cluster().ignoreStatements()
      for (const each of seen) {
        expect(each.filter(({ text }) => text.startsWith('SELECT n AS shared')).length).toBeGreaterThan(15)
      }
    })

    test('readers that stand still are waited for once, and then the writer serves', async () => {
      const [writing, reading] = [await connect(), await connect()]
      await delayReaders(60, reading)
      await writing.query('UPDATE t SET n = 1000 WHERE id = 1')
      const startMs = performance.now()
      expect(await valueIn(reading, 'SELECT n FROM t WHERE id = 1')).toBe(1000)
      // One wait per reader at most, and that much again for a busy machine.
      expect(performance.now() - startMs).toBeLessThan(2_000)
    })

    test('whatever a session takes its literals for, its readers are asked in words they understand', async () => {
      const sessions: Connection[] = []
      for (const charset of ['latin1', 'ucs2', 'utf16', 'utf32']) {
        const session = await connect()
        sessions.push(session)
        await session.query(`SET collation_connection = ${charset}_general_ci`)
        // Readers have a connection that is set so.
        for (let n = 0; n < 8; n++) await session.query(READ)
      }
      await delayReaders(60, sessions[0])
      for (const [n, session] of sessions.entries()) {
        await session.query(`UPDATE t SET n = ${2000 + n} WHERE id = 1`)
        expect(await valueIn(session, READ)).toBe(2000 + n)
      }
    })

    test('readers serve again once they have caught up', async () => {
      const [writing, reading] = [await connect(), await connect()]
      await everyReader(words.stop)
      await writing.query('UPDATE t SET n = 2000 WHERE id = 1')
      expect(await valueIn(reading, 'SELECT n FROM t WHERE id = 1')).toBe(2000)
      await everyReader(words.start)
      await cluster().waitForReaders()
      const servedByReader = async () => {
        const before = await reads()
        expect(await valueIn(reading, 'SELECT n FROM t WHERE id = 1')).toBe(2000)
        const { free = 0, waited = 0 } = difference(await reads(), before)
        return free + waited
      }
      await expect.poll(servedByReader, { timeout: 10_000 }).toBe(1)
    })

    test.each([
      ['its author says', '/* sluice:reader */ SELECT read_n()', ''],
      ['the settings say of its function', 'SELECT read_n()', '    safeFunctions: [read_n]'],
    ])('what is a read because %s sees it too', async (_who, statement, settings) => {
      await cluster().writer.ask(
        'CREATE FUNCTION IF NOT EXISTS app.read_n() RETURNS INT DETERMINISTIC READS SQL DATA RETURN (SELECT n FROM t WHERE id = 1)',
      )
      await cluster().waitForReaders()
      const own = await start(`${settings}\n    reads: { lagMsMax: 60000 }`)
      const [writing, reading] = [await connect(own), await connect(own)]
      await everyReader(words.stop)
      await writing.query('UPDATE t SET n = 2500 WHERE id = 1')
      expect(await valueIn(reading, statement)).toBe(2500)
    })

    test('a read-only transaction begins only where all that was committed can be seen', async () => {
      const [writing, reading] = [await connect(), await connect()]
      await everyReader(words.stop)
      await writing.query('UPDATE t SET n = 3000 WHERE id = 1')
      await reading.query('START TRANSACTION READ ONLY')
      expect(await valueIn(reading, 'SELECT n FROM t WHERE id = 1')).toBe(3000)
      await reading.query('COMMIT')
    })

    test.each([
      ['that has not read yet', ['START TRANSACTION READ ONLY'], 3101],
      ['that reads the newest at every statement', ['READ COMMITTED', 'START TRANSACTION READ ONLY', READ], 3101],
      ['that has read', ['START TRANSACTION READ ONLY', READ], 3100],
      ['whose snapshot is its beginning', ['START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY'], 3100],
    ])('a read-only transaction %s sees what the server would show it', async (_which, [...begin], seen) => {
      const [writing, reading] = [await connect(), await connect()]
      await writing.query('UPDATE t SET n = 3100 WHERE id = 1')
      for (const text of begin) {
        await reading.query(text === 'READ COMMITTED' ? `SET SESSION TRANSACTION ISOLATION LEVEL ${text}` : text)
      }
      // To prepare a read is not to read.
      await reading.prepare('SELECT n FROM t WHERE id = ?')
      await everyReader(words.stop)
      await writing.query('UPDATE t SET n = 3101 WHERE id = 1')
      for (let turn = 0; turn < 2; turn++) expect(await valueIn(reading, READ)).toBe(seen)
      await expect(reading.query('INSERT INTO t VALUES (77, 1)')).rejects.toMatchObject({ errno: 1792 })
      await reading.query('COMMIT')
      expect(await valueIn(reading, READ)).toBe(3101)
    })

    test('a read-only transaction keeps its savepoints, wherever it goes on', async () => {
      const [writing, reading] = [await connect(), await connect()]
      for (const text of ['START TRANSACTION READ ONLY', 'SAVEPOINT gone', 'SAVEPOINT `a b`']) await reading.query(text)
      await reading.query('RELEASE SAVEPOINT gone')
      await reading.query('SAVEPOINT `a b`')
      await reading.query('SELECT 1; SAVEPOINT c; SELECT 2')
      await everyReader(words.stop)
      await writing.query('UPDATE t SET n = 3200 WHERE id = 1')
      expect(await valueIn(reading, READ)).toBe(3200)
      await reading.query('ROLLBACK TO c')
      await reading.query('ROLLBACK TO SAVEPOINT `A b`')
      await expect(reading.query('ROLLBACK TO gone')).rejects.toMatchObject({ errno: 1305 })
      await reading.query('COMMIT')
    })

    test.each([
      ['a transaction', ['BEGIN', 'UPDATE t SET n = ? WHERE id = 1', 'COMMIT']],
      [
        'autocommit switched off and on',
        ['SET autocommit = 0', 'UPDATE t SET n = ? WHERE id = 1', 'SET autocommit = 1'],
      ],
      [
        'a DDL that commits what was before',
        ['BEGIN', 'UPDATE t SET n = ? WHERE id = 1', 'CREATE TABLE IF NOT EXISTS u (a INT)'],
      ],
      ['several statements in one text', ['DO 1; UPDATE t SET n = ? WHERE id = 1; DO 2']],
      ['a text that fails at its end', ['UPDATE t SET n = ? WHERE id = 1; INSERT INTO t VALUES (1, 1)']],
      ['a procedure', ['CALL write_n(?)']],
      ['a procedure that fails at its end', ['CALL fail_n(?)']],
      [
        'a statement prepared in SQL',
        ["PREPARE s FROM 'UPDATE t SET n = ? WHERE id = 1'", 'EXECUTE s', 'DEALLOCATE PREPARE s'],
      ],
      [
        'an XA transaction',
        ["XA START 'x'", 'UPDATE t SET n = ? WHERE id = 1', "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"],
      ],
    ])('sees what was written by %s', async (_how, statements) => {
      const [writing, reading] = [await connect(), await connect()]
      await cluster().writer.ask('CREATE PROCEDURE IF NOT EXISTS app.write_n(v INT) UPDATE t SET n = v WHERE id = 1')
      await cluster().writer.ask(
        'CREATE PROCEDURE IF NOT EXISTS app.fail_n(v INT) BEGIN UPDATE t SET n = v WHERE id = 1; INSERT INTO t VALUES (1, 1); END',
      )
      await cluster().waitForReaders()
      await everyReader(words.stop)
      const n = Math.floor(Math.random() * 1_000_000) + 10_000
      for (const statement of statements) await writing.query(statement.replace('?', String(n))).catch(() => {})
      expect(await valueIn(reading, 'SELECT n FROM t WHERE id = 1')).toBe(n)
    })
  })

  describe('what nobody has just written is read at once', () => {
    const mustSee = async (connection: Connection, sql: string): Promise<string> => {
      const [rows] = await connection.query<RowDataPacket[]>(`SLUICE EXPLAIN ${sql}`)
      return String(rows.find(({ name }) => name === 'must_see')?.value)
    }

    beforeAll(async () => {
      for (const statement of [
        'CREATE TABLE app.u1 (id INT PRIMARY KEY, n INT NOT NULL) ENGINE = InnoDB',
        'CREATE TABLE app.u2 (id INT PRIMARY KEY, n INT NOT NULL) ENGINE = InnoDB',
        'CREATE TABLE app.triggered (id INT PRIMARY KEY) ENGINE = InnoDB',
        'CREATE TABLE app.parent (id INT PRIMARY KEY) ENGINE = InnoDB',
        'CREATE TABLE app.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES app.parent (id) ON DELETE CASCADE) ENGINE = InnoDB',
        'CREATE VIEW app.v AS SELECT * FROM app.u2',
        'CREATE TRIGGER app.tr AFTER INSERT ON app.triggered FOR EACH ROW UPDATE app.u1 SET n = n + 1',
        'INSERT INTO app.u1 VALUES (1, 0)',
        'INSERT INTO app.u2 VALUES (1, 0)',
        'INSERT INTO app.parent VALUES (1), (2)',
        'INSERT INTO app.child VALUES (1, 1)',
      ])
        await cluster().writer.ask(statement)
      await cluster().waitForReaders()
    })

    test('another table was', async () => {
      const [writing, reading] = [await connect(), await connect()]
      const read = 'SELECT n FROM u1 WHERE id = 1'
      await writing.query('UPDATE u2 SET n = n + 1')
      const isApart = async () => {
        await writing.query('UPDATE u2 SET n = n + 1')
        const [before, after] = [await mustSee(reading, 'SELECT n FROM u2'), await mustSee(reading, read)]
        return before !== after
      }
      await expect.poll(isApart, { timeout: 10_000 }).toBe(true)
      // So it is served by readers that have not heard of any of it.
      await delayReaders(60, reading)
      await writing.query('UPDATE u2 SET n = n + 1')
      const before = await reads()
      for (let turn = 0; turn < 20; turn++) await reading.query(read)
      // Each of the two may be waited for once, for what was written before the catalogue was known.
      const { free = 0, writer = 0 } = difference(await reads(), before)
      expect(writer).toBe(0)
      expect(free).toBeGreaterThanOrEqual(18)
    })

    test.each([
      ['a trigger', 'INSERT INTO triggered VALUES (1)', 'SELECT n FROM u1 WHERE id = 1'],
      ['a foreign key', 'DELETE FROM parent WHERE id = 1', 'SELECT * FROM child'],
      ['a view', 'UPDATE v SET n = n + 100', 'SELECT n FROM u2 WHERE id = 1'],
      ['an update of two tables', 'UPDATE u1, u2 SET u1.n = 7, u2.n = 7', 'SELECT n FROM u2 WHERE id = 1'],
      ['a delete by an alias', 'DELETE x FROM u2 AS x JOIN parent ON x.id = parent.id', 'SELECT * FROM u2'],
      ['names in capitals', 'UPDATE APP.U1 SET n = n + 1000', 'SELECT n FROM u1 WHERE id = 1'],
    ])('but what was written by %s is seen', async (_how, write, read) => {
      const [writing, reading] = [await connect(), await connect()]
      for (const table of ['u1', 'u2', 'triggered', 'parent', 'child']) await reading.query(`SELECT * FROM ${table}`)
      await everyReader(words.stop)
      await writing.query(write).catch(() => {})
      const direct = await cluster().writer.asRoot(async (root) => {
        await root.query('USE app')
        return (await root.query(read))[0]
      })
      expect((await reading.query(read))[0]).toEqual(direct)
    })

    test('and a view of what was written is not read old', async () => {
      const [writing, reading] = [await connect(), await connect()]
      await writing.query('REPLACE INTO u2 VALUES (1, 0)')
      await everyReader(words.stop)
      await writing.query('UPDATE u2 SET n = 4711')
      expect(await valueIn(reading, 'SELECT n FROM v WHERE id = 1')).toBe(4711)
    })
  })

  test('a position handed from one Sluice to another makes a read wait for it', async () => {
    const other = await start('    reads: { lagMsMax: 60000 }')
    const [writing, reading] = [await connect(), await connect(other)]
    await everyReader(words.stop)
    await writing.query('UPDATE t SET n = 5000 WHERE id = 1')
    const position = await valueIn(writing, 'SLUICE SHOW POSITION')
    expect(await valueIn(reading, `/* sluice:after=${position} */ SELECT n FROM t WHERE id = 1`)).toBe(5000)
    // What it cannot read, it takes to the writer.
    expect(await valueIn(reading, '/* sluice:after=nonsense */ SELECT n FROM t WHERE id = 1')).toBe(5000)
  })

  test('what a client of one worker was told, a client of another reads, however long the word of it takes', async () => {
    const workers = await SluiceProcess.start({
      seeds: cluster().servers.map(({ address }) => address),
      cluster: '    reads: { lagMsMax: 60000 }',
      more: 'workers: 2',
    })
    try {
      // Clients are handed out by turns, once there are two who take them.
      const ready = async () => (await (await workers.ask('/metrics')).text()).includes('sluice_workers 2')
      await expect.poll(ready, { timeout: 20_000 }).toBe(true)
      const [writing, reading] = [await connect(workers), await connect(workers)]
      await valueIn(reading, 'SELECT n FROM t WHERE id = 1')
      await everyReader(words.stop)
      // Whatever workers tell one another goes through this process.
      process.kill(workers.pid, 'SIGSTOP')
      for (let n = 5500; n < 5503; n++) {
        await writing.query(`UPDATE t SET n = ${n} WHERE id = 1`)
        expect(await valueIn(reading, 'SELECT n FROM t WHERE id = 1')).toBe(n)
      }
    } finally {
      process.kill(workers.pid, 'SIGCONT')
      await workers.stop()
    }
  })

  test('global sees what was written past every Sluice', async () => {
    const everything = await start('    reads: { consistency: global, lagMsMax: 60000 }')
    const connection = await connect(everything)
    for (let n = 6000; n < 6050; n++) {
      await cluster().writer.ask(`UPDATE app.t SET n = ${n} WHERE id = 1`)
      expect(await valueIn(connection, 'SELECT n FROM t WHERE id = 1')).toBe(n)
    }
    await everyReader(words.stop)
    await cluster().writer.ask('UPDATE app.t SET n = 6100 WHERE id = 1')
    expect(await valueIn(connection, 'SELECT n FROM t WHERE id = 1')).toBe(6100)
  })

  test('session sees its own writes, and need not see those of others', async () => {
    const own = await start('    reads: { consistency: session, lagMsMax: 60000, tableFloorsMax: 0 }')
    const [one, other] = [await connect(own), await connect(own)]
    await one.query('UPDATE t SET n = 7000 WHERE id = 1')
    await cluster().waitForReaders()
    await delayReaders(60, one)
    await one.query('UPDATE t SET n = 7001 WHERE id = 1')
    expect(await valueIn(other, 'SELECT n FROM t WHERE id = 1')).toBe(7000)
    expect(await valueIn(one, 'SELECT n FROM t WHERE id = 1')).toBe(7001)
  })

  test('monotonic: a session sees no older state than before, whichever reader answers', async () => {
    const steady = await start('    reads: { consistency: eventual, monotonic: true, lagMsMax: 60000 }')
    const connection = await connect(steady)
    await cluster().writer.ask('UPDATE app.t SET n = 8000 WHERE id = 1')
    await cluster().waitForReaders()
    const [late] = cluster().readers
    await late!.ask(words.stop)
    let newest = 0
    for (let n = 8001; n < 8040; n++) {
      await cluster().writer.ask(`UPDATE app.t SET n = ${n} WHERE id = 1`)
      const seen = Number(await valueIn(connection, 'SELECT n FROM t WHERE id = 1'))
      expect(seen).toBeGreaterThanOrEqual(newest)
      newest = seen
    }
    // What it has seen on the writer it sees on readers, too.
    await everyReader(words.stop)
    await cluster().writer.ask('UPDATE app.t SET n = 8100 WHERE id = 1')
    await connection.query('BEGIN')
    expect(await valueIn(connection, 'SELECT n FROM t WHERE id = 1')).toBe(8100)
    await connection.query('COMMIT')
    expect(await valueIn(connection, 'SELECT n FROM t WHERE id = 1')).toBe(8100)
  })

  test('monotonic: also what only the writer could answer was seen', async () => {
    const steady = await start('    reads: { consistency: eventual, monotonic: true, lagMsMax: 60000 }')
    const connection = await connect(steady)
    await cluster().writer.ask('UPDATE app.t SET n = 8200 WHERE id = 1')
    await cluster().waitForReaders()
    await delayReaders(60, connection)
    await cluster().writer.ask('UPDATE app.t SET n = 8201 WHERE id = 1')
    expect(await valueIn(connection, 'SELECT n FROM t WHERE id = 1')).toBe(8200)
    expect(await valueIn(connection, 'SELECT n FROM t WHERE id = 1 FOR UPDATE')).toBe(8201)
    expect(await valueIn(connection, 'SELECT n FROM t WHERE id = 1')).toBe(8201)
  })

  describe('while readers stand still, the writer takes over its share and no more', () => {
    test.each([
      ['error', async (answer: Promise<unknown>) => expect(answer).rejects.toMatchObject({ errno: 9113 })],
      ['stale', async (answer: Promise<unknown>) => expect(await answer).toBe(9000)],
    ])('and the rest gets, as the operator chose: %s', async (choice, check) => {
      const reads = `consistency: service, lagMsMax: 60000, catchUpMsMax: 20, waitMsMax: 50, writerShareMax: 0, beyondShare: ${choice}`
      const capped = await start(`    reads: { ${reads} }`)
      const connection = await connect(capped)
      await connection.query('UPDATE t SET n = 9000 WHERE id = 1')
      await cluster().waitForReaders()
      await delayReaders(60, connection)
      await connection.query('UPDATE t SET n = 9001 WHERE id = 1')
      await check(valueIn(connection, 'SELECT n FROM t WHERE id = 1'))
      await delayReaders(0, connection)
      await cluster().waitForReaders()
      const again = () => valueIn(connection, 'SELECT n FROM t WHERE id = 1')
      await expect.poll(() => again().catch(() => null), { timeout: 10_000 }).toBe(9001)
    })
  })

  test('eventual is as it was before: a late reader answers late', async () => {
    const late = await start('    reads: { consistency: eventual, lagMsMax: 60000 }')
    const connection = await connect(late)
    await connection.query('UPDATE t SET n = 4000 WHERE id = 1')
    await cluster().waitForReaders()
    await delayReaders(60, connection)
    await connection.query('UPDATE t SET n = 4001 WHERE id = 1')
    expect(await valueIn(connection, 'SELECT n FROM t WHERE id = 1')).toBe(4000)
    // Unless somebody wants it otherwise.
    expect(await valueIn(connection, '/* sluice:consistency=session */ SELECT n FROM t WHERE id = 1')).toBe(4001)
    await connection.query("SET @sluice_consistency = 'session'")
    expect(await valueIn(connection, 'SELECT n FROM t WHERE id = 1')).toBe(4001)
    await connection.query('SET @sluice_monotonic = 1')
    const [rows] = await connection.query<RowDataPacket[]>('SLUICE EXPLAIN SELECT n FROM t WHERE id = 1')
    expect(rows.find(({ name }) => name === 'consistency')?.value).toBe('session, monotonic')
  })
})
