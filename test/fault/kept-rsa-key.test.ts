// Promises of the RSA key that Sluice makes for clients without TLS: asked of a real folder.

import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { keptRsaKey, lazyRsaKey, parseRsaKey } from '../../src/protocol/rsa-key.ts'

let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-key-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const pemOf = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' })
const publicPemOf = (key: KeyObject) => createPublicKey(key).export({ type: 'spki', format: 'pem' })
const fileOf = () => join(folder, 'state', 'client-rsa-key.pem')

test('is made once, for us only, with its public half for everybody', async () => {
  const made = await keptRsaKey(join(folder, 'state'))
  expect((await stat(fileOf())).mode & 0o777).toBe(0o600)
  expect((await stat(join(folder, 'state'))).mode & 0o777).toBe(0o700)
  expect(await readdir(join(folder, 'state'))).toEqual(['client-rsa-key.pem', 'client-rsa-public.pem'])
  expect(await readFile(join(folder, 'state', 'client-rsa-public.pem'), 'utf8')).toBe(publicPemOf(made))
  expect(pemOf(await keptRsaKey(join(folder, 'state')))).toBe(pemOf(made))
})

test('processes that start together agree on one', async () => {
  const several = await Promise.all([1, 2, 3].map(() => keptRsaKey(join(folder, 'state'))))
  expect(new Set(several.map(pemOf)).size).toBe(1)
  expect(await readFile(join(folder, 'state', 'client-rsa-public.pem'), 'utf8')).toBe(publicPemOf(several[0]!))
})

test('is made anew when it was damaged', async () => {
  const first = await keptRsaKey(join(folder, 'state'))
  await writeFile(fileOf(), 'nonsense')
  const second = await keptRsaKey(join(folder, 'state'))
  expect(pemOf(second)).not.toBe(pemOf(first))
  expect(await readFile(fileOf(), 'utf8')).toBe(pemOf(second))
})

test('is made when it is asked for, and not before', async () => {
  const key = lazyRsaKey(join(folder, 'state'), () => {})
  expect(await readdir(folder)).toEqual([])
  const [one, other] = await Promise.all([key(), key()])
  expect(other).toBe(one)
  expect(await readFile(fileOf(), 'utf8')).toBe(pemOf(one))
})

test('does for the life of a process where it cannot be kept', async () => {
  await writeFile(join(folder, 'file'), '')
  const onUnkept = vi.fn()
  const key = lazyRsaKey(join(folder, 'file', 'state'), onUnkept)
  expect((await key()).asymmetricKeyType).toBe('rsa')
  expect(await key()).toBe(await key())
  expect(onUnkept).toHaveBeenCalledOnce()
})

test('one that is given must be a private RSA key', () => {
  const { privateKey } = generateKeyPairSync('ed25519')
  expect(() => parseRsaKey(pemOf(privateKey).toString())).toThrow('it is of type ed25519')
  expect(() => parseRsaKey('nonsense')).toThrow()
})
