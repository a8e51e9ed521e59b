// Our login to real servers: every plugin, every mode of TLS, every way to be refused.

import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type LabCluster, startCluster } from '../../src/lab/lab-cluster.ts'
import { ServerUnavailable } from '../../src/lab/machine.ts'
import { type BackendLogin, changeUser, logIn, openBackend } from '../../src/protocol/mysql/connect.ts'
import { frame } from '../../src/protocol/mysql/frames.ts'
import { CAPABILITY, COMMAND, LEAD } from '../../src/protocol/mysql/messages.ts'
import type { BackendTls, ConnectFailed } from '../../src/protocol/protocol.ts'
import { connectSocket } from '../../src/protocol/socket-transport.ts'
import { makeCertificate } from '../../src/protocol/tls.ts'

type Mode = BackendTls['mode']

interface Place {
  readonly mode?: Mode
  readonly ca?: string | null
  readonly host?: string
  readonly schema?: string | null
}

const USERS = {
  mysql: `
    CREATE USER pass IDENTIFIED WITH caching_sha2_password BY 'pw';
    CREATE USER other IDENTIFIED WITH caching_sha2_password BY 'a password that is longer than any scramble';
    CREATE USER oldsha IDENTIFIED WITH sha256_password BY 'pw';
    CREATE USER vacant IDENTIFIED BY '';
    CREATE USER careful IDENTIFIED BY 'pw' REQUIRE SSL;
    CREATE USER barred IDENTIFIED BY 'pw' ACCOUNT LOCK;
    CREATE USER single IDENTIFIED BY 'pw' WITH MAX_USER_CONNECTIONS 1;
    GRANT ALL ON app.* TO pass, other;`,
  mariadb: `
    CREATE USER pass IDENTIFIED BY 'pw';
    CREATE USER other IDENTIFIED BY 'a password that is longer than any scramble';
    CREATE USER edwards IDENTIFIED VIA ed25519 USING PASSWORD('pw');
    CREATE USER vacant IDENTIFIED BY '';
    CREATE USER careful IDENTIFIED BY 'pw' REQUIRE SSL;
    CREATE USER barred IDENTIFIED BY 'pw' ACCOUNT LOCK;
    CREATE USER single IDENTIFIED BY 'pw' WITH MAX_USER_CONNECTIONS 1;
    GRANT ALL ON app.* TO pass, other;`,
} as const
const NOTHING_MORE = { capabilities: 0, extendedCapabilities: 0 }
const LONG = 'a password that is longer than any scramble'

describe.each(['mysql', 'mariadb'] as const)('a %s server', (engine) => {
  let cluster: LabCluster | null = null
  let unavailable: string | null = null
  let port = 0
  let ca = ''
  let anotherCa = ''
  const open: BackendLogin[] = []

  beforeAll(async () => {
    try {
      cluster = await startCluster({ engine, readers: 0 })
    } catch (error) {
      if (!(error instanceof ServerUnavailable)) throw error
      unavailable = error.message
      return
    }
    port = cluster.writer.port
    ca = await readFile(cluster.caFile, 'utf8')
    anotherCa = (await makeCertificate(Date.now())).cert
    await cluster.writer.asRoot((root) => root.query(USERS[engine]))
  })
  beforeEach((context) => {
    if (unavailable !== null) context.skip(unavailable)
    return () => {
      for (const login of open.splice(0)) login.transport.destroy()
    }
  })
  afterAll(() => cluster?.stop())

  async function enter(user: string, password: string, place: Place = {}, capabilities = 0): Promise<BackendLogin> {
    const { mode = 'disabled', host = '127.0.0.1', schema = null } = place
    const tls = { mode, ca: place.ca ?? null, cert: null, key: null }
    const target = { host, port, tls, connectMsMax: 5_000, collation: 0, schema }
    const login = await openBackend(target, { user, password }, capabilities, 0)
    open.push(login)
    return login
  }

  const refusal = (user: string, password: string, place?: Place): Promise<ConnectFailed> =>
    enter(user, password, place).then(
      () => Promise.reject(new Error('it was let in')),
      (error: ConnectFailed) => error,
    )

  /** The first byte of the answer to a PING: the login left the connection ready for it. */
  async function ping({ transport, reader }: BackendLogin): Promise<number | undefined> {
    const answer = new Promise<number | undefined>((resolve) => {
      transport.onBytes = (bytes) => {
        reader.push(bytes)
        const message = reader.shift()
        if (message !== null) resolve(message.payload[0])
      }
    })
    transport.write(frame(Buffer.from([COMMAND.PING]), 0))
    transport.resume()
    return answer
  }

  const forgetPasswords = () =>
    engine === 'mysql' ? cluster!.writer.asRoot((root) => root.query('FLUSH LOCAL PRIVILEGES')) : null

  type Row = readonly [name: string, user: string, password: string, mode: Mode, cold: boolean]
  const rows: readonly Row[] = [
    ['a password the server has not seen yet', 'pass', 'pw', 'disabled', true],
    ['a password the server remembers', 'pass', 'pw', 'disabled', false],
    ['a password the server has not seen yet, inside TLS', 'pass', 'pw', 'required', true],
    ['a password the server remembers, inside TLS', 'pass', 'pw', 'required', false],
    ['a long password', 'other', LONG, 'disabled', true],
    ['a long password, inside TLS', 'other', LONG, 'required', true],
    ['no password', 'vacant', '', 'disabled', true],
    ['no password, inside TLS', 'vacant', '', 'required', true],
    ...(engine === 'mysql'
      ? ([
          ['sha256_password', 'oldsha', 'pw', 'disabled', true],
          ['sha256_password, inside TLS', 'oldsha', 'pw', 'required', true],
        ] satisfies Row[])
      : ([
          ['client_ed25519', 'edwards', 'pw', 'disabled', true],
          ['client_ed25519, inside TLS', 'edwards', 'pw', 'required', true],
        ] satisfies Row[])),
  ]
  test.each(rows)('lets us in with %s', async (_name, user, password, mode, cold) => {
    if (cold) await forgetPasswords()
    const login = await enter(user, password, { mode })
    expect(login).toMatchObject({ engine, status: 2 })
    expect(login.version.startsWith(cluster!.version.replace(/-.*/, ''))).toBe(true)
    expect(login.transport.tls !== null).toBe(mode === 'required')
    expect(await ping(login)).toBe(LEAD.OK)
  })

  test.each([
    ['preferred', null, '127.0.0.1'],
    ['required', null, '127.0.0.1'],
    ['verify-ca', 'known', '127.0.0.1'],
    ['verify-identity', 'known', '127.0.0.1'],
    ['verify-identity', 'known', 'localhost'],
  ] as const)('%s: TLS (authority: %s, host: %s)', async (mode, authority, host) => {
    const login = await enter('pass', 'pw', { mode, ca: authority === null ? null : ca, host })
    expect(login.transport.tls?.version).toBe('TLSv1.3')
    expect(await ping(login)).toBe(LEAD.OK)
  })

  test.each([
    ['verify-ca', 'unknown', '127.0.0.1', /self-signed|unable to/],
    ['verify-identity', 'unknown', '127.0.0.1', /self-signed|unable to/],
    ['verify-ca', 'none', '127.0.0.1', /self-signed|unable to/],
    ['verify-identity', 'known', 'elsewhere.example', /altnames/],
  ] as const)(
    '%s turns away from an identity it cannot trust (authority: %s, host: %s)',
    async (mode, kind, host, why) => {
      const authority = { unknown: anotherCa, none: null, known: ca }[kind]
      const tls = { mode, ca: authority, cert: null, key: null }
      const target = { host, port, tls, connectMsMax: 5_000, collation: 0, schema: null }
      const transport = await connectSocket('127.0.0.1', port, AbortSignal.timeout(5_000))
      const login = logIn(transport, target, { user: 'pass', password: 'pw' }, NOTHING_MORE)
      await expect(login).rejects.toMatchObject({ kind: 'network', message: expect.stringMatching(why) })
    },
  )

  test.each([
    ['a wrong password', 'pass', 'wrong', {}, 'login', /Access denied for user 'pass'@.* \(using password: YES\)/],
    ['no password', 'pass', '', {}, 'login', /Access denied for user 'pass'@.* \(using password: NO\)/],
    ['a wrong password inside TLS', 'pass', 'wrong', { mode: 'required' }, 'login', /Access denied/],
    ['an unknown user', 'nobody', 'pw', {}, 'login', /Access denied for user 'nobody'/],
    ['an unknown schema', 'root', '', { schema: 'nowhere' }, 'login', /Unknown database 'nowhere'/],
    ['a schema that is not ours', 'pass', 'pw', { schema: 'mysql' }, 'login', /Access denied .* to database 'mysql'/],
    ['a locked account', 'barred', 'pw', {}, 'login', /locked/],
    ['an account that wants TLS', 'careful', 'pw', {}, 'login', /Access denied/],
  ] as const)('says why it does not let us in with %s', async (_name, user, password, place, kind, text) => {
    const failure = await refusal(user, password, place)
    expect(failure).toMatchObject({ kind, message: expect.stringMatching(text) })
    expect(failure.refusal?.frame[0]).toBe(LEAD.ERROR)
  })

  test('says when it has too many of us', async () => {
    await enter('single', 'pw')
    expect(await refusal('single', 'pw')).toMatchObject({ kind: 'capacity' })
  })

  test('opens with the schema asked for', async () => {
    const login = await enter('pass', 'pw', { schema: 'app' }, CAPABILITY.DEPRECATE_EOF)
    expect(login.capabilities & CAPABILITY.DEPRECATE_EOF).not.toBe(0)
    expect(login.capabilities & CAPABILITY.SESSION_TRACK).not.toBe(0)
    expect(login.ok.changes?.toString('latin1')).toContain('app')
  })

  test.each(['disabled', 'required'] as const)('changes the user of an open connection (TLS: %s)', async (mode) => {
    await forgetPasswords()
    const login = await enter('pass', 'pw', { mode })
    const changed = await changeUser(login, { user: 'other', password: LONG }, 'app', 5_000)
    expect(changed.changes?.toString('latin1')).toContain('app')
    expect(await ping(login)).toBe(LEAD.OK)
    await changeUser(login, { user: 'pass', password: 'pw' }, null, 5_000)
    expect(await ping(login)).toBe(LEAD.OK)
    const failure = await changeUser(login, { user: 'pass', password: 'wrong' }, null, 5_000).catch((error) => error)
    expect(failure).toMatchObject({ kind: 'login' })
    expect(login.transport.closed).toBe(true)
  })

  test('that answers nobody is given up in time', async () => {
    cluster!.writer.freeze()
    try {
      const startMs = performance.now()
      const tls = { mode: 'disabled', ca: null, cert: null, key: null } as const
      const target = { host: '127.0.0.1', port, tls, connectMsMax: 200, collation: 0, schema: null }
      const failure = await openBackend(target, { user: 'pass', password: 'pw' }, 0, 0).catch((error) => error)
      expect(failure).toMatchObject({ kind: 'network' })
      expect(performance.now() - startMs).toBeLessThan(2_000)
    } finally {
      cluster!.writer.thaw()
    }
  })
})
