// Addresses as operators write them: host:port, [v6]:port, networks. Pure.

import { isIP } from 'node:net'

export interface Address {
  readonly host: string
  readonly port: number
}

/** `host:port`, `[v6]:port`, and with a default port also `host` alone. Null: not an address. */
export function parseAddress(text: string, defaultPort: number | null): Address | null {
  const match = /^(?:\[([^\]]+)\]|([^:\s/[\]@]+))(?::(\d{1,5}))?$/.exec(text)
  // A bare IPv6 address has colons of its own; what follows its last one is no port.
  if (match === null) return defaultPort !== null && isIP(text) === 6 ? { host: text, port: defaultPort } : null
  const [, v6, plain, digits] = match
  if (v6 !== undefined && isIP(v6) !== 6) return null
  const port = digits === undefined ? defaultPort : Number(digits)
  if (port === null || port > 65_535) return null
  return { host: v6 ?? plain!.toLowerCase(), port }
}

export interface Network {
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  readonly prefix: number
}

/** An address or CIDR. Null: neither. */
export function parseNetwork(text: string): Network | null {
  const [address = '', bits, ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0) return null
  const width = version === 4 ? 32 : 128
  if (bits !== undefined && !/^\d{1,3}$/.test(bits)) return null
  const prefix = bits === undefined ? width : Number(bits)
  return prefix > width ? null : { address, family: version === 4 ? 'ipv4' : 'ipv6', prefix }
}
