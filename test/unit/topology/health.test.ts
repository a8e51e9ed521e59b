// Who can be used, by table: probes that fail, readers that are late, and what makes a new epoch.

import { describe, expect, test } from 'vitest'
import { at, claim, following, type Round, type Step, source, Watched, writing } from './support.ts'

describe('a backend that does not answer', () => {
  test('is in doubt at the first failure, and down after as many as it takes', () => {
    const watched = new Watched({ failuresToDown: 3 }).round({ db1: writing(), db2: following('db1') })
    const seen = [1, 2, 3, 4].map(() => watched.round({ db2: 'timeout' }).of('db2').health)
    expect(seen).toEqual(['suspect', 'suspect', 'down', 'down'])
    expect(watched.of('db2').why).toBe('probe failed: timeout')
  })

  test.each<[promise: string, steps: readonly Step[], health: string]>([
    ['is down at once when nobody listens there', ['refused'], 'down'],
    ['is in doubt when the data path says so', ['doubt: connection lost'], 'suspect'],
    ['is down when a probe bears the doubt out', ['doubt: connection lost', 'timeout'], 'down'],
    ['is up when a probe clears the doubt', ['doubt: connection lost', following('db1')], 'up'],
    ['stays down when the next probe fails in another way', ['refused', 'timeout'], 'down'],
    ['is up as soon as it answers', ['refused', following('db1')], 'up'],
    ['is in doubt while the monitor is locked out', ['login'], 'suspect'],
    ['is down when the monitor stays locked out', ['login', 'login', 'login'], 'down'],
    ['is up while it is full, however long that lasts', ['capacity', 'capacity', 'capacity', 'capacity'], 'up'],
    ['is in doubt when it is full and the data path doubts it', ['doubt: connection lost', 'capacity'], 'suspect'],
    ['is not brought back by being full', ['refused', 'capacity'], 'down'],
  ])('%s', (_promise, steps, health) => {
    const watched = new Watched().round({ db1: writing(), db2: following('db1') })
    for (const step of steps) watched.round({ db2: step })
    expect(watched.of('db2').health).toBe(health)
  })

  test.each<[step: Step, lost: true | undefined]>([
    ['timeout', true],
    ['refused', true],
    ['network', true],
    ['login', undefined],
  ])('down because of %j: is what it was asked lost? %s', (step, lost) => {
    const watched = new Watched().round({ db1: writing(), db2: following('db1') }).rounds(3, { db2: step })
    expect(watched.of('db2').health).toBe('down')
    expect(watched.of('db2').lost).toBe(lost)
    expect(watched.round({ db2: following('db1') }).of('db2').lost).toBeUndefined()
  })

  test('is down at its first failure when another is the writer in its place', () => {
    const watched = new Watched().round({ db1: writing(), db2: following('db1') })
    watched.round({ db1: writing(), db2: writing() }).round({ db1: 'timeout', db2: writing() })
    expect(watched.states).toEqual(['db1 unknown down', 'db2 writer'])
    expect(watched.of('db1').lost).toBe(true)
  })

  test('comes back after as many good answers as it takes, and does not flap meanwhile', () => {
    const watched = new Watched({ successesToUp: 3 }).round({ db1: writing(), db2: following('db1') })
    const steps: readonly Step[] = ['refused', following('db1'), following('db1'), 'timeout', ...threeTimes()]
    const seen = steps.map((step) => watched.round({ db2: step }).of('db2').health)
    expect(seen).toEqual(['down', 'down', 'down', 'down', 'down', 'down', 'up'])
  })

  test('is up with its first answer ever', () => {
    const watched = new Watched({ successesToUp: 3 }).round({ db1: writing(), db2: 'refused' })
    expect(watched.round({ db2: following('db1') }).states).toEqual(['db1 writer', 'db2 reader'])
  })

  test('is silent since the first question that it left unanswered', () => {
    const watched = new Watched().round({ db1: writing() }).rounds(5, { db1: 'timeout' })
    const silentMs = () => watched.observations[0]!.silentMs
    expect(silentMs()).toBe(watched.nowMs - 4_001)
    watched.round({ db1: writing() })
    expect(silentMs()).toBeNull()
  })

  test('keeps the reason of its trouble and the time it began', () => {
    const watched = new Watched().round({ db1: writing() }).round({ db1: 'doubt: connection lost' })
    const { sinceMs } = watched.of('db1')
    expect(watched.of('db1').why).toBe('connection lost')
    watched.round({ db1: 'timeout' }).rounds(3, { db1: 'timeout' })
    expect(watched.of('db1')).toMatchObject({ health: 'down', sinceMs: sinceMs + 1_000, version: '9.7.0' })
  })
})

describe('a writer that locks only the monitor out', () => {
  const lockedOut = () => new Watched().round({ db1: writing(), db2: following('db1') }).rounds(5, { db1: 'login' })

  test('goes on as the writer, and says what is wrong', () => {
    expect(lockedOut().states).toEqual(['db1 writer', 'db2 reader'])
    expect(lockedOut().of('db1').why).toBe('probe failed: login')
  })

  test('is used no more once the data path doubts it too', () => {
    expect(lockedOut().round({ db1: 'doubt: lost' }).of('db1').health).not.toBe('up')
  })

  test('loses to one that is promoted', () => {
    expect(lockedOut().round({ db1: 'login', db2: writing() }).states).toContain('db2 writer')
  })
})

function threeTimes(): readonly Step[] {
  return [following('db1'), following('db1'), following('db1')]
}

describe('a reader that is late', () => {
  const lags = (...lagsMs: readonly (number | null)[]) => {
    const watched = new Watched({ lagMsMax: 1_000 })
    return lagsMs.map((lagMs) => watched.round({ db1: writing(), db2: following('db1', { lagMs }) }).of('db2').health)
  }

  test('leaves above the bound, and comes back well below it', () => {
    expect(lags(1_000, 1_001, 1_000, 801, 800, 1_000)).toEqual(['up', 'behind', 'behind', 'behind', 'up', 'up'])
  })

  test('is not judged by a lag that nobody knows', () => {
    expect(lags(null, 1_001, null)).toEqual(['up', 'behind', 'up'])
  })

  test('says how late it is and which setting bounds that', () => {
    const watched = new Watched().round({ db1: writing(), db2: following('db1', { lagMs: 5_000 }) })
    expect(watched.of('db2')).toMatchObject({
      role: 'reader',
      lagMs: 5_000,
      why: 'it is 5000 ms behind; reads.lagMsMax is 1000',
    })
  })

  test('that comes back from the dead need only be within the bound', () => {
    const watched = new Watched().round({ db1: writing(), db2: 'refused' })
    watched.round({ db2: following('db1', { lagMs: 900 }) })
    expect(watched.of('db2').health).toBe('up')
  })

  test('shows no lag as a writer', () => {
    const watched = new Watched().round({ db1: writing({ lagMs: 70_000 }) })
    expect(watched.of('db1')).toMatchObject({ role: 'writer', health: 'up', lagMs: 0 })
  })
})

describe('a reader whose replication does not run', () => {
  const followingWith = (change: Parameters<typeof source>[1]) => following('db1', { sources: [source('db1', change)] })

  test.each<[promise: string, reader: Step, why: RegExp | null]>([
    ['does not apply', followingWith({ applying: false }), /^its replication is stopped$/],
    [
      'failed to apply',
      followingWith({ applying: false, error: 'duplicate key' }),
      /^its replication is stopped: duplicate key$/,
    ],
    ['does not receive', followingWith({ receiving: 'no' }), /^it receives nothing from db1$/],
    [
      'never reached its source',
      followingWith({ receiving: 'trying', error: 'denied' }),
      /^it cannot reach db1.*: denied$/,
    ],
    ['follows nobody', claim({ readOnly: true }), /^it replicates from nobody, so it does not get what db1 writes$/],
    ['shares the storage of its writer', claim({ readOnly: true, sharedStorage: true }), null],
    ['may not be asked whom it follows', claim({ readOnly: true, note: 'GRANT' }), null],
    ['follows a server that is no member', following('elsewhere'), null],
  ])('%s', (_promise, reader, why) => {
    const watched = new Watched().round({ db1: writing(), db2: reader })
    expect(watched.of('db2').health).toBe(why === null ? 'up' : 'behind')
    if (why !== null) expect(watched.of('db2').why).toMatch(why)
  })

  test('goes on serving while the writer is dead, for there is nothing to miss', () => {
    const watched = new Watched().round({ db1: writing(), db2: following('db1') })
    watched.rounds(60, { db1: 'refused', db2: followingWith({ receiving: 'trying', error: 'refused' }) })
    expect(watched.states).toEqual(['db1 writer down', 'db2 reader'])
  })

  test('is out when what it received before is not applied, writer or not', () => {
    const watched = new Watched().round({ db1: 'refused', db2: followingWith({ applying: false }) })
    expect(watched.of('db2').health).toBe('behind')
  })

  test('has as long as readers may be late when it loses a writer that lives', () => {
    const watched = new Watched({ lagMsMax: 2_500 }).round({ db1: writing(), db2: following('db1') })
    const lost: Round = { db1: writing(), db2: followingWith({ receiving: 'trying' }) }
    expect([1, 2, 3].map(() => watched.round(lost).of('db2').health)).toEqual(['up', 'up', 'behind'])
  })
})

describe('a reader that says it is level', () => {
  const count = (writer: number, reader: number, lagMs: number | null = 0): Round => ({
    db1: writing({ position: at(writer) }),
    db2: following('db1', { position: at(reader), lagMs }),
  })

  test('is behind for as long as the first of them has been missing, by our own clock', () => {
    const watched = new Watched({ lagMsMax: 1_500 }).round(count(10, 10))
    const lags = [count(11, 10), count(12, 10), count(12, 10), count(12, 11), count(12, 12)].map(
      (round) => watched.round(round).of('db2').lagMs,
    )
    // Asked a millisecond before the answers of the round came: what came in the same round proves nothing yet.
    expect(lags).toEqual([0, 999, 1_999, 1_999, 0])
  })

  test('is behind however quiet the writer is meanwhile', () => {
    const watched = new Watched().round(count(10, 10)).round(count(11, 10)).rounds(300, count(11, 10))
    expect(watched.of('db2')).toMatchObject({ health: 'behind', lagMs: 299_999 })
  })

  test('is behind however busy the writer is meanwhile', () => {
    const watched = new Watched().round(count(10, 10))
    for (let step = 11; step < 400; step++) watched.round(count(step, 10))
    expect(watched.of('db2').health).toBe('behind')
    expect(watched.of('db2').lagMs).toBeGreaterThan(100_000)
    // What is remembered for that is bounded.
    expect(Math.max(...watched.observations.map(({ marks }) => marks.length))).toBe(120)
  })

  test('is not blamed for what was written after it was asked', () => {
    expect(
      new Watched()
        .round(count(10, 10, null))
        .round(count(11, 10, null))
        .of('db2').lagMs,
    ).toBe(0)
  })

  test('is not blamed for what it lacked before we met: replication need not bring everything', () => {
    expect(new Watched().rounds(5, count(10, 3)).states).toEqual(['db1 writer', 'db2 reader'])
  })

  test('is measured anew when the writer begins again from nothing', () => {
    const watched = new Watched().round(count(10, 10)).round(count(11, 11)).round(count(12, 12))
    watched.rounds(3, count(2, 2)).rounds(3, count(3, 3))
    expect(watched.of('db2')).toMatchObject({ health: 'up', lagMs: 0 })
    expect(watched.rounds(3, count(4, 3)).of('db2')).toMatchObject({ health: 'behind', lagMs: 1_999 })
  })

  test('may stay without a source while it lacks nothing', () => {
    const alone = { sources: [source('db1', { receiving: 'trying' })], position: at(10), lagMs: null } as const
    const watched = new Watched()
      .round(count(10, 10))
      .rounds(9, { db1: writing({ position: at(10) }), db2: following('db1', alone) })
    expect(watched.of('db2')).toMatchObject({ health: 'up', lagMs: 0 })
    watched.rounds(4, { db1: writing({ position: at(11) }), db2: following('db1', alone) })
    expect(watched.of('db2').health).toBe('behind')
  })

  test('may get them in ways that we do not see, as the members of a group do', () => {
    const member = (writer: number, reader: number): Round => ({
      db1: writing({ position: at(writer) }),
      db2: claim({ readOnly: true, position: at(reader) }),
    })
    const watched = new Watched().round(member(10, 10)).round(member(12, 11)).round(member(14, 13))
    expect(watched.of('db2').health).toBe('up')
    expect(watched.rounds(3, member(14, 13)).of('db2').health).toBe('behind')
  })

  test('and shares storage is not measured so: what it has executed itself stands still', () => {
    const shared = claim({ readOnly: true, sharedStorage: true, position: at(10) })
    const watched = new Watched().round(count(10, 10))
    for (let step = 11; step < 20; step++) watched.round({ db1: writing({ position: at(step) }), db2: shared })
    expect(watched.of('db2').health).toBe('up')
  })

  test('is believed when it says that it is later than we saw', () => {
    const watched = new Watched().round(count(10, 10)).round(count(10, 10, 4_000))
    expect(watched.of('db2')).toMatchObject({ health: 'behind', lagMs: 4_000 })
  })
})

describe('the epoch', () => {
  const steady: Round = { db1: writing(), db2: following('db1') }

  test.each<[promise: string, round: Round, grows: number]>([
    ['stays when nothing changed', steady, 0],
    ['stays when only the lag changed', { db2: following('db1', { lagMs: 700 }) }, 0],
    ['stays when a server tells another version', { db2: following('db1', { version: '9.8.0' }) }, 0],
    ['grows when a reader is late', { db2: following('db1', { lagMs: 7_000 }) }, 1],
    ['grows when a backend is in doubt', { db1: 'doubt: lost' }, 1],
    ['grows when there is a new member', { db3: following('db1') }, 1],
    ['grows by one when roles change', { db1: following('db2'), db2: writing() }, 1],
  ])('%s', (_promise, round, grows) => {
    const watched = new Watched().round(steady)
    const { epoch } = watched.topology
    expect(watched.round(round).topology.epoch).toBe(epoch + grows)
  })

  test('and the snapshot are the same when nothing changed', () => {
    const watched = new Watched().round(steady)
    const before = watched.topology
    expect(watched.round(steady).topology).toBe(before)
    expect(watched.round({ db2: following('db1', { lagMs: 700 }) }).topology).not.toBe(before)
    expect(before.backends.map(({ lagMs }) => lagMs)).toEqual([0, 0])
  })

  test('and `sinceMs` agree on what a change is', () => {
    const watched = new Watched().round(steady)
    const { sinceMs } = watched.of('db2')
    expect(watched.round({ db2: following('db1', { lagMs: 700 }) }).of('db2').sinceMs).toBe(sinceMs)
    expect(watched.round({ db2: following('db1', { lagMs: 7_000 }) }).of('db2').sinceMs).toBe(watched.nowMs)
  })
})
