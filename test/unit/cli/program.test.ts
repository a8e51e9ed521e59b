// Promises of the command line: what is answered, where, and with which exit code.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { run } from '../../../src/cli/program.ts'
import { recorded } from './output.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))

const GOOD = `listeners:
  - { name: app, bind: 127.0.0.1:6033 }
  - { name: report, bind: 127.0.0.1:6034, route: analytics }
clusters:
  main:
    topology: { seeds: [db1, db2] }
    monitor: { user: monitor, password: monitor_pw }
    endpoints: { analytics: { members: [db2] } }
    safeFunctions: [price_of]
users:
  - { name: app, password: app_pw }
  - { name: ops, password: ops_pw, route: writer }
`

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

const good = file('good.yaml', GOOD)

describe('sluice', () => {
  test.each(['start', 'check', 'explain', 'demo', 'drill'])('--help tells of %s', async (command) => {
    const output = recorded()
    expect(await run(['--help'], '1.2.3', output)).toBe(0)
    expect(output.printed.join('\n')).toContain(`  ${command}`)
    expect(output.errors).toEqual([])
  })

  test('--version is the version and nothing else', async () => {
    const output = recorded()
    expect(await run(['--version'], '1.2.3', output)).toBe(0)
    expect(output.printed).toEqual(['1.2.3'])
  })

  test.each<[args: string[], hint: string]>([
    [['strat'], 'Did you mean start?'],
    [['check', '--confg', 'x'], 'Did you mean --config?'],
    [['explain'], "missing required argument 'sql'"],
    [['check', '--config'], 'argument missing'],
    [['demo', '--engine', 'oracle'], 'Allowed choices are mysql, mariadb'],
    [['drill', '--kind', 'flood'], 'Allowed choices are kill, switchover, freeze'],
    [['drill', '--rounds', '0'], 'expected a whole number from 1 on'],
    [['drill', '--config', good, '--command', 'true'], 'needs --config, --command and --schema'],
    [['drill', '--config', good, '--command', 'true', '--schema', 'app', '--aurora'], 'are for the lab'],
    [[], 'Usage: sluice'],
  ])('%j makes no sense: 2, and a hint on the error stream', async (args, hint) => {
    const output = recorded()
    expect(await run(args, '1.2.3', output)).toBe(2)
    expect(output.errors.join('\n')).toContain(hint)
    expect(output.printed).toEqual([])
  })
})

describe('sluice check', () => {
  test('says in a line that all is right', async () => {
    const output = recorded()
    expect(await run(['check', '--offline', '--config', good], '', output)).toBe(0)
    expect(output.printed).toEqual([`${good} is right: 2 listeners, 1 cluster (main with 2 seeds), 2 users`])
    expect(output.errors).toEqual([])
  })

  test('names file, line and column of everything that is wrong, and exits with 1', async () => {
    const bad = file('bad.yaml', GOOD.replace('route: analytics', 'route: analytic').replace('app_pw', '1'))
    const output = recorded()
    expect(await run(['check', '--offline', '--config', bad], '', output)).toBe(1)
    expect(output.errors).toEqual([
      `${bad}:3:50: listeners[1].route is 'analytic', which is no endpoint of cluster main; did you mean 'analytics'?`,
      `${bad}:11:28: users[0].password is a number; expected a text (in quotes, if it is meant to be one)`,
    ])
    expect(output.printed).toEqual([])
  })

  test('takes the environment where there is no file', async () => {
    const output = recorded({ SLUICE_CLUSTER: 'db1', SLUICE_USER: 'u', SLUICE_PASSWORD: 'p' })
    expect(await run(['check', '--offline'], '', output)).toBe(0)
    expect(output.printed).toEqual(['the environment is right: 1 listener, 1 cluster (main with 1 seed), 1 user'])
  })

  test('a weak spot is a warning', async () => {
    const output = recorded({ SLUICE_CLUSTER: 'db1', SLUICE_USER: 'u', SLUICE_PASSWORD: 'p', SLUICE_LOGLEVEL: 'x' })
    expect(await run(['check', '--offline'], '', output)).toBe(0)
    expect(output.errors).toEqual([
      "warning: environment: SLUICE_LOGLEVEL is not known; did you mean 'SLUICE_LOG_LEVEL'?",
    ])
  })
})

describe('sluice explain', () => {
  async function explained(sql: string, ...flags: string[]) {
    const output = recorded({}, 'SELECT 2 FROM from_stdin')
    const exitCode = await run(['explain', '--json', ...flags, sql], '', output)
    expect([exitCode, output.errors]).toEqual([0, []])
    return JSON.parse(output.printed.join('')) as Record<string, unknown>
  }

  test('answers what was promised to scripts', async () => {
    expect(await explained('SELECT a FROM t WHERE id = 7')).toMatchObject({
      statements: 1,
      access: 'read',
      target: 'reader',
      pins: [],
      because: expect.stringMatching(/./),
      digest: expect.stringMatching(/^[0-9a-f]{16}$/),
    })
  })

  test.each<[sql: string, access: string, target: string, pins: string[]]>([
    ['SELECT a FROM t FOR UPDATE', 'write', 'writer', []],
    ['INSERT INTO t VALUES (1)', 'write', 'writer', []],
    ['SELECT my_function(1)', 'write', 'writer', []],
    ['BEGIN', 'write', 'writer', ['transaction']],
    ['CREATE TEMPORARY TABLE t (a INT)', 'write', 'writer', ['temporary-table']],
    ["SELECT GET_LOCK('x', 1)", 'write', 'writer', ['advisory-lock']],
    ['SLUICE SHOW SESSION', 'session', 'proxy', []],
    ['/* sluice:writer */ SELECT 1 FROM t', 'read', 'writer', []],
  ])('%s is a %s for the %s', async (sql, access, target, pins) => {
    const answer = await explained(sql)
    expect([answer.target, answer.pins]).toEqual([target, pins])
    if (access === 'read') expect(answer.access).toBe('read')
    if (sql !== 'BEGIN') expect(answer.access).toBe(access)
  })

  test('several statements in one text give one answer', async () => {
    expect(await explained('SELECT 1 FROM t; DELETE FROM t')).toMatchObject({ statements: 2, access: 'write' })
  })

  test('literals make no difference to the digest', async () => {
    const [one, other] = [
      await explained('SELECT a FROM t WHERE b = 1'),
      await explained('SELECT a FROM t WHERE b = 22'),
    ]
    expect(one.digest).toBe(other.digest)
  })

  test('- reads the statement from standard input', async () => {
    expect((await explained('-')).digestText).toMatch(/from_stdin/)
  })

  test.each<[flags: string[], sql: string, target: string]>([
    [[], 'SELECT price_of(1) FROM t', 'reader'],
    [['--listener', 'report'], 'SELECT 1 FROM t', 'analytics'],
    [['--listener', 'report'], 'DELETE FROM t', 'writer'],
    [['--user', 'ops'], 'SELECT 1 FROM t', 'writer'],
    [[], '/* sluice:endpoint=analytics */ SELECT 1 FROM t', 'analytics'],
  ])('with settings and %j, %s goes to %s', async (flags, sql, target) => {
    expect((await explained(sql, '--config', good, ...flags)).target).toBe(target)
  })

  test('an endpoint that does not exist is said to be so', async () => {
    const answer = await explained('/* sluice:endpoint=nope */ SELECT 1 FROM t', '--config', good)
    expect(answer).toMatchObject({ target: 'proxy', because: expect.stringContaining('analytics') })
  })

  test('people get it in lines', async () => {
    const output = recorded()
    expect(await run(['explain', 'SELECT a FROM t'], '', output)).toBe(0)
    expect(output.printed[0]).toMatch(/^goes to +reader$/)
  })

  test('a listener that does not exist makes no sense', async () => {
    const output = recorded()
    expect(await run(['explain', '--config', good, '--listener', 'nope', 'SELECT 1'], '', output)).toBe(2)
    expect(output.errors).toEqual(["there is no listener 'nope'; expected one of: app, report"])
  })

  test('settings that are wrong are told as check tells them', async () => {
    const output = recorded()
    expect(await run(['explain', '--config', '/nonexistent', 'SELECT 1'], '', output)).toBe(1)
    expect(output.errors).toEqual(['/nonexistent: there is no such file; expected a file of settings'])
  })
})
