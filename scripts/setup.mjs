// What the scripts share: dependencies that are there and fit the lock file, and a fresh dist. Plain Node, since it
// runs before anything is installed.

import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Runs a program in the project, its output ours. True if it went well. */
export function ran(program, args, env = {}) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
  if (error !== undefined) console.error(`${program} cannot be run: ${error.message}`)
  return status === 0
}

/** Installs the dependencies unless just these are there. Ends the process if that fails. */
export function install() {
  if (isInstalled()) return
  console.log('setup: installing the dependencies')
  if (ran('npm', ['ci', '--include=dev', '--no-audit', '--no-fund'])) return
  console.error('setup: npm ci failed; check that the npm registry can be reached, and run this again')
  process.exit(1)
}

function isInstalled() {
  const packagesIn = (path) => JSON.parse(readFileSync(join(root, path), 'utf8')).packages
  try {
    const installed = packagesIn('node_modules/.package-lock.json')
    const wanted = Object.entries(packagesIn('package-lock.json')).filter(([path, { optional }]) => path && !optional)
    return wanted.every(([path, { version }]) => installed[path]?.version === version)
  } catch {
    return false
  }
}

/** Makes dist of src and of the libraries, over what is there. False if a type is wrong; tsc said which. */
export function build() {
  const dist = join(root, 'dist')
  const begunMs = Date.now()
  if (!ran(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--noEmit'])) return false
  if (!ran(process.execPath, ['node_modules/vite/bin/vite.js', 'build', '--config', 'scripts/bundle.mjs'])) return false
  cpSync(join(root, 'src/admin/page'), join(dist, 'admin/page'), { recursive: true })
  if (existsSync(join(dist, 'main.js'))) chmodSync(join(dist, 'main.js'), 0o755)
  removeOlder(dist, begunMs - 1000)
  return true
}

/** What a compilation did not write comes from a source that is gone. */
function removeOlder(folder, ms) {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath ?? entry.path, entry.name)
    if (entry.isFile() && statSync(file).mtimeMs < ms) rmSync(file)
  }
}

/** The options of a command as variables of the environment: --only join is SLUICE_<COMMAND>_ONLY. */
export function optionsIn(command, options) {
  const asked = process.argv.slice(2)
  const env = {}
  for (let at = 0; at < asked.length; at += 2) {
    const name = asked[at].replace(/^--/, '')
    if (!options.includes(name) || asked[at + 1] === undefined) {
      const known = options.map((one) => `--${one} …`).join(', ')
      console.error(`${command}: ${asked[at]} is not understood; there are ${known}`)
      process.exit(1)
    }
    env[`SLUICE_${command.toUpperCase()}_${name.replace('-', '_').toUpperCase()}`] = asked[at + 1]
  }
  return env
}

/** The options of a command that plays by chance. Without a seed, another one every time; it is printed with whatever is found. */
export function wishesIn(command, options) {
  const env = optionsIn(command, options)
  const seed = `SLUICE_${command.toUpperCase()}_SEED`
  env[seed] ??= String(Math.floor(Math.random() * 1_000_000))
  console.log(`${command}: from seed ${env[seed]}`)
  return env
}
