// How SQL is read where a test or a benchmark says nothing else.

import { mariadb, mysql, type SqlContext } from '../../src/sql/classifier.ts'

export const MYSQL: SqlContext = {
  dialect: mysql,
  version: 90704,
  ansiQuotes: false,
  noBackslashEscapes: false,
  ignoreSpace: false,
  charset: 'utf8mb4',
}

export const MARIADB: SqlContext = { ...MYSQL, dialect: mariadb, version: 101119 }
