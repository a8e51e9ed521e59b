// Everything `npm test` does: dependencies, a build, real servers, the tests, and a closing count.
// Arguments: the kinds to run (all by default); anything else goes to vitest as it is.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build, install, ran } from './setup.mjs'

const KINDS = ['unit', 'conformance', 'integration', 'fault', 'staleness']
const named = process.argv.slice(2).filter((argument) => KINDS.includes(argument))
const others = process.argv.slice(2).filter((argument) => !KINDS.includes(argument))
const kinds = named.length > 0 ? named : KINDS

install()
if (!build()) close({ passed: 0, failed: 1 })
const needsServers = kinds.some((kind) => kind !== 'unit')
if (needsServers && !ran(process.execPath, ['dist/lab/prepare.js'])) close({ passed: 0, failed: 1 })

const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'))
const report = join(folder, 'report.json')
const wentWell = ran(process.execPath, [
  'node_modules/vitest/vitest.mjs',
  'run',
  ...kinds.flatMap((kind) => ['--project', kind]),
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${report}`,
  ...others,
])
const counts = countsIn(report)
rmSync(folder, { recursive: true, force: true })
// What vitest complains of beside tests (an error nobody caught, no test at all) is a failure too.
close(wentWell || counts.failed > 0 ? counts : { ...counts, failed: 1 })

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
    return { passed: withStatus('passed'), failed: withStatus('failed') + broken.length, skipped }
  } catch {
    return { passed: 0, failed: 1 }
  }
}

function close({ passed, failed, skipped = 0 }) {
  const isGood = failed === 0 && passed > 0
  if (failed === 0 && passed === 0) console.error('no test was executed')
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exit(isGood ? 0 : 1)
}
