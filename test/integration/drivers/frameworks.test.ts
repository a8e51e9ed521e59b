// What frameworks send before their first query: it must run, and leave the session free to go to any server.

import { createConnection, type RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { EngineName } from '../../../src/lab/index.ts'
import { clusterOf, describeEngines } from '../../support/lab.ts'
import { type RunningSluice, startSluice } from '../../support/sluice.ts'

interface Startup {
  readonly framework: string
  readonly statements: readonly string[]
}

const TABLES = `
  CREATE TABLE users (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40), org INT);
  CREATE TABLE schema_migrations (version VARCHAR(40) PRIMARY KEY);
  CREATE TABLE ar_internal_metadata (\`key\` VARCHAR(40) PRIMARY KEY, value VARCHAR(40));
  CREATE TABLE django_migrations (id INT PRIMARY KEY, app VARCHAR(40), name VARCHAR(40), applied DATETIME);
  CREATE TABLE migrations (id INT PRIMARY KEY, migration VARCHAR(40), batch INT);
  CREATE TABLE jobs (id INT PRIMARY KEY, queue VARCHAR(40), reserved_at INT, available_at INT);
  CREATE TABLE hibernate_sequence (next_val BIGINT);
  INSERT INTO hibernate_sequence VALUES (1);
  CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY, migration_name VARCHAR(40), started_at DATETIME);
  CREATE TABLE wp_options (option_id INT PRIMARY KEY, option_name VARCHAR(40), option_value TEXT, autoload VARCHAR(20));
  CREATE TABLE wp_posts (ID INT PRIMARY KEY, post_date DATETIME)`

/** What Connector/J asks for by name differs between the servers. */
const isolation = (engine: EngineName) => (engine === 'mysql' ? '@@transaction_isolation' : '@@tx_isolation')
const readOnly = (engine: EngineName) =>
  engine === 'mysql' ? '@@session.transaction_read_only' : '@@session.tx_read_only'

const startups = (engine: EngineName, schema: string): readonly Startup[] => [
  {
    framework: 'Rails',
    statements: [
      "SET  @@SESSION.sql_mode = CONCAT(CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), ',NO_AUTO_VALUE_ON_ZERO'),  @@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483",
      'SET NAMES utf8mb4',
      'SELECT VERSION()',
      "SHOW VARIABLES LIKE 'collation_database'",
      "SELECT GET_LOCK('5430214538371212345', 0)",
      `SELECT table_name FROM (SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = database()) _subquery WHERE _subquery.table_name = 'schema_migrations' AND _subquery.table_type = 'BASE TABLE'`,
      'SELECT `schema_migrations`.`version` FROM `schema_migrations` ORDER BY `schema_migrations`.`version` ASC',
      'SHOW FULL FIELDS FROM `users`',
      'SHOW KEYS FROM `users`',
      'SHOW CREATE TABLE `users`',
      "SELECT `ar_internal_metadata`.* FROM `ar_internal_metadata` WHERE `ar_internal_metadata`.`key` = 'environment' ORDER BY `ar_internal_metadata`.`key` ASC LIMIT 1",
      'BEGIN',
      'SAVEPOINT active_record_1',
      "INSERT INTO `users` (`name`) VALUES ('rails')",
      'RELEASE SAVEPOINT active_record_1',
      'COMMIT',
      "SELECT RELEASE_LOCK('5430214538371212345')",
      'SELECT 1',
    ],
  },
  {
    framework: 'Django',
    statements: [
      'SET SQL_AUTO_IS_NULL = 0',
      'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET AUTOCOMMIT = 0',
      'SET AUTOCOMMIT = 1',
      "SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL",
      'SHOW FULL TABLES',
      "SELECT engine FROM information_schema.tables WHERE table_name = 'users' AND table_schema = DATABASE()",
      'SELECT `django_migrations`.`id`, `django_migrations`.`app`, `django_migrations`.`name`, `django_migrations`.`applied` FROM `django_migrations`',
      'SET AUTOCOMMIT = 0',
      'SELECT `users`.`id` FROM `users` ORDER BY `users`.`id` ASC LIMIT 1',
      'COMMIT',
      'SET AUTOCOMMIT = 1',
      'SET foreign_key_checks=0',
      'SET foreign_key_checks=1',
    ],
  },
  {
    framework: 'Laravel',
    statements: [
      `use \`${schema}\`;`,
      'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;',
      "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci', SESSION sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';",
      "set names 'utf8mb4' collate 'utf8mb4_unicode_ci'",
      "set time_zone='+00:00'",
      'select version()',
      `select exists (select 1 from information_schema.tables where table_schema = '${schema}' and table_name = 'migrations' and table_type in ('BASE TABLE', 'SYSTEM VERSIONED')) as \`exists\``,
      'select `migration` from `migrations` order by `batch` asc, `migration` asc',
      'START TRANSACTION',
      "select * from `jobs` where `queue` = 'default' and ((`reserved_at` is null and `available_at` <= 1)) order by `id` asc limit 1 FOR UPDATE SKIP LOCKED",
      'COMMIT',
    ],
  },
  {
    framework: 'Hibernate with Connector/J',
    statements: [
      `/* mysql-connector-j-9.1.0 (Revision: x) */SELECT  @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, @@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, ${isolation(engine)} AS transaction_isolation, @@wait_timeout AS wait_timeout`,
      'SET character_set_results = NULL',
      "SET sql_mode='STRICT_TRANS_TABLES'",
      'SET autocommit=1',
      `SELECT ${readOnly(engine)}`,
      'set session transaction read only',
      'select u1_0.id,u1_0.name from users u1_0 where u1_0.id=1',
      'set session transaction read write',
      'SET autocommit=0',
      'select next_val as id_val from hibernate_sequence for update',
      'update hibernate_sequence set next_val= 2 where next_val=1',
      'commit',
      'SET autocommit=1',
      'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ',
      '/* ping */ SELECT 1',
      'SHOW WARNINGS',
      // The driver reads texts as they are stored from now on; ours wants names in its own set again.
      'SET character_set_results = utf8mb4',
    ],
  },
  {
    framework: 'Prisma',
    statements: [
      'SELECT @@socket',
      'SELECT VERSION()',
      'SELECT @@GLOBAL.version, @@lower_case_table_names',
      "SELECT GET_LOCK('prisma_migrate', 10)",
      `SELECT DISTINCT BINARY table_info.table_name AS table_name FROM information_schema.tables AS table_info WHERE table_info.table_schema = '${schema}' AND table_info.table_type = 'BASE TABLE'`,
      'SELECT `id`, `migration_name` FROM `_prisma_migrations` ORDER BY `started_at` ASC',
      "SELECT RELEASE_LOCK('prisma_migrate')",
      'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
      'BEGIN',
      `SELECT \`${schema}\`.\`users\`.\`id\` FROM \`${schema}\`.\`users\` WHERE 1=1 LIMIT 1 OFFSET 0`,
      'COMMIT',
    ],
  },
  {
    framework: 'Sequelize',
    statements: [
      "SET time_zone = '+00:00'",
      'SELECT VERSION() as `version`',
      'SELECT 1+1 AS result',
      `SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_NAME = 'users' AND TABLE_SCHEMA = '${schema}'`,
      'CREATE TABLE IF NOT EXISTS `Tags` (`id` INTEGER NOT NULL auto_increment, `name` VARCHAR(255), PRIMARY KEY (`id`)) ENGINE=InnoDB;',
      `SHOW INDEX FROM \`users\` FROM \`${schema}\``,
      'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;',
      'START TRANSACTION;',
      "INSERT INTO `users` (`id`,`name`) VALUES (DEFAULT,'sequelize');",
      'COMMIT;',
      'SET FOREIGN_KEY_CHECKS = 0',
      'DROP TABLE IF EXISTS `Tags`;',
      'SET FOREIGN_KEY_CHECKS = 1',
    ],
  },
  {
    framework: 'WordPress',
    statements: [
      'SET NAMES utf8mb4',
      "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_520_ci'",
      'SELECT @@SESSION.sql_mode',
      "SET SESSION sql_mode='NO_ENGINE_SUBSTITUTION'",
      `USE ${schema}`,
      "SELECT option_name, option_value FROM wp_options WHERE autoload IN ( 'yes', 'on', 'auto-on', 'auto' )",
      "SHOW TABLES LIKE 'wp\\_users'",
      'SHOW FULL COLUMNS FROM `wp_options`',
      'SELECT SQL_CALC_FOUND_ROWS  wp_posts.ID FROM wp_posts  WHERE 1=1  ORDER BY wp_posts.post_date DESC LIMIT 0, 10',
      'SELECT FOUND_ROWS()',
      "INSERT INTO `wp_options` VALUES (1, 'cron', '', 'yes') ON DUPLICATE KEY UPDATE `option_name` = VALUES(`option_name`)",
    ],
  },
]

/** What applications do all day, whatever they are built with: requests of a few statements each. */
const TRAFFIC: readonly string[] = [
  'SELECT * FROM users WHERE id = 1',
  'SELECT COUNT(*) FROM users WHERE org IN (1, 2, 3)',
  "INSERT INTO users (name, org) VALUES ('somebody', 1)",
  'SELECT LAST_INSERT_ID()',
  'BEGIN',
  "UPDATE users SET name = 'nobody' WHERE org = 2",
  'SELECT org FROM users WHERE id = 1 FOR UPDATE',
  'COMMIT',
  'SELECT u.id, v.name FROM users u JOIN users v ON v.id = u.id LIMIT 5',
]
const ROUNDS = 200

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `frameworks_${engine}`
  let sluice: RunningSluice

  beforeAll(async () => {
    await cluster.writer.asRoot(async (root) => {
      await root.query(`DROP DATABASE IF EXISTS ${schema}; CREATE DATABASE ${schema}; USE ${schema}`)
      await root.query(TABLES)
    })
    await cluster.settle()
    sluice = await startSluice({ seeds: cluster.seeds })
  })
  afterAll(async () => {
    await sluice.stop()
    await cluster.ignoreStatements()
    await cluster.writer.ask(`DROP DATABASE IF EXISTS ${schema}`)
  })

  const cases = startups(engine, schema).map(({ framework, statements }) => [framework, statements] as const)

  test.each(cases)('%s starts, and is then free to read from readers', async (_framework, statements) => {
    const login = { host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw', database: schema }
    const client = await createConnection({ ...login, multipleStatements: true })
    try {
      for (const sql of statements) {
        await client.query(sql).catch((error: Error) => expect.unreachable(`${sql}: ${error.message}`))
      }
      const [rows] = await client.query<RowDataPacket[]>('SLUICE SHOW SESSION')
      const pins = rows.map(({ name }) => String(name)).filter((name) => name.startsWith('pin '))
      expect(pins).toEqual([])

      await cluster.settle()
      await cluster.watchStatements()
      for (let turn = 0; turn < 3; turn++) await client.query('SELECT COUNT(*) AS afterwards FROM users')
      const onWriter = await cluster.writer.statementsSeen()
      const onReaders = (await Promise.all(cluster.readers.map((reader) => reader.statementsSeen()))).flat()
      expect(onWriter.filter(({ text }) => text.includes('AS afterwards'))).toEqual([])
      expect(onReaders.filter(({ text }) => text.includes('AS afterwards'))).toHaveLength(3)
    } finally {
      await client.end()
    }
  })
  test.each(cases)(
    'of %s, less than one statement in a hundred is pinned outside of a transaction',
    async (...given) => {
      const [, statements] = given
      const login = { host: '127.0.0.1', port: sluice.port, user: 'app', password: 'app_pw', database: schema }
      const client = await createConnection({ ...login, multipleStatements: true })
      const pinned: Record<string, number> = {}
      let count = 0
      try {
        const all = [...statements, ...Array.from({ length: ROUNDS }, () => TRAFFIC).flat()]
        for (const sql of all) {
          await client.query(sql)
          count += 1
          const reasons = sluice.proxy.snapshots.sessions().flatMap(({ pins }) => pins.map(({ reason }) => reason))
          for (const reason of reasons) if (reason !== 'transaction') pinned[reason] = (pinned[reason] ?? 0) + 1
        }
      } finally {
        await client.end()
      }
      const total = Object.values(pinned).reduce((sum, one) => sum + one, 0)
      expect(total / count, JSON.stringify(pinned)).toBeLessThan(0.01)
    },
  )
})
