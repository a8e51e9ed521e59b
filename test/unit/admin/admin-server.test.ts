// Promises of the operators' HTTP, asked over a real connection on loopback.

import { request } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { type AdminServer, startAdmin } from '../../../src/admin/admin-server.ts'
import type { AdminSnapshots } from '../../../src/admin/snapshots.ts'
import { createMetrics } from '../../../src/metrics.ts'
import { session, snapshots } from './snapshots.ts'

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
        backends: [
          {
            address: '127.0.0.1:13306',
            role: 'writer',
            health: 'up',
            lagMs: 0,
            why: 'read_only is off',
            version: '8.4.3',
          },
          { address: '127.0.0.1:13307', role: 'reader', health: 'up', lagMs: 12 },
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

  test('what is not kept is said to be so', async () => {
    expect((await get('/statements')).status).toBe(404)
    await server!.close()
    server = null
    expect(await json('/events', { events: () => [{ kind: 'failover' }] })).toEqual({ events: [{ kind: 'failover' }] })
  })

  test.each(['/topology', '/pools', '/sessions', '/metrics', '/'])('%s leaks no secret', async (path) => {
    // The fake identity, a session variable and the name of a lock hold this word.
    expect(await (await get(path)).text()).not.toContain('hunter2')
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
