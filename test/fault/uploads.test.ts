// Files on their way from a client to the server (LOAD DATA LOCAL) when somebody fails: nothing of a file is ever taken
// for a request, and nothing of half a file stays.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../../src/lab/index.ts'
import { frame } from '../../src/protocol/mysql/frames.ts'
import { CAPABILITY } from '../../src/protocol/mysql/messages.ts'
import { FaultyLink } from '../support/faulty-link.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { RawClient, told } from '../support/raw-client.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const DEADLINE_MS = 20_000

/** A client that was asked for its file. */
class Uploader {
  readonly client: RawClient
  #sequence = 2

  private constructor(client: RawClient) {
    this.client = client
  }

  static async start(port: number, table: string): Promise<Uploader> {
    const capabilities = CAPABILITY.MULTI_RESULTS | CAPABILITY.LOCAL_FILES
    const client = await RawClient.logIn({ port, capabilities })
    client.query(`LOAD DATA LOCAL INFILE 'x' INTO TABLE ${table} FIELDS TERMINATED BY ','`)
    const [asked] = await client.awaitFrames(1)
    expect(asked!.payload.toString('latin1')).toBe('\xfbx')
    return new Uploader(client)
  }

  /** The next frame of the file; an empty one is its end. */
  send(text: string, sequence = this.#sequence): void {
    this.client.send(frame(Buffer.from(text), sequence))
    this.#sequence = (sequence + 1) & 0xff
  }

  /** Everything since it was asked, for people. */
  get answers(): string[] {
    return this.client.frames.slice(1).map((each) => `${each.sequence}: ${told(each)}`)
  }
}

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `fault_uploads_${engine}`
  const table = `${schema}.t`
  const uploaders: Uploader[] = []
  let link: FaultyLink
  let sluice: RunningSluice

  beforeAll(async () => {
    await cluster.writer.ask(`CREATE DATABASE ${schema}`)
    await cluster.writer.ask(`CREATE TABLE ${table} (id INT, v VARCHAR(40))`)
    await cluster.writer.ask(`CREATE TABLE ${schema}.kept (id INT)`)
    await cluster.writer.ask(`INSERT INTO ${schema}.kept VALUES (1)`)
    link = await FaultyLink.open(cluster.writer.port)
    sluice = await startSluice({
      seeds: [link.address],
      cluster: '    tls: { mode: disabled }',
      more: 'limits: { drainMsMax: 100 }',
    })
  })
  afterAll(async () => {
    await sluice.stop()
    await link.close()
    await cluster.writer.ask(`DROP DATABASE ${schema}`)
  })
  afterEach(async () => {
    for (const { client } of uploaders.splice(0)) client.reset()
    expect(await count()).toBe(0)
    expect(await cluster.writer.ask(`SELECT COUNT(*) FROM ${schema}.kept`)).toBe(1)
  })

  const count = () => cluster.writer.ask(`SELECT COUNT(*) FROM ${table}`)
  const loading = () =>
    cluster.writer.ask(`SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'LOAD DATA%${table}%'`)
  const loaders = (wanted: number) =>
    until(
      async () => ((await loading()) === wanted ? true : null),
      DEADLINE_MS,
      () => `not ${wanted} uploads run`,
    )

  async function start(port = sluice.port): Promise<Uploader> {
    const uploader = await Uploader.start(port, table)
    uploaders.push(uploader)
    return uploader
  }

  describe.each(['fin', 'rst'] as const)('a connection to the server that ends with %s under an upload', (how) => {
    test('the client sends the rest in vain and is told then; a file of commands is still a file', async () => {
      const uploader = await start()
      uploader.send('1,a\n2,b\n')
      await loaders(1)
      link.cutAll(how)
      await until(
        () => (sluice.proxy.snapshots.topology()[0]!.backends[0]!.health === 'up' && link.connections === 0) || null,
        DEADLINE_MS,
        () => 'the connection still stands',
      )
      // Among so many there is one with sequence 0, as a command has.
      for (let at = 0; at < 300; at++) uploader.send(`\x03DELETE FROM ${schema}.kept`)
      expect(uploader.answers).toEqual([])
      uploader.send('')
      await uploader.client.awaitFrames(2)
      expect(uploader.answers).toEqual([expect.stringContaining(`${(2 + 302) & 0xff}: ERR 9144 HY000`)])
      expect(await uploader.client.isAlive()).toBe(true)
      await loaders(0)
    })

    test('in a transaction: error 1213, once the file is over', async () => {
      const capabilities = CAPABILITY.MULTI_RESULTS | CAPABILITY.LOCAL_FILES
      const client = await RawClient.logIn({ port: sluice.port, capabilities })
      client.query('BEGIN')
      await client.awaitFrames(1)
      client.query(`LOAD DATA LOCAL INFILE 'x' INTO TABLE ${table}`)
      await client.awaitFrames(2)
      client.send(frame(Buffer.from('1\ta\n'), 2))
      await loaders(1)
      link.cutAll(how)
      client.send(frame(Buffer.from('2\tb\n'), 3), frame(Buffer.alloc(0), 4))
      await client.awaitFrames(3)
      expect(told(client.frames[2]!)).toContain('ERR 1213 40001')
      expect(await client.isAlive()).toBe(true)
      client.reset()
      await loaders(0)
    })
  })

  test.each(['reset', 'hangUp'] as const)(
    'a client that goes (%s) in the middle of its file: nothing of it stays',
    async (go) => {
      const uploader = await start()
      uploader.send('1,a\n2,b\n')
      await loaders(1)
      uploader.client.send(Buffer.from([200, 0, 0, 3, 0x31]))
      uploader.client[go]()
      await loaders(0)
      const { sessions, pools } = sluice.proxy.snapshots
      expect(sessions()).toEqual([])
      expect(pools().reduce((sum, { idle, lent }) => sum + idle + lent, 0)).toBe(0)
    },
  )

  test('a frame of a file out of order: told and closed, as the server does', async () => {
    const outcome = async (port: number): Promise<string> => {
      const uploader = await start(port)
      uploader.send('1,a\n')
      uploader.send('2,b\n', 77)
      uploader.send('3,c\n')
      await uploader.client.awaitClose()
      return uploader.answers[0]!
    }
    const direct = await outcome(cluster.writer.port)
    expect(direct).toContain('ERR 1156')
    expect(await outcome(sluice.port)).toBe(direct)
    await loaders(0)
  })

  test('a goodbye in place of a file: as the server takes it', async () => {
    for (const port of [cluster.writer.port, sluice.port]) {
      const uploader = await start(port)
      uploader.client.quit()
      await loaders(0)
    }
  })
})
