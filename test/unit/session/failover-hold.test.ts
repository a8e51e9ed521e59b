// The hold alone: its states, its bounds, its order and its pace.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ProxyError } from '../../../src/errors.ts'
import { createMetrics } from '../../../src/metrics.ts'
import { type Drained, FailoverHold, type HoldLimits, type Wait } from '../../../src/session/failover-hold.ts'
import type { Backend, Topology } from '../../../src/topology/topology.ts'

const LIMITS: HoldLimits = {
  heldMax: 100,
  heldBytesMax: 1_000,
  failoverMsMax: 10_000,
  restMsMin: 500,
  drainPerSecond: 1_000_000,
}

let epoch = 0
function topology(isThere: boolean): Topology {
  const writer: Backend = {
    id: 'db1:3306',
    host: 'db1',
    port: 3306,
    role: 'writer',
    health: isThere ? 'up' : 'down',
    lagMs: 0,
    weight: 1,
    version: null,
    sinceMs: 0,
    why: isThere ? '' : 'nobody listens there',
  }
  return { cluster: 'main', epoch: ++epoch, kind: null, writerEpoch: 1, backends: [writer] }
}

class HoldStage {
  readonly hold: FailoverHold
  readonly order: string[] = []
  readonly told: string[] = []
  readonly drained: Drained[] = []
  #isThere = true

  constructor(limits: Partial<HoldLimits> = {}) {
    this.hold = new FailoverHold({ ...LIMITS, ...limits }, createMetrics().holdSeconds, () => performance.now())
    this.hold.observe({
      onHold: (_startedMs, why) => this.told.push(`holds: ${why}`),
      onDrained: (drained) => {
        this.told.push('drained')
        this.drained.push(drained)
      },
    })
    this.there(true)
  }

  there(isThere: boolean): void {
    this.#isThere = isThere
    this.hold.follow(topology(isThere))
  }

  wait(name: string, change: Partial<Wait> = {}): Promise<void> {
    const wait: Wait = {
      target: 'writer',
      served: () => this.#isThere,
      because: 'it may write',
      code: 'NO_WRITER',
      bytes: 1,
      sinceMs: performance.now(),
      waitMsMax: 3_000,
      setting: 'hold.waitMsMax',
      ...change,
    }
    return this.hold.wait(wait).then(
      () => void this.order.push(name),
      (error: ProxyError) => void this.order.push(`${name} fails: ${error.message}`),
    )
  }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Lets what has been settled be heard of. */
const settled = () => vi.advanceTimersByTimeAsync(0)

describe('its states', () => {
  test('idle while there is a writer, holding without one, idle again when nobody had to wait', () => {
    const stage = new HoldStage()
    expect(stage.hold.state).toBe('idle')
    stage.there(false)
    expect(stage.hold.state).toBe('holding')
    stage.there(true)
    expect(stage.hold.state).toBe('idle')
    expect(stage.told).toEqual(['holds: db1:3306 is down: nobody listens there', 'drained'])
    expect(stage.drained).toMatchObject([{ held: 0, failed: 0 }])
  })

  test('those that waited go in the order they came', async () => {
    const stage = new HoldStage()
    stage.there(false)
    for (const name of ['a', 'b', 'c']) void stage.wait(name)
    await settled()
    expect(stage.order).toEqual([])
    stage.there(true)
    await settled()
    expect(stage.order).toEqual(['a', 'b', 'c'])
  })

  test('draining keeps to its pace, and whoever comes meanwhile is last', async () => {
    const stage = new HoldStage({ drainPerSecond: 100 })
    stage.there(false)
    for (const name of ['a', 'b', 'c']) void stage.wait(name)
    stage.there(true)
    expect(stage.hold.state).toBe('draining')
    void stage.wait('d')
    await settled()
    expect(stage.order).toEqual(['a'])
    await vi.advanceTimersByTimeAsync(10)
    expect(stage.order).toEqual(['a', 'b'])
    await vi.advanceTimersByTimeAsync(20)
    expect(stage.order).toEqual(['a', 'b', 'c', 'd'])
    expect(stage.hold.state).toBe('idle')
    expect(stage.drained).toMatchObject([{ held: 4, failed: 0, longestWaitMs: 30 }])
  })

  test('a writer that is lost while it drains: the others wait on, and it is still the same hold', async () => {
    const stage = new HoldStage({ drainPerSecond: 100 })
    stage.there(false)
    for (const name of ['a', 'b']) void stage.wait(name)
    stage.there(true)
    stage.there(false)
    await vi.advanceTimersByTimeAsync(100)
    expect(stage.order).toEqual(['a'])
    expect(stage.hold.state).toBe('holding')
    stage.there(true)
    await vi.advanceTimersByTimeAsync(100)
    expect(stage.order).toEqual(['a', 'b'])
    expect(stage.told).toEqual([expect.stringMatching(/^holds/), 'drained'])
  })

  test('waits for readers are no hold, and end as soon as they can be served', async () => {
    const stage = new HoldStage()
    let isServed = false
    void stage.wait('read', { target: 'reader', served: () => isServed })
    expect(stage.hold.state).toBe('idle')
    stage.there(true)
    await settled()
    expect(stage.order).toEqual([])
    isServed = true
    stage.there(true)
    await settled()
    expect(stage.order).toEqual(['read'])
    expect(stage.told).toEqual([])
  })
})

describe('its bounds', () => {
  test.each<[string, Partial<HoldLimits>, Partial<Wait>, RegExp]>([
    ['number', { heldMax: 1 }, {}, /1 statements already wait \(hold.heldMax\)/],
    ['bytes', { heldBytesMax: 10 }, { bytes: 10 }, /statements of 1 bytes already wait \(hold.heldBytesMax\)/],
  ])(
    '%s: one more fails at once, and there is room again when the first has gone',
    async (_what, limits, wait, text) => {
      const stage = new HoldStage(limits)
      stage.there(false)
      void stage.wait('a')
      void stage.wait('b', wait)
      await settled()
      expect(stage.order).toEqual([expect.stringMatching(text)])
      stage.there(true)
      stage.there(false)
      void stage.wait('c', wait)
      await settled()
      expect(stage.order.slice(1)).toEqual(['a'])
      expect(stage.hold.held).toBe(1)
    },
  )

  test('time of a statement: it fails when it has waited for so long, in all its waits together', async () => {
    const stage = new HoldStage()
    stage.there(false)
    void stage.wait('a')
    void stage.wait('b', { sinceMs: performance.now() - 2_000 })
    await vi.advanceTimersByTimeAsync(999)
    expect(stage.order).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(stage.order).toEqual([expect.stringMatching(/^b fails: .*longer than 3000 ms \(hold.waitMsMax\)/)])
    await vi.advanceTimersByTimeAsync(2_000)
    expect(stage.order).toHaveLength(2)
    expect(stage.hold.held).toBe(0)
  })

  test('time of a failover: all that wait fail, whoever comes fails at once, until there is a writer', async () => {
    const stage = new HoldStage({ failoverMsMax: 1_000 })
    stage.there(false)
    void stage.wait('a')
    await vi.advanceTimersByTimeAsync(1_000)
    void stage.wait('b')
    await settled()
    expect(stage.order).toEqual([
      expect.stringMatching(/^a fails: .*\(hold.failoverMsMax\)/),
      expect.stringMatching(/^b fails: .*\(hold.failoverMsMax\)/),
    ])
    stage.there(true)
    expect(stage.hold.state).toBe('idle')
    await vi.advanceTimersByTimeAsync(LIMITS.restMsMin)
    stage.there(false)
    void stage.wait('c')
    stage.there(true)
    await settled()
    expect(stage.order.slice(2)).toEqual(['c'])
  })

  test('a writer that flaps uses up the time of one failover; one that rested has it all again', async () => {
    const stage = new HoldStage({ failoverMsMax: 1_000 })
    for (let flap = 1; flap <= 2; flap++) {
      stage.there(false)
      void stage.wait(`flap ${flap}`)
      await vi.advanceTimersByTimeAsync(490)
      stage.there(true)
      await vi.advanceTimersByTimeAsync(LIMITS.restMsMin - 1)
    }
    stage.there(false)
    void stage.wait('flap 3')
    await vi.advanceTimersByTimeAsync(20)
    expect(stage.order).toEqual(['flap 1', 'flap 2', expect.stringMatching(/^flap 3 fails: .*\(hold.restMsMin\)/)])
    stage.there(true)
    await vi.advanceTimersByTimeAsync(LIMITS.restMsMin)
    stage.there(false)
    void stage.wait('later')
    await vi.advanceTimersByTimeAsync(999)
    stage.there(true)
    await settled()
    expect(stage.order[3]).toBe('later')
  })
})
