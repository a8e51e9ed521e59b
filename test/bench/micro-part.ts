// The code that every statement passes, alone: reading SQL, telling what it does, cutting bytes into messages, following
// replies. Looked for: 2 to 7 ns a byte for a statement seen before, whatever its literals; 10 million rows a second.

import { frame, MessageReader } from '../../src/protocol/mysql/frames.ts'
import { buildQuery } from '../../src/protocol/mysql/messages.ts'
import { ReplyTracker } from '../../src/protocol/mysql/reply-tracker.ts'
import { createClassifier, rulesOf } from '../../src/sql/classifier.ts'
import { scan } from '../../src/sql/lexer.ts'
import { Tokens } from '../../src/sql/tokens.ts'
import { MYSQL } from '../support/sql-contexts.ts'
import { table } from './report.ts'

export interface MicroResult {
  readonly code: string
  readonly what: string
  readonly bytes: number
  readonly nanoseconds: number
}

/** One thing to measure: `run` does it `calls` times, with as many bytes each. */
interface Subject extends Omit<MicroResult, 'nanoseconds'> {
  readonly calls: number
  run(): void
}

const ROUNDS = 150
const CALLS_MIN = 200
/** Of one kind; literals differ, so that no two are the same. */
const TEXTS = 50
const ROWS = 1_000

const numbers = (count: number) => Array.from({ length: count }, (_, at) => at)
const customer = (at: number) =>
  `(${at},'customer number ${at} of many','some street ${at}, some town',${at * 7}.5,'2024-01-15')`

const STATEMENTS: Readonly<Record<string, (at: number) => string>> = {
  'point select': (at) => `SELECT c FROM sbtest1 WHERE id=${1000 + at}`,
  join: (at) =>
    `SELECT o.id, o.total, c.name, c.email, p.title FROM orders o INNER JOIN customers c ON c.id = o.customer_id LEFT JOIN products p ON p.id = o.product_id WHERE o.status = 'open' AND c.country = 'DE' AND o.total > ${at} ORDER BY o.created_at DESC LIMIT 20`,
  update: (at) =>
    `UPDATE accounts SET balance = balance - ${at}.50, updated_at = NOW(), note = 'transfer to another account' WHERE id = ${at} AND balance >= 12.50 AND status = 'x'`,
  'INSERT, 100 rows': (at) =>
    `INSERT INTO customers (id, name, street, amount, created) VALUES ${numbers(100).map((row) => customer(row + at))}`,
  'IN list, 500': (at) => `SELECT * FROM t WHERE id IN (${numbers(500).map((value) => 100_000 + value + at)})`,
}

/** Goes over all `items`, `passes` times. */
function subject<T extends Buffer>(code: string, what: string, items: readonly T[], each: (item: T) => void): Subject {
  const passes = Math.ceil(CALLS_MIN / items.length)
  return {
    code,
    what,
    bytes: items[0]!.length,
    calls: passes * items.length,
    run() {
      for (let pass = 0; pass < passes; pass++) for (const item of items) each(item)
    },
  }
}

function reading(what: string, makeText: (at: number) => string): Subject[] {
  const texts = numbers(TEXTS).map((at) => Buffer.from(makeText(at)))
  const [tokens, rules] = [new Tokens(), rulesOf(MYSQL)]
  const remembering = createClassifier({ digestsMax: 10_000 })
  // Two kinds of statement by turns, and room for one.
  const forgetting = createClassifier({ digestsMax: 1 })
  const kinds = [texts[0]!, Buffer.from(makeText(0).replace(/(FROM|UPDATE|INTO) /, '$1 an_'))]
  return [
    subject('lexer', what, texts, (text) => {
      scan(text, rules, tokens)
      tokens.shrink()
    }),
    subject('classifier, seen before', what, texts, (text) => void remembering.classify(text, MYSQL)),
    subject('classifier, first time', what, kinds, (text) => void forgetting.classify(text, MYSQL)),
  ]
}

function framing(): Subject[] {
  const request = frame(buildQuery(STATEMENTS['point select']!(1), false), 0)
  const half = request.length >> 1
  const reader = new MessageReader(2 ** 24)
  return [
    subject('frames', 'a request', [request], (bytes) => {
      reader.push(bytes)
      reader.shift()
    }),
    subject('frames', 'a request in two pieces', [request], (bytes) => {
      reader.push(bytes.subarray(0, half))
      reader.shift()
      reader.push(bytes.subarray(half))
      reader.shift()
    }),
  ]
}

function tracking(): Subject[] {
  const form = { deprecateEof: true, optionalMetadata: false }
  const row = frame(Buffer.alloc(96, 0x61), 0)
  // As they come from a socket, rows whole.
  const rows = Buffer.concat(new Array<Buffer>(ROWS).fill(row))
  const result = Buffer.concat([
    frame(Buffer.of(1), 1),
    frame(Buffer.alloc(40, 3), 2),
    frame(row, 3),
    frame(Buffer.from('fe000002000000', 'hex'), 4),
  ])
  const [many, one] = [new ReplyTracker(), new ReplyTracker()]
  many.begin('fetch', form)
  return [
    {
      code: 'reply tracker',
      what: 'a row',
      bytes: row.length,
      calls: ROWS,
      run: () => void many.feed(rows, 0),
    },
    subject('reply tracker', 'a result of one row', [result], (bytes) => {
      one.begin('query', form)
      one.feed(bytes, 0)
    }),
  ]
}

/** Nanoseconds of a call in the best of many short runs, by turns so that a busy moment does not hit one of them alone. */
export function microPart(): MicroResult[] {
  const subjects = [
    ...Object.entries(STATEMENTS).flatMap(([what, makeText]) => reading(what, makeText)),
    ...framing(),
    ...tracking(),
  ]
  const best = subjects.map(() => Number.POSITIVE_INFINITY)
  for (let round = 0; round < ROUNDS; round++) {
    for (const [at, { calls, run }] of subjects.entries()) {
      const started = process.hrtime.bigint()
      run()
      best[at] = Math.min(best[at]!, Number(process.hrtime.bigint() - started) / calls)
    }
  }
  return subjects
    .map(({ code, what, bytes }, at) => ({ code, what, bytes, nanoseconds: best[at]! }))
    .sort((one, other) => one.code.localeCompare(other.code))
}

export function microTable(results: readonly MicroResult[]): string {
  return table(
    ['code', 'what', 'bytes', 'ns', 'ns/byte'],
    results.map(({ code, what, bytes, nanoseconds }) => [
      code,
      what,
      String(bytes),
      nanoseconds.toFixed(0),
      (nanoseconds / bytes).toFixed(2),
    ]),
  )
}
