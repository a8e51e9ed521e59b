// The metrics as Prometheus text. prom-client does the writing and knows the process; the numbers stay in metrics.ts
// and are read at each scrape.

import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client'
import type { Family, Histogram, Metrics } from '../metrics.ts'

/** Bounds shown of a histogram: 2^k microseconds, from 32 us to 67 s. */
const OCTAVES = Array.from({ length: 22 }, (_, at) => at + 5)

export interface Exposition {
  readonly contentType: string
  text(): Promise<string>
}

export function createExposition(metrics: Metrics): Exposition {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const family of metrics.families) register(registry, family)
  for (const histogram of metrics.histograms) registry.registerMetric(histogramMetric(histogram))
  return {
    contentType: registry.contentType,
    async text() {
      for (const prepare of metrics.beforeScrape) await prepare()
      return registry.metrics()
    },
  }
}

function register(registry: Registry, family: Family<readonly string[]>): void {
  const { name, help, type, labelNames } = family
  const options = { name, help, labelNames: [...labelNames], registers: [registry] }
  if (type === 'counter') {
    new Counter({
      ...options,
      collect() {
        this.reset()
        for (const { labels, value } of family.children) this.labels(...labels).inc(value)
      },
    })
  } else {
    new Gauge({
      ...options,
      collect() {
        this.reset()
        for (const { labels, value } of family.children) this.labels(...labels).set(value)
      },
    })
  }
}

/** prom-client's own histogram wants to be told each duration; ours has counted already, so it only speaks the shape. */
function histogramMetric(histogram: Histogram): Metric {
  const { name, help } = histogram
  const get = async () => {
    const buckets = OCTAVES.map((octave) => ({
      metricName: `${name}_bucket`,
      labels: { le: String(2 ** octave / 1e6) },
      value: histogram.countUpTo(octave),
    }))
    const values = [
      ...buckets,
      { metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: histogram.count },
      { metricName: `${name}_sum`, labels: {}, value: histogram.sumSeconds },
      { metricName: `${name}_count`, labels: {}, value: histogram.count },
    ]
    return { name, help, type: 'histogram', aggregator: 'sum', values }
  }
  return { name, help, get, reset() {} } as unknown as Metric
}
