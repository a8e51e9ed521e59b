// Preloaded into a Sluice of its own process (node --import): answers, over the channel to its parent, what only the
// process itself can tell. Timers are counted as they are set and cleared, since those that are unref'd are listed nowhere.

import { getHeapSpaceStatistics } from 'node:v8'

const timers = new Map()
const { setTimeout: set, clearTimeout: clear } = globalThis

globalThis.setTimeout = (callback, ms, ...values) => {
  const timer = set(
    (...given) => {
      timers.delete(timer)
      callback(...given)
    },
    ms,
    ...values,
  )
  // Its stack becomes a text only when it is asked for.
  timers.set(timer, new Error('set'))
  return timer
}
globalThis.clearTimeout = (timer) => {
  timers.delete(timer)
  clear(timer)
}

function setterOf({ stack }) {
  return /dist\/(\S+\.js)/.exec(stack)?.[1] ?? 'elsewhere'
}

function counted(names) {
  const counts = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

// The parent of a worker or successor is the Sluice that started it, and what that says is not for us.
if (process.argv[2] !== 'worker' && !process.argv.includes('--inherit')) {
  process.on('message', () => {
    const { space_size: newSpace } = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
    // Twice: what the first leaves to finalizers, the second takes away.
    globalThis.gc()
    globalThis.gc()
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
    const resources = counted(process.getActiveResourcesInfo())
    const handles = counted(process._getActiveHandles().map((handle) => handle.constructor.name))
    process.send({
      rss,
      heapUsed,
      external,
      arrayBuffers,
      newSpace,
      resources,
      handles,
      timers: counted([...timers.values()].map(setterOf)),
    })
  })
  // The channel to the parent is no reason to live on.
  process.channel?.unref()
}
// Whoever started it has gone, and nobody else will stop it.
process.on('disconnect', () => process.exit(1))
