// The house rules that a machine can check: who may import whom, and what no file may contain.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const src = fileURLToPath(new URL('../../src/', import.meta.url))

/** A folder (or file of the top) may import itself and what stands above it. */
const LAYERS: readonly (readonly string[])[] = [
  ['errors', 'log', 'metrics', 'engine', 'home'],
  ['sql'],
  ['topology'],
  ['protocol'],
  ['protocol/mysql'],
  ['routing'],
  ['pool'],
  ['session'],
  ['config'],
  ['lab'],
  ['admin'],
  ['cluster-settings', 'cluster-shared', 'cluster', 'serving', 'proxy', 'workers', 'takeover', 'cli', 'main'],
]

/** The lab knows leaves only, so that it could be anybody's. */
const LAB_MAY_IMPORT = ['errors', 'home', 'log', 'lab']

/** The wiring, and the command that does the wiring's work for one statement. */
const MAY_KNOW_A_PROTOCOL = ['serving.ts', 'cli/explain.ts']

/** Words of a protocol that the core must not know. */
const PROTOCOL_WORDS = /\b(packets?|capabilit(?:y|ies)|errno|ReadyForQuery|OID)\b/i
const CORE = ['sql', 'topology', 'routing', 'pool', 'session']

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, text: readFileSync(join(src, file), 'utf8') }))

function roomOf(file: string): string {
  const [first, second] = file.split('/')
  if (first === 'protocol' && (second === 'mysql' || second === 'postgres')) return `${first}/${second}`
  return first!.replace(/\.ts$/, '')
}

function importsOf(file: string, text: string): string[] {
  const found = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((match) => match[1]!)
  return found
    .filter((path) => path.endsWith('.ts'))
    .map((path) => relative(src, resolve(dirname(join(src, file)), path)))
}

const layerOf = (room: string) => LAYERS.findIndex((layer) => layer.includes(room))

describe('the layers', () => {
  test('every file stands in one of them', () => {
    expect(files.filter(({ file }) => layerOf(roomOf(file)) < 0).map(({ file }) => file)).toEqual([])
  })

  test('imports point up only', () => {
    const wrong: string[] = []
    for (const { file, text } of files) {
      const room = roomOf(file)
      for (const imported of importsOf(file, text)) {
        const other = roomOf(imported)
        if (other === room) continue
        const isUp = layerOf(other) < layerOf(room) || (LAYERS.at(-1)!.includes(room) && LAYERS.at(-1)!.includes(other))
        if (!isUp) wrong.push(`${file} -> ${imported}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test('only the wiring knows a concrete protocol', () => {
    const wrong = files.filter(
      ({ file, text }) =>
        roomOf(file) !== 'protocol/mysql' &&
        importsOf(file, text).some((path) => path.startsWith('protocol/mysql/')) &&
        !MAY_KNOW_A_PROTOCOL.includes(file),
    )
    expect(wrong.map(({ file }) => file)).toEqual([])
  })

  test('the lab knows no proxy internals', () => {
    const wrong = files
      .filter(({ file }) => roomOf(file) === 'lab')
      .flatMap(({ file, text }) => importsOf(file, text).map((path) => `${file} -> ${path}`))
      .filter((edge) => !LAB_MAY_IMPORT.includes(roomOf(edge.split(' -> ')[1]!)))
    expect(wrong).toEqual([])
  })
})

describe('every file', () => {
  test.each([
    ['opens with a comment that says what it is for', (text: string) => /^(#!.*\n)?(\/\/|\/\*)/.test(text)],
    ['has no default export', (text: string) => !/^export default/m.test(text)],
    ['has no any', (text: string) => !/(:\s*any\b|<any>|as any\b)/.test(text)],
    [
      'silences no check',
      (text: string) => !/@ts-(ignore|nocheck|expect-error)|eslint-disable|biome-ignore/.test(text),
    ],
  ])('%s', (_promise, holds) => {
    expect(files.filter(({ text }) => !holds(text)).map(({ file }) => file)).toEqual([])
  })

  test('prints only if it is a command or the lab', () => {
    const printing = files.filter(({ text }) => /\bconsole\.|process\.stdout/.test(text)).map(({ file }) => file)
    expect(printing.filter((file) => !['cli', 'main', 'lab'].includes(roomOf(file)))).toEqual([])
  })

  test('of the core does not speak of bytes on the wire', () => {
    const speaking = files.filter(
      ({ file, text }) => CORE.includes(roomOf(file)) && text.split('\n').some((line) => PROTOCOL_WORDS.test(line)),
    )
    expect(speaking.map(({ file }) => file)).toEqual([])
  })
})

test('unit tests touch no socket and no real time', () => {
  const folder = fileURLToPath(new URL('./', import.meta.url))
  const cores = ['sql', 'routing', 'pool', 'session', 'topology']
  const wrong = cores.flatMap((core) => {
    let found: string[] = []
    try {
      found = readdirSync(join(folder, core), { recursive: true, encoding: 'utf8' })
    } catch {
      return []
    }
    return found
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join(core, file))
      .filter((file) =>
        /\b(createServer|createConnection|setTimeout\(resolve)/.test(readFileSync(join(folder, file), 'utf8')),
      )
  })
  expect(wrong).toEqual([])
})
