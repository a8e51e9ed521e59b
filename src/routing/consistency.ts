// How fresh must a read be? What the operator, the session and the statement say about it, strongest first. Pure.

import type { Classification } from '../sql/classification.ts'
import { matches, type RoutingPolicy, type SessionTraits } from './policy.ts'

/**
 * `eventual`: as fresh as readers are. `session`: what this session wrote is there. `service`: what any session of this
 * proxy was told is committed is there. `global`: all that was committed before the read began is there, whoever wrote it.
 */
export const CONSISTENCY_LEVELS = ['eventual', 'session', 'service', 'global'] as const
export type ConsistencyLevel = (typeof CONSISTENCY_LEVELS)[number]

export interface Consistency {
  readonly level: ConsistencyLevel
  /** A session never sees an older state than it has seen before. */
  readonly monotonic: boolean
}

/** What somebody says about it; null: nothing, so that the next weaker word counts. */
export type ConsistencyWish = { readonly [Key in keyof Consistency]: Consistency[Key] | null }

/** What sessions say how fresh their reads must be by: `SET @sluice_consistency = …`, and `SET @sluice_monotonic = …`. */
export const CONSISTENCY_VARIABLE = 'sluice_consistency'
export const MONOTONIC_VARIABLE = 'sluice_monotonic'

export function isConsistencyLevel(word: string): word is ConsistencyLevel {
  return (CONSISTENCY_LEVELS as readonly string[]).includes(word)
}

/** The strongest word: hint, the session's own, rule, user, listener and cluster. */
export function consistencyOf(
  classification: Classification,
  session: SessionTraits & { readonly consistency: ConsistencyWish | null },
  policy: RoutingPolicy,
): Consistency {
  const { freshness } = classification
  const own = session.consistency
  const { userConsistencies, rules, consistency } = policy
  if (freshness === null && own === null && rules.length === 0 && userConsistencies.size === 0) return consistency
  const rule = rules.find((each) => each.consistency !== null && matches(each, classification, session))?.consistency
  const user = userConsistencies.get(session.user)
  return {
    level: freshness?.consistency ?? own?.level ?? rule?.level ?? user?.level ?? consistency.level,
    monotonic: freshness?.monotonic ?? own?.monotonic ?? rule?.monotonic ?? user?.monotonic ?? consistency.monotonic,
  }
}
