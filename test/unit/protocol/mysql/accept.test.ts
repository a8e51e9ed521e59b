// A client's login, played by hand from the other side.

import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { duplexPair } from 'node:stream'
import { describe, expect, test, vi } from 'vitest'
import { ProxyError } from '../../../../src/errors.ts'
import {
  acceptChangeUser,
  acceptLogin,
  type ChangeUserRefusal,
  type ClientLogin,
  turnAway,
} from '../../../../src/protocol/mysql/accept.ts'
import { cachingSha2Proof, nativeProof, rsaProof } from '../../../../src/protocol/mysql/auth.ts'
import type { Proving } from '../../../../src/protocol/mysql/authenticate.ts'
import { frame, MessageReader } from '../../../../src/protocol/mysql/frames.ts'
import {
  buildChangeUser,
  buildHandshakeResponse,
  CAPABILITY,
  type HandshakeResponse,
  MARIADB_CAPABILITY,
  parseAuthSwitch,
  parseError,
  parseGreeting,
} from '../../../../src/protocol/mysql/messages.ts'
import { ProvenPasswords } from '../../../../src/protocol/mysql/password-hash.ts'
import { type AcceptOptions, type Account, type Arrival, ClientLost } from '../../../../src/protocol/protocol.ts'
import { StreamTransport } from '../../../../src/protocol/stream-transport.ts'
import { Peer } from './peer.ts'

const account = (user: string, password: string, requireTls = false): Account => ({
  user,
  password,
  passwordHash: null,
  backendUser: user,
  backendPassword: password,
  requireTls,
  route: null,
})
const known = [account('app', 'pw'), account('open', ''), account('careful', 'pw', true)]
const accounts = { find: (user: string) => known.find((row) => row.user === user) ?? null }

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const publicPem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString()

const OPTIONS = {
  accounts,
  rsaKey: async () => privateKey,
  proven: new ProvenPasswords(),
  sessionId: 4711,
  serverVersion: '9.7.0',
  serverModes: '',
  serverCollation: null,
  tls: { mode: 'off', secureContext: null },
  loginMsMax: 1_000,
  loginBytesMax: 64 * 1024,
  requestBytesMax: 1 << 24,
  preparedMax: 100,
  compression: true,
} satisfies AcceptOptions & Arrival & Proving as AcceptOptions & Arrival & Proving

const FAST_DONE = Buffer.from([1, 3])
const FULL_WANTED = Buffer.from([1, 4])
const KEY_WANTED = Buffer.from([2])

const PLAIN = CAPABILITY.PROTOCOL_41 | CAPABILITY.SECURE_CONNECTION | CAPABILITY.LONG_PASSWORD
const MODERN = PLAIN | CAPABILITY.PLUGIN_AUTH | CAPABILITY.PLUGIN_AUTH_LENENC_CLIENT_DATA

function response(change: Partial<HandshakeResponse>): Buffer {
  return buildHandshakeResponse({
    capabilities: MODERN,
    mariadbCapabilities: 0,
    packetBytesMax: 1 << 24,
    collation: 45,
    user: Buffer.from('app'),
    authResponse: Buffer.alloc(0),
    schema: null,
    authPlugin: 'caching_sha2_password',
    attributes: new Map(),
    zstdLevel: 0,
    ...change,
  })
}

async function arrive(change: Partial<AcceptOptions & Arrival & Proving> = {}) {
  const [ours, theirs] = duplexPair()
  const peer = new Peer(theirs)
  const outcome: Promise<ClientLogin | Error> = acceptLogin(new StreamTransport(ours), { ...OPTIONS, ...change }).catch(
    (error: Error) => error,
  )
  const greeting = parseGreeting((await peer.hear())!.payload)
  return { peer, outcome, greeting }
}

async function login(change: Partial<HandshakeResponse>, options: Partial<AcceptOptions & Arrival & Proving> = {}) {
  const arrived = await arrive(options)
  arrived.peer.say(response(change), 1)
  return arrived
}

describe('the greeting', () => {
  test('is the writer`s: version, flavour, plugin', async () => {
    const { greeting } = await arrive()
    expect(greeting).toMatchObject({ version: '9.7.0', connectionId: 4711, authPlugin: 'caching_sha2_password' })
    expect(greeting.capabilities & CAPABILITY.QUERY_ATTRIBUTES).not.toBe(0)
    expect(greeting.mariadbCapabilities).toBe(0)
  })

  test.each([
    ['10.11.6-MariaDB-log', '5.5.5-10.11.6-MariaDB-log'],
    ['5.5.5-10.11.6-MariaDB-log', '5.5.5-10.11.6-MariaDB-log'],
    ['11.8.2-MariaDB', '11.8.2-MariaDB'],
  ])('of a MariaDB %s is MariaDB`s', async (serverVersion, version) => {
    const { greeting } = await arrive({ serverVersion })
    expect(greeting).toMatchObject({ version, authPlugin: 'mysql_native_password' })
    expect(greeting.capabilities & (CAPABILITY.LONG_PASSWORD | CAPABILITY.QUERY_ATTRIBUTES)).toBe(0)
    expect(greeting.mariadbCapabilities).toBe(
      MARIADB_CAPABILITY.STMT_BULK_OPERATIONS | MARIADB_CAPABILITY.EXTENDED_METADATA,
    )
  })

  test('offers compression and TLS only where they are allowed', async () => {
    const { greeting } = await arrive({ compression: false })
    expect(greeting.capabilities & (CAPABILITY.COMPRESS | CAPABILITY.SSL)).toBe(0)
    expect((await arrive()).greeting.capabilities & CAPABILITY.COMPRESS).not.toBe(0)
  })

  test('has another scramble for everybody', async () => {
    const [one, other] = [await arrive(), await arrive()]
    expect(one.greeting.scramble.equals(other.greeting.scramble)).toBe(false)
  })
})

describe('a client that knows its password', () => {
  test('is told at once with caching_sha2_password, and the last word is left to the session', async () => {
    const { peer, outcome, greeting } = await arrive()
    peer.say(response({ authResponse: cachingSha2Proof('pw', greeting.scramble) }), 1)
    expect(await peer.hear()).toEqual({ sequence: 2, payload: FAST_DONE })
    expect(await outcome).toMatchObject({ sequence: 3, account: { user: 'app' }, compression: 'none', schema: null })
  })

  test('has no plugins at all: the native proof of the greeting`s scramble will do', async () => {
    const { peer, outcome, greeting } = await arrive()
    peer.say(response({ capabilities: PLAIN, authResponse: nativeProof('pw', greeting.scramble) }), 1)
    expect(await outcome).toMatchObject({ sequence: 2, account: { user: 'app' } })
  })

  test.each([
    [
      'brings another plugin of ours, and has not looked at the greeting',
      'mysql_native_password',
      'mysql_native_password',
    ],
    ['brings a plugin we do not know', 'client_ed25519', 'caching_sha2_password'],
    ['brings the password in clear, over a link that others read', 'mysql_clear_password', 'caching_sha2_password'],
    ['names no plugin', '', 'caching_sha2_password'],
  ])('%s: it is asked again', async (_name, authPlugin, asked) => {
    const { peer, outcome, greeting } = await login({ authPlugin })
    const request = parseAuthSwitch((await peer.hear())!.payload)
    expect(request.plugin).toBe(asked)
    expect(request.challenge).toHaveLength(20)
    expect(request.challenge.equals(greeting.scramble)).toBe(false)
    const prove = asked === 'mysql_native_password' ? nativeProof : cachingSha2Proof
    peer.say(prove('pw', request.challenge), 3)
    expect(await outcome).toMatchObject({ account: { user: 'app' } })
  })

  test('with an empty password gets no more than the final OK', async () => {
    const { outcome } = await login({ user: Buffer.from('open') })
    expect(await outcome).toMatchObject({ sequence: 2, account: { user: 'open' } })
  })

  test('may put quotes around its name, as the servers allow', async () => {
    const { outcome } = await login({ user: Buffer.from("'open'") })
    expect(await outcome).toMatchObject({ account: { user: 'open' } })
  })

  test('its wishes are kept as far as they were offered', async () => {
    const { outcome } = await login({
      user: Buffer.from('open'),
      capabilities:
        MODERN |
        CAPABILITY.CONNECT_WITH_DB |
        CAPABILITY.CONNECT_ATTRS |
        CAPABILITY.COMPRESS |
        CAPABILITY.MULTI_FACTOR_AUTHENTICATION,
      schema: Buffer.from('shop'),
      attributes: new Map([['program_name', 'till']]),
    })
    const done = (await outcome) as ClientLogin
    expect(done).toMatchObject({ schema: 'shop', compression: 'zlib', collation: 45 })
    expect(done.attributes.get('program_name')).toBe('till')
    expect(done.capabilities & CAPABILITY.MULTI_FACTOR_AUTHENTICATION).toBe(0)
  })

  test('what it sends too early is kept for later', async () => {
    const { peer, outcome } = await arrive()
    const early = Buffer.from([1, 0, 0, 0, 14])
    peer.stream.write(Buffer.concat([frame(response({ user: Buffer.from('open') }), 1), early]))
    const { reader } = (await outcome) as ClientLogin
    expect(reader.shift()?.payload).toEqual(Buffer.from([14]))
  })
})

describe('a client that does not get in', () => {
  const wrong = (scramble: Buffer) => cachingSha2Proof('wrong', scramble)
  const nothing = () => Buffer.alloc(0)

  test.each([
    ['knows the wrong password', 'app', wrong, 'YES'],
    ['has no password where one is needed', 'app', nothing, 'NO'],
    ['is not known', 'nobody', wrong, 'YES'],
    ['is not known and has no password', 'nobody', nothing, 'NO'],
    ['has a password where none is needed', 'open', wrong, 'YES'],
  ])('%s: reads what a server says', async (_name, user, proof, using) => {
    const { peer, outcome, greeting } = await arrive()
    peer.say(response({ user: Buffer.from(user), authResponse: proof(greeting.scramble) }), 1)
    if (using === 'YES') {
      expect(await peer.hear()).toEqual({ sequence: 2, payload: FULL_WANTED })
      peer.say(rsaProof('wrong', greeting.scramble, publicPem), 3)
    }
    const answer = (await peer.hear())!
    expect(answer.sequence).toBe(using === 'YES' ? 4 : 2)
    const { errno, sqlState, message } = parseError(answer.payload)
    expect([errno, sqlState]).toEqual([1045, '28000'])
    expect(message.toString()).toBe(`Access denied for user '${user}'@'localhost' (using password: ${using})`)
    expect(await peer.hear()).toBeNull()
    expect(await outcome).toMatchObject({ code: 'ACCESS_DENIED' })
  })

  test('a listener that wants TLS says so to a client without, whatever it knows', async () => {
    const { peer, outcome, greeting } = await arrive({ tls: { mode: 'required', secureContext: null } })
    peer.say(response({ authResponse: wrong(greeting.scramble) }), 1)
    expect(parseError((await peer.hear())!.payload).errno).toBe(3159)
    expect(await outcome).toMatchObject({ code: 'TLS_REQUIRED' })
  })

  test('an account that wants TLS says so to a client that has proved itself without', async () => {
    const { peer, outcome, greeting } = await arrive()
    peer.say(response({ user: Buffer.from('careful'), authResponse: cachingSha2Proof('pw', greeting.scramble) }), 1)
    expect((await peer.hear())!.payload).toEqual(FAST_DONE)
    expect(parseError((await peer.hear())!.payload).errno).toBe(3159)
    expect(await outcome).toMatchObject({ code: 'TLS_REQUIRED' })
  })

  test.each([
    ['a web browser', Buffer.from('GET / HTTP/1.1\r\nHost: example\r\n\r\n')],
    ['TLS without asking for it', Buffer.from('160301020001', 'hex')],
    ['a message out of turn', Buffer.from([1, 0, 0, 7, 0])],
    ['a message that ends too early', Buffer.from([4, 0, 0, 1, 0, 2, 0, 0])],
    ['asking for TLS that was not offered', Buffer.concat([Buffer.from([4, 0, 0, 1]), Buffer.from([0, 10, 0, 0])])],
    ['more bytes than a login may have', Buffer.concat([Buffer.from([1, 0, 1, 1]), Buffer.alloc(100)])],
  ])('%s is turned away and closed', async (_name, bytes) => {
    const { peer, outcome } = await arrive()
    peer.stream.write(bytes)
    expect(parseError((await peer.hear())!.payload)).toMatchObject({ errno: 1043, sqlState: '08S01' })
    expect(await peer.hear()).toBeNull()
    expect(await outcome).toMatchObject({ code: 'MALFORMED_REQUEST' })
  })

  test('damage to a good login is never more than a bad handshake', async () => {
    const attributes = new Map([['program_name', 'till']])
    const capabilities = MODERN | CAPABILITY.CONNECT_WITH_DB | CAPABILITY.CONNECT_ATTRS
    const good = frame(response({ capabilities, schema: Buffer.from('shop'), attributes }), 1)
    for (let at = 0; at < good.length; at++) {
      for (const value of [0, 1, 0x7f, 0xfb, 0xff]) {
        const { peer, outcome } = await arrive({ loginBytesMax: 4096 })
        const damaged = Buffer.from(good)
        damaged[at] = value
        peer.stream.write(damaged)
        // A longer length leaves us waiting for the rest: the client leaves.
        peer.stream.end()
        const result = await outcome
        const told = result instanceof ProxyError ? result.code : result.constructor.name
        expect(['MALFORMED_REQUEST', 'ACCESS_DENIED', 'ClientLost', 'Object']).toContain(told)
      }
    }
  })

  test('a client of before 4.1 is told what is missing', async () => {
    const { peer, outcome } = await arrive()
    peer.say(Buffer.concat([Buffer.from([5, 0, 0, 0, 0]), Buffer.from('app\0'), Buffer.alloc(40)]), 1)
    expect(parseError((await peer.hear())!.payload).errno).toBe(1251)
    expect(await outcome).toMatchObject({ code: 'MALFORMED_REQUEST' })
  })

  test('who says nothing is told when the time is up', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const { peer, outcome } = await arrive()
      vi.advanceTimersByTime(1_001)
      expect(await outcome).toMatchObject({ code: 'LOGIN_TIMEOUT' })
      expect(parseError((await peer.hear())!.payload).sqlState).toBe('08S01')
    } finally {
      vi.useRealTimers()
    }
  })

  test.each([
    ['instead of giving its password', []],
    ['with our key', [KEY_WANTED]],
  ])('who leaves %s is lost', async (_name, moves) => {
    const { peer, outcome, greeting } = await arrive()
    peer.say(response({ authResponse: wrong(greeting.scramble) }), 1)
    expect((await peer.hear())!.payload).toEqual(FULL_WANTED)
    for (const move of moves) peer.say(move, 3)
    if (moves.length > 0) await peer.hear()
    peer.stream.end()
    expect(await outcome).toBeInstanceOf(ClientLost)
  })

  test('who leaves is lost, and nobody is told', async () => {
    const { peer, outcome } = await arrive()
    peer.stream.end()
    expect(await outcome).toBeInstanceOf(ClientLost)
  })
})

describe('a client whose password we know by its hash only', () => {
  const SHA2_HASH = '$A$005$abcdefghijklmnopqrstgH7oGkHYIZNe0sqzUMmxogeMiHQhgAq2Hooe0CUJPwD'
  const NATIVE_HASH = '*D821809F681A40A6E379B50D0463EFAE20BDD122'
  const hashed = (
    passwordHash: string,
    backendPassword: string | null = null,
  ): Partial<AcceptOptions & Arrival & Proving> => ({
    accounts: { find: () => ({ ...account('app', ''), password: null, passwordHash, backendPassword }) },
    proven: new ProvenPasswords(),
  })

  test('is asked for the password once, and from then on the response decides', async () => {
    const options = hashed(SHA2_HASH)
    for (const turn of ['first', 'second']) {
      const { peer, outcome, greeting } = await arrive(options)
      peer.say(response({ authResponse: cachingSha2Proof('pw', greeting.scramble) }), 1)
      if (turn === 'first') {
        expect(await peer.hear()).toEqual({ sequence: 2, payload: FULL_WANTED })
        peer.say(KEY_WANTED, 3)
        expect(await peer.hear()).toEqual({ sequence: 4, payload: Buffer.from(`\x01${publicPem}`) })
        peer.say(rsaProof('pw', greeting.scramble, publicPem), 5)
      } else expect(await peer.hear()).toEqual({ sequence: 2, payload: FAST_DONE })
      expect(await outcome).toMatchObject({ sequence: turn === 'first' ? 6 : 3, account: { backendPassword: 'pw' } })
    }
  })

  test('keeps the login towards the backends that the settings give it', async () => {
    const { peer, outcome, greeting } = await arrive(hashed(SHA2_HASH, 'another'))
    peer.say(response({ authResponse: cachingSha2Proof('pw', greeting.scramble) }), 1)
    await peer.hear()
    peer.say(rsaProof('pw', greeting.scramble, publicPem), 3)
    expect(await outcome).toMatchObject({ account: { backendPassword: 'another' } })
  })

  test('is asked to change to a scheme that the hash can check', async () => {
    const { peer } = await login({ authPlugin: 'mysql_native_password' }, hashed(SHA2_HASH, 'another'))
    expect(parseAuthSwitch((await peer.hear())!.payload).plugin).toBe('caching_sha2_password')
  })

  test('is told when it knows no such scheme', async () => {
    const { peer, outcome } = await login({ capabilities: PLAIN }, hashed(SHA2_HASH))
    expect(parseError((await peer.hear())!.payload)).toMatchObject({ errno: 1251, sqlState: '08004' })
    expect(await outcome).toMatchObject({ code: 'LOGIN_UNSUPPORTED' })
  })

  test.each([
    ['the password', 'pw', true],
    ['another password', 'no', false],
  ])('mysql_native_password, with %s', async (_name, password, gets) => {
    const { outcome, peer, greeting } = await arrive(hashed(NATIVE_HASH, 'another'))
    peer.say(response({ capabilities: PLAIN, authResponse: nativeProof(password, greeting.scramble) }), 1)
    expect(await outcome).toMatchObject(gets ? { account: { backendPassword: 'another' } } : { code: 'ACCESS_DENIED' })
  })

  test('mysql_native_password would hide a password that the backends want to see', async () => {
    const { peer, outcome } = await login({ authPlugin: 'mysql_native_password' }, hashed(NATIVE_HASH))
    const { plugin, challenge } = parseAuthSwitch((await peer.hear())!.payload)
    expect(plugin).toBe('caching_sha2_password')
    peer.say(cachingSha2Proof('pw', challenge), 3)
    expect((await peer.hear())!.payload).toEqual(FULL_WANTED)
    peer.say(rsaProof('pw', challenge, publicPem), 5)
    expect(await outcome).toMatchObject({ account: { backendPassword: 'pw' } })
  })

  test('has to prove itself anew once the hash is another', async () => {
    const options = hashed(SHA2_HASH)
    options.proven!.add(SHA2_HASH, 'pw')
    const changed = { ...hashed(NATIVE_HASH), proven: options.proven! }
    const { peer, greeting } = await arrive(changed)
    peer.say(response({ authResponse: cachingSha2Proof('pw', greeting.scramble) }), 1)
    expect((await peer.hear())!.payload).toEqual(FULL_WANTED)
  })
})

describe('a change of user', () => {
  const proofs = { mysql_native_password: nativeProof, caching_sha2_password: cachingSha2Proof }

  function change(user: string, capabilities: number, authPlugin: string, authResponse: Buffer, scramble: Buffer) {
    const [ours, theirs] = duplexPair()
    const peer = new Peer(theirs)
    const request = {
      user: Buffer.from(user),
      authResponse,
      schema: Buffer.from('shop'),
      collation: 33,
      authPlugin,
      attributes: new Map(),
    }
    const payload = buildChangeUser(request, capabilities)
    const reader = new MessageReader(1 << 24)
    const options = {
      accounts,
      rsaKey: OPTIONS.rsaKey,
      proven: OPTIONS.proven,
      loginMsMax: 1_000,
      loginBytesMax: 65_536,
      capabilities,
      serverVersion: '9.7.0',
      scramble,
    }
    const link = { transport: new StreamTransport(ours), reader }
    return { peer, reader, outcome: acceptChangeUser(link, payload, 1, options).catch((error: Error) => error) }
  }

  test.each(Object.entries(proofs))('%s: the client is asked with a new scramble', async (plugin, prove) => {
    const scramble = Buffer.alloc(20, 7)
    const { peer, outcome, reader } = change('app', MODERN, plugin, prove('pw', scramble), scramble)
    const asked = await peer.hear()
    const request = parseAuthSwitch(asked!.payload)
    expect([asked!.sequence, request.plugin]).toEqual([1, plugin])
    peer.say(prove('pw', request.challenge), 2)
    expect(await outcome).toMatchObject({ account: { user: 'app' }, schema: 'shop', collation: 33 })
    expect(reader.bytesMax).toBe(1 << 24)
  })

  test('a client without plugins proves itself with the scramble of its greeting', async () => {
    const scramble = Buffer.alloc(20, 7)
    const { outcome } = change('app', PLAIN, '', nativeProof('pw', scramble), scramble)
    expect(await outcome).toMatchObject({ sequence: 1, account: { user: 'app' } })
  })

  test('a wrong password is for the session to answer', async () => {
    const scramble = Buffer.alloc(20, 7)
    const { outcome, reader } = change('app', PLAIN, '', nativeProof('wrong', scramble), scramble)
    const refused = (await outcome) as ChangeUserRefusal
    expect(refused).toMatchObject({ sequence: 1, closes: false })
    expect(parseError(refused.refusal.frame).errno).toBe(1045)
    expect(reader.bytesMax).toBe(1 << 24)
  })

  test('bytes out of turn are the end', async () => {
    const scramble = Buffer.alloc(20, 7)
    const { peer, outcome } = change('app', MODERN, 'mysql_native_password', Buffer.alloc(0), scramble)
    await peer.hear()
    peer.say(Buffer.alloc(20), 7)
    const refused = (await outcome) as ChangeUserRefusal
    expect(refused).toMatchObject({ closes: true })
    expect(parseError(refused.refusal.frame).errno).toBe(1043)
  })

  test('who leaves is lost', async () => {
    const scramble = Buffer.alloc(20, 7)
    const { peer, outcome } = change('app', MODERN, 'mysql_native_password', Buffer.alloc(0), scramble)
    await peer.hear()
    peer.stream.end()
    expect(await outcome).toBeInstanceOf(ClientLost)
  })
})

test('whom we turn away reads an error without SQLSTATE, before any greeting', async () => {
  const [ours, theirs] = duplexPair()
  const peer = new Peer(theirs)
  turnAway(new StreamTransport(ours), new ProxyError('CLIENTS_MAX', 'Too many connections'))
  const { sequence, payload } = (await peer.hear())!
  expect([sequence, payload.subarray(1).toString('latin1')]).toEqual([0, '\x10\x04Too many connections'])
  expect(await peer.hear()).toBeNull()
})
