// The operators' HTTP: health, metrics, snapshots as JSON, and the page. It reads; nothing can be changed through it.

import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { home } from '../home.ts'
import { type Bind, handleOf, listen, type SocketHandle } from '../session/listening-socket.ts'
import { eventStream } from './event-stream.ts'
import type { Exposition } from './exposition.ts'
import {
  type AdminSnapshots,
  clockOf,
  eventsJson,
  poolsJson,
  STATEMENT_ORDERS,
  sessionsJson,
  statementsJson,
  topologyJson,
} from './snapshots.ts'

const SESSIONS_SHOWN = 1_000
const EVENTS_SHOWN = 200
const STATEMENTS_SHOWN = 200
const PATHS = ['/healthz', '/readyz', '/metrics', '/topology', '/pools', '/sessions', '/statements', '/events', '/']

/** The page loads nothing from elsewhere, and must not be made to. */
const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export interface AdminServer {
  /** Where it listens; the port is the real one where 0 was asked for. */
  readonly host: string
  readonly port: number
  /** For a process that takes over. */
  readonly handle: SocketHandle
  /** Who is connected stays. */
  stopListening(): void
  close(): Promise<void>
}

export function createAdminApp(snapshots: AdminSnapshots): Hono {
  const app = new Hono()
  const clock = () => clockOf(snapshots.nowMs(), Date.now())
  const streams = { open: 0 }
  let exposition: Promise<Exposition> | null = null

  app.use(async (context, next) => {
    if (context.req.method !== 'GET' && context.req.method !== 'HEAD') {
      return context.json({ error: 'this only reads; expected GET' }, 405, { allow: 'GET, HEAD' })
    }
    await next()
    context.header('cache-control', 'no-store')
    context.header('x-content-type-options', 'nosniff')
    return
  })
  app.onError((error, context) => context.json({ error: error.message }, 500))
  app.notFound((context) => context.json({ error: `there is no ${context.req.path}`, paths: PATHS }, 404))

  app.get('/healthz', (context) => context.text('ok\n'))
  app.get('/readyz', (context) => {
    const why = snapshots.ready()
    return why === null ? context.text('ready\n') : context.text(`not ready: ${why}\n`, 503)
  })
  app.get('/metrics', async (context) => {
    exposition ??= import('./exposition.ts').then(({ createExposition }) => createExposition(snapshots.metrics))
    const { contentType, text } = await exposition
    return context.body(await text(), 200, { 'content-type': contentType })
  })
  app.get('/topology', async (context) => {
    const floors = await snapshots.floors()
    return context.json(topologyJson(snapshots.topology(), floors, clock()))
  })
  app.get('/pools', async (context) => context.json(poolsJson(await snapshots.pools())))
  app.get('/sessions', async (context) => {
    const { limit, user, pinned } = context.req.query()
    const shown = limit !== undefined && /^\d+$/.test(limit) ? Number(limit) : SESSIONS_SHOWN
    const filter = { limit: shown, user: user ?? null, pinned: pinned === '1' || pinned === 'true' }
    return context.json(sessionsJson(await snapshots.sessions(), filter, clock()))
  })
  app.get('/statements', async (context) => {
    const { limit = '', cluster = null, target = null, order = 'time' } = context.req.query()
    const wanted = STATEMENT_ORDERS.find((each) => each === order)
    if (wanted === undefined) {
      return context.json({ error: `there is no order ${order}; expected one of ${STATEMENT_ORDERS.join(', ')}` }, 400)
    }
    const shown = /^\d+$/.test(limit) ? Number(limit) : STATEMENTS_SHOWN
    return context.json(
      statementsJson(await snapshots.statements(), { limit: shown, cluster, target, order: wanted }, clock()),
    )
  })
  app.get('/events', async (context) => {
    const { limit = '', cluster = null, kind = null } = context.req.query()
    const shown = /^\d+$/.test(limit) ? Number(limit) : EVENTS_SHOWN
    if (context.req.method === 'GET' && context.req.header('accept')?.includes('text/event-stream') === true) {
      return eventStream(context, snapshots, { limit: shown, cluster, kind }, streams)
    }
    const filter = { limit: shown, cluster, kind }
    return context.json(eventsJson(snapshots.events(0), await snapshots.failovers(), filter, clock()))
  })
  app.get('/', (context) => {
    context.header('content-security-policy', PAGE_POLICY)
    context.header('referrer-policy', 'no-referrer')
    return context.html(page().replace('%VERSION%', snapshots.version.replace(/[^\w.+-]/g, '')))
  })
  return app
}

/** Resolves once it listens, on the socket that is `given` or a new one; rejects when the address cannot be had. */
export async function startAdmin(
  bind: Bind,
  snapshots: AdminSnapshots,
  given: SocketHandle | null = null,
): Promise<AdminServer> {
  const listener = getRequestListener(createAdminApp(snapshots).fetch)
  const server = createServer((request, response) => void listener(request, response))
  // Operators' tools keep connections; a proxy that ends must not wait for them.
  server.keepAliveTimeout = 5_000
  server.headersTimeout = 10_000
  server.maxConnections = 256
  await listen(server, bind, given)
  const { address, port } = server.address() as AddressInfo
  return {
    host: address,
    port,
    handle: handleOf(server),
    stopListening: () => void server.close(),
    close: () => close(server),
  }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

let pageText: string | null = null

function page(): string {
  pageText ??= readFileSync(join(home, 'admin/page/index.html'), 'utf8')
  return pageText
}
