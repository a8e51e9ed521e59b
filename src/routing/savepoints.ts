// The savepoints of a transaction, so that they can be set again where it begins anew. Pure.

const SET = /^savepoint (.+)$/i
const RELEASE = /^release savepoint (.+)$/i
const BACK = /^rollback (?:work )?to (?:savepoint )?(.+)$/i

/** More are not followed. */
const NAMES_MAX = 64

/** The names as they are written, oldest first; null: there have been more than can be followed. */
export type Savepoints = readonly string[] | null

/** What is left after a statement that was carried out. `text`: its normalised text. */
export function savepointsAfter(savepoints: Savepoints, text: string): Savepoints {
  if (savepoints === null) return null
  const set = SET.exec(text)?.[1]
  if (set !== undefined) {
    const others = savepoints.filter((each) => keyOf(each) !== keyOf(set))
    return others.length < NAMES_MAX ? [...others, set] : null
  }
  // Those that were set after it go with it, or are gone when the transaction goes back to it.
  const released = indexIn(savepoints, RELEASE.exec(text)?.[1])
  if (released >= 0) return savepoints.slice(0, released)
  const back = indexIn(savepoints, BACK.exec(text)?.[1])
  return back < 0 ? savepoints : savepoints.slice(0, back + 1)
}

function indexIn(savepoints: readonly string[], name: string | undefined): number {
  return name === undefined ? -1 : savepoints.findIndex((each) => keyOf(each) === keyOf(name))
}

function keyOf(name: string): string {
  return name.replace(/^`(.*)`$/s, '$1').toLowerCase()
}
