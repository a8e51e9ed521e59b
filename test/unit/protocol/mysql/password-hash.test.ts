// What servers keep of passwords: values worked out by servers and by the C library, and what fits them.

import { describe, expect, test } from 'vitest'
import { nativeProof } from '../../../../src/protocol/mysql/auth.ts'
import {
  fitsHash,
  fitsNativeHash,
  ProvenPasswords,
  parsePasswordHash,
} from '../../../../src/protocol/mysql/password-hash.ts'
import { shaCrypt } from '../../../../src/protocol/mysql/sha-crypt.ts'

const NATIVE = '*D821809F681A40A6E379B50D0463EFAE20BDD122'
const SHA2 = '$A$005$abcdefghijklmnopqrstgH7oGkHYIZNe0sqzUMmxogeMiHQhgAq2Hooe0CUJPwD'

test.each([
  ['Hello world!', 'saltstring', '5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5'],
  ['x'.repeat(50), 'abcdefghijklmnop', 'qbm7GUlXwlq.pa9ST40DPigxPowZ26aSFYzNjdTkTvB'],
  ['', 'abcdefghijklmnop', 'p99E2fxZB/BTl9j.a2VRY5z71zEP761isnVBuiGlzV3'],
])('SHA-crypt of %j with salt %s', async (password, salt, digest) => {
  expect(await shaCrypt(Buffer.from(password), Buffer.from(salt), 5000)).toBe(digest)
})

test('SHA-crypt lets others have their turn', async () => {
  let turns = 0
  const timer = setInterval(() => turns++, 0)
  await shaCrypt(Buffer.from('pw'), Buffer.from('salt'), 20_000)
  clearInterval(timer)
  expect(turns).toBeGreaterThan(3)
})

describe.each([
  ['mysql_native_password', NATIVE],
  ['caching_sha2_password', SHA2],
])('a hash of %s', (_name, text) => {
  test.each([
    ['pw', true],
    ['PW', false],
    ['', false],
  ])('and the password %j', async (password, fits) => {
    expect(await fitsHash(parsePasswordHash(text)!, Buffer.from(password))).toBe(fits)
  })
})

test.each([
  ['the proof of who knows it', nativeProof('pw', Buffer.alloc(20, 7)), true],
  ['the proof of who does not', nativeProof('no', Buffer.alloc(20, 7)), false],
  ['a proof for another scramble', nativeProof('pw', Buffer.alloc(20, 8)), false],
  ['nothing', Buffer.alloc(0), false],
  ['too much', Buffer.alloc(21), false],
])('a native hash and %s', (_name, response, fits) => {
  const hash = parsePasswordHash(NATIVE)!
  expect(hash.kind === 'native' && fitsNativeHash(hash.twice, response, Buffer.alloc(20, 7))).toBe(fits)
})

test.each([
  'pw',
  '',
  NATIVE.slice(1),
  `${NATIVE}0`,
  SHA2.slice(0, -1),
  SHA2.replace('$A$', '$B$'),
  SHA2.replace('005', '5'),
])('%j is no hash', (text) => {
  expect(parsePasswordHash(text)).toBeNull()
})

test('proven passwords are bounded: the oldest is asked for again', () => {
  const proven = new ProvenPasswords()
  for (let count = 0; count <= 10_000; count++) proven.add(`hash ${count}`, `pw ${count}`)
  expect([proven.get('hash 0'), proven.get('hash 1'), proven.get('hash 10000')]).toEqual([null, 'pw 1', 'pw 10000'])
})
