// Proofs against values worked out elsewhere, and what counts as one.

import { constants, createHash, createPrivateKey, generateKeyPairSync, privateDecrypt, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  cachingSha2Proof,
  certificateProof,
  clearProof,
  createScramble,
  firstProof,
  isClientPlugin,
  nativeProof,
  rsaProof,
  usesPassword,
  verify,
} from '../../../../src/protocol/mysql/auth.ts'
import { signEd25519 } from '../../../../src/protocol/mysql/ed25519.ts'

const scramble = Buffer.from(Array.from({ length: 20 }, (_, index) => index + 1))
const NOTHING = Buffer.alloc(0)

describe('proofs', () => {
  test('mysql_native_password', () => {
    expect(nativeProof('secret', scramble).toString('hex')).toBe('b32bb3a583e1340c0a1108d58b1be49781ad8c2f')
  })

  test('caching_sha2_password', () => {
    expect(cachingSha2Proof('secret', scramble).toString('hex')).toBe(
      '746ebe205d56a0707acb3e796e834e0dd7b1d61743b26bd5202c7a623230c7c9',
    )
  })

  test('an RSA proof holds the password, mixed with the scramble, for the owner of the key only', () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const password = 'a password longer than the scramble'
    const proof = rsaProof(password, scramble, publicKey.export({ type: 'spki', format: 'pem' }) as string)
    const mixed = privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING }, proof)
    const clear = mixed.map((byte, index) => byte ^ scramble[index % scramble.length]!)
    expect(Buffer.from(clear).toString()).toBe(`${password}\0`)
  })

  test('client_ed25519 is Ed25519 when the password happens to be as long as a seed', () => {
    const seed = Buffer.from('0123456789abcdef0123456789abcdef')
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    expect(signEd25519(seed, scramble)).toEqual(sign(null, scramble, key))
  })

  test('a certificate is vouched for with the password, as MariaDB does', () => {
    const twice = createHash('sha1').update(createHash('sha1').update('secret').digest()).digest()
    const expected = createHash('sha256').update(twice).update(scramble).update(Buffer.alloc(32, 5)).digest('hex')
    const proof = certificateProof('secret', scramble, Buffer.alloc(32, 5)).toString()
    expect(proof).toBe(`\x01${expected.toUpperCase()}`)
  })

  test('a password goes in clear only where nobody reads along', () => {
    expect(firstProof('mysql_clear_password', 'secret', scramble, true)).toEqual(Buffer.from('secret\0'))
    expect(firstProof('mysql_clear_password', 'secret', scramble, false)).toBeNull()
    expect(firstProof('sha256_password', 'secret', scramble, true)).toEqual(Buffer.from('secret\0'))
    expect(firstProof('sha256_password', 'secret', scramble, false)).toEqual(Buffer.from([1]))
    expect(isClientPlugin('mysql_clear_password', false)).toBe(false)
  })

  test('a plugin that is not known has no proof', () => {
    expect(firstProof('dialog', 'secret', scramble, true)).toBeNull()
    expect(isClientPlugin('dialog', true)).toBe(false)
  })
})

test('a scramble has twenty bytes that no client takes for an end', () => {
  for (let round = 0; round < 200; round++) {
    const bytes = createScramble()
    expect(bytes).toHaveLength(20)
    expect(bytes.every((byte) => byte > 0 && byte < 128 && byte !== 0x24)).toBe(true)
  }
})

describe('checking', () => {
  const prove = {
    mysql_native_password: nativeProof,
    caching_sha2_password: cachingSha2Proof,
    mysql_clear_password: clearProof,
  } as const
  const plugins = Object.keys(prove) as (keyof typeof prove)[]

  test.each(plugins)('%s: the right password, and no other', (plugin) => {
    expect(verify(plugin, prove[plugin]('secret', scramble), 'secret', scramble)).toBe(true)
    expect(verify(plugin, prove[plugin]('Secret', scramble), 'secret', scramble)).toBe(false)
    expect(verify(plugin, prove[plugin]('secret', Buffer.alloc(20, 7)), 'secret', scramble)).toBe(
      plugin === 'mysql_clear_password',
    )
    expect(verify(plugin, NOTHING, 'secret', scramble)).toBe(false)
    expect(verify(plugin, Buffer.alloc(1), 'secret', scramble)).toBe(false)
  })

  test.each(plugins)('%s: an empty password is proved by nothing, and by nothing else', (plugin) => {
    expect(verify(plugin, NOTHING, '', scramble)).toBe(true)
    expect(verify(plugin, prove[plugin]('secret', scramble), '', scramble)).toBe(false)
  })

  test('with caching_sha2_password an empty password may be sent as the zero that ends it', () => {
    expect(verify('caching_sha2_password', Buffer.alloc(1), '', scramble)).toBe(true)
    expect(usesPassword(Buffer.alloc(1))).toBe(false)
  })

  test('a password in clear may lack the zero that ends it', () => {
    expect(verify('mysql_clear_password', Buffer.from('secret'), 'secret', scramble)).toBe(true)
    expect(verify('mysql_clear_password', Buffer.from('secret\0\0'), 'secret', scramble)).toBe(false)
  })
})
