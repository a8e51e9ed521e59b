#!/usr/bin/env node
// The process: arguments in, exit code out; nothing else.

import { tuneEngine } from './engine.ts'
import { version } from './home.ts'

tuneEngine()
const [{ run }, { TERMINAL }] = await Promise.all([import('./cli/program.ts'), import('./cli/output.ts')])
// A command that has ended has ended, whatever a library may still hold open.
process.exit(await run(process.argv.slice(2), version, TERMINAL))
