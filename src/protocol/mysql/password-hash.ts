// What servers keep of a password (mysql.user's authentication_string), and whether a password fits it.

import { createHash, timingSafeEqual } from 'node:crypto'
import { shaCrypt } from './sha-crypt.ts'

/** `native`: SHA1 of the password's SHA1. `sha2`: SHA-crypt, with salt and rounds. */
export type PasswordHash =
  | { readonly kind: 'native'; readonly twice: Buffer }
  | { readonly kind: 'sha2'; readonly salt: Buffer; readonly rounds: number; readonly digest: string }

/** `*` and 40 hexadecimal digits. */
const NATIVE = /^\*([0-9A-Fa-f]{40})$/
/** `$A$`, thousands of rounds in hexadecimal, `$`, 20 bytes of salt, 43 characters of digest. */
const SHA2 = /^\$A\$([0-9A-Fa-f]{3})\$([\0-\x7f]{20})([./0-9A-Za-z]{43})$/

/** Null: neither of the two. */
export function parsePasswordHash(text: string): PasswordHash | null {
  const native = NATIVE.exec(text)
  if (native !== null) return { kind: 'native', twice: Buffer.from(native[1]!, 'hex') }
  const sha2 = SHA2.exec(text)
  if (sha2 === null) return null
  const [, thousands, salt, digest] = sha2
  return { kind: 'sha2', rounds: Number.parseInt(thousands!, 16) * 1000, salt: Buffer.from(salt!), digest: digest! }
}

export async function fitsHash(hash: PasswordHash, password: Buffer): Promise<boolean> {
  if (hash.kind === 'native') return timingSafeEqual(sha1(sha1(password)), hash.twice)
  const digest = await shaCrypt(password, hash.salt, hash.rounds)
  return timingSafeEqual(Buffer.from(digest), Buffer.from(hash.digest))
}

/** Whether a mysql_native_password response comes from who knows the password. */
export function fitsNativeHash(twice: Buffer, response: Buffer, scramble: Buffer): boolean {
  if (response.length !== twice.length) return false
  const mask = sha1(scramble, twice)
  const once = response.map((byte, at) => byte ^ mask[at]!)
  return timingSafeEqual(sha1(once), twice)
}

function sha1(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha1')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** Enough for every account that logs in; beyond it the oldest are asked for their password again. */
const PROVEN_MAX = 10_000

/**
 * Passwords that clients have proved, by the hash they fit: what a server's cache is. With a new hash an account starts
 * anew.
 */
export class ProvenPasswords {
  readonly #passwords = new Map<string, string>()

  get(hash: string): string | null {
    return this.#passwords.get(hash) ?? null
  }

  add(hash: string, password: string): void {
    if (this.#passwords.size >= PROVEN_MAX) this.#passwords.delete(this.#passwords.keys().next().value!)
    this.#passwords.set(hash, password)
  }
}
