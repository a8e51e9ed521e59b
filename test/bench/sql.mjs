// How long it takes to tell what a statement does, remembered and seen for the first time. On demand, after a build:
// `npm run build && node test/bench/sql.mjs`. Looked for: 2 to 7 ns a byte for a statement seen before, whatever its
// literals. (Run by vitest, imports cost more than the work.)

import { createClassifier, mysql } from '../../dist/sql/classifier.js'

const CONTEXT = {
  dialect: mysql,
  version: 90704,
  ansiQuotes: false,
  noBackslashEscapes: false,
  ignoreSpace: false,
  charset: 'utf8mb4',
}
const ROUNDS = 150

const numbers = (count) => Array.from({ length: count }, (_, at) => at)
const customer = (at) =>
  `(${at},'customer number ${at} of many','some street ${at}, some town',${at * 7}.5,'2024-01-15')`

const STATEMENTS = {
  'point select': (at) => `SELECT c FROM sbtest1 WHERE id=${1000 + at}`,
  join: (at) =>
    `SELECT o.id, o.total, c.name, c.email, p.title FROM orders o INNER JOIN customers c ON c.id = o.customer_id LEFT JOIN products p ON p.id = o.product_id WHERE o.status = 'open' AND c.country = 'DE' AND o.total > ${at} ORDER BY o.created_at DESC LIMIT 20`,
  update: (at) =>
    `UPDATE accounts SET balance = balance - ${at}.50, updated_at = NOW(), note = 'transfer to another account' WHERE id = ${at} AND balance >= 12.50 AND status = 'x'`,
  'INSERT, 100 rows': (at) =>
    `INSERT INTO customers (id, name, street, amount, created) VALUES ${numbers(100).map((row) => customer(row + at))}`,
  'IN list, 500': (at) => `SELECT * FROM t WHERE id IN (${numbers(500).map((value) => 100_000 + value + at)})`,
}

/** Nanoseconds a call in the best of many short rounds, interleaved so that a busy moment does not hit one of them alone. */
function best(runs) {
  const least = runs.map(() => Number.POSITIVE_INFINITY)
  for (let round = 0; round < ROUNDS; round++) {
    for (const [at, { calls, run }] of runs.entries()) {
      const started = process.hrtime.bigint()
      run()
      least[at] = Math.min(least[at], Number(process.hrtime.bigint() - started) / calls)
    }
  }
  return least
}

const texts = Object.values(STATEMENTS).map((make) => numbers(50).map((at) => Buffer.from(make(at))))
const remembering = createClassifier({ digestsMax: 10_000 })
const forgetting = createClassifier({ digestsMax: 1 })
const forget = [Buffer.from('SELECT 1'), Buffer.from('SELECT 1, 2')]

const seen = best(
  texts.map((many) => ({
    calls: many.length * 4,
    run() {
      for (let pass = 0; pass < 4; pass++) for (const text of many) remembering.classify(text, CONTEXT)
    },
  })),
)
const unseen = best(
  [forget, ...texts.map(([text]) => [text, forget[0]])].map(([text, other]) => ({
    calls: 10,
    run() {
      for (let pass = 0; pass < 10; pass++) {
        forgetting.classify(text, CONTEXT)
        forgetting.classify(other, CONTEXT)
      }
    },
  })),
)

console.log('statement          bytes   seen before, ns   ns/byte   first time, ns')
for (const [at, name] of Object.keys(STATEMENTS).entries()) {
  const bytes = texts[at][0].length
  const first = unseen[at + 1] - unseen[0] / 2
  const columns = [
    String(bytes).padStart(7),
    seen[at].toFixed(0).padStart(18),
    (seen[at] / bytes).toFixed(2).padStart(10),
  ]
  console.log(name.padEnd(17), ...columns, first.toFixed(0).padStart(16))
}
console.log(`${remembering.hits} found, ${remembering.misses} not`)
