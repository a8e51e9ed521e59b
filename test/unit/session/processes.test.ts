// The list of processes: the server's rows, with our sessions in place of the connections that serve them.

import { describe, expect, test } from 'vitest'
import { type Process, type ProcessView, processRows } from '../../../src/session/processes.ts'

const COLUMNS = ['Id', 'User', 'Host', 'db', 'Command', 'Time', 'State', 'Info', 'Progress']
const SCHEDULER = ['5', 'event_scheduler', 'localhost', null, 'Daemon', '99', 'Waiting on empty queue', null, '0.000']
const DIRECT = ['9', 'app', '10.0.0.9:5555', 'shop', 'Sleep', '3', '', null, '0.000']
const POOLED = ['11', 'app', '10.0.0.1:4001', null, 'Sleep', '7', '', null, '0.000']
const SERVING = ['12', 'app', '10.0.0.1:4002', 'shop', 'Query', '2', 'updating', 'UPDATE t /* reworded */', '0.000']

function process(change: Partial<Process> = {}): Process {
  return {
    id: 1_000,
    user: 'app',
    host: '10.0.0.7:50007',
    schema: null,
    command: null,
    sinceMs: 0,
    state: '',
    text: null,
    connection: null,
    ...change,
  }
}

function rowsOf(processes: readonly Process[], change: Partial<ProcessView> = {}) {
  const ours = new Set([11, 12])
  const isOurs = (id: number) => ours.has(id)
  const view = { processes, backend: 'db1', isOurs, nowMs: 5_900, full: false, ...change }
  return processRows(COLUMNS, [SCHEDULER, DIRECT, POOLED, SERVING], view)
}

describe('the list of processes', () => {
  test('keeps what is not ours, leaves out connections that wait in a pool, and adds sessions that use none', () => {
    const idle = process({ schema: 'shop' })
    expect(rowsOf([idle])).toEqual([
      SCHEDULER,
      DIRECT,
      ['1000', 'app', '10.0.0.7:50007', 'shop', 'Sleep', '5', '', null, '0.000'],
    ])
  })

  test('shows a session in place of its connection: what that does, under the name and with the words of the client', () => {
    const connection = { backend: 'db1', serverId: 12 }
    const busy = process({ id: 1_001, schema: 'shop', command: 'Query', text: 'UPDATE t', connection })
    expect(rowsOf([busy, process()]).slice(2)).toEqual([
      ['1000', 'app', '10.0.0.7:50007', null, 'Sleep', '5', '', null, '0.000'],
      ['1001', 'app', '10.0.0.7:50007', 'shop', 'Query', '2', 'updating', 'UPDATE t', '0.000'],
    ])
  })

  test('shows what runs on another server as the session knows it', () => {
    const connection = { backend: 'db2', serverId: 12 }
    const state = 'executing on db2'
    const busy = process({ command: 'Execute', text: 'SELECT 1', state, connection, sinceMs: 5_800 })
    expect(rowsOf([busy])[2]).toEqual([
      '1000',
      'app',
      '10.0.0.7:50007',
      null,
      'Execute',
      '0',
      state,
      'SELECT 1',
      '0.000',
    ])
  })

  test.each([
    [false, 100],
    [true, 150],
  ])('shows statements whole only when asked to: %s', (full, length) => {
    const busy = process({ command: 'Query', text: '🌊'.repeat(150) })
    expect([...rowsOf([busy], { full })[2]![7]!].length).toBe(length)
  })

  test('has no more columns than the server', () => {
    const columns = COLUMNS.slice(0, 8)
    const view = { processes: [process()], backend: 'db1', isOurs: () => false, nowMs: 0, full: false }
    expect(processRows(columns, [], view)[0]).toHaveLength(8)
  })
})
