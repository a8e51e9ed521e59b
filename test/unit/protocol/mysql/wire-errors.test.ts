// Every error of ours in the words of this protocol, none of them a lie to a driver.

import { describe, expect, test } from 'vitest'
import { ERRORS, type ErrorCode, ProxyError } from '../../../../src/errors.ts'
import { parseError } from '../../../../src/protocol/mysql/messages.ts'
import { buildWireError, WIRE } from '../../../../src/protocol/mysql/wire-errors.ts'

const codes = Object.keys(ERRORS) as ErrorCode[]

describe.each(codes)('%s', (code) => {
  test('has a state of five characters and a number of its own, or of MySQL', () => {
    expect(WIRE[code].sqlState).toMatch(/^[0-9A-Z]{5}$/)
    expect(WIRE[code].errno).toBeGreaterThan(999)
  })

  test('is not 1290, which readers say and we learn from', () => {
    expect(WIRE[code].errno).not.toBe(1290)
  })
})

test('no two errors of ours share a number', () => {
  const numbers = codes.map((code) => WIRE[code].errno)
  expect(new Set(numbers).size).toBe(numbers.length)
})

test('only a lost transaction is one to run again', () => {
  expect(codes.filter((code) => WIRE[code].sqlState === '40001')).toEqual(['TRANSACTION_LOST'])
})

test('the numbers that clients act on', () => {
  const told = (code: ErrorCode) => `${WIRE[code].errno} ${WIRE[code].sqlState}`
  expect(told('CLIENTS_MAX')).toBe('1040 08004')
  expect(told('ACCESS_DENIED')).toBe('1045 28000')
  expect(told('TRANSACTION_LOST')).toBe('1213 40001')
  expect(told('REQUEST_TOO_LARGE')).toBe('1153 08S01')
  expect(told('UNKNOWN_REQUEST')).toBe('1047 08S01')
  expect(told('SHUTTING_DOWN')).toBe('1053 08S01')
  expect(told('KILL_DENIED')).toBe('1095 HY000')
  expect(told('UNKNOWN_STATEMENT')).toBe('1243 HY000')
  expect(told('QUERY_KILLED')).toBe('1317 70100')
})

describe('the message of an error', () => {
  const error = new ProxyError('TRANSACTION_LOST', 'The writer went away')

  test('goes with number and state', () => {
    expect(parseError(buildWireError(error))).toEqual({
      errno: 1213,
      sqlState: '40001',
      message: Buffer.from('The writer went away'),
    })
  })

  test('has no state for a client that has not said what it speaks', () => {
    expect(parseError(buildWireError(error, false)).sqlState).toBe('')
  })

  test('is cut where the servers cut it, but not inside a character', () => {
    const { message } = parseError(buildWireError(new ProxyError('INTERNAL', `${'x'.repeat(510)}äöü`)))
    expect(message.toString()).toBe('x'.repeat(510))
  })
})
