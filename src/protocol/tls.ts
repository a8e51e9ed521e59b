// TLS in the middle of a connection, on both sides; and the certificate that clients meet: given, or made once and kept.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { checkServerIdentity, connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { kept } from './kept.ts'
import type { BackendTls } from './protocol.ts'
import { StreamTransport } from './stream-transport.ts'
import type { Transport } from './transport.ts'

/** Encrypted bytes that may wait for a slow reader before a write says so. */
const PENDING_BYTES_MAX = 128 * 1024

/**
 * Goes on inside TLS, as the side that was connected to. `early` is what was read beyond the request for TLS: clients
 * send their hello without waiting. The result is paused and has no callbacks, as every new transport.
 */
export function startServerTls(transport: Transport, secureContext: SecureContext, early: Buffer): Promise<Transport> {
  const socket = new TLSSocket(detach(transport, early), { isServer: true, secureContext })
  return secured(socket, 'secure', transport)
}

/** Goes on inside TLS, as the side that connected; rejects when the server is not who `tls.mode` wants it to be. */
export function startClientTls(transport: Transport, tls: BackendTls, host: string): Promise<Transport> {
  const socket = connect({
    socket: detach(transport, NOTHING),
    secureContext: backendContext(tls),
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    rejectUnauthorized: tls.mode === 'verify-ca' || tls.mode === 'verify-identity',
    checkServerIdentity: tls.mode === 'verify-identity' ? checkServerIdentity : () => undefined,
  })
  return secured(socket, 'secureConnect', transport)
}

const NOTHING = Buffer.alloc(0)

function detach(transport: Transport, early: Buffer): Duplex {
  if (!(transport instanceof StreamTransport)) throw new TypeError('TLS starts on a plain transport only')
  const stream = transport.detach()
  // TLSSocket takes up what was read before it was there.
  if (early.length > 0) stream.unshift(early)
  return stream
}

function secured(socket: TLSSocket, event: 'secure' | 'secureConnect', plain: Transport): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const fail = (error?: Error | boolean): void => {
      socket.destroy()
      reject(error instanceof Error ? error : new Error('closed in the middle of the TLS handshake'))
    }
    socket.once('error', fail).once('close', fail).once('end', fail)
    socket.once(event, () => {
      socket.off('error', fail).off('close', fail).off('end', fail)
      const shown = socket.getX509Certificate()?.fingerprint256.replaceAll(':', '') ?? null
      const fingerprint = shown === null ? null : Buffer.from(shown, 'hex')
      const tls = { version: socket.getProtocol() ?? '', cipher: socket.getCipher().name, fingerprint }
      const { peerAddress, peerPort } = plain
      const options = { peerAddress, peerPort, tls, pendingBytesMax: PENDING_BYTES_MAX }
      resolve(new StreamTransport(socket, options))
    })
  })
}

const backendContexts = new WeakMap<BackendTls, SecureContext>()

function backendContext(tls: BackendTls): SecureContext {
  let context = backendContexts.get(tls)
  if (context === undefined) {
    const { ca, cert, key } = tls
    context = createSecureContext({
      ...(ca === null ? {} : { ca }),
      ...(cert === null ? {} : { cert }),
      ...(key === null ? {} : { key }),
    })
    backendContexts.set(tls, context)
  }
  return context
}

/** PEM texts. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** What clients will meet. Throws when certificate and key are not a pair, or unreadable. */
export function clientContext({ cert, key }: Certificate): SecureContext {
  return createSecureContext({ cert, key })
}

const KEPT_FILE = 'client-certificate.pem'
const VALID_YEARS = 10

/** The certificate kept in `folder`; made when there is none or it has run out. */
export function keptCertificate(folder: string, nowMs: number): Promise<Certificate> {
  return kept({
    file: join(folder, KEPT_FILE),
    make: () => makeCertificate(nowMs),
    write: ({ cert, key }) => key + cert,
    read: (text) => readCertificate(text, nowMs),
  })
}

function readCertificate(text: string, nowMs: number): Certificate | null {
  const start = text.indexOf('-----BEGIN CERTIFICATE')
  const certificate = { key: text.slice(0, Math.max(start, 0)), cert: text.slice(Math.max(start, 0)) }
  return isUsable(certificate, nowMs) ? certificate : null
}

function isUsable({ cert, key }: Certificate, nowMs: number): boolean {
  try {
    const parsed = new X509Certificate(cert)
    return Date.parse(parsed.validTo) > nowMs && parsed.checkPrivateKey(createPrivateKey(key))
  } catch {
    return false
  }
}

export async function makeCertificate(nowMs: number): Promise<Certificate> {
  // Of a library of the older kind only this is there in every kind of build.
  const { generate } = (await import('selfsigned')).default
  const notAfterDate = new Date(nowMs)
  notAfterDate.setFullYear(notAfterDate.getFullYear() + VALID_YEARS)
  const names = [...new Set(['localhost', hostname()])]
  const made = await generate([{ name: 'commonName', value: 'sluice' }], {
    // RSA, because clients of before TLS 1.2 and old libraries know nothing else.
    keyType: 'rsa',
    keySize: 2048,
    algorithm: 'sha256',
    notBeforeDate: new Date(nowMs),
    notAfterDate,
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          ...names.map((value) => ({ type: 2 as const, value })),
          { type: 7, ip: '127.0.0.1' },
          { type: 7, ip: '::1' },
        ],
      },
    ],
  })
  return { cert: made.cert, key: made.private }
}
