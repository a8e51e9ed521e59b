// What holds for any statement at all, tried on the corpus and on noise. Deterministic: the noise is seeded.

import { describe, expect, test } from 'vitest'
import type { Classification } from '../../../src/sql/classification.ts'
import { createClassifier } from '../../../src/sql/classifier.ts'
import { READS, READS_MARIADB, READS_MYSQL } from './corpus/reads.ts'
import { SESSIONS, WRITES, WRITES_MARIADB, WRITES_MYSQL } from './corpus/writes.ts'
import { classifyIn, classifyMariadb, classifyMysql, MARIADB, MYSQL } from './support.ts'

type Classify = (sql: string) => Classification

const SERVERS: readonly (readonly [string, Classify, readonly string[], readonly string[]])[] = [
  ['MySQL', classifyMysql, [...READS, ...READS_MYSQL], [...WRITES, ...WRITES_MYSQL]],
  ['MariaDB', classifyMariadb, [...READS, ...READS_MARIADB], [...WRITES, ...WRITES_MARIADB]],
]

/** A small generator of numbers from 0 up to `below`, the same in every run. */
function noise(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Ends in the middle of a line comment, so what is put behind needs a line of its own. */
const closed = (sql: string) => `${sql}\n`

describe.each(SERVERS)('on %s', { timeout: 60_000 }, (_, classify, reads, writes) => {
  test('a write before or behind a read makes a write', () => {
    for (const sql of reads) {
      expect([sql, classify(`DELETE FROM t; ${sql}`).access]).toEqual([sql, 'write'])
      expect([sql, classify(`${closed(sql)}; DELETE FROM t`).access]).toEqual([sql, 'write'])
      expect([sql, classify(`${closed(sql)};\t;INSERT INTO t VALUES (1);`).access]).toEqual([sql, 'write'])
    }
  })

  test('a read before or behind a write makes no read', () => {
    for (const sql of writes) {
      if (classify(sql).statements === 0) continue
      expect([sql, classify(`SELECT 1; ${sql}`).access]).toEqual([sql, 'write'])
      expect([sql, classify(`${closed(sql)}; SELECT 1`).access]).toEqual([sql, 'write'])
    }
  })

  test('a SELECT in parentheses is a read still', () => {
    for (const sql of reads) {
      if (!/^select /i.test(sql) || /[;#]|--/.test(sql)) continue
      expect([sql, classify(`(${sql})`).access]).toEqual([sql, 'read'])
      expect([sql, classify(`((${sql}))`).access]).toEqual([sql, 'read'])
    }
  })

  test('a lock at the end of a SELECT makes a write', () => {
    for (const sql of reads) {
      if (!/^select /i.test(sql)) continue
      const trimmed = sql.replace(/[;\s]+$/, '')
      for (const lock of ['FOR UPDATE', 'for share', 'LOCK IN SHARE MODE', "INTO OUTFILE '/tmp/x'", 'INTO @x']) {
        expect([sql, lock, classify(`${trimmed}\n${lock}`).access]).toEqual([sql, lock, 'write'])
      }
    }
  })

  test('nothing that is no read becomes one by comments and spaces between its words', () => {
    for (const sql of [...writes, ...SESSIONS]) {
      // Where quotes or comments are, a space may belong to them.
      if (/['"`#*\\$]|--/.test(sql) || sql.includes('\x00') || sql.trim() === '') continue
      for (const between of [' ', '\n', '\t\r\n', '/**/', ' /* c */ ', ' -- c\n', ' # c\n']) {
        const spaced = sql.replace(/ /g, between)
        expect([spaced, classify(spaced).access]).toEqual([spaced, classify(sql).access])
      }
    }
  })

  test('a read is a read in capitals and in small letters', () => {
    for (const sql of reads) {
      if (/sfm|\\|[xnb]'/i.test(sql)) continue
      expect([sql, classify(sql.toLowerCase()).access]).toEqual([sql, 'read'])
    }
  })

  test('whatever is written in capitals is no more of a read in small letters', () => {
    for (const sql of writes) {
      // A small m makes a plain comment.
      if (!sql.includes('/*M!')) expect([sql, classify(sql.toLowerCase()).access]).toEqual([sql, 'write'])
      if (!/1\.e|\$/.test(sql)) expect([sql, classify(sql.toUpperCase()).access]).toEqual([sql, 'write'])
    }
  })

  test('a read leaves nothing behind', () => {
    for (const sql of reads) {
      const { pins, assigns, transaction, kill } = classify(sql)
      // What holds for one statement is over with it.
      const lasting = assigns.filter(({ scope }) => scope !== 'statement')
      expect([sql, pins, lasting, transaction, kill]).toEqual([sql, [], [], 'none', null])
    }
  })

  test('asked twice, the answer is the same', () => {
    for (const sql of [...reads, ...writes, ...SESSIONS]) expect(classify(sql)).toEqual(classify(sql))
  })

  test('the answer does not hang on what was asked before', () => {
    const context = classify === classifyMysql ? MYSQL : MARIADB
    for (const sql of [...reads, ...writes, ...SESSIONS]) {
      const fresh = createClassifier({ digestsMax: 1 })
      expect(fresh.classify(Buffer.from(sql), context)).toEqual(classify(sql))
    }
  })
})

describe('noise', { timeout: 60_000 }, () => {
  const contexts = [
    MYSQL,
    MARIADB,
    { ...MYSQL, ansiQuotes: true, noBackslashEscapes: true },
    ...['gbk', 'sjis', 'big5', 'gb18030', 'euckr', 'latin1'].map((charset) => ({ ...MYSQL, charset })),
  ]

  test('any bytes get an answer', () => {
    const next = noise(1)
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(Array.from({ length: next(40) }, () => next(256)))
      const { access, statements } = classifyIn(contexts[next(contexts.length)]!, bytes)
      expect(statements >= 0 && access !== undefined).toBe(true)
    }
  })

  test('any cut of any statement gets an answer', () => {
    for (const sql of [...READS, ...WRITES, ...SESSIONS, ...READS_MARIADB, ...WRITES_MARIADB]) {
      for (let cut = 0; cut < sql.length; cut++) {
        expect(classifyMysql(sql.slice(0, cut)).digest).toHaveLength(16)
        expect(classifyMariadb(sql.slice(cut)).digest).toHaveLength(16)
      }
    }
  })

  test('pieces of SQL in any order get an answer', () => {
    const next = noise(2)
    const pieces = [...READS, ...WRITES, ...SESSIONS]
      .flatMap((sql) => sql.split(/(\s+|[(),;'"`])/))
      .filter((one) => one !== '')
    for (let round = 0; round < 20_000; round++) {
      let sql = ''
      for (let at = next(12); at >= 0; at--) sql += `${pieces[next(pieces.length)]}${next(2) === 0 ? ' ' : ''}`
      const context = contexts[next(contexts.length)]!
      expect(classifyIn(context, sql)).toEqual(classifyIn(context, sql))
    }
  })

  test('literals do not change the digest', () => {
    const next = noise(3)
    const literals = ["'x'", "''", "'it''s'", '"y"', '7', '1.5', '0x1F', "x'41'", '-3', '?', "N'z'", "'a' 'b'", '1e5']
    const shapes = [
      'SELECT a FROM t WHERE b = ~ AND c IN (~, ~) LIMIT ~',
      'UPDATE t SET a = ~, b = ~ WHERE c > ~',
      'INSERT INTO t VALUES (~, ~), (~, ~)',
      'SELECT COALESCE(a, ~) FROM t WHERE b BETWEEN ~ AND ~',
    ]
    for (const shape of shapes) {
      const fill = () => shape.replace(/~/g, () => literals[next(literals.length)]!)
      const { digest } = classifyMysql(fill())
      for (let round = 0; round < 500; round++) {
        const sql = fill()
        expect([sql, classifyMysql(sql).digest]).toEqual([sql, digest])
      }
    }
  })
})
