// sluice start: runs the proxy until a signal ends it. A changed settings file, or SIGHUP, is taken over on the way.

import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { ConfigError, type LoadedConfig, loadConfig } from '../config.ts'
import { createLog, type Log } from '../log.ts'
import { createProxy, type Proxy as SluiceProxy } from '../proxy.ts'
import { reportProblems } from './check.ts'
import type { Output } from './output.ts'
import type { ExitCode } from './program.ts'

/** Editors and deployments write a file in several steps; it is read once they have been quiet for so long. */
const SETTLE_MS = 250
/** A terminal and a parent process may both deliver one and the same Ctrl-C. */
const ONE_PRESS_MS = 500

/** Resolves with the exit code once everything has ended. */
export async function start(file: string | null, output: Output): Promise<ExitCode> {
  let loaded: LoadedConfig
  try {
    loaded = loadConfig(file, output.env)
  } catch (error) {
    return reportProblems(error, output)
  }
  const log = createLog(loaded.config.log.level)
  for (const warning of loaded.warnings) log.warn({ warning }, 'settings have a weak spot')
  surviveBugs(log)

  const proxy = createProxy(loaded.config, log)
  const ended = untilSignalled(log)
  try {
    await proxy.start()
  } catch (error) {
    log.fatal({ why: (error as Error).message }, 'cannot start')
    await proxy.stop()
    output.error(`sluice: cannot start: ${causeOf(error)}`)
    return 1
  }
  const stopFollowing = followSettings({ file, env: output.env, loaded, proxy, log })
  await ended
  stopFollowing()
  await proxy.stop()
  return 0
}

/** Resolves at the first signal that asks to stop; the second ends the process at once. */
function untilSignalled(log: Log): Promise<void> {
  return new Promise((resolve) => {
    let firstMs: number | null = null
    const stop = (signal: NodeJS.Signals) => {
      if (firstMs === null) {
        firstMs = performance.now()
        log.info({ signal }, 'draining; once more to stop at once')
        resolve()
      } else if (performance.now() - firstMs > ONE_PRESS_MS) {
        log.warn({ signal }, 'stopping at once')
        process.exit(signal === 'SIGINT' ? 130 : 143)
      }
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  })
}

interface Following {
  readonly file: string | null
  readonly env: Output['env']
  readonly loaded: LoadedConfig
  readonly proxy: SluiceProxy
  readonly log: Log
}

/** Reloads on SIGHUP and when the text of the file changes. Gives what ends it. */
export function followSettings({ file, env, loaded, proxy, log }: Following): () => void {
  let text = textOf(loaded.file)
  let settling: NodeJS.Timeout | null = null

  const reload = (why: string) => {
    text = textOf(loaded.file)
    try {
      const { config, warnings } = loadConfig(file, env)
      for (const warning of warnings) log.warn({ warning }, 'settings have a weak spot')
      const needRestart = proxy.reload(config)
      if (needRestart.length > 0) log.warn({ needRestart }, 'some settings take effect at the next start only')
      log.info({ why }, 'settings reloaded')
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      log.error({ why, problems: error.problems }, 'settings are wrong; the old ones stay in force')
    }
  }
  const onHangup = () => reload('SIGHUP')
  process.on('SIGHUP', onHangup)

  const onChange = () => {
    if (settling !== null) clearTimeout(settling)
    settling = setTimeout(() => {
      settling = null
      const now = textOf(loaded.file)
      // A file that is gone for a moment is being replaced.
      if (now !== null && now !== text) reload('the file changed')
    }, SETTLE_MS)
  }
  const watcher = loaded.file === null ? null : watchFile(loaded.file, onChange, log)

  return () => {
    process.off('SIGHUP', onHangup)
    watcher?.close()
    if (settling !== null) clearTimeout(settling)
  }
}

/** Watches the folder, because most writers replace the file (and Kubernetes the folder that it links to). */
function watchFile(file: string, onChange: () => void, log: Log): FSWatcher | null {
  const name = basename(file)
  try {
    const watcher = watch(dirname(file), (_, changed) => {
      if (changed === null || changed === name || changed.startsWith('..')) onChange()
    })
    watcher.on('error', (error) => log.warn({ file, why: error.message }, 'cannot watch the settings any more'))
    return watcher
  } catch (error) {
    log.warn({ file, why: (error as Error).message }, 'cannot watch the settings; SIGHUP reloads them')
    return null
  }
}

function textOf(file: string | null): string | null {
  if (file === null) return null
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
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
