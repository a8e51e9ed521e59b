// The picture of a benchmark: what is in it, and that bars are as long as what they stand for.

import { expect, test } from 'vitest'
import { barChart, panelsOf } from '../../bench/plot.ts'

const task = { work: 'text', clients: 8, rate: null, idle: 0 }
const rest = { seconds: 1, loadAverage: 0, residentBytes: null, idleBytesEach: null, p50Ms: 1, p95Ms: 1, p99Ms: 1 }

function sample(round: number, path: string, seconds: number | null) {
  const cpu = seconds === null ? null : { seconds, userSeconds: 0 }
  return { ...task, ...rest, round, path, statements: 1, cpu }
}

const result = {
  backends: 'canned',
  tasks: [task, { ...task, work: 'start' }, { ...task, work: 'nobody did it' }],
  paths: ['direct', 'haproxy', 'router', 'sluice'],
  samples: [
    sample(1, 'direct', null),
    ...[1, 2].flatMap((round) => [
      sample(round, 'haproxy', round),
      sample(round, 'router', 4 * round),
      sample(round, 'sluice', 2 * round),
    ]),
  ],
}

test('bars are multiples of what HAProxy spends', () => {
  const bar = (name: string, value: number) => ({ name, value, interval: [value, value] })
  expect(panelsOf([result, { ...result, samples: [] }])).toEqual([
    { title: 'canned', groups: [{ title: 'text, 8 clients', bars: [bar('router', 4), bar('sluice', 2)] }] },
  ])
})

test('bars are as long as what they stand for, and words are only words', () => {
  const [panel] = panelsOf([result])
  const svg = barChart('a < b & c', [panel!])
  const widths = [...svg.matchAll(/<rect .*width="([\d.]+)" height="10"/g)].map(([, width]) => Number(width))
  expect(widths).toHaveLength(2)
  expect(widths[0]! / widths[1]!).toBeCloseTo(2, 2)
  expect(svg).toContain('>a &lt; b &amp; c</text>')
})
