// What `npm run staleness` does: dependencies, servers, and reads that are judged for as long as asked for.
//   --minutes N  --engine mysql|mariadb  --cluster aurora  --seed N  --consistency session,service,…  --monotonic true
//   --sessions N  --workers N

import { install, ran, wishesIn } from './setup.mjs'

const OPTIONS = ['minutes', 'engine', 'cluster', 'seed', 'consistency', 'monotonic', 'sessions', 'workers']
const env = wishesIn('staleness', OPTIONS)

install()
if (!ran(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--project', 'staleness'], env)) process.exit(1)
