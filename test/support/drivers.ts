// The same piece of work on the writer and through Sluice, without TLS and with it: what a driver tells must be the same.

import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { EngineName } from '../../src/lab/index.ts'
import { clusterOf, describeEngines, type SharedLabCluster } from './lab.ts'
import { type RunningSluice, startSluice } from './sluice.ts'

/** Where a driver is told to connect to. */
export interface Login {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

/** What a piece of work may know of where it runs; nothing in it tells the writer from Sluice. */
export interface Place {
  readonly engine: EngineName
  readonly login: Login
  readonly tls: boolean
  /** Waits until readers have what was written before. */
  settle(): Promise<void>
}

export interface DriverStage {
  readonly engine: EngineName
  readonly tls: boolean
  readonly cluster: SharedLabCluster
  readonly schema: string
  readonly direct: Place
  readonly through: Place
  sluice(): RunningSluice
}

/** TLS to the client and to the servers, or to neither. */
const WAYS = [
  { way: 'without TLS', tls: false, listener: 'off', backend: 'disabled' },
  { way: 'with TLS', tls: true, listener: 'required', backend: 'required' },
] as const

/** The tests of the body for each kind of server and way to it, each in an empty schema and before a Sluice of its own. */
export function describeDrivers(name: string, body: (stage: DriverStage) => void): void {
  describeEngines((engine) => {
    describe.each(WAYS)('$way', ({ tls, listener, backend }) => {
      const cluster = clusterOf(engine)
      const schema = `${name}_${tls ? 'tls' : 'plain'}`
      let sluice: RunningSluice | null = null
      const packetsMax: number[] = []

      beforeAll(async () => {
        await cluster.writer.ask(`DROP DATABASE IF EXISTS ${schema}`)
        await cluster.writer.ask(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
        // MariaDB's own bound is 16 MiB.
        for (const server of cluster.servers) {
          packetsMax.push(Number(await server.ask('SELECT @@GLOBAL.max_allowed_packet')))
          await server.ask('SET GLOBAL max_allowed_packet = 67108864')
        }
        await cluster.settle()
        // The servers' own, so that a client that trusts them trusts Sluice.
        const folder = dirname(cluster.caFile)
        const certificate = `cert: ${join(folder, 'server-cert.pem')}, key: ${join(folder, 'server-key.pem')}`
        sluice = await startSluice({
          seeds: cluster.seeds,
          listener: `route: split, tls: { mode: '${listener}', ${certificate} }`,
          cluster: `    tls: { mode: ${backend} }`,
        })
      })
      afterAll(async () => {
        await sluice?.stop()
        await cluster.writer.ask(`DROP DATABASE IF EXISTS ${schema}`)
        for (const [at, bytes] of packetsMax.entries()) {
          await cluster.servers[at]?.ask(`SET GLOBAL max_allowed_packet = ${bytes}`)
        }
      })

      const running = () => {
        if (sluice === null) throw new Error('Sluice starts before the first test: ask for it inside one')
        return sluice
      }
      const place = (port: () => number): Place => ({
        engine,
        tls,
        get login() {
          return { host: '127.0.0.1', port: port(), user: 'app', password: 'app_pw', database: schema }
        },
        settle: () => cluster.settle(),
      })
      const direct = place(() => cluster.writerPort)
      const through = place(() => running().port)
      body({ engine, tls, cluster, schema, direct, through, sluice: running })
    })
  })
}

/** What is told of the work must be the same on the writer and through Sluice; gives it. */
export async function expectSameWork(stage: DriverStage, work: (place: Place) => Promise<unknown>): Promise<unknown> {
  const expected = await work(stage.direct)
  const found = await work(stage.through)
  expect(found).toEqual(expected)
  return found
}

/** An error as a program sees it. */
export function failureOf(error: unknown): object {
  const { code, errno, sqlState, sqlMessage, fatal } = error as Record<string, unknown>
  return { code, errno, sqlState, sqlMessage, fatal: fatal ?? false }
}

/** How the promise failed; that it did not is told too. */
export function failure(work: Promise<unknown>): Promise<object> {
  return work.then(() => ({ code: 'none' }), failureOf)
}
