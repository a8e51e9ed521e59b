// What a probe's deadline is for: the server's silence.

import { expect, test, vi } from 'vitest'
import { createProber } from '../../../../src/protocol/mysql/probe.ts'
import { startCanned } from '../../../bench/canned-server.ts'

const TIMEOUT_MS = 1_000

vi.mock('mysql2', async (load) => {
  const driver = await load()
  await new Promise((next) => setTimeout(next, 1.5 * TIMEOUT_MS))
  return driver
})

test('the first probe does not take the loading of its driver for silence', async () => {
  const server = await startCanned('writer')
  const prober = createProber({
    host: '127.0.0.1',
    port: server.port,
    user: 'monitor',
    password: '',
    tls: { mode: 'disabled', ca: null, cert: null, key: null },
    timeoutMs: TIMEOUT_MS,
    kind: 'auto',
    heartbeat: null,
  })
  try {
    expect(await prober.probe()).toMatchObject({ readOnly: false })
  } finally {
    prober.close()
    server.close()
  }
})
