// The judge finds a planted violation of every guarantee, and has nothing to say about what is as promised.

import { describe, expect, test } from 'vitest'
import type { Event, Guarantee, Promised } from '../../support/staleness/history.ts'
import { Judge, judged } from '../../support/staleness/judge.ts'

const ITEMS = 4

/** A history written down as it would be told; every line is one event. */
class History {
  readonly events: Event[] = []
  #id = 0

  /** A write of `item@version …`; its fate comes with what is given back. */
  sends(session: string, what: string, through: 'sluice' | 'direct' = 'sluice') {
    const id = ++this.#id
    const puts = sights(what)
    this.events.push({ what: 'writes', id, ms: id, session, through, puts, how: '' })
    const settle = (fate: 'wrote' | 'undone' | 'unknown') => () => void this.events.push({ what: fate, id, ms: id })
    return { acknowledged: settle('wrote'), undone: settle('undone'), unknown: settle('unknown') }
  }

  wrote(session: string, what: string, through: 'sluice' | 'direct' = 'sluice'): void {
    this.sends(session, what, through).acknowledged()
  }

  asks(session: string, promised: Promised, what: string) {
    const id = ++this.#id
    const saw = sights(what)
    this.events.push({ what: 'reads', id, ms: id, session, promised, items: saw.map(({ item }) => item), how: '' })
    return { told: () => void this.events.push({ what: 'read', id, ms: id, saw, where: null }) }
  }

  read(session: string, promised: Promised, what: string): void {
    this.asks(session, promised, what).told()
  }

  /** `breach item@version<due`, one for each. */
  get verdict(): string[] {
    return judged(ITEMS, this.events).map(
      ({ breach, item, version, due }) => `${breach} ${item}@${version}${due === null ? '' : `<${due.version}`}`,
    )
  }
}

function sights(text: string) {
  return text.split(' ').map((each) => {
    const [item, version] = each.split('@').map(Number)
    return { item: item!, version: version! }
  })
}

const promise = (guarantee: Guarantee, monotonic = false): Promised => ({ guarantee, monotonic })
const EVENTUAL = promise('eventual')
const SESSION = promise('session')
const SERVICE = promise('service')
const GLOBAL = promise('global')
const MONOTONIC = promise('eventual', true)
const ALL = [EVENTUAL, SESSION, SERVICE, GLOBAL, promise('global', true)]

test.each<[story: string, tell: (history: History) => void, verdict: string[]]>([
  [
    'a session that misses its own write',
    (history) => {
      history.wrote('a', '0@1')
      history.read('a', SESSION, '0@0')
    },
    ['session 0@0<1'],
  ],
  [
    'an own write counts for every stronger guarantee too',
    (history) => {
      history.wrote('a', '0@1')
      history.read('a', SERVICE, '0@0')
      history.read('a', GLOBAL, '0@0')
    },
    ['session 0@0<1', 'session 0@0<1'],
  ],
  [
    'a read that misses what another session was acknowledged before',
    (history) => {
      history.wrote('a', '0@1')
      history.read('b', SERVICE, '0@0')
    },
    ['service 0@0<1'],
  ],
  [
    'one of several items that is too old',
    (history) => {
      history.wrote('a', '0@1 2@1')
      history.read('b', SERVICE, '0@1 1@0 2@0')
    },
    ['service 2@0<1'],
  ],
  [
    'a read that misses what was written on the writer directly',
    (history) => {
      history.wrote('d', '0@1', 'direct')
      history.read('b', GLOBAL, '0@0')
    },
    ['global 0@0<1'],
  ],
  [
    'a session that goes back to what it had left behind',
    (history) => {
      history.wrote('a', '0@1')
      history.wrote('a', '0@2')
      history.read('b', MONOTONIC, '0@2')
      history.read('b', MONOTONIC, '0@1')
    },
    ['monotonic 0@1<2'],
  ],
  [
    'a session that goes back elsewhere: what it saw was written after what it misses',
    (history) => {
      history.wrote('a', '1@1')
      history.wrote('a', '0@1')
      history.read('b', MONOTONIC, '0@1')
      history.read('b', MONOTONIC, '1@0')
    },
    ['monotonic 1@0<1'],
  ],
  [
    'half a transaction',
    (history) => {
      history.wrote('a', '0@1 1@1')
      history.read('b', MONOTONIC, '0@1')
      history.read('b', MONOTONIC, '1@0')
    },
    ['monotonic 1@0<1'],
  ],
  [
    'what nobody wrote',
    (history) => {
      history.read('b', EVENTUAL, '0@7')
    },
    ['invented 0@7'],
  ],
  [
    'what was taken back',
    (history) => {
      history.sends('a', '0@1').undone()
      history.read('b', EVENTUAL, '0@1')
    },
    ['invented 0@1'],
  ],
  [
    'a promise keeps what was acknowledged when the read was sent, though more came since',
    (history) => {
      history.wrote('a', '0@1')
      const read = history.asks('b', SERVICE, '0@0')
      history.wrote('a', '0@2')
      read.told()
    },
    ['service 0@0<1'],
  ],
])('is found: %s', (_story, tell, verdict) => {
  const history = new History()
  tell(history)
  expect(history.verdict).toEqual(verdict)
})

describe.each(ALL)('is right with $guarantee, monotonic $monotonic', (promised) => {
  test.each<[story: string, tell: (history: History) => void]>([
    [
      'the newest version',
      (history) => {
        history.wrote('a', '0@1')
        history.wrote('d', '0@2', 'direct')
        history.read('a', promised, '0@2')
        history.read('b', promised, '0@2')
      },
    ],
    [
      'the old version while the new one is being written, and the new one before it is acknowledged',
      (history) => {
        history.wrote('a', '0@1')
        const write = history.sends('a', '0@2')
        history.read('b', promised, '0@1')
        history.read('b', promised, '0@2')
        write.acknowledged()
      },
    ],
    [
      'the old version where the new one was acknowledged after the read was sent',
      (history) => {
        const write = history.sends('a', '0@1')
        const read = history.asks('b', promised, '0@0')
        write.acknowledged()
        read.told()
      },
    ],
    [
      'either version, of a write whose fate nobody knows',
      (history) => {
        history.sends('a', '0@1 1@1').unknown()
        history.read('a', promised, '0@0')
        history.read('a', promised, '1@1')
        history.read('a', promised, '0@1')
      },
    ],
    [
      'the old version after the new one was taken back, though its own session saw it',
      (history) => {
        const write = history.sends('a', '0@1')
        history.read('a', promised, '0@1')
        write.undone()
        history.read('a', promised, '0@0')
      },
    ],
  ])('%s', (_story, tell) => {
    const history = new History()
    tell(history)
    expect(history.verdict).toEqual([])
  })
})

test.each([
  ['eventual: anything that was ever there', EVENTUAL, 'a', '0@0'],
  ['session: what others wrote may be missing', SESSION, 'b', '0@0'],
  ['service: what was written elsewhere may be missing', SERVICE, 'b', '0@1'],
])('less is promised by %s', (_story, promised, session, saw) => {
  const history = new History()
  history.wrote('a', '0@1')
  history.wrote('d', '0@2', 'direct')
  history.read(session, promised, saw)
  expect(history.verdict).toEqual([])
})

test('reads that saw less than the service had acknowledged are counted, whatever was promised', () => {
  const history = new History()
  history.wrote('a', '0@1')
  history.read('b', EVENTUAL, '0@0')
  history.read('b', EVENTUAL, '0@1')
  history.read('b', SERVICE, '0@1')
  const judge = new Judge(ITEMS)
  for (const event of history.events) judge.take(event)
  expect(judge.counts).toMatchObject({
    eventual: { reads: 2, stale: 1 },
    session: { reads: 0, stale: 0 },
    service: { reads: 1, stale: 0 },
  })
})
