// Takes over changed settings while the proxy runs: on SIGHUP, and when the text of the file changes.

import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type Config, ConfigError, type Environment, type LoadedConfig, loadConfig } from '../config.ts'
import type { Log } from '../log.ts'

/** Editors and deployments write a file in several steps; it is read once they have been quiet for so long. */
const SETTLE_MS = 250

export interface Following {
  readonly file: string | null
  readonly env: Environment
  readonly loaded: LoadedConfig
  readonly proxy: { reload(config: Config): readonly string[] }
  readonly log: Log
}

/** Gives what ends it. */
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
