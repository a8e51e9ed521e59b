// Replies of real servers, and some no server would send, followed through every cut.

import { describe, expect, test } from 'vitest'
import { MalformedMessage } from '../../../../src/protocol/mysql/fields.ts'
import { frame, PAYLOAD_BYTES_MAX } from '../../../../src/protocol/mysql/frames.ts'
import { type ReplyForm, type ReplyKind, ReplyTracker } from '../../../../src/protocol/mysql/reply-tracker.ts'
import { damaged, everyDeliveryOf, garbage, inPiecesOf } from '../../../support/cuts.ts'
import { TRANSCRIPTS } from './transcripts.ts'

interface Followed {
  readonly stops: string
  readonly forwarded: Buffer
  readonly left: Buffer
  readonly tracker: ReplyTracker
}

/** Follows a reply as a relay does: what the tracker could not read yet is shown again before the next chunk. */
function follow(kind: ReplyKind, form: ReplyForm, pieces: readonly Buffer[]): Followed {
  const tracker = new ReplyTracker()
  tracker.begin(kind, form)
  const stops: string[] = []
  const forwarded: Buffer[] = []
  const walker = new Walker()
  const forward = (bytes: Buffer) => {
    forwarded.push(bytes)
    walker.take(bytes)
  }
  let held = Buffer.alloc(0)
  for (const piece of pieces) {
    const chunk = Buffer.concat([held, piece])
    let at = 0
    while (!tracker.ended) {
      const stop = tracker.feed(chunk, at)
      forward(chunk.subarray(at, tracker.forwardable))
      at = tracker.forwardable
      if (stop === 'none') break
      expect(tracker.start).toBe(at)
      expect(tracker.end).toBeGreaterThan(at)
      expect([tracker.atFrameBoundary, walker.atMessageEnd]).toEqual([true, true])
      stops.push(told(tracker))
      forward(chunk.subarray(tracker.start, tracker.end))
      at = tracker.end
    }
    held = chunk.subarray(at)
    if (!tracker.ended) expect(tracker.atFrameBoundary).toBe(walker.atMessageEnd)
  }
  return { stops: stops.join(' '), forwarded: Buffer.concat(forwarded), left: held, tracker }
}

function told(tracker: ReplyTracker): string {
  const { stop, okLayout, status, errno } = tracker
  const name = okLayout ? `${stop}(ok)` : stop
  if (stop === 'error') return `${name}:${errno}`
  return stop === 'ok' || stop === 'eof' ? `${name}:${status.toString(16)}` : name
}

/** Walks what was passed on, header by header, for a second opinion on where messages end. */
class Walker {
  #header = Buffer.alloc(0)
  #bodyLeft = 0
  #isFull = false

  take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#bodyLeft > 0) {
        const step = Math.min(this.#bodyLeft, bytes.length - at)
        this.#bodyLeft -= step
        at += step
        continue
      }
      this.#header = Buffer.concat([this.#header, bytes.subarray(at, at + 1)])
      at++
      if (this.#header.length < 4) continue
      this.#bodyLeft = this.#header.readUIntLE(0, 3)
      this.#isFull = this.#bodyLeft === PAYLOAD_BYTES_MAX
      this.#header = Buffer.alloc(0)
    }
  }

  get atMessageEnd(): boolean {
    return this.#header.length === 0 && this.#bodyLeft === 0 && !this.#isFull
  }
}

const NEW: ReplyForm = { deprecateEof: true, optionalMetadata: false }
const OLD: ReplyForm = { deprecateEof: false, optionalMetadata: false }

/** Payloads in hexadecimal or as they are, framed one after the other. */
function reply(...payloads: (string | Buffer)[]): Buffer {
  return Buffer.concat(
    payloads.map((payload, index) =>
      frame(typeof payload === 'string' ? Buffer.from(payload, 'hex') : payload, index + 1),
    ),
  )
}

const COLUMN = Buffer.from('\x03def\0\0\0\x01a\0\x0c\x2d\0\0\x04\0\0\xfd\0\0\x1f\0\0', 'latin1')
const OK = '00000002000000'
const END = 'fe000002000000'
const EOF = 'fe00000200'
const ERROR = Buffer.from('\xff\x28\x04#42000no', 'latin1')

describe.each(TRANSCRIPTS)('$title', ({ kind, form, stops, bytes }) => {
  const isOver = stops !== 'infile'

  test('stops where it must, however it arrives, and passes every byte on', () => {
    for (const pieces of everyDeliveryOf(bytes)) {
      const followed = follow(kind, form, pieces)
      expect(followed.stops).toBe(stops)
      expect(followed.forwarded.equals(bytes)).toBe(true)
      expect(followed.tracker.ended).toBe(isOver)
    }
  })

  test('ends where it ends, with more bytes behind it', () => {
    if (!isOver) return
    const more = reply(OK)
    for (const pieces of everyDeliveryOf(Buffer.concat([bytes, more]))) {
      const followed = follow(kind, form, pieces)
      expect([followed.stops, followed.left.equals(more.subarray(more.length - followed.left.length))]).toEqual([
        stops,
        true,
      ])
      expect(followed.forwarded.equals(bytes)).toBe(true)
    }
  })
})

describe('what a stop tells', () => {
  const feed = (kind: ReplyKind, bytes: Buffer, form = NEW) => {
    const tracker = new ReplyTracker()
    tracker.begin(kind, form)
    tracker.feed(bytes, 0)
    return tracker
  }

  test('an OK: rows, id, status, warnings', () => {
    const { affectedRows, insertId, status, warnings, first, sequence, ended } = feed(
      'query',
      reply('00fc2c01fd0500010300 0700'.replace(' ', '')),
    )
    expect({ affectedRows, insertId, status, warnings, first, sequence, ended }).toEqual({
      affectedRows: 300,
      insertId: 65541n,
      status: 3,
      warnings: 7,
      first: true,
      sequence: 1,
      ended: true,
    })
  })

  test('an id of 64 bits is exact', () => {
    expect(feed('query', reply('0001feffffffffffffffff02000000')).insertId).toBe(2n ** 64n - 1n)
  })

  test('an OK whose state changed', () => {
    expect(feed('query', reply('00000002400000')).hasStateChanges).toBe(true)
    expect(feed('query', reply(OK)).hasStateChanges).toBe(false)
  })

  test('an error behind rows is not the first of its reply', () => {
    const tracker = feed('query', reply('01', COLUMN, '0131', ERROR))
    expect([tracker.stop, tracker.errno, tracker.first, tracker.sequence]).toEqual(['error', 1064, false, 4])
    expect(feed('query', reply(ERROR)).first).toBe(true)
  })

  test('the second OK of a text is not the first of its reply', () => {
    const bytes = reply('0000000a000000', OK)
    const tracker = feed('query', bytes)
    expect([tracker.first, tracker.ended]).toEqual([true, false])
    tracker.feed(bytes, tracker.end)
    expect([tracker.first, tracker.ended]).toEqual([false, true])
  })

  test('a prepared statement: id, columns, parameters', () => {
    const tracker = feed('prepare', reply('00070000000200010000 0500'.replace(' ', ''), COLUMN))
    const { stop, statementId, columnCount, parameterCount, warnings } = tracker
    expect([stop, statementId, columnCount, parameterCount, warnings]).toEqual(['prepared', 7, 2, 1, 5])
  })
})

describe('frames that look like something else', () => {
  test.each([
    ['a row that begins with NULL', NEW, ['01', COLUMN, 'fb', END], 'eof(ok):2'],
    ['a row that begins with an empty value', NEW, ['01', COLUMN, '00', END], 'eof(ok):2'],
    ['a row of a file name', OLD, ['01', COLUMN, EOF, 'fb0161', EOF], 'eof:2 eof:2'],
    [
      'an old row with a length of eight bytes',
      OLD,
      ['01', COLUMN, EOF, `fe0000000100000000${'61'.repeat(9)}`, EOF],
      'eof:2 eof:2',
    ],
    ['a row of no bytes', NEW, ['01', COLUMN, '', END], 'eof(ok):2'],
    [
      "rows behind MariaDB's word that a routine has a cursor open",
      OLD,
      ['01', COLUMN, 'fe00004200', '0131', 'fe00000200'],
      'eof:42 eof:2',
    ],
    ['an error of the greatest number', NEW, ['ffffff23484d303030'], 'error:65535'],
    ['an error where a column should be', NEW, ['02', COLUMN, ERROR], 'error:1064'],
    ['an EOF of the old kind from a new server', NEW, ['01', COLUMN, '0131', EOF], 'eof:2'],
    ['251 columns', NEW, ['fcfb00', ...Array<Buffer>(251).fill(COLUMN), END], 'eof(ok):2'],
    [
      'a file that was loaded, with more results behind it',
      NEW,
      ['fb78', '0001000a000000', '01', COLUMN, END],
      'infile ok(ok):a eof(ok):2',
    ],
  ])('%s', (_what, form, payloads, stops) => {
    const bytes = reply(...payloads)
    for (const pieces of [[bytes], inPiecesOf(1, bytes), inPiecesOf(5, bytes)]) {
      const followed = follow('query', form, pieces)
      expect([followed.stops, followed.tracker.ended, followed.forwarded.equals(bytes)]).toEqual([stops, true, true])
    }
  })
})

describe('rows of more than one frame', () => {
  // The second frame begins with each of the bytes that would mean an end elsewhere.
  test.each([
    ['an end', 0xfe, 5],
    ['an error', 0xff, 9],
    ['an OK', 0x00, 7],
    ['an empty frame', 0xfe, 0],
    ['another full frame', 0xff, PAYLOAD_BYTES_MAX],
  ])('a continuation that looks like %s', (_what, lead, length) => {
    const row = Buffer.concat([Buffer.alloc(PAYLOAD_BYTES_MAX, 0x61), Buffer.alloc(length, lead)])
    row[0] = 0xfe
    for (const [form, head, end] of [
      [NEW, reply('01', COLUMN), reply(END)],
      [OLD, reply('01', COLUMN, EOF), reply(EOF)],
    ] as const) {
      const bytes = Buffer.concat([head, frame(row, 3), end])
      const followed = follow('query', form, inPiecesOf(65_535, bytes))
      expect(followed.stops.endsWith(form.deprecateEof ? 'eof(ok):2' : 'eof:2 eof:2')).toBe(true)
      expect(followed.forwarded.equals(bytes)).toBe(true)
    }
  })

  test('are not a place for an error of our own until they are whole', () => {
    const tracker = new ReplyTracker()
    tracker.begin('fetch', NEW)
    const full = frame(Buffer.alloc(PAYLOAD_BYTES_MAX, 0x61), 1)
    tracker.feed(full.subarray(0, PAYLOAD_BYTES_MAX + 4), 0)
    expect([tracker.forwardable, tracker.atFrameBoundary]).toEqual([PAYLOAD_BYTES_MAX + 4, false])
    tracker.feed(full.subarray(PAYLOAD_BYTES_MAX + 4), 0)
    expect(tracker.atFrameBoundary).toBe(true)
  })
})

describe('what is not understood yet is held back', () => {
  test.each([
    ['half a header', '0100', 0],
    ['a header without the first byte', '05000004', 0],
    ['half an end', 'fe0000', 0],
    ['half a row', '0331', 6],
  ])('%s', (what, hex, forwardable) => {
    const bytes = what.includes('header')
      ? Buffer.from(hex, 'hex')
      : Buffer.concat([Buffer.from('07000001', 'hex'), Buffer.from(hex, 'hex')])
    const tracker = new ReplyTracker()
    tracker.begin('fetch', NEW)
    expect([tracker.feed(bytes, 0), tracker.forwardable]).toEqual(['none', forwardable])
  })
})

describe('nonsense', () => {
  test.each([
    ['an empty answer', 'query', ['']],
    ['an OK cut short', 'query', ['0000']],
    ['a count that cannot be', 'single', ['05']],
    ['no answer to a prepare', 'prepare', ['01']],
    ['a prepare cut short', 'prepare', ['0001000000']],
    ['a file asked for by a ping', 'single', ['fb61']],
  ] as const)('%s is malformed', (_what, kind, payloads) => {
    expect(() => follow(kind, NEW, [reply(...payloads)])).toThrow(MalformedMessage)
  })

  test('columns without an EOF behind them are malformed', () => {
    expect(() => follow('query', OLD, [reply('01', COLUMN, '0131')])).toThrow(MalformedMessage)
  })

  test('an answer of 16 MiB is malformed before it has come', () => {
    expect(() => follow('single', NEW, [Buffer.from('ffffff0100', 'hex')])).toThrow(MalformedMessage)
  })

  test.each(['query', 'prepare', 'fetch', 'field-list', 'single', 'statistics'] as const)(
    'ends a %s in an answer, a wait, or MalformedMessage',
    (kind) => {
      for (let seed = 0; seed < 1500; seed++) {
        const form = { deprecateEof: seed % 2 === 0, optionalMetadata: seed % 3 === 0 }
        const bytes = reply(...Array.from({ length: 6 }, (_, index) => garbage(seed * 7 + index, (seed + index) % 12)))
        orMalformed(() => follow(kind, form, inPiecesOf((seed % 9) + 1, seed % 5 === 0 ? garbage(seed, 60) : bytes)))
      }
    },
  )

  test('damage to real replies ends in an answer, a wait, or MalformedMessage', () => {
    for (const { kind, form, bytes } of TRANSCRIPTS) {
      for (let seed = 0; seed < 60; seed++) orMalformed(() => follow(kind, form, [damaged(bytes, seed)]))
    }
  })
})

function orMalformed(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error
  }
}
