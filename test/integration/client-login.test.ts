// Real clients log in to us: drivers and command-line clients, of MySQL and MariaDB, with every flavour of greeting.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import mariadb from 'mariadb'
import mysqljs from 'mysql'
import mysql2 from 'mysql2/promise'
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { run, ServerUnavailable } from '../../src/lab/machine.ts'
import { BUNDLES, tool, unpacked } from '../../src/lab/packages.ts'
import type { AcceptOptions, Account, ClientTls } from '../../src/protocol/protocol.ts'
import { clientContext, makeCertificate } from '../../src/protocol/tls.ts'
import { type LoginPort, openLoginPort } from '../support/login-port.ts'

const account = (user: string, password: string): Account => ({
  user,
  password,
  passwordHash: null,
  backendUser: user,
  backendPassword: password,
  requireTls: user === 'careful',
  route: null,
})
const known = [account('app', 'pw'), account('other', 'another'), account('vacant', ''), account('careful', 'pw')]
const accounts = { find: (user: string) => known.find((row) => row.user === user) ?? null }

interface Way {
  readonly port: number
  readonly user: string
  readonly password: string
  readonly tls: boolean
  readonly compressed: boolean
}

/** Each logs in, asks something, and gives the answer; or throws with the server's error number in its text. */
type Client = (way: Way) => Promise<string>

const base = ({ port, user, password }: Way) => ({ host: '127.0.0.1', port, user, password, database: 'shop' })
const numbered = (error: { errno?: number; message: string }): Error => new Error(`${error.errno} ${error.message}`)

const drivers: Record<string, Client> = {
  async mysql2(way) {
    const options = {
      ...base(way),
      compress: way.compressed,
      ...(way.tls ? { ssl: { rejectUnauthorized: false } } : {}),
    }
    const connection = await mysql2.createConnection(options).catch((error) => Promise.reject(numbered(error)))
    const [[row]] = await connection.query<mysql2.RowDataPacket[]>('select answer')
    await connection.end()
    return row?.answer
  },
  mysql: (way) =>
    new Promise((resolve, reject) => {
      const ssl = way.tls ? { ssl: { rejectUnauthorized: false } } : {}
      const connection = mysqljs.createConnection({ ...base(way), ...ssl })
      connection.query('select answer', (error, rows) => {
        connection.destroy()
        if (error) reject(numbered(error))
        else resolve(rows[0].answer)
      })
    }),
  async mariadb(way) {
    const options = { ...base(way), compress: way.compressed, connectTimeout: 3_000 }
    const ssl = way.tls ? { ssl: { rejectUnauthorized: false } } : {}
    const connection = await mariadb
      .createConnection({ ...options, ...ssl })
      .catch((error) => Promise.reject(numbered(error)))
    const [row] = await connection.query('select answer')
    await connection.end()
    return row.answer
  },
}

const programs: Record<string, Client> = {
  async 'the mysql program'(way) {
    const tls = way.tls ? ['--ssl-mode=REQUIRED'] : ['--ssl-mode=DISABLED', '--get-server-public-key']
    const compression = way.compressed ? ['--compression-algorithms=zlib'] : []
    return ask(await tool('mysql'), way, [...tls, ...compression])
  },
  async 'the mariadb program'(way) {
    const tls = way.tls ? '--ssl' : '--skip-ssl'
    const plugins = `--plugin-dir=${await mariadbPlugins()}`
    return ask(await tool('mariadb'), way, [tls, plugins, ...(way.compressed ? ['--compress'] : [])])
  },
}
const clients = { ...drivers, ...programs }

async function ask(program: string, { port, user, password }: Way, more: readonly string[]): Promise<string> {
  const login = ['--host=127.0.0.1', `--port=${port}`, `--user=${user}`, '--database=shop']
  const args = ['--no-defaults', ...login, ...more, '--skip-column-names', '--batch', '-e', 'select answer']
  return (await run(program, args, { env: password === '' ? {} : { MYSQL_PWD: password }, msMax: 10_000 })).trim()
}

async function mariadbPlugins(): Promise<string> {
  const libraries = join((await unpacked(BUNDLES.mariadb)).root, 'usr/lib')
  const folders = readdirSync(libraries).map((name) => join(libraries, name, 'libmariadb3/plugin'))
  return folders.find((folder) => existsSync(folder)) ?? libraries
}

let certificate: { cert: string; key: string }
let opened: LoginPort | null = null
const unavailable = new Set<string>()

beforeAll(async () => {
  certificate = await makeCertificate(Date.now())
  await tool('mysql').catch((error: unknown) => {
    if (!(error instanceof ServerUnavailable)) throw error
    unavailable.add('the mysql program')
  })
})
afterEach(() => opened?.close())

async function listen(serverVersion: string, mode: ClientTls['mode'], change: Partial<AcceptOptions> = {}) {
  const tls = { mode, secureContext: mode === 'off' ? null : clientContext(certificate) }
  const limits = {
    serverModes: '',
    serverCollation: null,
    loginMsMax: 5_000,
    loginBytesMax: 65_536,
    requestBytesMax: 1 << 24,
    preparedMax: 100,
  }
  opened = await openLoginPort({ accounts, serverVersion, tls, compression: true, ...limits, ...change })
  return opened
}

const way = (port: number, change: Partial<Way> = {}): Way => ({
  port,
  user: 'app',
  password: 'pw',
  tls: false,
  compressed: false,
  ...change,
})

const VERSIONS = ['9.7.0', '8.0.40', '5.7.44', '10.11.6-MariaDB-log', '11.8.2-MariaDB']

describe.each(Object.entries(clients))('%s', (name, client) => {
  beforeEach((context) => {
    if (unavailable.has(name)) context.skip('this program cannot be had here today')
  })

  describe.each(VERSIONS)('greeted by %s', (version) => {
    const ways: readonly (readonly [name: string, mode: ClientTls['mode'], change: Partial<Way>])[] = [
      ['plain', 'off', {}],
      ['plain, where TLS is offered', 'preferred', {}],
      ['inside TLS', 'preferred', { tls: true }],
      ['inside TLS, where that is a must', 'required', { tls: true }],
      ['without a password', 'preferred', { user: 'vacant', password: '' }],
      ['without a password, inside TLS', 'preferred', { user: 'vacant', password: '', tls: true }],
      ['with an account that wants TLS', 'preferred', { user: 'careful', tls: true }],
      ['compressed', 'off', { compressed: true }],
      ['compressed, inside TLS', 'preferred', { compressed: true, tls: true }],
    ]
    test.each(ways)('gets in %s', async (_name, mode, change) => {
      const { port, logins } = await listen(version, mode)
      const taken = way(port, change)
      expect(await client(taken)).toBe('yes')
      expect(logins).toHaveLength(1)
      expect(logins[0]).toMatchObject({ schema: 'shop', account: { user: taken.user } })
      expect(logins[0]!.transport.tls !== null).toBe(taken.tls)
      // The `mysql` driver cannot compress.
      if (name !== 'mysql') expect(logins[0]!.compression).toBe(taken.compressed ? 'zlib' : 'none')
    })

    test.each([
      [
        'with a wrong password',
        'preferred',
        { password: 'wrong' },
        /1045.*Access denied for user 'app'@'127.0.0.1' \(using password: YES\)/,
      ],
      ['with a wrong password, inside TLS', 'preferred', { password: 'wrong', tls: true }, /1045.*using password: YES/],
      ['without a password', 'preferred', { password: '' }, /1045.*using password: NO/],
      ['as nobody we know', 'preferred', { user: 'nobody' }, /1045.*'nobody'@'127.0.0.1' \(using password: YES\)/],
      ['plain, where TLS is a must', 'required', {}, /3159.*insecure transport/],
      ['plain, with an account that wants TLS', 'preferred', { user: 'careful' }, /3159.*TLS only/],
    ] as const)('is told why it does not get in %s', async (_name, mode, change, why) => {
      const { port, refusals } = await listen(version, mode)
      await expect(client(way(port, change))).rejects.toThrow(why)
      await vi.waitUntil(() => refusals.length === 1)
    })
  })
})

describe('becoming another user', () => {
  test.each(VERSIONS)('mysql2, greeted by %s', async (version) => {
    const { port, changes } = await listen(version, 'off')
    const connection = await mysql2.createConnection(base(way(port)))
    await connection.changeUser({ user: 'other', password: 'another' })
    await connection.changeUser({ user: 'app', password: 'pw' })
    const [[row]] = await connection.query<mysql2.RowDataPacket[]>('select answer')
    expect([row?.answer, changes]).toEqual(['yes', ['other', 'app']])
    await connection.end()
  })

  test.each(VERSIONS)('mysql, which knows no plugins, greeted by %s', async (version) => {
    const { port, changes } = await listen(version, 'off')
    const connection = mysqljs.createConnection(base(way(port)))
    for (const change of [
      { user: 'other', password: 'another' },
      { user: 'app', password: 'pw' },
    ]) {
      await new Promise<void>((resolve, reject) => {
        connection.changeUser(change, (error) => (error ? reject(error) : resolve()))
      })
    }
    connection.destroy()
    expect(changes).toEqual(['other', 'app'])
  })

  test.each(VERSIONS.slice(3))('mariadb, greeted by %s', async (version) => {
    const { port, changes } = await listen(version, 'preferred')
    const connection = await mariadb.createConnection({ ...base(way(port)), ssl: { rejectUnauthorized: false } })
    await connection.changeUser({ user: 'other', password: 'another' })
    expect(changes).toEqual(['other'])
    await connection.end()
  })

  test('with the wrong password is the end of the connection', async () => {
    const { port, refusals } = await listen('9.7.0', 'off')
    const connection = await mysql2.createConnection(base(way(port)))
    await expect(connection.changeUser({ user: 'other', password: 'wrong' })).rejects.toThrow(
      /Access denied for user 'other'/,
    )
    expect(refusals).toHaveLength(1)
    connection.destroy()
  })
})

describe('other ways of clients', () => {
  test('a password in clear is taken inside TLS, and never asked for outside', async (context) => {
    if (unavailable.has('the mysql program')) context.skip('this program cannot be had here today')
    const program = await tool('mysql')
    const clear = ['--enable-cleartext-plugin', '--default-auth=mysql_clear_password']
    const { port, logins } = await listen('9.7.0', 'preferred')
    expect(await ask(program, way(port), [...clear, '--ssl-mode=REQUIRED'])).toBe('yes')
    expect(await ask(program, way(port), [...clear, '--ssl-mode=DISABLED'])).toBe('yes')
    expect(logins.map((login) => login.transport.tls !== null)).toEqual([true, false])
  })

  test('who may not ask for our key gets in with the right password, and is none the wiser with a wrong one', async (context) => {
    if (unavailable.has('the mysql program')) context.skip('this program cannot be had here today')
    const program = await tool('mysql')
    const { port } = await listen('9.7.0', 'preferred')
    expect(await ask(program, way(port), ['--ssl-mode=DISABLED'])).toBe('yes')
    const wrong = ask(program, way(port, { password: 'wrong' }), ['--ssl-mode=DISABLED'])
    await expect(wrong).rejects.toThrow(/2061.*requires secure connection/)
  })

  test('a plugin that is none of ours is switched: sha256_password', async (context) => {
    if (unavailable.has('the mysql program')) context.skip('this program cannot be had here today')
    const { port } = await listen('9.7.0', 'off')
    expect(await ask(await tool('mysql'), way(port), ['--default-auth=sha256_password', '--ssl-mode=DISABLED'])).toBe(
      'yes',
    )
  })

  test('a plugin that is none of ours is switched: client_ed25519', async () => {
    const { port } = await listen('10.11.6-MariaDB', 'off')
    const more = ['--default-auth=client_ed25519', `--plugin-dir=${await mariadbPlugins()}`]
    expect(await ask(await tool('mariadb'), way(port), more)).toBe('yes')
  })

  test('a MariaDB client that verifies takes our own certificate, because we know its password', async () => {
    const { port } = await listen('11.8.2-MariaDB', 'preferred')
    const connection = await mariadb.createConnection({ ...base(way(port)), ssl: true })
    await connection.end()
    const older = await listen('10.11.6-MariaDB', 'preferred')
    await expect(mariadb.createConnection({ ...base(way(older.port)), ssl: true })).rejects.toThrow(/self-signed/)
    older.close()
  })
})
