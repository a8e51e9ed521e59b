// The benchmark's arithmetic: what it makes of sysbench's print, of rounds, and of durations.

import { describe, expect, test } from 'vitest'
import { type Findings, ratiosTable, samplesTable, startTable } from '../../bench/report.ts'
import { intervalOf, Latencies, medianOf, randomFrom, shuffled } from '../../bench/statistics.ts'
import { resultIn } from '../../bench/sysbench.ts'

const PRINTED = `
Threads started!

Latency histogram (values are in milliseconds)
       value  ------------- distribution ------------- count
       0.100 |****************************************  60
       0.200 |******************                        30
       0.400 |****                                      8
       1.500 |                                          2

SQL statistics:
    queries performed:
        read:                            100
        write:                           0
        other:                           0
        total:                           100
    transactions:                        5      (2.00 per sec.)
    queries:                             100    (39.99 per sec.)
    ignored errors:                      3      (1.20 per sec.)
    reconnects:                          1      (0.40 per sec.)

General statistics:
    total time:                          2.5004s
    total number of events:              100
`

describe('what sysbench prints', () => {
  test('gives statements, time and percentiles, and what it had to do again', () => {
    const times = { seconds: 2.5004, p50Ms: 0.1, p95Ms: 0.4, p99Ms: 1.5 }
    expect(resultIn(PRINTED)).toEqual({ statements: 100, ...times, retried: 3, reconnects: 1 })
  })

  test('is refused when it is something else', () => {
    expect(() => resultIn('FATAL: no such thing')).toThrow(/no such thing/)
  })
})

describe('numbers about numbers', () => {
  test('a median has as many values above as below', () => {
    expect(medianOf([4, 1, 3])).toBe(3)
    expect(medianOf([4, 1, 3, 2])).toBe(2.5)
    expect(medianOf([])).toBeNaN()
  })

  // Chances out of 2^n: of 8 values 9 in 128 that at most one is on one side, of 9 values 10 in 256, of 20 values 1 in 24 and
  // 6 in 145.
  test.each([
    [1, [1, 1]],
    [5, [1, 5]],
    [8, [1, 8]],
    [9, [2, 8]],
    [10, [2, 9]],
    [20, [6, 15]],
  ])('of %i values, the interval leaves out those that 95 %% can spare', (count, interval) => {
    const values = Array.from({ length: count }, (_, index) => count - index)
    expect(intervalOf(values)).toEqual(interval)
  })

  test('percentiles are at most 3 % above the true one', () => {
    const latencies = new Latencies()
    for (let us = 1; us <= 1000; us++) latencies.add(us / 1000)
    for (const percent of [50, 95, 99]) {
      const ratio = latencies.percentileMs(percent) / (percent / 100)
      expect(ratio).toBeGreaterThanOrEqual(1)
      expect(ratio).toBeLessThan(1.03)
    }
  })

  test('a shuffle is the same for the same seed, and loses nothing', () => {
    const items = Array.from({ length: 20 }, (_, index) => index)
    const [one, same, other] = [1, 1, 2].map((seed) => shuffled(items, randomFrom(seed)))
    expect(one).toEqual(same)
    expect(one).not.toEqual(other)
    expect([...one!].sort((a, b) => a - b)).toEqual(items)
  })
})

describe('a table', () => {
  const task = { work: 'text', clients: 8, rate: null, idle: 0 }
  const rest = { ...task, seconds: 1, loadAverage: 0, residentBytes: null, idleBytesEach: null }
  const sample = (round: number, path: string, statements: number, cpuSeconds: number | null) => ({
    ...rest,
    ...{ p50Ms: 1, p95Ms: 2, p99Ms: 3 },
    round,
    path,
    statements,
    cpu: cpuSeconds === null ? null : { seconds: cpuSeconds, userSeconds: cpuSeconds / 4 },
  })
  const findings: Findings = {
    tasks: [task],
    paths: ['direct', 'haproxy', 'sluice'],
    samples: [
      sample(1, 'sluice', 500, 0.01),
      sample(1, 'direct', 1000, null),
      sample(1, 'haproxy', 1000, 0.01),
      sample(2, 'direct', 100, null),
      sample(2, 'sluice', 50, 0.004),
      sample(2, 'haproxy', 100, 0.004),
    ],
  }

  test('takes ratios within a round, not of medians', () => {
    expect(ratiosTable(findings, { of: 'sluice', speedOf: 'direct' }).split('\n')).toEqual([
      '| work | clients | speed of direct   | CPU of haproxy    |',
      '| ---- | ------- | ----------------- | ----------------- |',
      '| text | 8       | 0.50 [0.50, 0.50] | 2.00 [2.00, 2.00] |',
    ])
  })

  test('has a row for each path that took part, with medians', () => {
    const rows = samplesTable({ ...findings, paths: ['direct', 'router', 'sluice'] })
      .split('\n')
      .slice(2)
    expect(
      rows.map((row) =>
        row
          .split('|')
          .map((cell) => cell.trim())
          .slice(3, 8),
      ),
    ).toEqual([
      ['direct', '550', '-', '-', '-'],
      ['sluice', '275', '50.0', '12.5', '37.5'],
    ])
  })

  test('tells starts apart', () => {
    expect(startTable(findings)).toBe('')
    const start = { ...task, work: 'start', clients: 1 }
    const started = { ...sample(1, 'sluice', 1, 0.3), ...start, p50Ms: 400, residentBytes: 2 ** 26 }
    const table = startTable({ ...findings, tasks: [task, start], samples: [...findings.samples, started] })
    expect(table.split('\n').slice(2)).toEqual(['| sluice | 400                       | 300    | 64                |'])
  })
})
