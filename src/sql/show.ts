// SHOW: what describes the catalogue is a read, what tells about this session or about one server is not.

import { type Effect, effect, type Statement } from './effect.ts'
import { survey } from './survey.ts'

const CATALOGUE: ReadonlySet<string> = new Set([
  'character',
  'charset',
  'collation',
  'columns',
  'create',
  'databases',
  'fields',
  'grants',
  'index',
  'indexes',
  'keys',
  'privileges',
  'schemas',
  'tables',
  'triggers',
])

/** Followed by STATUS (or CODE) these are about the catalogue, too. */
const ROUTINES: ReadonlySet<string> = new Set(['function', 'library', 'package', 'procedure'])

export function show({ text, from, to, context, vouched }: Statement): Effect {
  let at = from + 1
  while (['extended', 'full'].includes(text.lower(at))) at++
  const what = text.lower(at)
  const next = text.lower(at + 1)
  const { writes, ofOneServer, facts } = survey(text, from + 1, to, { ...context, systemSchema: false }, vouched)
  const counted = what === 'count'
  if (what === 'warnings' || what === 'errors' || counted) {
    return effect('session', "asks for this session's diagnostics", { facts: ['diagnostics'] })
  }
  if (what === 'processlist') {
    const isFull = text.lower(from + 1) === 'full'
    return effect('write', 'SHOW PROCESSLIST tells about one server', {
      facts: [...facts, 'sessions', ...(isFull ? (['sessions-in-full'] as const) : [])],
    })
  }
  // Events are there on readers, too, and disabled.
  if (what === 'create' && next === 'event') return effect('write', 'SHOW CREATE EVENT tells about one server')
  const catalogue = CATALOGUE.has(what) || (what === 'table' && next === 'status') || ROUTINES.has(what)
  if (!catalogue) return effect('write', `SHOW ${what.toUpperCase()} tells about one server`, { facts: [...facts] })
  if (writes !== null) return effect('write', writes, { facts: [...facts] })
  if (ofOneServer !== null) return effect('write', ofOneServer, { facts: [...facts] })
  const access = [...facts].some((fact) => fact !== 'user-variable') ? 'session' : 'read'
  return effect(access, 'shows the catalogue', { facts: [...facts], tables: null })
}
