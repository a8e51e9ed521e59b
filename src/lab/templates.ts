// What every server of a kind starts from: certificates made once, and a data directory that was initialised once.

import { createHash } from 'node:crypto'
import { cp, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { generate } from 'selfsigned'
import type { Certificates, Engine } from './engine.ts'
import { cacheFolder, type Progress, run, withLock } from './machine.ts'

/** The engine's template data directory; made by whoever needs it first. */
export async function templateOf(engine: Engine, progress: Progress): Promise<string> {
  const key = createHash('sha256').update(engine.templateKey).digest('hex').slice(0, 8)
  const name = `${engine.name}@${engine.version}-${key}`
  return madeOnce(join(cacheFolder(), 'templates', name), async (folder) => {
    progress(`${engine.name} ${engine.version}: making the template data directory`)
    await engine.makeTemplate(folder)
  })
}

/** The same authority and server certificate for all lab servers, good for 127.0.0.1 and localhost. */
export async function certificates(): Promise<Certificates> {
  const folder = await madeOnce(join(cacheFolder(), 'tls', 'v1'), makeCertificates)
  return {
    caFile: join(folder, 'ca.pem'),
    certFile: join(folder, 'server-cert.pem'),
    keyFile: join(folder, 'server-key.pem'),
  }
}

async function makeCertificates(folder: string): Promise<void> {
  const notBeforeDate = new Date(Date.now() - 86_400_000)
  const notAfterDate = new Date(Date.now() + 3650 * 86_400_000)
  const common = { algorithm: 'sha256', keySize: 2048, notBeforeDate, notAfterDate }
  const authority = await generate([{ name: 'commonName', value: 'Sluice lab CA' }], {
    ...common,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const server = await generate([{ name: 'commonName', value: 'localhost' }], {
    ...common,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true, keyEncipherment: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  })
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'ca.pem'), authority.cert)
  await writeFile(join(folder, 'server-cert.pem'), server.cert)
  await writeFile(join(folder, 'server-key.pem'), server.private, { mode: 0o600 })
}

/** Whole or not there at all: made under another name beside it, then renamed. */
async function madeOnce(folder: string, make: (folder: string) => Promise<void>): Promise<string> {
  const isThere = () =>
    stat(folder).then(
      () => true,
      () => false,
    )
  if (await isThere()) return folder
  await withLock(
    join(cacheFolder(), 'locks', folder.slice(cacheFolder().length + 1).replaceAll('/', '-')),
    async () => {
      if (await isThere()) return
      const unfinished = `${folder}.unfinished`
      await rm(unfinished, { recursive: true, force: true })
      await mkdir(dirname(folder), { recursive: true })
      await make(unfinished)
      await rename(unfinished, folder)
    },
  )
  return folder
}

/** Shares blocks with the template where the file system can, and keeps holes where it cannot. */
export async function copyTemplate(template: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await run('cp', ['-a', '--reflink=auto', '--sparse=always', template, to]).catch(() =>
    cp(template, to, { recursive: true }),
  )
}
