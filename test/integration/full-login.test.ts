// Every turn a caching_sha2_password login can take, on a server and through Sluice: the same frames. Sluice knows the
// accounts by the hashes that the server keeps, so it has a cold cache and a warm one as the server has.

import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mariadb, { type ConnectionConfig } from 'mariadb'
import mysqljs from 'mysql'
import mysql2, { type RowDataPacket } from 'mysql2/promise'
import { beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../src/lab/machine.ts'
import { tool } from '../../src/lab/packages.ts'
import { CAPABILITY } from '../../src/protocol/mysql/messages.ts'
import { describeEngines, useCluster } from '../support/lab.ts'
import {
  askForKey,
  bytes,
  clear,
  encrypted,
  garbage,
  LoginClient,
  type LoginScript,
  mixed,
  native,
  proof,
  text,
} from '../support/login-script.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const OLD = CAPABILITY.PROTOCOL_41 | CAPABILITY.SECURE_CONNECTION
const LONG = 'a password that is longer than any scramble'

// Nobody`s name is not among them: servers cast lots for the scheme that they then pretend.
const SCRIPTS: Record<string, Omit<LoginScript, 'user'> & { readonly user?: string }> = {
  'the password': { moves: [proof('pw'), askForKey, encrypted('pw')] },
  'the password, inside TLS': { tls: true, moves: [proof('pw'), clear('pw')] },
  'a long password': { user: 'lengthy', moves: [proof(LONG), askForKey, encrypted(LONG)] },
  'a long password, inside TLS': { user: 'lengthy', tls: true, moves: [proof(LONG), clear(LONG)] },
  'a wrong password': { moves: [proof('no'), askForKey, encrypted('no')] },
  'a wrong password, inside TLS': { tls: true, moves: [proof('no'), clear('no')] },
  'a response that does not fit, and then the password': { moves: [proof('no'), askForKey, encrypted('pw')] },
  'a response that fits, and maybe then another password': { moves: [proof('pw'), askForKey, encrypted('no')] },
  'a response that is too short': { moves: [garbage(20), askForKey, encrypted('pw')] },
  'a response that is too long': { moves: [garbage(33), askForKey, encrypted('pw')] },
  'a response of one byte': { moves: [bytes(1)] },
  'no response': { moves: [bytes()] },
  'a zero for a response': { moves: [bytes(0)] },
  'a guess instead of the key': { moves: [proof('no'), garbage(256)] },
  'a guess that is too short': { moves: [proof('no'), garbage(255)] },
  'a guess, once it has the key': { moves: [proof('no'), askForKey, garbage(256)] },
  'a few bytes, once it has the key': { moves: [proof('no'), askForKey, garbage(3)] },
  nothing: { moves: [proof('no'), bytes()] },
  'nothing, once it has the key': { moves: [proof('no'), askForKey, bytes()] },
  'a zero': { moves: [proof('no'), bytes(0)] },
  'the key request of another scheme': { moves: [proof('no'), bytes(1)] },
  'two requests for the key': { moves: [proof('no'), askForKey, askForKey] },
  'an empty password, encrypted': { moves: [proof('no'), askForKey, encrypted('')] },
  'a password without its end, encrypted': { moves: [proof('no'), askForKey, mixed('pw')] },
  'a password and more, encrypted': { moves: [proof('no'), askForKey, mixed('pw\0more\0')] },
  'a password and unended more, encrypted': { moves: [proof('no'), askForKey, mixed('pw\0more')] },
  'a request for the key, inside TLS': { tls: true, moves: [proof('no'), askForKey] },
  'nothing, inside TLS': { tls: true, moves: [proof('no'), bytes()] },
  'a zero, inside TLS': { tls: true, moves: [proof('no'), bytes(0)] },
  'a password without its end, inside TLS': { tls: true, moves: [proof('no'), text('pw')] },
  'a password and more, inside TLS': { tls: true, moves: [proof('no'), text('pw\0more\0')] },
  'a very long password, inside TLS': { tls: true, moves: [proof('no'), garbage(300)] },
  'another scheme first': {
    plugin: 'mysql_native_password',
    moves: [native('pw'), proof('pw'), askForKey, encrypted('pw')],
  },
  'another scheme first, and a wrong password': {
    plugin: 'mysql_native_password',
    moves: [native('no'), proof('no'), askForKey, encrypted('no')],
  },
  'the only scheme of old': { capabilities: OLD, moves: [native('pw')] },
  'no scheme, and no password': { user: 'vacant', moves: [bytes()] },
  'a zero where no password is': { user: 'vacant', moves: [bytes(0)] },
  'a password where none is': { user: 'vacant', moves: [proof('pw'), askForKey, encrypted('pw')] },
}

interface Way {
  readonly port: number
  readonly tls: boolean
  /** The key of whoever listens there: for clients that have it beforehand. */
  readonly keyFile: string
}

type Client = (way: Way, password: string) => Promise<unknown>

const base = ({ port }: Way, password: string) => ({ host: '127.0.0.1', port, user: 'pass', password })
const ssl = ({ tls }: Way) => (tls ? { ssl: { rejectUnauthorized: false } } : {})

async function program(
  name: 'mysql' | 'mariadb',
  way: Way,
  password: string,
  more: readonly string[],
): Promise<string> {
  const args = ['--no-defaults', '-h127.0.0.1', `-P${way.port}`, '-upass', ...more, '-Ne', 'SELECT 1']
  return run(await tool(name), args, { env: { MYSQL_PWD: password }, msMax: 20_000 })
}
const mysqlProgram =
  (more: readonly string[]): Client =>
  (way, password) =>
    program('mysql', way, password, way.tls ? ['--ssl-mode=REQUIRED'] : ['--ssl-mode=DISABLED', ...more])

async function connectMariadb(way: Way, password: string, more: ConnectionConfig): Promise<void> {
  await (await mariadb.createConnection({ ...base(way, password), ...ssl(way), ...more })).end()
}

const PYTHON = `
import pymysql, sys
login = dict(host='127.0.0.1', port=int(sys.argv[1]), user='pass', password=sys.argv[2])
if sys.argv[3] == 'true': login['ssl'] = {'check_hostname': False, 'verify_mode': False}
try: pymysql.connect(**login).ping()
except pymysql.err.Error as e: print(type(e).__name__, e.args)
`

const CLIENTS: Record<string, Client> = {
  async mysql2(way, password) {
    await (await mysql2.createConnection({ ...base(way, password), ...ssl(way) })).end()
  },
  mariadb: (way, password) => connectMariadb(way, password, { allowPublicKeyRetrieval: true }),
  'mariadb, which may not ask for the key': (way, password) => connectMariadb(way, password, {}),
  'mariadb, which has the key': (way, password) => connectMariadb(way, password, { cachingRsaPublicKey: way.keyFile }),
  'mysql, which knows the scheme of old only': (way, password) =>
    new Promise<void>((resolve, reject) => {
      const connection = mysqljs.createConnection({ ...base(way, password), ...ssl(way) })
      connection.connect((error) => {
        connection.destroy()
        if (error) reject(error)
        else resolve()
      })
    }),
  async PyMySQL(way, password) {
    return run(await tool('python3'), ['-c', PYTHON, String(way.port), password, String(way.tls)])
  },
  'the mysql program': mysqlProgram(['--get-server-public-key']),
  'the mysql program, which may not ask for the key': mysqlProgram([]),
  'the mysql program, which has the key': (way, password) =>
    mysqlProgram([`--server-public-key-path=${way.keyFile}`])(way, password),
  'the mariadb program': (way, password) => program('mariadb', way, password, [way.tls ? '--ssl' : '--skip-ssl']),
}

describeEngines(() => {
  const cluster = useCluster('mysql', { readers: 0 })
  let hashes = new Map<string, string>()

  beforeAll(async () => {
    await cluster().writer.asRoot(async (root) => {
      await root.query(`
          CREATE USER pass IDENTIFIED WITH caching_sha2_password BY 'pw';
          CREATE USER lengthy IDENTIFIED WITH caching_sha2_password BY '${LONG}';
          CREATE USER vacant IDENTIFIED WITH caching_sha2_password BY ''`)
      const [rows] = await root.query<RowDataPacket[]>('SELECT user, hex(authentication_string) h FROM mysql.user')
      hashes = new Map(rows.map(({ user, h }) => [user, h]))
    })
  })

  /** Freshly started, so that it has seen no client yet. */
  const coldSluice = (): Promise<RunningSluice> =>
    startSluice({
      seeds: [cluster().writer.address],
      users: `
  - { name: pass, passwordHash: '0x${hashes.get('pass')}' }
  - { name: lengthy, passwordHash: '0x${hashes.get('lengthy')}' }
  - { name: vacant, password: '' }`,
    })
  const coldServer = () => cluster().writer.asRoot((root) => root.query('FLUSH LOCAL PRIVILEGES'))

  async function told(port: number, script: LoginScript): Promise<readonly string[]> {
    const client = await LoginClient.arrive(port, script)
    client.end()
    return client.told
  }

  describe.each([
    ['without TLS', false],
    ['with TLS', true],
  ])('a real client %s', (_way, tls) => {
    test.each(Object.entries(CLIENTS))('%s', async (_name, client) => {
      const sluice = await coldSluice()
      const keys = await mkdtemp(join(tmpdir(), 'sluice-keys-'))
      const outcomes = async (port: number): Promise<string[]> => {
        const keyFile = join(keys, `${port}.pem`)
        await writeFile(keyFile, await publicKeyOf(port))
        const found: string[] = []
        // The account not seen yet, seen, and with a wrong password.
        for (const password of ['pw', 'pw', 'no']) {
          const outcome = await client({ port, tls, keyFile }, password).then(
            (answer) => `in ${answer ?? ''}`,
            ({ message }: Error) => `not in: ${message.split('\n').at(-1)}`,
          )
          found.push(outcome.replaceAll(/\d+\.pem|conn:\d+|no: \d+/g, '…'))
        }
        return found
      }
      try {
        await coldServer()
        const direct = await outcomes(cluster().writer.port)
        expect(await outcomes(sluice.port)).toEqual(direct)
      } finally {
        await sluice.stop()
        await rm(keys, { recursive: true })
      }
    })
  })

  test('the key that the settings name', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 })
    const folder = await mkdtemp(join(tmpdir(), 'sluice-rsa-'))
    const file = join(folder, 'key.pem')
    await writeFile(file, privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 })
    const sluice = await startSluice({
      seeds: [cluster().writer.address],
      listener: `rsaKey: ${file}`,
      users: `  - { name: pass, passwordHash: '0x${hashes.get('pass')}' }`,
    })
    try {
      expect(await publicKeyOf(sluice.port)).toBe(publicKey.export({ type: 'spki', format: 'pem' }))
      const moves = [proof('pw'), askForKey, encrypted('pw')]
      expect((await told(sluice.port, { user: 'pass', moves })).at(-1)).toBe('00000002000000')
    } finally {
      await sluice.stop()
      await rm(folder, { recursive: true })
    }
  })

  async function publicKeyOf(port: number): Promise<string> {
    const client = await LoginClient.arrive(port, { user: 'pass', moves: [proof('no'), askForKey], leaves: true })
    await client.hear()
    client.end()
    return client.key
  }

  test.each(Object.entries(SCRIPTS))('%s', async (_name, script) => {
    const sluice = await coldSluice()
    try {
      await coldServer()
      const whole = { user: 'pass', ...script }
      const direct: (readonly string[])[] = []
      const through: (readonly string[])[] = []
      for (let turn = 0; turn < 2; turn++) {
        direct.push(await told(cluster().writer.port, whole))
        through.push(await told(sluice.port, whole))
      }
      expect(through).toEqual(direct)
    } finally {
      await sluice.stop()
    }
  })
}, ['mysql'])
