// Everything `npm test` does: dependencies, a build, real servers, the tests, and a closing count.
// Arguments: the kinds to run (all by default); anything else goes to vitest as it is.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { build, install, ran, root } from './setup.mjs'

/** In the order in which they are begun: those that take longest come first. */
const KINDS = ['integration', 'fault', 'conformance', 'unit', 'torture', 'staleness']
/** So many kinds run side by side, each with servers of its own: tests with servers wait more than they work. */
const LANES = 2
const named = process.argv.slice(2).filter((argument) => KINDS.includes(argument))
const others = process.argv.slice(2).filter((argument) => !KINDS.includes(argument))
const kinds = named.length > 0 ? named : KINDS

install()
if (!build()) close({ passed: 0, failed: 1 })
const needsServers = kinds.some((kind) => kind !== 'unit')
if (needsServers && !ran(process.execPath, ['dist/lab/prepare.js'])) close({ passed: 0, failed: 1 })

// Whoever interrupts us has interrupted what runs too; that ends itself and its servers, and we wait for it.
process.on('SIGINT', () => left.splice(0))
const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'))
const left = [...kinds]
const counts = (await Promise.all(Array.from({ length: LANES }, lane))).flat()
rmSync(folder, { recursive: true, force: true })
const sum = (of) => counts.reduce((all, each) => all + (each[of] ?? 0), 0)
close({
  passed: sum('passed'),
  failed: sum('failed'),
  skipped: sum('skipped'),
  failures: counts.flatMap(({ failures = [] }) => failures),
})

async function lane() {
  const counts = []
  for (let kind = left.shift(); kind !== undefined; kind = left.shift()) counts.push(await run(kind))
  return counts
}

/** Runs one kind in a process of its own, whose lines become ours, and counts. */
async function run(kind) {
  const program = 'node_modules/vitest/vitest.mjs'
  const report = join(folder, `${kind}.json`)
  // Arguments may name a file of one kind only.
  const options = others.length > 0 ? ['--passWithNoTests', ...others] : []
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const child = spawn(process.execPath, [program, 'run', '--project', kind, ...reporters, ...options], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  createInterface({ input: child.stdout }).on('line', (line) => console.log(line))
  createInterface({ input: child.stderr }).on('line', (line) => console.error(line))
  const [code] = await once(child, 'close')
  const counts = countsIn(report)
  // What vitest complains of beside tests (an error nobody caught, say) is a failure too.
  return code === 0 || counts.failed > 0 ? counts : { ...counts, failed: 1 }
}

function countsIn(file) {
  try {
    const files = JSON.parse(readFileSync(file, 'utf8')).testResults
    const all = files.flatMap(({ assertionResults }) => assertionResults)
    const withStatus = (...statuses) => all.filter(({ status }) => statuses.includes(status)).length
    // A file that cannot be loaded, or a hook that fails, has failed without a failed test.
    const broken = files.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && !assertionResults.some((result) => result.status === 'failed'),
    )
    const skipped = withStatus('skipped', 'pending', 'todo', 'disabled')
    const failures = [
      ...all
        .filter(({ status }) => status === 'failed')
        .map(({ fullName, failureMessages }) => `${fullName}\n${failureMessages.join('\n')}`),
      ...broken.map(({ name, message }) => `${name}\n${message}`),
    ]
    return { passed: withStatus('passed'), failed: failures.length, skipped, failures }
  } catch {
    return { passed: 0, failed: 1 }
  }
}

/** Tells at the very end what failed: logs are often read from there, and often cut before it. */
function close({ passed, failed, skipped = 0, failures = [] }) {
  const isGood = failed === 0 && passed > 0
  for (const failure of failures) console.error(`FAILED ${failure.slice(0, 4_000)}\n`)
  if (failed === 0 && passed === 0) console.error('no test was executed')
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exit(isGood ? 0 : 1)
}
