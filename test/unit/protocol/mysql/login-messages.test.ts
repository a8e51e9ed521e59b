// Logins as real servers and drivers send them, and what becomes of broken ones.

import { describe, expect, test } from 'vitest'
import {
  buildAuthMoreData,
  buildAuthSwitch,
  buildChangeUser,
  buildGreeting,
  buildHandshakeResponse,
  buildSslRequest,
  CAPABILITY,
  type HandshakeResponse,
  isSslRequest,
  MARIADB_CAPABILITY,
  MalformedMessage,
  OldProtocol,
  parseAuthMoreData,
  parseAuthNextFactor,
  parseAuthSwitch,
  parseChangeUser,
  parseGreeting,
  parseHandshakeResponse,
  parseSslRequest,
  serverVersion,
} from '../../../../src/protocol/mysql/messages.ts'
import { damaged, everyCutOf, garbage } from '../../../support/cuts.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

// Greetings and responses without their frame's header, as the servers and drivers named sent them.
const MYSQL_GREETING = hex(
  '0a392e372e342d3200140100005115792f725c360900ffffff0200ffdf150000000000000000000041232c5f5f2329062d48574100' +
    '63616368696e675f736861325f70617373776f726400',
)
const MARIADB_GREETING = hex(
  '0a31312e382e392d4d6172696144422d342066726f6d2044656269616e000d0100002e5853736c45504300feff2d0200ff81150000000000003d' +
    '0000003e4f50266a653d3d5b343139006d7973716c5f6e61746976655f70617373776f726400',
)
const MYSQL_CLIENT = hex(
  '8da2bf1900000001ff000000000000000000000000000000000000000000000074000100770063616368696e675f736861325f70617373776f7264' +
    '0072045f706964053232353036095f706c6174666f726d067838365f3634035f6f73054c696e75780c5f636c69656e745f6e616d65086c69626d7973' +
    '716c076f735f7573657204726f6f740f5f636c69656e745f76657273696f6e05392e372e340c70726f6772616d5f6e616d65056d7973716c',
)
const MARIADB_CLIENT = hex(
  '8ca2bf00000010002d000000000000000000000000000000000000001d00000074000077006d7973716c5f6e61746976655f70617373776f726400' +
    '7f035f6f73054c696e75780c5f636c69656e745f6e616d650a6c69626d617269616462045f7069640532323530370f5f636c69656e745f7665727369' +
    '6f6e06332e342e3130095f706c6174666f726d067838365f36340c70726f6772616d5f6e616d65056d7973716c0c5f7365727665725f686f7374093132' +
    '372e302e302e31',
)
const NODE_MYSQL2 = hex(
  'cff3ba1800000000e00000000000000000000000000000000000000000000000740000770063616368696e675f736861325f70617373776f726400' +
    '310c5f636c69656e745f6e616d650c4e6f64652d4d7953514c2d320f5f636c69656e745f76657273696f6e06332e32342e36',
)
const NODE_MYSQL = hex('cff306000000000021000000000000000000000000000000000000000000000074 00 00 77 00')

describe('a greeting', () => {
  test('of MySQL 9.7', () => {
    const greeting = parseGreeting(MYSQL_GREETING)
    expect(greeting).toMatchObject({
      version: '9.7.4-2',
      connectionId: 276,
      capabilities: 0xdfffffff,
      mariadbCapabilities: 0,
      collation: 255,
      status: 2,
      authPlugin: 'caching_sha2_password',
    })
    expect(greeting.scramble.length).toBe(20)
    expect(buildGreeting(greeting)).toEqual(MYSQL_GREETING)
  })

  test('of MariaDB 11.8, with the capabilities that MySQL does not have', () => {
    const greeting = parseGreeting(MARIADB_GREETING)
    const { COM_MULTI, ...rest } = MARIADB_CAPABILITY
    expect(greeting).toMatchObject({
      version: '11.8.9-MariaDB-4 from Debian',
      mariadbCapabilities: Object.values(rest).reduce((sum, bit) => sum | bit),
      authPlugin: 'mysql_native_password',
    })
    expect(greeting.capabilities & CAPABILITY.LONG_PASSWORD).toBe(0)
    expect(buildGreeting(greeting)).toEqual(MARIADB_GREETING)
  })

  test('without the last zero, or with nothing but what old servers sent', () => {
    expect(parseGreeting(MYSQL_GREETING.subarray(0, -1)).authPlugin).toBe('caching_sha2_password')
    expect(parseGreeting(MYSQL_GREETING.subarray(0, 24))).toMatchObject({ collation: 0, authPlugin: '' })
  })

  test('of another protocol version is malformed', () => {
    expect(() => parseGreeting(hex('0935'))).toThrow(MalformedMessage)
  })
})

test.each([
  ['5.5.5-10.11.19-MariaDB-log', 'mariadb', '10.11.19-MariaDB-log', 101119],
  ['11.8.9-MariaDB-4 from Debian', 'mariadb', '11.8.9-MariaDB-4 from Debian', 110809],
  ['9.7.4-2', 'mysql', '9.7.4-2', 90704],
  ['8.0.39', 'mysql', '8.0.39', 80039],
  ['8.0.mysql_aurora.3.08.0', 'mysql', '8.0.mysql_aurora.3.08.0', 80000],
  ['5.5.5-10.6.1', 'mariadb', '10.6.1', 100601],
  ['odd', 'mysql', 'odd', 0],
])('version %s', (text, engine, version, number) => {
  expect(serverVersion(text)).toEqual({ engine, version, number })
})

describe('a handshake response', () => {
  test.each([
    [
      'the mysql client',
      MYSQL_CLIENT,
      { authPlugin: 'caching_sha2_password', collation: 255, mariadbCapabilities: 0 },
      'libmysql',
    ],
    [
      'the mariadb client',
      MARIADB_CLIENT,
      { authPlugin: 'mysql_native_password', collation: 45, mariadbCapabilities: 0x1d },
      'libmariadb',
    ],
    ['mysql2 for Node', NODE_MYSQL2, { authPlugin: 'caching_sha2_password', collation: 224 }, 'Node-MySQL-2'],
    ['mysql for Node', NODE_MYSQL, { authPlugin: '', collation: 33 }, undefined],
  ])('of %s', (_who, payload, told, name) => {
    const response = parseHandshakeResponse(payload)
    expect(response).toMatchObject({ ...told, user: Buffer.from('t'), schema: Buffer.from('w'), zstdLevel: 0 })
    expect(response.attributes.get('_client_name')).toBe(name)
    if (payload !== MYSQL_CLIENT) expect(buildHandshakeResponse(response)).toEqual(payload)
  })

  const full: HandshakeResponse = {
    capabilities: 0,
    mariadbCapabilities: 0,
    packetBytesMax: 1 << 24,
    collation: 45,
    user: Buffer.from('ana'),
    authResponse: Buffer.from('\x01\x02\x03\x04', 'latin1'),
    schema: Buffer.from('shop'),
    authPlugin: 'mysql_native_password',
    attributes: new Map([['a', 'b']]),
    zstdLevel: 7,
  }
  const { PROTOCOL_41, LONG_PASSWORD, SECURE_CONNECTION, CONNECT_WITH_DB, PLUGIN_AUTH, CONNECT_ATTRS } = CAPABILITY
  const BASE = PROTOCOL_41 | LONG_PASSWORD

  test.each([
    ['a proof that a zero ends', 0, { schema: null, authPlugin: '', attributes: new Map(), zstdLevel: 0 }],
    [
      'a proof of up to 255 bytes',
      SECURE_CONNECTION,
      { schema: null, authPlugin: '', attributes: new Map(), zstdLevel: 0 },
    ],
    ['a schema', SECURE_CONNECTION | CONNECT_WITH_DB, { authPlugin: '', attributes: new Map(), zstdLevel: 0 }],
    ['a plugin', SECURE_CONNECTION | PLUGIN_AUTH, { schema: null, attributes: new Map(), zstdLevel: 0 }],
    [
      'everything',
      SECURE_CONNECTION | CONNECT_WITH_DB | PLUGIN_AUTH | CONNECT_ATTRS | CAPABILITY.ZSTD_COMPRESSION_ALGORITHM,
      {},
    ],
  ])('with %s', (_what, bits, less) => {
    const response = { ...full, capabilities: (BASE | bits) >>> 0, ...less }
    expect(parseHandshakeResponse(buildHandshakeResponse(response))).toEqual(response)
  })

  test('with a long proof', () => {
    const capabilities = BASE | CAPABILITY.PLUGIN_AUTH_LENENC_CLIENT_DATA
    const response = { ...full, capabilities, authResponse: Buffer.alloc(70_000, 7) }
    expect(parseHandshakeResponse(buildHandshakeResponse(response)).authResponse).toEqual(response.authResponse)
  })

  test("MariaDB's capabilities are nobody's but MariaDB's", () => {
    const response = { ...full, capabilities: BASE, mariadbCapabilities: 5, authResponse: Buffer.alloc(0) }
    expect(parseHandshakeResponse(buildHandshakeResponse(response)).mariadbCapabilities).toBe(0)
  })

  test('of before 4.1 is recognised, and refused', () => {
    expect(() => parseHandshakeResponse(hex('8524 00 00 00 6f6c6400 47442e'))).toThrow(OldProtocol)
  })

  test.each(everyCutOf(MYSQL_CLIENT.subarray(0, 38)))('cut short at byte %i is malformed', (cut) => {
    expect(() => parseHandshakeResponse(MYSQL_CLIENT.subarray(0, cut))).toThrow(MalformedMessage)
  })
})

describe('a wish for TLS', () => {
  const head = { capabilities: 0x19bfaa8d, mariadbCapabilities: 0, packetBytesMax: 1 << 24, collation: 255 }

  test('reads as it was written', () => {
    const payload = buildSslRequest(head)
    expect([payload.length, isSslRequest(payload), parseSslRequest(payload)]).toEqual([32, true, head])
  })

  test.each([
    ['a response without the bit', MYSQL_CLIENT],
    ['a whole response with it', Buffer.concat([buildSslRequest(head), Buffer.from('ana\0\0')])],
    ['nothing', Buffer.alloc(0)],
  ])('is not %s', (_what, payload) => {
    expect(isSslRequest(payload)).toBe(false)
  })
})

describe('the turns of a login', () => {
  test('another plugin, with its challenge', () => {
    const request = { plugin: 'mysql_native_password', challenge: Buffer.alloc(20, 0x41) }
    expect(buildAuthSwitch(request)).toEqual(
      Buffer.concat([hex('fe'), Buffer.from('mysql_native_password\0'), request.challenge, hex('00')]),
    )
    expect(parseAuthSwitch(buildAuthSwitch(request))).toEqual(request)
    expect(parseAuthSwitch(hex('fe'))).toEqual({ plugin: 'mysql_old_password', challenge: Buffer.alloc(0) })
  })

  test('more data', () => {
    expect(parseAuthMoreData(buildAuthMoreData(hex('04')))).toEqual(hex('04'))
  })

  test('one more factor', () => {
    expect(parseAuthNextFactor(hex('02 6100 6200'))).toEqual({ plugin: 'a', challenge: Buffer.from('b') })
  })

  test.each([
    ['another plugin', parseAuthSwitch],
    ['more data', parseAuthMoreData],
    ['one more factor', parseAuthNextFactor],
  ])('anything else is not %s', (_what, parse) => {
    expect(() => parse(hex('ff1504'))).toThrow(MalformedMessage)
    expect(() => parse(Buffer.alloc(0))).toThrow(MalformedMessage)
  })
})

describe('a change of user', () => {
  const MYSQL2_CAPABILITIES = 0x18baf3cf
  const MYSQL_CAPABILITIES = 0x0006f3cf

  test.each([
    [
      'mysql2',
      MYSQL2_CAPABILITIES,
      '11 7400 00 7700 e000 6d7973716c5f6e61746976655f70617373776f726400 00',
      224,
      'mysql_native_password',
    ],
    ['mysql', MYSQL_CAPABILITIES, '11 7400 00 7700 2100', 33, ''],
    ['a client that stops after the schema', MYSQL_CAPABILITIES, '11 7400 00 7700', null, ''],
    ['a client that forgets the last zero', MYSQL_CAPABILITIES, '11 7400 00 77', null, ''],
  ])('of %s', (_who, capabilities, bytes, collation, authPlugin) => {
    expect(parseChangeUser(hex(bytes), capabilities)).toEqual({
      user: Buffer.from('t'),
      authResponse: Buffer.alloc(0),
      schema: Buffer.from('w'),
      collation,
      authPlugin,
      attributes: new Map(),
    })
  })

  test.each([MYSQL2_CAPABILITIES, MYSQL_CAPABILITIES, CAPABILITY.PROTOCOL_41])(
    'reads as it was written (%i)',
    (capabilities) => {
      const named = (capabilities & CAPABILITY.PLUGIN_AUTH) !== 0
      const request = {
        user: Buffer.from('ana'),
        authResponse: Buffer.from('proof'),
        schema: null,
        collation: 309,
        authPlugin: named ? 'caching_sha2_password' : '',
        attributes: new Map(named ? [['a', 'b']] : []),
      }
      expect(parseChangeUser(buildChangeUser(request, capabilities), capabilities)).toEqual(request)
    },
  )

  test.each(['11', '11 74', '11 7400', '11 7400 05 7700', '03'])('%s is malformed', (bytes) => {
    expect(() => parseChangeUser(hex(bytes), MYSQL_CAPABILITIES)).toThrow(MalformedMessage)
  })
})

test('nonsense is malformed, or reads as something harmless', () => {
  const seen = [MYSQL_GREETING, MARIADB_GREETING, MYSQL_CLIENT, MARIADB_CLIENT, NODE_MYSQL2, NODE_MYSQL]
  const parsers = [
    parseGreeting,
    parseHandshakeResponse,
    parseSslRequest,
    parseAuthSwitch,
    (payload: Buffer) => parseChangeUser(payload, 0xffffffff),
    (payload: Buffer) => parseChangeUser(payload, 0),
  ]
  for (let seed = 0; seed < 1500; seed++) {
    const payload = seed % 2 === 0 ? garbage(seed, seed % 90) : damaged(seen[seed % seen.length]!, seed)
    for (const parse of parsers) {
      try {
        parse(payload)
      } catch (error) {
        if (!(error instanceof MalformedMessage)) throw error
      }
    }
  }
})
