// The text of a settings file: YAML in, plain values out, environment variables put in, and where everything stands.

import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from 'yaml'

export type Path = readonly PropertyKey[]

/** Something wrong with the settings. An operator gets `at: text`. */
export interface Problem {
  readonly line: number
  readonly column: number
  readonly text: string
}

export interface Source {
  readonly value: unknown
  readonly problems: readonly Problem[]
  /** Where the first password stands that is neither `${…}` nor `file:…`; null if none does. */
  readonly literalSecret: { readonly line: number; readonly column: number } | null
  /** Where the value at `path` begins; of the nearest part that is there, if it is not. `key`: where its key stands. */
  locate(path: Path, what?: 'value' | 'key'): { readonly line: number; readonly column: number }
}

const NOT_YAML = 'this is not YAML'

export type Environment = Readonly<Record<string, string | undefined>>

/** `${NAME}`, `${NAME:-default}`, and with one more `$` in front the same taken literally. */
const REFERENCE = /\$?\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}'"\r\n]*)?\}/g
const MASK = 0xe000
const MASKED = /[\ue021-\ue07e]/g

/**
 * Braces, commas and colons mean something to YAML, above all in `{ password: ${APP_PW} }`. While it parses, references
 * are therefore written in characters of no meaning, one for one, so that every position stays what it was.
 */
function mask(text: string): string {
  return text.replace(REFERENCE, (reference) =>
    reference.replace(/[!-/:-@[-`{-~]/g, (char) => String.fromCharCode(MASK + char.charCodeAt(0))),
  )
}

function unmask(text: string): string {
  return text.replace(MASKED, (char) => String.fromCharCode(char.charCodeAt(0) - MASK))
}

/** Puts environment variables in. `complain` is called with what is wrong. */
function substitute(text: string, env: Environment, complain: (text: string) => void): string {
  return text.replace(/\$\$\{|\$\{([^}]*)(\}?)/g, (whole, inside: string | undefined, close: string | undefined) => {
    if (inside === undefined) return '${'
    const match = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s.exec(inside)
    if (match === null || close === '') {
      complain(
        `'${whole}' does not refer to an environment variable; expected \${NAME} or \${NAME:-default}, or $\${ for a literal \${`,
      )
      return ''
    }
    const [, name = '', fallback] = match
    const value = env[name]
    if (fallback !== undefined) return value === undefined || value === '' ? fallback : value
    if (value !== undefined) return value
    complain(`the environment variable ${name} is not set; set it, or give a default as in \${${name}:-default}`)
    return ''
  })
}

/** Keys whose value is nobody else's to read. */
const SECRETS: ReadonlySet<string> = new Set(['password', 'passwordHash'])

export function readSource(text: string, env: Environment): Source {
  const lines = new LineCounter()
  const problems: Problem[] = []
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  const document = parseDocument(mask(text), {
    lineCounter: lines,
    prettyErrors: false,
    merge: true,
    logLevel: 'error',
  })
  for (const error of document.errors) {
    problems.push({ ...at(error.pos[0]), text: `${NOT_YAML}: ${yamlComplaint(unmask(error.message))}` })
  }
  let isSound = document.errors.length === 0
  const unsound = (node: Node, text: string) => {
    isSound = false
    problems.push({ ...at(node.range![0]), text })
  }
  let literalSecret: Source['literalSecret'] = null
  visit(document, {
    Alias: (_, node) => {
      if (node.resolve(document) !== undefined) return
      unsound(node, `*${node.source} refers to nothing; expected an anchor &${node.source} before it`)
    },
    Pair: (_, { key, value }) => {
      if (isMap(key) || isSeq(key)) unsound(key, 'a map or list where a key should be; expected a name')
      if (isScalar(key) && key.source === '<<' && !isMap(value) && !isAlias(value)) {
        unsound(key, '<< merges nothing; expected an alias of a map')
      }
      if (!isScalar(key) || !SECRETS.has(String(key.value)) || !isScalar(value) || typeof value.value !== 'string')
        return
      const written = unmask(value.value)
      if (!written.includes('${') && !written.startsWith('file:')) literalSecret ??= at(value.range![0])
    },
    Scalar: (_, node) => {
      if (typeof node.value !== 'string') return
      const written = unmask(node.value)
      node.value = written.includes('${')
        ? substitute(written, env, (complaint) => problems.push({ ...at(node.range![0]), text: complaint }))
        : written
    },
  })
  const value = isSound ? plainValue(document, (text) => problems.push({ ...at(0), text })) : undefined
  return { value, problems, literalSecret, locate: (path, what = 'value') => at(offsetOf(document, path, what)) }
}

/** What refers to itself a billion times has no value. */
function plainValue(document: Document, complain: (text: string) => void): unknown {
  try {
    return document.toJS()
  } catch (error) {
    complain(`${NOT_YAML}: ${yamlComplaint((error as Error).message)}`)
    return undefined
  }
}

/** The parser's sentence, with its cure where it is not plain. */
function yamlComplaint(message: string): string {
  const [first = ''] = message.split('\n')
  if (/unique/.test(first)) return 'the same key twice in one map; expected it once'
  if (/tab/i.test(first)) return `${first}; expected spaces`
  return `${first.replace(/\.$/, '')}; expected a map of settings`
}

function offsetOf(document: Document, path: Path, what: 'value' | 'key'): number {
  let node: Node | null = document.contents as Node | null
  let offset = node?.range?.[0] ?? 0
  for (const [at, step] of path.entries()) {
    if (isAlias(node)) node = (node.resolve(document) ?? null) as Node | null
    const isLast = at === path.length - 1
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && keyOf(item) === String(step)) as Pair | undefined
      const key = pair?.key as Node | undefined
      if (pair === undefined || key === undefined) return offset
      node = pair.value as Node | null
      offset = (isLast && what === 'key' ? key.range?.[0] : (node?.range?.[0] ?? key.range?.[0])) ?? offset
    } else if (isSeq(node)) {
      const item = node.items[Number(step)] as Node | undefined
      if (item === undefined) return offset
      node = item
      offset = node.range?.[0] ?? offset
    } else return offset
  }
  return offset
}

function keyOf(pair: Pair): string | null {
  return isScalar(pair.key) ? String(pair.key.value) : null
}
