// Servers that stop in their tracks: TCP says nothing, and whoever waits for them is free again soon all the same.

import { type Connection, createConnection } from 'mysql2/promise'
import { afterEach, describe, expect, test } from 'vitest'
import { describeEngines, useCluster } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

/** Promised are three seconds at default settings; the rest is for a machine that does other things as well. */
const FREED_MS_MAX = 3_000 + 4_000

describeEngines((engine) => {
  describe('a server that hangs, at default settings,', () => {
    const cluster = useCluster(engine, { readers: 1 })
    let sluice: RunningSluice | null = null
    const clients: Connection[] = []
    afterEach(async () => {
      for (const server of cluster().servers) server.thaw()
      for (const client of clients.splice(0)) client.destroy()
      await sluice?.stop()
      sluice = null
    })

    async function clientOf(): Promise<Connection> {
      const { servers } = cluster()
      sluice ??= await startSluice({ seeds: servers.map(({ address }) => address), monitor: 'intervalMs: 1000' })
      const login = { host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw' }
      const client = await createConnection(login)
      clients.push(client)
      return client
    }

    test('gives its reads to others', async () => {
      const [reader] = cluster().readers
      const client = await clientOf()
      await client.query('CREATE TABLE app.read_there (n INT)')
      await client.query('INSERT INTO app.read_there VALUES (1)')
      await cluster().waitForReaders()
      await client.query('SELECT n FROM app.read_there')
      reader!.freeze()
      const sentMs = performance.now()
      const [rows] = await client.query('SELECT n FROM app.read_there')
      expect(rows).toEqual([{ n: 1 }])
      expect(performance.now() - sentMs).toBeLessThan(FREED_MS_MAX)
    })

    test('lets go of a write, whose outcome is unknown, and of a transaction, which is lost', async () => {
      const [alone, inTransaction] = [await clientOf(), await clientOf()]
      await alone.query('CREATE TABLE app.written_there (n INT)')
      await inTransaction.query('BEGIN')
      await inTransaction.query('INSERT INTO app.written_there VALUES (1)')
      // So that it has a connection, and its next statement is sent.
      await alone.query('INSERT INTO app.written_there VALUES (0)')
      cluster().writer.freeze()
      const sentMs = performance.now()
      await Promise.all([
        expect(alone.query('INSERT INTO app.written_there VALUES (2)')).rejects.toMatchObject({ errno: 9140 }),
        expect(inTransaction.query('INSERT INTO app.written_there VALUES (3)')).rejects.toMatchObject({
          errno: 1213,
          sqlState: '40001',
        }),
      ])
      expect(performance.now() - sentMs).toBeLessThan(FREED_MS_MAX)
      cluster().writer.thaw()
      await alone.query('INSERT INTO app.written_there VALUES (4)')
      const [rows] = await inTransaction.query('/* sluice:writer */ SELECT n FROM app.written_there WHERE n IN (1, 3)')
      expect(rows).toEqual([])
    })
  })
})
