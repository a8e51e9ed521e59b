// What accounts may do changes while connections of theirs stand in the pools: whoever logs in afterwards has the rights
// that a new connection to the server has.

import { type Connection, createConnection } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../../src/lab/index.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const LEARN_MS_MAX = 20_000
const READ = 'SELECT v FROM rights.t'
const READ_WRITER = `/* sluice:writer */ ${READ}`
const SELECT_DENIED = 1142
const USERS = `  - { name: root, password: '' }
  - { name: guest, password: guest_pw }`

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  let sluice: RunningSluice
  let clients: Connection[] = []

  beforeAll(async () => {
    sluice = await startSluice({ seeds: cluster.seeds, users: USERS })
    const root = await cluster.writer.connect()
    await root.query('CREATE DATABASE rights; CREATE TABLE rights.t (v INT); INSERT INTO rights.t VALUES (7)')
    await root.query(`CREATE USER guest@'%' IDENTIFIED BY 'guest_pw'`)
    root.destroy()
    await cluster.settle()
  })
  afterAll(async () => {
    await sluice.stop()
    await cluster.writer.ask(`DROP USER IF EXISTS guest@'%'`)
    await cluster.writer.ask('DROP DATABASE rights')
  })
  afterEach(() => {
    for (const client of clients) client.destroy()
    clients = []
  })

  async function join(user: 'root' | 'guest', { port } = sluice): Promise<Connection> {
    const password = user === 'root' ? '' : 'guest_pw'
    const options = { host: '127.0.0.1', port, user, password }
    const client = await createConnection({ ...options, multipleStatements: true })
    client.on('error', () => {})
    clients.push(client)
    return client
  }

  /** What somebody who only just logs in is answered: rows, or the number of an error. */
  async function newcomer(sql: string): Promise<unknown> {
    const client = await join('guest')
    return client.query(sql).then(
      ([rows]) => rows,
      (error: { errno: number }) => error.errno,
    )
  }

  const ROWS = [{ v: 7 }]

  describe('what is granted and revoked', () => {
    test('is there for whoever logs in, though older connections are idle', async () => {
      const root = await join('root')
      expect(await newcomer(READ_WRITER)).toBe(SELECT_DENIED)
      await root.query(`GRANT SELECT ON *.* TO guest@'%'`)
      expect(await newcomer(READ_WRITER)).toEqual(ROWS)
      await root.query(`REVOKE SELECT ON *.* FROM guest@'%'`)
      expect(await newcomer(READ_WRITER)).toBe(SELECT_DENIED)
    })

    test('is there on readers as soon as they have it', async () => {
      const root = await join('root')
      await root.query(`GRANT SELECT ON *.* TO guest@'%'`)
      // Where the reader does not know it yet, the writer does.
      expect(await newcomer(READ)).toEqual(ROWS)
      await cluster.settle()
      // On each of the readers, so that both have connections.
      for (let at = 0; at < 4; at++) expect(await newcomer(READ)).toEqual(ROWS)
      await root.query(`REVOKE SELECT ON *.* FROM guest@'%'`)
      await cluster.settle()
      for (const _reader of cluster.readers) {
        const isDenied = async () => ((await newcomer(READ)) === SELECT_DENIED ? true : null)
        await until(isDenied, LEARN_MS_MAX, () => 'a newcomer still reads')
      }
    })

    test('is there on readers that only just hear of it, though older connections are idle there', async () => {
      const root = await join('root')
      for (let at = 0; at < 4; at++) expect(await newcomer(READ)).toBe(SELECT_DENIED)
      await root.query(`GRANT SELECT ON *.* TO guest@'%'`)
      for (let at = 0; at < 4; at++) expect(await newcomer(READ)).toEqual(ROWS)
      await root.query(`REVOKE SELECT ON *.* FROM guest@'%'`)
      for (let at = 0; at < 4; at++) expect(await newcomer(READ)).toBe(SELECT_DENIED)
    })

    test('is there for whoever says USE, in that schema', async () => {
      // One reader, so that its connections are those from before.
      const { writer, readers } = cluster
      const alone = await startSluice({ seeds: [writer.address, readers[0]!.address], users: USERS })
      const [root, guest] = [await join('root', alone), await join('guest', alone)]
      const read = () => guest.query('/* sluice:reader */ SELECT v FROM t')
      const denied = expect.objectContaining({ errno: SELECT_DENIED })
      for (let times = 0; times < 2; times++) {
        await root.query(`GRANT SELECT ON rights.* TO guest@'%'`)
        await guest.query('USE rights')
        expect((await read())[0]).toEqual(ROWS)
        await root.query(`REVOKE SELECT ON rights.* FROM guest@'%'; GRANT INSERT ON rights.t TO guest@'%'`)
        await guest.query('USE rights')
        await expect(read()).rejects.toEqual(denied)
      }
      await root.query(`REVOKE INSERT ON rights.t FROM guest@'%'`)
      await alone.stop()
    })

    test('is there for whoever becomes that user', async () => {
      const root = await join('root')
      const client = await join('root')
      const changed = { user: 'guest', password: 'guest_pw' }
      await newcomer('SELECT 1')
      await newcomer(READ_WRITER)
      await root.query(`GRANT SELECT ON *.* TO guest@'%'`)
      await client.changeUser(changed)
      expect((await client.query(READ_WRITER))[0]).toEqual(ROWS)
      await root.query(`REVOKE SELECT ON *.* FROM guest@'%'`)
    })

    test('is there if it was said by a prepared statement, or as one of several', async () => {
      const root = await join('root')
      expect(await newcomer(READ_WRITER)).toBe(SELECT_DENIED)
      await root.query(`SELECT 1; GRANT SELECT ON *.* TO guest@'%'; SELECT 2`)
      expect(await newcomer(READ_WRITER)).toEqual(ROWS)
      await root.execute(`REVOKE SELECT ON *.* FROM guest@'%'`)
      expect(await newcomer(READ_WRITER)).toBe(SELECT_DENIED)
    })
  })

  test('a session that has work in hand keeps what it has', async () => {
    const [root, guest] = [await join('root'), await join('guest')]
    await guest.query('BEGIN')
    await guest.query('SET @mine = 5')
    const [[before]] = (await guest.query('SELECT CONNECTION_ID() AS id, @mine AS mine')) as unknown as [[object]]
    await root.query(`GRANT SELECT ON *.* TO guest@'%'`)
    const [[after]] = (await guest.query('SELECT CONNECTION_ID() AS id, @mine AS mine')) as unknown as [[object]]
    expect(after).toEqual(before)
    await root.query(`REVOKE SELECT ON *.* FROM guest@'%'`)
  })

  test('an account that is dropped lets nobody in on connections it had', async () => {
    const root = await join('root')
    expect(await newcomer('SELECT 1')).toEqual([{ 1: 1 }])
    await root.query(`DROP USER guest@'%'`)
    expect(await newcomer('/* sluice:writer */ SELECT 1')).toBe(1045)
  })
})
