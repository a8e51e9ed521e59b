// A real replication group of MySQL servers: its members are found from one of them, and its elections are followed.

import { describe, expect, test } from 'vitest'
import { freePort, LAB_USERS, type LabServer } from '../../src/lab/index.ts'
import { describeEngines, useCluster } from '../support/lab.ts'
import { watch } from '../support/watch.ts'

const GROUP = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa'

describeEngines(() => {
  describe('a replication group', () => {
    const cluster = useCluster('mysql', { readers: 2, performanceSchema: true })

    test('is found from one member, has its primary for the writer, and is followed when that dies', async () => {
      const { servers } = cluster()
      await formGroup(servers)
      const seen = await watch(servers.slice(1, 2))
      const states = () =>
        seen.topology.backends
          .map(({ id, role, health }) => `${id} ${role}${health === 'up' ? '' : ` ${health}`}`)
          .sort()
      const [first, second, third] = servers.map(({ address }) => address)
      const isSo = (...wanted: string[]) => expect.poll(states, { timeout: 30_000 }).toEqual(wanted.sort())
      try {
        expect(seen.topology.kind).toBe('group-replication')
        await isSo(`${first} writer`, `${second} reader`, `${third} reader`)
        await servers[0]!.ask('CREATE TABLE app.grouped (n INT PRIMARY KEY)')
        await servers[0]!.kill()
        await expect
          .poll(() => seen.topology.backends.find(({ role, health }) => role === 'writer' && health === 'up')?.id, {
            timeout: 60_000,
          })
          .toMatch(new RegExp(`^(${second}|${third})$`))
        // Whom the group has expelled is no member any more.
        await expect.poll(() => states().length, { timeout: 60_000 }).toBe(2)
      } finally {
        seen.monitor.stop()
      }
    })
  })
}, ['mysql'])

/** The lab's replication is undone first; the group brings its own. */
async function formGroup(servers: readonly LabServer[]): Promise<void> {
  const ports: number[] = []
  for (const _ of servers) ports.push(await freePort())
  const seeds = ports.map((port) => `127.0.0.1:${port}`).join(',')
  const { user, password } = LAB_USERS.repl
  for (const [at, server] of servers.entries()) {
    await server.asRoot(async (root) => {
      await root.query('STOP REPLICA; RESET REPLICA ALL; SET GLOBAL super_read_only = OFF')
      await root.query("INSTALL PLUGIN group_replication SONAME 'group_replication.so'")
      await root.query(`SET GLOBAL group_replication_group_name = '${GROUP}';
        SET GLOBAL group_replication_local_address = '127.0.0.1:${ports[at]}';
        SET GLOBAL group_replication_group_seeds = '${seeds}';
        SET GLOBAL group_replication_ip_allowlist = '127.0.0.0/8';
        SET GLOBAL group_replication_recovery_get_public_key = ON;
        SET GLOBAL group_replication_member_expel_timeout = 0;
        SET GLOBAL group_replication_bootstrap_group = ${at === 0 ? 'ON' : 'OFF'}`)
      await root.query(
        `CHANGE REPLICATION SOURCE TO SOURCE_USER = '${user}', SOURCE_PASSWORD = '${password}' FOR CHANNEL 'group_replication_recovery'`,
      )
      await root.query('START GROUP_REPLICATION')
      if (at === 0) await root.query('SET GLOBAL group_replication_bootstrap_group = OFF')
    })
  }
}
