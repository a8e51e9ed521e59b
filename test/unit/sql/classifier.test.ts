// What statements do, by the corpus: every promise of the table in the semantics, and what people really send.

import { describe, expect, test } from 'vitest'
import type { Classification } from '../../../src/sql/classification.ts'
import { READS, READS_MARIADB, READS_MYSQL } from './corpus/reads.ts'
import { STARTUPS } from './corpus/startups.ts'
import { SESSIONS, WRITES, WRITES_MARIADB, WRITES_MYSQL } from './corpus/writes.ts'
import { classifyMariadb, classifyMysql } from './support.ts'

const SERVERS: readonly (readonly [string, (sql: string) => Classification])[] = [
  ['MySQL', classifyMysql],
  ['MariaDB', classifyMariadb],
]

const only = (own: string, mysql: readonly string[], mariadb: readonly string[]) => (own === 'MySQL' ? mysql : mariadb)

test.each(STARTUPS)('%s: %s', (sql, expected) => {
  const { access, because } = classifyMysql(sql)
  expect(`${access}: ${because}`).toMatch(new RegExp(`^${expected}:`))
})

describe.each(SERVERS)('on %s', (server, classify) => {
  test.each([...READS, ...only(server, READS_MYSQL, READS_MARIADB)])('a read: %s', (sql) => {
    const { access, because } = classify(sql)
    expect(`${access}: ${because}`).toMatch(/^read:/)
  })

  test.each([...WRITES, ...only(server, WRITES_MYSQL, WRITES_MARIADB)])('not for a reader: %s', (sql) => {
    expect(classify(sql).access).toBe('write')
  })

  test.each(SESSIONS)('about the session: %s', (sql) => {
    const { access, because } = classify(sql)
    expect(`${access}: ${because}`).toMatch(/^session:/)
  })
})
