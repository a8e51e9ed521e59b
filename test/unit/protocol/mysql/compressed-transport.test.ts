// The compressed protocol as a transport, over an in-memory pair.

import { randomBytes } from 'node:crypto'
import { duplexPair } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { startCompression } from '../../../../src/protocol/mysql/compressed-transport.ts'
import { CompressedStream } from '../../../../src/protocol/mysql/compression.ts'
import { StreamTransport } from '../../../../src/protocol/stream-transport.ts'

function pair() {
  const [ours, theirs] = duplexPair()
  const transport = startCompression(new StreamTransport(ours), 'zlib')
  const peer = new CompressedStream({ algorithm: 'zlib', level: null, blockBytesMax: 0xffffff })
  const received: string[] = []
  const closed: (string | null)[] = []
  transport.onBytes = (bytes) => received.push(bytes.toString())
  transport.onClosed = (error) => closed.push(error?.message ?? null)
  return { transport, theirs, peer, received, closed }
}

test('what is written arrives compressed, and reads as it was', async () => {
  const { transport, theirs, peer } = pair()
  const sent = Buffer.concat([Buffer.alloc(1_000_000, 'abc'), randomBytes(300_000)])
  let wire = 0
  const parts: Buffer[] = []
  theirs.on('data', (bytes: Buffer) => {
    wire += bytes.length
    peer.push(bytes)
    for (let block = peer.shift(); block !== null; block = peer.shift()) parts.push(block)
  })
  transport.write(sent)
  await vi.waitUntil(() => Buffer.concat(parts).length === sent.length)
  expect(Buffer.concat(parts).equals(sent)).toBe(true)
  expect(wire).toBeLessThan(350_000)
})

test('blocks cut anywhere are read whole', async () => {
  const { transport, theirs, peer, received } = pair()
  const wire = Buffer.concat([peer.wrap(Buffer.alloc(5000, 'x')), peer.wrap(Buffer.from('short'))])
  transport.resume()
  for (let at = 0; at < wire.length; at += 3) {
    theirs.write(wire.subarray(at, at + 3))
    await turn()
  }
  await vi.waitUntil(() => received.length === 2)
  expect(received).toEqual(['x'.repeat(5000), 'short'])
})

test('a pause in the middle of a chunk keeps the blocks behind it for later', async () => {
  const { transport, theirs, peer, received } = pair()
  transport.onBytes = (bytes) => {
    received.push(bytes.toString())
    transport.pause()
  }
  transport.resume()
  theirs.write(Buffer.concat([peer.wrap(Buffer.from('one')), peer.wrap(Buffer.from('two'))]))
  await vi.waitUntil(() => received.length > 0)
  await turn()
  expect(received).toEqual(['one'])
  transport.resume()
  expect(received).toEqual(['one'])
  await turn()
  expect(received).toEqual(['one', 'two'])
})

test('bytes that are no block end the transport, and its owner hears why', async () => {
  const { transport, theirs, closed } = pair()
  transport.resume()
  theirs.write(Buffer.from([3, 0, 0, 0, 50, 0, 0, 1, 2, 3]))
  await vi.waitUntil(() => closed.length > 0)
  expect(closed).toEqual(['a compressed block that cannot be read'])
  expect(transport.closed).toBe(true)
})

test('the other side closing is passed on', async () => {
  const { transport, theirs, closed } = pair()
  transport.resume()
  theirs.end()
  await vi.waitUntil(() => closed.length > 0)
  expect(closed).toEqual([null])
})
