// A suite, script by script: directly first, then through Sluice, and what differs, with the evidence in a folder.

import { execFileSync } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { cacheFolder } from '../../../src/lab/index.ts'
import { whyDifferent } from './differences.ts'
import { type Outcome, play } from './player.ts'
import { type Script, type Suite, scriptsOf } from './programs.ts'
import { Stage, type Way } from './stage.ts'

export interface TourSettings {
  readonly only: RegExp
  readonly from: string
  readonly limit: number
  readonly readers: number
  readonly prepared: boolean
  readonly msMax: number
  /** Where the evidence goes. */
  readonly folder: string
  say(line: string): void
}

/** `unsteady`: once this way, once that, so nothing can be said. */
export type Verdict = 'the same' | 'differs' | 'by nature' | 'unsteady'

export interface Finding {
  readonly name: string
  readonly verdict: Verdict
  readonly ended: Outcome['ended']
  readonly because: string | null
  readonly seconds: number
}

export async function tour(suite: Suite, settings: TourSettings): Promise<Finding[]> {
  const { only, from, limit, say, folder } = settings
  await mkdir(join(folder, 'unfit'), { recursive: true })
  const all = await scriptsOf(suite)
  const unfit = await Unfit.remembered(suite, settings)
  const asked = all.filter(({ name }) => only.test(name) && name >= from && !unfit.has(name)).slice(0, limit)
  say(`${suite.engine} ${suite.version}: ${asked.length} of ${all.length} scripts`)
  const findings: Finding[] = []
  let stage = await Stage.build(suite, all, settings.readers)
  try {
    for (const script of asked) {
      const played = await compare(script, stage, settings).catch((error: unknown) => {
        say(`${script.name}: ${error instanceof Error ? error.message : String(error)}`)
        return null
      })
      if (played === null || 'unfit' in played) await unfit.add(script.name, played?.unfit ?? 'broke the servers')
      else {
        findings.push(played)
        say(lineOf(played))
      }
      if (played === null) {
        await writeProcesses(script, stage, folder)
        await stage.stop()
        stage = await Stage.build(suite, all, settings.readers)
      }
    }
  } finally {
    await stage.stop()
  }
  await writeFile(join(folder, 'findings.json'), JSON.stringify(findings, null, 1))
  return findings
}

/** A difference counts only if it is there again after another direct play that goes as expected. */
async function compare(script: Script, stage: Stage, settings: TourSettings): Promise<Finding | { unfit: string }> {
  const direct = await playOn(stage, script, settings, 'direct')
  if (direct.ended !== 'as expected') {
    await writeEvidence(script, direct, { ...settings, folder: join(settings.folder, 'unfit') })
    return { unfit: direct.ended }
  }
  const through = await playOn(stage, script, settings, 'sluice')
  const found = (verdict: Verdict, because: string | null = null): Finding => ({
    name: script.name,
    verdict,
    ended: through.ended,
    because,
    seconds: Math.round(through.ms / 10) / 100,
  })
  if (through.ended === 'as expected') return found('the same')
  const difference = await writeEvidence(script, through, settings)
  const onWriter = await playOn(stage, script, settings, 'writer only')
  const isReaders = onWriter.ended === 'as expected'
  const because = whyDifferent(stage.suite.engine, script.name, difference, isReaders)
  if (because !== null && through.ended !== 'late') return found('by nature', because)
  const again = await playOn(stage, script, settings, 'direct')
  const throughAgain = await playOn(stage, script, settings, 'sluice')
  const isSteady = again.ended === 'as expected' && throughAgain.ended !== 'as expected'
  return found(isSteady ? 'differs' : 'unsteady', isReaders ? 'not when all of it goes to the writer' : null)
}

async function playOn(stage: Stage, script: Script, settings: TourSettings, way: Way): Promise<Outcome> {
  const port = stage.portOf(way)
  const outcome = await play(script, {
    suite: stage.suite,
    port,
    folder: stage.folder,
    dataFolder: stage.dataFolder,
    msMax: settings.msMax,
    prepared: settings.prepared,
    late: async () => {
      if (way !== 'direct') await writeSessions(script, stage, settings)
    },
  })
  await stage.tidy(port)
  return outcome
}

/** What all servers are at. */
async function writeProcesses({ name }: Script, { cluster }: Stage, folder: string): Promise<void> {
  for (const server of cluster.servers) {
    const words = cluster.engine === 'mysql' ? 'SHOW REPLICA STATUS' : 'SHOW ALL SLAVES STATUS'
    const told = await server
      .asRoot(async (root) => [(await root.query('SHOW FULL PROCESSLIST'))[0], (await root.query(words))[0]])
      .catch((error: unknown) => String(error))
    await writeFile(join(folder, `${name}.${server.role}.json`), JSON.stringify(told, null, 1))
  }
}

/** What hangs, as Sluice and the writer tell it. */
async function writeSessions(script: Script, stage: Stage, { folder }: TourSettings): Promise<void> {
  const sessions = await fetch(`http://127.0.0.1:${stage.sluice.adminPort}/sessions`).then((answer) => answer.text())
  const [processes] = await stage.cluster.writer.asRoot((root) => root.query('SHOW FULL PROCESSLIST'))
  const both = { sessions: JSON.parse(sessions), processes }
  await writeFile(join(folder, `${script.name}.sessions.json`), JSON.stringify(both, null, 1))
}

async function writeEvidence(script: Script, through: Outcome, { folder }: TourSettings): Promise<string> {
  const files = ['direct', 'sluice'].map((side) => join(folder, `${script.name}.${side}`))
  await writeFile(files[0]!, script.expected, 'latin1')
  await writeFile(files[1]!, through.printed, 'latin1')
  const difference = differenceOf(files)
  await writeFile(join(folder, `${script.name}.diff`), difference, 'latin1')
  await Promise.all(files.map((file) => rm(file)))
  return difference
}

function differenceOf(files: readonly string[]): string {
  try {
    return execFileSync('diff', ['-a', '-U5', '--label=directly', '--label=through Sluice', ...files], {
      encoding: 'latin1',
    })
  } catch (error) {
    // It ends with 1 when there is one.
    return (error as { stdout?: string }).stdout ?? String(error)
  }
}

/** Scripts that do not go as expected on these servers themselves, so that there is nothing to compare. Kept for the next time. */
class Unfit {
  readonly #file: string
  readonly #names: Map<string, string>

  private constructor(file: string, names: Map<string, string>) {
    this.#file = file
    this.#names = names
  }

  static async remembered({ engine, version }: Suite, { prepared, readers }: TourSettings): Promise<Unfit> {
    const file = join(cacheFolder(), 'suites', `${engine}-${version}-${readers}${prepared ? '-prepared' : ''}.json`)
    const text = await readFile(file, 'utf8').catch(() => '{}')
    return new Unfit(file, new Map(Object.entries(JSON.parse(text) as Record<string, string>)))
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }

  async add(name: string, why: string): Promise<void> {
    this.#names.set(name, why)
    await mkdir(dirname(this.#file), { recursive: true })
    await writeFile(this.#file, JSON.stringify(Object.fromEntries(this.#names), null, 1))
  }
}

const lineOf = ({ name, verdict, ended, seconds, because }: Finding) =>
  `${name.padEnd(40)} ${verdict.padEnd(10)} ${ended === 'late' ? 'hangs' : ''.padEnd(5)} ${seconds.toFixed(1).padStart(6)} s  ${because ?? ''}`.trimEnd()
