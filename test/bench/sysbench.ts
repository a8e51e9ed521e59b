// Runs sysbench, unpacked with the lab's packages, and reads what it prints.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { LAB_USERS } from '../../src/lab/index.ts'
import { lastLines } from '../../src/lab/machine.ts'
import { BUNDLES, unpacked } from '../../src/lab/packages.ts'

export const SCHEMA = 'sbtest'
const TABLE_ROWS = 10_000

/** What it can do, with statements as text. */
const SCRIPTS = {
  oltp_read_only: ['oltp_read_only.lua'],
  oltp_read_write: ['oltp_read_write.lua'],
  // What its transactions do, without being transactions: a thread may insert again what another has just inserted.
  'oltp_read_write, no transactions': ['oltp_read_write.lua', '--skip-trx=on', '--mysql-ignore-errors=1062,1205,1213'],
  'text point select': ['oltp_point_select.lua'],
} as const
export type Script = keyof typeof SCRIPTS

export interface SysbenchRun {
  readonly port: number
  readonly threads: number
  readonly seconds: number
  readonly seed: number
  readonly script: Script
  /** All threads are connected, and begin. */
  readonly onStart: () => void
  /** The last one has ended. */
  readonly onEnd: () => void
}

/** Percentiles are those of its events: whole transactions, where it has them. */
export interface SysbenchResult {
  readonly statements: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  /** Transactions that it did again, after an error that says so. */
  readonly retried: number
  readonly reconnects: number
}

/** Makes and fills the table that the scripts use. */
export async function fillTable(port: number): Promise<void> {
  await sysbench([...common(port), 'oltp_point_select.lua', 'prepare'], () => {})
}

export function isScript(name: string): name is Script {
  return Object.hasOwn(SCRIPTS, name)
}

export async function runSysbench(run: SysbenchRun): Promise<SysbenchResult> {
  const { port, threads, seconds, seed, script, onStart, onEnd } = run
  const args = [
    ...common(port),
    `--threads=${threads}`,
    `--time=${seconds}`,
    `--rand-seed=${seed}`,
    '--histogram=on',
    ...SCRIPTS[script],
    'run',
  ]
  let phase: 'before' | 'during' | 'after' = 'before'
  const printed = await sysbench(args, (soFar) => {
    if (phase === 'before' && soFar.includes('Threads started!')) {
      phase = 'during'
      onStart()
    }
    if (phase === 'during' && soFar.includes('SQL statistics:')) {
      phase = 'after'
      onEnd()
    }
  })
  return resultIn(printed)
}

function common(port: number): string[] {
  const { user, password } = LAB_USERS.app
  return [
    '--mysql-host=127.0.0.1',
    `--mysql-port=${port}`,
    `--mysql-user=${user}`,
    `--mysql-password=${password}`,
    `--mysql-db=${SCHEMA}`,
    '--tables=1',
    `--table-size=${TABLE_ROWS}`,
    '--rand-type=uniform',
    '--db-ps-mode=disable',
  ]
}

/** Its scripts find each other in the folder it is started in. */
async function sysbench(args: readonly string[], onPrinted: (text: string) => void): Promise<string> {
  const { root, program } = await unpacked(BUNDLES.sysbench)
  const child = spawn(program('sysbench'), args, {
    cwd: join(root, 'usr/share/sysbench'),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  const take = (bytes: Buffer) => {
    printed += bytes.toString()
    onPrinted(printed)
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const [code] = await once(child, 'close')
  if (code !== 0 || /FATAL/.test(printed)) throw new Error(`sysbench failed (${code}):\n${lastLines(printed, 12)}`)
  return printed
}

/** The figures in what a run with a histogram printed. */
export function resultIn(printed: string): SysbenchResult {
  const statements = numberIn(printed, /total:\s+(\d+)/)
  const seconds = numberIn(printed, /total time:\s+([\d.]+)s/)
  const buckets = [...printed.matchAll(/^\s*([\d.]+) \|\**\s+(\d+)$/gm)].map((match) => ({
    ms: Number(match[1]),
    count: Number(match[2]),
  }))
  const total = buckets.reduce((sum, { count }) => sum + count, 0)
  const percentileMs = (percent: number) => {
    let left = (total * percent) / 100
    for (const { ms, count } of buckets) {
      left -= count
      if (left <= 0) return ms
    }
    return Number.NaN
  }
  return {
    statements,
    seconds,
    p50Ms: percentileMs(50),
    p95Ms: percentileMs(95),
    p99Ms: percentileMs(99),
    retried: numberIn(printed, /ignored errors:\s+(\d+)/),
    reconnects: numberIn(printed, /reconnects:\s+(\d+)/),
  }
}

function numberIn(printed: string, pattern: RegExp): number {
  const found = pattern.exec(printed)?.[1]
  if (found === undefined) throw new Error(`sysbench printed no ${pattern}:\n${lastLines(printed, 12)}`)
  return Number(found)
}
