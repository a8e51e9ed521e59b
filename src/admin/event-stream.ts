// Events as they happen, for whoever keeps a connection open (server-sent events). The log of events is asked at short
// intervals: it knows of no listeners.

import type { Context } from 'hono'
import { streamSSE } from 'hono/streaming'
import { type AdminSnapshots, clockOf, type EventFilter, eventJson } from './snapshots.ts'

const LOOK_MS = 200
/** Proxies in between close what is silent. */
const SILENCE_MS_MAX = 15_000
const STREAMS_MAX = 32

/** What came after the event that the client has seen last (`Last-Event-ID`), or from now on; then all that comes. */
export function eventStream(
  context: Context,
  snapshots: AdminSnapshots,
  { cluster, kind }: EventFilter,
  streams: { open: number },
): Response | Promise<Response> {
  if (streams.open >= STREAMS_MAX) return context.json({ error: `${STREAMS_MAX} streams are open already` }, 503)
  const latest = snapshots.events(0).at(-1)?.id ?? 0
  const known = context.req.header('last-event-id') ?? ''
  let lastId = /^\d+$/.test(known) ? Number(known) : latest
  // Numbers start over with the process.
  if (lastId > latest) lastId = 0
  streams.open += 1
  let isOver = false
  const release = () => {
    if (!isOver) streams.open -= 1
    isOver = true
  }
  return streamSSE(context, async (stream) => {
    let silentMs = 0
    stream.onAbort(release)
    try {
      await stream.write(': events of Sluice\n\n')
      while (!isOver && !stream.closed) {
        const clock = clockOf(snapshots.nowMs(), Date.now())
        const news = snapshots.events(lastId)
        lastId = news.at(-1)?.id ?? lastId
        const wanted = news.filter(
          ({ event }) => (cluster === null || event.cluster === cluster) && (kind === null || event.kind === kind),
        )
        for (const kept of wanted) {
          const data = JSON.stringify(eventJson(kept, clock))
          await stream.writeSSE({ id: String(kept.id), event: kept.event.kind, data })
        }
        silentMs = wanted.length > 0 ? 0 : silentMs + LOOK_MS
        if (silentMs >= SILENCE_MS_MAX) {
          await stream.write(': nothing new\n\n')
          silentMs = 0
        }
        await stream.sleep(LOOK_MS)
      }
    } finally {
      release()
    }
  })
}
