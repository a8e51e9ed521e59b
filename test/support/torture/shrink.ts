// Makes a failing play short: leaves out halves, quarters and single moves for as long as it still fails.

import type { Play } from './play.ts'
import type { Difference } from './stage.ts'

type Moves = Play['moves']

/** `fails` plays it again. Gives the shortest found until the deadline. */
export async function shrunk(
  play: Play,
  { role, move }: Pick<Difference, 'role' | 'move'>,
  fails: (play: Play) => Promise<boolean>,
  deadlineMs: number,
): Promise<Play> {
  const over = () => performance.now() >= deadlineMs
  let best = play
  const attempt = async (moves: Moves): Promise<boolean> => {
    if (moves.length >= best.moves.length) return false
    const shorter = { ...best, moves }
    if (!(await fails(shorter))) return false
    best = shorter
    return true
  }
  await attempt(best.moves.slice(0, 1 + best.moves.findIndex((one) => one.move === move)))
  // Whole sessions next: most of them have nothing to do with it.
  const others = () => [...new Set(best.moves.map((one) => one.role))].filter((other) => other !== role)
  await attempt(best.moves.filter((one) => one.role === role))
  for (let size = others().length; size >= 1 && !over(); size = Math.floor(size / 2)) {
    for (const group of groups(others(), size)) {
      if (!over()) await attempt(best.moves.filter((one) => !group.includes(one.role)))
    }
  }
  for (let size = Math.ceil(best.moves.length / 2); size >= 1 && !over(); size = Math.floor(size / 2)) {
    for (let from = best.moves.length - size; from > -size && !over(); from -= size) {
      const at = Math.max(0, from)
      await attempt([...best.moves.slice(0, at), ...best.moves.slice(at + size)])
    }
  }
  return best
}

function groups<T>(list: readonly T[], size: number): T[][] {
  const found: T[][] = []
  for (let from = 0; from < list.length; from += size) found.push(list.slice(from, from + size))
  return found
}
