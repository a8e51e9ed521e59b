// Sessions as the tests of this folder picture them.

import type { Classification } from '../../../src/sql/classification.ts'
import { createClassifier, mariadb, mysql, type SqlContext } from '../../../src/sql/classifier.ts'

export const MYSQL: SqlContext = {
  dialect: mysql,
  version: 90704,
  ansiQuotes: false,
  noBackslashEscapes: false,
  ignoreSpace: false,
  charset: 'utf8mb4',
}

export const MARIADB: SqlContext = { ...MYSQL, dialect: mariadb, version: 101119 }

const classifier = createClassifier({ digestsMax: 10_000, secret: 1 })

export function classifyIn(context: SqlContext, sql: string | Buffer): Classification {
  return classifier.classify(Buffer.from(sql as string), context)
}

export function classifyMysql(sql: string): Classification {
  return classifyIn(MYSQL, sql)
}

export function classifyMariadb(sql: string): Classification {
  return classifyIn(MARIADB, sql)
}
