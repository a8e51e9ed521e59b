// sluice demo: the tour. A real writer with two real readers, Sluice in front, a live workload, every decision shown, the
// writer changed under load; and at the end, which promises held.

import { createServer } from 'node:net'
import type { Pool } from 'mysql2/promise'
import { parseConfig } from '../config.ts'
import { type LabCluster, LabError, startCluster } from '../lab/index.ts'
import { createLog } from '../log.ts'
import { createProxy, type RunningProxy } from '../proxy.ts'
import { countsOf, createWorkload, type Workload } from './demo-workload.ts'
import type { ExitCode, Output } from './output.ts'

export interface DemoOptions {
  readonly once: boolean
  readonly engine: 'mysql' | 'mariadb' | null
}

/** A promise of the tour, and whether it held. */
interface Verdict {
  readonly promise: string
  readonly held: boolean
  readonly seen: string
}

const WORKLOAD_MS = 3_000
const AFTER_CHANGE_MS = 3_000
const CLIENTS = 24

/** Statements that show how Sluice decides; none of them changes anything. */
const SHOWN = [
  'SELECT * FROM orders WHERE id = 7',
  'SELECT COUNT(*) FROM orders',
  'SELECT * FROM orders WHERE id = 7 FOR UPDATE',
  'WITH o AS (SELECT * FROM orders FOR SHARE) SELECT * FROM o',
  "SELECT note FROM orders WHERE note = 'FOR UPDATE'",
  'SELECT next_number() FROM orders',
  "SELECT GET_LOCK('report', 1)",
  'SELECT @@read_only',
  '/* sluice:writer */ SELECT 1',
  'SELECT 1 /*!50000 INTO @x */',
  'UPDATE orders SET note = NULL WHERE id = 7',
  'SELECT 1; DELETE FROM orders',
  'START TRANSACTION READ ONLY',
  "SET time_zone = '+00:00'",
]

export async function demo(options: DemoOptions, output: Output): Promise<ExitCode> {
  const step = (text: string) => output.print(`\n── ${text}`)
  step('A writer and two readers')
  const cluster = await startLab(options, output)
  let proxy: RunningProxy | null = null
  let workload: Workload | null = null
  try {
    output.print(
      `   ${cluster.engine} ${cluster.version} on ports ${cluster.servers.map(({ port }) => port).join(', ')}`,
    )
    proxy = await startProxy(cluster)
    const { port } = proxy.addresses().get('app')!
    step(`Sluice listens on 127.0.0.1:${port}; its operator page is http://127.0.0.1:${proxy.admin!.port}/`)
    output.print(`   try it: mysql -h 127.0.0.1 -P ${port} -u app -papp_pw shop`)

    workload = await createWorkload(port, CLIENTS)
    step('Where statements go, and why (SLUICE EXPLAIN says so to any client)')
    await showDecisions(workload.pool, output)

    step(`${CLIENTS} clients read and write for ${WORKLOAD_MS / 1000} s`)
    const verdicts = await runSplit(cluster, workload, output)

    step('The writer changes, and nobody is disconnected')
    verdicts.push(...(await changeWriter(cluster, workload, output)))

    step('Promises')
    for (const { promise, held, seen } of verdicts) output.print(`   ${held ? '✓' : '✗'} ${promise} (${seen})`)
    const isKept = verdicts.every(({ held }) => held)
    if (options.once) return isKept ? 0 : 1
    step('Everything stays up, with the workload, until Ctrl-C')
    workload.start()
    await new Promise<void>((resolve) => {
      process.once('SIGINT', () => resolve())
      process.once('SIGTERM', () => resolve())
    })
    return isKept ? 0 : 1
  } finally {
    await workload?.stop()
    await proxy?.stop()
    await cluster.stop()
  }
}

async function startLab({ engine }: DemoOptions, output: Output): Promise<LabCluster> {
  const progress = (line: string) => output.print(`   ${line}`)
  try {
    return await startCluster({ engine: engine ?? 'mysql', progress })
  } catch (error) {
    if (!(error instanceof LabError) || engine !== null) throw error
    output.print(`   MySQL cannot be had here (${error.message}); MariaDB instead`)
    return startCluster({ engine: 'mariadb', progress })
  }
}

async function startProxy(cluster: LabCluster): Promise<RunningProxy> {
  const seeds = cluster.servers.map(({ port }) => `127.0.0.1:${port}`)
  const text = `
listeners:
  - { name: app, bind: '127.0.0.1:${await portOr(6033)}', cluster: main }
clusters:
  main:
    topology: { seeds: [${seeds.join(', ')}] }
    monitor: { user: monitor, password: monitor_pw, intervalMs: 250 }
users:
  - { name: app, password: app_pw }
admin: { bind: '127.0.0.1:${await portOr(6032)}' }
log: { level: error }
`
  const { config } = parseConfig(text, 'demo.yaml', {})
  const proxy = createProxy(config, createLog(config.log.level))
  await proxy.start()
  return proxy
}

/** The wished-for port, or any when it is taken. */
function portOr(port: number): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(0))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(port)))
  })
}

async function showDecisions(pool: Pool, output: Output): Promise<void> {
  for (const sql of SHOWN) {
    const [rows] = await pool.query(`SLUICE EXPLAIN ${sql}`)
    const told = new Map((rows as { name: string; value: string | null }[]).map(({ name, value }) => [name, value]))
    output.print(`   ${(told.get('target') ?? '').padEnd(7)} ${sql.padEnd(60)} ${told.get('because')}`)
  }
}

async function runSplit(cluster: LabCluster, workload: Workload, output: Output): Promise<Verdict[]> {
  await cluster.waitForReaders()
  await cluster.watchStatements()
  workload.start()
  await workload.runFor(WORKLOAD_MS)
  const counts = await countsOf(cluster)
  for (const { server, reads, writes } of counts) {
    output.print(`   port ${server.port} (${server.role}): ${reads} reads, ${writes} writes, by the server's own log`)
  }
  const readers = counts.filter(({ server }) => server.role === 'reader')
  const writer = counts.find(({ server }) => server.role === 'writer')!
  const fewest = Math.min(...readers.map(({ reads }) => reads))
  const most = Math.max(...readers.map(({ reads }) => reads))
  return [
    {
      promise: 'writes reached the writer only',
      held: writer.writes > 0 && readers.every(({ writes }) => writes === 0),
      seen: `${writer.writes} there, ${readers.map(({ writes }) => writes).join(' and ')} on the readers`,
    },
    {
      promise: 'reads outside of transactions reached the readers only, evenly',
      held: fewest > 0 && writer.reads === 0 && most < 2 * fewest,
      seen: `${readers.map(({ reads }) => reads).join(' and ')} there, ${writer.reads} on the writer`,
    },
    failures('no statement failed', workload),
  ]
}

async function changeWriter(cluster: LabCluster, workload: Workload, output: Output): Promise<Verdict[]> {
  const before = cluster.writer
  const next = cluster.readers[0]!
  workload.forgetWaits()
  const startMs = performance.now()
  await cluster.switchover(next)
  output.print(
    `   port ${before.port} handed over to port ${next.port} in ${Math.round(performance.now() - startMs)} ms`,
  )
  await workload.runFor(AFTER_CHANGE_MS)
  const written = await workload.writtenOn(next.port)
  const [rows] = await workload.pool.query('SLUICE SHOW TOPOLOGY')
  for (const row of rows as { backend: string; role: string; health: string; why: string }[]) {
    output.print(`   ${row.backend} ${row.role}, ${row.health}: ${row.why}`)
  }
  output.print(`   longest wait of a statement: ${Math.round(workload.longestWaitMs)} ms`)
  return [
    { promise: 'the new writer takes the writes', held: written > 0, seen: `${written} rows written there since` },
    {
      promise: 'no client was disconnected',
      held: workload.disconnects === 0,
      seen: `${CLIENTS} clients, ${workload.disconnects} disconnects`,
    },
    failures('no statement failed over the change', workload),
  ]
}

function failures(promise: string, workload: Workload): Verdict {
  const { statements, errors } = workload
  const texts = [...errors].map(([text, count]) => `${count} × ${text}`).join('; ')
  return { promise, held: errors.size === 0, seen: `${statements} statements${texts === '' ? '' : `; ${texts}`}` }
}
