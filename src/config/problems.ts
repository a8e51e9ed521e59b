// What is wrong with settings, in words: "what is wrong; what is expected". Never repeats a secret.

import { closest, distance } from 'fastest-levenshtein'
import type { z } from 'zod'
import type { Path } from './source.ts'

const SHOWN_MAX = 60

export interface Finding {
  readonly path: Path
  /** What to point at: the value, or the key before it. */
  readonly what: 'value' | 'key'
  readonly text: string
}

/** `listeners[0].bind`. */
export function nameOf(path: Path): string {
  let name = ''
  for (const step of path)
    name += typeof step === 'number' ? `[${step}]` : name === '' ? String(step) : `.${String(step)}`
  return name === '' ? 'the file' : name
}

/** `; did you mean 'x'?`, or what there is. */
export function suggestion(wrong: string, known: readonly string[]): string {
  if (known.length === 0) return 'expected none'
  const near = closest(
    wrong.toLowerCase(),
    known.map((word) => word.toLowerCase()),
  )
  const meant = known.find((word) => word.toLowerCase() === near)!
  if (distance(wrong.toLowerCase(), near) <= Math.max(2, Math.floor(wrong.length / 3)))
    return `did you mean '${meant}'?`
  return `expected ${known.length === 1 ? `'${known[0]}'` : `one of ${known.join(', ')}`}`
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of settings',
  record: 'a map of names',
}

/** One of zod's issues, as findings. `root` is what was checked, `knownKeys` tells the keys a map may have. */
export function findingsOf(
  issue: z.core.$ZodIssue,
  root: unknown,
  knownKeys: (path: Path) => readonly string[],
): Finding[] {
  const { path } = issue
  const name = nameOf(path)
  const value = valueAt(root, path)
  const wrong = (text: string): Finding[] => [{ path, what: 'value', text: `${name} ${text}` }]

  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...path, key],
        what: 'key',
        text: `${path.length === 0 ? 'there is no setting' : `${name} has no setting`} '${key}'; ${suggestion(key, knownKeys(path))}`,
      }))
    case 'invalid_type': {
      const expected = KINDS[issue.expected] ?? issue.expected
      if (value === undefined || value === null) return wrong(`is missing; expected ${expected}`)
      const hint =
        issue.expected === 'string' && typeof value !== 'object' ? ' (in quotes, if it is meant to be one)' : ''
      return wrong(`is ${describe(value, path)}; expected ${expected}${hint}`)
    }
    case 'invalid_value': {
      const values = issue.values.map(String)
      if (value === undefined || value === null) return wrong(`is missing; expected one of ${values.join(', ')}`)
      if (typeof value !== 'string') return wrong(`is ${describe(value, path)}; expected one of ${values.join(', ')}`)
      return wrong(`is '${inLine(value)}'; expected ${values.length === 1 ? values[0] : `one of ${values.join(', ')}`}`)
    }
    case 'too_small':
      if (issue.origin === 'array') return wrong('is empty; expected one or more')
      if (issue.origin === 'string') return wrong('is empty; expected a text')
      return wrong(`is ${describe(value, path)}; expected ${issue.minimum} or more`)
    case 'too_big':
      return wrong(`is ${describe(value, path)}; expected ${issue.maximum} or less`)
    case 'invalid_format':
      return wrong(`is ${describe(value, path)}; expected ${issue.message}`)
    case 'invalid_key':
      return [{ path, what: 'key', text: `'${String(path.at(-1))}' is no name; expected ${issue.issues[0]?.message}` }]
    default:
      return wrong(issue.message)
  }
}

const SECRETS = ['password', 'passwordHash', 'key', 'rsaKey']

function describe(value: unknown, path: Path): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a map'
  if (SECRETS.some((secret) => path.includes(secret))) return `a ${typeof value === 'string' ? 'text' : typeof value}`
  return typeof value === 'string' ? `'${inLine(value)}'` : String(value)
}

/** On one line, and not too much of it. */
function inLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > SHOWN_MAX ? `${line.slice(0, SHOWN_MAX)}…` : line
}

export function valueAt(root: unknown, path: Path): unknown {
  let value = root
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<PropertyKey, unknown>)[step]
  }
  return value
}
