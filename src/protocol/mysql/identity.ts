// Which connections may serve which clients: the login, and the options that change what bytes mean. Pure.

import { createHash } from 'node:crypto'
import type { Account, Identity } from '../protocol.ts'
import { CAPABILITY } from './numbers.ts'

/**
 * Options that change how a request is read or a reply is written. A client that has one of them is served by
 * connections that have it. CLIENT_MULTI_STATEMENTS is not among them: it can be switched, so it is aligned; nor is
 * CLIENT_IGNORE_SPACE, which is a mode of the session.
 */
export const BYTE_MEANING =
  CAPABILITY.FOUND_ROWS |
  CAPABILITY.NO_SCHEMA |
  CAPABILITY.ODBC |
  CAPABILITY.LOCAL_FILES |
  CAPABILITY.INTERACTIVE |
  CAPABILITY.MULTI_RESULTS |
  CAPABILITY.PS_MULTI_RESULTS |
  CAPABILITY.DEPRECATE_EOF |
  CAPABILITY.OPTIONAL_RESULTSET_METADATA |
  CAPABILITY.QUERY_ATTRIBUTES

export interface MysqlIdentity extends Identity {
  readonly capabilities: number
  readonly extendedCapabilities: number
}

/** Thousands of clients have one identity: it is one object. */
const known = new WeakMap<Account, Map<string, MysqlIdentity>>()

export function identityOf(account: Account, capabilities: number, extendedCapabilities: number): MysqlIdentity {
  const meaning = capabilities & BYTE_MEANING
  const options = `${meaning.toString(16)}\0${extendedCapabilities.toString(16)}`
  const ofAccount = known.get(account) ?? new Map<string, MysqlIdentity>()
  known.set(account, ofAccount)
  let identity = ofAccount.get(options)
  if (identity === undefined) {
    const key = `${account.user}\0${fingerprint(account)}\0${options}`
    identity = { key, user: account.user, capabilities: meaning, extendedCapabilities }
    ofAccount.set(options, identity)
  }
  return identity
}

/** A new login towards the backends is another identity: connections opened with the old one are left to themselves. */
function fingerprint({ backendUser, backendPassword }: Account): string {
  return createHash('sha256').update(`${backendUser}\0${backendPassword}`).digest('base64').slice(0, 16)
}
