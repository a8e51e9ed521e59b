// Sessions as the tests of this folder picture them.

import type { Classification } from '../../../src/sql/classification.ts'
import { createClassifier, type SqlContext } from '../../../src/sql/classifier.ts'
import { MARIADB, MYSQL } from '../../support/sql-contexts.ts'

export { MARIADB, MYSQL }

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
