// When the monitor asks, and what it makes of silence, doubts and storms of them; on probers and timers of our own.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLog } from '../../../src/log.ts'
import { type Claim, ProbeFailed, type Prober } from '../../../src/topology/claim.ts'
import { Monitor } from '../../../src/topology/monitor.ts'
import { TopologyStore } from '../../../src/topology/topology.ts'
import { claim, following, writing } from './support.ts'

const TIMEOUT_MS = 800
const INTERVAL_MS = 1_000

/** Answers after `answerMs`; silent, it fails at its timeout, as real ones do. */
class FakeProber implements Prober {
  claim: Claim
  answerMs = 1
  failure: ProbeFailed | null = null
  silent = false
  asked = 0
  underWay = 0
  closed = false

  constructor(claim: Claim) {
    this.claim = claim
  }

  async probe(): Promise<Claim> {
    this.asked += 1
    this.underWay += 1
    // Whatever is answered was true when the question came.
    const { claim, failure, silent } = this
    await new Promise((answer) => setTimeout(answer, silent ? TIMEOUT_MS : this.answerMs))
    this.underWay -= 1
    if (silent) throw new ProbeFailed('timeout', 'silence')
    if (failure !== null) throw failure
    return claim
  }

  async position(): Promise<null> {
    return null
  }

  async tables(): Promise<null> {
    return null
  }

  close(): void {
    this.closed = true
  }
}

const [id1, id2, id3] = ['db1:1', 'db2:1', 'db3:1'] as const
const refused = new ProbeFailed('refused', 'refused')
const follower = () => following(id1, { serverId: 'another', sources: [], sharedStorage: true })

function setUp() {
  const probers = {
    db1: new FakeProber(writing({ serverId: 'db1' })),
    db2: new FakeProber(follower()),
    db3: new FakeProber(follower()),
  }
  const store = new TopologyStore('main')
  const epochs: number[] = []
  store.subscribe(({ epoch }) => epochs.push(epoch))
  const monitor = new Monitor({
    cluster: 'main',
    topology: {
      kind: 'auto',
      seeds: [
        { host: 'db1', port: 1 },
        { host: 'db2', port: 1 },
        { host: 'db3', port: 1 },
      ],
      writer: null,
      hostPattern: null,
    },
    weights: new Map([['db2:1', 5]]),
    lagMsMax: 1_000,
    probing: { intervalMs: INTERVAL_MS, failuresToDown: 3, successesToUp: 1 },
    prober: (host) => probers[host as keyof typeof probers],
    store,
    log: createLog('silent'),
    nowMs: () => performance.now(),
  })
  const states = () =>
    store.current.backends.map(({ role, health }) => (health === 'up' ? role : `${role} ${health}`)).join(', ')
  const asked = () => [probers.db1.asked, probers.db2.asked, probers.db3.asked]
  return { ...probers, store, epochs, monitor, states, asked }
}

async function started() {
  const stage = setUp()
  const start = stage.monitor.start()
  await vi.advanceTimersByTimeAsync(TIMEOUT_MS)
  await start
  return stage
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('start', () => {
  test('resolves once everybody has answered or has had the time to', async () => {
    const stage = setUp()
    stage.db3.silent = true
    let isStarted = false
    void stage.monitor.start().then(() => {
      isStarted = true
    })
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 1)
    expect([isStarted, stage.store.current.epoch]).toEqual([false, 0])
    await vi.advanceTimersByTimeAsync(1)
    expect([isStarted, stage.store.current.epoch]).toEqual([true, 1])
    expect(stage.states()).toBe('writer, reader, unknown suspect')
  })

  test('believes nobody before all were heard', async () => {
    const stage = setUp()
    stage.db1.answerMs = 500
    stage.db2.claim = writing({ serverId: 'db2' })
    void stage.monitor.start()
    await vi.advanceTimersByTimeAsync(499)
    expect(stage.store.current.backends).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(stage.states()).toBe('unknown, unknown, reader')
  })

  test('gives backends their weights', async () => {
    const { store } = await started()
    expect(store.current.backends.map(({ weight }) => weight)).toEqual([1, 5, 1])
  })

  test('takes the first seed for the writer when the kind is static and none is named', async () => {
    const store = new TopologyStore('main')
    const probers = [new FakeProber(writing()), new FakeProber(writing())]
    const monitor = new Monitor({
      cluster: 'main',
      topology: {
        kind: 'static',
        seeds: [1, 2].map((port) => ({ host: '::1', port })),
        writer: null,
        hostPattern: null,
      },
      weights: new Map(),
      lagMsMax: 1_000,
      probing: { intervalMs: INTERVAL_MS, failuresToDown: 3, successesToUp: 1 },
      prober: (_host, port) => probers[port - 1]!,
      store,
      log: createLog('silent'),
      nowMs: () => performance.now(),
    })
    void monitor.start()
    await vi.advanceTimersByTimeAsync(10)
    expect(store.current.backends.map(({ id, role }) => `${id} ${role}`)).toEqual(['[::1]:1 writer', '[::1]:2 reader'])
    monitor.stop()
  })
})

describe('in quiet times', () => {
  test('everybody is asked once an interval, and nothing is published that is not news', async () => {
    const { asked, epochs } = await started()
    await vi.advanceTimersByTimeAsync(100 * INTERVAL_MS)
    for (const count of asked()) {
      expect(count).toBeGreaterThan(95)
      expect(count).toBeLessThan(108)
    }
    expect(epochs).toEqual([1])
  })

  test('a silent backend delays nobody, and is never asked twice at a time', async () => {
    const { db1, db3, states } = await started()
    db3.silent = true
    const before = db1.asked
    let most = 0
    for (let turn = 0; turn < 300; turn++) {
      await vi.advanceTimersByTimeAsync(100)
      most = Math.max(most, db3.underWay)
    }
    expect(most).toBe(1)
    expect(db1.asked - before).toBeGreaterThan(27)
    expect(states()).toBe('writer, reader, reader down')
  })
})

describe('a doubt', () => {
  test('shows at once, and is cleared by a probe that was sent because of it', async () => {
    const { monitor, states, db2 } = await started()
    const before = db2.asked
    monitor.suspect(id2, 'connection lost')
    expect(states()).toBe('writer, reader suspect, reader')
    await vi.advanceTimersByTimeAsync(30)
    expect(db2.asked).toBe(before + 1)
    expect(states()).toBe('writer, reader, reader')
  })

  test('is borne out by one failed probe', async () => {
    const { monitor, states, db2, store } = await started()
    db2.silent = true
    monitor.suspect(id2, 'connection lost')
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS + 30)
    expect(states()).toBe('writer, reader down, reader')
    expect(store.current.backends[1]!.why).toBe('silence')
  })

  test('is not cleared by an answer to a question asked before it', async () => {
    const { monitor, states, db1, store } = await started()
    db1.answerMs = 50
    while (db1.underWay === 0) await vi.advanceTimersByTimeAsync(10)
    const before = db1.asked
    db1.claim = claim({ readOnly: true, serverId: 'db1' })
    monitor.suspect(id1, 'it says that it is read-only')
    while (db1.asked === before) {
      expect(states()).toMatch(/^writer suspect/)
      await vi.advanceTimersByTimeAsync(1)
    }
    expect(states()).toMatch(/^writer suspect/)
    await vi.advanceTimersByTimeAsync(60)
    expect(store.current.backends[0]).toMatchObject({ role: 'reader' })
  })

  test('told by a thousand sessions is one doubt and few probes', async () => {
    const { monitor, db1, epochs } = await started()
    db1.answerMs = 20
    const [asked, published] = [db1.asked, epochs.length]
    for (let session = 0; session < 1_000; session++) monitor.suspect(id1, 'connection lost')
    await vi.advanceTimersByTimeAsync(10)
    for (let session = 0; session < 1_000; session++) monitor.suspect(id1, 'connection lost')
    await vi.advanceTimersByTimeAsync(200)
    expect(db1.asked - asked).toBeLessThanOrEqual(3)
    expect(epochs.length - published).toBeLessThanOrEqual(4)
    expect(db1.underWay).toBe(0)
  })

  test('that is raised again whenever it was cleared costs few probes', async () => {
    const { monitor, db2 } = await started()
    const before = db2.asked
    for (let ms = 0; ms < 1_000; ms++) {
      monitor.suspect(id2, 'connection lost')
      await vi.advanceTimersByTimeAsync(1)
    }
    expect(db2.asked - before).toBeLessThanOrEqual(60)
  })

  test('in somebody unknown is nothing', async () => {
    const { monitor, store } = await started()
    const before = store.current
    monitor.suspect('db9:1', 'connection lost')
    expect(store.current).toBe(before)
  })
})

describe('while there is no writer', () => {
  test('everybody is asked often, so that a promotion is seen at once', async () => {
    const { monitor, states, db1, db2, db3 } = await started()
    db1.failure = refused
    monitor.suspect(id1, 'connection lost')
    await vi.advanceTimersByTimeAsync(30)
    expect(states()).toBe('writer down, reader, reader')
    const before = db3.asked
    await vi.advanceTimersByTimeAsync(1_000)
    expect(db3.asked - before).toBeGreaterThanOrEqual(8)
    db2.claim = writing({ serverId: 'db2' })
    await vi.advanceTimersByTimeAsync(110)
    expect(states()).toBe('unknown down, writer, reader')
  })

  test('nobody waits for the end of an interval that began in quieter times', async () => {
    const { monitor, db1, db3 } = await started()
    const before = db3.asked
    while (db3.asked === before) await vi.advanceTimersByTimeAsync(10)
    await vi.advanceTimersByTimeAsync(100)
    db1.failure = refused
    monitor.suspect(id1, 'connection lost')
    await vi.advanceTimersByTimeAsync(75)
    expect(db3.asked).toBe(before + 2)
  })

  test('a silent old writer does not delay the finding of the new one', async () => {
    const { monitor, states, db1, db2 } = await started()
    db1.silent = true
    monitor.suspect(id1, 'connection lost')
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS + 100)
    db2.claim = writing({ serverId: 'db2' })
    await vi.advanceTimersByTimeAsync(110)
    expect(states()).toBe('unknown down, writer, reader')
  })

  test('the haste ends after a while, and with a new writer', async () => {
    const { db1, db2, db3 } = await started()
    db1.failure = refused
    await vi.advanceTimersByTimeAsync(40_000)
    let before = db3.asked
    await vi.advanceTimersByTimeAsync(10_000)
    expect(db3.asked - before).toBeLessThan(12)
    db2.claim = writing({ serverId: 'db2' })
    await vi.advanceTimersByTimeAsync(2_000)
    before = db3.asked
    await vi.advanceTimersByTimeAsync(10_000)
    expect(db3.asked - before).toBeLessThan(12)
  })

  test('each loss of the writer has its own haste', async () => {
    const { db1, db3 } = await started()
    for (let turn = 0; turn < 2; turn++) {
      db1.failure = refused
      await vi.advanceTimersByTimeAsync(2_000)
      const before = db3.asked
      await vi.advanceTimersByTimeAsync(1_000)
      expect(db3.asked - before).toBeGreaterThanOrEqual(8)
      db1.failure = null
      await vi.advanceTimersByTimeAsync(40_000)
    }
  })
})

describe('stop', () => {
  test('leaves no timer, asks nobody and publishes nothing any more', async () => {
    const { monitor, db1, db2, db3, epochs, asked } = await started()
    db2.answerMs = 100
    monitor.suspect(id2, 'connection lost')
    await vi.advanceTimersByTimeAsync(25)
    monitor.stop()
    const before = [asked(), epochs.length]
    monitor.suspect(id3, 'too late')
    await vi.advanceTimersByTimeAsync(10_000)
    expect([asked(), epochs.length]).toEqual(before)
    expect(vi.getTimerCount()).toBe(0)
    expect([db1.closed, db2.closed, db3.closed]).toEqual([true, true, true])
  })
})
