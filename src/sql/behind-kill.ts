// What a text of several statements has behind its KILL of a session of ours: no server knows that session, so the server
// has stopped there. Pure.

import type { SqlContext } from './dialects.ts'
import { type Part, partsOf } from './parts.ts'
import type { Text } from './text.ts'
import { NUMBER } from './tokens.ts'

const WORDS: ReadonlySet<string> = new Set(['kill', 'hard', 'soft', 'connection', 'query'])

/** Null: nothing. `id` is what the server made of the KILL at which it stopped. */
export function behindKill(sql: Buffer, text: Text, context: SqlContext, id: number): Buffer | null {
  const parts = partsOf(text, context)
  const kills = parts.filter(({ from }) => text.lower(from) === 'kill')
  const isPlain = ({ to }: Part) => text.kind(to - 1) === NUMBER && WORDS.has(text.lower(to - 2))
  const named = kills.find((kill) => isPlain(kill) && text.raw(kill.to - 1) === String(id))
  // Whatever is not a plain number may have come to this one.
  const reached = named ?? kills.find((kill) => !isPlain(kill))
  const next = reached === undefined ? undefined : parts[parts.indexOf(reached) + 1]
  return next === undefined ? null : sql.subarray(text.start(next.from))
}
