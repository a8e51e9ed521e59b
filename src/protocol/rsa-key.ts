// The RSA key with which clients encrypt their password where there is no TLS: given, or made once and kept.

import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { kept } from './kept.ts'

const PRIVATE_FILE = 'client-rsa-key.pem'
/** For whoever gives it to clients beforehand (`mysql --server-public-key-path`). */
const PUBLIC_FILE = 'client-rsa-public.pem'
const KEY_BITS = 2048

/** Throws when `pem` holds no private RSA key. */
export function parseRsaKey(pem: string): KeyObject {
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'rsa') throw new Error(`it is of type ${key.asymmetricKeyType}`)
  return key
}

/** The key kept in `folder`, with its public half beside it. */
export async function keptRsaKey(folder: string): Promise<KeyObject> {
  const key = await kept({ file: join(folder, PRIVATE_FILE), make: makeRsaKey, write: pemOf, read: keyOrNull })
  const publicPem = createPublicKey(key).export({ type: 'spki', format: 'pem' })
  await writeFile(join(folder, PUBLIC_FILE), publicPem, { mode: 0o644 })
  return key
}

/**
 * The kept key when it is first asked for: making one takes a tenth of a second, and most clients never need it. Where
 * none can be kept, one for the life of this process will do; `onUnkept` is told why.
 */
export function lazyRsaKey(folder: string, onUnkept: (error: Error) => void): () => Promise<KeyObject> {
  let key: Promise<KeyObject> | null = null
  return () => {
    key ??= keptRsaKey(folder).catch((error: Error) => {
      onUnkept(error)
      return makeRsaKey()
    })
    return key
  }
}

async function makeRsaKey(): Promise<KeyObject> {
  return (await promisify(generateKeyPair)('rsa', { modulusLength: KEY_BITS })).privateKey
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

function keyOrNull(pem: string): KeyObject | null {
  try {
    return parseRsaKey(pem)
  } catch {
    return null
  }
}
