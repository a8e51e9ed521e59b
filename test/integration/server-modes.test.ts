// A server of its own ways. Clients are told from the greeting on; its global sql_mode changes how SQL is read, and
// statements are classified by it.

import { afterEach, expect, test } from 'vitest'
import { Channel } from '../../src/protocol/mysql/channel.ts'
import { MessageReader } from '../../src/protocol/mysql/frames.ts'
import { buildCommand, buildQuery, COMMAND, type Greeting, parseGreeting } from '../../src/protocol/mysql/messages.ts'
import { connectSocket } from '../../src/protocol/socket-transport.ts'
import { describeEngines, useCluster } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import { WireClient } from '../support/wire-client.ts'

describeEngines((engine) => {
  const cluster = useCluster(engine, { readers: 1 })
  let sluice: RunningSluice | null = null
  afterEach(() => sluice?.stop())

  async function setModes(mode: string): Promise<void> {
    for (const server of cluster().servers) await server.asRoot((root) => root.query(`SET GLOBAL sql_mode = '${mode}'`))
  }

  async function greeting(port: number): Promise<Greeting> {
    const transport = await connectSocket('127.0.0.1', port, AbortSignal.timeout(5_000))
    const limits = { msMax: 5_000, bytesMax: 65_536, sequence: 0, strict: true }
    const channel = new Channel(transport, new MessageReader(65_536), limits)
    const told = parseGreeting(await channel.read())
    channel.destroy()
    return told
  }

  async function told(port: number): Promise<readonly string[]> {
    const client = await WireClient.connect({ port, capabilities: 0 })
    const lines = [`greeting ${(await greeting(port)).status}`, `login ${client.login.ok.status}`]
    const ask = async (sql: string) => {
      const frames = await client.ask(buildQuery(sql, false), 'query')
      lines.push(`${sql}: ${frames.map(({ payload }) => payload.toString('hex')).join(' ')}`)
    }
    const command = async (name: string, code: number) => {
      const [frame] = await client.ask(buildCommand(code, ''), 'single')
      lines.push(`${name}: ${frame!.payload.toString('hex')}`)
    }
    await command('ping', COMMAND.PING)
    await ask(`SELECT "d", 'a\\\\'`)
    await ask("SET sql_mode = 'IGNORE_SPACE'")
    await ask('SELECT @@sql_mode')
    await command('reset', COMMAND.RESET_CONNECTION)
    await command('ping', COMMAND.PING)
    await ask('SELECT @@sql_mode')
    client.end()
    return lines
  }

  test('clients are greeted with the collation of the server, which many of them take for their own', async () => {
    sluice = await startSluice({ seeds: cluster().servers.map(({ address }) => address) })
    expect((await greeting(sluice.port)).collation).toBe((await greeting(cluster().writer.port)).collation)
  })

  const modes = ['', 'ANSI_QUOTES', 'NO_BACKSLASH_ESCAPES', 'ANSI', ...(engine === 'mariadb' ? ['ORACLE', 'DB2'] : [])]
  test.each(modes)('%j', async (mode) => {
    await setModes(mode)
    sluice = await startSluice({ seeds: cluster().servers.map(({ address }) => address) })
    const direct = await told(cluster().writer.port)
    expect(await told(sluice.port)).toEqual(direct)
  })

  test.each([
    ['NO_BACKSLASH_ESCAPES', 'write'],
    ['', 'read'],
  ])('with %j a backslash before a quote is read as the server reads it', async (mode, access) => {
    await setModes(mode)
    sluice = await startSluice({ seeds: cluster().servers.map(({ address }) => address) })
    const client = await WireClient.connect({ port: sluice.port, capabilities: 0 })
    // A call of f, or a part of a text.
    const sql = `SLUICE EXPLAIN SELECT 'a\\', f(), 'b' -- '`
    const frames = await client.ask(buildQuery(sql, false), 'query')
    client.end()
    expect(frames.map(({ payload }) => payload.toString('latin1'))).toContain(
      `\x06access${String.fromCharCode(access.length)}${access}`,
    )
  })
})
