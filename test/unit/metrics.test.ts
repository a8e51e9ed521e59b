// Promises of the counters and histograms.

import { describe, expect, test } from 'vitest'
import { createMetrics, Histogram } from '../../src/metrics.ts'

describe('families', () => {
  test('the same labels give the same child, so that the hot path can keep it', () => {
    const { statements } = createMetrics()
    const child = statements.labels('main', 'reader', 'read')
    child.value += 1
    statements.labels('main', 'writer', 'read').value += 5
    expect(statements.labels('main', 'reader', 'read')).toBe(child)
    expect([...statements.children].map(({ labels, value }) => [...labels, value])).toEqual([
      ['main', 'reader', 'read', 1],
      ['main', 'writer', 'read', 5],
    ])
  })

  test('two proxies in one process count apart', () => {
    const [one, other] = [createMetrics(), createMetrics()]
    one.learnedWrites.value += 1
    expect(other.learnedWrites.value).toBe(0)
  })

  test('children of things that are gone can be forgotten', () => {
    const { readerLagMs } = createMetrics()
    readerLagMs.labels('main', 'db1').value = 5
    readerLagMs.clear()
    expect([...readerLagMs.children]).toEqual([])
  })
})

describe('histograms', () => {
  test.each([
    [0.032, 5, 1],
    [0.0321, 5, 0],
    [0.0321, 6, 1],
    [1.024, 10, 1],
    [1.0241, 10, 0],
    [1000, 19, 0],
    [1000, 20, 1],
    [0, 5, 1],
    [10_000_000, 26, 0],
  ])('%f ms counts as at most 2^%i us: %i', (durationMs, octave, expected) => {
    const histogram = new Histogram('h', '')
    histogram.observeMs(durationMs)
    expect(histogram.countUpTo(octave)).toBe(expected)
    expect(histogram.count).toBe(1)
    expect(histogram.sumSeconds).toBe(durationMs / 1000)
  })

  test('a quantile is never below the truth and at most a quarter above it', () => {
    const histogram = new Histogram('h', '')
    for (let ms = 0.01; ms < 20_000; ms *= 1.01) {
      const one = new Histogram('one', '')
      one.observeMs(ms)
      histogram.observeMs(ms)
      expect(one.quantileMs(0.5)!).toBeGreaterThanOrEqual(ms)
      expect(one.quantileMs(0.5)!).toBeLessThanOrEqual(ms * 1.25 + 0.001)
    }
    expect(histogram.quantileMs(0)!).toBeLessThan(histogram.quantileMs(0.5)!)
    expect(histogram.quantileMs(0.5)!).toBeLessThan(histogram.quantileMs(1)!)
  })

  test('there is no quantile of nothing', () => {
    expect(new Histogram('h', '').quantileMs(0.5)).toBeNull()
  })
})
