// A pool's promises: who gets which connection, in what order, and what becomes of it afterwards.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Keeper, type Lease, Pool, type PoolLimits } from '../../../src/pool/pool.ts'
import { type BackendConnection, ConnectFailed, type Settings } from '../../../src/protocol/protocol.ts'
import { settingsOf } from '../../../src/protocol/settings.ts'
import { FakeBackendConnection } from '../../support/fake-backend-connection.ts'

const PLAIN = settingsOf(null, new Map())
const BERLIN = settingsOf('shop', new Map([['time_zone', 'Europe/Berlin']]))
/** A session that leaves on its connections what `left` says, and remembers what it saved. */
const keeper = (settings: Settings = PLAIN, left: () => boolean = () => false, saved: Lease[] = []): Keeper => ({
  settings,
  leaves: left,
  readOut: async (lease) => saved.push(lease) > 0,
  keeps: () => false,
})

const LIMITS: PoolLimits = {
  connectionsMax: 2,
  openingMax: 2,
  idleMsMax: 60_000,
  lifetimeMsMax: 600_000,
  waitMsMax: 1_000,
  waitersMax: 3,
  abandonedMsMax: 250,
}

function poolOf(
  change: Partial<PoolLimits> = {},
  open?: () => Promise<FakeBackendConnection>,
  verify: (connection: BackendConnection) => Promise<boolean> = async () => true,
) {
  const opened: FakeBackendConnection[] = []
  const closed: string[] = []
  let lent = 0
  const pool = new Pool({
    name: 'db1:3306',
    limits: { ...LIMITS, ...change },
    open:
      open ??
      (async () => {
        const connection = new FakeBackendConnection()
        opened.push(connection)
        return connection
      }),
    verify,
    nowMs: () => Date.now(),
    recentMs: () => Date.now(),
    onClose: (reason) => closed.push(reason),
    onLent: (difference) => {
      lent += difference
    },
    onReset: () => {},
  })
  return { pool, opened, closed, lent: () => lent }
}

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** Takes a connection and gives it back, as a session does. */
async function use(pool: Pool, who: Keeper): Promise<Lease> {
  const lease = await pool.acquire(who)
  pool.release(lease)
  return lease
}

describe('whoever asks', () => {
  test('gets the connection it used last, at once', async () => {
    const { pool } = poolOf()
    const [ann, bob] = [keeper(), keeper()]
    const a = await pool.acquire(ann)
    const b = await pool.acquire(bob)
    pool.release(a)
    pool.release(b)
    expect(pool.acquire(ann)).toBe(a)
    expect(pool.acquire(bob)).toBe(b)
  })

  test('gets one whose settings match before one that must be aligned', async () => {
    const { pool, opened } = poolOf()
    const a = await pool.acquire(keeper())
    const b = await pool.acquire(keeper())
    opened[0]!.settings = BERLIN
    pool.release(a)
    pool.release(b)
    expect(pool.acquire(keeper(BERLIN))).toBe(a)
  })

  test('gets what another session merely kept, when nothing else is free', async () => {
    const { pool, opened } = poolOf({ connectionsMax: 1 })
    const kept = await use(pool, keeper())
    const handsBefore = kept.hands
    expect(pool.acquire(keeper())).toBe(kept)
    expect(kept.hands).toBe(handsBefore + 1)
    expect(opened).toHaveLength(1)
  })

  test('gets what others merely kept also in a crowd: each of those who wait has one cleared for it', async () => {
    const { pool, opened } = poolOf({ connectionsMax: 3 })
    const held = await Promise.all([1, 2, 3].map(() => pool.acquire(keeper(PLAIN, () => true))))
    for (const lease of held) {
      lease.connection.dirty = true
      pool.release(lease)
    }
    const leases = await Promise.all([1, 2, 3].map(() => pool.acquire(keeper())))
    expect(new Set(leases)).toEqual(new Set(held))
    expect(opened).toHaveLength(3)
  })

  test('waits in line, and nobody overtakes', async () => {
    const { pool } = poolOf({ connectionsMax: 1 })
    const first = await pool.acquire(keeper())
    const order: string[] = []
    const waiting = ['second', 'third'].map(async (name) => {
      const lease = await pool.acquire(keeper())
      order.push(name)
      pool.release(lease)
    })
    pool.release(first)
    const late = Promise.resolve(pool.acquire(keeper())).then(() => order.push('late'))
    await Promise.all([...waiting, late])
    expect(order).toEqual(['second', 'third', 'late'])
  })

  test('is told the bound when the wait was too long', async () => {
    const { pool } = poolOf({ connectionsMax: 1 })
    await pool.acquire(keeper())
    const waiting = expect(pool.acquire(keeper())).rejects.toMatchObject({
      code: 'POOL_WAIT_TIMEOUT',
      message: expect.stringContaining('pool.waitMsMax'),
    })
    await vi.advanceTimersByTimeAsync(1_000)
    await waiting
    expect(pool.counts.waiting).toBe(0)
  })

  test('is turned away when too many wait already', async () => {
    const { pool } = poolOf({ connectionsMax: 1, waitersMax: 1 })
    await pool.acquire(keeper())
    const waiting = pool.acquire(keeper())
    await expect(pool.acquire(keeper())).rejects.toMatchObject({ code: 'POOL_WAITERS_MAX' })
    pool.close(new Error('over'))
    await expect(waiting).rejects.toThrow('over')
  })
})

describe('a connection', () => {
  test('that was left dirty is reset before anybody else gets it', async () => {
    const { pool, opened } = poolOf({ connectionsMax: 1 })
    const ann = keeper()
    const lease = await pool.acquire(ann)
    opened[0]!.dirty = true
    pool.release(lease)
    expect(pool.acquire(ann)).toBe(lease)
    pool.release(lease)
    expect(opened[0]!.calls).toEqual([])
    const waiting = pool.acquire(keeper())
    expect(pool.counts).toMatchObject({ cleaning: 1, idle: 0, lent: 0, opening: 0 })
    expect(await waiting).toBe(lease)
    expect(opened[0]!.calls).toEqual(['reset'])
  })

  test('that was left dirty is reset once its session is over', async () => {
    const { pool, opened } = poolOf()
    const ann = keeper()
    const lease = await pool.acquire(ann)
    opened[0]!.dirty = true
    pool.release(lease)
    pool.forget(lease, ann)
    await vi.waitFor(() => expect(pool.counts).toMatchObject({ cleaning: 0, idle: 1 }))
    expect(opened[0]!.calls).toEqual(['reset'])
  })

  test('gives up what its session left there before anybody else gets it', async () => {
    const { pool } = poolOf({ connectionsMax: 1 })
    const saved: Lease[] = []
    const ann = keeper(PLAIN, () => saved.length === 0, saved)
    const lease = await use(pool, ann)
    const hands = lease.hands
    expect(await pool.acquire(keeper())).toBe(lease)
    expect(saved).toEqual([lease])
    expect(lease.hands).toBeGreaterThan(hands)
  })

  test('gives up what its session left there before it is closed', async () => {
    const { pool, closed } = poolOf()
    const saved: Lease[] = []
    const lease = await use(
      pool,
      keeper(PLAIN, () => saved.length === 0, saved),
    )
    pool.retire()
    await vi.waitFor(() => expect(closed).toEqual(['proxy retired']))
    expect(saved).toEqual([lease])
  })

  test('on which something was left is given to others last', async () => {
    const { pool } = poolOf()
    const [left, plain] = [await pool.acquire(keeper(PLAIN, () => true)), await pool.acquire(keeper())]
    pool.release(plain)
    pool.release(left)
    expect(pool.acquire(keeper())).toBe(plain)
  })

  test('that cannot be made clean is closed, and a new one serves who waits', async () => {
    const { pool, opened, closed } = poolOf({ connectionsMax: 1 })
    const lease = await pool.acquire(keeper())
    opened[0]!.dirty = true
    opened[0]!.resets = false
    pool.release(lease)
    expect(pool.counts.idle).toBe(1)
    const next = await pool.acquire(keeper())
    expect(next.connection).toBe(opened[1])
    expect(closed).toEqual(['proxy reset failed'])
  })

  test('that was lost while idle is forgotten', async () => {
    const { pool, opened } = poolOf()
    await use(pool, keeper())
    opened[0]!.broken = true
    opened[0]!.onLost()
    expect(pool.counts).toMatchObject({ idle: 0, lent: 0 })
  })

  test('is not lent again once it is retired', async () => {
    const { pool, opened, closed } = poolOf()
    const lent = await pool.acquire(keeper())
    await use(pool, keeper())
    pool.retire()
    expect(pool.counts.idle).toBe(0)
    pool.release(lent)
    expect(closed).toEqual(['proxy retired', 'proxy retired'])
    expect((await pool.acquire(keeper())).connection).toBe(opened[2])
  })

  test('to a reader that becomes the writer is used again once it has said so itself', async () => {
    const asked: BackendConnection[] = []
    const { pool, opened, closed } = poolOf({}, undefined, async (connection) => asked.push(connection) > 0)
    const lent = await pool.acquire(keeper())
    const idle = await use(pool, keeper())
    pool.promote({ ...opened[0]!.backend, role: 'writer' })
    expect(pool.counts).toMatchObject({ idle: 0, cleaning: 1 })
    expect(await pool.acquire(keeper())).toBe(idle)
    expect(asked).toEqual([idle.connection])
    expect(idle.connection.backend.role).toBe('writer')
    pool.release(lent)
    expect(closed).toEqual(['proxy retired'])
  })

  test('to a reader that becomes the writer, and says otherwise, is closed', async () => {
    const { pool, opened, closed } = poolOf({}, undefined, async () => false)
    const before = await use(pool, keeper())
    pool.promote({ ...opened[0]!.backend, role: 'writer' })
    expect(await pool.acquire(keeper())).not.toBe(before)
    expect(closed).toEqual(['proxy in doubt'])
  })

  test('closes when nobody has used it for long, and when it is old', async () => {
    const { pool, closed } = poolOf({ lifetimeMsMax: 100_000 })
    await use(pool, keeper())
    vi.advanceTimersByTime(59_999)
    pool.sweep()
    expect(closed).toEqual([])
    vi.advanceTimersByTime(1)
    pool.sweep()
    expect(closed).toEqual(['proxy idle'])
    const lease = await pool.acquire(keeper())
    vi.advanceTimersByTime(100_000)
    pool.release(lease)
    expect(closed).toEqual(['proxy idle', 'proxy retired'])
    expect(pool.empty).toBe(true)
  })
})

describe('opening', () => {
  test('begins with few, so that the first is there soon', async () => {
    let begun = 0
    const doors: (() => void)[] = []
    const open = () => {
      begun += 1
      return new Promise<FakeBackendConnection>((resolve) => doors.push(() => resolve(new FakeBackendConnection())))
    }
    const { pool } = poolOf({ connectionsMax: 10, openingMax: 8, waitersMax: 10 }, open)
    const waiting = Array.from({ length: 8 }, () => pool.acquire(keeper()))
    expect(begun).toBe(2)
    doors.shift()!()
    await waiting[0]
    expect(begun).toBe(4)
    while (doors.length > 0) {
      doors.shift()!()
      await vi.advanceTimersByTimeAsync(0)
    }
    await Promise.all(waiting)
    expect(begun).toBe(8)
  })

  test('is bounded, so that a restart is no storm', async () => {
    const pending: ((connection: FakeBackendConnection) => void)[] = []
    const open = () => new Promise<FakeBackendConnection>((resolve) => pending.push(resolve))
    const { pool } = poolOf({ connectionsMax: 10, openingMax: 2, waitersMax: 10 }, open)
    const leases = Array.from({ length: 5 }, () => pool.acquire(keeper()))
    expect(pending).toHaveLength(2)
    pending[0]!(new FakeBackendConnection())
    await leases[0]
    expect(pending).toHaveLength(3)
    for (let at = 1; at < 5; at++) {
      pending[at]!(new FakeBackendConnection())
      await leases[at]
    }
    expect(pool.counts).toMatchObject({ lent: 5, opening: 0 })
  })

  test('that fails tells the one who waits why', async () => {
    const { pool } = poolOf({}, () => Promise.reject(new ConnectFailed('network', 'refused', null)))
    await expect(pool.acquire(keeper())).rejects.toThrow('refused')
    expect(pool.empty).toBe(true)
  })

  test('that fails because the server is full leaves the wait to the connections there are', async () => {
    let first: FakeBackendConnection | null = new FakeBackendConnection()
    const open = async () => {
      const connection = first
      first = null
      if (connection === null) throw new ConnectFailed('capacity', 'Too many connections', null)
      return connection
    }
    const { pool } = poolOf({}, open)
    const lease = await pool.acquire(keeper())
    const waiting = pool.acquire(keeper())
    await vi.advanceTimersByTimeAsync(10)
    pool.release(lease)
    expect(await waiting).toBe(lease)
  })
})

test('the number of lent connections is always known', async () => {
  const { pool, lent } = poolOf()
  const a = await pool.acquire(keeper())
  expect(lent()).toBe(1)
  const b = await pool.acquire(keeper())
  expect(lent()).toBe(2)
  pool.release(a)
  pool.discard(b, 'proxy in doubt')
  expect(lent()).toBe(0)
})

describe('a backend that answers no more', () => {
  test('frees whoever waits for it: what is lent is lost, and what waits is turned away', async () => {
    const { pool, opened, closed } = poolOf()
    const lent = [await pool.acquire(keeper()), await pool.acquire(keeper())]
    const waiting = pool.acquire(keeper())
    pool.giveUp('no answer')
    await expect(waiting).rejects.toMatchObject({ kind: 'network', message: 'no answer' })
    expect(opened.map(({ broken }) => broken)).toEqual([true, true])
    for (const lease of lent) pool.release(lease)
    expect(closed).toEqual(['backend lost', 'backend lost'])
    expect(pool.empty).toBe(true)
  })

  test('keeps no idle connection, and is connected to anew when it is back', async () => {
    const { pool, opened } = poolOf()
    await use(pool, keeper())
    pool.giveUp('no answer')
    expect(pool.empty).toBe(true)
    await use(pool, keeper())
    expect(opened.length).toBe(2)
  })
})

test('a connection that was on its way when all were retired is not used', async () => {
  const { pool, opened, closed } = poolOf()
  const waiting = pool.acquire(keeper())
  pool.retire()
  const lease = await waiting
  expect(closed).toEqual(['proxy retired'])
  expect(lease.connection).toBe(opened[1])
})

describe('what connections begin with has changed', () => {
  /** Opens when told to. */
  function slowly(change: Partial<PoolLimits> = {}) {
    const opening: ((connection: FakeBackendConnection) => void)[] = []
    return { ...poolOf(change, () => new Promise((resolve) => opening.push(resolve))), opening }
  }

  test('a connection that was being reset is reset once more', async () => {
    const { pool, opened } = poolOf({ connectionsMax: 1 })
    const ann = keeper()
    const lease = await use(pool, ann)
    const [connection] = opened
    let reset = () => {}
    connection!.resetting = new Promise<void>((resolve) => {
      reset = resolve
    })
    connection!.dirty = true
    pool.forget(lease, ann)
    pool.renew(false)
    connection!.resetting = null
    reset()
    expect(await pool.acquire(keeper())).toBe(lease)
    expect(connection!.calls).toEqual(['reset', 'reset'])
  })

  test('a connection that was being opened is reset before anybody gets it', async () => {
    const { pool, opening } = slowly()
    const lease = pool.acquire(keeper())
    pool.renew(false)
    const connection = new FakeBackendConnection()
    opening[0]!(connection)
    await lease
    expect(connection.calls).toEqual(['reset'])
  })

  test('one that was being opened is closed where a reset is not enough', async () => {
    const { pool, opening, closed } = slowly()
    const lease = pool.acquire(keeper())
    pool.renew(true)
    opening[0]!(new FakeBackendConnection())
    await vi.advanceTimersByTimeAsync(0)
    const second = new FakeBackendConnection()
    opening[1]!(second)
    expect((await lease).connection).toBe(second)
    expect([closed, second.calls]).toEqual([['proxy retired'], []])
  })
})
