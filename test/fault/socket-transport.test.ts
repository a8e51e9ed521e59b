// What a Transport promises over real sockets: order, backpressure, endings, and TLS in the middle of a connection.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { duplexPair } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import tls from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { allowDirectIo } from '../../src/protocol/direct-io.ts'
import { acceptSocket, connectSocket, proveSockets } from '../../src/protocol/socket-transport.ts'
import { clientContext, makeCertificate, startClientTls, startServerTls } from '../../src/protocol/tls.ts'
import type { Transport } from '../../src/protocol/transport.ts'

const NOTHING = Buffer.alloc(0)
const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

// Backends share what they read into only where that is known to work.
beforeAll(async () => {
  await proveSockets()
})

/** A listening port whose arrivals become transports. */
async function listen() {
  const arrived: Transport[] = []
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    const transport = acceptSocket(socket)
    cleanups.push(() => transport.destroy())
    arrived.push(transport)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => server.close())
  const arrival = async (): Promise<Transport> => {
    await vi.waitUntil(() => arrived.length > 0)
    return arrived.shift()!
  }
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()))
  return { port: (server.address() as net.AddressInfo).port, arrival, close }
}

function dial(port: number): net.Socket {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  cleanups.push(() => socket.destroy())
  return socket
}

async function transports(): Promise<{ near: Transport; far: Transport }> {
  const { port, arrival } = await listen()
  const near = await connectSocket('127.0.0.1', port, AbortSignal.timeout(2_000))
  cleanups.push(() => near.destroy())
  return { near, far: await arrival() }
}

/** Writes `total` bytes, keeping what `write` and `onDrain` say. */
function pour(transport: Transport, chunk: Buffer, total: number): void {
  let left = total
  transport.onDrain = () => {
    while (left > 0) {
      const part = left < chunk.length ? chunk.subarray(0, left) : chunk
      left -= part.length
      if (!transport.write(part)) return
    }
  }
  transport.onDrain()
}

/** Passes on what `from` reads, and stops reading it while `to` is busy: what the relay of replies does. */
function relay(from: Transport, to: Transport): void {
  from.onBytes = (bytes) => {
    if (!to.write(bytes)) from.pause()
  }
  to.onDrain = () => from.resume()
  from.resume()
}

describe('sockets', () => {
  test('this version of Node lets an accepted socket read into a buffer of ours, and be written to directly', async () => {
    expect(await proveSockets()).toEqual({ adoption: true, directIo: true })
  })

  test('1 GiB is relayed to a reader at its own pace, through one buffer', async () => {
    const backend = await transports()
    const client = await transports()
    const total = 2 ** 30
    let count = 0
    client.near.onBytes = (bytes) => {
      count += bytes.length
    }
    client.near.resume()
    relay(backend.near, client.far)
    const before = process.memoryUsage().rss
    let most = before
    pour(backend.far, Buffer.alloc(256 * 1024), total)
    while (count < total) {
      await wait(20)
      most = Math.max(most, process.memoryUsage().rss)
    }
    expect(count).toBe(total)
    expect((most - before) / 2 ** 20).toBeLessThan(64)
  })

  test('a pause right after a resume holds, and nothing is lost', async () => {
    const { port, arrival } = await listen()
    const socket = dial(port)
    const transport = await arrival()
    const received: string[] = []
    transport.onBytes = (bytes) => received.push(bytes.toString())
    transport.resume()
    transport.pause()
    socket.write('one')
    await wait(50)
    expect(received).toEqual([])
    transport.resume()
    await vi.waitUntil(() => received.length > 0)
    expect(received).toEqual(['one'])
  })

  test('a listener that closes does not wait for the clients it has let in, and they go on', async () => {
    const { port, arrival, close } = await listen()
    const socket = dial(port)
    const transport = await arrival()
    relay(transport, transport)
    await close()
    socket.write('still here')
    const [heard] = await once(socket, 'data')
    expect(String(heard)).toBe('still here')
  })
})

describe.each([
  ['directly', true],
  ['through streams', false],
])('written %s', (_how, direct) => {
  beforeAll(() => allowDirectIo(direct))
  afterAll(() => allowDirectIo(true))

  test('bytes arrive in order, however they are cut, in both directions', async () => {
    const { near, far } = await transports()
    const sent = createHash('sha1')
    const back = createHash('sha1')
    let count = 0
    relay(far, far)
    near.onBytes = (bytes) => {
      back.update(bytes)
      count += bytes.length
    }
    near.resume()
    let total = 0
    for (let size = 1; size < 300_000; size = Math.ceil(size * 1.07)) {
      const part = Buffer.alloc(size, size % 251)
      sent.update(part)
      total += size
      near.write(part)
    }
    await vi.waitUntil(() => count === total, { timeout: 5_000 })
    expect(back.digest('hex')).toBe(sent.digest('hex'))
  })

  test('short writes and long ones of one turn, and the end behind them, arrive in order', async () => {
    const { near, far } = await transports()
    const parts = [1, 8 * 1024, 20_000, 3, 8 * 1024 + 1, 5].map((size, index) => Buffer.alloc(size, 65 + index))
    const heard: Buffer[] = []
    near.onBytes = (bytes) => heard.push(Buffer.from(bytes))
    const closed = new Promise<Error | null>((resolve) => {
      near.onClosed = resolve
    })
    near.resume()
    const sent = parts.map((part) => Buffer.from(part))
    for (const part of parts) if (far.write(part)) part.fill(0)
    far.end()
    expect(await closed).toBe(null)
    expect(Buffer.concat(heard).equals(Buffer.concat(sent))).toBe(true)
  })

  test('who does not read is noticed by short writes too, and told from who reads again', async () => {
    const { near, far } = await transports()
    const bytes = Buffer.alloc(1_000)
    let written = 0
    const isTaken = () => {
      written += bytes.length
      return far.write(bytes)
    }
    for (let turns = 0; turns < 10_000 && isTaken(); turns++) {
      for (let count = 0; count < 50 && isTaken(); count++);
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(far.pendingBytes).toBeGreaterThan(0)
    expect(isTaken()).toBe(false)
    const drained = new Promise<void>((resolve) => {
      far.onDrain = resolve
    })
    let heard = 0
    near.onBytes = ({ length }) => {
      heard += length
    }
    near.resume()
    await drained
    await vi.waitUntil(() => heard === written, { timeout: 5_000 })
  })

  test('what a client has not taken yet is not written over by what others are sent', async () => {
    const streams = await Promise.all(
      // Short answers, long ones, and both.
      [[100], [2_000], [8_000], [60_000], [100, 60_000], [300, 9_000, 200]].map(async (lengths, which) => {
        const [backend, client] = [await transports(), await transports()]
        relay(backend.near, client.far)
        const [sent, heard] = [createHash('sha256'), createHash('sha256')]
        let [written, received, turn] = [0, 0, 0]
        client.near.onBytes = (bytes) => {
          heard.update(bytes)
          received += bytes.length
        }
        /** The kernel's buffers, and more. */
        const send = (total: number) => {
          const end = written + total
          backend.far.onDrain = () => {
            while (written < end) {
              const bytes = Buffer.alloc(lengths[turn % lengths.length]!, `${which} ${turn++} `)
              sent.update(bytes)
              written += bytes.length
              if (!backend.far.write(bytes, true)) return
            }
          }
          backend.far.onDrain()
          return vi.waitUntil(() => written >= end || backend.far.pendingBytes > 0)
        }
        const drained = () => vi.waitUntil(() => received === written, { timeout: 10_000 })
        return { client, send, drained, digests: () => [sent.digest('hex'), heard.digest('hex')] }
      }),
    )
    // Some stand still with what they have, while others go on; then they take turns.
    const isSlow = (which: number) => which % 2 === 0
    for (const [which, { client }] of streams.entries()) if (!isSlow(which)) client.near.resume()
    for (const { send } of streams) await send(16 * 2 ** 20)
    for (const { client } of streams) client.near.resume()
    for (const { send } of streams) await send(2 ** 20)
    for (const { drained } of streams) await drained()
    for (const { digests } of streams) {
      const [sent, heard] = digests()
      expect(heard).toBe(sent)
    }
  })

  test('nor is the little that comes when a client takes nothing any more', async () => {
    const [backend, client] = [await transports(), await transports()]
    const [otherBackend, otherClient] = [await transports(), await transports()]
    relay(backend.near, client.far)
    relay(otherBackend.near, otherClient.far)
    let written = 0
    do written += 2 ** 20
    while (client.far.write(Buffer.alloc(2 ** 20)))
    backend.far.write(Buffer.from('for the one'))
    await vi.waitUntil(() => client.far.pendingBytes % 2 ** 20 !== 0)
    otherBackend.far.write(Buffer.from('for another'))
    await new Promise<void>((resolve) => {
      otherClient.near.onBytes = () => resolve()
      otherClient.near.resume()
    })
    let last = ''
    let received = 0
    client.near.onBytes = (bytes) => {
      received += bytes.length
      last = (last + bytes.toString('latin1')).slice(-11)
    }
    client.near.resume()
    await vi.waitUntil(() => received === written + 11, { timeout: 5_000 })
    expect(last).toBe('for the one')
  })

  test('a client that does not read stops the backend from being read', async () => {
    const backend = await transports()
    const client = await transports()
    let relayed = 0
    relay(backend.near, client.far)
    const pass = backend.near.onBytes
    backend.near.onBytes = (bytes) => {
      relayed += bytes.length
      pass(bytes)
    }
    const total = 256 * 2 ** 20
    pour(backend.far, Buffer.alloc(256 * 1024), total)
    // It stands still once the kernel's buffers are full.
    await vi.waitUntil(
      async () => {
        const then = relayed
        await wait(100)
        return relayed > 0 && relayed === then
      },
      { timeout: 10_000 },
    )
    expect(relayed).toBeLessThan(total / 4)
    expect(client.far.pendingBytes).toBeLessThanOrEqual(64 * 1024)
    client.near.resume()
    await vi.waitUntil(() => relayed === total, { timeout: 10_000 })
  })

  test('what is lost on its way to a client that has gone is told once, and as no drain', async () => {
    const { near, far } = await transports()
    let drained = false
    const closed: (Error | null)[] = []
    far.onDrain = () => {
      drained = true
    }
    far.onClosed = (error) => closed.push(error)
    far.resume()
    while (far.write(Buffer.alloc(256 * 1024)));
    near.destroy()
    await vi.waitUntil(() => closed.length > 0)
    await wait(20)
    expect(closed).toEqual([expect.any(Error)])
    expect(drained).toBe(false)
    expect(far.write(Buffer.from('more'))).toBe(true)
  })
})

describe('endings', () => {
  test.each([
    ['an orderly end', (socket: net.Socket) => socket.end(), null],
    ['a reset', (socket: net.Socket) => socket.resetAndDestroy(), 'ECONNRESET'],
  ])('%s is told once', async (_name, act, code) => {
    const { port, arrival } = await listen()
    const socket = dial(port)
    const transport = await arrival()
    const closed: (NodeJS.ErrnoException | null)[] = []
    transport.onClosed = (error) => closed.push(error)
    transport.resume()
    act(socket)
    await vi.waitUntil(() => closed.length > 0)
    await wait(20)
    expect(closed.map((error) => error?.code ?? null)).toEqual([code])
  })

  test('last words reach a client that is still sending', async () => {
    const { port, arrival } = await listen()
    const socket = dial(port)
    const transport = await arrival()
    let heard = ''
    socket.on('data', (bytes) => {
      heard += bytes.toString()
    })
    socket.write(Buffer.alloc(4 * 2 ** 20))
    transport.write(Buffer.from('too large'))
    transport.end()
    await new Promise((resolve) => socket.once('close', resolve))
    expect(heard).toBe('too large')
  })

  test('a backend that is not there, or does not answer, is an error', async () => {
    await expect(connectSocket('127.0.0.1', 1, AbortSignal.timeout(1_000))).rejects.toThrow('ECONNREFUSED')
    await expect(connectSocket('127.0.0.1', 1, AbortSignal.abort(new Error('no time')))).rejects.toThrow('no time')
  })
})

describe('TLS in the middle of a connection', () => {
  let certificate: { cert: string; key: string }
  beforeAll(async () => {
    certificate = await makeCertificate(Date.now())
  })
  const modes = (mode: 'required' | 'verify-ca' | 'verify-identity', ca: string | null) =>
    ({ mode, ca, cert: null, key: null }) as const

  async function upgraded(mode: 'required' | 'verify-ca' | 'verify-identity', ca: string | null, host = '127.0.0.1') {
    const { near, far } = await transports()
    const server = startServerTls(far, clientContext(certificate), NOTHING)
    server.catch(() => {})
    const client = await startClientTls(near, modes(mode, ca), host)
    cleanups.push(() => client.destroy())
    return { client, server: await server }
  }

  test('both sides go on inside it', async () => {
    const { client, server } = await upgraded('required', null)
    expect(server.tls?.version).toBe('TLSv1.3')
    expect(server.peerAddress).toBe('127.0.0.1')
    relay(server, server)
    let heard = 0
    client.onBytes = (bytes) => {
      heard += bytes.length
    }
    client.resume()
    pour(client, Buffer.alloc(100_000), 8 * 2 ** 20)
    await vi.waitUntil(() => heard === 8 * 2 ** 20, { timeout: 10_000 })
  })

  test('a reader who does not read stops the writer, and memory stays within bounds', async () => {
    const { client, server } = await upgraded('required', null)
    let written = 0
    const chunk = Buffer.alloc(64 * 1024)
    for (; written < 512 * 2 ** 20; written += chunk.length) if (!server.write(chunk)) break
    expect(written).toBeLessThan(512 * 2 ** 20)
    expect(server.pendingBytes).toBeLessThan(512 * 1024)
    let heard = 0
    client.onBytes = (bytes) => {
      heard += bytes.length
    }
    const drained = new Promise<void>((resolve) => {
      server.onDrain = resolve
    })
    client.resume()
    await drained
    await vi.waitUntil(() => heard === written + chunk.length)
  })

  test('a hello that came in one piece with the request for TLS is not lost', async () => {
    const { port, arrival } = await listen()
    const socket = dial(port)
    const [inner, outer] = duplexPair()
    outer.once('data', (hello: Buffer) => {
      socket.write(Buffer.concat([Buffer.from('TLS!'), hello]))
      outer.pipe(socket)
    })
    socket.pipe(outer)
    const client = tls.connect({ socket: inner, rejectUnauthorized: false })
    client.on('error', () => {})
    const transport = await arrival()
    const first = await new Promise<Buffer>((resolve) => {
      transport.onBytes = (bytes) => {
        transport.pause()
        resolve(Buffer.from(bytes))
      }
      transport.resume()
    })
    expect(first.subarray(0, 4).toString()).toBe('TLS!')
    expect(first.length).toBeGreaterThan(100)
    const secured = await startServerTls(transport, clientContext(certificate), first.subarray(4))
    const heard = new Promise<string>((resolve) => {
      secured.onBytes = (bytes) => resolve(bytes.toString())
    })
    secured.resume()
    client.write('hello')
    expect(await heard).toBe('hello')
    secured.destroy()
  })

  test.each([
    ['verify-ca trusts a known authority, whatever the name', 'verify-ca', true, 'elsewhere.example', null],
    ['verify-ca refuses an unknown authority', 'verify-ca', false, 'localhost', /self-signed/],
    ['verify-identity wants the name too', 'verify-identity', true, 'elsewhere.example', /altnames/],
    ['verify-identity is content with the right name', 'verify-identity', true, 'localhost', null],
    ['verify-identity is content with the right address', 'verify-identity', true, '127.0.0.1', null],
    ['required asks nobody', 'required', false, 'elsewhere.example', null],
  ] as const)('%s', async (_name, mode, known, host, failure) => {
    const attempt = upgraded(mode, known ? certificate.cert : null, host)
    if (failure === null) expect((await attempt).client.tls).not.toBeNull()
    else await expect(attempt).rejects.toThrow(failure)
  })

  test('a client that speaks no TLS after asking for it is an error, not a hang', async () => {
    const { port, arrival } = await listen()
    const socket = dial(port)
    const transport = await arrival()
    const attempt = startServerTls(transport, clientContext(certificate), NOTHING)
    socket.write('GET / HTTP/1.1\r\n\r\n')
    await expect(attempt).rejects.toThrow()
  })
})
