// Takes over changed settings while the proxy runs: on SIGHUP, and when the text of the file changes, or that of a file
// that it points to (secrets, certificates).

import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type Config, ConfigError, type Environment, type LoadedConfig, loadConfig } from '../config.ts'
import type { Log } from '../log.ts'

/** Editors and deployments write a file in several steps; it is read once they have been quiet for so long. */
const SETTLE_MS = 250

export interface Following {
  /** As it was named at the start; null: looked for. */
  readonly file: string | null
  readonly env: Environment
  readonly loaded: LoadedConfig
  readonly proxy: { reload(config: Config): readonly string[] }
  readonly log: Log
}

/** Gives what ends it. */
export function followSettings({ file, env, loaded, proxy, log }: Following): () => void {
  let files = loaded.files
  let texts = textsOf(files)
  let settling: NodeJS.Timeout | null = null
  let watchers: readonly FSWatcher[] = []

  const reload = (why: string) => {
    texts = textsOf(files)
    try {
      const next = loadConfig(file, env)
      files = next.files
      texts = textsOf(files)
      watchAll()
      for (const warning of next.warnings) log.warn({ warning }, 'settings have a weak spot')
      const needRestart = proxy.reload(next.config)
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
      const now = textsOf(files)
      // A file that is gone for a moment is being replaced.
      const changed = files.find((_, at) => now[at] !== null && now[at] !== texts[at])
      if (changed !== undefined) reload(`${changed} changed`)
    }, SETTLE_MS)
  }
  const watchAll = () => {
    for (const watcher of watchers) watcher.close()
    const folders = new Set(files.map((path) => dirname(path)))
    watchers = [...folders].flatMap((folder) => watchFolder(folder, files, onChange, log))
  }
  watchAll()

  return () => {
    process.off('SIGHUP', onHangup)
    for (const watcher of watchers) watcher.close()
    if (settling !== null) clearTimeout(settling)
  }
}

/** The folder, because most writers replace a file (and Kubernetes the folder that it links to). */
function watchFolder(folder: string, files: readonly string[], onChange: () => void, log: Log): readonly FSWatcher[] {
  const names = new Set(files.filter((path) => dirname(path) === folder).map((path) => basename(path)))
  try {
    const watcher = watch(folder, (_, changed) => {
      if (changed === null || names.has(changed) || changed.startsWith('..')) onChange()
    })
    watcher.on('error', (error) => log.warn({ folder, why: error.message }, 'cannot watch the settings any more'))
    return [watcher]
  } catch (error) {
    log.warn({ folder, why: (error as Error).message }, 'cannot watch the settings; SIGHUP reloads them')
    return []
  }
}

/** Null for one that cannot be read. */
function textsOf(files: readonly string[]): readonly (string | null)[] {
  return files.map((file) => {
    try {
      return readFileSync(file, 'utf8')
    } catch {
      return null
    }
  })
}
