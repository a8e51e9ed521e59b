// The certificate clients meet when none is given: made once, kept, and remade when it will not do.

import { X509Certificate } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { clientContext, keptCertificate } from '../../src/protocol/tls.ts'

const NOW_MS = Date.now()
const YEAR_MS = 365.25 * 24 * 3600 * 1000
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-certificate-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function onlyFile(): Promise<string> {
  const files = await readdir(join(folder, 'state'))
  expect(files).toHaveLength(1)
  return join(folder, 'state', files[0]!)
}

test('is made once, for us only, and found again', async () => {
  const made = await keptCertificate(join(folder, 'state'), NOW_MS)
  const file = await onlyFile()
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect((await stat(join(folder, 'state'))).mode & 0o777).toBe(0o700)
  expect(await keptCertificate(join(folder, 'state'), NOW_MS)).toEqual(made)
  clientContext(made)
})

test('names this machine, is signed as today asks, and lasts for years', async () => {
  const { cert } = await keptCertificate(join(folder, 'state'), NOW_MS)
  const parsed = new X509Certificate(cert)
  expect(parsed.checkHost('localhost')).toBe('localhost')
  expect(parsed.checkIP('127.0.0.1')).toBe('127.0.0.1')
  expect(parsed.publicKey.asymmetricKeyType).toBe('rsa')
  expect(Date.parse(parsed.validTo)).toBeGreaterThan(NOW_MS + 9 * YEAR_MS)
})

test('processes that start together agree on one', async () => {
  const several = await Promise.all([1, 2, 3].map(() => keptCertificate(join(folder, 'state'), NOW_MS)))
  await onlyFile()
  expect(new Set(several.map((certificate) => certificate.cert)).size).toBe(1)
})

test.each([
  ['has run out', (file: string) => readFile(file, 'utf8'), NOW_MS + 11 * YEAR_MS],
  ['was damaged', async () => 'nonsense', NOW_MS],
  [
    'lost its key',
    async (file: string) => (await readFile(file, 'utf8')).replace(/-----BEGIN PRIVATE[\s\S]*?PRIVATE KEY-----\s/, ''),
    NOW_MS,
  ],
])('is made anew when it %s', async (_name, damage, nowMs) => {
  const first = await keptCertificate(join(folder, 'state'), NOW_MS)
  const file = await onlyFile()
  await writeFile(file, await damage(file))
  const second = await keptCertificate(join(folder, 'state'), nowMs)
  expect(second.cert).not.toBe(first.cert)
  clientContext(second)
  expect(await keptCertificate(join(folder, 'state'), nowMs)).toEqual(second)
})

test('a certificate and a key that do not belong together are refused', async () => {
  const one = await keptCertificate(join(folder, 'one'), NOW_MS)
  const other = await keptCertificate(join(folder, 'other'), NOW_MS)
  expect(() => clientContext({ cert: one.cert, key: other.key })).toThrow()
})

test('a folder that cannot be made is an error that names it', async () => {
  await writeFile(join(folder, 'file'), '')
  await expect(keptCertificate(join(folder, 'file', 'state'), NOW_MS)).rejects.toThrow(folder)
})
