// The benchmark's arithmetic: what it makes of sysbench's print, of rounds, and of durations.

import { describe, expect, test } from 'vitest'
import { samplesTable } from '../../bench/report.ts'
import type { Sample } from '../../bench/rounds.ts'
import { Latencies, randomFrom, shuffled, summaryOf } from '../../bench/statistics.ts'
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
General statistics:
    total time:                          2.5004s
    total number of events:              100
`

describe('what sysbench prints', () => {
  test('gives statements, time and percentiles', () => {
    expect(resultIn(PRINTED)).toEqual({ statements: 100, seconds: 2.5004, p50Ms: 0.1, p95Ms: 0.4, p99Ms: 1.5 })
  })

  test('is refused when it is something else', () => {
    expect(() => resultIn('FATAL: no such thing')).toThrow(/no such thing/)
  })
})

describe('numbers about numbers', () => {
  test('quartiles lie on the line between two values', () => {
    expect(summaryOf([4, 1, 3, 2])).toEqual({ median: 2.5, lowerQuartile: 1.75, upperQuartile: 3.25, min: 1, max: 4 })
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
  const task = { work: 'text', threads: 8, rate: null, seconds: 1, loadAverage: 0, residentBytes: null }
  const latency = { p50Ms: 1, p95Ms: 2, p99Ms: 3 }
  const sample = (round: number, path: string, statements: number, userSeconds: number | null): Sample => ({
    ...task,
    ...latency,
    round,
    path,
    statements,
    cpu: userSeconds === null ? null : { userSeconds, systemSeconds: 0 },
  })

  test('takes ratios within a round, not of medians', () => {
    const table = samplesTable([
      sample(1, 'direct', 1000, null),
      sample(1, 'haproxy', 1000, 0.01),
      sample(1, 'sluice', 500, 0.01),
      sample(2, 'direct', 100, null),
      sample(2, 'haproxy', 100, 0.004),
      sample(2, 'sluice', 50, 0.004),
    ])
    const row = table.split('\n').find((line) => line.includes('sluice'))
    expect(row).toContain('0.50 [0.50, 0.50]')
    expect(row).toContain('2.00 [2.00, 2.00]')
  })
})
