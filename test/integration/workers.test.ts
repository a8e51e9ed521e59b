// Two workers: one proxy to clients, servers and operators, and the death of one worker is nobody's business but its sessions'.

import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { until } from '../../src/lab/index.ts'
import { clusterOf, describeEngines } from '../support/lab.ts'
import { SluiceProcess } from '../support/sluice-process.ts'

const SOON_MS = 20_000
const CONNECTIONS_MAX = 3

describeEngines((engine) => {
  const cluster = clusterOf(engine)
  const schema = `workers_${engine}`
  const guest = `guest_${engine}`
  let sluice: SluiceProcess
  let clients: Connection[] = []

  beforeAll(async () => {
    await cluster.writer.ask(`CREATE DATABASE ${schema}`)
    await cluster.writer.ask(`CREATE TABLE ${schema}.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)`)
    await cluster.writer.ask(`CREATE USER ${guest}@'%' IDENTIFIED BY 'guest_pw'`)
    await cluster.settle()
    sluice = await SluiceProcess.start({
      seeds: cluster.seeds,
      cluster: `    pool: { connectionsMax: ${CONNECTIONS_MAX}, waitMsMax: 20000 }`,
      users: `  - { name: root, password: '' }
  - { name: ${guest}, password: guest_pw }`,
      more: 'workers: 2\nlimits: { clientsMax: 12 }',
    })
    // Clients are taken as soon as one of them serves.
    await until(
      async () => ((await metric('sluice_workers')) === 2 ? true : null),
      SOON_MS,
      () => 'there are no two workers',
    )
  })
  afterAll(async () => {
    await sluice.stop()
    await cluster.writer.ask(`DROP USER ${guest}@'%'`)
    await cluster.writer.ask(`DROP DATABASE ${schema}`)
  })
  afterEach(async () => {
    for (const client of clients) client.destroy()
    clients = []
    await until(
      async () => ((await sluice.sessions()).length === 0 ? true : null),
      SOON_MS,
      () => 'sessions outlive their clients',
    )
  })

  async function join(user: 'app' | 'root' = 'app'): Promise<Connection> {
    const password = user === 'app' ? 'app_pw' : ''
    const client = await createConnection({ host: '127.0.0.1', port: sluice.port, user, password, database: schema })
    client.on('error', () => {})
    clients.push(client)
    return client
  }
  const join4 = async () => [await join(), await join(), await join(), await join()] as const
  const idOf = (client: Connection) => client.threadId as number

  const metric = async (line: string) => {
    const text = await (await sluice.ask('/metrics')).text()
    return Number(
      text
        .split('\n')
        .find((each) => each.startsWith(`${line} `))
        ?.slice(line.length),
    )
  }
  /** Clients of each worker. */
  const spread = async () => [
    await metric('sluice_worker_client_connections{worker="1"}'),
    await metric('sluice_worker_client_connections{worker="2"}'),
  ]

  test('clients are spread evenly, and seen as those of one proxy', async () => {
    const before = await metric(`sluice_statements_total{cluster="main",target="writer",access="write"}`)
    const four = await join4()
    for (const client of four) await client.query('INSERT INTO t (v) VALUES (1)')
    expect(await spread()).toEqual([2, 2])
    const shown = await sluice.sessions()
    expect(shown.map(({ id }) => id)).toEqual(four.map(idOf).sort((one, other) => one - other))
    expect(await metric('sluice_client_connections')).toBe(4)
    expect(await metric(`sluice_statements_total{cluster="main",target="writer",access="write"}`)).toBe(
      (before || 0) + 4,
    )
    const { statements } = (await (await sluice.ask('/statements')).json()) as {
      statements: { text: string; count: number }[]
    }
    expect(statements.filter(({ text }) => /INSERT INTO/i.test(text)).map(({ count }) => count)).toEqual([4])
  })

  test('SHOW PROCESSLIST shows the sessions of every worker, and no connection that serves one', async () => {
    const four = await join4()
    for (const client of four) await client.query('INSERT INTO t (v) VALUES (1)')
    const root = await join('root')
    const [rows] = await root.query<RowDataPacket[]>('SHOW PROCESSLIST')
    const ofApp = rows.filter(({ User }) => User === 'app').map(({ Id }) => Number(Id))
    expect(ofApp).toEqual(four.map(idOf).sort((one, other) => one - other))
  })

  test('KILL reaches a session of another worker, and rights are heeded', async () => {
    const [one, other, third] = await join4()
    const root = await join('root')
    const ended = [one, other].map((client) => new Promise((resolve) => client.once('end', resolve)))
    await root.query(`KILL ${idOf(one)}`)
    await root.query(`KILL ${idOf(other)}`)
    await Promise.all(ended)
    const sleeping = third.query('SELECT SLEEP(60) AS slept, v FROM t LIMIT 1').then(
      ([rows]) => rows as RowDataPacket[],
      (error: { errno: number }) => error.errno,
    )
    await until(
      async () => ((await sluice.sessions()).some(({ state }) => state === 'active') ? true : null),
      SOON_MS,
      () => 'nothing runs',
    )
    const [friend] = [await join()]
    await friend.query(`KILL QUERY ${idOf(third)}`)
    const outcome = await sleeping
    if (typeof outcome === 'number') expect(outcome).toBe(1317)
    else expect(outcome[0]?.slept).toBe(1)
    for (const client of [await join(), await join()]) {
      await expect(client.query(`KILL ${idOf(root)}`)).rejects.toMatchObject({ errno: 1095 })
    }
  })

  test('bounds hold for all workers together', async () => {
    const four = await join4()
    await Promise.all([...four, ...(await join4())].map((client) => client.query('SELECT SLEEP(0.2) FROM t LIMIT 1')))
    await Promise.all(four.map((client) => client.query('DO SLEEP(0.2)')))
    for (const { connections } of await sluice.pools()) {
      const { idle, lent, cleaning, opening } = connections
      expect(idle + lent + cleaning + opening).toBeLessThanOrEqual(CONNECTIONS_MAX)
    }
    await join4()
    await expect(join()).rejects.toMatchObject({ errno: 1040 })
  })

  test('what a session writes it reads, whichever worker serves it', async () => {
    const four = await join4()
    for (let turn = 0; turn < 20; turn++) {
      const writer = four[turn % 4]!
      const [{ insertId }] = (await writer.query('INSERT INTO t (v) VALUES (2)')) as [{ insertId: number }, unknown]
      const [rows] = await writer.query<RowDataPacket[]>('SELECT v FROM t WHERE id = ?', [insertId])
      expect(rows).toEqual([{ v: 2 }])
    }
  })

  /** What four who only just log in, on whichever worker, are answered: rows, or the number of an error. */
  async function newcomers(sql: string): Promise<unknown[]> {
    const logins = Array.from({ length: 4 }, async () => {
      const options = { host: '127.0.0.1', port: sluice.port, user: guest, password: 'guest_pw' }
      const client = await createConnection(options)
      clients.push(client)
      return client.query(sql).then(
        ([rows]) => rows,
        (error: { errno: number }) => error.errno,
      )
    })
    const answers = await Promise.all(logins)
    for (const client of clients.splice(-4)) await client.end()
    return answers
  }

  test('rights that change on one worker are there for whoever comes to another', async () => {
    const root = await join('root')
    const read = `/* sluice:writer */ SELECT COUNT(*) < 0 AS n FROM ${schema}.t`
    expect(await newcomers(read)).toEqual(Array(4).fill(1142))
    await root.query(`GRANT SELECT ON *.* TO ${guest}@'%'`)
    expect(await newcomers(read)).toEqual(Array(4).fill([{ n: 0 }]))
    await root.query(`REVOKE SELECT ON *.* FROM ${guest}@'%'`)
    expect(await newcomers(read)).toEqual(Array(4).fill(1142))
  })

  test('what is set globally on one worker soon is there for whoever comes to another', async () => {
    const root = await join('root')
    const ask = '/* sluice:writer */ SELECT @@net_retry_count AS n'
    const [{ n: before }] = (await newcomers(ask))[0] as [{ n: number }]
    await root.query('SET GLOBAL net_retry_count = 77')
    try {
      const are = async () =>
        (await newcomers(ask)).every((rows) => (rows as [{ n: number }])[0].n === 77) ? true : null
      await until(are, SOON_MS, () => 'some begin with what was')
    } finally {
      await root.query(`SET GLOBAL net_retry_count = ${before}`)
    }
  })

  test('SIGHUP reaches every worker', async () => {
    sluice.rewrite((text) => text.replace('password: app_pw', 'password: app_pw2'))
    sluice.signal('SIGHUP')
    const refused = async () => {
      const outcomes = await Promise.all(
        [join(), join()].map((each) =>
          each.then(
            () => null,
            (error) => error.errno,
          ),
        ),
      )
      return outcomes.every((errno) => errno === 1045) ? true : null
    }
    await until(refused, SOON_MS, () => 'the old password is still good')
    sluice.rewrite((text) => text.replace('password: app_pw2', 'password: app_pw'))
    sluice.signal('SIGHUP')
    await until(
      () =>
        Promise.all([join(), join()]).then(
          () => true,
          () => null,
        ),
      SOON_MS,
      () => 'the password is not good again',
    )
  })

  test('a worker that is killed takes its own sessions along and nobody else, and soon there are two again', async () => {
    const lost = new Set<Connection>()
    let stopped = false
    const four = await join4()
    const load = four.map(async (client) => {
      while (!stopped) {
        try {
          await client.query('SELECT COUNT(*) FROM t')
        } catch {
          lost.add(client)
          return
        }
      }
    })
    const [victim] = sluice.children
    process.kill(victim!, 'SIGKILL')
    await until(
      async () => ((await metric('sluice_workers')) === 2 && !sluice.children.includes(victim!) ? true : null),
      SOON_MS,
      () => 'no worker took its place',
    )
    await until(
      () => (lost.size >= 2 ? true : null),
      SOON_MS,
      () => 'its sessions live on',
    )
    await join4()
    stopped = true
    await Promise.all(load)
    expect(lost.size).toBe(2)
    expect(await metric('sluice_worker_deaths_total')).toBe(1)
    expect(await spread()).toEqual([3, 3])
  })

  test('SIGTERM drains all of them', async () => {
    const slow = await join()
    const answer = slow.query('SELECT SLEEP(1) AS slept')
    await join()
    await until(
      async () => ((await sluice.sessions()).some(({ state }) => state === 'active') ? true : null),
      SOON_MS,
      () => 'nothing runs',
    )
    const workers = sluice.children
    sluice.signal('SIGTERM')
    expect((await answer)[0]).toEqual([{ slept: 0 }])
    expect(await sluice.ended()).toEqual({ code: 0, signal: null })
    for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow()
    // The last test: what afterEach asks is asked of the next one.
    sluice = await SluiceProcess.start({ seeds: cluster.seeds })
  })
})
