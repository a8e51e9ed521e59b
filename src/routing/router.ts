// Where does this statement go? Pure: everything it needs is in its arguments, and every answer carries its reason.

import type { ErrorCode } from '../errors.ts'
import type { Classification, RouteHint } from '../sql/classification.ts'
import type { Backend, Topology } from '../topology/topology.ts'
import type { Need } from './floors.ts'
import { matches, type RouteName, type RoutingPolicy, type SessionTraits } from './policy.ts'
import { isCandidate, pickReader, type ReaderLoads } from './reader-picker.ts'

export type Route =
  | { readonly action: 'stay'; readonly target: string; readonly because: string; readonly ignoredHint: boolean }
  | Send
  | { readonly action: 'hold'; readonly target: string; readonly because: string }
  | { readonly action: 'reject'; readonly code: ErrorCode; readonly because: string }

export interface Send {
  readonly action: 'send'
  readonly backend: Backend
  readonly target: string
  readonly because: string
  /** The backend is not known to have this, and must be waited for; left out where it need not. */
  readonly awaits?: Need
  /** If it is waited for in vain, nobody else serves it. */
  readonly isLast?: true
  /** The writer serves what a reader would have served, had it what must be seen. */
  readonly insteadOfReader?: true
}

/** What the router sees of a session. */
export interface SessionView extends SessionTraits {
  readonly pinned: boolean
  readonly autocommit: boolean
  readonly override: RouteHint | null
  /** Where the session's last statement ran, while that connection is still at hand. */
  readonly lastBackend: Backend | null
  /** The only place where the newest values of user variables are known. */
  readonly variablesAt: Backend | null
  /** The route that came with the statement as an attribute. */
  readonly attribute: RouteName | null
  /** What a reader must have to answer this statement; null: nothing. */
  readonly need: Need | null
  /** A reader was waited for in vain. */
  readonly waited: boolean
}

/** What the router asks of the world besides the topology: who is busy, who is to be avoided, whose turn it is. */
export interface Loads extends ReaderLoads {
  /** Which of these will have it first; none: none is worth waiting for. */
  quickest(backends: readonly Backend[], need: Need, stalledToo?: boolean): readonly Backend[]
  /** The writer may take over one more read from readers that lack what must be seen. */
  readonly writerShareOpen: boolean
  readonly turn: number
}

/** Somebody's wish for a route, and whose it was. */
interface Wish {
  readonly route: RouteName
  readonly whose: string
  /** Said with this very statement by its author, who may know that it is a read where we cannot prove it. */
  readonly explicit: boolean
}

export function route(
  classification: Classification,
  session: SessionView,
  topology: Topology,
  policy: RoutingPolicy,
  loads: Loads,
): Route {
  const { access } = classification
  if (session.pinned) {
    const hint = classification.hint
    return { action: 'stay', target: 'pinned', because: 'the session is pinned', ignoredHint: hint !== null }
  }
  const wish = wishFor(classification, session, policy)
  if (wish.route === 'writer') return toWriter(topology, loads, `${wish.whose} asks for the writer`)
  if (classification.transaction === 'begin-read-only') {
    return toReaders(wish, session, topology, policy, loads, 'a read-only transaction')
  }
  const { variablesAt } = session
  if (access === 'read' && classification.facts.includes('user-variable') && variablesAt !== null) {
    const target = variablesAt.role === 'reader' ? 'reader' : 'writer'
    if (loads.usable(variablesAt) && (session.need === null || loads.reaches(variablesAt, session.need)))
      return { action: 'send', backend: variablesAt, target, because: 'reads user variables where they are' }
  }
  if (access === 'session') return toSessionPlace(classification, session, topology, loads)
  if (access === 'read' && session.autocommit)
    return toReaders(wish, session, topology, policy, loads, classification.because)
  if (access === 'read') return toWriter(topology, loads, 'autocommit is off: the read opens a transaction')
  if (wish.explicit && wish.route !== 'split' && leavesNothing(classification)) {
    return toReaders(wish, session, topology, policy, loads, `${wish.whose} vouches for it`)
  }
  return toWriter(topology, loads, classification.because)
}

function leavesNothing(classification: Classification): boolean {
  const { transaction, pins, assigns, assigned } = classification
  return transaction === 'none' && pins.length === 0 && assigns.length === 0 && assigned.length === 0
}

/** The strongest wish: hint, attribute, the session's own, rule, user, listener. */
function wishFor(classification: Classification, session: SessionView, policy: RoutingPolicy): Wish {
  const { hint } = classification
  if (hint !== null && hint.to !== 'auto') return { route: nameOf(hint), whose: 'a hint', explicit: true }
  if (session.attribute !== null) return { route: named(session.attribute), whose: 'an attribute', explicit: true }
  if (hint?.to === 'auto') return { route: 'split', whose: 'a hint', explicit: true }
  const { override } = session
  if (override !== null) return { route: nameOf(override), whose: '@sluice_route', explicit: false }
  for (const rule of policy.rules) {
    if (rule.route !== null && matches(rule, classification, session))
      return { route: rule.route, whose: `rule ${rule.name}`, explicit: false }
  }
  const userRoute = policy.userRoutes.get(session.user)
  if (userRoute !== undefined) return { route: userRoute, whose: 'the user', explicit: false }
  return policy.listenerRoute === 'split'
    ? TO_SPLIT
    : { route: policy.listenerRoute, whose: 'the listener', explicit: false }
}

/** What nearly every statement is asked for. */
const TO_SPLIT: Wish = { route: 'split', whose: 'the listener', explicit: false }

function nameOf(hint: RouteHint): RouteName {
  return hint.to === 'endpoint' ? (hint.endpoint ?? '') : named(hint.to)
}

function named(route: string): RouteName {
  return route === 'auto' ? 'split' : route
}

function writerIn(topology: Topology, loads: Loads): Backend | null {
  return topology.backends.find((backend) => backend.role === 'writer' && loads.usable(backend)) ?? null
}

function toWriter(topology: Topology, loads: Loads, because: string): Route {
  const backend = writerIn(topology, loads)
  if (backend === null) return { action: 'hold', target: 'writer', because: `${because}; no writer is known` }
  return { action: 'send', backend, target: 'writer', because }
}

/** SET, USE and questions about the session itself: where its last statement ran, else the writer, else anybody. */
function toSessionPlace(classification: Classification, session: SessionView, topology: Topology, loads: Loads): Route {
  const { because, facts } = classification
  const last = session.lastBackend
  if (facts.length > 0 && last !== null && loads.usable(last)) {
    return { action: 'send', backend: last, target: last.role === 'reader' ? 'reader' : 'writer', because }
  }
  const writer = writerIn(topology, loads)
  if (writer !== null) return { action: 'send', backend: writer, target: 'writer', because }
  const anybody = topology.backends.find((backend) => loads.usable(backend))
  if (anybody === undefined) return { action: 'hold', target: 'writer', because: `${because}; no backend is usable` }
  return { action: 'send', backend: anybody, target: 'reader', because: `${because}; no writer is known` }
}

function toReaders(
  wish: Wish,
  session: SessionView,
  topology: Topology,
  policy: RoutingPolicy,
  loads: Loads,
  because: string,
): Route {
  const endpoint = wish.route === 'split' || wish.route === 'reader' ? null : (policy.endpoints.get(wish.route) ?? null)
  if (endpoint === null && wish.route !== 'split' && wish.route !== 'reader') {
    const known = [...policy.endpoints.keys()].join(', ') || 'none'
    const text = `${wish.whose} names the endpoint '${wish.route}', which the settings do not have (they have: ${known})`
    return { action: 'reject', code: 'UNKNOWN_ENDPOINT', because: text }
  }
  const target = endpoint?.name ?? 'reader'
  const { need } = session
  // One turn for one decision: two would leave every other reader out.
  const { turn } = loads
  const backend = pickReader(topology.backends, endpoint, need, loads, turn)
  if (backend !== null) return { action: 'send', backend, target, because }
  const candidates = topology.backends.filter((each) => isCandidate(each, endpoint, loads))
  const whom = endpoint === null ? 'reader' : `member of ${endpoint.name}`
  const pick = (readers: readonly Backend[]) => pickReader(readers, endpoint, null, loads, turn)
  if (need !== null && candidates.some(({ weight }) => weight > 0))
    return toFresh(session, topology, loads, need, { candidates, target, because, whom, pick })
  if (policy.fallback === 'error') return { action: 'reject', code: 'NO_READER', because: `no usable ${whom}` }
  if (policy.fallback === 'wait') return { action: 'hold', target, because: `${because}; no usable ${whom}` }
  if (loads.writerShareOpen) return instead(topology, loads, `${because}; no usable ${whom}, so the writer serves it`)
  const late = topology.backends.find(({ role, health }) => role === 'reader' && health === 'behind')
  const full = `${because}; no usable ${whom}, and the writer serves its share of reads (reads.writerShareMax)`
  if (policy.beyondShare === 'error' || late === undefined) return { action: 'hold', target, because: full }
  return { action: 'send', backend: late, target, because: `${full}: this answer may be old` }
}

/** The writer, in place of a reader. */
function instead(topology: Topology, loads: Loads, because: string): Route {
  const decision = toWriter(topology, loads, because)
  return decision.action === 'send' ? { ...decision, insteadOfReader: true } : decision
}

interface Behind {
  readonly candidates: readonly Backend[]
  readonly target: string
  readonly because: string
  readonly whom: string
  readonly pick: (readers: readonly Backend[]) => Backend | null
}

/** There are readers, and none of them is known to have what must be seen. */
function toFresh(session: SessionView, topology: Topology, loads: Loads, need: Need, behind: Behind): Route {
  const { candidates, target, because, whom, pick } = behind
  const able = candidates.filter(({ weight }) => weight > 0)
  const quickest = session.waited ? null : pick(loads.quickest(able, need))
  const waits = `${because}; waits for what it must see`
  if (quickest !== null) return { action: 'send', backend: quickest, target, because: waits, awaits: need }
  if (loads.writerShareOpen) {
    const instead = toWriter(
      topology,
      loads,
      `${because}; no ${whom} has what it must see yet, so the writer serves it`,
    )
    return instead.action === 'send' ? { ...instead, insteadOfReader: true } : instead
  }
  const backend = pick(loads.quickest(able, need, true)) ?? able[0]!
  return { action: 'send', backend, target, because: waits, awaits: need, isLast: true }
}
