// How long it takes to tell what a statement does, remembered and not. On demand: `npx vitest bench --run --project unit`.
// Looked for: 2 to 7 ns a byte for a statement seen before, whatever its literals.

import { bench, describe } from 'vitest'
import { createClassifier, mysql, type SqlContext } from '../../src/sql/classifier.ts'

const CONTEXT: SqlContext = {
  dialect: mysql,
  version: 90704,
  ansiQuotes: false,
  noBackslashEscapes: false,
  ignoreSpace: false,
  charset: 'utf8mb4',
}

const customer = (at: number) =>
  `(${at}, 'customer number ${at} of many', 'some street ${at}, some town', ${at * 7}.5, '2024-01-15 10:00:00')`

const numbers = (count: number) => Array.from({ length: count }, (_, at) => at)

const STATEMENTS: Readonly<Record<string, (at: number) => string>> = {
  'point select': (at) => `SELECT c FROM sbtest1 WHERE id=${1000 + at}`,
  join: (at) =>
    `SELECT o.id, o.total, c.name, c.email, p.title FROM orders o INNER JOIN customers c ON c.id = o.customer_id LEFT JOIN products p ON p.id = o.product_id WHERE o.status = 'open' AND c.country = 'DE' AND o.total > ${at} ORDER BY o.created_at DESC LIMIT 20`,
  update: (at) =>
    `UPDATE accounts SET balance = balance - ${at}.50, updated_at = NOW(), note = 'transfer to another account' WHERE id = ${at} AND balance >= 12.50 AND status = 'x'`,
  'INSERT, 100 rows': (at) =>
    `INSERT INTO customers (id, name, street, amount, created) VALUES ${numbers(100)
      .map((row) => customer(row + at))
      .join(', ')}`,
  'IN list, 500': (at) =>
    `SELECT * FROM t WHERE id IN (${numbers(500)
      .map((value) => 100_000 + value + at)
      .join(', ')})`,
}

describe('remembered', () => {
  const classifier = createClassifier({ digestsMax: 10_000 })
  for (const [name, make] of Object.entries(STATEMENTS)) {
    const texts = numbers(100).map((at) => Buffer.from(make(at)))
    bench(`100 times ${name}, ${texts[0]!.length} bytes`, () => {
      for (const text of texts) classifier.classify(text, CONTEXT)
    })
  }
})

describe('seen for the first time', () => {
  const classifier = createClassifier({ digestsMax: 1 })
  const texts = Object.values(STATEMENTS).map((make) => Buffer.from(make(1)))
  for (const [at, name] of Object.keys(STATEMENTS).entries()) {
    const other = texts[(at + 1) % texts.length]!
    bench(`${name}, after another`, () => {
      classifier.classify(texts[at]!, CONTEXT)
      classifier.classify(other, CONTEXT)
    })
  }
})
