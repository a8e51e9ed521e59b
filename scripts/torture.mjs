// What `npm run torture` does: dependencies, servers, and as many random sessions as asked for.
//   --seed N  --seeds N | --minutes N  --engine mysql|mariadb  --sessions N  --moves N  --shrink-seconds N

import { install, ran } from './setup.mjs'

const OPTIONS = ['seed', 'seeds', 'minutes', 'engine', 'sessions', 'moves', 'shrink-seconds']
const asked = process.argv.slice(2)
const env = {}
for (let at = 0; at < asked.length; at += 2) {
  const name = asked[at].replace(/^--/, '')
  if (!OPTIONS.includes(name) || asked[at + 1] === undefined) {
    console.error(`torture: ${asked[at]} is not understood; there are ${OPTIONS.map((one) => `--${one} …`).join(', ')}`)
    process.exit(1)
  }
  env[`SLUICE_TORTURE_${name.replace('-', '_').toUpperCase()}`] = asked[at + 1]
}
// Without a seed, another one every time; it is printed with whatever it finds.
env.SLUICE_TORTURE_SEED ??= String(Math.floor(Math.random() * 1_000_000))
console.log(`torture: from seed ${env.SLUICE_TORTURE_SEED}`)

install()
if (!ran(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--project', 'torture'], env)) process.exit(1)
