// What clients send: where the SQL is, where the parts of an execution are, and what the attributes say.

import { describe, expect, test } from 'vitest'
import { frame, Message, PAYLOAD_BYTES_MAX } from '../../../../src/protocol/mysql/frames.ts'
import {
  bareSql,
  bindTypes,
  buildCommand,
  buildQuery,
  buildStatementCommand,
  COMMAND,
  LAST_PREPARED_ID,
  MalformedMessage,
  parseBulkExecute,
  parseExecute,
  parseFetch,
  parseLongData,
  parseQuery,
  setStatementId,
  statementIdOf,
} from '../../../../src/protocol/mysql/messages.ts'
import { damaged, everyCutOf, garbage } from '../../../support/cuts.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

// As the mysql client of 9.7 sends "query_attributes sluice.route reader n2 v2" and "select 1".
const ROUTED = hex('03 02 01 00 01 fe00 0c736c756963652e726f757465 fe00 026e32 06726561646572 027632 73656c6563742031')

describe('a query', () => {
  test.each([
    ['of a client without attributes', buildQuery('select 1', false), false, 1, null],
    ['without attributes', buildQuery('select 1', true), true, 3, null],
    ['with a route', ROUTED, true, 35, 'reader'],
    ['whose route is NULL', hex('03 01 01 01 01 fe00 0c736c756963652e726f757465 73656c6563742031'), true, 20, null],
    [
      'whose route is a number',
      hex('03 01 01 00 01 0300 0c736c756963652e726f757465 01000000 73656c6563742031'),
      true,
      24,
      null,
    ],
    [
      'with attributes of every kind before the route',
      hex(
        '03 09 01 0000 01 0100 0161 0200 0162 0300 0163 0400 0164 0500 0165 0800 0166 0c00 0167 0b00 0168 fe00 0c736c756963652e726f757465' +
          '01 0202 03030303 04040404 0505050505050505 0808080808080808 04da07010a 00 05666972737473656c6563742031',
      ),
      true,
      92,
      'first',
    ],
  ])('%s', (_what, payload, attributes, sqlAt, route) => {
    const query = parseQuery(payload, attributes)
    expect([query.sql.toString(), query.route]).toEqual(['select 1', route])
    expect(payload.subarray(query.sqlAt).toString()).toBe('select 1')
    expect(query.sqlAt).toBe(sqlAt)
  })

  test.each<[string, Buffer, boolean, string | null]>([
    ['of a client without attributes', buildQuery('select 1', false), false, 'select 1'],
    ['without attributes', buildQuery('select 1', true), true, 'select 1'],
    ['with attributes', ROUTED, true, null],
    ['of several frames', buildQuery('x'.repeat(PAYLOAD_BYTES_MAX), false), false, null],
    ['cut off', hex('03 00'), true, null],
  ])('%s has its statement at hand, or has to be read with care', (_what, payload, attributes, sql) => {
    expect(bareSql(new Message(frame(payload, 0), 0, 0), attributes)?.toString() ?? null).toBe(sql)
  })

  test.each(everyCutOf(ROUTED.subarray(0, 35)))('whose attributes end at byte %i is malformed', (cut) => {
    expect(() => parseQuery(ROUTED.subarray(0, cut), true)).toThrow(MalformedMessage)
  })

  test('with more attributes than bytes is malformed, and costs nothing', () => {
    expect(() => parseQuery(hex('03 feffffffffffff0000 01 0000'), true)).toThrow(MalformedMessage)
    expect(() => parseQuery(hex('03 feffffffffffffffff 01 0000'), true)).toThrow(MalformedMessage)
  })
})

describe('an execution', () => {
  // As mysql2 for Node sends it: one parameter, a double.
  const MYSQL2 = hex('17 01000000 08 01000000 01 00 01 0500 00 000000000000f03f')

  test('of a client with attributes, though it sent none', () => {
    expect(parseExecute(MYSQL2, 1, true)).toMatchObject({
      statementId: 1,
      cursor: false,
      named: true,
      parameterCount: 1,
      nullsAt: 11,
      boundAt: 12,
      typesBound: true,
      typesAt: 13,
      valuesAt: 16,
      route: null,
    })
  })

  // As mariadb for Node sends it, before it knows the statement's id: one string.
  test('of what was prepared last', () => {
    expect(parseExecute(hex('17 ffffffff 00 01000000 00 01 fd00 0178'), 1, false)).toMatchObject({
      statementId: LAST_PREPARED_ID,
      named: false,
      nullsAt: 10,
      boundAt: 11,
      typesAt: 12,
      valuesAt: 14,
    })
  })

  test.each([
    [
      'nothing at all',
      hex('17 01000000 00 01000000'),
      0,
      false,
      { parameterCount: 0, typesBound: false, valuesAt: 10 },
    ],
    ['no attributes', hex('17 01000000 00 01000000'), 0, true, { parameterCount: 0, named: false }],
    [
      'an attribute only',
      hex('17 01000000 08 01000000 01 00 01 fe00 0161 0162'),
      0,
      true,
      { parameterCount: 1, valuesAt: 17 },
    ],
    [
      'no types',
      hex('17 01000000 00 01000000 00 00 01000000'),
      1,
      false,
      { typesBound: false, typesAt: 12, valuesAt: 12 },
    ],
    [
      'nine parameters',
      hex(`17 01000000 01 01000000 0000 01 ${'0300'.repeat(9)}`),
      9,
      false,
      { cursor: true, boundAt: 12, valuesAt: 31 },
    ],
  ])('with %s', (_what, payload, count, attributes, told) => {
    expect(parseExecute(payload, count, attributes)).toMatchObject(told)
  })

  // One parameter, then the route.
  const routed = (value: string) =>
    hex(`17 01000000 08 01000000 02 00 01 fd00 00 fe00 0c736c756963652e726f757465 ${value} 06726561646572`)

  test('finds its route behind the parameters', () => {
    expect(parseExecute(routed('0178'), 1, true).route).toBe('reader')
    expect(parseExecute(routed(''), 1, true, (parameter) => parameter === 0).route).toBe('reader')
  })

  test('gets the types that a backend was not told', () => {
    const unbound = hex('17 01000000 00 01000000 00 00 01000000')
    expect(bindTypes(unbound, parseExecute(unbound, 1, false), hex('0300'))).toEqual(
      hex('17 01000000 00 01000000 00 01 0300 01000000'),
    )
  })

  test('gets other types in place of its own', () => {
    const layout = parseExecute(MYSQL2, 1, true)
    expect(bindTypes(MYSQL2, layout, MYSQL2.subarray(layout.typesAt, layout.valuesAt))).toEqual(MYSQL2)
  })

  test.each(everyCutOf(MYSQL2.subarray(0, 16)))('that ends at byte %i is malformed', (cut) => {
    expect(() => parseExecute(MYSQL2.subarray(0, cut), 1, true)).toThrow(MalformedMessage)
  })
})

describe('other commands', () => {
  // As mariadb for Node sends a batch of two rows.
  test('many rows at once', () => {
    expect(parseBulkExecute(hex('fa 17000000 c000 fd00 000161 000162'), 1)).toEqual({
      statementId: 23,
      flags: 0xc0,
      typesBound: true,
      typesAt: 7,
      valuesAt: 9,
    })
    expect(() => parseBulkExecute(hex('fa 17000000 c000 fd'), 1)).toThrow(MalformedMessage)
  })

  test('long data', () => {
    expect(parseLongData(hex('18 02000000 0300 6162'))).toEqual({
      statementId: 2,
      parameter: 3,
      bytes: Buffer.from('ab'),
    })
    expect(() => parseLongData(hex('18 02000000 03'))).toThrow(MalformedMessage)
  })

  test('a fetch', () => {
    expect(parseFetch(hex('1c 02000000 0a000000'))).toEqual({ statementId: 2, rows: 10 })
  })

  test('the id of a statement is read, and put in place of another', () => {
    const payload = buildStatementCommand(COMMAND.STMT_CLOSE, 0xfffffffe)
    expect(payload).toEqual(hex('19 feffffff'))
    expect(statementIdOf(payload)).toBe(0xfffffffe)
    setStatementId(payload, 3)
    expect(payload).toEqual(hex('19 03000000'))
    expect(() => statementIdOf(hex('19 0300'))).toThrow(MalformedMessage)
    expect(() => setStatementId(hex('19 0300'), 3)).toThrow(MalformedMessage)
  })

  test('a command and its argument', () => {
    expect(buildCommand(COMMAND.INIT_DB, 'shop')).toEqual(Buffer.from('\x02shop'))
    expect(buildCommand(COMMAND.PING)).toEqual(hex('0e'))
  })
})

test('nonsense is malformed, or reads as something harmless', () => {
  for (let seed = 0; seed < 3000; seed++) {
    const payload = seed % 2 === 0 ? garbage(seed, seed % 50) : damaged(ROUTED, seed)
    if (payload.length > 0 && seed % 4 === 0)
      payload[0] = [COMMAND.QUERY, COMMAND.STMT_EXECUTE, COMMAND.STMT_BULK_EXECUTE][seed % 3]!
    for (const parse of [
      () => parseQuery(payload, true),
      () => parseExecute(payload, seed % 20, true),
      () => parseExecute(payload, seed % 20, false),
      () => parseBulkExecute(payload, seed % 20),
      () => parseLongData(payload),
      () => parseFetch(payload),
      () => statementIdOf(payload),
    ]) {
      try {
        parse()
      } catch (error) {
        if (!(error instanceof MalformedMessage)) throw error
      }
    }
  }
})
