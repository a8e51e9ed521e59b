// Routines that sessions call, for what a caller sees of them: several results, parameters that come out, failures amid
// what was done, and what is left open.

import type { Author } from './author.ts'
import { change, type Idea, insert, question, read } from './plain-ideas.ts'

/** What `furniture` makes of them in every schema. */
export const ROUTINES: readonly string[] = [
  `CREATE PROCEDURE adds(IN word VARCHAR(20)) SQL SECURITY INVOKER BEGIN
    INSERT INTO t (v) VALUES (word); SELECT LAST_INSERT_ID(), COUNT(*) FROM t;
    INSERT INTO noted (what) VALUES (word); UPDATE t SET n = 1 WHERE v = word; END`,
  `CREATE PROCEDURE adds_and_fails() SQL SECURITY INVOKER BEGIN
    INSERT INTO t (v) VALUES ('added'); SELECT COUNT(*) FROM t; INSERT INTO t (id) SELECT MIN(id) FROM t; SELECT 9; END`,
  `CREATE PROCEDURE tells(IN a INT, OUT b INT, INOUT c VARCHAR(20)) SQL SECURITY INVOKER BEGIN
    SELECT COUNT(*) + a INTO b FROM t; SET c = CONCAT(c, a); END`,
  `CREATE PROCEDURE heals() SQL SECURITY INVOKER BEGIN
    DECLARE CONTINUE HANDLER FOR SQLEXCEPTION SELECT 'healed' AS what;
    INSERT INTO t (id) SELECT MIN(id) FROM t; SELECT COUNT(*) FROM t; END`,
  `CREATE PROCEDURE begins() SQL SECURITY INVOKER BEGIN START TRANSACTION; INSERT INTO t (n) VALUES (6); END`,
  `CREATE PROCEDURE makes() SQL SECURITY INVOKER BEGIN
    CREATE TEMPORARY TABLE made (id INT); INSERT INTO made SELECT id FROM t; SELECT COUNT(*) FROM made; END`,
  `CREATE FUNCTION adds_one(word VARCHAR(20)) RETURNS INT NOT DETERMINISTIC MODIFIES SQL DATA SQL SECURITY INVOKER BEGIN
    INSERT INTO noted (what) VALUES (word); RETURN LAST_INSERT_ID(); END`,
]

const QUIET = 'SELECT 1 FROM t LIMIT 1'

export const calls: Idea = (author) => {
  const { random } = author
  // None too long for the parameter: MariaDB says in which row, and means the one of the statement before on its connection.
  const word = random.pick(["'w'", "'a'", 'NULL'])
  author.either(
    random.pick([
      `CALL adds(${word})`,
      `CALL adds(${word})`,
      'CALL adds_and_fails()',
      'CALL heals()',
      `SELECT adds_one(${word}) AS made, LAST_INSERT_ID() FROM t ORDER BY id LIMIT 2`,
      `INSERT INTO t (n) VALUES (adds_one(${word}))`,
      `UPDATE t SET n = adds_one(${word}) WHERE id < ${author.firstId + 2}`,
      'CALL adds()',
      "CALL tells(1, 'no variable', NULL)",
    ]),
  )
  for (let questions = random.below(3); questions > 0; questions--) question(author)
}

/** What comes out of a prepared CALL is a result of its own. */
export const comesOut: Idea = (author) => {
  const { random } = author
  const values = () => [random.below(9), null, random.pick(['c', 'é', null])]
  const slot = author.prepare('CALL tells(?, ?, ?)', values)
  author.push({ kind: 'execute', slot, values: values() })
  author.sql(QUIET)
}

/** A routine leaves open what its caller's text says nothing of. */
export const leavesOpen: Idea = (author) => {
  const { random } = author
  if (random.chance(0.6)) {
    author.sql('CALL begins()', QUIET)
    some(author)
    author.sql(random.pick(['COMMIT', 'ROLLBACK', 'BEGIN', 'SET autocommit = 1']), 'ROLLBACK')
  } else {
    author.sql('CALL makes()')
    some(author)
    author.sql('SELECT COUNT(*) FROM made', 'CALL makes()', 'DROP TEMPORARY TABLE made')
    author.push({ kind: 'reset' })
    author.forget()
    author.sql(`USE ${author.schema}`, 'SELECT * FROM made')
  }
}

function some(author: Author): void {
  for (let count = 1 + author.random.below(2); count > 0; count--) {
    author.random.pick([insert, change, read, question])(author)
  }
}
