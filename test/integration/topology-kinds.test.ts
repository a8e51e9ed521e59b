// Kinds of topology that real servers can be made into: a table of members as RDS Multi-AZ clusters have it, and a
// heartbeat in place of the servers' own word for lag.

import { describe, expect, test } from 'vitest'
import { describeEngines, useCluster } from '../support/lab.ts'
import { watch } from '../support/watch.ts'

describeEngines((engine) => {
  describe('topology', () => {
    const cluster = useCluster(engine, { readers: 2 })

    if (engine === 'mysql') {
      test('of an RDS Multi-AZ cluster is found from one member, by the table that all of them have', async () => {
        const { servers, writer, readers } = cluster()
        await writer.ask('CREATE TABLE mysql.rds_topology (id INT, endpoint VARCHAR(255), port INT)')
        for (const { serverId, host, port } of servers) {
          await writer.ask('INSERT INTO mysql.rds_topology VALUES (?, ?, ?)', [serverId, host, port])
        }
        await writer.ask("GRANT SELECT ON mysql.rds_topology TO 'monitor'@'%'")
        await cluster().waitForReaders()
        const seen = await watch(readers.slice(0, 1))
        try {
          expect(seen.topology.kind).toBe('rds-multi-az')
          const roles = () => seen.topology.backends.map(({ id, role }) => `${id} ${role}`).sort()
          const wanted = servers.map(({ address, role }) => `${address} ${role}`).sort()
          await expect.poll(roles, { timeout: 20_000 }).toEqual(wanted)
          await writer.ask('DELETE FROM mysql.rds_topology WHERE id = ?', [servers[2]!.serverId])
          await expect.poll(() => roles().length, { timeout: 20_000 }).toBe(2)
        } finally {
          seen.monitor.stop()
          await writer.ask('DROP TABLE mysql.rds_topology')
        }
      })
    }

    test('that is named and is not what the servers are still has its roles, and says so', async () => {
      const { servers, writer } = cluster()
      const seen = await watch(servers, { topology: { kind: 'aurora' }, target: { kind: 'aurora' } })
      try {
        await seen.until(['writer', 'reader', 'reader'])
        expect(seen.of(writer).why).toContain('it keeps no list of members')
        expect(seen.of(writer).why).toContain('as aurora (topology.kind) does')
      } finally {
        seen.monitor.stop()
      }
    })

    test('takes the lag from a heartbeat where there is one', async () => {
      const { servers, writer, readers } = cluster()
      await writer.ask('CREATE TABLE app.beats (ts VARCHAR(26))')
      const beat = () =>
        writer.ask("INSERT INTO app.beats VALUES (DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%f'))")
      await beat()
      await writer.ask("GRANT SELECT ON app.beats TO 'monitor'@'%'")
      await cluster().waitForReaders()
      const heartbeat = { table: 'app.beats', column: 'ts', utc: true }
      const seen = await watch(servers, { target: { heartbeat }, lagMsMax: 4_000 })
      try {
        // Nobody beats any more: what the readers have is as old as the last one, whatever they say themselves.
        await expect.poll(() => seen.of(readers[0]!).health, { timeout: 20_000 }).toBe('behind')
        expect(seen.of(readers[0]!).why).toMatch(/^it is [4-9]\d{3} ms behind/)
        expect(seen.of(writer)).toMatchObject({ role: 'writer', health: 'up', lagMs: 0 })
        await expect
          .poll(
            async () => {
              await beat()
              return [seen.of(readers[0]!).health, seen.of(readers[0]!).lagMs! < 3_000]
            },
            { timeout: 20_000, interval: 200 },
          )
          .toEqual(['up', true])
      } finally {
        seen.monitor.stop()
      }
    })
  })
})
