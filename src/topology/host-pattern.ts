// Where the instances of an Aurora cluster are: their names lead to addresses by a pattern, as in
// `?.abc123.eu-central-1.rds.amazonaws.com`, which follows from any name of the cluster. Pure.

/** What a host name says by its shape. `roving`: it leads to another server after a change of roles. */
export type HostShape = 'instance' | 'roving' | 'other'

/** `<label>.<marker><account>.<region>.rds.amazonaws.com`; China's names end in .cn, and FIPS ones have rds-fips. */
const RDS_NAME = /^([^.]+)\.(cluster-ro-|cluster-custom-|cluster-|proxy-|shardgrp-|global-)?([^.]+\..+)$/
const RDS_DOMAIN = /(^|\.)rds(-fips)?\.([a-z0-9-]+\.)?(amazonaws\.(com(\.cn)?|eu|au|uk)|c2s\.ic\.gov|sc2s\.sgov\.gov)$/

export function shapeOf(host: string): HostShape {
  const found = rdsParts(host)
  if (found === null) return 'other'
  return found.marker === '' ? 'instance' : 'roving'
}

/** The pattern of the instances' names; null where a name tells none (an address, an alias, a proxy's or global name). */
export function patternFrom(host: string): string | null {
  const found = rdsParts(host)
  if (found === null || /^(proxy|shardgrp|global)-$/.test(found.marker)) return null
  return `?.${found.domain}`
}

export function hostFrom(pattern: string, name: string): string {
  return pattern.replace('?', name.toLowerCase())
}

function rdsParts(host: string): { readonly marker: string; readonly domain: string } | null {
  const [, , marker = '', domain] = RDS_NAME.exec(host.toLowerCase()) ?? []
  if (domain === undefined || !RDS_DOMAIN.test(domain)) return null
  return { marker, domain }
}
