// sluice start: runs the proxy until a signal ends it. A changed settings file, or SIGHUP, is taken over on the way.

import { availableParallelism } from 'node:os'
import { type Config, type LoadedConfig, loadConfig } from '../config.ts'
import { createLog, type Log } from '../log.ts'
import type { AnyProxy } from '../proxy.ts'
import { Generations, Predecessor } from '../takeover.ts'
import { reportProblems } from './check.ts'
import { followSettings } from './follow-settings.ts'
import type { ExitCode, Output } from './output.ts'

/** A terminal and a parent process may both deliver one and the same Ctrl-C. */
const ONE_PRESS_MS = 500

export interface StartOptions {
  readonly file: string | null
  /** The process that started this one has the listening sockets, and gives them when it is asked. */
  readonly inherit: boolean
}

/** Resolves with the exit code once everything has ended. */
export async function start({ file, inherit }: StartOptions, output: Output): Promise<ExitCode> {
  let loaded: LoadedConfig
  try {
    loaded = loadConfig(file, output.env)
  } catch (error) {
    return reportProblems(error, output)
  }
  const log = createLog(loaded.config.log.level)
  for (const warning of loaded.warnings) log.warn({ warning }, 'settings have a weak spot')
  surviveBugs(log)

  const proxy = await proxyFor(loaded.config, log)
  let retired: () => void = () => {}
  const retirement = new Promise<void>((resolve) => {
    retired = resolve
  })
  const predecessor = inherit ? new Predecessor(retired) : null
  const ended = untilSignalled(log)
  try {
    await proxy.prepare()
    const inheritance = (await predecessor?.ready()) ?? null
    if (inheritance !== null) proxy.nextId = inheritance.nextId
    await proxy.listen(inheritance?.sockets)
  } catch (error) {
    log.fatal({ why: (error as Error).message }, 'cannot start')
    await proxy.stop()
    output.error(`sluice: cannot start: ${causeOf(error)}`)
    return 1
  }
  const stopFollowing = followSettings({ file, env: output.env, loaded, proxy, log })
  if (predecessor !== null) {
    predecessor.serves(proxy)
    process.on('SIGUSR2', () => predecessor.replace())
    const why = await Promise.race([ended.then(() => 'stop' as const), retirement.then(() => 'retire' as const)])
    stopFollowing()
    await proxy[why]()
    return 0
  }
  const generations = new Generations({ proxy, log, onRetire: stopFollowing })
  process.on('SIGUSR2', () => void generations.replace())
  process.on('SIGHUP', () => generations.pass('SIGHUP'))
  void ended.then((signal) => {
    stopFollowing()
    generations.stop(signal)
  })
  return (await generations.over) === 0 ? 0 : 1
}

/** One process, or several where the settings want them. */
async function proxyFor(config: Config, log: Log): Promise<AnyProxy> {
  const { workers } = config
  if (workers !== 1) {
    const { createSupervisor, workersFor } = await import('../workers/supervisor.ts')
    const wanted = workers === 'auto' ? availableParallelism() : workers
    const count = workersFor(config, wanted)
    if (count < wanted)
      log.warn({ wanted, count }, 'fewer workers: each needs a connection to every server (pool.connectionsMax)')
    if (count > 1) return createSupervisor(config, count, log)
  }
  const { createProxy } = await import('../proxy.ts')
  return createProxy(config, log)
}

/** Resolves at the first signal that asks to stop; the second ends the process at once. */
function untilSignalled(log: Log): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstMs: number | null = null
    const stop = (signal: NodeJS.Signals) => {
      if (firstMs === null) {
        firstMs = performance.now()
        log.info({ signal }, 'draining; once more to stop at once')
        resolve(signal)
      } else if (performance.now() - firstMs > ONE_PRESS_MS) {
        log.warn({ signal }, 'stopping at once')
        process.exit(signal === 'SIGINT' ? 130 : 143)
      }
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  })
}

/** A bug met while serving one session must not take the others with it. It is logged with its stack. */
function surviveBugs(log: Log): void {
  process.on('uncaughtException', (error) => log.error({ err: error }, 'a bug: nobody caught this'))
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'a bug: nobody caught this'))
}

function causeOf(error: unknown): string {
  const { code, message, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number }
  if (code === 'EADDRINUSE')
    return `${address}:${port} is taken; expected a free address in bind (who has it: ss -ltnp)`
  if (code === 'EACCES')
    return `${address}:${port} may not be listened on; expected a port from 1024 on, or the right to`
  if (code === 'EADDRNOTAVAIL') return `${address}:${port} is no address of this machine`
  return message
}
