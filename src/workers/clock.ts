// One clock for several processes: the machine's own, which no process sets.

/** When this process's clock (`performance.now`) began, on the machine's. */
export function clockStartMs(): number {
  return Number(process.hrtime.bigint()) / 1e6 - performance.now()
}

/** What to add to this process's clock to have another's, which began then. */
export function clockOffsetMs(otherStartMs: number): number {
  return clockStartMs() - otherStartMs
}
