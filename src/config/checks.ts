// What one part of the settings says about another. Works on what the operator wrote, so that it finds what it can
// even where other parts are wrong. Pure.

import { parseAddress } from './address.ts'
import { type Finding, nameOf, suggestion, valueAt } from './problems.ts'
import { backendId, RESERVED_NAMES, ROUTE_WORDS } from './schema.ts'
import type { Path } from './source.ts'

type Values = Readonly<Record<string, unknown>>

export function crossChecks(root: unknown): Finding[] {
  const settings = mapOf(root)
  return [
    ...listenerFindings(settings),
    ...Object.keys(mapOf(settings.clusters)).flatMap((name) => clusterFindings(settings, name)),
    ...userFindings(settings),
    ...ruleFindings(settings),
  ]
}

function listenerFindings(settings: Values): Finding[] {
  const found: Finding[] = []
  const clusters = Object.keys(mapOf(settings.clusters))
  const listeners = listOf(settings.listeners).map(mapOf)
  const binds = new Map<string, string>()
  const admin = textOf(valueAt(settings, ['admin', 'bind'])) ?? '127.0.0.1:6032'
  addBind(binds, admin, 6032, 'admin.bind')
  for (const [at, listener] of listeners.entries()) {
    const path = ['listeners', at]
    found.push(...clusterNameFindings([...path, 'cluster'], listener.cluster, clusters))
    if (listener.cluster == null && clusters.length > 1) {
      const text = `${nameOf([...path, 'cluster'])} is missing; expected one of ${clusters.join(', ')}`
      found.push({ path: [...path, 'cluster'], what: 'value', text })
    }
    const reachable = textOf(listener.cluster) ?? clusters[0]
    if (reachable !== undefined && clusters.includes(reachable)) {
      found.push(...routeFindings(settings, [...path, 'route'], listener.route, [reachable]))
    }
    const first = addBind(binds, textOf(listener.bind) ?? '127.0.0.1:6033', 6033, nameOf([...path, 'bind']))
    if (first !== null) {
      const text = `${nameOf([...path, 'bind'])} is the address of ${first} too; expected one of its own`
      found.push({ path: [...path, 'bind'], what: 'value', text })
    }
    const tls = mapOf(listener.tls)
    if ((tls.cert == null) !== (tls.key == null)) found.push(pairFinding([...path, 'tls'], tls, 'cert', 'key'))
  }
  found.push(...duplicateFindings('listeners', listeners))
  return found
}

function clusterFindings(settings: Values, name: string): Finding[] {
  const found: Finding[] = []
  const path = ['clusters', name]
  const cluster = mapOf(mapOf(settings.clusters)[name])
  const topology = mapOf(cluster.topology)
  const seeds = listOf(topology.seeds).map(idOf)
  for (const [at, seed] of seeds.entries()) {
    if (seed === null || seeds.indexOf(seed) === at) continue
    const where = [...path, 'topology', 'seeds', at]
    found.push({ path: where, what: 'value', text: `${nameOf(where)} is there twice (${seed}); expected it once` })
  }
  const writer = topology.writer
  const writerPath = [...path, 'topology', 'writer']
  const isStatic = topology.kind === 'static'
  if (isStatic && writer == null) {
    const text = `${nameOf(writerPath)} is missing; expected one of the seeds, because the kind is static`
    found.push({ path: writerPath, what: 'value', text })
  } else if (!isStatic && writer != null) {
    const kind = String(topology.kind ?? 'auto')
    const text = `${nameOf(writerPath)} has no meaning with kind ${kind}, which finds the writer itself; expected kind static, or no writer`
    found.push({ path: writerPath, what: 'key', text })
  } else if (isStatic && idOf(writer) !== null && !seeds.includes(idOf(writer))) {
    const text = `${nameOf(writerPath)} is '${String(writer)}'; expected one of the seeds: ${seeds.filter((seed) => seed !== null).join(', ')}`
    found.push({ path: writerPath, what: 'value', text })
  }
  const tls = mapOf(cluster.tls)
  if ((tls.cert == null) !== (tls.key == null)) found.push(pairFinding([...path, 'tls'], tls, 'cert', 'key'))
  for (const [endpoint, value] of Object.entries(mapOf(cluster.endpoints))) {
    const where = [...path, 'endpoints', endpoint]
    if (RESERVED_NAMES.includes(endpoint)) {
      found.push({ path: where, what: 'key', text: `'${endpoint}' has a meaning of its own; expected another name` })
    }
    if (mapOf(value).members != null && listOf(mapOf(value).excluded).length > 0) {
      const text = `${nameOf(where)} has members and excluded; expected one of the two`
      found.push({ path: [...where, 'excluded'], what: 'key', text })
    }
  }
  for (const address of Object.keys(mapOf(cluster.weights))) {
    if (idOf(address) !== null) continue
    const text = `'${address}' is no address; expected host:port of a backend`
    found.push({ path: [...path, 'weights', address], what: 'key', text })
  }
  return found
}

function userFindings(settings: Values): Finding[] {
  const found: Finding[] = []
  const clusters = Object.keys(mapOf(settings.clusters))
  const users = listOf(settings.users).map(mapOf)
  for (const [at, user] of users.entries()) {
    const allowed = user.clusters == null ? clusters : listOf(user.clusters).map(String)
    for (const [nth, cluster] of listOf(user.clusters).entries()) {
      found.push(...clusterNameFindings(['users', at, 'clusters', nth], cluster, clusters))
    }
    const reachable = allowed.filter((cluster) => clusters.includes(cluster))
    found.push(...routeFindings(settings, ['users', at, 'route'], user.route, reachable))
    found.push(...passwordFindings(['users', at], user))
  }
  found.push(...duplicateFindings('users', users))
  return found
}

function passwordFindings(path: Path, { password, passwordHash }: Values): Finding[] {
  const own = [...path, 'password']
  const hash = [...path, 'passwordHash']
  if (password == null && passwordHash == null) {
    return [{ path: own, what: 'value', text: `${nameOf(own)} is missing; expected a text, or passwordHash` }]
  }
  if (password != null && passwordHash != null) {
    return [{ path: hash, what: 'key', text: `${nameOf(path)} has password and passwordHash; expected one of the two` }]
  }
  return []
}

function ruleFindings(settings: Values): Finding[] {
  const found: Finding[] = []
  const clusters = Object.keys(mapOf(settings.clusters))
  const rules = listOf(settings.rules).map(mapOf)
  for (const [at, rule] of rules.entries()) {
    found.push(...routeFindings(settings, ['rules', at, 'route'], rule.route, clusters))
    if (rule.route == null && rule.consistency == null && rule.monotonic == null) {
      const text = `${nameOf(['rules', at])} says nothing; expected a route, a consistency or monotonic`
      found.push({ path: ['rules', at], what: 'value', text })
    }
    if (rule.match === undefined || Object.values(mapOf(rule.match)).some((value) => value != null)) continue
    const text = `${nameOf(['rules', at, 'match'])} is empty; expected one of user, schema, clientAddress, digest, table (a listener's route is for all)`
    found.push({ path: ['rules', at, 'match'], what: 'value', text })
  }
  found.push(...duplicateFindings('rules', rules))
  return found
}

/** A route is a word or an endpoint that every cluster it can apply to has. */
function routeFindings(settings: Values, path: Path, route: unknown, clusters: readonly string[]): Finding[] {
  if (typeof route !== 'string' || (ROUTE_WORDS as readonly string[]).includes(route)) return []
  for (const cluster of clusters) {
    const endpoints = Object.keys(mapOf(mapOf(mapOf(settings.clusters)[cluster]).endpoints))
    if (endpoints.includes(route)) continue
    const text = `${nameOf(path)} is '${route}', which is no endpoint of cluster ${cluster}; ${suggestion(route, [...new Set([...ROUTE_WORDS, ...endpoints])])}`
    return [{ path, what: 'value', text }]
  }
  return []
}

function clusterNameFindings(path: Path, name: unknown, clusters: readonly string[]): Finding[] {
  if (typeof name !== 'string' || clusters.includes(name)) return []
  const text = `${nameOf(path)} is '${name}', which is not among the clusters; ${suggestion(name, clusters)}`
  return [{ path, what: 'value', text }]
}

function duplicateFindings(list: string, items: readonly Values[]): Finding[] {
  const names = items.map((item) => textOf(item.name))
  return names.flatMap((name, at) => {
    if (name === null || names.indexOf(name) === at) return []
    const path = [list, at, 'name']
    const text = `${nameOf(path)} is '${name}', as ${nameOf([list, names.indexOf(name)])} is; expected a name of its own`
    return [{ path, what: 'value' as const, text }]
  })
}

function pairFinding(path: Path, values: Values, ...pair: readonly [string, string]): Finding {
  const [there, missing] = values[pair[0]] == null ? [pair[1], pair[0]] : pair
  const text = `${nameOf([...path, there])} is given without ${missing}; expected both or neither`
  return { path: [...path, there], what: 'key', text }
}

/** Who has this address already; else null, and it is taken from now on. Port 0 is whatever is free. */
function addBind(binds: Map<string, string>, bind: string, defaultPort: number, name: string): string | null {
  const address = parseAddress(bind, defaultPort)
  if (address === null || address.port === 0) return null
  const everywhere = ['0.0.0.0', '::', '*']
  for (const [taken, owner] of binds) {
    const [host, port] = [taken.slice(0, taken.lastIndexOf(' ')), Number(taken.slice(taken.lastIndexOf(' ') + 1))]
    if (port !== address.port) continue
    if (host === address.host || everywhere.includes(host) || everywhere.includes(address.host)) return owner
  }
  binds.set(`${address.host} ${address.port}`, name)
  return null
}

function idOf(value: unknown): string | null {
  const address = typeof value === 'string' ? parseAddress(value, 3306) : null
  return address === null ? null : backendId(address.host, address.port)
}

function mapOf(value: unknown): Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Values) : {}
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
