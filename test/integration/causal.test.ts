// Reads that see what was written, on real servers: readers that are late, readers that stand still, and what it costs.

import type { Connection, RowDataPacket } from 'mysql2/promise'
import mysql from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { describeEngines, useCluster } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

describeEngines((engine) => {
  const words =
    engine === 'mysql'
      ? { stop: 'STOP REPLICA SQL_THREAD', start: 'START REPLICA SQL_THREAD' }
      : { stop: 'STOP SLAVE SQL_THREAD', start: 'START SLAVE SQL_THREAD' }
  const cluster = useCluster(engine)
  const connections: Connection[] = []
  const sluices: RunningSluice[] = []
  let sluice: RunningSluice

  const connect = async (to: RunningSluice = sluice): Promise<Connection> => {
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
    await everyReader(words.start)
    await cluster().waitForReaders()
    for (const connection of connections.splice(0)) connection.destroy()
  })
  afterAll(async () => {
    for (const each of sluices) await each.stop()
  })

  describe('by default', () => {
    test('what one session was told is committed, every session reads at once, and mostly from readers', async () => {
      const [writing, reading] = [await connect(), await connect()]
      const before = await reads()
      for (let n = 1; n <= 300; n++) {
        await writing.query(`UPDATE t SET n = ${n} WHERE id = 1`)
        expect(await valueIn(reading, 'SELECT n FROM t WHERE id = 1')).toBe(n)
      }
      const { free = 0, waited = 0, writer = 0 } = difference(await reads(), before)
      expect(free + waited + writer).toBe(300)
      expect(writer).toBeLessThan(150)
    })

    test('readers that stand still are waited for once, and then the writer serves', async () => {
      const [writing, reading] = [await connect(), await connect()]
      await everyReader(words.stop)
      await writing.query('UPDATE t SET n = 1000 WHERE id = 1')
      const startMs = performance.now()
      expect(await valueIn(reading, 'SELECT n FROM t WHERE id = 1')).toBe(1000)
      // One wait per reader at most, and that much again for a busy machine.
      expect(performance.now() - startMs).toBeLessThan(2_000)
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

    test('a read-only transaction begins only where all that was committed can be seen', async () => {
      const [writing, reading] = [await connect(), await connect()]
      await everyReader(words.stop)
      await writing.query('UPDATE t SET n = 3000 WHERE id = 1')
      await reading.query('START TRANSACTION READ ONLY')
      expect(await valueIn(reading, 'SELECT n FROM t WHERE id = 1')).toBe(3000)
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

  test('eventual is as it was before: a late reader answers late', async () => {
    const late = await start('    reads: { consistency: eventual, lagMsMax: 60000 }')
    const connection = await connect(late)
    await connection.query('UPDATE t SET n = 4000 WHERE id = 1')
    await cluster().waitForReaders()
    await everyReader(words.stop)
    await connection.query('UPDATE t SET n = 4001 WHERE id = 1')
    expect(await valueIn(connection, 'SELECT n FROM t WHERE id = 1')).toBe(4000)
    // Unless somebody wants it otherwise.
    expect(await valueIn(connection, '/* sluice:consistency=session */ SELECT n FROM t WHERE id = 1')).toBe(4001)
    await connection.query("SET @sluice_consistency = 'session'")
    expect(await valueIn(connection, 'SELECT n FROM t WHERE id = 1')).toBe(4001)
  })
})
