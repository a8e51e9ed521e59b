// A process of its own: a canned writer and a canned reader. Ends with the process that started it.

import { startCanned } from './canned-server.ts'

const servers = [await startCanned('writer'), await startCanned('reader')]
process.once('disconnect', () => process.exit(0))
process.send!({ kind: 'listening', ports: servers.map(({ port }) => port) })
