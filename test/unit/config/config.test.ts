// Promises of loading: what a file means, and that whatever is wrong with it is said at once, where and how to mend it.

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is how settings refer to the environment.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { type Config, ConfigError, loadConfig, parseConfig } from '../../../src/config.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

const GOOD = `listeners:
  - { name: app, bind: 127.0.0.1:6033 }
clusters:
  main:
    topology: { seeds: [db1, db2:3307] }
    monitor: { user: monitor, password: monitor_pw }
users:
  - { name: app, password: app_pw }
`

const load = (text: string, env: Record<string, string> = {}): Config =>
  parseConfig(text, join(folder, 'sluice.yaml'), env).config

/** The problems, without the file's name. */
function problemsOf(text: string, env: Record<string, string> = {}): string[] {
  try {
    parseConfig(text, 'f', env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((problem) => problem.replace(/^f:/, ''))
    throw error
  }
  return []
}

describe('a good file', () => {
  test('is filled in with the defaults', () => {
    const config = load(GOOD)
    expect(config.listeners).toEqual([
      {
        name: 'app',
        protocol: 'mysql',
        bind: { host: '127.0.0.1', port: 6033 },
        cluster: 'main',
        route: 'split',
        tls: { mode: 'preferred', cert: null, key: null },
        rsaKey: null,
        compression: true,
        consistency: null,
        monotonic: null,
      },
    ])
    expect(config.clusters.main!.topology.seeds).toEqual([
      { host: 'db1', port: 3306 },
      { host: 'db2', port: 3307 },
    ])
    expect(config.clusters.main!.hold).toEqual({
      waitMsMax: 30_000,
      heldMax: 10_000,
      heldBytesMax: 67_108_864,
      failoverMsMax: 60_000,
      restMsMin: 5_000,
      drainPerSecond: 5_000,
    })
    expect(config.admin.bind).toEqual({ host: '127.0.0.1', port: 6032 })
    expect(config.stateDir).toBe(join(folder, '.sluice'))
  })

  test.each([
    ['null', 'limits: null'],
    ['nothing', 'limits:'],
    ['an empty map', 'limits: {}'],
  ])('a group of settings may be %s', (_, line) => {
    expect(load(`${GOOD}${line}\n`)).toEqual(load(GOOD))
  })

  test('rules get a name, and one condition may be a text or a list', () => {
    const { rules } = load(`${GOOD}rules: [{ match: { user: app, table: [a, b] }, route: reader }]\n`)
    expect(rules).toEqual([
      {
        name: 'rule-1',
        match: { user: ['app'], schema: null, clientAddress: null, digest: null, table: ['a', 'b'] },
        route: 'reader',
        consistency: null,
        monotonic: null,
      },
    ])
  })

  test('weights and members are known by host:port, however they were written', () => {
    const text = GOOD.replace(
      '    monitor',
      '    weights: { DB2: 3 }\n    endpoints: { e: { members: [DB2] } }\n    monitor',
    )
    const { weights, endpoints } = load(text).clusters.main!
    expect(weights).toEqual({ 'db2:3306': 3 })
    expect(endpoints.e!.members).toEqual(['db2'])
  })

  test('an anchor can be used again', () => {
    const text = `${GOOD.replace('app_pw', '&pw app_pw')}  - { name: other, password: *pw }\n`
    expect(load(text).users.map(({ password }) => password)).toEqual(['app_pw', 'app_pw'])
  })
})

describe('environment variables in a file', () => {
  const password = (value: string, env: Record<string, string> = {}) =>
    load(
      GOOD.replace('app_pw', () => value),
      env,
    ).users[0]!.password

  test.each([
    ['${PW}', { PW: 's3cret' }, 's3cret'],
    ['"${PW}"', { PW: 's3cret' }, 's3cret'],
    ['pre-${PW}-post', { PW: 'x' }, 'pre-x-post'],
    ['${PW}${PW}', { PW: 'ab' }, 'abab'],
    ['${PW}', { PW: '1234' }, '1234'],
    ['${PW}', { PW: 'a: {b}, #c' }, 'a: {b}, #c'],
    ['${PW}', { PW: '${OTHER}' }, '${OTHER}'],
    ['${PW:-fallback}', {}, 'fallback'],
    ['${PW:-fallback}', { PW: '' }, 'fallback'],
    ['${PW:-}', {}, ''],
    ['${PW:-a, b: [c] #d}', {}, 'a, b: [c] #d'],
    ['$${PW}', { PW: 'x' }, '${PW}'],
    ["'$${'", {}, '${'],
    ["'$5 and $PW'", { PW: 'x' }, '$5 and $PW'],
  ])('%s with %j is %s', (value, env, expected) => {
    expect(password(value, env as Record<string, string>)).toBe(expected)
  })

  test('numbers and flags may come from there', () => {
    const text = GOOD.replace('    monitor', '    pool: { connectionsMax: ${MAX} }\n    monitor').replace(
      '6033 }',
      '6033, compression: ${ZIP} }',
    )
    const config = load(text, { MAX: '7', ZIP: 'false' })
    expect([config.clusters.main!.pool.connectionsMax, config.listeners[0]!.compression]).toEqual([7, false])
  })

  test('in a comment they are not looked at', () => {
    expect(problemsOf(`# \${NOT_SET}\n${GOOD}`)).toEqual([])
  })
})

describe('hashes of passwords', () => {
  const NATIVE = '*D821809F681A40A6E379B50D0463EFAE20BDD122'
  const SHA2 = '$A$005$abcdefghijklmnopqrstgH7oGkHYIZNe0sqzUMmxogeMiHQhgAq2Hooe0CUJPwD'
  const withHash = (hash: string) => GOOD.replace('password: app_pw', () => `passwordHash: '${hash}'`)

  test.each([
    [NATIVE, NATIVE],
    [SHA2, SHA2],
    [`0x${Buffer.from(SHA2).toString('hex')}`, SHA2],
    [`0x${Buffer.from(SHA2).toString('hex').toUpperCase()}`, SHA2],
  ])('%s', (written, hash) => {
    expect(load(withHash(written)).users[0]).toMatchObject({ password: null, passwordHash: hash })
  })

  test('may stand in a file', () => {
    const path = file('hash', `${NATIVE}\n`)
    expect(load(withHash(`file:${path}`)).users[0]!.passwordHash).toBe(NATIVE)
  })

  test.each([
    ['app_pw', withHash('app_pw'), /^8:32: users\[0\]\.passwordHash is no hash of a password; expected \$A\$005\$…/],
    [
      'with the password beside it',
      GOOD.replace('app_pw', `app_pw, passwordHash: '${NATIVE}'`),
      /^8:36: users\[0\] has password and passwordHash; expected one of the two$/,
    ],
  ])('%s is wrong', (_name, text, problem) => {
    expect(problemsOf(text)).toEqual([expect.stringMatching(problem)])
  })
})

describe('secrets in files', () => {
  test('the content counts, without its last line end', () => {
    const path = file('pw', 'from a file\n')
    expect(load(GOOD.replace('app_pw', `file:${path}`)).users[0]!.password).toBe('from a file')
  })

  test('a relative path starts from the folder of the settings', () => {
    file('relative_pw', 'here')
    expect(load(GOOD.replace('app_pw', 'file:relative_pw')).users[0]!.password).toBe('here')
  })

  test('one that everybody can read is a warning, not an error', () => {
    const path = file('open_pw', 'x', 0o644)
    const { warnings } = parseConfig(GOOD.replace('app_pw', `file:${path}`), 'f', {})
    expect(warnings).toEqual([`${path} holds a secret and everybody can read it; chmod 600 ${path}`])
  })

  test.each<[text: string, mode: number, warnings: string[]]>([
    [GOOD, 0o600, []],
    [GOOD.replace('monitor_pw', '${PW}').replace('app_pw', 'file:pw'), 0o644, []],
    [GOOD, 0o644, ['6:41: a password stands here and everybody can read the file']],
  ])('a password in the settings themselves is one, too (%#)', (text, mode, expected) => {
    const path = file('settings.yaml', text, mode)
    const { warnings } = loadConfig(path, { PW: 'x' })
    expect(warnings.map((warning) => warning.replace(`${path}:`, '').split('; ')[0])).toEqual(expected)
  })

  test('certificate and key are read too', () => {
    const cert = file('cert.pem', '-----BEGIN CERTIFICATE-----\nx\n')
    const key = file('key.pem', '-----BEGIN PRIVATE KEY-----\nx\n')
    const text = GOOD.replace('6033 }', `6033, tls: { mode: required, cert: ${cert}, key: ${key} } }`)
    expect(load(text).listeners[0]!.tls).toEqual({
      mode: 'required',
      cert: '-----BEGIN CERTIFICATE-----\nx\n',
      key: '-----BEGIN PRIVATE KEY-----\nx\n',
    })
  })

  test('what is no PEM is refused, and its content not repeated', () => {
    const cert = file('no.pem', 'hunter2')
    const [problem] = problemsOf(GOOD.replace('6033 }', `6033, tls: { cert: ${cert}, key: ${cert} } }`))
    expect(problem).toMatch(/no\.pem holds no PEM text; expected -----BEGIN … in it$/)
    expect(problem).not.toContain('hunter2')
  })
})

/** In place of the line that begins like it. */
const replaced = (line: string) => {
  const start = line.slice(0, line.indexOf(':') + 1)
  return GOOD.split('\n')
    .map((known) => (known.startsWith(start) ? line : known))
    .join('\n')
}

describe('what is wrong, and what is expected', () => {
  const WRONG: readonly (readonly [text: string, problems: readonly string[]])[] = [
    // Keys
    [`${GOOD}limit: {}\n`, ["9:1: there is no setting 'limit'; did you mean 'limits'?"]],
    [`${GOOD}limits: { clientMax: 1 }\n`, ["9:11: limits has no setting 'clientMax'; did you mean 'clientsMax'?"]],
    [`${GOOD}admin: { address: 1 }\n`, ["9:10: admin has no setting 'address'; expected 'bind'"]],
    [
      GOOD.replace('6033 }', '6033, tls: { Mode: off } }'),
      ["2:47: listeners[0].tls has no setting 'Mode'; did you mean 'mode'?"],
    ],
    [`${GOOD}users: []\n`, ['9:1: this is not YAML: the same key twice in one map; expected it once']],
    // Missing
    [
      '',
      [
        '1:1: listeners is missing; expected a list',
        '1:1: clusters is missing; expected a map of names',
        '1:1: users is missing; expected a list',
      ],
    ],
    [GOOD.replace(', password: app_pw', ''), ['8:5: users[0].password is missing; expected a text, or passwordHash']],
    [GOOD.replace('[db1, db2:3307]', '[]'), ['5:24: clusters.main.topology.seeds is empty; expected one or more']],
    // Kinds
    [
      GOOD.replace('app_pw', '12345'),
      ['8:28: users[0].password is a number; expected a text (in quotes, if it is meant to be one)'],
    ],
    [`${GOOD}limits: { clientsMax: many }\n`, ["9:23: limits.clientsMax is 'many'; expected a number"]],
    [`${GOOD}limits: { clientsMax: 1.5 }\n`, ['9:23: limits.clientsMax is 1.5; expected a whole number']],
    [`${GOOD}limits: { clientsMax: 0 }\n`, ['9:23: limits.clientsMax is 0; expected 1 or more']],
    [
      `${GOOD}limits: { requestBytesMax: 2000000000 }\n`,
      ['9:28: limits.requestBytesMax is 2000000000; expected 1073741824 or less'],
    ],
    [`${GOOD}limits: [1]\n`, ['9:9: limits is a list; expected a map of settings']],
    [
      `${GOOD}log: { level: verbose }\n`,
      ["9:15: log.level is 'verbose'; expected one of error, warn, info, debug, trace, silent"],
    ],
    [GOOD.replace('bind:', 'protocol: postgres, bind:'), ["2:28: listeners[0].protocol is 'postgres'; expected mysql"]],
    [GOOD.replace('6033 }', '6033, compression: 1 }'), ['2:53: listeners[0].compression is 1; expected true or false']],
    [
      GOOD.replace('name: app, bind', 'name: 9-lives, bind'),
      ["2:13: listeners[0].name is '9-lives'; expected a name: letters, digits, _ . and -, not beginning with a digit"],
    ],
    // Addresses
    [
      GOOD.replace('127.0.0.1:6033', '127.0.0.1:99999'),
      ['2:24: listeners[0].bind "127.0.0.1:99999" is no address; expected host or host:port (port 6033 by default)'],
    ],
    [
      `${GOOD}rules: [{ match: { clientAddress: 10.0.0.0/33 }, route: reader }]\n`,
      ['9:35: rules[0].match.clientAddress[0] is no network; expected an address or CIDR, as in 10.1.0.0/16'],
    ],
    // One part against another
    [
      GOOD.replace('6033 }', '6033, cluster: mian }'),
      ["2:49: listeners[0].cluster is 'mian', which is not among the clusters; did you mean 'main'?"],
    ],
    [
      GOOD.replace('6033 }', '6033, route: analytics }'),
      [
        "2:47: listeners[0].route is 'analytics', which is no endpoint of cluster main; expected one of split, writer, reader",
      ],
    ],
    [
      GOOD.replace('6033 }', '6033, route: writter }'),
      ["2:47: listeners[0].route is 'writter', which is no endpoint of cluster main; did you mean 'writer'?"],
    ],
    [
      GOOD.replace('clusters:', '  - { name: app, bind: 0.0.0.0:6033 }\nclusters:'),
      [
        "3:13: listeners[1].name is 'app', as listeners[0] is; expected a name of its own",
        '3:24: listeners[1].bind is the address of listeners[0].bind too; expected one of its own',
      ],
    ],
    [
      GOOD.replace(':6033', ':6032'),
      ['2:24: listeners[0].bind is the address of admin.bind too; expected one of its own'],
    ],
    [
      `${GOOD}  - { name: app, password: x }\n`,
      ["9:13: users[1].name is 'app', as users[0] is; expected a name of its own"],
    ],
    [
      GOOD.replace('db2:3307', 'db1:3306'),
      ['5:30: clusters.main.topology.seeds[1] is there twice (db1:3306); expected it once'],
    ],
    [
      GOOD.replace('{ seeds', '{ kind: static, writer: db9, seeds'),
      ["5:39: clusters.main.topology.writer is 'db9'; expected one of the seeds: db1:3306, db2:3307"],
    ],
    [
      GOOD.replace('{ seeds', '{ kind: static, seeds'),
      ['5:15: clusters.main.topology.writer is missing; expected one of the seeds, because the kind is static'],
    ],
    [
      GOOD.replace('{ seeds', '{ writer: db1, seeds'),
      [
        '5:17: clusters.main.topology.writer has no meaning with kind auto, which finds the writer itself; expected kind static, or no writer',
      ],
    ],
    [
      GOOD.replace('    monitor', '    endpoints: { reader: {} }\n    monitor'),
      ["6:18: 'reader' has a meaning of its own; expected another name"],
    ],
    [
      GOOD.replace('    monitor', '    endpoints: { e: { members: [a], excluded: [b] } }\n    monitor'),
      ['6:37: clusters.main.endpoints.e has members and excluded; expected one of the two'],
    ],
    [
      `${GOOD}rules: [{ match: { user: app } }]\n`,
      ['9:9: rules[0] says nothing; expected a route, a consistency or monotonic'],
    ],
    [
      `${GOOD}rules: [{ match: {}, route: reader }]\n`,
      [
        "9:18: rules[0].match is empty; expected one of user, schema, clientAddress, digest, table (a listener's route is for all)",
      ],
    ],
    [
      GOOD.replace('app_pw }', 'app_pw, clusters: [other] }'),
      ["8:47: users[0].clusters[0] is 'other', which is not among the clusters; expected 'main'"],
    ],
    // Secrets and the environment
    [
      GOOD.replace('app_pw', '${APP_PW}'),
      ['8:28: the environment variable APP_PW is not set; set it, or give a default as in ${APP_PW:-default}'],
    ],
    [
      GOOD.replace('name: app, password', 'name: app, backend: { user: "${U}", password: x }, password'),
      ['8:35: the environment variable U is not set; set it, or give a default as in ${U:-default}'],
    ],
    [
      GOOD.replace('app_pw', '"${1}"'),
      [
        "8:28: '${1}' does not refer to an environment variable; expected ${NAME} or ${NAME:-default}, or $${ for a literal ${",
      ],
    ],
    [
      GOOD.replace('app_pw', 'file:/nonexistent/pw'),
      ['8:28: users[0].password points to /nonexistent/pw: there is no such file; expected a file that can be read'],
    ],
    [
      GOOD.replace('6033 }', '6033, tls: { key: /nonexistent/key } }'),
      [
        '2:47: listeners[0].tls.key is given without cert; expected both or neither',
        '2:52: listeners[0].tls.key points to /nonexistent/key: there is no such file; expected a file that can be read',
      ],
    ],
    // Not YAML
    [`${GOOD}\tx: 1\n`, ['9:1: this is not YAML: Tabs are not allowed as indentation; expected spaces']],
    ['listeners: [', [expect.stringMatching(/^1:13: this is not YAML: .*; expected a map of settings$/)]],
    [GOOD.replace('app_pw', '*nope'), ['8:28: *nope refers to nothing; expected an anchor &nope before it']],
    [GOOD.replace('password: app_pw', '<<: 1'), [expect.stringMatching(/^8:18: << merges nothing; expected/)]],
    [GOOD.replace('main:', '{ a: b }:'), [expect.stringMatching(/^4:3: a map or list where a key should be/)]],
    ['just a text', ["1:1: the file is 'just a text'; expected a map of settings"]],
  ]

  test.each(WRONG.map(([text, problems]) => ({ first: String(problems[0]), text, problems })))(
    'says $first',
    ({ text, problems }) => expect(problemsOf(text)).toEqual(problems),
  )

  test('everything at once, in the order of the file', () => {
    const text = `${GOOD.replace('6033 }', '6033, route: x }').replace('app_pw', '${NOPE}')}log: { level: x }\nextra: 1\n`
    expect(problemsOf(text).map((problem) => problem.split(': ')[0])).toEqual(['2:47', '8:28', '9:15', '10:1'])
  })

  test('a password is never repeated', () => {
    const text = replaced('  - { name: app, password: [hunter2] }').replace('app_pw', '[hunter2]')
    expect(problemsOf(text)).not.toEqual([])
    expect(problemsOf(text).join()).not.toContain('hunter2')
  })
})

describe('where settings come from', () => {
  const sidecar = { SLUICE_CLUSTER: 'db1:3307,db2', SLUICE_USER: 'app', SLUICE_PASSWORD: 's3cret' }

  test('the environment is enough for a sidecar', () => {
    const { config, origin, warnings } = loadConfig(null, sidecar)
    expect([origin, warnings]).toEqual(['the environment', []])
    expect(config.listeners).toMatchObject([
      { name: 'app', bind: { host: '127.0.0.1', port: 6033 }, cluster: 'main', route: 'split' },
    ])
    expect(config.clusters.main).toMatchObject({
      engine: 'auto',
      topology: {
        kind: 'auto',
        seeds: [
          { host: 'db1', port: 3307 },
          { host: 'db2', port: 3306 },
        ],
      },
      monitor: { user: 'app', password: 's3cret' },
    })
    expect(config.users).toMatchObject([{ name: 'app', password: 's3cret' }])
  })

  test('the rest of it can be said there, too', () => {
    const { config } = loadConfig(null, {
      ...sidecar,
      SLUICE_MONITOR_USER: 'monitor',
      SLUICE_MONITOR_PASSWORD: `file:${file('monitor_pw', 'm\n')}`,
      SLUICE_BIND: '0.0.0.0:3306',
      SLUICE_ADMIN_BIND: '0.0.0.0:9000',
      SLUICE_LOG_LEVEL: 'debug',
      XDG_STATE_HOME: '/var/state',
    })
    expect(config.clusters.main!.monitor).toMatchObject({ user: 'monitor', password: 'm' })
    expect([config.listeners[0]!.bind.port, config.admin.bind.port, config.log.level]).toEqual([3306, 9000, 'debug'])
    expect(config.stateDir).toBe('/var/state/sluice')
  })

  test.each<[env: Record<string, string>, problems: string[]]>([
    [
      { SLUICE_CLUSTER: 'db1' },
      [
        'environment: SLUICE_MONITOR_USER: clusters.main.monitor.user is missing; expected a text',
        'environment: SLUICE_MONITOR_PASSWORD: clusters.main.monitor.password is missing; expected a text',
        'environment: SLUICE_USER: users[0].name is missing; expected a text',
        'environment: SLUICE_PASSWORD: users[0].password is missing; expected a text, or passwordHash',
      ],
    ],
    [
      { ...sidecar, SLUICE_CLUSTER: '' },
      ['environment: SLUICE_CLUSTER: clusters.main.topology.seeds is empty; expected one or more'],
    ],
    [
      { ...sidecar, SLUICE_BIND: 'nowhere:99999' },
      [
        'environment: SLUICE_BIND: listeners[0].bind "nowhere:99999" is no address; expected host or host:port (port 6033 by default)',
      ],
    ],
    [
      {},
      [
        'no settings: there is no sluice.yaml here; expected --config FILE, or SLUICE_CLUSTER=host:port[,…], SLUICE_USER and SLUICE_PASSWORD in the environment',
      ],
    ],
  ])('%j lacks something, and that is said', (env, problems) => {
    expect(() => loadConfig(null, env)).toThrow(new ConfigError(problems))
  })

  test('a variable that looks like ours and is not is a warning', () => {
    expect(loadConfig(null, { ...sidecar, SLUICE_BNID: 'x' }).warnings).toEqual([
      "environment: SLUICE_BNID is not known; did you mean 'SLUICE_BIND'?",
    ])
  })

  test('a named file beats the environment', () => {
    const path = file('named.yaml', GOOD)
    expect(loadConfig(path, sidecar)).toMatchObject({ origin: path, file: path })
    expect(loadConfig(null, { ...sidecar, SLUICE_CONFIG: path }).origin).toBe(path)
  })

  test('a file that is not there is said to be so', () => {
    expect(() => loadConfig('/nonexistent/sluice.yaml', {})).toThrow(
      new ConfigError(['/nonexistent/sluice.yaml: there is no such file; expected a file of settings']),
    )
  })
})
