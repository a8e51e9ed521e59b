// What does this statement do? One pass over its bytes, then one look-up; the rules run once per digest. Pure: no await, no
// log, no clock.

import { changesRights } from './accounts.ts'
import { behindKill } from './behind-kill.ts'
import { familyOf } from './charsets.ts'
import type {
  Classification,
  PinChange,
  Release,
  SessionFact,
  SluiceCommand,
  TransactionEffect,
} from './classification.ts'
import type { SqlContext } from './dialects.ts'
import { digest } from './digest.ts'
import { digestText } from './digest-text.ts'
import { type Effect, effect, type Statement } from './effect.ts'
import { pinsInSchema } from './held.ts'
import { freshnessHint, hintMix, routeHint } from './hints.ts'
import { scan } from './lexer.ts'
import { Memory } from './memory.ts'
import { withOwnId } from './own-id.ts'
import { partsOf } from './parts.ts'
import { type Shape, shapeOf } from './shape.ts'
import { effectOf } from './statement.ts'
import type { Vouched } from './survey.ts'
import { Text } from './text.ts'
import { type LexRules, Tokens } from './tokens.ts'

export type { Dialect, Engine, SqlContext } from './dialects.ts'
export { mariadb, mysql } from './dialects.ts'

export interface ClassifierOptions {
  /** How many answers are remembered. */
  readonly digestsMax: number
  /** Functions the operator vouches for: `f`, or `db.f` for that schema's only. */
  readonly safeFunctions?: readonly string[]
  /** Procedures that only read, in the same form. */
  readonly readProcedures?: readonly string[]
  /** Keys the memory, so that nobody can make two texts share an answer. Any number; random per process. */
  readonly secret?: number
}

export interface Classifier {
  classify(sql: Buffer, context: SqlContext): Classification
  /** A reader refused what was thought a read: its digest is a write from now on. */
  learn(classification: Classification): void
  /** The text with a session's own number where it asks for the connection's; null: as it is. */
  withOwnId(sql: Buffer, context: SqlContext, id: number): Buffer | null
  /** What the text has behind its KILL of `id`; null: nothing. */
  behindKill(sql: Buffer, context: SqlContext, id: number): Buffer | null
}

/** Texts in texts are looked into this deep. */
const DEPTH_MAX = 2

/** What the lexer must know, and what a session's modes add to the key of an answer. */
interface Reading {
  readonly rules: LexRules
  readonly mix: number
}

export function createClassifier(options: ClassifierOptions): Classifier {
  const memory = new Memory(options.digestsMax)
  const learned = new Map<string, true>()
  const secret = (options.secret ?? Math.floor(Math.random() * 0x7fffffff)) | 1
  const vouched: Vouched = { functions: lowered(options.safeFunctions), procedures: lowered(options.readProcedures) }
  const tokens = new Tokens()
  const readings = new WeakMap<SqlContext, Reading>()
  let lastContext: SqlContext | null = null
  let lastReading: Reading | null = null

  function readingOf(context: SqlContext): Reading {
    if (context === lastContext) return lastReading!
    let reading = readings.get(context)
    if (reading === undefined) {
      reading = newReading(context, secret)
      readings.set(context, reading)
    }
    lastContext = context
    lastReading = reading
    return reading
  }

  function classify(sql: Buffer, context: SqlContext): Classification {
    const { rules, mix } = readingOf(context)
    scan(sql, rules, tokens)
    digest(tokens, secret)
    const { high, low, doubt, hint: route, freshness, afterTo } = tokens
    const isPlain = route === 0 && freshness === 0 && afterTo === 0
    const guard = isPlain ? tokens.guard ^ mix : Math.imul(tokens.guard ^ mix ^ hintMix(sql, tokens), 0x01000193)
    if (doubt === null) {
      const known = memory.find(high, low, guard)
      if (known !== null) {
        tokens.shrink()
        return known
      }
    }
    const { classification, literal } = classifyTokens(sql, tokens, context, vouched)
    const answer = learned.has(classification.digest) ? asWrite(classification) : classification
    if (!literal && doubt === null) memory.keep(high, low, guard, answer)
    tokens.shrink()
    return answer
  }

  return {
    classify,
    learn(classification) {
      const halves = classification.digest
      if (learned.size >= options.digestsMax) learned.delete(learned.keys().next().value!)
      learned.set(halves, true)
      memory.change(Number.parseInt(halves.slice(0, 8), 16) | 0, Number.parseInt(halves.slice(8), 16) | 0, asWrite)
    },
    behindKill(sql, context, id) {
      const tokens = new Tokens()
      scan(sql, rulesOf(context), tokens)
      return behindKill(sql, new Text(sql, tokens), context, id)
    },
    withOwnId(sql, context, id) {
      return withOwnIdAt(DEPTH_MAX, sql, context, id)
    },
  }
}

function withOwnIdAt(depth: number, sql: Buffer, context: SqlContext, id: number): Buffer | null {
  if (depth === 0) return null
  const tokens = new Tokens()
  scan(sql, rulesOf(context), tokens)
  if (tokens.doubt !== null || tokens.headOnly) return null
  const inner = (text: Buffer) => withOwnIdAt(depth - 1, text, context, id)
  return withOwnId(sql, new Text(sql, tokens), { id, context, inner })
}

function asWrite(classification: Classification): Classification {
  return { ...classification, access: 'write', because: 'a reader refused it before', plain: false }
}

function isPlain(classification: Omit<Classification, 'plain'>): boolean {
  const { access, statements, shapes, transaction, tables, hint, freshness, kill, command } = classification
  if (access !== 'read' || statements !== 1 || transaction !== 'none') return false
  if (shapes[0]!.verb !== 'select' || shapes[0]!.skipsRows) return false
  if (hint !== null || freshness !== null || kill !== null || command !== null) return false
  const { pins, facts, assigns, assigned, routines } = classification
  const isQuiet = [pins, facts, assigns, assigned, routines].every(({ length }) => length === 0)
  return isQuiet && tables !== null && tables.length > 0
}

function lowered(names: readonly string[] | undefined): ReadonlySet<string> {
  return new Set(names?.map((name) => name.toLowerCase()))
}

/** How the lexer must read a text in this context; `secret` keys the hashes alone. */
export function rulesOf(context: SqlContext, secret = 1): LexRules {
  const { dialect, version, ansiQuotes, noBackslashEscapes, ignoreSpace, charset } = context
  return {
    mariadb: dialect.engine === 'mariadb',
    version,
    ansiQuotes,
    noBackslashEscapes,
    ignoreSpace,
    family: familyOf(charset),
    secret,
  }
}

function newReading(context: SqlContext, secret: number): Reading {
  const rules = rulesOf(context, secret)
  let mix = secret
  const key = JSON.stringify([{ ...rules, secret: 0 }, context.systemSchema === true])
  for (let at = 0; at < key.length; at++) mix = Math.imul(mix ^ key.charCodeAt(at), 0x01000193)
  return { rules, mix }
}

function classifyTokens(
  sql: Buffer,
  tokens: Tokens,
  context: SqlContext,
  vouched: Vouched,
): { readonly classification: Classification; readonly literal: boolean } {
  const text = new Text(sql, tokens)
  const command = commandOf(text)
  const hint = routeHint(sql, tokens)
  const freshness = freshnessHint(sql, tokens)
  const { doubt } = tokens
  const normalised = digestText(text)
  const { shapes, combined } = command === null ? textEffect(text, context, vouched, DEPTH_MAX) : ownEffect(text)
  const { access, because, transaction, release, releaseMidway, pins } = combined
  const { facts, assigns, routines, tables, kill, rights, literal } = combined
  const known: Omit<Classification, 'plain'> = {
    access: doubt === null ? access : 'write',
    because: doubt === null ? because : `cannot be read with certainty: ${doubt}`,
    statements: shapes.length,
    shapes,
    digest: hex(tokens.high) + hex(tokens.low),
    digestText: normalised,
    transaction,
    release,
    releaseMidway,
    pins: pins.filter((pin) => !isVariable(pin)),
    facts,
    assigns,
    assigned: [...new Set(pins.filter(isVariable).map(({ name }) => name ?? ''))],
    routines,
    tables: doubt === null ? tables : null,
    hint,
    freshness,
    kill,
    rights,
    command,
  }
  const classification = { ...known, plain: isPlain(known) }
  return { classification, literal: literal || command !== null || freshness?.after != null }
}

/** To the rules an assigned variable is like all that stays behind on a connection; only this one can be moved. */
function isVariable({ reason }: PinChange): boolean {
  return reason === 'user-variable'
}

/** What a text does in all, and what its statements are made of. */
interface TextEffect {
  readonly shapes: readonly Shape[]
  readonly combined: Effect
}

function ownEffect(text: Text): TextEffect {
  const combined = effect('session', 'is a command of our own')
  return { shapes: [shapeOf(text, 0, text.count, combined)], combined }
}

function textEffect(text: Text, context: SqlContext, vouched: Vouched, depth: number): TextEffect {
  const parts = partsOf(text, context)
  const effects = parts.map(({ from, to }) => {
    const one = effectOf({ text, from, to, context, vouched, depth }, innerEffect)
    return changesRights(text, from, to) ? { ...one, rights: true } : one
  })
  const shapes = parts.map(({ from, to }, at) => shapeOf(text, from, to, effects[at]!))
  return { shapes, combined: combine(effects) }
}

/** What a text inside of a statement does. */
function innerEffect(sql: string, { context, vouched, depth }: Statement): Effect {
  const bytes = Buffer.from(sql)
  const tokens = new Tokens()
  scan(bytes, rulesOf(context), tokens)
  const { combined } = textEffect(new Text(bytes, tokens), context, vouched, depth - 1)
  if (tokens.doubt === null) return combined
  return { ...combined, access: 'write', because: `cannot be read with certainty: ${tokens.doubt}` }
}

/** One answer for a text of several statements: a write if any part is. */
function combine(effects: readonly Effect[]): Effect {
  const [first] = effects
  if (first === undefined) return effect('write', 'is empty')
  if (effects.length === 1) return first
  const pins: PinChange[] = []
  const facts = new Set<SessionFact>()
  // As far as the text itself says which one is current.
  let schema: string | null = null
  for (const one of effects) {
    pins.push(...pinsInSchema(one.pins, schema))
    schema = one.assigns.find(({ scope }) => scope === 'schema')?.value ?? schema
    for (const fact of one.facts) facts.add(fact)
  }
  const tables = new Set<string>()
  for (const one of effects) for (const table of one.tables ?? []) tables.add(table)
  const { access, because } = accessOf(effects)
  return {
    access,
    because,
    transaction: transactionOf(effects),
    release: effects.at(-1)!.release,
    releaseMidway: strongest(effects.slice(0, -1)),
    pins,
    facts: [...facts],
    assigns: effects.flatMap(({ assigns }) => assigns),
    routines: effects.flatMap(({ routines }) => routines),
    tables: effects.some((one) => one.tables === null) ? null : [...tables],
    kill: effects.find(({ kill }) => kill !== null)?.kill ?? null,
    rights: effects.some(({ rights }) => rights),
    literal: effects.some(({ literal }) => literal),
  }
}

function strongest(effects: readonly Effect[]): Release {
  const all = effects.map(({ release }) => release)
  return all.find((release) => release === 'yes') ?? all.find((release) => release === 'as set') ?? 'no'
}

/** The last word. A read-only transaction is one to the router only if nothing comes with its begin that needs the writer. */
function transactionOf(effects: readonly Effect[]): TransactionEffect {
  const last = effects.findLast(({ transaction }) => transaction !== 'none')?.transaction ?? 'none'
  if (last !== 'begin-read-only') return last
  const harmless = effects.every(
    ({ access, pins }) => access !== 'write' && !pins.some(({ change }) => change === 'start'),
  )
  return harmless ? last : 'begin'
}

function accessOf(effects: readonly Effect[]): Pick<Effect, 'access' | 'because'> {
  const write = effects.find(({ access }) => access === 'write')
  if (write !== undefined) return { access: 'write', because: `one of ${effects.length} statements ${write.because}` }
  const session = effects.find(({ access }) => access === 'session')
  const changes = effects.some(({ assigns, transaction }) => assigns.length > 0 || transaction !== 'none')
  if (session !== undefined && changes) {
    return { access: 'write', because: 'changes the session among other things' }
  }
  if (session !== undefined) return { access: 'session', because: session.because }
  return { access: 'read', because: `all ${effects.length} statements only read` }
}

function commandOf(text: Text): SluiceCommand | null {
  if (text.lower(0) !== 'sluice') return null
  const verb = text.lower(1)
  if (verb === 'explain') return text.count > 2 ? { name: 'explain', sql: text.behind(1) } : null
  const end = text.op(3, 0x3b) ? 4 : 3
  if (verb !== 'show' || text.count !== end) return null
  const what = text.lower(2)
  for (const name of ['session', 'topology', 'position'] as const) if (what === name) return { name: `show ${name}` }
  return null
}

function hex(half: number): string {
  return (half >>> 0).toString(16).padStart(8, '0')
}
