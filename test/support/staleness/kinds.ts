// The kinds of items there are: where an item's version is kept, the statements that bring it there, and those that
// look it up. Between them they are what a proxy must understand of a write to know whom it concerns.

export interface Statement {
  readonly sql: string
  readonly values: readonly number[]
}

export interface Put {
  readonly name: string
  /** Several: one after the other, on one connection. */
  readonly statements: (id: number, version: number) => readonly Statement[]
  /** May be a part of a transaction. */
  readonly joins: boolean
  /** The server takes it as a prepared statement, and so do we. */
  readonly prepares: boolean
  /** MariaDB does it also where it is read-only. */
  readonly escapes?: true
}

export interface Look {
  readonly name: string
  /** A query whose columns are the item, its version, and where: what `WHERE_AM_I` gives, or NULL. */
  readonly statement: (id: number) => Statement
}

export interface Kind {
  readonly name: string
  readonly items: number
  /** Statements that make what is needed, run once, on the writer itself. */
  readonly make: (ids: readonly number[]) => readonly string[]
  readonly puts: readonly Put[]
  readonly looks: readonly Look[]
}

export const SCHEMA = 'stale'
export const OTHER_SCHEMA = 'stale_too'

/** Every server has a row of its own in it, which is no part of what is replicated. */
export const WHERE_AM_I = `(SELECT server FROM ${SCHEMA}.place)`

const put = (name: string, sql: string, values: (id: number, version: number) => readonly number[]): Put => ({
  name,
  statements: (id, version) => [{ sql, values: values(id, version) }],
  joins: true,
  prepares: true,
})

const look = (name: string, sql: string): Look => ({
  name,
  statement: (id) => ({ sql, values: Array.from(sql.match(/\?/g) ?? [], () => id) }),
})

const table = (name: string, ids: readonly number[], more = ''): string[] => [
  `CREATE TABLE ${name} (id INT PRIMARY KEY, v INT NOT NULL${more}) ENGINE = InnoDB`,
  `INSERT INTO ${name} (id, v) VALUES ${ids.map((id) => `(${id}, 0)`).join(', ')}`,
]

const versionThenId = (id: number, version: number) => [version, id]
const idThenVersion = (id: number, version: number) => [id, version]

const byKey = (name: string, where = WHERE_AM_I): Look =>
  look(`${name} by key`, `SELECT id, v, ${where} FROM ${name} WHERE id = ?`)

const PLAIN: Kind = {
  name: 'plain',
  items: 8,
  make: (ids) => [
    ...table('plain', ids),
    'CREATE VIEW plain_seen AS SELECT id, v FROM plain',
    'CREATE VIEW plain_seen_far AS SELECT s.id, s.v FROM plain_seen s JOIN place',
  ],
  puts: [
    put('update', 'UPDATE plain SET v = ? WHERE id = ?', versionThenId),
    put('update by alias', 'UPDATE `plain` AS `p` SET p.v = ? WHERE p.id = ?', versionThenId),
    put('update elsewhere named', `UPDATE ${SCHEMA}.plain SET v = ? WHERE id = ? LIMIT 1`, versionThenId),
    put('upsert', 'INSERT INTO plain (id, v) VALUES (?, ?) ON DUPLICATE KEY UPDATE v = VALUES(v)', idThenVersion),
    put('replace', 'REPLACE plain VALUES (?, ?)', idThenVersion),
    put('replace by select', 'REPLACE INTO plain SELECT ?, ? FROM place', idThenVersion),
    {
      name: 'update under a lock',
      statements: (id, version) => [
        { sql: 'LOCK TABLES plain WRITE', values: [] },
        { sql: 'UPDATE plain SET v = ? WHERE id = ?', values: [version, id] },
        { sql: 'UNLOCK TABLES', values: [] },
      ],
      joins: false,
      prepares: false,
    },
  ],
  looks: [
    byKey('plain'),
    byKey('plain', 'NULL'),
    look('in list', `SELECT id, v, ${WHERE_AM_I} FROM plain WHERE id IN (?, -1) ORDER BY id`),
    look(
      'elsewhere named',
      `SELECT \`p\`.id, p.v, w.server FROM \`${SCHEMA}\`.\`plain\` p, ${SCHEMA}.place w WHERE p.id = ?`,
    ),
    look('join', 'SELECT p.id, p.v, w.server FROM place w JOIN plain AS p ON p.id = ?'),
    look('subquery', `SELECT ?, (SELECT v FROM plain WHERE id = ?), ${WHERE_AM_I}`),
    look(
      'derived',
      `SELECT d.id, d.v, ${WHERE_AM_I} FROM (SELECT id, MAX(v) AS v FROM plain GROUP BY id) d WHERE d.id = ?`,
    ),
    look('common table expression', `WITH c AS (SELECT * FROM plain WHERE id = ?) SELECT id, v, ${WHERE_AM_I} FROM c`),
    byKey('plain_seen'),
    byKey('plain_seen_far'),
  ],
}

/** The same names in another schema. */
const ELSEWHERE: Kind = {
  name: 'elsewhere',
  items: 3,
  make: (ids) => [
    ...table(`${OTHER_SCHEMA}.plain`, ids),
    `CREATE VIEW elsewhere AS SELECT * FROM ${OTHER_SCHEMA}.plain`,
  ],
  puts: [
    put('update elsewhere', `UPDATE ${OTHER_SCHEMA}.plain SET v = ? WHERE id = ?`, versionThenId),
    put('update by a view', 'UPDATE elsewhere SET v = ? WHERE id = ?', versionThenId),
    {
      name: 'update where one is',
      statements: (id, version) => [
        { sql: `USE ${OTHER_SCHEMA}`, values: [] },
        { sql: 'UPDATE plain SET v = ? WHERE id = ?', values: [version, id] },
        { sql: `USE ${SCHEMA}`, values: [] },
      ],
      joins: false,
      prepares: false,
    },
  ],
  looks: [byKey(`${OTHER_SCHEMA}.plain`), byKey('elsewhere')],
}

/** Rows that come and stay: the version is how many there are, or the newest. */
const GROWING: Kind = {
  name: 'growing',
  items: 4,
  make: () => ['CREATE TABLE growing (id INT, v INT, PRIMARY KEY (id, v)) ENGINE = InnoDB'],
  puts: [
    {
      name: 'insert',
      // What was taken back before has left gaps.
      statements: (id, version) => {
        const missing = Array.from({ length: Math.min(version, 12) }, (_, back) => version - back)
        return [
          {
            sql: `INSERT IGNORE INTO growing (id, v) VALUES ${missing.map(() => '(?, ?)').join(', ')}`,
            values: missing.flatMap((each) => [id, each]),
          },
        ]
      },
      joins: true,
      prepares: true,
    },
  ],
  looks: [
    look('newest', `SELECT ?, COALESCE(MAX(v), 0), ${WHERE_AM_I} FROM growing WHERE id = ?`),
    look('last', `SELECT ?, COALESCE((SELECT v FROM growing WHERE id = ? ORDER BY v DESC LIMIT 1), 0), ${WHERE_AM_I}`),
  ],
}

const COUNTED: Kind = {
  name: 'counted',
  items: 2,
  make: () => ['CREATE TABLE counted (id INT, v INT, PRIMARY KEY (id, v)) ENGINE = InnoDB'],
  puts: GROWING.puts.map((each) => ({
    ...each,
    statements: (id, version) =>
      each.statements(id, version).map(({ sql, values }) => ({ sql: sql.replace('growing', 'counted'), values })),
  })),
  looks: [look('count', `SELECT ?, COUNT(*), ${WHERE_AM_I} FROM counted WHERE id = ?`)],
}

const CALLED: Kind = {
  name: 'called',
  items: 5,
  make: (ids) => [
    ...table('called', ids),
    'CREATE PROCEDURE put_called (the_id INT, version INT) UPDATE called SET v = version WHERE id = the_id',
    `CREATE PROCEDURE put_called_in_words (the_id INT, version INT) BEGIN
       SET @staleness = CONCAT('UPDATE called SET v = ', version, ' WHERE id = ', the_id);
       PREPARE words FROM @staleness; EXECUTE words; DEALLOCATE PREPARE words; END`,
    `CREATE PROCEDURE put_called_whole (the_id INT, version INT) BEGIN
       START TRANSACTION; UPDATE called SET v = version WHERE id = the_id; COMMIT; END`,
    `CREATE FUNCTION put_called_by (the_id INT, version INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN
       UPDATE called SET v = version WHERE id = the_id; RETURN version; END`,
  ],
  puts: [
    { ...put('call', 'CALL put_called(?, ?)', idThenVersion), escapes: true },
    { ...put('call of a statement in words', 'CALL put_called_in_words(?, ?)', idThenVersion), escapes: true },
    { ...put('call of a transaction', 'CALL put_called_whole(?, ?)', idThenVersion), joins: false, escapes: true },
    put('select of a function', 'SELECT put_called_by(?, ?)', idThenVersion),
    put('do', 'DO put_called_by(?, ?)', idThenVersion),
    put('assignment', 'SET @staleness = put_called_by(?, ?)', idThenVersion),
  ],
  looks: [byKey('called')],
}

const TRIGGERED: Kind = {
  name: 'triggered',
  items: 4,
  make: (ids) => [
    ...table('triggered', ids),
    ...table('triggered_far', ids),
    'CREATE TABLE trigger_log (id INT, v INT) ENGINE = InnoDB',
    'CREATE TRIGGER t1 AFTER INSERT ON trigger_log FOR EACH ROW UPDATE triggered SET v = NEW.v WHERE id = NEW.id',
    'CREATE TRIGGER t2 AFTER UPDATE ON triggered FOR EACH ROW UPDATE triggered_far SET v = NEW.v WHERE id = NEW.id',
  ],
  puts: [put('insert that triggers', 'INSERT INTO trigger_log (id, v) VALUES (?, ?)', idThenVersion)],
  looks: [byKey('triggered'), byKey('triggered_far')],
}

const CASCADED: Kind = {
  name: 'cascaded',
  items: 4,
  make: (ids) => [
    ...table('cascade_root', ids, ', UNIQUE KEY (id, v)'),
    ...table(
      'cascaded',
      ids,
      ', UNIQUE KEY (id, v), FOREIGN KEY (id, v) REFERENCES cascade_root (id, v) ON UPDATE CASCADE ON DELETE CASCADE',
    ),
    ...table(
      'cascaded_far',
      ids,
      ', FOREIGN KEY (id, v) REFERENCES cascaded (id, v) ON UPDATE CASCADE ON DELETE CASCADE',
    ),
  ],
  puts: [put('update that cascades', 'UPDATE cascade_root SET v = ? WHERE id = ?', versionThenId)],
  looks: [byKey('cascaded'), byKey('cascaded_far'), byKey('cascade_root')],
}

const JOINED: Kind = {
  name: 'joined',
  items: 4,
  make: (ids) => [...table('joined', ids), ...table('joined_too', ids)],
  puts: [
    put(
      'update of two',
      'UPDATE joined AS a JOIN joined_too AS b USING (id) SET a.v = ?, b.v = ? WHERE a.id = ?',
      (id, version) => [version, version, id],
    ),
    put(
      'update of two, listed',
      'UPDATE joined_too, joined SET joined.v = ?, joined_too.v = ? WHERE joined.id = ? AND joined_too.id = ?',
      (id, version) => [version, version, id, id],
    ),
  ],
  looks: [
    byKey('joined'),
    byKey('joined_too'),
    look(
      'both',
      `SELECT a.id, LEAST(a.v, b.v), ${WHERE_AM_I} FROM joined a JOIN joined_too b USING (id) WHERE a.id = ?`,
    ),
  ],
}

const VIEWED: Kind = {
  name: 'viewed',
  items: 4,
  make: (ids) => [
    ...table('viewed_base', ids),
    'CREATE VIEW viewed AS SELECT id, v FROM viewed_base',
    'CREATE VIEW viewed_far AS SELECT id AS i, v AS version FROM viewed WHERE id >= 0',
    'CREATE VIEW viewed_too AS SELECT id, MAX(v) AS v FROM viewed_base GROUP BY id',
  ],
  puts: [
    put('update of a view', 'UPDATE viewed SET v = ? WHERE id = ?', versionThenId),
    put('update of a view of a view', 'UPDATE viewed_far SET version = ? WHERE i = ?', versionThenId),
    put('update behind a view', 'UPDATE viewed_base SET v = ? WHERE id = ?', versionThenId),
  ],
  looks: [byKey('viewed_base'), byKey('viewed'), byKey('viewed_too')],
}

const DEFINED: Kind = {
  name: 'defined',
  items: 2,
  make: (ids) => ids.map((id) => `CREATE VIEW defined_${id} AS SELECT ${id} AS id, 0 AS v`),
  puts: [
    {
      name: 'definition of a view',
      statements: (id, version) => [
        { sql: `CREATE OR REPLACE VIEW defined_${id} AS SELECT ${id} AS id, ${version} AS v`, values: [] },
      ],
      joins: false,
      prepares: false,
    },
  ],
  looks: [
    {
      name: 'view',
      statement: (id) => ({ sql: `SELECT id, v, ${WHERE_AM_I} FROM defined_${id}`, values: [] }),
    },
  ],
}

const ALTERED: Kind = {
  name: 'altered',
  items: 2,
  make: (ids) =>
    ids.flatMap((id) => [
      `CREATE TABLE altered_${id} (v INT NOT NULL DEFAULT 0)`,
      `INSERT INTO altered_${id} VALUES (0)`,
    ]),
  puts: [
    {
      name: 'alter table',
      statements: (id, version) => [
        { sql: `ALTER TABLE altered_${id} ALTER COLUMN v SET DEFAULT ${version}`, values: [] },
      ],
      joins: false,
      prepares: false,
    },
  ],
  looks: [
    {
      name: 'default',
      statement: (id) => ({ sql: `SELECT ${id}, DEFAULT(v), ${WHERE_AM_I} FROM altered_${id}`, values: [] }),
    },
  ],
}

export const KINDS: readonly Kind[] = [
  PLAIN,
  ELSEWHERE,
  GROWING,
  COUNTED,
  CALLED,
  TRIGGERED,
  CASCADED,
  JOINED,
  VIEWED,
  DEFINED,
  ALTERED,
]

export interface Item {
  readonly id: number
  readonly kind: Kind
}

export const ITEMS: readonly Item[] = KINDS.flatMap((kind) => Array.from({ length: kind.items }, () => kind)).map(
  (kind, id) => ({ id, kind }),
)

/** What the writer is asked to set the stage; the place is each server's own business. */
export function furnishing(): string[] {
  return [
    ...[SCHEMA, OTHER_SCHEMA].map((schema) => `DROP DATABASE IF EXISTS ${schema}`),
    ...[SCHEMA, OTHER_SCHEMA].map((schema) => `CREATE DATABASE ${schema}`),
    `USE ${SCHEMA}`,
    'CREATE TABLE place (server VARCHAR(64)) ENGINE = InnoDB',
    ...KINDS.flatMap((kind) => kind.make(ITEMS.filter((item) => item.kind === kind).map(({ id }) => id))),
  ]
}
