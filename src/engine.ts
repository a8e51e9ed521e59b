// How V8 is to treat our code and its garbage.

import { setFlagsFromString } from 'node:v8'

/**
 * What every statement passes is many small functions in a row, and V8 stops inlining them into one another sooner than is
 * good for that: measured with point selects, 4 to 6 % less processor time per statement. Beyond this the gain is lost again.
 */
const INLINED_BYTECODE_MAX = 1_800

/**
 * New objects live in two halves that are used by turns. They begin with a mebibyte each, which stays in a core's cache, and
 * grow to sixteen, which does not: then every new object is a miss. Measured with point selects of 8 clients, 3 to 10 % less
 * processor time per statement where they do not grow, with 64 no difference, and some 10 MB less of memory. Nearly all that a
 * statement needs is garbage by the next collection, however soon that comes.
 */
const GROWTH_FACTOR = 1

/**
 * A mebibyte is looked through in less time than it takes to wake other threads for a part of it: left to one thread, measured
 * with point selects on a busy machine of two cores, some 5 % less processor time per statement.
 */
const SCAVENGES_ALONE = '--no-parallel-scavenge'

/** Takes effect for whatever is compiled, and however far memory has grown, from now on: so it comes before all else. */
export function tuneEngine(): void {
  setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTECODE_MAX}`)
  setFlagsFromString(`--semi-space-growth-factor=${GROWTH_FACTOR}`)
  setFlagsFromString(SCAVENGES_ALONE)
}
