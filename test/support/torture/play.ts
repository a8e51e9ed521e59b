// A play of the torture: sessions with their moves in one order, made from a seed.

import type { EngineName } from '../../../src/lab/index.ts'
import { CAPABILITY } from '../../../src/protocol/mysql/messages.ts'
import { CLIENTS } from '../differential.ts'
import { Author } from './author.ts'
import * as held from './held-ideas.ts'
import type { Move } from './moves.ts'
import { isOn } from './off.ts'
import * as plain from './plain-ideas.ts'
import { Random } from './random.ts'
import * as routine from './routine-ideas.ts'
import type { Variable } from './variables.ts'

export interface Role {
  /** Of its schema, too. */
  readonly name: string
  /** The schema it logs in with. */
  readonly schema: string | null
  readonly capabilities: number
  readonly sessionTrack: boolean
}

export interface Play {
  readonly seed: number
  readonly engine: EngineName
  readonly roles: readonly Role[]
  readonly moves: readonly { readonly role: number; readonly move: Move }[]
  /** Of each backend. */
  readonly connectionsMax: number
  readonly withReaders: boolean
  /** One move at a time, as far as they do not have to wait for each other; or all sessions at once. */
  readonly pace: 'turns' | 'crowd'
}

const { DEPRECATE_EOF, MULTI_RESULTS, PS_MULTI_RESULTS, MULTI_STATEMENTS, FOUND_ROWS, IGNORE_SPACE, INTERACTIVE } =
  CAPABILITY
const RESULTS = MULTI_RESULTS | PS_MULTI_RESULTS

/** What clients are like. Those of one kind share connections, so few kinds make a crowd. */
const KINDS: readonly { readonly capabilities: number; readonly sessionTrack: boolean }[] = [
  ...CLIENTS.map(([, kind]) => kind),
  { capabilities: DEPRECATE_EOF | RESULTS, sessionTrack: false },
  // Whoever has trackers has DEPRECATE_EOF as well: where rows end in an EOF, what is tracked comes with another's OK.
  { capabilities: RESULTS | MULTI_STATEMENTS, sessionTrack: false },
  { capabilities: DEPRECATE_EOF | RESULTS | INTERACTIVE, sessionTrack: true },
  ...(isOn('ignore-space', 'mysql')
    ? [{ capabilities: DEPRECATE_EOF | RESULTS | IGNORE_SPACE, sessionTrack: true }]
    : []),
]

const IDEAS: readonly (readonly [number, plain.Idea])[] = [
  [14, plain.setVariable],
  [4, plain.setNames],
  [8, plain.insert],
  [5, plain.change],
  [8, plain.read],
  [8, plain.symptom],
  [9, plain.question],
  [8, plain.trouble],
  [3, plain.ddl],
  [2, plain.schemas],
  [2, plain.ping],
  [3, plain.aside],
  [5, held.clientPrepared],
  [8, held.executeAgain],
  [4, held.transaction],
  [2, held.readOnlyTransaction],
  [2, held.manualCommit],
  [2, held.temporaryTable],
  [1, held.namedLock],
  [1, held.tableLock],
  [1, held.handlerOpen],
  [1, held.xa],
  [2, held.sqlPrepared],
  [1, held.cursor],
  [1, held.userVariables],
  [2, held.startOver],
  [2, held.once],
  [1, held.foundRows],
  [3, held.prepareFails],
  [3, routine.calls],
  [1, routine.comesOut],
  [1, routine.leavesOpen],
]
const WITH_SEVERAL: typeof IDEAS = [...IDEAS, [6, plain.several]]

export interface PlaySettings {
  readonly seed: number
  readonly engine: EngineName
  readonly sessions: number
  readonly movesMin: number
  readonly variables: readonly Variable[]
}

export function writePlay({ seed, engine, sessions, movesMin, variables }: PlaySettings): Play {
  const random = new Random(seed)
  const kinds = random.chance(0.7) ? [random.pick(KINDS)] : [random.pick(KINDS), random.pick(KINDS)]
  const withReaders = random.chance(0.3)
  const pace = random.chance(0.7) ? 'turns' : 'crowd'
  const connectionsMax = random.pick([1, 2, 2, 3])
  const roles: Role[] = []
  const scripts: Move[][] = []
  for (let index = 0; index < sessions; index++) {
    const kind = random.pick(kinds)
    const name = `torture_${index}`
    const role = { name, schema: random.chance(0.85) ? name : null, ...kind }
    roles.push(role)
    scripts.push(script(random.fork(), engine, role, { movesMin, variables }))
  }
  return { seed, engine, roles, moves: shuffled(scripts, random), connectionsMax, withReaders, pace }
}

function script(
  random: Random,
  engine: EngineName,
  role: Role,
  { movesMin, variables }: { movesMin: number; variables: readonly Variable[] },
): Move[] {
  const multi = (role.capabilities & MULTI_STATEMENTS) !== 0
  const author = new Author(random, engine, role.name, { multi, variables })
  const ideas = multi ? WITH_SEVERAL : IDEAS
  if (role.schema === null) author.sql('SELECT DATABASE()', `USE ${role.name}`)
  while (author.moves.length < movesMin) random.weighted(ideas)(author)
  author.sql('SHOW WARNINGS', 'SELECT LAST_INSERT_ID()', 'ROLLBACK', `USE ${role.name}`, 'SELECT * FROM t ORDER BY id')
  author.sql('SELECT @@sql_mode, @@time_zone, @@collation_connection, @@character_set_results, @@sql_select_limit')
  return multi ? joined(author.moves, random) : author.moves
}

/** Some statements come together with the one before them, in one text. */
function joined(moves: readonly Move[], random: Random): Move[] {
  const all: Move[] = []
  for (const move of moves) {
    const before = all.at(-1)
    if (before?.kind === 'sql' && move.kind === 'sql' && random.chance(JOINED) && !mayMiss(before.sql, move.sql)) {
      all[all.length - 1] = { kind: 'sql', sql: `${before.sql}; ${move.sql}` }
    } else all.push(move)
  }
  return all
}

const JOINED = 0.15

/** A list of conditions behind a count of them is known to be empty where another session has had the connection. */
function mayMiss(before: string, sql: string): boolean {
  return /show count[^;]*$/i.test(before) && /^show (warnings|errors)/i.test(sql)
}

/** Whose turn it is changes all the time, and each session's own order stays. */
function shuffled(scripts: readonly (readonly Move[])[], random: Random): Play['moves'] {
  const nexts = scripts.map(() => 0)
  const order = scripts.flatMap((moves, role) => moves.map(() => role))
  for (let at = order.length - 1; at > 0; at--) {
    const other = random.below(at + 1)
    const kept = order[at]!
    order[at] = order[other]!
    order[other] = kept
  }
  return order.map((role) => ({ role, move: scripts[role]![nexts[role]!++]! }))
}

/** FOUND_ROWS changes what UPDATE answers; named here for the printout. */
export function kindOf({ capabilities, sessionTrack }: Role): string {
  const names = Object.entries({ DEPRECATE_EOF, MULTI_STATEMENTS, FOUND_ROWS, IGNORE_SPACE, INTERACTIVE })
  const has = names.filter(([, bit]) => (capabilities & bit) !== 0).map(([name]) => name)
  return [...has, ...(sessionTrack ? ['SESSION_TRACK'] : [])].join(' ')
}
