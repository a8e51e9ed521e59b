// Sluice in front of a cluster, in this process: as `sluice start` runs it, on free ports.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { createProxy, type RunningProxy } from '../../src/proxy.ts'

export interface SluiceOptions {
  readonly seeds: readonly string[]
  /** YAML of `clusters.main` beyond the seeds and the monitor; two spaces deeper than `main`. */
  readonly cluster?: string
  /** Further YAML of the top. */
  readonly more?: string
  readonly listener?: string
  /** Further items of `listeners`. */
  readonly moreListeners?: string
  /** YAML of the monitor's settings beyond its login; by default it looks often, and is patient with busy machines. */
  readonly monitor?: string
  /** Accounts besides `app`, as rows of the YAML list. */
  readonly users?: string
  readonly logLevel?: string
}

export interface RunningSluice {
  readonly proxy: RunningProxy
  readonly port: number
  readonly adminPort: number
  stop(): Promise<void>
}

/** The settings' text: a cluster called `main`, a listener called `app`, one user. */
export function settingsText(
  options: SluiceOptions,
  { folder, port, adminPort }: { readonly folder: string; readonly port: number; readonly adminPort: number },
): string {
  const { seeds, cluster = '', more = '', listener = 'route: split', users = '', logLevel = 'silent' } = options
  const { monitor = 'intervalMs: 200, timeoutMs: 2000', moreListeners = '' } = options
  return `
listeners:
  - { name: app, bind: 127.0.0.1:${port}, cluster: main, ${listener} }
${moreListeners}
clusters:
  main:
    topology: { kind: auto, seeds: [${seeds.join(', ')}] }
    monitor: { user: monitor, password: monitor_pw, ${monitor} }
${cluster}
users:
  - { name: app, password: app_pw }
${users}
admin: { bind: 127.0.0.1:${adminPort} }
log: { level: ${process.env.SLUICE_TEST_LOG ?? logLevel} }
stateDir: ${folder}
${more}
`
}

export async function startSluice(options: SluiceOptions): Promise<RunningSluice> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'))
  const text = settingsText(options, { folder, port: 0, adminPort: 0 })
  const { config } = parseConfig(text, join(folder, 'test.yaml'), {})
  const proxy = createProxy(config, createLog(config.log.level))
  await proxy.start()
  return {
    proxy,
    port: proxy.addresses().get('app')!.port,
    adminPort: proxy.admin!.port,
    async stop() {
      await proxy.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
