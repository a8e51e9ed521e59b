// What the proxy counts and times: plain objects with a number in them, incremented anywhere, read at a scrape.
// A busy place looks up its child once (`statements.labels('main', 'reader', 'read')`) and then only adds to it.

export type MetricType = 'counter' | 'gauge'

/** One number. The hot path does `child.value += 1` and nothing else. */
export interface Child {
  value: number
}

/** One named metric with a child per combination of label values. */
export class Family<Labels extends readonly string[]> {
  readonly name: string
  readonly help: string
  readonly type: MetricType
  readonly labelNames: Labels
  readonly #children = new Map<string, Child & { readonly labels: readonly string[] }>()

  constructor(type: MetricType, name: string, help: string, labelNames: Labels) {
    this.type = type
    this.name = name
    this.help = help
    this.labelNames = labelNames
  }

  /** The child with these label values, in the order of `labelNames`; always the same object for the same values. */
  labels(...values: { readonly [At in keyof Labels]: string }): Child {
    const key = values.join('\0')
    const known = this.#children.get(key)
    if (known !== undefined) return known
    const child = { value: 0, labels: values as readonly string[] }
    this.#children.set(key, child)
    return child
  }

  /** For gauges that are computed at each scrape: children of things that are gone must not linger. */
  clear(): void {
    this.#children.clear()
  }

  get children(): Iterable<Readonly<Child> & { readonly labels: readonly string[] }> {
    return this.#children.values()
  }
}

const SUB_BITS = 2
const SUB_BUCKETS = 1 << SUB_BITS
/** Times from 2^30 microseconds (18 minutes) on share the last bucket. */
const OCTAVE_MAX = 30
const US_MAX = 2 ** OCTAVE_MAX
const BUCKETS = (OCTAVE_MAX - SUB_BITS + 2) * SUB_BUCKETS

/** Durations as a value, for other processes. */
export interface DurationsRecord {
  readonly counts: Float64Array
  readonly sumMs: number
  readonly count: number
}

/** Durations in log-linear buckets: four to each doubling, so that a quantile is at most a quarter off. */
export class Durations {
  readonly #counts = new Float64Array(BUCKETS)
  #sumMs = 0
  #count = 0

  observeMs(durationMs: number): void {
    this.#sumMs += durationMs
    this.#count += 1
    this.#counts[bucketOf(durationMs)]! += 1
  }

  /** Adds what others have counted. */
  add({ counts, sumMs, count }: DurationsRecord): void {
    this.#sumMs += sumMs
    this.#count += count
    for (let at = 0; at < BUCKETS; at++) this.#counts[at]! += counts[at] ?? 0
  }

  clear(): void {
    this.#sumMs = 0
    this.#count = 0
    this.#counts.fill(0)
  }

  get record(): DurationsRecord {
    return { counts: this.#counts, sumMs: this.#sumMs, count: this.#count }
  }

  get count(): number {
    return this.#count
  }

  get sumSeconds(): number {
    return this.#sumMs / 1000
  }

  /** How many took at most 2^octave microseconds. Exact, because buckets are closed at their upper end. */
  countUpTo(octave: number): number {
    let count = 0
    const end = Math.min(BUCKETS, (Math.max(octave, SUB_BITS) - SUB_BITS + 1) * SUB_BUCKETS)
    for (let at = 0; at < end; at++) count += this.#counts[at]!
    return count
  }

  /** The duration that a share `q` of all stayed within (upper end of its bucket), or null before the first. */
  quantileMs(q: number): number | null {
    if (this.#count === 0) return null
    const rank = Math.max(1, Math.ceil(q * this.#count))
    let count = 0
    for (let at = 0; at < BUCKETS; at++) {
      count += this.#counts[at]!
      if (count >= rank) return upperMs(at)
    }
    return upperMs(BUCKETS - 1)
  }
}

export class Histogram extends Durations {
  readonly name: string
  readonly help: string

  constructor(name: string, help: string) {
    super()
    this.name = name
    this.help = help
  }
}

function bucketOf(durationMs: number): number {
  // A whole number that is below 2^k exactly when the duration is at most 2^k microseconds.
  const us = Math.ceil(durationMs * 1000) - 1
  if (!(us >= SUB_BUCKETS)) return Math.max(us, 0)
  if (us >= US_MAX) return BUCKETS - 1
  const octave = 31 - Math.clz32(us)
  return (octave - SUB_BITS + 1) * SUB_BUCKETS + ((us >> (octave - SUB_BITS)) & (SUB_BUCKETS - 1))
}

function upperMs(bucket: number): number {
  const row = Math.floor(bucket / SUB_BUCKETS)
  const sub = bucket % SUB_BUCKETS
  if (row === 0) return (sub + 1) / 1000
  return ((SUB_BUCKETS + sub + 1) * 2 ** (row - 1)) / 1000
}

export type Metrics = ReturnType<typeof createMetrics>

/** All metrics of one proxy; there is no global one. `target` is `writer`, `reader`, `proxy` or an endpoint's name. */
export function createMetrics() {
  const families: Family<readonly string[]>[] = []
  const histograms: Histogram[] = []
  /** Run before each scrape: fills in gauges that are cheaper to compute than to keep. */
  const beforeScrape: (() => void | Promise<void>)[] = []

  const family = <const Labels extends readonly string[]>(
    type: MetricType,
    name: string,
    help: string,
    labelNames: Labels,
  ): Family<Labels> => {
    const made = new Family(type, name, help, labelNames)
    families.push(made as unknown as Family<readonly string[]>)
    return made
  }
  const counter = <const Labels extends readonly string[]>(name: string, help: string, ...labelNames: Labels) =>
    family('counter', name, help, labelNames)
  const gauge = <const Labels extends readonly string[]>(name: string, help: string, ...labelNames: Labels) =>
    family('gauge', name, help, labelNames)
  const histogram = (name: string, help: string): Histogram => {
    const made = new Histogram(name, help)
    histograms.push(made)
    return made
  }

  return {
    families: families as readonly Family<readonly string[]>[],
    histograms: histograms as readonly Histogram[],
    beforeScrape,

    clientConnections: gauge('sluice_client_connections', 'Clients connected now.').labels(),
    statements: counter('sluice_statements_total', 'Statements answered.', 'cluster', 'target', 'access'),
    statementSeconds: histogram('sluice_statement_seconds', 'Time of a statement as the client sees it.'),
    backendSeconds: histogram('sluice_backend_seconds', "The server's part of a statement's time."),
    pinnedSessions: gauge('sluice_pinned_sessions', 'Sessions that cannot leave their backend connection.', 'reason'),
    pins: counter('sluice_pins_total', 'Pins begun.', 'reason'),
    backendConnections: gauge(
      'sluice_backend_connections',
      'Connections to backends by what they are doing.',
      'cluster',
      'backend',
      'state',
    ),
    heldStatements: gauge(
      'sluice_held_statements',
      'Statements that wait for a backend that can serve them.',
      'cluster',
    ),
    holdSeconds: histogram('sluice_hold_seconds', 'How long statements waited for a backend that could serve them.'),
    failovers: counter('sluice_failovers_total', 'Changes of the writer.', 'cluster'),
    retries: counter('sluice_retries_total', 'Statements run again elsewhere, unnoticed by the client.', 'reason'),
    learnedWrites: counter(
      'sluice_learned_writes_total',
      'Statements taken for reads that a reader refused; remembered as writes.',
    ).labels(),
    ignoredHints: counter(
      'sluice_ignored_hints_total',
      'Hints to a reader that a pinned session could not follow.',
    ).labels(),
    errors: counter('sluice_errors_total', "The proxy's own errors sent to clients.", 'code'),
    freshReads: counter(
      'sluice_fresh_reads_total',
      'Reads that had to see something: served by a reader at once (free), after a wait (waited), or by the writer (writer).',
      'cluster',
      'how',
    ),
    catchUpSeconds: histogram('sluice_catch_up_seconds', 'How long reads waited on a reader for what they had to see.'),
    readerLagMs: gauge('sluice_reader_lag_ms', 'Milliseconds a reader is behind the writer.', 'cluster', 'backend'),
    alignments: counter('sluice_alignments_total', "Backend connections brought to a session's settings.").labels(),
    ownRoundTrips: counter(
      'sluice_own_round_trips_total',
      'Round trips to backends that no client asked for: alignments, statements prepared again, what is read out, resets.',
    ).labels(),
    resets: counter('sluice_resets_total', 'Backend connections reset before another session could use them.').labels(),
    clientCloses: counter('sluice_client_closes_total', 'Client connections ended.', 'reason'),
    backendCloses: counter('sluice_backend_closes_total', 'Backend connections ended.', 'reason'),
    logins: counter('sluice_logins_total', 'Logins of clients.', 'result'),
    workers: gauge('sluice_workers', 'Processes that serve clients.').labels(),
    workerDeaths: counter('sluice_worker_deaths_total', 'Workers that ended by themselves and were replaced.').labels(),
    workerSessions: gauge('sluice_worker_client_connections', 'Clients connected to each worker.', 'worker'),
    workerCpuSeconds: gauge('sluice_worker_cpu_seconds', "Processor time of each worker's present process.", 'worker'),
    workerResidentBytes: gauge('sluice_worker_resident_bytes', 'Resident memory of each worker.', 'worker'),
  }
}

/** All that was counted so far, as a value, for other processes. */
export interface MetricsRecord {
  readonly families: readonly {
    readonly name: string
    readonly type: MetricType
    readonly children: readonly { readonly labels: readonly string[]; readonly value: number }[]
  }[]
  readonly histograms: readonly { readonly name: string; readonly durations: DurationsRecord }[]
}

export function recordOf({ families, histograms }: Metrics): MetricsRecord {
  return {
    families: families.map(({ name, type, children }) => ({
      name,
      type,
      children: Array.from(children, ({ labels, value }) => ({ labels, value })),
    })),
    histograms: histograms.map((histogram) => ({ name: histogram.name, durations: histogram.record })),
  }
}

/** Adds what others have counted; of those who are gone `counter`s only. */
export function addRecord(metrics: Metrics, record: MetricsRecord, types: ReadonlySet<MetricType>): void {
  for (const { name, type, children } of record.families) {
    const family = metrics.families.find((each) => each.name === name)
    if (family === undefined || !types.has(type)) continue
    for (const { labels, value } of children) family.labels(...labels).value += value
  }
  for (const { name, durations } of record.histograms) {
    metrics.histograms.find((each) => each.name === name)?.add(durations)
  }
}

export function clearMetrics({ families, histograms }: Metrics): void {
  for (const family of families) family.clear()
  for (const histogram of histograms) histogram.clear()
}
