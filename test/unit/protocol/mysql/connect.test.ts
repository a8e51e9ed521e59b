// Our login to a backend, with the server played by hand.

import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  pbkdf2Sync,
  privateDecrypt,
  randomBytes,
  verify,
} from 'node:crypto'
import { duplexPair } from 'node:stream'
import { describe, expect, test, vi } from 'vitest'
import { cachingSha2Proof, nativeProof } from '../../../../src/protocol/mysql/auth.ts'
import { type BackendLogin, changeUser, logIn } from '../../../../src/protocol/mysql/connect.ts'
import { signEd25519 } from '../../../../src/protocol/mysql/ed25519.ts'
import { frame } from '../../../../src/protocol/mysql/frames.ts'
import {
  buildAuthMoreData,
  buildAuthSwitch,
  buildError,
  buildGreeting,
  buildOk,
  CAPABILITY,
  type Greeting,
  MARIADB_CAPABILITY,
  parseChangeUser,
  parseHandshakeResponse,
  STATUS,
} from '../../../../src/protocol/mysql/messages.ts'
import { ConnectFailed } from '../../../../src/protocol/protocol.ts'
import { StreamTransport } from '../../../../src/protocol/stream-transport.ts'
import { Peer } from './peer.ts'

const scramble = Buffer.from('abcdefghijklmnopqrst')
const another = Buffer.from('ABCDEFGHIJKLMNOPQRST')
const USER = { user: 'app', password: 'pw' }
const EVERYTHING = (0xffffffff & ~CAPABILITY.SSL) >>> 0

const MYSQL: Greeting = {
  version: '9.7.0',
  connectionId: 12,
  capabilities: EVERYTHING,
  mariadbCapabilities: 0,
  collation: 255,
  status: STATUS.AUTOCOMMIT,
  scramble,
  authPlugin: 'caching_sha2_password',
}
const MARIADB: Greeting = {
  ...MYSQL,
  version: '5.5.5-10.11.6-MariaDB',
  capabilities: (EVERYTHING & ~CAPABILITY.LONG_PASSWORD) >>> 0,
  mariadbCapabilities: 0x3f,
  authPlugin: 'mysql_native_password',
}

type Mode = 'disabled' | 'preferred' | 'required' | 'verify-ca' | 'verify-identity'

function arrive(wanted = { capabilities: 0, extendedCapabilities: 0 }, mode: Mode = 'preferred') {
  const [ours, theirs] = duplexPair()
  const peer = new Peer(theirs)
  const tls = { mode, ca: null, cert: null, key: null }
  const target = { host: 'db', port: 3306, tls, connectMsMax: 1_000, collation: 0, schema: null }
  const outcome = logIn(new StreamTransport(ours), target, USER, wanted).catch((error: Error) => error)
  return { peer, stream: ours, outcome: outcome as Promise<BackendLogin & ConnectFailed> }
}

/** As far as our handshake response. */
async function greeted(greeting: Greeting, ...rest: Parameters<typeof arrive>) {
  const arrived = arrive(...rest)
  arrived.peer.say(buildGreeting(greeting), 0)
  const { sequence, payload } = (await arrived.peer.hear())!
  return { ...arrived, sequence, response: parseHandshakeResponse(payload) }
}

describe('what we ask for', () => {
  test('is what the identity needs, as far as the server has it, and session tracking always', async () => {
    const wanted = { capabilities: CAPABILITY.FOUND_ROWS | CAPABILITY.QUERY_ATTRIBUTES, extendedCapabilities: 0 }
    const offered = (EVERYTHING & ~CAPABILITY.QUERY_ATTRIBUTES) >>> 0
    const { response, peer, outcome } = await greeted({ ...MYSQL, capabilities: offered }, wanted)
    expect(response.capabilities & CAPABILITY.FOUND_ROWS).not.toBe(0)
    expect(response.capabilities & CAPABILITY.SESSION_TRACK).not.toBe(0)
    expect(response.capabilities & CAPABILITY.QUERY_ATTRIBUTES).toBe(0)
    expect(response.capabilities & CAPABILITY.DEPRECATE_EOF).toBe(0)
    expect(response.attributes.get('program_name')).toBe('sluice')
    peer.say(buildOk({}, 0), 2)
    const login = await outcome
    expect(login).toMatchObject({ engine: 'mysql', version: '9.7.0', connectionId: 12, status: 2, collation: 255 })
    expect(login.capabilities).toBe(response.capabilities)
  })

  test('never has compression or TLS of the client`s asking', async () => {
    const { response } = await greeted(MYSQL, { capabilities: 0xffffffff, extendedCapabilities: 0 })
    const never =
      CAPABILITY.COMPRESS | CAPABILITY.ZSTD_COMPRESSION_ALGORITHM | CAPABILITY.SSL | CAPABILITY.CONNECT_WITH_DB
    expect(response.capabilities & never).toBe(0)
  })

  test('reaches MariaDB`s further capabilities', async () => {
    const wanted = { capabilities: 0, extendedCapabilities: MARIADB_CAPABILITY.STMT_BULK_OPERATIONS }
    const { response, peer, outcome } = await greeted(MARIADB, wanted)
    expect(response.capabilities & CAPABILITY.LONG_PASSWORD).toBe(0)
    expect(response.mariadbCapabilities).toBe(MARIADB_CAPABILITY.STMT_BULK_OPERATIONS)
    peer.say(buildOk({}, 0), 2)
    expect(await outcome).toMatchObject({ engine: 'mariadb', version: '10.11.6-MariaDB', extendedCapabilities: 4 })
  })
})

describe('how we prove ourselves', () => {
  test('with the plugin of the greeting', async () => {
    const { response } = await greeted(MARIADB)
    expect(response.authPlugin).toBe('mysql_native_password')
    expect(response.authResponse).toEqual(nativeProof('pw', scramble))
  })

  test('a server that knows us says so, and is content', async () => {
    const { response, peer, outcome } = await greeted(MYSQL)
    expect(response.authResponse).toEqual(cachingSha2Proof('pw', scramble))
    peer.say(buildAuthMoreData(Buffer.from([3])), 2)
    peer.say(buildOk({}, 0), 3)
    expect(await outcome).toMatchObject({ connectionId: 12 })
  })

  test('a server with a cold cache gets the password through its RSA key', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const { peer, outcome } = await greeted(MYSQL)
    peer.say(buildAuthMoreData(Buffer.from([4])), 2)
    expect(await peer.hear()).toEqual({ sequence: 3, payload: Buffer.from([2]) })
    peer.say(buildAuthMoreData(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }))), 4)
    const { sequence, payload } = (await peer.hear())!
    const clear = privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING }, payload)
    expect(sequence).toBe(5)
    expect(Buffer.from(clear.map((byte, index) => byte ^ scramble[index]!))).toEqual(Buffer.from('pw\0'))
    peer.say(buildOk({}, 0), 6)
    expect(await outcome).toMatchObject({ connectionId: 12 })
  })

  test('a server may want another plugin, with another scramble', async () => {
    const { peer, outcome } = await greeted(MYSQL)
    peer.say(buildAuthSwitch({ plugin: 'mysql_native_password', challenge: another }), 2)
    expect(await peer.hear()).toEqual({ sequence: 3, payload: nativeProof('pw', another) })
    peer.say(buildOk({}, 0), 4)
    expect(await outcome).toMatchObject({ connectionId: 12 })
  })

  test.each([
    ['client_ed25519', signEd25519(Buffer.from('pw'), Buffer.concat([Buffer.alloc(31, 9), Buffer.alloc(1)]))],
    ['parsec', Buffer.alloc(0)],
  ])('%s: a challenge that happens to end with a zero is taken whole', async (plugin, proof) => {
    const { peer } = await greeted(MARIADB)
    const lead = Buffer.concat([Buffer.from([0xfe]), Buffer.from(`${plugin}\0`)])
    peer.say(Buffer.concat([lead, Buffer.alloc(31, 9), Buffer.alloc(1)]), 2)
    expect((await peer.hear())?.payload).toEqual(proof)
  })

  test('parsec: the salt is asked for, and both scrambles are signed with a key made of the password', async () => {
    const { peer, outcome } = await greeted(MARIADB)
    const theirs = randomBytes(32)
    peer.say(Buffer.concat([Buffer.from([0xfe]), Buffer.from('parsec\0'), theirs]), 2)
    expect(await peer.hear()).toEqual({ sequence: 3, payload: Buffer.alloc(0) })
    const salt = randomBytes(18)
    peer.say(Buffer.concat([Buffer.from('P\0'), salt]), 4)
    const { payload } = (await peer.hear())!
    const seed = pbkdf2Sync('pw', salt, 1024, 32, 'sha512')
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
    const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }))
    expect(verify(null, Buffer.concat([theirs, payload.subarray(0, 32)]), key, payload.subarray(32))).toBe(true)
    peer.say(buildOk({}, 0), 6)
    expect(await outcome).toMatchObject({ engine: 'mariadb' })
  })

  test('parsec: a server that wants more rounds than a login is worth is refused', async () => {
    const { peer, outcome } = await greeted(MARIADB)
    peer.say(Buffer.concat([Buffer.from([0xfe]), Buffer.from('parsec\0'), randomBytes(32)]), 2)
    await peer.hear()
    peer.say(Buffer.concat([Buffer.from('P\x09'), randomBytes(18)]), 4)
    expect(await outcome).toMatchObject({ kind: 'network', message: expect.stringMatching(/parsec/) })
  })

  test('a greeting with a plugin that we lack is answered with one that can be switched', async () => {
    const { response } = await greeted({ ...MYSQL, authPlugin: 'authentication_kerberos' })
    expect(response.authPlugin).toBe('mysql_native_password')
  })

  test.each([
    ['a plugin that we lack', 'authentication_kerberos', /authentication_kerberos, which is not known/],
    ['the password in clear where others read', 'mysql_clear_password', /without TLS/],
  ])('a server that insists on %s is an error of the login', async (_name, plugin, message) => {
    const { peer, outcome, stream } = await greeted(MYSQL)
    peer.say(buildAuthSwitch({ plugin, challenge: another }), 2)
    expect(await outcome).toMatchObject({ kind: 'login', message: expect.stringMatching(message) })
    expect(stream.destroyed).toBe(true)
  })
})

describe('a backend that does not let us in', () => {
  test.each([
    [1040, 'capacity'],
    [1203, 'capacity'],
    [1226, 'capacity'],
    [1044, 'login'],
    [1045, 'login'],
    [1049, 'login'],
    [1130, 'login'],
    [3118, 'login'],
    [1053, 'network'],
  ])('error %i is of the kind %s, and the error itself is kept', async (errno, kind) => {
    const { peer, outcome } = await greeted(MYSQL)
    const error = buildError(errno, '08004', 'because')
    peer.say(error, 2)
    const failure = await outcome
    expect(failure).toBeInstanceOf(ConnectFailed)
    expect(failure).toMatchObject({ kind, message: 'because', refusal: { what: 'login', message: 'because' } })
    expect(failure.refusal?.frame).toEqual(error)
  })

  test('an error in place of the greeting counts the same', async () => {
    const { peer, outcome } = arrive()
    peer.say(buildError(1040, '', 'Too many connections'), 0)
    expect(await outcome).toMatchObject({ kind: 'capacity', message: 'Too many connections' })
  })

  test.each([
    ['closes without a word', (peer: Peer) => peer.stream.end(), /closed by the other side/],
    ['is no MySQL server', (peer: Peer) => peer.stream.write('SSH-2.0-OpenSSH_9.2\r\n'), /db:3306/],
    ['speaks another version of the protocol', (peer: Peer) => peer.say(Buffer.from([9, 0]), 0), /protocol version 9/],
  ])('a server that %s is a failure of the network', async (_name, act, message) => {
    const { peer, outcome } = arrive()
    act(peer)
    expect(await outcome).toMatchObject({ kind: 'network', refusal: null, message: expect.stringMatching(message) })
  })

  test.each(['required', 'verify-ca', 'verify-identity'] as const)('%s does not go on without TLS', async (mode) => {
    const { peer, outcome, stream } = arrive(undefined, mode)
    peer.say(buildGreeting(MYSQL), 0)
    expect(await outcome).toMatchObject({ kind: 'network', message: expect.stringMatching(mode) })
    expect(stream.destroyed).toBe(true)
  })

  test('a server that stops answering is given up when the time is up', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const { outcome } = await greeted(MYSQL)
      vi.advanceTimersByTime(1_001)
      expect(await outcome).toMatchObject({ kind: 'network', message: expect.stringMatching(/1000 ms/) })
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('changing the user of a connection', () => {
  async function open() {
    const { peer, outcome } = await greeted(MYSQL)
    peer.say(buildOk({}, 0), 2)
    return { peer, login: await outcome }
  }

  test('the server asks with a new scramble, and the connection goes on as it was', async () => {
    const { peer, login } = await open()
    const { bytesMax } = login.reader
    const changed = changeUser(login, { user: 'other', password: 'pw2' }, 'shop', 1_000)
    const { sequence, payload } = (await peer.hear())!
    const request = parseChangeUser(payload, login.capabilities)
    expect([sequence, request.user.toString(), request.schema?.toString()]).toEqual([0, 'other', 'shop'])
    peer.say(buildAuthSwitch({ plugin: 'caching_sha2_password', challenge: another }), 1)
    expect((await peer.hear())?.payload).toEqual(cachingSha2Proof('pw2', another))
    peer.stream.write(
      Buffer.concat([frame(buildAuthMoreData(Buffer.from([3])), 3), frame(buildOk({ warnings: 1 }, 0), 4)]),
    )
    expect(await changed).toMatchObject({ warnings: 1 })
    expect(login.reader.bytesMax).toBe(bytesMax)
  })

  test('a refusal is told, and the connection closed', async () => {
    const { peer, login } = await open()
    const changed = changeUser(login, USER, null, 1_000).catch((error: Error) => error)
    await peer.hear()
    peer.say(buildError(1045, '28000', 'no'), 1)
    expect(await changed).toMatchObject({ kind: 'login', message: 'no' })
    expect(login.transport.closed).toBe(true)
  })
})
