// The savepoints of a transaction, so that they can be set again where it begins anew. Pure.

import type { Shape } from '../sql/shape.ts'

/** More are not followed. */
const NAMES_MAX = 64

/** The names as they are written, oldest first; null: there have been more than can be followed. */
export type Savepoints = readonly string[] | null

/** What is left after a statement that was carried out. */
export function savepointsAfter(savepoints: Savepoints, { savepoint }: Pick<Shape, 'savepoint'>): Savepoints {
  if (savepoints === null || savepoint === null) return savepoints
  const { change, name } = savepoint
  const known = savepoints.findIndex((each) => keyOf(each) === keyOf(name))
  if (change === 'set') {
    const others = savepoints.filter((_, at) => at !== known)
    return others.length < NAMES_MAX ? [...others, name] : null
  }
  if (known < 0) return savepoints
  // Those that were set after it go with it, or are gone when the transaction goes back to it.
  return savepoints.slice(0, change === 'release' ? known : known + 1)
}

function keyOf(name: string): string {
  return name.replace(/^`(.*)`$/s, '$1').toLowerCase()
}
