// MySQL's and MariaDB's own regression suites, through Sluice: a script that goes as expected on the writer goes as
// expected here too. `npm run suites` plays them all.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ENGINES } from '../support/lab.ts'
import { suiteOf } from '../support/suites/programs.ts'
import { tour } from '../support/suites/tour.ts'

const asked = (name: string, otherwise: string) => process.env[`SLUICE_SUITES_${name}`] ?? otherwise
const engines = ENGINES.filter((engine) => engine === asked('ENGINE', engine))
const say = (line: string) => process.stdout.write(`${line}\n`)
const HOURS = 3_600_000

describe.each(engines)('%s', (engine) => {
  test(
    'what goes as expected on the writer goes as expected through Sluice',
    async () => {
      const folder = join(mkdtempSync(join(tmpdir(), 'sluice-suites-')), engine)
      const findings = await tour(await suiteOf(engine, say), {
        only: new RegExp(asked('ONLY', '')),
        from: asked('FROM', ''),
        limit: Number(asked('LIMIT', '10000')),
        readers: Number(asked('READERS', '1')),
        prepared: asked('PREPARED', 'false') === 'true',
        msMax: Number(asked('DEADLINE_SECONDS', '60')) * 1000,
        folder,
        say,
      })
      const count = (verdict: string) => findings.filter((finding) => finding.verdict === verdict).length
      const verdicts = ['the same', 'by nature', 'unsteady', 'differs'].map((verdict) => `${count(verdict)} ${verdict}`)
      say(`${engine}: ${verdicts.join(', ')}; the differences are in ${folder}`)
      expect(findings.filter(({ verdict }) => verdict === 'differs').map(({ name }) => name)).toEqual([])
    },
    8 * HOURS,
  )
})
