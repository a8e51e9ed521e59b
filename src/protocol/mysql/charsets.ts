// What the numbers of collations mean to each server, and what a client's choice at its login sets. Pure.

import { BOTH, MARIADB_ONLY, MYSQL_ONLY } from './collations.ts'
import { type ServerVersion, serverVersion } from './login-messages.ts'
import { RESULTS_COLLATION } from './variables.ts'

export interface Collation {
  readonly name: string
  readonly charset: string
}

type Collations = ReadonlyMap<number, Collation>

function mapOf(...tables: Readonly<Record<string, string>>[]): Collations {
  const collations = new Map<number, Collation>()
  for (const table of tables) {
    for (const [charset, list] of Object.entries(table)) {
      for (const entry of list.split(', ')) {
        const [id, suffix] = entry.split(' ')
        collations.set(Number(id), { name: suffix === undefined ? charset : `${charset}_${suffix}`, charset })
      }
    }
  }
  return collations
}

const MYSQL = mapOf(BOTH, MYSQL_ONLY)
const MARIADB = mapOf(BOTH, MARIADB_ONLY)

// MariaDB numbers these by rule: 256 for each character set, 8 for each language, and three bits for how to compare.
const UCA1400_FIRST = 2048
const UCA1400_CHARSETS = ['utf8mb3', 'utf8mb4', 'ucs2', 'utf16', 'utf32']
const UCA1400_LANGUAGES = (
  ' icelandic latvian romanian slovenian polish estonian spanish swedish turkish czech danish lithuanian slovak ' +
  'spanish2 roman persian esperanto hungarian sinhala german2 - - vietnamese croatian'
).split(' ')
const UCA1400_WAYS = ['ai_ci', 'ai_cs', 'as_ci', 'as_cs']

function uca1400(id: number): Collation | null {
  const number = id - UCA1400_FIRST
  const charset = UCA1400_CHARSETS[number >> 8]
  const language = UCA1400_LANGUAGES[(number & 0xff) >> 3]
  if (number < 0 || charset === undefined || language === undefined || language === '-') return null
  const way = (number & 4) === 0 ? UCA1400_WAYS[number & 3] : `nopad_${UCA1400_WAYS[number & 3]}`
  return { name: [charset, 'uca1400', language, way].filter((part) => part !== '').join('_'), charset }
}

/** The collation with this number on that server, by the name the server itself prints; null where it has none. */
export function collationOf(id: number, server: ServerVersion): Collation | null {
  if (server.engine === 'mariadb') return renamed(mariadbCollation(id, server.number), server.number >= 100600)
  const collation = MYSQL.get(id) ?? null
  if (collation === null || (id >= FIRST_0900 && server.number < 80000)) return null
  // The character set was renamed two versions before its collations.
  const name = server.number < 80030 ? old(collation.name) : collation.name
  return { name, charset: server.number < 80028 ? old(collation.charset) : collation.charset }
}

/** utf8mb4_0900_ai_ci, the first of those that MySQL 8.0 brought. */
const FIRST_0900 = 255
const MARIADB_0900_SINCE = 110405
const MARIADB_UCA1400_SINCE = 101000

function mariadbCollation(id: number, version: number): Collation | null {
  if (id >= UCA1400_FIRST) return version < MARIADB_UCA1400_SINCE ? null : uca1400(id)
  const is0900 = id >= FIRST_0900 && id < 512
  return is0900 && version < MARIADB_0900_SINCE ? null : (MARIADB.get(id) ?? null)
}

function renamed(collation: Collation | null, isNew: boolean): Collation | null {
  if (collation === null || isNew) return collation
  return { name: old(collation.name), charset: old(collation.charset) }
}

function old(name: string): string {
  return name.replace(/^utf8mb3/, 'utf8')
}

/** From here on MariaDB maps a character set's own collation to a newer one (character_set_collations). */
const MARIADB_MAPPED_SINCE = 110500
const MARIADB_MAPPED: Readonly<Record<string, string>> = {
  utf8mb3_general_ci: 'utf8mb3_uca1400_ai_ci',
  utf8mb4_general_ci: 'utf8mb4_uca1400_ai_ci',
}

const NO_VARIABLES: ReadonlyMap<string, string> = new Map()

/**
 * The session variables that a login with this collation sets. Empty, which leaves the server's defaults, for a number
 * the server does not know, as the servers do.
 */
/** By collation and version: thousands of clients ask for the same. */
const loginVariablesKnown = new Map<string, ReadonlyMap<string, string>>()

export function loginVariables(collationId: number | null, versionText: string): ReadonlyMap<string, string> {
  if (collationId === null) return NO_VARIABLES
  const key = `${collationId} ${versionText}`
  const known = loginVariablesKnown.get(key) ?? variablesOf(collationId, versionText)
  loginVariablesKnown.set(key, known)
  return known
}

function variablesOf(collationId: number, versionText: string): ReadonlyMap<string, string> {
  const server = serverVersion(versionText)
  const collation = collationOf(collationId, server)
  if (collation === null || isRefusedForClients(collation.charset)) return NO_VARIABLES
  const { name, charset } = collation
  const isMapped = server.engine === 'mariadb' && server.number >= MARIADB_MAPPED_SINCE
  const used = (isMapped ? MARIADB_MAPPED[name] : undefined) ?? name
  return new Map([
    ['character_set_client', charset],
    ['character_set_results', charset],
    ['collation_connection', used],
    [RESULTS_COLLATION, used],
  ])
}

const REFUSED: ReadonlySet<string> = new Set(['ucs2', 'utf16', 'utf16le', 'utf32', 'filename'])

/**
 * No client may speak these: SQL in them is not ASCII. The servers refuse the login, as they refuse SET, with 1231 (42000)
 * "Variable 'character_set_client' can't be set to the value of '…'".
 */
export function isRefusedForClients(charset: string): boolean {
  return REFUSED.has(charset)
}

/** The character set's name if a login with this collation is refused, else null. */
export function refusedCharset(collationId: number, versionText: string): string | null {
  const charset = collationOf(collationId, serverVersion(versionText))?.charset ?? ''
  return isRefusedForClients(charset) ? charset : null
}

/** The character sets that cannot be read byte by byte. */
export type DoubleByteCharset = 'big5' | 'cp932' | 'gb18030' | 'gbk' | 'sjis'

const TRAILING_ASCII: ReadonlySet<string> = new Set<DoubleByteCharset>(['big5', 'cp932', 'gb18030', 'gbk', 'sjis'])

/**
 * In these the second byte of a character can be a backslash, a backquote or another byte that means something in SQL
 * (0x40 to 0x7e; in gb18030 digits too), so a text cannot be read byte by byte. In all others a byte below 0x80 is
 * what it seems, or (euckr) a letter inside a name.
 */
export function hasTrailingAscii(charset: string): charset is DoubleByteCharset {
  return TRAILING_ASCII.has(charset)
}
