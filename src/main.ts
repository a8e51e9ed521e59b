#!/usr/bin/env node
// The process: arguments in, exit code out; nothing else.

import { createRequire } from 'node:module'
import { TERMINAL } from './cli/output.ts'
import { run } from './cli/program.ts'

const { version } = createRequire(import.meta.url)('../package.json') as { version: string }

// A command that has ended has ended, whatever a library may still hold open.
process.exit(await run(process.argv.slice(2), version, TERMINAL))
