// What the servers' replication status means, by table. The columns are as MySQL 9.7 and MariaDB 10.11 sent them.

import { describe, expect, test } from 'vitest'
import { mariadbPosition, mysqlPosition } from '../../../../src/protocol/mysql/positions.ts'
import { type Row, replicationStatus } from '../../../../src/protocol/mysql/replication-status.ts'

const UUID = 'b24fe161-e74b-11f1-a799-02fc00000001'

const mysqlRow: Row = {
  Source_Host: '127.0.0.1',
  Source_Port: 3306,
  Source_UUID: UUID,
  Source_Server_Id: 1,
  Source_Log_File: 'binlog.000001',
  Read_Source_Log_Pos: 890,
  Relay_Source_Log_File: 'binlog.000001',
  Exec_Source_Log_Pos: 623,
  Replica_IO_Running: 'Yes',
  Replica_SQL_Running: 'Yes',
  Seconds_Behind_Source: 2,
  Last_IO_Error: '',
  Last_SQL_Error: '',
  Retrieved_Gtid_Set: `${UUID}:1-4`,
  Auto_Position: 1,
  Channel_Name: '',
}
const mariadbRow: Row = {
  Connection_name: '',
  Master_Host: '127.0.0.1',
  Master_Port: 3306,
  Master_Server_Id: 1,
  Master_Log_File: 'binlog.000001',
  Read_Master_Log_Pos: 969,
  Relay_Master_Log_File: 'binlog.000001',
  Exec_Master_Log_Pos: 641,
  Slave_IO_Running: 'Yes',
  Slave_SQL_Running: 'Yes',
  Seconds_Behind_Master: '2',
  Last_IO_Error: '',
  Last_SQL_Error: '',
  Using_Gtid: 'Slave_Pos',
  Gtid_IO_Pos: '0-1-4',
}

const ofMysql = (executed: number, applyingMs: number | null = null) =>
  ({ engine: 'mysql', executed: mysqlPosition(`${UUID}:1-${executed}`), applyingMs }) as const
const ofMariadb = (executed: number) =>
  ({ engine: 'mariadb', executed: mariadbPosition(`0-1-${executed}`), applyingMs: null }) as const

describe('lag', () => {
  test.each([
    ['MySQL: nothing when all that was received is applied', mysqlRow, ofMysql(4), 0],
    ['MySQL: whole seconds where nothing better is measured', mysqlRow, ofMysql(3), 2_000],
    ['MySQL: the age of what is being applied', mysqlRow, ofMysql(3, 345.6), 345.6],
    ['MySQL: a source whose clock is ahead makes no negative lag', mysqlRow, ofMysql(3, -20), 0],
    ['MySQL: unknown while it is stopped', { ...mysqlRow, Seconds_Behind_Source: null }, ofMysql(3), null],
    [
      'MySQL: nothing where nothing was received since it started',
      { ...mysqlRow, Retrieved_Gtid_Set: '' },
      ofMysql(3),
      0,
    ],
    ['MySQL without GTIDs: its seconds', { ...mysqlRow, Auto_Position: 0 }, ofMysql(4), 2_000],
    [
      'MySQL without GTIDs: nothing at the end of the log',
      { ...mysqlRow, Auto_Position: 0, Exec_Source_Log_Pos: 890 },
      ofMysql(4),
      0,
    ],
    ['MariaDB: nothing when all that was received is applied', mariadbRow, ofMariadb(4), 0],
    ['MariaDB: whole seconds', mariadbRow, ofMariadb(3), 2_000],
    ['MariaDB without GTIDs: its seconds', { ...mariadbRow, Using_Gtid: 'No' }, ofMariadb(4), 2_000],
    [
      'MariaDB without GTIDs: nothing at the end of the log',
      { ...mariadbRow, Using_Gtid: 'No', Exec_Master_Log_Pos: 969 },
      ofMariadb(3),
      0,
    ],
    ['MariaDB: unknown while it is stopped', { ...mariadbRow, Seconds_Behind_Master: null }, ofMariadb(3), null],
  ] as const)('%s', (_promise, row, reading, lagMs) => {
    expect(replicationStatus([row], reading).lagMs).toBe(lagMs)
  })

  test('is that of the source farthest behind, and unknown if one is unknown', () => {
    const other = { ...mariadbRow, Connection_name: 'two', Gtid_IO_Pos: '1-1-9', Seconds_Behind_Master: 7 }
    expect(replicationStatus([mariadbRow, other], ofMariadb(4)).lagMs).toBe(7_000)
    expect(replicationStatus([mariadbRow, { ...other, Seconds_Behind_Master: null }], ofMariadb(4)).lagMs).toBeNull()
  })

  test('is unknown where nothing is followed', () => {
    expect(replicationStatus([], ofMysql(4))).toEqual({ sources: [], lagMs: null })
  })
})

describe('the source', () => {
  const sourceOf = (row: Row, reading: Parameters<typeof replicationStatus>[1]) =>
    replicationStatus([row], reading).sources[0]

  test('is known by address and by what it calls itself', () => {
    const well = { address: '127.0.0.1:3306', receiving: 'yes', applying: true, error: null }
    expect(sourceOf(mysqlRow, ofMysql(4))).toEqual({ ...well, serverId: UUID })
    expect(sourceOf(mariadbRow, ofMariadb(4))).toEqual({ ...well, serverId: '1' })
  })

  test('is known by address alone while it was never reached', () => {
    expect(sourceOf({ ...mysqlRow, Source_UUID: '' }, ofMysql(4))!.serverId).toBeNull()
    expect(sourceOf({ ...mariadbRow, Master_Server_Id: 0 }, ofMariadb(4))!.serverId).toBeNull()
  })

  test.each([
    ['Yes', 'yes'],
    ['No', 'no'],
    ['Connecting', 'trying'],
    ['Preparing', 'trying'],
  ])('with a receiver that is %j: %s', (word, receiving) => {
    expect(sourceOf({ ...mysqlRow, Replica_IO_Running: word }, ofMysql(4))!.receiving).toBe(receiving)
    expect(sourceOf({ ...mariadbRow, Slave_IO_Running: word }, ofMariadb(4))!.receiving).toBe(receiving)
  })

  test('shows the applier’s error before the receiver’s, and neither at full length', () => {
    const failing = { ...mysqlRow, Last_IO_Error: 'cannot connect', Last_SQL_Error: 'x'.repeat(1_000) }
    expect(sourceOf(failing, ofMysql(4))!.error).toBe('cannot connect')
    const stopped = sourceOf({ ...failing, Replica_SQL_Running: 'No' }, ofMysql(4))!
    expect(stopped.applying).toBe(false)
    expect(stopped.error).toHaveLength(241)
  })

  test('of MySQL before 8.0.22 is told in its older words', () => {
    const { Master_Host, Master_Port, Slave_IO_Running, Slave_SQL_Running } = mariadbRow
    const row = { Master_Host, Master_Port, Slave_IO_Running, Slave_SQL_Running, Master_UUID: UUID, Last_IO_Error: '' }
    expect(sourceOf(row, ofMysql(4))).toMatchObject({ address: '127.0.0.1:3306', serverId: UUID, receiving: 'yes' })
  })

  test('is nobody on the channels of a replication group', () => {
    const group = { ...mysqlRow, Source_Host: '<NULL>', Channel_Name: 'group_replication_applier' }
    expect(replicationStatus([group], ofMysql(4))).toEqual({ sources: [], lagMs: null })
  })
})
