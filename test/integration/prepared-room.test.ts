// A server that has room for few prepared statements has room for those that are in use: what Sluice keeps beyond them for
// later is given up before a client is told no.

import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeEngines, useCluster } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const ROOM = 10

describeEngines((engine) => {
  const cluster = useCluster(engine, { readers: 0, flags: [`--max-prepared-stmt-count=${ROOM}`] })
  let sluice: RunningSluice

  beforeAll(async () => {
    sluice = await startSluice({
      seeds: cluster().servers.map(({ port }) => `127.0.0.1:${port}`),
      cluster: '    pool: { connectionsMax: 1 }',
    })
  })
  afterAll(() => sluice.stop())

  test('prepares, executes and closes as many as a client likes', async () => {
    const client = await createConnection({ host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw' })
    try {
      for (let count = 0; count < 5 * ROOM; count++) {
        const [rows] = await client.execute(`SELECT ${count} + ? AS sum`, [1])
        expect(rows).toEqual([{ sum: count + 1 }])
        client.unprepare(`SELECT ${count} + ? AS sum`)
      }
    } finally {
      await client.end()
    }
  })

  test('and one that a client still has can be executed, whatever was given up meanwhile', async () => {
    const client = await createConnection({ host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw' })
    try {
      const kept = await client.prepare('SELECT ? + 1 AS kept')
      for (let count = 0; count < 2 * ROOM; count++) await (await client.prepare(`SELECT ${count}`)).close()
      const [rows] = await kept.execute([41])
      expect(rows).toEqual([{ kept: 42 }])
    } finally {
      await client.end()
    }
  })
})
