// Programs out of the distribution's packages, without installing anything: a private apt root downloads them with
// all their libraries, dpkg unpacks them into the cache, and each program gets a wrapper that runs it in there.

import { createHash } from 'node:crypto'
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder, LabError, type Progress, run, withLock } from './machine.ts'

/** What is unpacked together, out of one suite of the archive. */
export interface Bundle {
  readonly name: string
  /** `own`: the suite of this machine; `rolling`: Debian's development suite, for what no release carries. */
  readonly suite: 'own' | 'rolling'
  /** The first names the version. */
  readonly packages: readonly [string, ...string[]]
  /** Which of the packages these depend on are unpacked too; the rest is only for maintenance scripts. */
  readonly needs: RegExp
  /** Where its programs have libraries of their own. */
  readonly libraries?: readonly string[]
}

export interface Unpacked {
  readonly version: string
  /** The unpacked tree: `usr/sbin`, `usr/share` and so on are below it. */
  readonly root: string
  /** A program in the tree, ready to be run from anywhere. */
  program(name: string): string
}

const LIBRARIES = /^(lib(?!perl|gdbm|db5|python)|zlib1g$)/
const PYTHON = /^(lib(?!perl|gdbm|db5)|zlib1g$|python3)/

export const BUNDLES = {
  mysql: { name: 'mysql', suite: 'rolling', packages: ['mysql-server-core', 'mysql-client-core'], needs: LIBRARIES },
  mariadb: {
    name: 'mariadb',
    suite: 'own',
    packages: ['mariadb-server-core', 'mariadb-server', 'mariadb-client-core', 'mariadb-client'],
    needs: LIBRARIES,
  },
  sysbench: { name: 'sysbench', suite: 'own', packages: ['sysbench'], needs: LIBRARIES },
  haproxy: { name: 'haproxy', suite: 'own', packages: ['haproxy'], needs: LIBRARIES },
  router: {
    name: 'router',
    suite: 'rolling',
    packages: ['mysql-router'],
    needs: LIBRARIES,
    libraries: ['usr/lib/mysql-router'],
  },
  // The regression suites that the servers' own makers wrote, and the programs that play them.
  mysqlSuite: {
    name: 'mysql-suite',
    suite: 'rolling',
    packages: ['mysql-testsuite'],
    needs: LIBRARIES,
  },
  mariadbSuite: {
    name: 'mariadb-suite',
    suite: 'own',
    packages: ['mariadb-test', 'mariadb-test-data'],
    needs: LIBRARIES,
  },
  python: {
    name: 'python',
    suite: 'own',
    packages: ['python3-pymysql', 'python3-cryptography', 'python3'],
    needs: PYTHON,
  },
} as const satisfies Record<string, Bundle>
export type BundleName = keyof typeof BUNDLES

/** Client programs that tests and benchmarks ask for by name, and the bundle that has each. */
const TOOLS = {
  mysql: 'mysql',
  mysqldump: 'mysql',
  mysqladmin: 'mysql',
  mysqlslap: 'mysql',
  mysqlbinlog: 'mysql',
  mariadb: 'mariadb',
  'mariadb-dump': 'mariadb',
  'mariadb-admin': 'mariadb',
  sysbench: 'sysbench',
  haproxy: 'haproxy',
  mysqlrouter: 'router',
  python3: 'python',
} as const satisfies Record<string, BundleName>
export type ToolName = keyof typeof TOOLS

/** The path of a client program, which is fetched if it is not in the cache yet. python3 comes with pymysql. */
export async function tool(name: ToolName, progress: Progress = () => {}): Promise<string> {
  return (await unpacked(BUNDLES[TOOLS[name]], progress)).program(name)
}

/** The bundle in the cache; fetched and unpacked by whoever needs it first, while others wait. */
export async function unpacked(bundle: Bundle, progress: Progress = () => {}): Promise<Unpacked> {
  const found = await inCache(bundle)
  if (found !== null) return found
  return withLock(join(cacheFolder(), 'locks', bundle.name), async () => {
    const meanwhile = await inCache(bundle)
    if (meanwhile !== null) return meanwhile
    await unpack(bundle, progress)
    const made = await inCache(bundle)
    if (made === null) throw new LabError(`${bundle.name} was unpacked but is not in ${packagesFolder()}`)
    return made
  })
}

const packagesFolder = () => join(cacheFolder(), 'packages')

// A bundle that is made in another way than it was is another bundle.
function idOf({ name, packages, libraries = [] }: Bundle): string {
  const made = [...packages, ...Object.entries(PLACES), ...libraries].join()
  return `${name}-${createHash('sha256').update(made).digest('hex').slice(0, 6)}`
}

// Folders are `<id>@<version>`; they get that name when they are whole, so what is there is complete.
async function inCache(bundle: Bundle): Promise<Unpacked | null> {
  const folders = await readdir(packagesFolder()).catch(() => [])
  const newest = folders
    .filter((folder) => folder.startsWith(`${idOf(bundle)}@`))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1)
  if (newest === undefined) return null
  const folder = join(packagesFolder(), newest)
  return {
    version: newest.slice(newest.indexOf('@') + 1),
    root: join(folder, 'root'),
    program: (name) => join(folder, 'bin', name),
  }
}

async function unpack(bundle: Bundle, progress: Progress): Promise<void> {
  const apt = await aptRoot(bundle.suite, progress)
  const wanted = (await closureOf(apt, bundle)).filter(
    ({ name }) => (bundle.packages as readonly string[]).includes(name) || bundle.needs.test(name),
  )
  // The epoch goes: a colon in the path would end it in the loader's list of folders.
  const version = wanted.find(({ name }) => name === bundle.packages[0])!.version.replace(/^\d+:/, '')
  progress(`${bundle.name} ${version}: downloading ${wanted.length} packages`)

  const folder = join(packagesFolder(), `.unpacking-${bundle.name}`)
  await rm(folder, { recursive: true, force: true })
  const root = join(folder, 'root')
  const debs = join(folder, 'debs')
  await mkdir(root, { recursive: true })
  await mkdir(debs)
  const names = wanted.map(({ name, version }) => `${name}=${version}`)
  await run('apt-get', ['download', ...names], { env: apt, cwd: debs }).catch((error: unknown) => {
    throw new LabError(`${bundle.name} cannot be downloaded: ${messageOf(error)}\nTry again when the mirror answers.`)
  })
  progress(`${bundle.name} ${version}: unpacking`)
  for (const deb of await readdir(debs)) await run('dpkg', ['-x', join(debs, deb), root])
  await rm(debs, { recursive: true })
  const final = join(packagesFolder(), `${idOf(bundle)}@${version}`)
  await writeWrappers(bundle, folder, final)
  await rename(folder, final)
}

interface Package {
  readonly name: string
  readonly version: string
}

// With an empty dpkg status, a simulated installation prints the whole closure of what the packages depend on.
async function closureOf(apt: Record<string, string>, bundle: Bundle): Promise<Package[]> {
  const args = ['install', '--simulate', '--no-install-recommends', ...bundle.packages]
  const plan = await run('apt-get', args, { env: apt }).catch((error: unknown) => {
    throw new LabError(
      `${bundle.packages.join(', ')} cannot be had from the ${bundle.suite} suite today: ${messageOf(error)}`,
    )
  })
  return [...plan.matchAll(/^Inst (\S+) \((\S+)/gm)].map((match) => ({ name: match[1]!, version: match[2]! }))
}

/** The environment in which apt-get works on a root of its own, with fresh lists of one suite. */
async function aptRoot(suite: Bundle['suite'], progress: Progress): Promise<Record<string, string>> {
  const mirror = await ownMirror()
  const release = suite === 'own' ? mirror.release : 'sid'
  const folder = join(cacheFolder(), 'apt', release)
  const config = join(folder, 'apt.conf')
  const env = { APT_CONFIG: config }
  return withLock(join(cacheFolder(), 'locks', `apt-${release}`), async () => {
    const updated = join(folder, 'updated')
    if (await isYoung(updated, 6 * 3_600_000)) return env
    for (const part of ['lists/partial', 'archives/partial']) await mkdir(join(folder, part), { recursive: true })
    await writeFile(config, aptConfig(folder))
    await writeFile(join(folder, 'status'), '')
    const options = `${mirror.keyring === null ? '' : `signed-by=${mirror.keyring} `}arch=${mirror.architecture}`
    await writeFile(join(folder, 'sources.list'), `deb [${options}] ${mirror.site} ${release} main\n`)
    progress(`reading the package lists of ${release}`)
    await run('apt-get', ['update', '--error-on=any'], { env }).catch((error: unknown) => {
      throw new LabError(
        `the package lists of ${release} cannot be read: ${messageOf(error)}\nCheck that apt-get update works here.`,
      )
    })
    await writeFile(updated, '')
    return env
  })
}

function aptConfig(folder: string): string {
  const settings = {
    'Dir::State': folder,
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::State::status': join(folder, 'status'),
    'Dir::Cache': folder,
    'Dir::Cache::archives': join(folder, 'archives'),
    'Dir::Etc::sourcelist': join(folder, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  }
  return Object.entries(settings)
    .map(([name, value]) => `${name} "${value}";\n`)
    .join('')
}

interface Mirror {
  readonly site: string
  readonly release: string
  readonly architecture: string
  readonly keyring: string | null
}

const KEYRINGS = ['/usr/share/keyrings/debian-archive-keyring.gpg', '/usr/share/keyrings/debian-archive-keyring.pgp']

/** Where this machine gets its own release from, as its apt sources say. */
async function ownMirror(): Promise<Mirror> {
  const release = /^VERSION_CODENAME="?(\w+)/m.exec(await readFile('/etc/os-release', 'utf8').catch(() => ''))?.[1]
  const format = '$(SITE) $(RELEASE) $(COMPONENT)'
  const targets = await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']).catch(() => '')
  const target = targets.split('\n').find((line) => line.endsWith(` ${release} main`))
  if (release === undefined || target === undefined) {
    throw new LabError(
      'database servers are unpacked from Debian packages, and this machine has no apt source of its own Debian ' +
        'release: add one for `main` to /etc/apt/sources.list, or run on Debian 12 or newer',
    )
  }
  const architecture = (await run('dpkg', ['--print-architecture'])).trim()
  const keyrings = await Promise.all(
    KEYRINGS.map((file) =>
      stat(file)
        .then(() => file)
        .catch(() => null),
    ),
  )
  return { site: target.split(' ')[0]!, release, architecture, keyring: keyrings.find((file) => file !== null) ?? null }
}

/** Where programs look for their parts, each in its own variable; otherwise they look where the machine's would be. */
const PLACES = {
  LIBMYSQL_PLUGIN_DIR: 'usr/lib/mysql/plugin',
  MARIADB_PLUGIN_DIR: 'usr/lib/TRIPLET/libmariadb3/plugin',
  PYTHONHOME: 'usr',
  PYTHONPATH: 'usr/lib/python3/dist-packages',
  LUA_PATH: 'usr/share/sysbench/?.lua',
}

/** A wrapper for each program: the tree's own loader with the tree's own libraries, whatever the machine has. */
async function writeWrappers({ libraries: own = [] }: Bundle, folder: string, final: string): Promise<void> {
  const root = join(folder, 'root')
  const loader = await firstMatch(root, ['lib64', 'usr/lib64', 'lib', 'usr/lib'], /^ld-linux.*\.so\.\d$/)
  const triplet = (await readdir(join(root, 'usr/lib'))).find((name) => /-linux-gnu/.test(name))!
  const libraries = [`usr/lib/${triplet}`, `lib/${triplet}`, ...own].map((path) => join(final, 'root', path)).join(':')
  const settings = Object.entries(PLACES)
    .map(([variable, place]) => `${variable}="${join(final, 'root', place.replace('TRIPLET', triplet))}" `)
    .join('')
  await mkdir(join(folder, 'bin'))
  for (const place of ['usr/sbin', 'usr/bin', 'bin', 'sbin', 'usr/lib/mysql-test/bin']) {
    for (const name of await readdir(join(root, place)).catch(() => [])) {
      if (!(await isElf(join(root, place, name)))) continue
      const program = join(final, 'root', place, name)
      // The real path as argv[0] lets servers find their own share and plugin folders.
      const command = `"${join(final, 'root', loader)}" --inhibit-cache --library-path "${libraries}" --argv0 "${program}" "${program}"`
      const wrapper = join(folder, 'bin', name)
      await writeFile(wrapper, `#!/bin/sh\n${settings}exec ${command} "$@"\n`)
      await chmod(wrapper, 0o755)
    }
  }
}

async function firstMatch(root: string, places: readonly string[], name: RegExp): Promise<string> {
  for (const place of places) {
    const found = (await readdir(join(root, place)).catch(() => [])).find((file) => name.test(file))
    if (found !== undefined) return join(place, found)
  }
  throw new LabError(`the packages unpacked in ${root} have no loader`)
}

async function isElf(path: string): Promise<boolean> {
  const file = await open(path).catch(() => null)
  if (file === null) return false
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0)
    return bytesRead === 4 && buffer.toString('latin1') === '\x7fELF'
  } catch {
    return false
  } finally {
    await file.close()
  }
}

async function isYoung(file: string, msMax: number): Promise<boolean> {
  const found = await stat(file).catch(() => null)
  return found !== null && Date.now() - found.mtimeMs < msMax
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
