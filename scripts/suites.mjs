// What `npm run suites` does: dependencies, servers, and the regression suites of MySQL and MariaDB, directly and through Sluice.
//   --engine mysql|mariadb  --only PATTERN  --from NAME  --limit N  --readers N  --prepared true  --deadline-seconds N

import { install, optionsIn, ran } from './setup.mjs'

const env = optionsIn('suites', ['engine', 'only', 'from', 'limit', 'readers', 'prepared', 'deadline-seconds'])

install()
// The suites were written in a time zone of their own.
const scene = { ...env, TZ: 'GMT-3' }
if (!ran(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--project', 'suites'], scene)) process.exit(1)
