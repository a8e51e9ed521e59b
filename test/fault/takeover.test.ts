// A new process takes over the sockets while clients come and go: nobody is refused, nobody is cut off, and what was
// begun is finished by the process that began it.

import { type Connection, createConnection } from 'mysql2/promise'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../../src/lab/index.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { SluiceProcess } from '../support/sluice-process.ts'

const SOON_MS = 30_000
const TAKEN_OVER = 'a successor has taken over'

describeEngines(
  (engine) => {
    const cluster = clusterOf(engine)
    const schema = `takeover_${engine}`
    const sluices: SluiceProcess[] = []
    const open: Connection[] = []

    beforeAll(async () => {
      await cluster.writer.ask(`CREATE DATABASE IF NOT EXISTS ${schema}`)
      await cluster.writer.ask(`CREATE TABLE IF NOT EXISTS ${schema}.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)`)
      await cluster.settle()
    })
    afterEach(async () => {
      for (const client of open.splice(0)) client.destroy()
      for (const sluice of sluices.splice(0)) await sluice.stop()
    })

    async function start(workers: number): Promise<SluiceProcess> {
      const more = `workers: ${workers}\nlimits: { drainMsMax: 20000 }`
      const sluice = await SluiceProcess.start({ seeds: cluster.seeds, more })
      sluices.push(sluice)
      return sluice
    }

    async function join({ port }: SluiceProcess): Promise<Connection> {
      const login = { host: '127.0.0.1', port, user: 'app', password: 'app_pw', database: schema }
      const client = await createConnection(login)
      client.on('error', () => {})
      open.push(client)
      return client
    }

    /** Clients that come, ask and go, one after another, until they are stopped. */
    function crowd(sluice: SluiceProcess) {
      const ids: number[] = []
      const failures: string[] = []
      let stopped = false
      const loops = Array.from({ length: 4 }, async () => {
        while (!stopped) {
          try {
            const client = await join(sluice)
            ids.push(client.threadId as number)
            await client.query('SELECT 1')
            await client.end()
          } catch (error) {
            failures.push((error as Error).message)
          }
        }
      })
      const stop = async () => {
        stopped = true
        await Promise.all(loops)
      }
      return { ids, failures, stop }
    }

    const takeovers = (sluice: SluiceProcess) => sluice.output.split(TAKEN_OVER).length - 1
    async function takeOver(sluice: SluiceProcess): Promise<void> {
      const before = takeovers(sluice)
      sluice.signal('SIGUSR2')
      await until(
        () => (takeovers(sluice) > before ? true : null),
        SOON_MS,
        () => `nobody has taken over: ${sluice.output}`,
      )
    }

    describe.each([1, 2])('with workers: %d', (workers) => {
      test('twice in a row under load, with changed settings, and nobody is refused', async () => {
        const sluice = await start(workers)
        const busy = await join(sluice)
        await busy.beginTransaction()
        await busy.query('INSERT INTO t (v) VALUES (7)')
        const load = crowd(sluice)
        const come = (count: number) =>
          until(
            () => (load.ids.length >= count ? true : null),
            SOON_MS,
            () => `nobody comes any more: ${load.failures.join()}`,
          )
        await come(20)
        sluice.rewrite((text) => text.replace('drainMsMax: 20000', 'drainMsMax: 20001'))
        await takeOver(sluice)
        await come(load.ids.length + 20)
        await busy.query('INSERT INTO t (v) VALUES (7)')
        await busy.commit()
        await takeOver(sluice)
        await come(load.ids.length + 20)
        await load.stop()
        expect(load.failures).toEqual([])
        expect(new Set(load.ids).size).toBe(load.ids.length)
        // Those of before end by themselves once nobody needs them.
        await until(
          () => (sluice.children.length === 1 ? true : null),
          SOON_MS,
          () => `processes of before are still there: ${sluice.children}`,
        )
        sluice.signal('SIGTERM')
        expect(await sluice.ended()).toEqual({ code: 0, signal: null })
      })
    })

    test('a successor that cannot start leaves everything as it was', async () => {
      const sluice = await start(1)
      const client = await join(sluice)
      const good = { text: '' }
      sluice.rewrite((text) => {
        good.text = text
        return text.replace('password: app_pw', 'nonsense: 1')
      })
      sluice.signal('SIGUSR2')
      await until(
        () => (sluice.output.includes('the successor cannot serve') ? true : null),
        SOON_MS,
        () => `no word of the failure: ${sluice.output}`,
      )
      await client.query('SELECT 1')
      await (await join(sluice)).query('SELECT 1')
      sluice.rewrite(() => good.text)
      await takeOver(sluice)
      await (await join(sluice)).query('SELECT 1')
    })
  },
  ['mysql'],
)
