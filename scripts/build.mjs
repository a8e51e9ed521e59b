// Installs what is missing and compiles src to dist.

import { build, install } from './setup.mjs'

install()
if (!build()) process.exit(1)
