// One script, played by mysqltest on one port, and what became of it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { byName, environmentOf, type Script, type Suite } from './programs.ts'

export interface Outcome {
  readonly ended: 'as expected' | 'otherwise' | 'skipped' | 'late'
  /** What it printed, and at its end what it complained of. */
  readonly printed: string
  readonly ms: number
}

export interface Scene {
  readonly suite: Suite
  readonly port: number
  /** Where the scripts write, and where they find the servers' data. */
  readonly folder: string
  readonly dataFolder: string
  readonly msMax: number
  /** Statements are prepared where they can be. */
  readonly prepared: boolean
  /** Called while a script that is late still hangs. */
  late(): Promise<void>
}

const SKIPPED = 62

export async function play(script: Script, scene: Scene): Promise<Outcome> {
  const { suite, port, folder, dataFolder, prepared } = scene
  const file = join(folder, 'run', `${script.name}.test`)
  await writeFile(file, byNetwork(await withIncluded(script.text, suite)), 'latin1')
  const args = [
    '--no-defaults',
    '--silent',
    '--host=127.0.0.1',
    `--port=${port}`,
    '--protocol=tcp',
    '--user=root',
    '--database=test',
    `--basedir=${suite.folder}/`,
    `--tmpdir=${folder}/tmp`,
    `--logdir=${folder}/log`,
    `--character-sets-dir=${suite.charsets}`,
    '--max-connect-retries=3',
    ...(suite.engine === 'mariadb' ? [`--suite-dir=${suite.scripts}/`] : []),
    ...(prepared ? ['--ps-protocol'] : []),
    `--test-file=${file}`,
  ]
  const begunMs = performance.now()
  const child = spawn(suite.player, args, {
    cwd: suite.folder,
    env: {
      ...process.env,
      ...environmentOf(suite, port, folder, dataFolder),
      MTR_TEST_NAME: `main.${script.name}`,
      MTR_NAME: script.name,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // It and the programs that it calls end together.
    detached: true,
  })
  const printed: Buffer[] = []
  const complaints: Buffer[] = []
  child.stdout.on('data', (bytes: Buffer) => printed.push(bytes))
  child.stderr.on('data', (bytes: Buffer) => complaints.push(bytes))
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    void scene.late().finally(() => endGroup(child.pid))
  }, scene.msMax)
  const [code] = await once(child, 'close')
  clearTimeout(timer)
  const ms = performance.now() - begunMs
  // Results are bytes of many character sets, so they are compared as bytes.
  const text = byName(Buffer.concat(printed).toString('latin1'))
  const complaint = Buffer.concat(complaints).toString('latin1')
  if (isLate) return { ended: 'late', printed: `${text}\n${complaint}`, ms }
  if (code === SKIPPED) return { ended: 'skipped', printed: complaint, ms }
  if (code === 0 && text === script.expected) return { ended: 'as expected', printed: text, ms }
  return { ended: 'otherwise', printed: `${text}${complaint}`, ms }
}

/** What it includes as well, where that must be put into other words too. */
async function withIncluded(text: string, suite: Suite): Promise<string> {
  const parts = text.split(/^(\s*(?:--\s*)?source\s+include\/[\w.-]+\s*;?.*)$/gim)
  const whole = parts.map(async (part, index) => {
    const name = index % 2 === 1 ? /include\/[\w.-]+/.exec(part)![0].replace(/\.$/, '') : null
    if (name === null || name.endsWith('wait_until_count_sessions.inc')) return part
    const included = await readFile(join(suite.folder, name), 'latin1').catch(() => null)
    if (included === null) return part
    const inner = await withIncluded(included, suite)
    return byNetwork(inner) === inner ? part : `\n${inner}\n`
  })
  return (await Promise.all(whole)).join('')
}

/**
 * The client library takes localhost for a socket in a folder, which is where Sluice does not listen. And it keeps its
 * connections to the server when sessions end, so that nobody can wait for their number.
 */
const byNetwork = (text: string) =>
  text
    .replace(/^(\s*(?:--\s*)?connect\s*\(?\s*\w+\s*,\s*)localhost\b/gim, (_, before) => `${before}127.0.0.1`)
    .replace(/^\s*(?:--\s*)?source\s+include\/wait_until_count_sessions\.inc.*$/gim, '')

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}
