// Puts what the tests need onto this machine, once: `node dist/lab/prepare.js`.

import type { Engine } from './engine.ts'
import { cacheFolder, type Progress, ServerUnavailable } from './machine.ts'
import { mariadbEngine } from './mariadb.ts'
import { mysqlEngine } from './mysql.ts'
import { tool } from './packages.ts'
import { certificates, templateOf } from './templates.ts'

const say: Progress = (line) => console.log(`lab: ${line}`)

async function prepare(engineOf: (progress: Progress) => Promise<Engine>): Promise<string> {
  const engine = await engineOf(say)
  await templateOf(engine, say)
  return `${engine.name} ${engine.version}`
}

try {
  const mysqlOrWhyNot = prepare(mysqlEngine).catch((error: unknown) => {
    if (!(error instanceof ServerUnavailable)) throw error
    say(`NO MySQL HERE, whatever needs it will be skipped: ${error.message}`)
    return 'no mysql'
  })
  const [mariadb, mysql] = await Promise.all([prepare(mariadbEngine), mysqlOrWhyNot, certificates()])
  for (const name of ['python3', 'sysbench'] as const) await tool(name, say)
  say(`${mariadb} and ${mysql} are in ${cacheFolder()}`)
} catch (error) {
  console.error(`lab: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
