// Promises of the settings that ship with Sluice: each works, and the full one tells the truth about every default.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { keysAt, settingsSchema } from '../../../src/config/schema.ts'
import { type Config, parseConfig } from '../../../src/config.ts'

const FOLDER = join(import.meta.dirname, '../../../config')
const FILES = readdirSync(FOLDER)
const textOf = (file: string) => readFileSync(join(FOLDER, file), 'utf8')
const full = textOf('sluice.yaml')
/** With everything switched on that a comment shows; the empty value it stands for goes. */
const everything = full
  .replace(/^ *(endpoints|weights|rules|backend|hostPattern|heartbeat): (\{\}|\[\]|null).*\n/gm, '')
  .replace(/^( *)#~/gm, '$1')

test('there is the full one, and one for each situation', () => {
  expect(FILES).toEqual(
    expect.arrayContaining(['sluice.yaml', 'aurora-sidecar.yaml', 'mysql-replication.yaml', 'mariadb.yaml']),
  )
})

test.each(FILES)('%s is valid as it stands', (file) => {
  expect(parseConfig(textOf(file), join(FOLDER, file), {}).warnings).toEqual([])
})

test('a small one reads as it looks', () => {
  const { config } = parseConfig(textOf('mysql-replication.yaml'), join(FOLDER, 'x.yaml'), { APP_PASSWORD: 'secret' })
  expect(config.users[0]).toMatchObject({ name: 'app', password: 'secret' })
  expect(config.clusters.main!.endpoints).toEqual({
    analytics: { type: 'reader', members: ['db3.internal:3306'], excluded: [] },
  })
  expect(config.clusters.main!.weights).toEqual({ 'db3.internal:3306': 0 })
})

describe('the full one', () => {
  const minimal = `
listeners: [{ name: app }]
clusters: { main: { topology: { seeds: [127.0.0.1:13306] }, monitor: { user: monitor, password: monitor_pw } } }
users: [{ name: app, password: app_pw }]
`

  test('shows the defaults that are in force without it', () => {
    const load = (text: string): Config => parseConfig(text, join(FOLDER, 'sluice.yaml'), {}).config
    expect(load(full)).toEqual(load(minimal))
  })

  test('is still valid with everything that it shows in comments', () => {
    const complaint = (): string => {
      try {
        parseConfig(everything.replace('file:/run/secrets/app_rw', 'x'), join(FOLDER, 'sluice.yaml'), {})
        return 'none'
      } catch (error) {
        return (error as Error).message
      }
    }
    expect(everything).not.toMatch(/^ *#~/m)
    expect(complaint()).toBe('none')
  })

  test('shows every key there is', () => {
    const schema = settingsSchema({ folder: '/', readSecret: () => '', readText: () => '' })
    const missing: string[] = []
    const visit = (value: unknown, path: readonly PropertyKey[]) => {
      if (typeof value !== 'object' || value === null) return
      const shown: PropertyKey[] = Array.isArray(value) ? value.map((_, at) => at) : Object.keys(value)
      for (const key of keysAt(schema, path)) if (!shown.includes(key)) missing.push([...path, key].join('.'))
      for (const step of shown) visit((value as Record<PropertyKey, unknown>)[step], [...path, step])
    }
    // YAML would take the braces of ${…} for its own.
    visit(parse(everything.replace(/\$\{[^}\n]*\}/g, 'x')), [])
    // `others` shows what `analytics` has no need of.
    expect(missing).toEqual(['clusters.main.endpoints.analytics.excluded'])
  })
})
