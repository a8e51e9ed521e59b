// How a session goes about a write or a read: which statements, in which transaction, in how many texts. Drawn by chance.

import type { EngineName } from '../../../src/lab/index.ts'
import type { Random } from '../torture/random.ts'
import type { Sight } from './history.ts'
import { type Item, type Put, SCHEMA, type Statement } from './kinds.ts'

export interface Step extends Statement {
  readonly prepared: boolean
}

export interface WritePlan {
  readonly how: string
  /** What becomes visible together; several where each statement is a transaction of its own. */
  readonly writes: readonly (readonly Sight[])[]
  readonly steps: readonly Step[]
  /** Which step, once sent, may make the write visible; what fails before has done nothing. */
  readonly decidesAt: number
  /** It is taken back in the end. */
  readonly isUndone: boolean
  /** What cleans up after a failure, on a session that is left in the middle of it. */
  readonly mend: readonly string[]
  /** A server that is read-only may do it all the same. */
  readonly escapes: boolean
  /** The name of a prepared transaction that may be left behind. */
  readonly xa: string | null
}

export interface ReadPlan {
  readonly how: string
  readonly items: readonly number[]
  readonly before: readonly string[]
  /** The promise counts from `before` on, and not only from the first of the queries. */
  readonly isSnapshot: boolean
  readonly queries: readonly Step[]
  readonly after: readonly string[]
}

const plain = (sql: string): Step => ({ sql, values: [], prepared: false })

type Form =
  | 'alone'
  | 'one text'
  | 'transaction'
  | 'one text, transaction'
  | 'autocommit off'
  | 'autocommit on'
  | 'begin'
type RareForm = 'view' | 'rollback' | 'chain' | 'xa' | 'xa in one phase' | 'in words'

const FORMS: readonly (readonly [weight: number, form: Form | RareForm])[] = [
  [40, 'alone'],
  [8, 'one text'],
  [16, 'transaction'],
  [6, 'one text, transaction'],
  [3, 'autocommit off'],
  [3, 'autocommit on'],
  [3, 'begin'],
  [2, 'view'],
  [5, 'rollback'],
  [2, 'chain'],
  [2, 'xa'],
  [2, 'xa in one phase'],
  [2, 'in words'],
]

/**
 * MariaDB's replicas run what was prepared as it was prepared, and lock more for it than their source did: what was committed
 * in between then waits for what comes after it, and the replica stands still.
 */
const FORMS_OF: Readonly<Record<EngineName, typeof FORMS>> = {
  mysql: FORMS,
  mariadb: FORMS.filter(([, form]) => form !== 'xa'),
}

/** Around the statements of a transaction: what comes before and after; the last word of `after` that commits. */
function frameOf(form: Form | RareForm, name: string): { before: string[]; after: string[]; decides: number } {
  switch (form) {
    case 'autocommit off':
      return { before: ['SET autocommit = 0'], after: ['COMMIT', 'SET autocommit = 1'], decides: 0 }
    case 'autocommit on':
      return { before: ['SET SESSION autocommit = OFF'], after: ['SET autocommit = 1'], decides: 0 }
    case 'begin':
      return { before: ['BEGIN'], after: ['START TRANSACTION', 'ROLLBACK'], decides: 0 }
    case 'view':
      return { before: ['BEGIN'], after: [`CREATE OR REPLACE VIEW scratch_${name} AS SELECT 1`], decides: 0 }
    case 'rollback':
      return { before: ['BEGIN'], after: ['ROLLBACK'], decides: 0 }
    case 'chain':
      return { before: ['START TRANSACTION READ WRITE'], after: ['COMMIT AND CHAIN', 'COMMIT'], decides: 0 }
    case 'xa':
      return {
        before: [`XA START '${name}'`],
        after: [`XA END '${name}'`, `XA PREPARE '${name}'`, `XA COMMIT '${name}'`],
        decides: 2,
      }
    case 'xa in one phase':
      return {
        before: [`XA START '${name}'`],
        after: [`XA END '${name}'`, `XA COMMIT '${name}' ONE PHASE`],
        decides: 1,
      }
    default:
      return { before: ['START TRANSACTION'], after: ['COMMIT'], decides: 0 }
  }
}

export interface WriteWish {
  readonly engine: EngineName
  readonly versionOf: (item: Item) => number
  /** For what needs one. */
  readonly name: string
  readonly escapes: boolean
}

/** Nobody else writes these items just now; the plan may leave some of them out. */
export function planWrite(random: Random, items: readonly Item[], wish: WriteWish): WritePlan {
  const { engine, versionOf, name } = wish
  const picked = items.map((item) => {
    const puts = item.kind.puts.filter(({ escapes }) => wish.escapes || escapes !== true)
    return { item, put: random.pick(puts), version: versionOf(item) }
  })
  const joinable = picked.filter(({ put }) => put.joins)
  const drawn = joinable.length === 0 ? 'alone' : random.weighted(FORMS_OF[engine])
  // A statement in words cannot call a procedure that prepares others.
  const form = drawn === 'in words' && joinable[0]!.item.kind.name === 'called' ? 'alone' : drawn
  const some = form === 'alone' ? picked.slice(0, 1) : joinable
  const sights = some.map(({ item, version }) => ({ item: item.id, version }))
  const puts = some.flatMap(({ item, put, version }) => stepsOf(random, put, item.id, version))
  const names = some.map(({ put }) => put.name).join(', ')
  const base = {
    writes: [sights],
    decidesAt: 0,
    isUndone: false,
    mend: ['ROLLBACK', 'SET autocommit = 1'],
    escapes: some.some(({ put }) => put.escapes === true),
    xa: null,
  }
  if (form === 'alone') {
    const mend = puts.length > 1 ? ['UNLOCK TABLES', `USE ${SCHEMA}`] : []
    return { ...base, how: names, steps: puts, mend }
  }
  if (form === 'one text') {
    return { ...base, how: `${names} in one text`, writes: sights.map((sight) => [sight]), steps: [inOne(puts)] }
  }
  if (form === 'in words') {
    const [first] = puts
    const words = written(first!).replaceAll("'", "''")
    const steps = [`PREPARE words FROM '${words}'`, 'EXECUTE words', 'DEALLOCATE PREPARE words'].map(plain)
    return { ...base, how: `${some[0]!.put.name} prepared in SQL`, writes: [sights.slice(0, 1)], steps, mend: [] }
  }
  const { before, after, decides } = frameOf(form, name)
  if (form === 'one text, transaction') {
    return { ...base, how: `${names}, ${form}`, steps: [inOne([...before.map(plain), ...puts, ...after.map(plain)])] }
  }
  return {
    ...base,
    how: `${names}, ${form}`,
    steps: [...before.map(plain), ...puts, ...after.map(plain)],
    decidesAt: before.length + puts.length + decides,
    isUndone: form === 'rollback',
    mend: form.startsWith('xa') ? [`XA END '${name}'`, `XA ROLLBACK '${name}'`] : base.mend,
    xa: form === 'xa' ? name : null,
  }
}

function stepsOf(random: Random, put: Put, id: number, version: number): Step[] {
  const prepared = put.prepares && random.chance(0.4)
  return put.statements(id, version).map((statement) => ({ ...statement, prepared }))
}

/** With its values in it. */
function written({ sql, values }: Statement): string {
  let at = 0
  return sql.replaceAll('?', () => String(values[at++]))
}

function inOne(steps: readonly Step[]): Step {
  return plain(steps.map(written).join('; '))
}

type Style =
  | 'text'
  | 'prepared'
  | 'union'
  | 'join'
  | 'one text'
  | 'read only'
  | 'read only, prepared'
  | 'snapshot'
  | 'transaction'

const STYLES: readonly (readonly [weight: number, style: Style])[] = [
  [34, 'text'],
  [20, 'prepared'],
  [8, 'union'],
  [8, 'join'],
  [6, 'one text'],
  [8, 'read only'],
  [4, 'read only, prepared'],
  [2, 'snapshot'],
  [1, 'transaction'],
]

export function planRead(random: Random, items: readonly Item[]): ReadPlan {
  const style = random.weighted(STYLES)
  const some = style === 'text' || style === 'prepared' ? items.slice(0, 1) : items
  const looks = some.map(({ id, kind }) => ({ id, look: random.pick(kind.looks) }))
  const statements = looks.map(({ id, look }) => look.statement(id))
  const base = {
    how: `${style}: ${looks.map(({ look }) => look.name).join(', ')}`,
    items: some.map(({ id }) => id),
    before: [],
    after: [],
    isSnapshot: false,
  }
  const asText = statements.map((statement) => ({ ...statement, prepared: false }))
  const asPrepared = statements.map((statement) => ({ ...statement, prepared: true }))
  switch (style) {
    case 'text':
      return { ...base, queries: asText }
    case 'prepared':
      return { ...base, queries: asPrepared }
    case 'union':
      return { ...base, queries: [unionOf(statements)] }
    case 'join':
      return { ...base, queries: [joinOf(statements)] }
    case 'one text':
      return { ...base, queries: [inOne(asText)] }
    case 'read only':
    case 'read only, prepared':
      return {
        ...base,
        before: ['START TRANSACTION READ ONLY'],
        queries: style === 'read only' ? asText : asPrepared,
        after: ['COMMIT'],
      }
    case 'snapshot':
      return {
        ...base,
        before: ['START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY'],
        isSnapshot: true,
        queries: asText,
        after: ['COMMIT'],
      }
    case 'transaction':
      return { ...base, before: ['BEGIN'], queries: asText, after: ['COMMIT'] }
  }
}

function unionOf(statements: readonly Statement[]): Step {
  return plain(
    derived(statements)
      .map((each) => `SELECT * FROM ${each}`)
      .join(' UNION ALL '),
  )
}

function joinOf(statements: readonly Statement[]): Step {
  return plain(`SELECT * FROM ${derived(statements).join(' JOIN ')}`)
}

function derived(statements: readonly Statement[]): string[] {
  return statements.map((statement, at) => `(${written(statement)}) AS d${at}`)
}
