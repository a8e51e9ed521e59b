// What `npm run torture` does: dependencies, servers, and as many random sessions as asked for.
//   --seed N  --seeds N | --minutes N  --engine mysql|mariadb  --sessions N  --moves N  --shrink-seconds N

import { install, ran, wishesIn } from './setup.mjs'

const env = wishesIn('torture', ['seed', 'seeds', 'minutes', 'engine', 'sessions', 'moves', 'shrink-seconds'])

install()
if (!ran(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--project', 'torture'], env)) process.exit(1)
