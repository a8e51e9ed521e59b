// What `npm run demo` does: dependencies, a build, and the tour. Arguments are its.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { build, install, root } from './setup.mjs'

install()
if (!build()) process.exit(1)
const tour = spawn(process.execPath, [join(root, 'dist/main.js'), 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
})
// Ctrl-C reaches the tour by itself; it tidies up, and this waits for it.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => tour.kill('SIGTERM'))
tour.on('exit', (code) => process.exit(code ?? 1))
