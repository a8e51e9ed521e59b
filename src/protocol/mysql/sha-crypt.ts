// SHA-crypt with SHA-256: how MySQL keeps the password of a caching_sha2_password account. The published algorithm,
// but for a salt of 20 bytes instead of 16.

import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'

/** Rounds in one go: about a millisecond. Others have their turn in between. */
const ROUNDS_AT_ONCE = 500
const DIGEST_BYTES = 32
const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** The 43 characters that end a kept password. */
export async function shaCrypt(password: Buffer, salt: Buffer, rounds: number): Promise<string> {
  let digest = firstDigest(password, salt)
  const mixedPassword = fill(sha256(...Array(password.length).fill(password)), password.length)
  const mixedSalt = fill(sha256(...Array(16 + digest[0]!).fill(salt)), salt.length)
  for (let round = 0; round < rounds; round++) {
    const odd = (round & 1) === 1
    const hash = createHash('sha256').update(odd ? mixedPassword : digest)
    if (round % 3 !== 0) hash.update(mixedSalt)
    if (round % 7 !== 0) hash.update(mixedPassword)
    digest = hash.update(odd ? digest : mixedPassword).digest()
    if (round % ROUNDS_AT_ONCE === ROUNDS_AT_ONCE - 1) await setImmediate()
  }
  return encode(digest)
}

function firstDigest(password: Buffer, salt: Buffer): Buffer {
  const inner = sha256(password, salt, password)
  const hash = createHash('sha256').update(password).update(salt).update(fill(inner, password.length))
  for (let bits = password.length; bits > 0; bits >>= 1) hash.update((bits & 1) === 1 ? inner : password)
  return hash.digest()
}

/** `bytes`, again and again, up to `length`. */
function fill(bytes: Buffer, length: number): Buffer {
  return Buffer.alloc(length, bytes)
}

/** Three bytes become four characters, least significant first; which three is the algorithm's own invention. */
function encode(digest: Buffer): string {
  let text = ''
  const put = (bits: number, characters: number) => {
    for (let left = bits, count = 0; count < characters; left >>= 6, count++) text += ALPHABET[left & 0x3f]
  }
  let [high, middle, low] = [0, 10, 20]
  for (let group = 0; group < 10; group++) {
    put((digest[high]! << 16) | (digest[middle]! << 8) | digest[low]!, 4)
    const next = [low + 1, high + 1, middle + 1] as const
    ;[high, middle, low] = next
  }
  put((digest[DIGEST_BYTES - 1]! << 8) | digest[DIGEST_BYTES - 2]!, 3)
  return text
}

function sha256(...parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
