// What sessions do that holds a connection for a while: transactions, temporary tables, locks, statements by name.
// Nearly all of them let go again, so that connections change hands.

import type { Author } from './author.ts'
import type { Move } from './moves.ts'
import { change, ddl, type Idea, insert, ping, question, read, setVariable, symptom, trouble } from './plain-ideas.ts'

function some(author: Author, most: number, ideas: readonly (readonly [number, Idea])[]): void {
  for (let count = 1 + author.random.below(most); count > 0; count--) author.random.weighted(ideas)(author)
}

const INSIDE: readonly (readonly [number, Idea])[] = [
  [4, insert],
  [3, change],
  [3, read],
  [2, question],
  [2, trouble],
  [1, symptom],
  [1, ping],
]

/** Most let go in the end; the end of the session does it for the others. */
function letGo(author: Author, ...texts: readonly string[]): void {
  if (author.random.chance(0.95)) author.sql(...texts)
}

export const transaction: Idea = (author) => {
  const { random } = author
  if (random.chance(0.15)) {
    author.sql(
      random.pick([
        'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
        'SET TRANSACTION READ ONLY',
        'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
        'SET TRANSACTION ISOLATION LEVEL NONSENSE',
      ]),
    )
  }
  author.sql(
    random.pick([
      'BEGIN',
      'START TRANSACTION',
      'START TRANSACTION READ WRITE',
      'START TRANSACTION WITH CONSISTENT SNAPSHOT',
    ]),
  )
  some(author, 4, INSIDE)
  if (random.chance(0.3)) {
    author.sql('SAVEPOINT one')
    some(author, 2, INSIDE)
    author.sql(
      random.pick(['ROLLBACK TO SAVEPOINT one', 'ROLLBACK TO nosuch', 'RELEASE SAVEPOINT one', 'SAVEPOINT one']),
    )
  }
  if (random.chance(0.1)) author.sql('BEGIN')
  if (random.chance(0.1)) ddl(author)
  if (random.chance(0.1)) {
    author.sql(random.pick(['COMMIT AND CHAIN', 'ROLLBACK AND CHAIN']))
    some(author, 2, INSIDE)
  }
  letGo(author, random.pick(['COMMIT', 'COMMIT', 'ROLLBACK', 'ROLLBACK WORK', 'COMMIT AND NO CHAIN']))
}

export const readOnlyTransaction: Idea = (author) => {
  author.sql(
    author.random.pick(['START TRANSACTION READ ONLY', 'START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT']),
  )
  some(author, 3, [
    [5, read],
    [1, symptom],
    [1, insert],
    [1, question],
  ])
  letGo(author, author.random.pick(['COMMIT', 'ROLLBACK']))
}

export const manualCommit: Idea = (author) => {
  const { random } = author
  author.sql(random.pick(['SET autocommit = 0', 'SET @@autocommit = OFF', "SET autocommit = 0, time_zone = '+01:00'"]))
  some(author, 4, INSIDE)
  if (random.chance(0.5)) author.sql(random.pick(['COMMIT', 'ROLLBACK']))
  if (random.chance(0.5)) some(author, 2, INSIDE)
  letGo(
    author,
    ...random.pick([
      ['SET autocommit = 1'],
      ['COMMIT', 'SET autocommit = DEFAULT'],
      ['ROLLBACK', 'SET @@session.autocommit = ON'],
    ]),
  )
}

export const temporaryTable: Idea = (author) => {
  const { random } = author
  const name = random.pick(['tmp', 't', author.fresh('tmp')])
  author.sql(
    random.pick([
      `CREATE TEMPORARY TABLE ${name} (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20), n INT)`,
      `CREATE TEMPORARY TABLE ${name} AS SELECT 1 AS id, 'temporary' AS v, 5 AS n`,
      `CREATE TEMPORARY TABLE IF NOT EXISTS ${name} LIKE t`,
    ]),
  )
  author.sql(`INSERT INTO ${name} (id, v) VALUES (50, 'one'), (60, 'two')`, `SELECT * FROM ${name} ORDER BY id`)
  if (random.chance(0.3)) author.prepare(`SELECT COUNT(*) FROM ${name}`)
  some(author, 2, INSIDE)
  letGo(
    author,
    random.pick([
      `DROP TEMPORARY TABLE ${name}`,
      `DROP TABLE ${name}`,
      `DROP TEMPORARY TABLE IF EXISTS nosuch, ${name}`,
    ]),
  )
  author.sql(`SELECT * FROM ${name}`)
}

export const namedLock: Idea = (author) => {
  const lock = `'${author.name} ${author.random.below(2)}'`
  author.either(`SELECT GET_LOCK(${lock}, 0)`)
  if (author.random.chance(0.3)) author.sql(`SELECT GET_LOCK(${lock}, 0)`)
  some(author, 2, INSIDE)
  author.either(`SELECT IS_FREE_LOCK(${lock})`)
  letGo(
    author,
    `SELECT RELEASE_LOCK(${lock})`,
    author.random.pick(['SELECT RELEASE_ALL_LOCKS()', 'DO RELEASE_ALL_LOCKS()']),
  )
  author.either(`SELECT RELEASE_LOCK(${lock})`)
}

export const tableLock: Idea = (author) => {
  const { random } = author
  author.sql(
    random.pick(['LOCK TABLES t WRITE', 'LOCK TABLES t READ, noted WRITE', 'LOCK TABLE t WRITE, t AS other READ']),
  )
  some(author, 3, INSIDE)
  letGo(author, random.pick(['UNLOCK TABLES', 'UNLOCK TABLES', 'UNLOCK TABLE']))
}

export const handlerOpen: Idea = (author) => {
  const alias = author.random.chance(0.5) ? ' AS h' : ''
  const name = alias === '' ? 't' : 'h'
  author.sql(`HANDLER t OPEN${alias}`, `HANDLER ${name} READ FIRST`)
  some(author, 2, INSIDE)
  author.sql(`HANDLER ${name} READ NEXT LIMIT 2`)
  letGo(author, `HANDLER ${name} CLOSE`)
  author.sql(`HANDLER ${name} READ NEXT`)
}

export const xa: Idea = (author) => {
  // Replicas of MySQL apply independent transactions side by side, and fail where two in a row have the same id.
  const id = `'${author.fresh(author.name)}'`
  author.sql(`XA START ${id}`)
  some(author, 2, INSIDE)
  author.sql(`XA END ${id}`)
  author.sql(author.random.pick([`XA COMMIT ${id} ONE PHASE`, `XA ROLLBACK ${id}`]))
}

export const sqlPrepared: Idea = (author) => {
  const { random } = author
  const name = author.fresh('named')
  const text = random.pick([
    `SELECT * FROM t WHERE id < ${author.firstId + 2} ORDER BY id`,
    "SET time_zone = ''+09:00''",
    'INSERT INTO t (n) VALUES (8)',
    'SELEC 1',
  ])
  author.sql(`PREPARE ${name} FROM '${text}'`, `EXECUTE ${name}`)
  if (random.chance(0.3)) some(author, 2, INSIDE)
  if (random.chance(0.5)) author.sql(`EXECUTE ${name}`)
  letGo(author, random.pick([`DEALLOCATE PREPARE ${name}`, `DROP PREPARE ${name}`]))
  if (random.chance(0.5)) author.sql(`EXECUTE ${name}`)
  if (text.startsWith('SET')) author.sql('SELECT @@time_zone, FROM_UNIXTIME(0)')
  if (author.engine === 'mariadb' && random.chance(0.5)) author.sql(`EXECUTE IMMEDIATE '${text}'`, 'SELECT @@time_zone')
}

/** Statements prepared by the client's commands, executed over and over while other things happen. */
export const clientPrepared: Idea = (author) => {
  const { random } = author
  const [sql, values] = random.pick<[string, () => (string | number | null)[]]>([
    ['SELECT * FROM t WHERE id = ? OR v = ? ORDER BY id', () => [author.id(), random.pick(['a', 'zz', null])]],
    ['INSERT INTO t (v, n) VALUES (?, ?)', () => [random.pick(['p', 'é', null]), random.pick([1, null, 77])]],
    ['UPDATE t SET n = ? WHERE id = ?', () => [random.below(9), author.id()]],
    ['SELECT @@time_zone, @@sql_mode, FROM_UNIXTIME(0)', () => []],
    ['SELECT LAST_INSERT_ID()', () => []],
    ["SELECT CONCAT(?, 'x') AS c, COLLATION(?)", () => ['a', 'b']],
    ['SELECT CAST(? AS SIGNED)', () => ['abc']],
    ['CALL rows_of_t()', () => []],
    ['DELETE FROM t WHERE id = ?', () => [author.id()]],
    ['SET time_zone = ?', () => [random.pick(['+08:00', 'nowhere'])]],
    ['INSERT INTO t (id) VALUES (?), (?)', () => [author.id(), author.id()]],
    ['SELECT (SELECT id FROM t WHERE id >= ?) AS only_one', () => [author.id()]],
    ['INSERT INTO kept (k) VALUES (CONCAT(?, 5))', () => [random.pick(['k', null])]],
    ['UPDATE t SET v = CONCAT(?, v), n = ?', () => ['u', random.pick([1, null])]],
    ['SELECT CAST(? AS SIGNED) + id FROM t ORDER BY id', () => [random.pick(['9223372036854775807', 'x'])]],
    ['CALL adds(?)', () => [random.pick(['called', null])]],
    ['CALL adds_and_fails()', () => []],
  ])
  const slot = author.prepare(sql, values)
  author.push({ kind: 'execute', slot, values: values() })
  if (random.chance(0.5)) question(author)
}

/** Refused before anything is executed. */
export const prepareFails: Idea = (author) => {
  const { random } = author
  if (random.chance(0.3)) author.sql("SELECT CAST('left' AS SIGNED) FROM t")
  const sql = random.pick([
    'SELECT nosuch FROM t WHERE id = ?',
    'SELEC ?',
    'INSERT INTO nosuch VALUES (?)',
    'INSERT INTO t (id, nosuch) VALUES (?, ?)',
    'CALL nosuch(?)',
    'USE nosuch',
    'SELECT 1; SELECT 2',
    'SET time_zone = ',
    'PREPARE inner_one FROM ?',
    '',
  ])
  author.push({ kind: 'prepare', slot: author.slot(), sql })
  for (let questions = 1 + random.below(2); questions > 0; questions--) question(author)
}

export const executeAgain: Idea = (author) => {
  const { random } = author
  if (author.prepared.length === 0) return clientPrepared(author)
  const { slot, values, takesText } = random.pick(author.prepared)
  if (takesText && random.chance(0.3))
    author.push({ kind: 'long-data', slot, text: 'sent ahead ' }, { kind: 'long-data', slot, text: 'in parts' })
  author.push({ kind: 'execute', slot, values: values(random) })
  if (random.chance(0.2)) author.push({ kind: 'reset-statement', slot })
  if (random.chance(0.2)) author.push({ kind: 'close', slot })
}

export const cursor: Idea = (author) => {
  const { random } = author
  const slot = author.slot()
  author.push(
    { kind: 'prepare', slot, sql: 'SELECT id, v FROM t ORDER BY id' },
    { kind: 'execute', slot, values: [], cursor: true },
  )
  author.push({ kind: 'fetch', slot, rows: 2 })
  if (!author.isOn('unknown-statement')) author.sql('SELECT 1 FROM t LIMIT 1')
  if (random.chance(0.4)) some(author, 1, INSIDE)
  const moves: readonly Move[] = [
    { kind: 'fetch', slot, rows: 100 },
    { kind: 'fetch', slot, rows: 1 },
  ]
  if (random.chance(0.7)) author.push(...moves)
  // Where there was no cursor, or none any more, that was an error of the proxy's own.
  if (!author.isOn('unknown-statement')) author.sql('SELECT 1 FROM t LIMIT 1')
  author.push({ kind: 'close', slot })
}

export const userVariables: Idea = (author) => {
  const { random } = author
  author.sql(
    random.pick([
      "SET @a = 5, @b = 'text'",
      'SELECT @a := 7',
      // Whatever sql_select_limit is: a write that reads what was never set makes it, on its connection, and of another length.
      'SELECT COUNT(*) INTO @a FROM t LIMIT 1',
      'SET @b = @@time_zone, @a = LAST_INSERT_ID()',
    ]),
  )
  author.either('SELECT @a, @b, @nosuch')
  some(author, 2, [...INSIDE, [1, setVariable]])
  author.either(
    random.pick([
      'SELECT @a, @b',
      'SELECT @a + 1, v FROM t ORDER BY id',
      'INSERT INTO t (n) VALUES (@a)',
      author.isOn('get-diagnostics') ? 'GET DIAGNOSTICS @a = NUMBER, @b = ROW_COUNT' : 'SELECT @a',
    ]),
  )
  author.either('SELECT @a, @b')
  startOver(author)
}

export const startOver: Idea = (author) => {
  if (author.random.chance(0.6)) author.push({ kind: 'reset' })
  else author.push({ kind: 'login', schema: author.random.chance(0.8) ? author.schema : null })
  author.forget()
  author.either('SELECT DATABASE(), @@time_zone, @@sql_mode, @@collation_connection, LAST_INSERT_ID(), @a')
  author.sql(`USE ${author.schema}`)
}

/** Variables that only a statement or two use. */
export const once: Idea = (author) => {
  const { random } = author
  author.sql(
    ...random.pick([
      ['SET insert_id = 500', "INSERT INTO t (v) VALUES ('five hundred')", 'SELECT LAST_INSERT_ID()'],
      ['SET last_insert_id = 9', 'SELECT LAST_INSERT_ID()'],
      ['SET rand_seed1 = 5, rand_seed2 = 6', 'SELECT RAND()', 'SELECT RAND()'],
      ['SET timestamp = 1700000000', 'SELECT NOW(), CURDATE()', 'SET timestamp = DEFAULT'],
      ['SELECT LAST_INSERT_ID(77)', 'SELECT 1', 'SELECT LAST_INSERT_ID()'],
      ['DO LAST_INSERT_ID(78)', 'SELECT 1', 'SELECT LAST_INSERT_ID()'],
    ]),
  )
}

export const foundRows: Idea = (author) => {
  author.sql('SELECT SQL_CALC_FOUND_ROWS id FROM t ORDER BY id LIMIT 1', 'SELECT FOUND_ROWS()')
  if (author.isOn('found-rows')) author.sql('SELECT FOUND_ROWS()')
}
