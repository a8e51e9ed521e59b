// What `npm run ledger` does: dependencies, servers, and as many changes of the writer under as many clients as asked for.
//   --failovers N  --clients N  --engine mysql|mariadb|aurora  --kind kill|switchover|mixed  --per-second N

import { install, ran } from './setup.mjs'

const DEFAULTS = { failovers: '20', clients: '300', engine: 'mysql', kind: 'mixed', 'per-second': '1500' }
const VALUES = { engine: ['mysql', 'mariadb', 'aurora'], kind: ['kill', 'switchover', 'mixed'] }

const asked = process.argv.slice(2)
const settings = { ...DEFAULTS }
for (let at = 0; at < asked.length; at += 2) {
  const name = asked[at].replace(/^--/, '')
  const value = asked[at + 1]
  const isGood = name in VALUES ? VALUES[name].includes(value) : Number(value) > 0
  if (!(name in DEFAULTS) || !isGood) {
    const words = Object.keys(DEFAULTS).map((one) => `--${one} ${VALUES[one]?.join('|') ?? 'N'}`)
    console.error(`ledger: ${asked[at]} ${value ?? ''} is not understood; there are ${words.join(', ')}`)
    process.exit(1)
  }
  settings[name] = value
}
const env = {}
for (const [name, value] of Object.entries(settings)) {
  env[`SLUICE_LEDGER_${name.replace('-', '_').toUpperCase()}`] = value
}

install()
const args = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'fault', 'test/fault/ledger.test.ts']
if (!ran(process.execPath, args, env)) process.exit(1)
