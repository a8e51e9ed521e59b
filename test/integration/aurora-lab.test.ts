// The lab's Aurora against the words of its documentation: what a client and a topology reader are told, and when.

import { createConnection, type RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AuroraCluster, startAurora, until } from '../../src/lab/index.ts'
import { describeEngines } from '../support/lab.ts'

describeEngines((engine) => {
  describe('the face of Aurora', () => {
    let aurora: AuroraCluster
    beforeAll(async () => {
      aurora = await startAurora({
        engine,
        instances: 2,
        instancesMax: 3,
        script: { outageMs: 300, oldWriterBackMs: 600, dnsLateMs: 1_500, twoMastersMs: 400 },
      })
    })
    afterAll(async () => aurora?.stop())

    async function at<T>(
      host: string,
      work: (ask: (sql: string) => Promise<RowDataPacket[]>) => Promise<T>,
      tls = true,
    ): Promise<T> {
      const connection = await createConnection({
        host,
        port: aurora.port,
        user: 'app',
        password: 'app_pw',
        multipleStatements: true,
        ...(tls ? { ssl: { rejectUnauthorized: false } } : {}),
      })
      try {
        return await work(async (sql) => (await connection.query<RowDataPacket[]>(sql))[0])
      } finally {
        connection.destroy()
      }
    }
    const instance = (name: string) => aurora.idOf(name).split(':')[0]!

    test.each([true, false])('answers for its version, its id and its role (TLS: %s)', async (tls) => {
      await at(
        instance('db-1'),
        async (ask) => {
          expect(await ask('SELECT AURORA_VERSION() AS v, @@aurora_server_id, @@innodb_read_only')).toEqual([
            { v: '3.05.2', '@@aurora_server_id': 'db-1', '@@innodb_read_only': 0 },
          ])
          expect(await ask("SHOW VARIABLES LIKE 'aurora_version'")).toEqual([
            { Variable_name: 'aurora_version', Value: '3.05.2' },
          ])
          expect(await ask("SELECT '@@aurora_server_id' AS t")).toEqual([{ t: '@@aurora_server_id' }])
        },
        tls,
      )
      await at(
        instance('db-2'),
        async (ask) => {
          expect(await ask("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_read_only')")).toEqual([
            { Variable_name: 'innodb_read_only', Value: 'ON' },
          ])
        },
        tls,
      )
    })

    test('has the documented table, in which the writer has the word for a session', async () => {
      const rows = await at(instance('db-2'), (ask) =>
        ask(`SELECT SERVER_ID, SESSION_ID = 'MASTER_SESSION_ID' AS is_writer, CPU, REPLICA_LAG_IN_MILLISECONDS AS lag_ms
             FROM information_schema.replica_host_status
             WHERE time_to_sec(timediff(now(), LAST_UPDATE_TIMESTAMP)) <= 300 OR SESSION_ID = 'MASTER_SESSION_ID'
             ORDER BY SERVER_ID`),
      )
      expect(rows.map(({ SERVER_ID, is_writer }) => [SERVER_ID, is_writer])).toEqual([
        ['db-1', 1],
        ['db-2', 0],
      ])
      expect(rows[0]!.lag_ms).toBe(0)
      expect(rows[1]!.lag_ms).toBeGreaterThan(7)
      expect(rows[1]!.lag_ms).toBeLessThan(26)
    })

    test('refuses writes on readers in the words of Aurora, and shows no replication', async () => {
      await at(instance('db-2'), async (ask) => {
        await expect(ask('CREATE TABLE app.nothing (n INT)')).rejects.toMatchObject({
          errno: 1290,
          message: expect.stringContaining('with the --read-only option'),
        })
        expect(await ask(engine === 'mysql' ? 'SHOW REPLICA STATUS' : 'SHOW ALL SLAVES STATUS')).toEqual([])
      })
    })

    test('has names for the cluster, its readers and each instance, and for nobody else', async () => {
      for (const [host, id] of [
        [aurora.endpoint, 'db-1'],
        [aurora.readerEndpoint, 'db-2'],
        [instance('db-2'), 'db-2'],
      ]) {
        expect(await at(host!, (ask) => ask('SELECT @@aurora_server_id AS id'))).toEqual([{ id }])
      }
      await expect(at(instance('db-9'), (ask) => ask('SELECT 1'))).rejects.toMatchObject({ code: 'ENOTFOUND' })
    })

    test('carries what is written on the writer to the readers, and answers larger than a packet', async () => {
      await at(aurora.endpoint, async (ask) => {
        await ask('CREATE TABLE app.carried (n INT)')
        await ask('INSERT INTO app.carried VALUES (7)')
      })
      await aurora.lab.waitForReaders()
      await at(aurora.readerEndpoint, async (ask) => {
        expect(await ask('SELECT n FROM app.carried')).toEqual([{ n: 7 }])
        await ask("SELECT REPEAT('x', 17000000) AS large").then(
          ([row]) => expect(row!.large?.length ?? 17_000_000).toBe(17_000_000),
          (error: Error) => expect(error.message).toMatch(/max_allowed_packet/),
        )
      })
    })

    test('grows by a reader, whose row comes late', async () => {
      const name = await aurora.add()
      const ids = () =>
        at(aurora.endpoint, async (ask) =>
          (await ask('SELECT SERVER_ID AS id FROM information_schema.replica_host_status')).map(({ id }) => id),
        )
      expect(await at(instance(name), (ask) => ask('SELECT @@aurora_server_id AS id'))).toEqual([{ id: name }])
      await until(
        async () => ((await ids()).includes(name) ? true : null),
        5_000,
        () => 'no row',
      )
    })

    test('fails over as Aurora does: a cut, an outage, two rows for a moment, and late names', async () => {
      const masters = () =>
        at(instance('db-2'), async (ask) => {
          const rows = await ask(`SELECT SERVER_ID AS id FROM information_schema.replica_host_status
          WHERE SESSION_ID = 'MASTER_SESSION_ID' ORDER BY LAST_UPDATE_TIMESTAMP DESC`)
          return rows.map(({ id }) => id)
        })
      const failing = aurora.failover('db-2')
      await expect(at(instance('db-1'), (ask) => ask('SELECT 1'))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
      const steps = await failing
      expect(steps.at(-1)!.ms).toBeGreaterThanOrEqual(299)
      expect(await masters()).toEqual(['db-2', 'db-1'])
      expect(await at(instance('db-2'), (ask) => ask('SELECT @@innodb_read_only AS r'))).toEqual([{ r: 0 }])
      await at(instance('db-2'), (ask) => ask('CREATE TABLE app.after (n INT)'))
      await until(
        async () => ((await masters()).length === 1 ? true : null),
        5_000,
        () => 'two masters',
      )
      await until(
        async () =>
          at(instance('db-1'), (ask) => ask('SELECT @@innodb_read_only AS r')).then(
            (rows) => (rows[0]!.r === 1 ? true : null),
            () => null,
          ),
        5_000,
        () => 'not back',
      )
      await until(
        async () =>
          at(aurora.endpoint, (ask) => ask('SELECT @@aurora_server_id AS id')).then(
            (rows) => (rows[0]!.id === 'db-2' ? true : null),
            () => null,
          ),
        5_000,
        () => 'the name did not move',
      )
    })

    test('shrinks by a reader, whose row stays for a while', async () => {
      await aurora.remove('db-3')
      await expect(at(instance('db-3'), (ask) => ask('SELECT 1'))).rejects.toMatchObject({ code: 'ENOTFOUND' })
      const rows = await at(instance('db-2'), (ask) =>
        ask('SELECT SERVER_ID AS id FROM information_schema.replica_host_status'),
      )
      expect(rows.map(({ id }) => id)).toContain('db-3')
    })
  })
})
