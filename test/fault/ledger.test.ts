// Clients append rows while the writer is killed, and while it is replaced as planned: no row that was acknowledged is
// lost, none is there twice, and nobody is disconnected. `npm run ledger` goes on for longer, with more clients.

import { expect, test } from 'vitest'
import type { EngineName } from '../../src/lab/index.ts'
import { describeEngines } from '../support/lab.ts'
import { keepLedger, type LedgerReport, storyOf } from '../support/ledger/ledger.ts'
import type { Upheaval } from '../support/ledger/scenes.ts'

const asked = (name: string) => process.env[`SLUICE_LEDGER_${name}`]

interface Round {
  readonly engine: EngineName
  readonly aurora: boolean
  readonly upheavals: readonly Upheaval[]
}

const isAll = ({ audit, misattributed, book }: LedgerReport) => ({ ...audit, misattributed, surprises: book.surprises })
const NOTHING = { lost: [], ghosts: [], doubled: [], foreign: [], misattributed: 0, surprises: [] }

function upheavalsOf(kind: string, count: number): readonly Upheaval[] {
  return Array.from(
    { length: count },
    (_, at) => (kind === 'mixed' ? (at % 2 === 0 ? 'kill' : 'switchover') : kind) as Upheaval,
  )
}

async function holds({ engine, aurora, upheavals }: Round, clients: number, perSecond: number): Promise<void> {
  const tell = asked('FAILOVERS') === undefined ? () => {} : (line: string) => console.log(`${engine}: ${line}`)
  const report = await keepLedger({ engine, aurora, upheavals, clients, perSecond, tell })
  tell(storyOf(report))
  expect(isAll(report)).toEqual(NOTHING)
  expect(report.book.closed).toBe(0)
  expect(report.changes).toBeGreaterThanOrEqual(upheavals.length)
  const planned = report.steps.filter(({ how }) => how === 'switchover')
  expect(planned.filter(({ failed, unknown }) => failed + unknown > 0)).toEqual([])
}

if (asked('FAILOVERS') === undefined) {
  describeEngines((engine) => {
    test('a writer that is replaced as planned, twice, and then killed', () =>
      holds({ engine, aurora: false, upheavals: ['switchover', 'switchover', 'kill'] }, 40, 800))
  })
} else {
  const failovers = Number(asked('FAILOVERS'))
  const kind = asked('KIND') ?? 'mixed'
  const clients = Number(asked('CLIENTS') ?? 300)
  const perSecond = Number(asked('PER_SECOND') ?? 1_500)
  const aurora = asked('ENGINE') === 'aurora'
  const engine = asked('ENGINE') === 'mariadb' ? 'mariadb' : 'mysql'
  test(
    `${failovers} failovers (${kind}) under ${clients} clients`,
    () => holds({ engine, aurora, upheavals: upheavalsOf(kind, failovers) }, clients, perSecond),
    120_000 + failovers * 90_000,
  )
}
