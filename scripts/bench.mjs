// What `npm run bench` does: dependencies, a build, the benchmark's own programs, and the benchmark. Arguments are its.

import { join } from 'node:path'
import { build, install, ran, root } from './setup.mjs'

install()
if (!build()) process.exit(1)
if (!ran(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'test/bench/tsconfig.json'])) process.exit(1)
// Compiled, the lab would look for its cache beside itself.
const cache = process.env.SLUICE_CACHE || join(root, '.sluice')
const program = join(root, '.sluice/bench/js/test/bench/main.js')
if (!ran(process.execPath, [program, ...process.argv.slice(2)], { SLUICE_CACHE: cache })) process.exit(1)
