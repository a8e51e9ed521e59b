// A failover under load, as `sluice drill` rehearses it: on every kind of lab cluster, and from the command line against a
// cluster that somebody else runs.

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { rehearse, type Shown } from '../../src/cli/drill.ts'
import { gapOf, type Verdict } from '../../src/cli/drill-report.ts'
import type { FailoverKind } from '../../src/lab/index.ts'
import { describeEngines, useCluster } from '../support/lab.ts'

/** Promised is a second; the rest is for a machine that does other things as well. */
const FIRST_WRITE_MS_MAX = 1_000 + 4_000

const DRILL = { file: null, command: null, schema: null, json: false, clients: 16, rounds: 1 }

/** What does not depend on how busy this machine is. */
const brokenIn = (verdicts: readonly Verdict[]) =>
  verdicts.filter(({ held, promise }) => !held && !promise.startsWith('the first write'))

function expectKept({ rounds, verdicts }: Shown): void {
  expect(brokenIn(verdicts)).toEqual([])
  expect(gapOf(rounds[0]!)).toBeLessThan(FIRST_WRITE_MS_MAX)
}

const CASES: readonly [what: string, engine: 'mysql' | 'mariadb', kind: FailoverKind, aurora: boolean][] = [
  ['a writer that is killed', 'mysql', 'kill', false],
  ['a writer that hands over as planned', 'mysql', 'switchover', false],
  ['a writer that is killed', 'mariadb', 'kill', false],
  ["Aurora's failover", 'mariadb', 'kill', true],
]

describeEngines((engine) => {
  test.each(CASES.filter((each) => each[1] === engine))(
    '%s: nobody is disconnected, only who was at it is told, and all go on',
    async (_what, _engine, kind, aurora) => {
      expectKept(await rehearse({ ...DRILL, engine, kind, aurora }, () => {}))
    },
  )
})

describeEngines(
  (engine) => {
    const cluster = useCluster(engine)

    test('the whole drill from the command line, on a cluster and by a command of the user', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-drill-'))
      const settings = join(folder, 'sluice.yaml')
      const seeds = cluster().servers.map(({ address }) => address)
      const text = `
listeners: [{ name: app, bind: 127.0.0.1:6033 }]
clusters:
  main: { topology: { seeds: [${seeds.join(', ')}] }, monitor: { user: monitor, password: monitor_pw } }
users: [{ name: app, password: app_pw }]
`
      writeFileSync(settings, text, { mode: 0o600 })
      // Whoever asks this for anything changes the writer, as an orchestrator's command would.
      const orchestrator = createServer((_request, response) => {
        const { readers } = cluster()
        void cluster()
          .switchover(readers[0]!)
          .then(() => response.end('done'))
      })
      await new Promise<void>((listening) => orchestrator.listen(0, '127.0.0.1', listening))
      const { port } = orchestrator.address() as AddressInfo
      const command = `${process.execPath} -e "fetch('http://127.0.0.1:${port}').then(a => a.text()).then(console.log)"`
      const args = ['drill', '--config', settings, '--command', command, '--schema', 'app', '--clients', '8', '--json']
      try {
        const { stdout, stderr } = await sluice(args)
        const told = JSON.parse(stdout)
        expect(brokenIn(told.promises)).toEqual([])
        expect(told.firstWriteMs.worst).toBeLessThan(FIRST_WRITE_MS_MAX)
        expect(told.rounds[0]).toMatchObject({ clients: 8, closed: 0, failover: { from: seeds[0], to: seeds[1] } })
        expect(stderr).toContain(`makes the table \`app\`.sluice_drill`)
        expect(stderr).toContain('| done')
        expect(await cluster().writer.ask("SHOW TABLES FROM app LIKE 'sluice_drill'")).toBeNull()
      } finally {
        orchestrator.close()
        rmSync(folder, { recursive: true })
      }
    })
  },
  ['mariadb'],
)

/** Exit 1 is an answer too: a promise may be broken by a busy machine. */
function sluice(args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['dist/main.js', ...args], (_error, stdout, stderr) => resolve({ stdout, stderr }))
  })
}
