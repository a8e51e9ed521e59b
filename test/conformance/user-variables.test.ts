// User variables follow their session over connections that others use in between: the same bytes as on one connection,
// for every kind of value, and nobody ever sees another's.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { EngineName } from '../../src/lab/index.ts'
import {
  buildCommand,
  buildQuery,
  CAPABILITY,
  COMMAND,
  parseError,
  parseTextRow,
} from '../../src/protocol/mysql/messages.ts'
import { CLIENTS, execute, expectSame, prepare, query, resetConnection, type Step } from '../support/differential.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'
import { WireClient } from '../support/wire-client.ts'

const q = query
const SCHEMA = 'conformance_variables'
const [, CLIENT] = CLIENTS[0]!

/** What a variable is asked for: all that could show that it is not what it was. */
const PROBES: readonly Step[] = [
  q('SELECT @a'),
  q('SELECT @a + 0, -@a, @a * 1.1, @a / 3, @a % 3'),
  q('SELECT CONCAT(@a), COLLATION(CONCAT(@a)), COLLATION(@a), COERCIBILITY(@a), HEX(@a), LENGTH(@a)'),
  q("SELECT @a = 'ABC', @a = '5', @a = 5, @a IS NULL, @a <=> NULL"),
  q("SELECT @a = _latin1'x' COLLATE latin1_bin"),
  q("SELECT IFNULL(@a, 'x'), COALESCE(@a, 5), CASE WHEN 1 THEN @a ELSE 1.5 END, LEAST(@a, 5)"),
  q('SELECT CAST(@a AS SIGNED), CAST(@a AS CHAR), CAST(@a AS DECIMAL(20, 5)), @a | 0'),
  q('SELECT SUM(@a), MAX(@a), COUNT(@a)'),
  q('SELECT @a UNION SELECT 1'),
  prepare('SELECT @a, @a + 1'),
  execute(0),
  q('SET @b = @a'),
  q('SELECT @b, CONCAT(@b)'),
  q('SET @a = NULL'),
  q('SELECT @a, COLLATION(@a), CONCAT(@a)'),
]

const VALUES: readonly string[] = [
  ...['5', '-5', '18446744073709551615', '-9223372036854775808', 'TRUE', '1.50', '-0.00', '1.10 + 2.205', '1/3'],
  '99999999999999999999999999999999999.999999999999999999999999999999',
  ...['1e0/3', '-0e0', '1e20', '-2.2250738585072014e-308', '5e-324', '0.1e0', 'PI()'],
  ...["'abc'", "''", "'5'", "'é€😀'", "_latin1 x'e9'", "x'00ff41'", "b'101'", '0x41 + 0', "'a\\\\b''c'", "'1e5'"],
  ...["CAST('2020-01-02' AS DATE)", "TIME'10:11:12.5'", "JSON_OBJECT('a', 1)", "UNHEX('')"],
  ...["'abc' COLLATE utf8mb4_bin", "_latin1'abc' COLLATE latin1_german1_ci", "_ucs2 x'00410042'", 'CURRENT_USER()'],
  ...['NULL', 'CAST(NULL AS SIGNED)', 'CAST(NULL AS UNSIGNED)', 'CAST(NULL AS DECIMAL(10, 3))', 'CAST(NULL AS CHAR)'],
  ...["NULLIF('a' COLLATE utf8mb4_bin, 'a')", 'NULLIF(1e0, 1e0)', '@never_set', '@@sql_mode', '@@max_connections'],
]

/** States that more than one statement makes. */
const HISTORIES: readonly (readonly string[])[] = [
  ['SET @a = 5', 'SET @a = NULL'],
  ['SET @a = 18446744073709551615', 'SET @a = 1e0'],
  ["SET @a = 'x' COLLATE utf8mb4_bin", 'SET @a = NULL'],
  ["SET @a = 'x' COLLATE utf8mb4_bin", 'SET @a = CAST(NULL AS SIGNED)'],
  ['SET NAMES latin1', 'SET @a = 5', 'SET NAMES utf8mb4'],
  ['SET NAMES binary', 'SET @a = 5.5', 'SET NAMES utf8mb4'],
  ['SET collation_connection = ucs2_general_ci', 'SET @a = 5.5e0', 'SET NAMES utf8mb4'],
  ['SET sql_select_limit = 0', 'SET @a = 5', 'SET sql_select_limit = DEFAULT'],
  ["SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", 'SET @"a" = \'x\\\''],
  ['SELECT @a := 5'],
  ["SELECT @a := 'x', @b := 2"],
  ["SELECT 5, 'x' INTO @b, @a"],
  ['SELECT id FROM t WHERE id = 1 INTO @a'],
  ['SELECT id FROM t WHERE id = 99 INTO @a'],
  ['SELECT COUNT(*), SUM(n) FROM t INTO @b, @a'],
  ['SET @a = 1', 'SELECT nosuch FROM t INTO @a'],
  ['SELECT nosuch FROM t INTO @a'],
  ['SET @A = 1', 'SET @`a` = @a + 1', "SET @'a' = @A + 1"],
  ['SET @a = 1, @b = @a'],
  ['SET @a = 1', "SET @`strange ``name`` of 1` = 'x', @a = @`strange ``name`` of 1`"],
  ['INSERT INTO t (n) VALUES (@a := 7)'],
  ['UPDATE t SET n = (@a := n + 1) ORDER BY id'],
  ['DO @a := 3'],
  ['GET DIAGNOSTICS @a = NUMBER'],
  ["PREPARE s FROM 'SELECT @a := ?'", 'SET @b = 4', 'EXECUTE s USING @b', 'DEALLOCATE PREPARE s'],
  ['CALL out_of(@a)'],
  ['SET @a = 1', 'CALL out_of(@b)', 'SET @a = @b + @a'],
]

/** The neighbour's variables have the same names, and other values. */
const MEDDLING = [
  "SET @a = 'neighbour', @b = 4.5e0, @never_set = 1",
  '/* sluice:reader */ SELECT @a, @b',
  "SET @@sql_mode = '', @rn = 77, @n = 'neighbour'",
  '/* sluice:reader */ SELECT @a, @b FROM information_schema.tables LIMIT 1',
]

class Meddler {
  readonly #client: WireClient
  #turn = 0

  constructor(client: WireClient) {
    this.#client = client
  }

  async meddle(): Promise<void> {
    const attributes = (this.#client.login.capabilities & CAPABILITY.QUERY_ATTRIBUTES) !== 0
    for (let count = 0; count < 2; count++) {
      const sql = MEDDLING[this.#turn++ % MEDDLING.length]!
      await this.#client.ask(buildQuery(sql, attributes), 'query')
    }
  }

  end(): void {
    this.#client.end()
  }
}

/** Asks, and gives the first row; null is a reset. */
type Asking = (sql: string | null) => Promise<(string | null)[]>

function asking(client: WireClient): Asking {
  const attributes = (client.login.capabilities & CAPABILITY.QUERY_ATTRIBUTES) !== 0
  return async (sql) => {
    const payload = sql === null ? buildCommand(COMMAND.RESET_CONNECTION) : buildQuery(sql, attributes)
    const [first, ...rest] = await client.ask(payload, sql === null ? 'single' : 'query')
    if (first!.payload[0] === 0xff) throw new Error(parseError(first!.payload).message.toString())
    const columns = first!.payload[0]!
    if (columns === 0) return []
    return parseTextRow(rest[columns]!.payload, columns).map((value) => value?.toString() ?? null)
  }
}

describeEngines((engine: EngineName) => {
  const cluster = clusterOf(engine)
  let sluice: RunningSluice
  let meddler: Meddler

  beforeAll(async () => {
    const { writer } = cluster
    await writer.ask(`DROP DATABASE IF EXISTS ${SCHEMA}`)
    await writer.ask(`CREATE DATABASE ${SCHEMA}`)
    await writer.ask(`CREATE PROCEDURE ${SCHEMA}.out_of(OUT x INT) SET x = 12`)
    await writer.ask(`CREATE PROCEDURE ${SCHEMA}.hides() SELECT 7 INTO @hidden`)
    sluice = await startSluice({ seeds: cluster.seeds, cluster: '    pool: { connectionsMax: 1, waitMsMax: 5000 }' })
  })
  afterAll(async () => {
    await sluice.stop()
    await cluster.writer.ask(`DROP DATABASE ${SCHEMA}`)
  })
  beforeEach(async () => {
    meddler = new Meddler(await WireClient.connect({ ...CLIENT, port: sluice.port }))
  })
  afterEach(() => meddler.end())

  async function expectMoved(steps: readonly Step[], writes = false): Promise<void> {
    const { writer } = cluster
    const opening = [q('SET NAMES utf8mb4'), q(`USE ${SCHEMA}`)]
    if (writes) {
      opening.push(q('DROP TABLE IF EXISTS t'), q('CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, n INT)'))
      opening.push(q('INSERT INTO t (n) VALUES (1), (2), (30)'))
    }
    let pinned: string[] = []
    await expectSame(steps, {
      ...CLIENT,
      opening,
      direct: { port: writer.port },
      sluice: {
        port: sluice.port,
        meanwhile: async () => {
          const pins = sluice.proxy.snapshots.sessions().flatMap((session) => session.pins)
          pinned = [...pinned, ...pins.map(({ reason }) => reason)]
          if (pins.length === 0) await meddler.meddle()
        },
      },
      settle: () => (writes ? cluster.settle() : Promise.resolve()),
    })
    // What is prepared in SQL, and diagnostics that are asked for in SQL, keep their connection; variables do not.
    expect(pinned.filter((reason) => reason !== 'sql-prepared' && reason !== 'diagnostics')).toEqual([])
  }

  describe('keeps its type, character set and value between connections', () => {
    test.each(VALUES)('%s', async (value) => {
      await expectMoved([q(`SET @a = ${value}`), ...PROBES])
    })

    test.each(HISTORIES.map((steps) => [steps.join('; '), steps] as const))('%s', async (_name, steps) => {
      await expectMoved([...steps.map(q), ...PROBES], true)
    })
  })

  test('variables never set are still not set after others were', async () => {
    await expectMoved([q('SELECT @never_set'), q('SET @a = 1'), q('SELECT @never_set, @a, @b'), q('SELECT @rn')])
  })

  test('a reset forgets them on every connection', async () => {
    await expectMoved([
      ...['SET @a = 1, @b = 2', 'SELECT @a', 'SELECT @a FROM DUAL', 'SELECT @a + @b'].map(q),
      resetConnection,
      ...['SELECT @a, @b', 'SET @b = 3', 'SELECT @a, @b'].map(q),
    ])
  })

  test('prepared statements read and assign them', async () => {
    await expectMoved([
      prepare('SET @a = ?'),
      execute(0, ['text']),
      prepare('SELECT @a, ?'),
      execute(1, ['x']),
      execute(0, ['other']),
      execute(1, ['y']),
      prepare('SELECT ? INTO @b'),
      execute(2, [7]),
      q('SELECT @a, @b'),
    ])
  })

  test('rows are numbered with them, and dumps restore with them', async () => {
    await expectMoved(
      [
        ...['SET @rn = 0', 'SELECT @rn := @rn + 1 AS rn, id FROM t ORDER BY id', 'SELECT @rn'].map(q),
        q('SELECT @rn := @rn + 1 AS rn, t.id FROM t, (SELECT @rn := 0) AS r ORDER BY t.id'),
        q("/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */"),
        q('/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */'),
        q('/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */'),
        q("/*!40103 SET TIME_ZONE='+00:00' */"),
        q('/*!40101 SET @saved_cs_client = @@character_set_client */'),
        q('/*!50503 SET character_set_client = utf8mb4 */'),
        q('INSERT INTO t (id, n) VALUES (0, 1)'),
        q('/*!40101 SET character_set_client = @saved_cs_client */'),
        q('/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */'),
        q('/*!40101 SET SQL_MODE=@OLD_SQL_MODE */'),
        q('/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */'),
        q('SELECT @@sql_mode, @@foreign_key_checks, @@time_zone, @OLD_SQL_MODE'),
        q('SELECT * FROM t ORDER BY id'),
      ],
      true,
    )
  })

  /** Two sessions that have one connection to each server between them. */
  async function withTwo(story: (ann: Asking, ben: Asking) => Promise<void>): Promise<void> {
    const clients = [
      await WireClient.connect({ ...CLIENT, port: sluice.port, schema: SCHEMA }),
      await WireClient.connect({ ...CLIENT, port: sluice.port, schema: SCHEMA }),
    ] as const
    try {
      await story(asking(clients[0]), asking(clients[1]))
    } finally {
      for (const client of clients) client.end()
    }
  }

  test('two sessions on one connection see their own, and never the other one’s', async () => {
    await withTwo(async (ann, ben) => {
      for (let round = 0; round < 5; round++) {
        await ann(`SET @a = ${round}, @only_ann = 1`)
        expect(await ben('SELECT @a, @only_ann')).toEqual(round === 0 ? [null, null] : [`ben ${round - 1}`, null])
        await ben(`SET @a = 'ben ${round}'`)
        expect(await ann('SELECT @a, @only_ann FROM DUAL')).toEqual([String(round), '1'])
      }
    })
  })

  test('nobody sees what a routine has set for another session', async () => {
    await withTwo(async (ann, ben) => {
      await ann('CALL hides()')
      expect(await ben('/* sluice:writer */ SELECT @hidden')).toEqual([null])
    })
  })

  test('more than may be remembered keeps its connection until a reset, and its values', async () => {
    await withTwo(async (ann, ben) => {
      await ann("SET @a = REPEAT('x', 70000)")
      const waiting = ben("SELECT @a := 'ben'").catch((error: Error) => [error.message])
      expect(await ann('/* sluice:writer */ SELECT LENGTH(@a)')).toEqual(['70000'])
      expect(await ann('SELECT LENGTH(@a)')).toEqual(['70000'])
      const pins = sluice.proxy.snapshots.sessions().flatMap((session) => session.pins)
      expect(pins).toMatchObject([{ reason: 'user-variable' }])
      await ann(null)
      expect(await waiting).toEqual(['ben'])
      expect(await ann('SELECT @a')).toEqual([null])
    })
  })

  test('transactions see and keep them', async () => {
    await expectMoved(
      [
        q('SET @a = 5'),
        q('SELECT @a FROM t'),
        q('INSERT INTO t (n) VALUES (@a)'),
        q('SELECT n, @a FROM t ORDER BY id'),
      ],
      true,
    )
  })
})
