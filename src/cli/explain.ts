// sluice explain: what a statement does, where it would go and why. Asks no server: it pictures a writer and readers
// that are all up, and decides by the same functions that the proxy uses.

import { policyOf } from '../cluster-settings.ts'
import { type Config, findConfig, loadConfig } from '../config.ts'
import { createMysqlProtocol } from '../protocol/mysql/index.ts'
import { NO_SETTINGS } from '../protocol/settings.ts'
import type { RoutingPolicy } from '../routing/policy.ts'
import { type Loads, type Route, route, type SessionView } from '../routing/router.ts'
import { Sessions } from '../session/sessions.ts'
import type { Classification, PinReason } from '../sql/classification.ts'
import { createClassifier } from '../sql/classifier.ts'
import type { Backend, Role, Topology } from '../topology/topology.ts'
import { reportProblems } from './check.ts'
import type { ExitCode, Output } from './output.ts'

export interface ExplainOptions {
  readonly file: string | null
  readonly json?: true
  readonly listener?: string
  readonly user?: string
  readonly schema?: string
}

/** What scripts get; `because` is the reason for the target. */
export interface Explanation {
  readonly statements: number
  readonly access: string
  readonly target: string
  readonly pins: readonly PinReason[]
  readonly because: string
  readonly digest: string
  readonly digestText: string
  readonly transaction: string
  readonly facts: readonly string[]
}

export function explain(sql: string, options: ExplainOptions, output: Output): ExitCode {
  let config: Config | null
  try {
    config = findConfig(options.file, output.env) === null ? null : loadConfig(options.file, output.env).config
  } catch (error) {
    return reportProblems(error, output)
  }
  const listeners = config?.listeners ?? []
  const listener =
    options.listener === undefined ? listeners[0] : listeners.find(({ name }) => name === options.listener)
  if (options.listener !== undefined && listener === undefined) {
    const names = listeners.map(({ name }) => name).join(', ') || 'none'
    output.error(`there is no listener '${options.listener}'; expected one of: ${names}`)
    return 2
  }
  const text = Buffer.from(sql === '-' ? output.readInput() : sql)
  const cluster = config === null || listener === undefined ? null : config.clusters[listener.cluster]!
  const policy = config === null || listener === undefined ? SPLIT : policyOf(config, listener)
  const { safeFunctions, readProcedures } = cluster ?? { safeFunctions: [], readProcedures: [] }
  const classifier = createClassifier({ digestsMax: 1, safeFunctions, readProcedures })
  const context = sqlContextOf(cluster?.engine ?? 'auto')
  const classification = classifier.classify(text, context)
  const { user = '', schema = null } = options
  const explanation = explanationOf(classification, policy, pictureOf(cluster), { ...SESSION, user, schema })
  if (options.json) output.print(JSON.stringify(explanation))
  else for (const line of linesOf(explanation)) output.print(line)
  return 0
}

/** Without settings: every statement by what it does. */
const SPLIT: RoutingPolicy = {
  listenerRoute: 'split',
  userRoutes: new Map(),
  endpoints: new Map(),
  rules: [],
  fallback: 'writer',
  beyondShare: 'error',
  consistency: { level: 'service', monotonic: false },
  userConsistencies: new Map(),
}

const SESSION: SessionView = {
  pinned: false,
  autocommit: true,
  override: null,
  user: '',
  schema: null,
  clientAddress: '127.0.0.1',
  lastBackend: null,
  variablesAt: null,
  attribute: null,
  need: null,
  waited: false,
}

const LOADS: Loads = {
  outstanding: () => 0,
  usable: () => true,
  reaches: () => true,
  quickest: () => [],
  writerShareOpen: true,
  turn: 0,
}

function sqlContextOf(engine: 'auto' | 'mysql' | 'mariadb') {
  const version = engine === 'mariadb' ? '11.4.0-MariaDB' : '8.4.0'
  return createMysqlProtocol(() => 0).sqlContext(NO_SETTINGS, { version, modes: '' })
}

export function explanationOf(
  classification: Classification,
  policy: RoutingPolicy,
  topology: Topology,
  session: SessionView,
): Explanation {
  const { statements, access, digest, digestText, transaction, facts } = classification
  const { target, because } = destinationOf(classification, () =>
    route(classification, session, topology, policy, LOADS),
  )
  return { statements, access, target, pins: pinsOf(classification), because, digest, digestText, transaction, facts }
}

function destinationOf(classification: Classification, decide: () => Route): { target: string; because: string } {
  const { command, kill, because } = classification
  if (command !== null) return { target: 'proxy', because }
  if (kill !== null && kill.id !== null && new Sessions().issued(kill.id)) {
    return { target: 'proxy', because: 'the number is one that Sluice gave to a session' }
  }
  const decision = decide()
  const target = decision.action === 'reject' ? 'proxy' : decision.target
  return {
    target,
    because: decision.action === 'reject' ? `answered with an error: ${decision.because}` : decision.because,
  }
}

/** The reasons to pin that are left once the whole text has run. */
function pinsOf({ pins, transaction }: Classification): PinReason[] {
  const reasons = new Set<PinReason>()
  if (transaction === 'begin' || transaction === 'begin-read-only' || transaction === 'next') reasons.add('transaction')
  for (const { change, reason } of pins) {
    if (change === 'start') reasons.add(reason)
    else reasons.delete(reason)
  }
  return [...reasons]
}

/** A writer, a reader, and every address that the settings name as a reader. */
function pictureOf(cluster: Config['clusters'][string] | null): Topology {
  const named = Object.values(cluster?.endpoints ?? {}).flatMap(({ members }) => members ?? [])
  const readers = ['reader:0', ...new Set(named)]
  const backends = [backendOf('writer:0', 'writer'), ...readers.map((id) => backendOf(id, 'reader'))]
  return { cluster: '', epoch: 1, kind: null, writerEpoch: 1, backends }
}

function backendOf(id: string, role: Role): Backend {
  const why = 'as if'
  return { id, host: id, port: 0, role, health: 'up', lagMs: 0, weight: 1, version: null, sinceMs: 0, why }
}

function linesOf(explanation: Explanation): string[] {
  const { target, access, because, pins, statements, transaction, facts, digest, digestText } = explanation
  const rows: readonly (readonly [string, string])[] = [
    ['goes to', target],
    ['because', because],
    ['access', access],
    ['pins', pins.join(', ') || 'none'],
    ['transaction', transaction],
    ['asks for', facts.join(', ') || 'nothing of its session'],
    ['statements', String(statements)],
    ['digest', digest],
    ['text', digestText],
  ]
  return rows.map(([name, value]) => `${name.padEnd(12)} ${value}`)
}
