// Which statements change what accounts may do.

import { expect, test } from 'vitest'
import { classifyMariadb, classifyMysql } from './support.ts'

const CHANGE = [
  'GRANT SELECT ON *.* TO a',
  'REVOKE SELECT ON *.* FROM a',
  'grant r to a with admin option',
  "CREATE USER a@'%' IDENTIFIED BY 'x'",
  'CREATE ROLE r',
  'DROP USER IF EXISTS a, b',
  'DROP ROLE r',
  'RENAME USER a TO b',
  'ALTER USER a ACCOUNT LOCK',
  'ALTER USER a DEFAULT ROLE r',
  'SET DEFAULT ROLE r TO a',
  'FLUSH PRIVILEGES',
  'FLUSH LOCAL PRIVILEGES',
  'SELECT 1; GRANT SELECT ON *.* TO a; SELECT 2',
  '/*!50000 GRANT SELECT ON *.* TO a */',
]
const KEEP = [
  "ALTER USER a IDENTIFIED BY 'x'",
  "SET PASSWORD FOR a = 'x'",
  'SET ROLE r',
  'SHOW GRANTS',
  'CREATE TABLE user (a INT)',
  'DROP TABLE role',
  'RENAME TABLE user TO role',
  'FLUSH TABLES privileges_of_app',
  "SELECT 'GRANT SELECT ON *.* TO a'",
]

test.each(CHANGE)('%s changes what accounts may do', (sql) => {
  expect([classifyMysql(sql).rights, classifyMariadb(sql).rights]).toEqual([true, true])
})

test.each(KEEP)('%s does not', (sql) => {
  expect([classifyMysql(sql).rights, classifyMariadb(sql).rights]).toEqual([false, false])
})

test('MariaDB has more words for it', () => {
  expect(classifyMariadb('CREATE OR REPLACE USER a').rights).toBe(true)
  expect(classifyMariadb("EXECUTE IMMEDIATE 'GRANT SELECT ON *.* TO a'").rights).toBe(true)
})
