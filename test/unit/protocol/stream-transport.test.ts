// What a Transport promises, over an in-memory pair.

import { type Duplex, duplexPair } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { StreamTransport } from '../../../src/protocol/stream-transport.ts'

function pair(options: ConstructorParameters<typeof StreamTransport>[1] = {}) {
  const [ours, theirs] = duplexPair()
  const transport = new StreamTransport(ours, options)
  const received: string[] = []
  const closed: (Error | null)[] = []
  const drained: number[] = []
  transport.onBytes = (bytes) => received.push(bytes.toString())
  transport.onClosed = (error) => closed.push(error)
  transport.onDrain = () => drained.push(transport.pendingBytes)
  return { transport, ours, theirs, received, closed, drained }
}

async function readAll(stream: Duplex): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk
  return text
}

describe('reading', () => {
  test('a new transport is paused until its owner resumes it', async () => {
    const { transport, theirs, received } = pair()
    theirs.write('one')
    await turn()
    expect(received).toEqual([])
    transport.resume()
    await turn()
    expect(received).toEqual(['one'])
  })

  test('pausing in the middle of a callback stops the next chunk', async () => {
    const { transport, theirs, received } = pair()
    transport.onBytes = (bytes) => {
      received.push(bytes.toString())
      transport.pause()
    }
    transport.resume()
    theirs.write('one')
    await turn()
    theirs.write('two')
    await turn()
    expect(received).toEqual(['one'])
    transport.resume()
    await turn()
    expect(received).toEqual(['one', 'two'])
  })

  test('bytes are never delivered from within a call of the owner', async () => {
    const { transport, theirs } = pair()
    let within = false
    let wasWithin = false
    transport.onBytes = () => {
      wasWithin ||= within
    }
    theirs.write('one')
    within = true
    transport.resume()
    transport.write(Buffer.from('x'))
    within = false
    await turn()
    expect(wasWithin).toBe(false)
  })
})

describe('writing', () => {
  test('a write that the other side has not taken says so, and onDrain comes once it has', async () => {
    const { transport, theirs, drained } = pair()
    const large = Buffer.alloc(1 << 20)
    expect(transport.write(large)).toBe(false)
    expect(transport.write(large)).toBe(false)
    await turn()
    expect(drained).toEqual([])
    expect(transport.pendingBytes).toBeGreaterThan(0)
    theirs.resume()
    await vi.waitUntil(() => drained.length > 0)
    expect(drained).toEqual([0])
  })

  test('with some bytes allowed to wait, what was written may be overwritten at once', async () => {
    const { transport, theirs } = pair({ pendingBytesMax: 1024 })
    const bytes = Buffer.from('one')
    expect(transport.write(bytes)).toBe(true)
    expect(transport.write(bytes)).toBe(true)
    bytes.fill('x')
    transport.end()
    expect(await readAll(theirs)).toBe('oneone')
  })

  test('beyond the bytes allowed to wait, onDrain is waited for', async () => {
    const { transport, theirs, drained } = pair({ pendingBytesMax: 4 })
    expect(transport.write(Buffer.from('four'))).toBe(true)
    expect(transport.write(Buffer.from('more'))).toBe(false)
    theirs.resume()
    await turn()
    await turn()
    expect(drained).toHaveLength(1)
  })
})

describe('closing', () => {
  test('an end by the other side is told once, without an error', async () => {
    const { transport, theirs, closed } = pair()
    transport.resume()
    theirs.end()
    await turn()
    theirs.destroy()
    await turn()
    expect(closed).toEqual([null])
    expect(transport.closed).toBe(true)
  })

  test('a half-close comes after the bytes before it, and what was written still goes out', async () => {
    const { transport, theirs, received, closed } = pair()
    transport.write(Buffer.from('answer'))
    theirs.end('last words')
    transport.resume()
    await turn()
    expect([received, closed]).toEqual([['last words'], [null]])
    expect(await readAll(theirs)).toBe('answer')
  })

  test('a broken stream is told once, with its error', async () => {
    const { transport, ours, closed } = pair()
    transport.resume()
    ours.destroy(new Error('reset'))
    await turn()
    expect(closed.map((error) => error?.message)).toEqual(['reset'])
  })

  test('an owner that ends hears nothing more, and its last write arrives', async () => {
    const { transport, theirs, received, closed } = pair()
    transport.resume()
    transport.write(Buffer.from('bye'))
    transport.end()
    theirs.write('too late')
    expect(await readAll(theirs)).toBe('bye')
    theirs.end()
    await turn()
    expect([received, closed]).toEqual([[], []])
  })

  test('writing to a closed transport does nothing and asks for no patience', async () => {
    const { transport } = pair()
    transport.destroy()
    expect(transport.write(Buffer.from('x'))).toBe(true)
  })
})
