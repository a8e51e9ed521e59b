// Promises of the operators' HTTP, asked over a real connection on loopback.

import { request } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { type AdminServer, startAdmin } from '../../../src/admin/admin-server.ts'
import type { AdminSnapshots } from '../../../src/admin/snapshots.ts'
import { createMetrics } from '../../../src/metrics.ts'
import type { EventLog } from '../../../src/topology/events.ts'
import { failover, session, snapshots, someEvents } from './snapshots.ts'

let server: AdminServer | null = null

afterEach(async () => {
  await server?.close()
  server = null
})

async function get(path: string, more: Partial<AdminSnapshots> = {}, method = 'GET'): Promise<Response> {
  server ??= await startAdmin({ host: '127.0.0.1', port: 0 }, snapshots(more))
  return fetch(`http://127.0.0.1:${server.port}${path}`, { method })
}

const json = async (path: string, more: Partial<AdminSnapshots> = {}) =>
  (await (await get(path, more)).json()) as Record<string, unknown>

describe('health', () => {
  test('a process that can work is healthy, even while nothing is ready', async () => {
    const answer = await get('/healthz', { ready: () => 'cluster main has no verified writer' })
    expect([answer.status, await answer.text()]).toEqual([200, 'ok\n'])
  })

  test('ready says so', async () => {
    expect((await get('/readyz')).status).toBe(200)
  })

  test('not ready says why', async () => {
    const answer = await get('/readyz', { ready: () => 'cluster main has no verified writer' })
    expect([answer.status, await answer.text()]).toEqual([503, 'not ready: cluster main has no verified writer\n'])
  })
})

describe('snapshots', () => {
  test('the topology names the writer, and tells of each backend how it is, since when and why', async () => {
    const { clusters } = (await json('/topology')) as { clusters: [{ backends: [unknown, { since: string }] }] }
    expect(clusters).toMatchObject([
      {
        cluster: 'main',
        epoch: 7,
        writer: '127.0.0.1:13306',
        floor: { writes: 1_234, position: '0-1-5678' },
        backends: [
          {
            address: '127.0.0.1:13306',
            role: 'writer',
            health: 'up',
            lagMs: 0,
            lacks: 0,
            position: '0-1-5678',
            why: 'read_only is off',
            version: '8.4.3',
          },
          { address: '127.0.0.1:13307', role: 'reader', health: 'up', lagMs: 12, lacks: 3 },
          { address: '127.0.0.1:13308', role: 'reader', health: 'down', lagMs: null, why: 'connect ECONNREFUSED' },
        ],
      },
    ])
    const ageMs = Date.now() - Date.parse(clusters[0].backends[1].since)
    expect(ageMs).toBeGreaterThanOrEqual(60_000)
    expect(ageMs).toBeLessThan(70_000)
  })

  test('pools count connections by state', async () => {
    expect((await json('/pools')).pools).toMatchObject([
      {
        cluster: 'main',
        backend: '127.0.0.1:13306',
        user: 'app',
        connections: { idle: 3, lent: 2, cleaning: 1, opening: 0 },
        waiting: 0,
      },
      { backend: '127.0.0.1:13307' },
    ])
  })

  test('sessions tell their pins, and what would end each', async () => {
    const answer = await json('/sessions')
    expect(answer).toMatchObject({ count: 2, pinned: 1, matching: 2 })
    expect(answer.sessions).toMatchObject([
      { id: 1, user: 'app', schema: 'shop', clientAddress: '127.0.0.1', state: 'idle', pins: [], backend: null },
      {
        id: 2,
        state: 'active',
        backend: '127.0.0.1:13306',
        pins: [
          { reason: 'advisory-lock', because: 'SELECT GET_LOCK ( ? , ? )', endsWith: /RELEASE_LOCK/, count: 1 },
          { reason: 'temporary-table', endsWith: /DROP TABLE/, names: ['t'] },
        ].map((pin) => ({ ...pin, endsWith: expect.stringMatching(pin.endsWith) })),
      },
    ])
  })

  test.each([
    ['/sessions?limit=1', [1]],
    ['/sessions?pinned=1', [2]],
    ['/sessions?user=app', [1]],
    ['/sessions?user=nobody', []],
    ['/sessions?limit=x', [1, 2]],
  ])('%s shows %j', async (path, ids) => {
    const { sessions, count } = (await json(path)) as { sessions: { id: number }[]; count: number }
    expect(sessions.map(({ id }) => id)).toEqual(ids)
    expect(count).toBe(2)
  })

  test('ten thousand sessions are counted, a thousand shown', async () => {
    const many = Array.from({ length: 10_000 }, (_, at) => session(at))
    const answer = (await json('/sessions', { sessions: () => many })) as { sessions: unknown[]; count: number }
    expect([answer.count, answer.sessions.length]).toEqual([10_000, 1_000])
  })

  test('statements tell by digest what became of them, those that took most time first', async () => {
    const answer = await json('/statements')
    expect(answer).toMatchObject({ count: 2, matching: 2 })
    expect(answer.statements).toMatchObject(
      [
        {
          cluster: 'main',
          access: 'write',
          targets: { writer: 2 },
          count: 2,
          errors: 1,
          ms: { total: 200, mean: 100, p50: expect.any(Number), p95: expect.any(Number), p99: expect.any(Number) },
          first: expect.stringMatching(/^\d{4}-/),
          last: expect.stringMatching(/^\d{4}-/),
        },
        { access: 'read', targets: { reader: 2, writer: 1 }, because: /no usable reader/, count: 3, errors: 0 },
      ].map((row) => ('because' in row ? { ...row, because: expect.stringMatching(row.because!) } : row)),
    )
  })

  test.each([
    ['/statements?limit=1', ['write']],
    ['/statements?target=reader', ['read']],
    ['/statements?cluster=other', []],
    ['/statements?order=count', ['read', 'write']],
    ['/statements?order=errors', ['write', 'read']],
    ['/statements?order=p95', ['write', 'read']],
    ['/statements?order=last', ['write', 'read']],
  ])('%s shows a %j', async (path, accesses) => {
    const { statements, count } = (await json(path)) as { statements: { access: string }[]; count: number }
    expect(statements.map(({ access }) => access)).toEqual(accesses)
    expect(count).toBe(2)
  })

  test('an order that there is not is refused with those that there are', async () => {
    const answer = await get('/statements?order=rows')
    expect([answer.status, await answer.json()]).toEqual([400, { error: expect.stringContaining('time, count') }])
  })

  test.each(['/topology', '/pools', '/sessions', '/statements', '/metrics', '/'])(
    '%s leaks no secret',
    async (path) => {
      // The fake identity, a session variable and the name of a lock hold this word.
      expect(await (await get(path)).text()).not.toContain('hunter2')
    },
  )
})

describe('events', () => {
  test('tell what became of members, and of a failover its timeline in milliseconds since the writer was lost', async () => {
    const { events, underWay } = (await json('/events')) as { events: [object, { at: string }]; underWay: unknown[] }
    expect(underWay).toEqual([])
    expect(events).toEqual([
      {
        id: 1,
        at: expect.any(String),
        kind: 'up',
        cluster: 'main',
        backend: '127.0.0.1:13307',
        name: 'db-2',
        role: 'reader',
        health: 'up',
        was: { role: 'reader', health: 'behind' },
        lagMs: 3,
        epoch: 6,
        why: 'read_only is on',
      },
      {
        id: 2,
        at: expect.any(String),
        kind: 'failover',
        cluster: 'main',
        from: '127.0.0.1:13308',
        to: '127.0.0.1:13306',
        epoch: 7,
        because: 'it says that it is read-only',
        losses: 1,
        timeline: { detectedMs: 3, foundMs: 40, verifiedMs: 42, firstWriteMs: 45, endedMs: 1_040 },
        held: 12,
        longestWaitMs: 42,
        sessions: { before: 20, left: 1, lost: 0, kept: 19 },
        transactionsLost: 2,
        outcomesUnknown: 1,
        errors: { TRANSACTION_LOST: 2, OUTCOME_UNKNOWN: 1 },
      },
    ])
    const ageMs = Date.now() - Date.parse(events[1].at)
    expect(ageMs).toBeGreaterThanOrEqual(60_000)
    expect(ageMs).toBeLessThan(70_000)
  })

  test.each([
    ['/events?limit=1', [2]],
    ['/events?limit=0', []],
    ['/events?kind=up', [1]],
    ['/events?cluster=other', []],
    ['/events?limit=x', [1, 2]],
  ])('%s shows %j', async (path, ids) => {
    const { events } = (await json(path)) as { events: { id: number }[] }
    expect(events.map(({ id }) => id)).toEqual(ids)
  })

  test('show a failover that is under way as far as it has come', async () => {
    const open = failover({ to: null, foundMs: null, verifiedMs: null, firstWriteMs: null, endedMs: null })
    const { underWay } = await json('/events', { failovers: () => [open] })
    expect(underWay).toMatchObject([{ from: open.from, to: null, timeline: { detectedMs: 3, foundMs: null } }])
  })

  /** Opens a stream, and gives what comes in on it whole event by whole event. */
  async function stream(path: string, log: EventLog, headers: Record<string, string> = {}) {
    server ??= await startAdmin({ host: '127.0.0.1', port: 0 }, snapshots({ events: (after) => log.after(after) }))
    const abort = new AbortController()
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, {
      headers: { accept: 'text/event-stream', ...headers },
      signal: abort.signal,
    })
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const next = async () => {
      while (!text.includes('\n\n')) {
        const { value, done } = await reader!.read()
        if (done) return null
        text += value
      }
      const end = text.indexOf('\n\n')
      const event = text.slice(0, end)
      text = text.slice(end + 2)
      return event
    }
    return { answer, next, close: () => abort.abort() }
  }

  test('come as they happen to whoever asks for a stream, from now on', async () => {
    const log = someEvents()
    const { answer, next, close } = await stream('/events', log)
    expect(answer.headers.get('content-type')).toBe('text/event-stream')
    expect(await next()).toBe(': events of Sluice')
    log.add(failover({ epoch: 8 }))
    const [kind, data, id] = (await next())!.split('\n')
    expect([kind, id]).toEqual(['event: failover', 'id: 3'])
    expect(JSON.parse(data!.slice('data: '.length))).toMatchObject({ id: 3, kind: 'failover', epoch: 8, held: 12 })
    close()
  })

  test.each([
    ['1', 'id: 2'],
    // Of an earlier process: all that is kept is news.
    ['99', 'id: 1'],
  ])('a stream that was cut goes on after event %s', async (lastId, id) => {
    const { next, close } = await stream('/events', someEvents(), { 'last-event-id': lastId })
    await next()
    expect((await next())!.split('\n').at(-1)).toBe(id)
    close()
  })

  test('a stream brings what it was asked for only', async () => {
    const { next, close } = await stream('/events?kind=failover', someEvents(), { 'last-event-id': '0' })
    await next()
    expect(await next()).toContain('event: failover')
    close()
  })

  test('streams are bounded in number, and one that was closed makes room', async () => {
    const log = someEvents()
    const open = [await stream('/events', log)]
    while (open.length < 32) open.push(await stream('/events', log))
    expect((await stream('/events', log)).answer.status).toBe(503)
    for (const { close } of open) close()
    await expect.poll(async () => (await stream('/events', log)).answer.status, { timeout: 5_000 }).toBe(200)
  })
})

describe('metrics', () => {
  const NAMES = [
    'sluice_client_connections gauge',
    'sluice_statements_total counter',
    'sluice_statement_seconds histogram',
    'sluice_backend_seconds histogram',
    'sluice_pinned_sessions gauge',
    'sluice_pins_total counter',
    'sluice_backend_connections gauge',
    'sluice_held_statements gauge',
    'sluice_hold_seconds histogram',
    'sluice_failovers_total counter',
    'sluice_retries_total counter',
    'sluice_learned_writes_total counter',
    'sluice_errors_total counter',
    'sluice_reader_lag_ms gauge',
    'sluice_alignments_total counter',
    'sluice_own_round_trips_total counter',
    'sluice_resets_total counter',
    'sluice_client_closes_total counter',
    'sluice_backend_closes_total counter',
    'sluice_logins_total counter',
    'process_resident_memory_bytes gauge',
  ]

  test('every promised name is there, with its type', async () => {
    const answer = await get('/metrics')
    const text = await answer.text()
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    expect(NAMES.filter((name) => !text.includes(`# TYPE ${name}\n`))).toEqual([])
  })

  test('a scrape shows what was counted, each time anew', async () => {
    const metrics = createMetrics()
    const child = metrics.statements.labels('main', 'reader', 'read')
    child.value += 2
    metrics.statementSeconds.observeMs(1)
    metrics.statementSeconds.observeMs(100)
    metrics.beforeScrape.push(() => {
      metrics.readerLagMs.clear()
      metrics.readerLagMs.labels('main', 'db"1').value = 7
    })
    const first = await (await get('/metrics', { metrics })).text()
    expect(first).toContain('sluice_statements_total{cluster="main",target="reader",access="read"} 2\n')
    expect(first).toContain('sluice_statement_seconds_bucket{le="0.001024"} 1\n')
    expect(first).toContain('sluice_statement_seconds_bucket{le="+Inf"} 2\n')
    expect(first).toContain('sluice_statement_seconds_sum 0.101\n')
    expect(first).toContain('sluice_statement_seconds_count 2\n')
    expect(first).toContain('sluice_reader_lag_ms{cluster="main",backend="db\\"1"} 7\n')
    child.value += 1
    const second = await (await get('/metrics')).text()
    expect(second).toContain('sluice_statements_total{cluster="main",target="reader",access="read"} 3\n')
  })
})

describe('the page and the rest', () => {
  test('the page is one file that loads nothing from elsewhere', async () => {
    const answer = await get('/')
    const html = await answer.text()
    expect(answer.headers.get('content-type')).toMatch(/^text\/html/)
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(html).toContain('<title>Sluice</title>')
    expect(html).toContain('>0.1.0<')
    expect(html.match(/(?:src|href)="(?!data:)[^"]*"/g)?.filter((link) => link.includes('//'))).toEqual([])
    expect(html).not.toMatch(/innerHTML|insertAdjacentHTML|document\.write/)
  })

  test('nothing can be changed through it', async () => {
    const answer = await get('/topology', {}, 'POST')
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })

  test('a wrong path is answered with the right ones', async () => {
    const answer = await get('/stats')
    expect(answer.status).toBe(404)
    expect(await answer.json()).toMatchObject({ paths: expect.arrayContaining(['/topology', '/metrics']) })
  })

  test('answers are not kept by anybody in between', async () => {
    expect((await get('/topology')).headers.get('cache-control')).toBe('no-store')
  })

  test('a snapshot that fails is an error of that page alone', async () => {
    const fails = () => {
      throw new Error('broken')
    }
    expect((await get('/pools', { pools: fails })).status).toBe(500)
    expect((await get('/topology')).status).toBe(200)
  })

  test('closing does not wait for a connection that is kept open', async () => {
    server = await startAdmin({ host: '127.0.0.1', port: 0 }, snapshots())
    const { port } = server
    const socket = await new Promise<import('node:net').Socket>((resolve) => {
      const asked = request({ host: '127.0.0.1', port, path: '/healthz', headers: { connection: 'keep-alive' } })
      asked.on('response', (answer) => resolve(answer.socket))
      asked.end()
    })
    const closed = new Promise((resolve) => socket.on('close', resolve))
    await server.close()
    server = null
    await closed
  })

  test('an address that is taken is an error at the start', async () => {
    await get('/healthz')
    const taken = { host: '127.0.0.1', port: server!.port }
    await expect(startAdmin(taken, snapshots())).rejects.toThrow(/EADDRINUSE/)
  })
})
