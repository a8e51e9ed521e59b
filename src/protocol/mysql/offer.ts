// What a client is offered in its greeting: as far as we can keep it, what the writer would offer. Pure.

import type { AcceptOptions } from '../protocol.ts'
import type { ClientPlugin } from './auth.ts'
import { ZSTD_SUPPORTED } from './compression.ts'
import { CAPABILITY, MARIADB_CAPABILITY, serverVersion } from './messages.ts'

export interface Offer {
  readonly capabilities: number
  readonly extendedCapabilities: number
  /** The plugin that the greeting names. */
  readonly plugin: ClientPlugin
}

/** Offered whoever the writer is. */
const BOTH =
  // The protocol of 4.1 and its login; without them nobody gets in.
  CAPABILITY.PROTOCOL_41 |
  CAPABILITY.SECURE_CONNECTION |
  CAPABILITY.PLUGIN_AUTH |
  CAPABILITY.PLUGIN_AUTH_LENENC_CLIENT_DATA |
  CAPABILITY.CONNECT_WITH_DB |
  CAPABILITY.CONNECT_ATTRS |
  // Said by every server since 4.1, and relied upon by some clients; it means nothing more.
  CAPABILITY.LONG_FLAG |
  CAPABILITY.TRANSACTIONS |
  CAPABILITY.RESERVED |
  CAPABILITY.IGNORE_SIGPIPE |
  // Part of the identity of a backend connection, so they mean there what they mean here.
  CAPABILITY.FOUND_ROWS |
  CAPABILITY.NO_SCHEMA |
  CAPABILITY.ODBC |
  CAPABILITY.LOCAL_FILES |
  CAPABILITY.IGNORE_SPACE |
  CAPABILITY.INTERACTIVE |
  CAPABILITY.MULTI_RESULTS |
  CAPABILITY.PS_MULTI_RESULTS |
  CAPABILITY.DEPRECATE_EOF |
  // Switched per connection, as the client has it.
  CAPABILITY.MULTI_STATEMENTS |
  // Backends always report; the client sees its share.
  CAPABILITY.SESSION_TRACK |
  // An account with an expired password is the backend's to refuse.
  CAPABILITY.CAN_HANDLE_EXPIRED_PASSWORDS |
  // A client's own affair, which servers nevertheless repeat.
  CAPABILITY.REMEMBER_OPTIONS

const MYSQL =
  // "I am no MariaDB with more to say."
  CAPABILITY.LONG_PASSWORD |
  // Parts of the identity.
  CAPABILITY.OPTIONAL_RESULTSET_METADATA |
  CAPABILITY.QUERY_ATTRIBUTES

// Not offered: MULTI_FACTOR_AUTHENTICATION (our accounts have one factor), CAPABILITY_EXTENSION (no server has it).

const MARIADB =
  // Arrays of parameters: the reply is framed like any other.
  MARIADB_CAPABILITY.STMT_BULK_OPERATIONS |
  // Type names in column definitions; columns pass unread.
  MARIADB_CAPABILITY.EXTENDED_METADATA

// Not offered: PROGRESS (reports in the middle of a reply, to be told from errors), COM_MULTI (withdrawn by MariaDB
// itself), CACHE_METADATA (a prepared statement's columns would be remembered per backend connection, and ours change),
// BULK_UNIT_RESULTS (one more shape of reply, for no client that could not do without).

export function offerTo(options: Pick<AcceptOptions, 'serverVersion' | 'tls' | 'compression'>): Offer {
  const { serverVersion: text, tls, compression } = options
  const { engine, number } = serverVersion(text)
  const mysql = engine === 'mysql'
  let capabilities = BOTH | (mysql ? MYSQL : 0)
  if (tls.mode !== 'off' && tls.secureContext !== null) capabilities |= CAPABILITY.SSL
  if (compression) capabilities |= CAPABILITY.COMPRESS
  if (compression && mysql && ZSTD_SUPPORTED) capabilities |= CAPABILITY.ZSTD_COMPRESSION_ALGORITHM
  return {
    capabilities: capabilities >>> 0,
    extendedCapabilities: mysql ? 0 : MARIADB,
    // The default of MySQL since 8.0; the native one is what the others have in common.
    plugin: mysql && number >= 80000 ? 'caching_sha2_password' : 'mysql_native_password',
  }
}

/** MariaDB 10 puts "5.5.5-" in front, for replicas that would take it for MySQL 10; its clients take it off again. */
export function greetingVersion(text: string): string {
  const { engine, version, number } = serverVersion(text)
  return engine === 'mariadb' && number < 110000 ? `5.5.5-${version}` : version
}

const UTF8MB4_0900_AI_CI = 255
const UTF8MB4_GENERAL_CI = 45

export function defaultCollation(text: string): number {
  const { engine, number } = serverVersion(text)
  return engine === 'mysql' && number >= 80000 ? UTF8MB4_0900_AI_CI : UTF8MB4_GENERAL_CI
}
