// The compressed protocol: blocks as real clients and servers send them, however they arrive, and bombs that do not go off.

import zlib from 'node:zlib'
import { describe, expect, test } from 'vitest'
import {
  CompressedStream,
  type CompressionAlgorithm,
  ZSTD_SUPPORTED,
} from '../../../../src/protocol/mysql/compression.ts'
import { MalformedMessage } from '../../../../src/protocol/mysql/fields.ts'
import { FrameError } from '../../../../src/protocol/mysql/frames.ts'
import { everyDeliveryOf, garbage, inPiecesOf, randomNumbers } from '../../../support/cuts.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const stream = (algorithm: CompressionAlgorithm = 'zlib', blockBytesMax = 0xffffff) =>
  new CompressedStream({ algorithm, level: null, blockBytesMax })

function read(compressed: CompressedStream, pieces: readonly Buffer[]): Buffer {
  const blocks: Buffer[] = []
  for (const piece of pieces) {
    const chunk = Buffer.from(piece)
    compressed.push(chunk)
    chunk.fill(0xee)
    for (let block = compressed.shift(); block !== null; block = compressed.shift()) blocks.push(block)
  }
  return Buffer.concat(blocks)
}

describe('a block', () => {
  // select repeat('a', 300), asked by the mysql client of 9.7, answered by the server: not worth compressing, and worth it.
  const REQUEST = hex('1e0000 00 000000 1a000000 03 00 01 73656c6563742072657065617428276127 2c20333030 29')
  const REPLY = hex(
    '4d0000016d0100789c636460606454636060624e494d63606010284a2d484d2cd1504f54d751303630d064e0f9cfb0818581' +
      'e12f03833c03833e2303f31f1dc6c451403460676060f9070c6060e00200e7727cbc',
  )

  test('that is sent as it is', () => {
    expect(read(stream(), [REQUEST])).toEqual(REQUEST.subarray(7))
  })

  test('after another, however they arrive', () => {
    for (const pieces of everyDeliveryOf(Buffer.concat([REQUEST, REPLY]))) {
      const bytes = read(stream(), pieces)
      expect(bytes.length).toBe(REQUEST.length - 7 + 0x16d)
      expect(bytes.includes('a'.repeat(300))).toBe(true)
    }
  })

  test('is compressed from 50 bytes on, if that makes it smaller', () => {
    const random = randomNumbers(3)
    const noise = Buffer.from(Array.from({ length: 60 }, () => random(256)))
    const lengthsOf = (bytes: Buffer) => {
      const block = stream().wrap(bytes)
      return [block.readUIntLE(0, 3) < bytes.length, block.readUIntLE(4, 3)]
    }
    expect(lengthsOf(Buffer.alloc(49))).toEqual([false, 0])
    expect(lengthsOf(Buffer.alloc(50))).toEqual([true, 50])
    expect(lengthsOf(noise)).toEqual([false, 0])
  })

  test('numbers go on from the request to the answer, and begin again', () => {
    const proxy = stream()
    proxy.push(REQUEST)
    proxy.shift()
    expect([proxy.wrap(Buffer.from('a'))[3], proxy.wrap(Buffer.from('b'))[3]]).toEqual([1, 2])
    proxy.push(REQUEST)
    proxy.shift()
    expect(proxy.wrap(Buffer.from('c'))[3]).toBe(1)
    proxy.restart()
    expect(proxy.wrap(Buffer.from('d'))[3]).toBe(0)
  })

  test('out of order is an error', () => {
    const block = Buffer.from(REQUEST)
    block[3] = 4
    expect(() => read(stream(), [block])).toThrow(FrameError)
  })
})

const ALGORITHMS: readonly CompressionAlgorithm[] = ZSTD_SUPPORTED ? ['zlib', 'zstd'] : ['zlib']

describe.each(ALGORITHMS)('%s', (algorithm) => {
  test('bytes of any length come out as they went in', () => {
    for (const length of [1, 49, 50, 51, 1000, 256 * 1024, 256 * 1024 + 1, 1_000_000]) {
      const bytes = Buffer.alloc(length, 'to be or not to be, ')
      expect(read(stream(algorithm), inPiecesOf(9973, stream(algorithm).wrap(bytes))).equals(bytes)).toBe(true)
    }
  })

  test('of nothing is nothing', () => {
    expect(stream(algorithm).wrap(Buffer.alloc(0)).length).toBe(0)
  })
})

test('zstd where the runtime has none is refused at once', () => {
  if (ZSTD_SUPPORTED) expect(() => stream('zstd')).not.toThrow()
  else expect(() => stream('zstd')).toThrow('this Node has no zstd')
})

describe('a bomb', () => {
  const bomb = zlib.deflateSync(Buffer.alloc(50_000_000))

  function block(body: Buffer, promised: number): Buffer {
    const header = Buffer.alloc(7)
    header.writeUIntLE(body.length, 0, 3)
    header.writeUIntLE(promised, 4, 3)
    return Buffer.concat([header, body])
  }

  test('that grows beyond its promise is malformed', () => {
    expect(() => read(stream(), [block(bomb, 1000)])).toThrow(MalformedMessage)
  })

  test('that promises more than the bound is refused before it is read', () => {
    expect(() => read(stream('zlib', 1000), [block(bomb, 1001).subarray(0, 7)])).toThrow(FrameError)
  })

  test('that is itself beyond the bound is refused before it has come', () => {
    expect(() => read(stream('zlib', 1000), [hex('e90300 00 000000')])).toThrow(FrameError)
  })

  test('that gives less than its promise is malformed', () => {
    expect(() => read(stream(), [block(zlib.deflateSync(Buffer.alloc(10)), 11)])).toThrow(MalformedMessage)
  })
})

test('nonsense is a block, a wait, or one of our errors', () => {
  for (let seed = 0; seed < 1000; seed++) {
    const bytes = garbage(seed, 40)
    if (seed % 3 === 0) bytes.set([20, 0, 0, 0, seed % 256, 0, 0])
    try {
      read(stream(), inPiecesOf((seed % 11) + 1, bytes))
    } catch (error) {
      if (!(error instanceof MalformedMessage) && !(error instanceof FrameError)) throw error
    }
  }
})
