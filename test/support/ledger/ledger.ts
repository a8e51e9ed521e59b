// Many clients append rows while the writer changes again and again; in the end the rows are held against what clients were
// told.

import type { RowDataPacket } from 'mysql2/promise'
import { type EngineName, until } from '../../../src/lab/index.ts'
import type { FailoverTimeline } from '../../../src/topology/failover-timeline.ts'
import { startSluice } from '../sluice.ts'
import { type Audit, Book, type Row } from './book.ts'
import { Clerk, markOf, NAMES } from './clerk.ts'
import { auroraScene, replicationScene, type Scene, type Upheaval } from './scenes.ts'

export interface LedgerSettings {
  readonly engine: EngineName
  /** Behind Aurora's face. */
  readonly aurora?: boolean
  readonly upheavals: readonly Upheaval[]
  readonly clients: number
  /** Appends that all clients together aim at. */
  readonly perSecond: number
  readonly tell?: (line: string) => void
}

export interface LedgerReport {
  readonly audit: Audit
  readonly book: Book
  /** Rows that the session of another client wrote, by its settings. */
  readonly misattributed: number
  /** What clients were told from each change of the writer to the next. */
  readonly steps: readonly { readonly how: Upheaval; readonly failed: number; readonly unknown: number }[]
  /** How often Sluice has had another writer. */
  readonly changes: number
  readonly timelines: readonly FailoverTimeline[]
}

const LOGINS_MAX = 20
const PROGRESS_MS_MAX = 60_000
/** Appends between two changes, for each client. */
const APPENDS_BETWEEN = 3

export async function keepLedger(settings: LedgerSettings): Promise<LedgerReport> {
  const { engine, aurora = false, upheavals, clients, perSecond, tell = () => {} } = settings
  const scene = await (aurora ? auroraScene : replicationScene)(engine)
  try {
    // No unique key: what is written twice shall be there twice.
    await scene.lab.writer.asRoot(async (root) => {
      await root.query('CREATE DATABASE ledger; CREATE TABLE ledger.names (client INT PRIMARY KEY)')
      await root.query('CREATE TABLE ledger.entries (client INT, number INT, mark INT)')
      await root.query('INSERT INTO ledger.names VALUES ?', [Array.from({ length: NAMES }, (_, at) => [at])])
    })
    await scene.settle()
    const sluice = await startSluice({ seeds: scene.seeds })
    const { snapshots } = sluice.proxy
    const steps: LedgerReport['steps'][number][] = []
    let changes = 0
    const book = new Book()
    const pauseMsMax = (2_000 * clients) / perSecond
    const clerks = Array.from(
      { length: clients },
      (_, client) => new Clerk({ port: sluice.port, client, book, pauseMsMax }),
    )
    try {
      // A hundred logins at once take longer than clients wait for one.
      for (let at = 0; at < clients; at += LOGINS_MAX) {
        await Promise.all(clerks.slice(at, at + LOGINS_MAX).map((clerk) => clerk.start()))
      }
      await awaitProgress(book, clients)
      for (const [at, how] of upheavals.entries()) {
        if (at > 0) await scene.settle()
        const before = { ...book.counts }
        await scene.change(how)
        await awaitProgress(book, clients)
        const { failed, unknown } = book.counts
        steps.push({ how, failed: failed - before.failed, unknown: unknown - before.unknown })
        tell(`${at + 1}. ${how}: ${lineOf(book)}`)
      }
      changes = snapshots.topology()[0]!.writerEpoch - 1
    } finally {
      await Promise.all(clerks.map((clerk) => clerk.stop()))
      await sluice.stop()
    }
    const timelines = snapshots.events(0).flatMap(({ event }) => ('losses' in event ? [event] : []))
    return { ...(await audited(scene, book)), book, steps, changes, timelines }
  } finally {
    await scene.stop()
  }
}

function awaitProgress(book: Book, clients: number): Promise<true> {
  const goal = book.counts.acknowledged + APPENDS_BETWEEN * clients
  const isThere = () => (book.counts.acknowledged >= goal ? true : null)
  return until(isThere, PROGRESS_MS_MAX, () => `nobody appends any more: ${lineOf(book)}, ${book.surprises.slice(-3)}`)
}

function lineOf({ counts, restarts, closed, reads, surprises }: Book): string {
  const { acknowledged, failed, unknown } = counts
  const told = `${acknowledged} rows acknowledged, ${failed} failed, ${unknown} unknown`
  return `${told}; ${restarts} transactions run again, ${reads} reads, ${closed} connections closed, ${surprises.length} surprises`
}

async function audited({ lab }: Scene, book: Book): Promise<Pick<LedgerReport, 'audit' | 'misattributed'>> {
  return lab.writer.asRoot(async (root) => {
    const [rows] = await root.query<RowDataPacket[]>('SELECT client, number, mark FROM ledger.entries')
    const misattributed = rows.filter(({ client, mark }) => mark !== markOf(client)).length
    return { audit: book.audit(rows as unknown as Row[]), misattributed }
  })
}

/** What the servers and Sluice took for it, in words. */
export function storyOf({ book, audit, misattributed, timelines }: LedgerReport): string {
  const { lost, ghosts, doubled, foreign } = audit
  const wrong = { lost, ghosts, doubled, foreign }
  const gaps = timelines.map(({ detectedMs, firstWriteMs }) => Math.round((firstWriteMs ?? Number.NaN) - detectedMs))
  return [
    lineOf(book),
    `${Object.entries(wrong)
      .map(([what, keys]) => `${keys.length} ${what}`)
      .join(', ')}, ${misattributed} of another session`,
    `from the loss of a writer to the first write on the next, in ms: ${gaps.join(' ')}`,
    ...book.surprises.slice(0, 20),
  ].join('\n')
}
