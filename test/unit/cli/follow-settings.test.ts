// Promises of following the settings while the proxy runs.

import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { followSettings } from '../../../src/cli/follow-settings.ts'
import { type Config, loadConfig } from '../../../src/config.ts'
import { createLog } from '../../../src/log.ts'

const GOOD = `listeners: [{ name: app }]
clusters: { main: { topology: { seeds: [db1] }, monitor: { user: m, password: p } } }
users: [{ name: app, password: app_pw }]
`

let folder = ''
let file = ''
let stop = () => {}
const reloads: Config[] = []
const log = createLog('silent')
const errors = vi.spyOn(log, 'error')

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-start-'))
  file = join(folder, 'sluice.yaml')
  writeFileSync(file, GOOD)
  reloads.length = 0
  errors.mockClear()
  const proxy = {
    reload: (config: Config) => {
      reloads.push(config)
      return []
    },
  }
  stop = followSettings({ file, env: {}, loaded: loadConfig(file, {}), proxy, log })
})

afterEach(() => {
  stop()
  rmSync(folder, { recursive: true })
})

test('a file that was written to is taken over, once it is quiet', async () => {
  writeFileSync(file, GOOD.replace('app_pw', 'half'))
  writeFileSync(file, GOOD.replace('app_pw', 'new_pw'))
  await vi.waitFor(() => expect(reloads.map(({ users }) => users[0]!.password)).toEqual(['new_pw']), 5_000)
})

test('a file that was replaced is taken over', async () => {
  writeFileSync(join(folder, 'next'), GOOD.replace('app_pw', 'new_pw'))
  renameSync(join(folder, 'next'), file)
  await vi.waitFor(() => expect(reloads).toHaveLength(1), 5_000)
})

test('a broken file is reported, and the settings in force stay', async () => {
  writeFileSync(file, `${GOOD}limit: 1\n`)
  await vi.waitFor(() => expect(errors).toHaveBeenCalledOnce(), 5_000)
  expect(errors.mock.calls[0]![0]).toMatchObject({
    problems: [`${file}:4:1: there is no setting 'limit'; did you mean 'limits'?`],
  })
  expect(reloads).toEqual([])
})

test('a secret in a file of its own is taken over too', async () => {
  const secrets = mkdtempSync(join(tmpdir(), 'sluice-secrets-'))
  const secret = join(secrets, 'pw')
  try {
    writeFileSync(secret, 'old_pw', { mode: 0o600 })
    writeFileSync(file, GOOD.replace('app_pw', `file:${secret}`))
    await vi.waitFor(() => expect(reloads.map(({ users }) => users[0]!.password)).toEqual(['old_pw']), 5_000)
    writeFileSync(join(secrets, 'next'), 'new_pw', { mode: 0o600 })
    renameSync(join(secrets, 'next'), secret)
    await vi.waitFor(() => expect(reloads.map(({ users }) => users[0]!.password)).toEqual(['old_pw', 'new_pw']), 5_000)
  } finally {
    rmSync(secrets, { recursive: true })
  }
})

test('SIGHUP reloads even what has not changed', async () => {
  process.emit('SIGHUP')
  await vi.waitFor(() => expect(reloads).toHaveLength(1), 5_000)
})

test('afterwards nothing is followed any more', async () => {
  stop()
  expect(process.listenerCount('SIGHUP')).toBe(0)
})
