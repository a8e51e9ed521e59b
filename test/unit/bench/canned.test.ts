// The canned backend is a server to a proxy: its monitor finds a writer and a reader, and clients get their rows.

import { expect, test } from 'vitest'
import { buildQuery, CAPABILITY } from '../../../src/protocol/mysql/messages.ts'
import { startCanned } from '../../bench/canned-server.ts'
import { startSluice } from '../../support/sluice.ts'
import { WireClient } from '../../support/wire-client.ts'

test('a proxy sends point selects to the canned reader, and gives its row back', async () => {
  const servers = [await startCanned('writer'), await startCanned('reader')]
  const seeds = servers.map(({ port }) => `127.0.0.1:${port}`)
  const sluice = await startSluice({ seeds, cluster: '    reads: { fallback: error }' })
  try {
    const [topology] = sluice.proxy.snapshots.topology()
    const roles = topology!.backends.map(({ role, health }) => `${role} ${health}`)
    expect(roles.sort()).toEqual(['reader up', 'writer up'])
    const capabilities = CAPABILITY.LONG_PASSWORD | CAPABILITY.DEPRECATE_EOF
    const client = await WireClient.connect({ port: sluice.port, capabilities })
    const frames = await client.ask(buildQuery('SELECT c FROM sbtest1 WHERE id=1', false), 'query')
    expect(frames[2]?.payload.toString()).toContain('68487932199-96439406143')
    expect(frames).toHaveLength(4)
    client.end()
  } finally {
    await sluice.stop()
    for (const server of servers) server.close()
  }
})
