// What stands between the load and the servers: Sluice, a proxy it is compared with, a byte relay of ours, or nothing.
// Each in one process with one thread for its clients' bytes, and without TLS on either side.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, LAB_USERS, tool } from '../../src/lab/index.ts'
import { BUNDLES, unpacked } from '../../src/lab/packages.ts'
import type { Program, Programs } from './programs.ts'

/** One way from the load to the servers. */
export interface Path {
  readonly name: string
  readonly port: number
  /** Null: nothing is in between. */
  readonly program: Program | null
}

export interface Contender<P extends Path = Path> {
  readonly name: string
  /** It has many clients on few connections. The others have one to the writer for each. */
  readonly shares: boolean
  /** Resolves when its program is started, which is before it answers. `ports`: of the servers, the writer's first. */
  launch(programs: Programs, ports: readonly number[]): Promise<P>
}

/** Of proxies that need two descriptors for each. */
export const UNSHARED_CLIENTS_MAX = 9_900

const direct: Contender = {
  name: 'direct',
  shares: false,
  launch: async (_programs, [writer]) => ({ name: 'direct', port: writer!, program: null }),
}

const relay: Contender = {
  name: 'byte relay',
  shares: false,
  async launch(programs, [writer]) {
    const port = await freePort()
    return { name: 'byte relay', port, program: programs.fork('./byte-relay.js', [String(port), String(writer)]) }
  },
}

const haproxy: Contender = {
  name: 'haproxy',
  shares: false,
  async launch(programs, [writer]) {
    const port = await freePort()
    const file = join(programs.folder, 'haproxy.cfg')
    writeFileSync(
      file,
      `global
  nbthread 1
  maxconn ${UNSHARED_CLIENTS_MAX}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen server
  bind 127.0.0.1:${port}
  server one 127.0.0.1:${writer}
`,
    )
    // In the foreground, one process: what it costs is told by one folder of /proc.
    const program = programs.start('haproxy', await tool('haproxy'), ['-db', '-f', file])
    return { name: 'haproxy', port, program }
  },
}

/** Reads the protocol as it passes, and keeps to one server. */
const router: Contender = {
  name: 'router',
  shares: false,
  async launch(programs, [writer]) {
    const port = await freePort()
    const folder = join(programs.folder, 'router')
    mkdirSync(folder, { recursive: true })
    const { root } = await unpacked(BUNDLES.router)
    const file = join(folder, 'router.conf')
    writeFileSync(
      file,
      `[DEFAULT]
plugin_folder=${root}/usr/lib/mysqlrouter/plugin
logging_folder=
runtime_folder=${folder}
data_folder=${folder}
max_total_connections=${UNSHARED_CLIENTS_MAX}
[logger]
level=warning
[io]
threads=1
[routing:bench]
bind_address=127.0.0.1
bind_port=${port}
destinations=127.0.0.1:${writer}
routing_strategy=first-available
protocol=classic
client_ssl_mode=DISABLED
server_ssl_mode=DISABLED
`,
    )
    const program = programs.start('router', await tool('mysqlrouter'), ['-c', file])
    return { name: 'router', port, program }
  },
}

/** As shipped, with the split that its documentation begins with. */
function proxysqlFrom(binary: string): Contender {
  return {
    name: 'proxysql',
    shares: true,
    async launch(programs, ports) {
      const [port, adminPort] = [await freePort(), await freePort()]
      // What it keeps there would beat the file at its next start.
      const folder = join(programs.folder, `proxysql-${port}`)
      mkdirSync(folder)
      const file = join(folder, 'proxysql.cnf')
      const { app, monitor } = LAB_USERS
      const servers = ports.map(
        (each, at) => `{ address="127.0.0.1", port=${each}, hostgroup=${at === 0 ? 0 : 1}, max_connections=64 }`,
      )
      writeFileSync(
        file,
        `datadir="${folder}"
admin_variables={ admin_credentials="admin:admin"; mysql_ifaces="127.0.0.1:${adminPort}" }
mysql_variables=
{
  threads=1
  max_connections=20000
  interfaces="127.0.0.1:${port}"
  server_version="9.7.0"
  have_ssl=false
  monitor_username="${monitor.user}"
  monitor_password="${monitor.password}"
}
mysql_servers=( ${servers.join(', ')} )
mysql_users=( { username="${app.user}", password="${app.password}", default_hostgroup=0, transaction_persistent=1 } )
mysql_query_rules=
(
  { rule_id=1, active=1, match_digest="^SELECT.*FOR UPDATE", destination_hostgroup=0, apply=1 },
  { rule_id=2, active=1, match_digest="^SELECT", destination_hostgroup=1, apply=1 }
)
`,
        { mode: 0o600 },
      )
      const program = programs.start('proxysql', binary, ['--initial', '-f', '-c', file, '-D', folder])
      return { name: 'proxysql', port, program }
    },
  }
}

export interface SluiceOptions {
  readonly name?: string
  /** For node: `--cpu-prof` and the like. */
  readonly nodeArgs: readonly string[]
  /** How fresh reads are; as shipped where it is left out. */
  readonly consistency?: 'eventual' | 'service'
}

/** Of a Sluice, where it tells its metrics. */
export interface SluicePath extends Path {
  readonly adminPort: number
}

/** As shipped, otherwise. */
export function sluiceWith({
  name = 'sluice',
  nodeArgs,
  consistency = 'service',
}: SluiceOptions): Contender<SluicePath> {
  return {
    name,
    shares: true,
    async launch(programs, ports) {
      const [port, adminPort] = [await freePort(), await freePort()]
      const file = join(programs.folder, `${name}.yaml`)
      const { app, monitor } = LAB_USERS
      writeFileSync(
        file,
        `listeners:
  - { name: bench, bind: 127.0.0.1:${port}, cluster: main, route: split, tls: { mode: 'off' } }
clusters:
  main:
    topology: { seeds: [${ports.map((each) => `127.0.0.1:${each}`).join(', ')}] }
    monitor: { user: ${monitor.user}, password: ${monitor.password} }
    tls: { mode: disabled }
    # A read that finds no reader must be seen, not hidden by the writer.
    reads: { fallback: error, consistency: ${consistency} }
users:
  - { name: ${app.user}, password: ${app.password} }
limits: { clientsMax: 20000 }
admin: { bind: 127.0.0.1:${adminPort} }
log: { level: warn }
stateDir: ${join(programs.folder, name)}
`,
        { mode: 0o600 },
      )
      const program = programs.start(name, process.execPath, [...nodeArgs, 'dist/main.js', 'start', '--config', file])
      return { name, port, adminPort, program }
    },
  }
}

/** All that there are on this machine; ProxySQL where PROXYSQL_BIN names its program. */
export function proxiesWith(nodeArgs: readonly string[]): readonly Contender[] {
  const binary = process.env.PROXYSQL_BIN
  const proxysql = binary === undefined ? [] : [proxysqlFrom(binary)]
  return [direct, relay, haproxy, router, ...proxysql, sluiceWith({ nodeArgs })]
}
