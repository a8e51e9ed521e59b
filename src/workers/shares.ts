// What one of several workers may have of what the settings bound for all of them together. Pure.

import type { Config } from '../config.ts'

/** How many workers there can be, so that each has a connection to every server at least. */
export function workersFor(config: Config, wanted: number): number {
  const least = Math.min(...Object.values(config.clusters).map(({ pool }) => pool.connectionsMax))
  return Math.max(1, Math.min(wanted, least))
}

/** The settings of worker `at` of `count`, counted from 0. The shares of all add up to what the settings say. */
export function shareOf(config: Config, at: number, count: number): Config {
  const share = (whole: number) => Math.floor(whole / count) + (at < whole % count ? 1 : 0)
  /** Of what paces rather than bounds: everybody must be able to go on. */
  const pace = (whole: number) => Math.max(1, share(whole))
  const clusters = Object.entries(config.clusters).map(([name, cluster]) => {
    const { pool, hold } = cluster
    return [
      name,
      {
        ...cluster,
        pool: {
          ...pool,
          connectionsMax: share(pool.connectionsMax),
          openingMax: pace(pool.openingMax),
          waitersMax: share(pool.waitersMax),
          killersMax: pace(pool.killersMax),
        },
        hold: {
          ...hold,
          heldMax: share(hold.heldMax),
          heldBytesMax: share(hold.heldBytesMax),
          drainPerSecond: pace(hold.drainPerSecond),
        },
      },
    ] as const
  })
  return { ...config, clusters: Object.fromEntries(clusters) }
}
