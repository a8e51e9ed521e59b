// Settings from environment variables alone: enough for a sidecar. The same checks as for a file apply afterwards.

import type { Environment, Path } from './source.ts'

/** Each variable and where in the settings its value goes. */
const PLACES: readonly (readonly [name: string, path: Path])[] = [
  ['SLUICE_CLUSTER', ['clusters', 'main', 'topology', 'seeds']],
  ['SLUICE_USER', ['users', 0, 'name']],
  ['SLUICE_PASSWORD', ['users', 0, 'password']],
  ['SLUICE_MONITOR_USER', ['clusters', 'main', 'monitor', 'user']],
  ['SLUICE_MONITOR_PASSWORD', ['clusters', 'main', 'monitor', 'password']],
  ['SLUICE_BIND', ['listeners', 0, 'bind']],
  ['SLUICE_ADMIN_BIND', ['admin', 'bind']],
  ['SLUICE_LOG_LEVEL', ['log', 'level']],
]

export const ENVIRONMENT_NAMES: readonly string[] = ['SLUICE_CONFIG', ...PLACES.map(([name]) => name)]

export function environmentSource(env: Environment): { value: unknown; locate(path: Path): string } {
  const user = env.SLUICE_USER
  const password = env.SLUICE_PASSWORD
  const seeds = (env.SLUICE_CLUSTER ?? '').split(',').map((seed) => seed.trim())
  const value = {
    listeners: [{ name: 'app', cluster: 'main', ...given('bind', env.SLUICE_BIND) }],
    clusters: {
      main: {
        topology: { seeds: seeds.filter((seed) => seed !== '') },
        monitor: {
          user: env.SLUICE_MONITOR_USER ?? user,
          password: env.SLUICE_MONITOR_PASSWORD ?? password,
        },
      },
    },
    users: [{ name: user, password }],
    admin: given('bind', env.SLUICE_ADMIN_BIND),
    log: given('level', env.SLUICE_LOG_LEVEL),
  }
  const locate = (path: Path) => {
    const place = PLACES.find(([, known]) => known.every((step, at) => path[at] === step))
    return place?.[0] ?? 'SLUICE_CLUSTER'
  }
  return { value, locate }
}

function given(key: string, value: string | undefined): Readonly<Record<string, string>> {
  return value === undefined ? {} : { [key]: value }
}
