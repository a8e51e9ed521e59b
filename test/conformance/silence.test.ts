// A client that says nothing for longer than it allowed itself is told what the server tells it, and loses its connection.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { RawClient, told } from '../support/raw-client.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  let sluice: RunningSluice

  beforeAll(async () => {
    sluice = await startSluice({ seeds: cluster.seeds })
  })
  afterAll(() => sluice.stop())

  /** The frames that came unasked before the connection ended; whether that was a FIN or a RST is the kernel's affair. */
  async function silence(port: number, opening: readonly string[]): Promise<readonly string[]> {
    const client = await RawClient.logIn({ port })
    for (const [at, sql] of opening.entries()) {
      client.query(sql)
      await client.awaitFrames(at + 1)
    }
    client.frames.length = 0
    await client.awaitClose()
    return client.frames.map((frame) => `${frame.sequence}: ${told(frame)}`)
  }

  test.each([
    ['between two statements', ['SET wait_timeout = 1']],
    ['in a transaction', ['SET wait_timeout = 1', 'BEGIN']],
  ])('%s', async (_when, opening) => {
    const [direct, through] = await Promise.all([silence(cluster.writerPort, opening), silence(sluice.port, opening)])
    expect(through).toEqual(direct)
  })
})
