// OK, EOF and ERR: as servers send them, and an OK as a client with less sight would have got it.

import { describe, expect, test } from 'vitest'
import {
  buildEof,
  buildError,
  buildOk,
  CAPABILITY,
  MalformedMessage,
  parseChanges,
  parseEof,
  parseError,
  parseOk,
  rewriteOk,
  STATUS,
  TRACK,
  type TrackedChange,
  tellsStatementIdOnly,
  withoutChanges,
} from '../../../../src/protocol/mysql/messages.ts'
import { damaged, garbage } from '../../../support/cuts.ts'
import { transcript } from './transcripts.ts'

const TRACKING = CAPABILITY.SESSION_TRACK | CAPABILITY.PROTOCOL_41
const BLIND = CAPABILITY.PROTOCOL_41
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** The last message of a transcript, without its header. */
function last(server: string, name: string): Buffer {
  const { bytes } = transcript(server, name)
  let at = 0
  while (at + 4 + bytes.readUIntLE(at, 3) < bytes.length) at += 4 + bytes.readUIntLE(at, 3)
  return bytes.subarray(at + 4)
}

function changesOf(payload: Buffer): string[] {
  const { changes } = parseOk(payload, TRACKING)
  return changes === null ? [] : parseChanges(changes).map(({ kind, name, value }) => `${kind} ${name}=${value}`)
}

describe('an OK', () => {
  test.each(['mysql-9.7', 'mariadb-11.8'])('of %s tells what was done', (server) => {
    const ok = parseOk(last(server, 'update with its text'), TRACKING)
    expect({ ...ok, text: ok.text.toString() }).toEqual({
      lead: 0,
      affectedRows: 3n,
      insertId: 0n,
      status: STATUS.AUTOCOMMIT | STATUS.NO_INDEX_USED,
      warnings: 0,
      text: 'Rows matched: 3  Changed: 3  Warnings: 0',
      changes: null,
    })
  })

  test.each([
    ['ucs2', '00000002400000 0000 080103026431020131', ['1 =d1', '2 =1']],
    ['utf32', '00000002400000 00000000 080103026431020131', ['1 =d1', '2 =1']],
    ['utf32, and a text', '00010002400000 026f6b 000000 0c000a0873716c5f6d6f646500', ['0 sql_mode=']],
  ])('of MariaDB in a schema of %s tells what changed behind its zeros', (_, bytes, expected) => {
    const payload = hex(bytes)
    expect(changesOf(payload)).toEqual(expected)
    const shown = rewriteOk(payload, TRACKING, TRACKING, ({ kind }) => kind !== TRACK.STATE_CHANGE)
    expect(changesOf(shown)).toEqual(expected.filter((change) => change !== '2 =1'))
  })

  test.each([
    ['mysql-9.7', 'a changed schema and variable', ['0 autocommit=ON', '0 time_zone=+01:00']],
    ['mariadb-11.8', 'a changed schema and variable', ['0 autocommit=ON', '0 time_zone=+01:00']],
    ['mysql-9.7', 'a transaction begins', ['0 statement_id=339', '4 =START TRANSACTION READ ONLY;', '5 =T_______']],
    ['mariadb-11.8', 'a transaction begins', ['4 =START TRANSACTION READ ONLY;', '5 =T_______']],
    ['mysql-9.7', 'init db', ['1 =w', '2 =1']],
    ['mariadb-11.8', 'init db', ['1 =w', '2 =1']],
  ])('of %s: %s', (server, name, changes) => {
    expect(changesOf(last(server, name)).sort()).toEqual(changes)
  })

  test('tells where a write ended', () => {
    const gtids = parseChanges(parseOk(last('mysql-9.7', 'a tracked write'), TRACKING).changes!)
    expect(gtids.find(({ kind }) => kind === TRACK.GTIDS)!.value.toString()).toMatch(/^[0-9a-f-]{36}:\d+$/)
  })

  test('tells of user variables, where MariaDB is built to', () => {
    const entries = parseChanges(hex('0c 04 01 61 01 62  0c 02 01 63'))
    expect(entries.map(({ name, value }) => `${name}=${value}`)).toEqual(['a=b', 'c='])
  })

  test('tells of what nobody has heard of yet, as it came', () => {
    expect(parseChanges(hex('63 02 abcd'))).toEqual([
      { kind: 0x63, name: '', value: hex('abcd'), bytes: hex('6302abcd') },
    ])
  })

  test.each(['mysql-9.7', 'mariadb-11.8'])('of %s is built again as it was', (server) => {
    for (const name of [
      'insert',
      'update with its text',
      'every tracker on',
      'a transaction ends',
      'init db',
      'ping',
    ]) {
      const payload = last(server, name)
      expect(buildOk(parseOk(payload, TRACKING), TRACKING)).toEqual(payload)
    }
  })

  test('of nothing in particular', () => {
    expect(buildOk({}, TRACKING)).toEqual(hex('00 00 00 0200 0000'))
  })
})

describe('an OK for a client', () => {
  const begun = last('mysql-9.7', 'a transaction begins')
  const all = () => true
  const none = () => false
  const only = (kind: number) => (change: TrackedChange) => change.kind === kind

  test('that may see everything is the same buffer', () => {
    expect(rewriteOk(begun, TRACKING, TRACKING, all)).toBe(begun)
  })

  test('of an OK without changes is the same buffer', () => {
    const payload = last('mysql-9.7', 'update with its text')
    expect(rewriteOk(payload, TRACKING, BLIND, none)).toBe(payload)
  })

  test('that may see some of it', () => {
    const rewritten = rewriteOk(begun, TRACKING, TRACKING, only(TRACK.TRANSACTION_STATE))
    expect(changesOf(rewritten)).toEqual(['5 =T_______'])
    expect(rewritten).toEqual(hex('00 00 00 0360 0000 00 0b 05 09 08 545f5f5f5f5f5f5f'))
  })

  test.each([
    ['that may see nothing', TRACKING, none],
    ['that knows no tracking', BLIND, all],
  ])('%s has neither flag nor text', (_who, capabilities, visible) => {
    expect(rewriteOk(begun, TRACKING, capabilities, visible)).toEqual(hex('00 00 00 0320 0000'))
  })

  test('keeps its text, rows and id', () => {
    const ok = {
      affectedRows: 300n,
      insertId: 2n ** 40n,
      warnings: 2,
      text: Buffer.from('text'),
      changes: hex('0201 31'),
    }
    const rewritten = rewriteOk(buildOk(ok, TRACKING), TRACKING, BLIND, all)
    expect(rewritten).toEqual(buildOk({ ...ok, changes: null }, BLIND))
    expect(parseOk(rewritten, BLIND)).toMatchObject({
      affectedRows: 300n,
      insertId: 2n ** 40n,
      warnings: 2,
      text: Buffer.from('text'),
    })
  })

  test('that ends a result set stays one that does', () => {
    const payload = last('mysql-9.7', 'a read inside it')
    expect(rewriteOk(payload, TRACKING, BLIND, all)).toEqual(hex('fe 00 00 0320 0000'))
  })
})

describe('an OK that tells no more than the number of the statement', () => {
  const numbered = buildOk(
    { lead: 0xfe, warnings: 2, changes: hex('00 10 0c 73746174656d656e745f6964 02 3432') },
    TRACKING,
  )

  test('is known, and shown to nobody', () => {
    expect(changesOf(numbered)).toEqual(['0 statement_id=42'])
    expect(tellsStatementIdOnly(numbered)).toBe(true)
    expect(withoutChanges(numbered)).toEqual(buildOk({ lead: 0xfe, warnings: 2 }, TRACKING))
  })

  test.each([
    ['it says more', Buffer.concat([hex('00 10 0c 73746174656d656e745f6964 02 3432'), hex('0201 31')])],
    ['it says something else', hex('00 10 0c 73746174656d656e745f6965 02 3432')],
    ['it says something longer', hex('00 10 0d 73746174656d656e745f696464 01 34')],
    ['it speaks of a schema', hex('01 02 01 77')],
  ])('is none when %s', (_what, changes) => {
    const payload = buildOk({ affectedRows: 70_000n, insertId: 2n ** 40n, changes }, TRACKING)
    expect(tellsStatementIdOnly(payload)).toBe(false)
    expect(withoutChanges(payload)).toEqual(buildOk({ affectedRows: 70_000n, insertId: 2n ** 40n }, TRACKING))
  })

  test('is none when it has a text, or no changes', () => {
    const text = buildOk(
      { text: Buffer.from('x'), changes: hex('00 10 0c 73746174656d656e745f6964 02 3432') },
      TRACKING,
    )
    expect(tellsStatementIdOnly(text)).toBe(false)
    expect(withoutChanges(text)).toEqual(buildOk({ text: Buffer.from('x') }, TRACKING))
    expect(tellsStatementIdOnly(buildOk({}, TRACKING))).toBe(false)
    expect(tellsStatementIdOnly(Buffer.alloc(0))).toBe(false)
  })
})

describe('an EOF', () => {
  test('reads as it was written', () => {
    expect(buildEof(0x22, 3)).toEqual(hex('fe 0300 2200'))
    expect(parseEof(buildEof(0x22, 3))).toEqual({ status: 0x22, warnings: 3 })
  })
})

describe('an error', () => {
  test('with its state', () => {
    expect(parseError(last('mysql-9.7', 'unknown command'))).toEqual({
      errno: 1047,
      sqlState: '08S01',
      message: Buffer.from('Unknown command'),
    })
  })

  test('from a server that does not know yet what the client speaks', () => {
    expect(parseError(hex('ff 1004 546f6f206d616e79'))).toEqual({
      errno: 1040,
      sqlState: '',
      message: Buffer.from('Too many'),
    })
  })

  test('whose text only looks like a state', () => {
    expect(parseError(hex('ff 1004 23 3132')).message.toString()).toBe('#12')
  })

  test('reads as it was written', () => {
    const payload = buildError(1213, '40001', 'Lost')
    expect(payload).toEqual(Buffer.from('\xff\xbd\x04#40001Lost', 'latin1'))
    expect(buildError(1040, '', 'No')).toEqual(Buffer.from('\xff\x10\x04No', 'latin1'))
  })
})

test('nonsense is malformed, or reads as something harmless', () => {
  const seen = ['every tracker on', 'a transaction ends', 'update with its text', 'a syntax error', 'ping']
  for (let seed = 0; seed < 3000; seed++) {
    const payload =
      seed % 2 === 0 ? garbage(seed, seed % 40) : damaged(last('mysql-9.7', seen[seed % seen.length]!), seed)
    for (const parse of [
      (bytes: Buffer) => rewriteOk(bytes, TRACKING, TRACKING, ({ kind }) => kind === 0),
      (bytes: Buffer) => parseOk(bytes, BLIND),
      tellsStatementIdOnly,
      withoutChanges,
      parseEof,
      parseError,
      parseChanges,
    ]) {
      try {
        parse(payload)
      } catch (error) {
        if (!(error instanceof MalformedMessage)) throw error
      }
    }
  }
})
