// What grants say about the sessions of others, in the words of both servers.

import { expect, test } from 'vitest'
import { rightsIn } from '../../../src/session/rights.ts'

test.each([
  ['nothing', ['GRANT USAGE ON *.* TO `a`@`%`'], false, false],
  ['everything', ["GRANT ALL PRIVILEGES ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*95' WITH GRANT OPTION"], true, true],
  ['to see', ['GRANT SELECT, PROCESS ON *.* TO `a`@`%`'], false, true],
  ['to kill, MySQL', ['GRANT USAGE ON *.* TO `a`@`%`', 'GRANT CONNECTION_ADMIN ON *.* TO `a`@`%`'], true, false],
  ['to kill, MariaDB', ['GRANT CONNECTION ADMIN ON *.* TO `a`@`%`'], true, false],
  ['SUPER', ['GRANT RELOAD, SUPER ON *.* TO `a`@`%`'], true, false],
  ['everything in one schema', ['GRANT ALL PRIVILEGES ON `s`.* TO `a`@`%`'], false, false],
  ['a column called SUPER', ['GRANT SELECT (`PROCESS`) ON `s`.`t` TO `a`@`%`'], false, false],
])('%s', (_what, grants, kill, see) => {
  expect(rightsIn(grants.map((grant) => [grant]))).toEqual({ kill, see })
})
