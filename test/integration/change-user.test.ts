// A change of user, granted or not: what is answered, who the client is afterwards and what it is left with, on a server
// and through Sluice.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeEngines, useCluster } from '../support/lab.ts'
import {
  askForKey,
  bytes,
  encrypted,
  LoginClient,
  type LoginScript,
  type Move,
  native,
  proof,
} from '../support/login-script.ts'
import { type RunningSluice, startSluice } from '../support/sluice.ts'

const STATE =
  'SELECT CURRENT_USER(), DATABASE(), @x, @@sql_mode, @@character_set_client, @@character_set_results, @@collation_connection'

type Change = Pick<LoginScript, 'user' | 'schema' | 'collation'> & { readonly password: string }

const good: Change = { user: 'other', password: 'another' }
const wrong: Change = { user: 'other', password: 'no' }
const CASES: Record<string, readonly Change[]> = {
  granted: [good],
  'granted, with schema and collation': [{ ...good, schema: 'two', collation: 8 }],
  'granted again and again': [good, { user: 'pass', password: 'pw', schema: 'one' }, good],
  'with a wrong password': [wrong],
  'with a wrong password, schema and collation': [{ ...wrong, schema: 'two', collation: 8 }],
  'with a wrong password, and then the right one': [wrong, good],
  'with a wrong password, again and again': [wrong, wrong, wrong, wrong, good],
  'to nobody': [{ user: 'nobody', password: 'pw' }],
  'without a password': [{ user: 'other', password: '' }],
  'with a schema that does not exist': [{ ...good, schema: 'nowhere' }, good],
  'with a schema of others': [{ ...good, schema: 'mysql' }, good],
}

describeEngines((engine) => {
  const cluster = useCluster(engine, { readers: 0 })
  let sluice: RunningSluice | null = null

  beforeAll(async () => {
    await cluster().writer.asRoot((root) =>
      root.query(`
        CREATE DATABASE one; CREATE DATABASE two;
        CREATE USER pass IDENTIFIED BY 'pw'; CREATE USER other IDENTIFIED BY 'another';
        GRANT ALL ON one.* TO pass; GRANT ALL ON two.* TO other`),
    )
    sluice = await startSluice({
      seeds: [cluster().writer.address],
      users: '  - { name: pass, password: pw }\n  - { name: other, password: another }',
    })
    // The server shall remember the accounts, as Sluice knows them.
    for (const { user, password } of [good, { user: 'pass', password: 'pw' }]) {
      const client = await LoginClient.arrive(cluster().writer.port, { user, plugin, moves: moves(password) })
      client.end()
    }
  })
  afterAll(() => sluice?.stop())

  const plugin = engine === 'mysql' ? 'caching_sha2_password' : 'mysql_native_password'
  const moves = (password: string): readonly Move[] =>
    engine === 'mysql' ? [proof(password), askForKey, encrypted(password)] : [native(password)]

  async function told(port: number, changes: readonly Change[]): Promise<readonly string[]> {
    const client = await LoginClient.arrive(port, {
      user: 'pass',
      plugin,
      schema: 'one',
      collation: 33,
      moves: moves('pw'),
    })
    await client.ask("SET @x = 1, sql_mode = 'ANSI', character_set_results = latin1")
    await client.ask('CREATE TEMPORARY TABLE mine (a INT)')
    for (const { password, ...change } of changes) {
      // Servers ask again, so the first proof does not matter.
      await client.changeUser({ ...change, plugin, moves: [bytes(), ...moves(password)] })
      if (!(await client.ask(STATE))) break
      await client.ask('SELECT * FROM mine')
    }
    client.end()
    return client.told.filter((line) => !line.startsWith('key'))
  }

  // MySQL casts lots for the scheme that it pretends nobody has.
  const cases = Object.entries(CASES).filter(([name]) => engine === 'mariadb' || name !== 'to nobody')
  test.each(cases)('%s', async (_name, changes) => {
    const direct = await told(cluster().writer.port, changes)
    expect(await told(sluice!.port, changes)).toEqual(direct)
  })
})
