// What the monitor does where the servers keep a list of their members: who is asked, who joins, who leaves, and when.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLog } from '../../../src/log.ts'
import { type Claim, type ProbeDepth, ProbeFailed, type Prober, type RosterRow } from '../../../src/topology/claim.ts'
import { Monitor } from '../../../src/topology/monitor.ts'
import { TopologyStore } from '../../../src/topology/topology.ts'
import { claim } from './support.ts'

const INTERVAL_MS = 1_000
const TIMEOUT_MS = 800
const DOMAIN = 'abc123.eu-central-1.rds.amazonaws.com'
const CLUSTER = `main.cluster-${DOMAIN}`
const idOf = (name: string) => `${name}.${DOMAIN}:3306`

/** Some instances, one of them the writer, behind names of RDS; `cluster` leads to the writer. */
class FakeAurora {
  writer = 'a'
  /** What the instances tell of one another; by default all know all. */
  readonly running = new Set<string>()
  readonly silent = new Set<string>()
  /** An instance that still tells of these. */
  readonly told = new Map<string, readonly string[]>()
  readonly asked: { host: string; depth: ProbeDepth }[] = []
  readonly closed: string[] = []

  constructor(...names: readonly string[]) {
    for (const name of names) this.running.add(name)
  }

  prober(host: string): Prober {
    return {
      probe: async (depth: ProbeDepth = 'cluster') => {
        this.asked.push({ host, depth })
        const name = host === CLUSTER ? this.writer : host.slice(0, host.indexOf('.'))
        await new Promise((answer) => setTimeout(answer, this.silent.has(name) ? TIMEOUT_MS : 1))
        if (this.silent.has(name)) throw new ProbeFailed('timeout', 'silence')
        if (!this.running.has(name)) throw new ProbeFailed('network', 'no such host name')
        return this.claim(name, depth)
      },
      position: async () => null,
      tables: async () => null,
      close: () => this.closed.push(host),
    }
  }

  private claim(name: string, depth: ProbeDepth): Claim {
    const readOnly = name !== this.writer
    const rows: RosterRow[] = [...(this.told.get(name) ?? this.running)].map((each) => ({
      name: each,
      address: null,
      writer: each === this.writer,
      lagMs: 10,
      ageMs: 400,
      unfit: null,
    }))
    const roster = depth === 'cluster' ? ({ kind: 'aurora', self: name, rows } as const) : null
    return claim({ readOnly, sharedStorage: readOnly, roster })
  }
}

let monitor: Monitor | null = null

function setUp(aurora: FakeAurora, seeds: readonly string[] = [CLUSTER]) {
  const store = new TopologyStore('main')
  const made = new Monitor({
    cluster: 'main',
    topology: {
      kind: 'auto',
      seeds: seeds.map((host) => ({ host, port: 3306 })),
      writer: null,
      hostPattern: null,
    },
    weights: new Map(),
    lagMsMax: 1_000,
    probing: { intervalMs: INTERVAL_MS, failuresToDown: 2, successesToUp: 1 },
    prober: (host) => aurora.prober(host),
    store,
    log: createLog('silent'),
    nowMs: () => performance.now(),
  })
  monitor = made
  const states = () =>
    store.current.backends
      .map(({ name, role, health }) => (health === 'up' ? `${name} ${role}` : `${name} ${role} ${health}`))
      .join(', ')
  return { monitor: made, store, states }
}

async function started(aurora: FakeAurora, seeds?: readonly string[]) {
  const stage = setUp(aurora, seeds)
  const start = stage.monitor.start()
  await vi.advanceTimersByTimeAsync(2 * TIMEOUT_MS)
  await start
  return stage
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  monitor?.stop()
  vi.useRealTimers()
})

describe('the first round', () => {
  test("leads from the cluster's name to its instances, which have been asked themselves when it ends", async () => {
    const aurora = new FakeAurora('a', 'b', 'c')
    const { store, states } = await started(aurora)
    expect(states()).toBe('a writer, b reader, c reader')
    expect(store.current.backends.map(({ id }) => id)).toEqual(['a', 'b', 'c'].map(idOf))
    expect(store.current.kind).toBe('aurora')
  })

  test('shows nobody before that', async () => {
    const { monitor, store } = setUp(new FakeAurora('a', 'b'))
    void monitor.start()
    await vi.advanceTimersByTimeAsync(1)
    expect(store.current.backends).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(store.current.backends.length).toBe(2)
  })

  test('keeps seeds that are members under their own names', async () => {
    const { states } = await started(new FakeAurora('a', 'b', 'c'), [`b.${DOMAIN}`, `a.${DOMAIN}`])
    expect(states()).toBe('a writer, b reader, c reader')
  })
})

describe('the name of the cluster', () => {
  test('is not asked again while a member can be heard', async () => {
    const aurora = new FakeAurora('a', 'b')
    await started(aurora)
    aurora.asked.length = 0
    await vi.advanceTimersByTimeAsync(20 * INTERVAL_MS)
    expect(aurora.asked.filter(({ host }) => host === CLUSTER)).toEqual([])
  })

  test('is asked again when none can, and leads to those that took their place', async () => {
    const aurora = new FakeAurora('a', 'b')
    const { states } = await started(aurora)
    for (const name of ['a', 'b']) aurora.running.delete(name)
    for (const name of ['x', 'y']) aurora.running.add(name)
    aurora.writer = 'x'
    await vi.advanceTimersByTimeAsync(5 * INTERVAL_MS)
    expect(states()).toBe('x writer, y reader')
  })
})

describe('in quiet times', () => {
  test('each is asked about itself once an interval, and one in turn for the list', async () => {
    const aurora = new FakeAurora('a', 'b', 'c', 'd')
    await started(aurora)
    await vi.advanceTimersByTimeAsync(3 * INTERVAL_MS)
    aurora.asked.length = 0
    await vi.advanceTimersByTimeAsync(40 * INTERVAL_MS)
    const lists = aurora.asked.filter(({ depth }) => depth === 'cluster').map(({ host }) => host[0])
    expect(lists.length).toBeGreaterThanOrEqual(38)
    expect(lists.length).toBeLessThanOrEqual(42)
    for (const name of ['a', 'b', 'c', 'd']) {
      expect(lists.filter((host) => host === name).length).toBeGreaterThanOrEqual(9)
      const asked = aurora.asked.filter(({ host }) => host.startsWith(name)).length
      expect(asked).toBeGreaterThan(35)
      expect(asked).toBeLessThan(60)
    }
  })

  test('a list that differs makes all give theirs, and no storm of questions', async () => {
    const aurora = new FakeAurora('a', 'b', 'c')
    await started(aurora)
    aurora.told.set('c', ['a', 'c'])
    aurora.asked.length = 0
    await vi.advanceTimersByTimeAsync(20 * INTERVAL_MS)
    expect(aurora.asked.length).toBeLessThan(20 * 3 * 4)
  })
})

describe('members', () => {
  test('come within two intervals, though only one is asked at a time', async () => {
    const aurora = new FakeAurora('a', 'b', 'c')
    const { states } = await started(aurora)
    aurora.running.add('d')
    await vi.advanceTimersByTimeAsync(2 * INTERVAL_MS)
    expect(states()).toBe('a writer, b reader, c reader, d reader')
  })

  test('come though a reader has not heard of them', async () => {
    const aurora = new FakeAurora('a', 'b', 'c')
    const { states } = await started(aurora)
    for (const name of ['b', 'c']) aurora.told.set(name, ['a', 'b', 'c'])
    aurora.running.add('d')
    await vi.advanceTimersByTimeAsync(4 * INTERVAL_MS)
    expect(states()).toBe('a writer, b reader, c reader, d reader')
  })

  test('go within two intervals: two at once, and one comes', async () => {
    const aurora = new FakeAurora('a', 'b', 'c')
    const { states, store } = await started(aurora)
    const { epoch } = store.current
    aurora.running.delete('b')
    aurora.running.delete('c')
    aurora.running.add('d')
    await vi.advanceTimersByTimeAsync(2 * INTERVAL_MS)
    expect(states()).toBe('a writer, d reader')
    expect(store.current.epoch).toBeGreaterThan(epoch)
    expect(aurora.closed).toEqual(expect.arrayContaining([`b.${DOMAIN}`, `c.${DOMAIN}`]))
    aurora.asked.length = 0
    await vi.advanceTimersByTimeAsync(5 * INTERVAL_MS)
    expect(aurora.asked.filter(({ host }) => host.startsWith('b'))).toEqual([])
  })

  test('that are listed and cannot be reached yet are down, and up when they can', async () => {
    const aurora = new FakeAurora('a', 'b')
    const { states } = await started(aurora)
    for (const name of ['a', 'b']) aurora.told.set(name, ['a', 'b', 'd'])
    await vi.advanceTimersByTimeAsync(3 * INTERVAL_MS)
    expect(states()).toBe('a writer, b reader, d unknown down')
    aurora.running.add('d')
    await vi.advanceTimersByTimeAsync(2 * INTERVAL_MS)
    expect(states()).toBe('a writer, b reader, d reader')
  })

  test('are still asked about when the one whose turn it is hangs', async () => {
    const aurora = new FakeAurora('a', 'b', 'c')
    const { states } = await started(aurora)
    aurora.silent.add('b')
    aurora.running.add('d')
    await vi.advanceTimersByTimeAsync(4 * INTERVAL_MS)
    expect(states()).toBe('a writer, b reader down, c reader, d reader')
  })
})

describe('a member that hangs', () => {
  test('is down within three seconds at default settings', async () => {
    const aurora = new FakeAurora('a', 'b')
    const { states } = await started(aurora)
    aurora.silent.add('b')
    await vi.advanceTimersByTimeAsync(2_750)
    expect(states()).toBe('a writer, b reader down')
  })
})

describe('a failover', () => {
  test('is followed, and the cluster has its new writer', async () => {
    const aurora = new FakeAurora('a', 'b', 'c')
    const { states, store, monitor } = await started(aurora)
    aurora.running.delete('a')
    for (const name of ['b', 'c']) aurora.told.set(name, ['a', 'b', 'c'])
    monitor.suspect(idOf('a'), 'connection lost')
    await vi.advanceTimersByTimeAsync(300)
    expect(states()).toMatch(/^a writer (suspect|down)/)
    aurora.writer = 'b'
    await vi.advanceTimersByTimeAsync(150)
    expect(store.current.backends.find(({ role }) => role === 'writer')?.id).toBe(idOf('b'))
    aurora.running.add('a')
    await vi.advanceTimersByTimeAsync(2 * INTERVAL_MS)
    expect(states()).toBe('a reader, b writer, c reader')
  })
})
