// Bytes to messages and back: whatever the cuts, and never more memory than bytes that came.

import { describe, expect, test } from 'vitest'
import {
  FrameError,
  frame,
  frameCount,
  type Message,
  MessageReader,
  PAYLOAD_BYTES_MAX,
} from '../../../../src/protocol/mysql/frames.ts'
import { everyDeliveryOf, garbage, inPiecesOf } from '../../../support/cuts.ts'

function read(pieces: readonly Buffer[], bytesMax = 1 << 26): Message[] {
  const reader = new MessageReader(bytesMax)
  const messages: Message[] = []
  for (const piece of pieces) {
    // The reader must not keep the chunk: its owner uses it again.
    const chunk = Buffer.from(piece)
    reader.push(chunk)
    chunk.fill(0xee)
    for (let message = reader.shift(); message !== null; message = reader.shift()) messages.push(message)
  }
  return messages
}

const told = (messages: readonly Message[]) => messages.map((m) => [m.sequence, m.lastSequence, m.payload.toString()])

describe('messages', () => {
  const bytes = Buffer.concat([
    frame(Buffer.from('\x03select 1'), 0),
    frame(Buffer.alloc(0), 7),
    frame(Buffer.from('x'), 255),
  ])

  test.each(everyDeliveryOf(bytes))('come out the same however they arrive (%#)', (...pieces) => {
    expect(told(read(pieces))).toEqual([
      [0, 0, '\x03select 1'],
      [7, 7, ''],
      [255, 255, 'x'],
    ])
  })

  test('keep their bytes, headers and all', () => {
    expect(Buffer.concat(read(inPiecesOf(3, bytes)).map((message) => message.bytes))).toEqual(bytes)
  })

  test('that came together share one copy, and later bytes do not disturb them', () => {
    const reader = new MessageReader(100)
    reader.push(frame(Buffer.from('one'), 0).subarray(0, 5))
    reader.push(Buffer.concat([frame(Buffer.from('one'), 0).subarray(5), frame(Buffer.from('two'), 0)]))
    const one = reader.shift()!
    const two = reader.shift()!
    reader.push(frame(Buffer.from('three'), 0))
    expect([one, two, reader.shift()!].map((message) => message.payload.toString())).toEqual(['one', 'two', 'three'])
    expect(one.payload.buffer).toBe(two.payload.buffer)
  })

  test('leave nothing behind', () => {
    const reader = new MessageReader(100)
    reader.push(bytes)
    while (reader.shift() !== null);
    expect(reader.bufferedBytes).toBe(0)
  })
})

describe('messages of 16 MiB and more', () => {
  test.each([
    ['one byte less than a full frame', PAYLOAD_BYTES_MAX - 1, 1],
    ['a full frame, with an empty one behind it', PAYLOAD_BYTES_MAX, 2],
    ['a byte more', PAYLOAD_BYTES_MAX + 1, 2],
    ['two full frames', 2 * PAYLOAD_BYTES_MAX, 3],
  ])('%s', (_what, length, frames) => {
    const payload = Buffer.alloc(length, 'abcdefghijk')
    const bytes = frame(payload, 254)
    expect(frameCount(length)).toBe(frames)
    expect(bytes.length).toBe(length + 4 * frames)
    const [message, ...more] = read(inPiecesOf(1_000_003, bytes))
    expect(more).toEqual([])
    expect(message!.payload.equals(payload)).toBe(true)
    expect(message!.bytes.equals(bytes)).toBe(true)
    expect([message!.sequence, message!.lastSequence]).toEqual([254, (254 + frames - 1) % 256])
  })

  test('end badly when their frames do not follow each other', () => {
    const bytes = frame(Buffer.alloc(PAYLOAD_BYTES_MAX), 0)
    bytes[bytes.length - 1] = 5
    expect(() => read([bytes])).toThrow(new FrameError('out of order', 'frame 5 came where 1 belongs'))
  })
})

describe('the bound', () => {
  test('holds for one frame before its body has come', () => {
    const reader = new MessageReader(10)
    reader.push(frame(Buffer.alloc(11), 0).subarray(0, 4))
    expect(() => reader.shift()).toThrow(FrameError)
    expect(reader.bufferedBytes).toBe(4)
  })

  test('lets through what just fits', () => {
    expect(read([frame(Buffer.alloc(10), 0)], 10)).toHaveLength(1)
  })

  test('holds for all frames of a message together', () => {
    expect(() => read([frame(Buffer.alloc(PAYLOAD_BYTES_MAX + 2), 0)], PAYLOAD_BYTES_MAX + 1)).toThrow(FrameError)
  })

  test('can be raised between messages', () => {
    const reader = new MessageReader(1)
    reader.push(Buffer.concat([frame(Buffer.alloc(1), 0), frame(Buffer.alloc(50), 0)]))
    expect(reader.shift()).not.toBeNull()
    reader.bytesMax = 50
    expect(reader.shift()!.payload.length).toBe(50)
  })

  test('is not trusted to the header: a promise of 16 MiB allocates nothing', () => {
    const before = process.memoryUsage().arrayBuffers
    const readers = Array.from({ length: 100 }, () => {
      const reader = new MessageReader(1 << 30)
      reader.push(Buffer.from('feffff00ab', 'hex'))
      expect(reader.shift()).toBeNull()
      reader.push(Buffer.from('cd', 'hex'))
      return reader
    })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20)
    expect(readers[0]!.bufferedBytes).toBe(6)
  })
})

test('nonsense is a message, a wait for more, or a FrameError', () => {
  for (let seed = 0; seed < 2000; seed++) {
    try {
      read(inPiecesOf((seed % 13) + 1, garbage(seed, 64)), 4096)
    } catch (error) {
      expect(error).toBeInstanceOf(FrameError)
    }
  }
})
