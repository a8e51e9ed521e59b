// Password schemes: what a client proves with, how it is checked, and what we prove with to a backend. Pure but for the
// random bytes of a new scramble.

import {
  constants,
  createHash,
  createPrivateKey,
  pbkdf2,
  publicEncrypt,
  randomBytes,
  sign,
  timingSafeEqual,
} from 'node:crypto'
import { promisify } from 'node:util'
import { signEd25519 } from './ed25519.ts'

export const SCRAMBLE_BYTES = 20
const NOTHING = Buffer.alloc(0)
const ZERO = Buffer.alloc(1)

/** What follows a right answer of caching_sha2_password, and what asks for the password itself. */
export const FAST_AUTH_OK = 3
export const FULL_AUTH_NEEDED = 4
/** How a client asks for the server's RSA key, with caching_sha2_password and with sha256_password. */
export const KEY_REQUEST = { caching_sha2_password: 2, sha256_password: 1 } as const

/** A response has as many, or none. */
export const NATIVE_PROOF_BYTES = 20
export const SHA2_PROOF_BYTES = 32

/** Twenty bytes that no client can take for the end of a string, and no server for a separator ($). */
export function createScramble(): Buffer {
  const bytes = randomBytes(SCRAMBLE_BYTES)
  for (let index = 0; index < SCRAMBLE_BYTES; index++) {
    const byte = bytes[index]! & 0x7f
    bytes[index] = byte === 0 || byte === 0x24 ? byte + 1 : byte
  }
  return bytes
}

/** SHA1(password) xor SHA1(scramble, SHA1(SHA1(password))); nothing for an empty password. */
export function nativeProof(password: string, scramble: Buffer): Buffer {
  if (password === '') return NOTHING
  const once = hash('sha1', Buffer.from(password))
  return xor(once, hash('sha1', scramble, hash('sha1', once)))
}

/** SHA256(password) xor SHA256(SHA256(SHA256(password)), scramble); nothing for an empty password. */
export function cachingSha2Proof(password: string, scramble: Buffer): Buffer {
  if (password === '') return NOTHING
  const once = hash('sha256', Buffer.from(password))
  return xor(once, hash('sha256', hash('sha256', once), scramble))
}

/** The password as a string ended by zero: for links that nobody reads along. */
export function clearProof(password: string): Buffer {
  return Buffer.concat([Buffer.from(password), ZERO])
}

/** The password for the owner of an RSA key. The scramble makes the same password look different each time. */
export function rsaProof(password: string, scramble: Buffer, publicKey: string | Buffer): Buffer {
  const mixed = unmixed(clearProof(password), scramble)
  return publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING }, mixed)
}

/** Takes a scramble out again, or mixes it in. */
export function unmixed(bytes: Buffer, scramble: Buffer): Buffer {
  return Buffer.from(bytes.map((byte, index) => byte ^ scramble[index % scramble.length]!))
}

/** Schemes a client may prove itself with. */
export type ClientPlugin = 'mysql_native_password' | 'caching_sha2_password' | 'mysql_clear_password'

export function isClientPlugin(name: string, secure: boolean): name is ClientPlugin {
  return (
    name === 'mysql_native_password' || name === 'caching_sha2_password' || (name === 'mysql_clear_password' && secure)
  )
}

/** Whether `response` proves the knowledge of `password`. Takes as long for a wrong one as for a right one. */
export function verify(plugin: ClientPlugin, response: Buffer, password: string, scramble: Buffer): boolean {
  switch (plugin) {
    case 'mysql_native_password':
      return same(response, nativeProof(password, scramble))
    case 'caching_sha2_password':
      return same(withoutZero(response), cachingSha2Proof(password, scramble))
    case 'mysql_clear_password':
      return same(response, response.at(-1) === 0 ? clearProof(password) : Buffer.from(password))
  }
}

/** Whether the client sent a password at all, as servers tell in error 1045. */
export function usesPassword(response: Buffer): boolean {
  return withoutZero(response).length > 0
}

/** With caching_sha2_password an empty password may be sent as the zero that ends it. */
function withoutZero(response: Buffer): Buffer {
  return response.length === 1 && response[0] === 0 ? NOTHING : response
}

/** What we answer a backend's challenge with first; null: a scheme we do not speak, or not over this link. */
export function firstProof(plugin: string, password: string, scramble: Buffer, secure: boolean): Buffer | null {
  switch (plugin) {
    case 'mysql_native_password':
      return nativeProof(password, scramble)
    case 'caching_sha2_password':
      return cachingSha2Proof(password, scramble)
    case 'mysql_clear_password':
      return secure ? clearProof(password) : null
    case 'client_ed25519':
      return signEd25519(Buffer.from(password), scramble)
    case 'parsec':
      // An empty message asks for the salt; see `parsecProof`.
      return NOTHING
    case 'sha256_password':
      if (password === '') return ZERO
      return secure ? clearProof(password) : Buffer.from([KEY_REQUEST.sha256_password])
    default:
      return null
  }
}

/**
 * How MariaDB, from 11.4 on, vouches for a certificate that no authority has signed: who knows the password, and met
 * this certificate in this connection, works out the same. It goes into the text of the OK that ends the login.
 */
export function certificateProof(password: string, scramble: Buffer, fingerprint: Buffer): Buffer {
  const twice = hash('sha1', hash('sha1', Buffer.from(password)))
  return Buffer.from(`\x01${hash('sha256', twice, scramble, fingerprint).toString('hex').toUpperCase()}`)
}

const PARSEC_KDF = 'P'.charCodeAt(0)
/** 2^18 rounds: a quarter of a second. A server may not keep us busy for longer. */
const PARSEC_FACTOR_MAX = 8
/** Ed25519's name and the length of a seed, as a private key in DER begins. */
const ED25519_DER = Buffer.from('302e020100300506032b657004220420', 'hex')

/**
 * MariaDB's PARSEC: a key made of the password and the server's salt signs both sides' scrambles. `salt` begins with
 * the kind of derivation and the exponent of its rounds. Null: not a salt, or one that asks for too much.
 */
export async function parsecProof(password: string, scramble: Buffer, salt: Buffer): Promise<Buffer | null> {
  const factor = salt[1]
  if (salt[0] !== PARSEC_KDF || factor === undefined || factor > PARSEC_FACTOR_MAX) return null
  const seed = await promisify(pbkdf2)(password, salt.subarray(2), 1024 << factor, 32, 'sha512')
  const key = createPrivateKey({ key: Buffer.concat([ED25519_DER, seed]), format: 'der', type: 'pkcs8' })
  const ours = randomBytes(32)
  return Buffer.concat([ours, sign(null, Buffer.concat([scramble, ours]), key)])
}

/** Plugins whose challenge is 32 bytes of any value; the others' has no zeros, and one behind it. */
export function hasRawChallenge(plugin: string): boolean {
  return plugin === 'client_ed25519' || plugin === 'parsec'
}

export const RAW_CHALLENGE_BYTES = 32

function hash(algorithm: 'sha1' | 'sha256', ...parts: readonly Buffer[]): Buffer {
  const digest = createHash(algorithm)
  for (const part of parts) digest.update(part)
  return digest.digest()
}

function xor(one: Buffer, other: Buffer): Buffer {
  const result = Buffer.allocUnsafe(one.length)
  for (let index = 0; index < one.length; index++) result[index] = one[index]! ^ other[index]!
  return result
}

/** A password that came in clear. */
export function samePassword(given: Buffer, password: string): boolean {
  return same(given, Buffer.from(password))
}

/** By digest, so that neither the length nor the first difference shows in the time it takes. */
function same(one: Buffer, other: Buffer): boolean {
  return timingSafeEqual(hash('sha256', one), hash('sha256', other))
}
