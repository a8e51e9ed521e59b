// A cluster as a monitor would know it, made by saying what each server claims, step by step.

import { type Claim, type Position, ProbeFailed, type ProbeFailure, type Source } from '../../../src/topology/claim.ts'
import { answered, doubted, missed, type Observation, unobserved } from '../../../src/topology/observation.ts'
import { type Backend, nextTopology, type Topology, type TopologyPolicy } from '../../../src/topology/topology.ts'

/** Counts up: it has all that a smaller one has. */
export function at(count: number): Position {
  return {
    text: String(count),
    lacks: (target, base) => count < Number(target.text) && Number(base?.text ?? 0) < Number(target.text),
    plus: (others) => at(Math.max(count, ...others.map(({ text }) => Number(text)))),
  }
}

export function claim(change: Partial<Claim> = {}): Claim {
  return {
    version: '9.7.0',
    readOnly: false,
    sharedStorage: false,
    serverId: '',
    sources: [],
    position: null,
    lagMs: null,
    roster: null,
    note: null,
    ...change,
  }
}

export function source(id: string, change: Partial<Source> = {}): Source {
  return { address: id, serverId: `number of ${id}`, receiving: 'yes', applying: true, error: null, ...change }
}

/** Takes writes. */
export const writing = (change: Partial<Claim> = {}) => claim(change)
/** Takes none, and replicates from that server. */
export const following = (id: string, change: Partial<Claim> = {}) =>
  claim({ readOnly: true, sources: [source(id)], lagMs: 0, ...change })

const POLICY: TopologyPolicy = { kind: 'auto', writer: null, lagMsMax: 1_000, failuresToDown: 3, successesToUp: 1 }

/** What a server does in a step: answers so, fails so, or is doubted for that reason. */
export type Step = Claim | ProbeFailure | `doubt: ${string}`
export type Round = Readonly<Record<string, Step>>

export class Watched {
  topology: Topology = { cluster: 'main', epoch: 0, kind: null, writerEpoch: 0, backends: [] }
  nowMs = 1_000
  readonly policy: TopologyPolicy
  readonly #seen = new Map<string, Observation>()

  constructor(policy: Partial<TopologyPolicy> = {}) {
    this.policy = { ...POLICY, ...policy }
  }

  /** Probes, a second after the last. Who is not named is not asked. */
  round(round: Round, ms = 1_000): this {
    this.nowMs += ms
    for (const [id, step] of Object.entries(round)) {
      this.#seen.set(id, this.take(this.#seen.get(id) ?? unobserved(id, id, 3306, 1), step))
    }
    this.topology = nextTopology(this.topology, this.observations, this.nowMs, this.policy)
    return this
  }

  rounds(times: number, round: Round): this {
    for (let turn = 0; turn < times; turn++) this.round(round)
    return this
  }

  /** `db1 writer`, and its health where that is not up. */
  get states(): readonly string[] {
    const words = ({ id, role, health }: Backend) => (health === 'up' ? `${id} ${role}` : `${id} ${role} ${health}`)
    return this.topology.backends.map(words)
  }

  of(id: string): Backend {
    return this.topology.backends.find((backend) => backend.id === id)!
  }

  get observations(): readonly Observation[] {
    return [...this.#seen.values()]
  }

  private take(before: Observation, step: Step): Observation {
    if (typeof step === 'object') {
      const named = step.serverId === '' ? { ...step, serverId: `number of ${before.id}` } : step
      return answered(before, named, this.nowMs - 1, this.nowMs)
    }
    if (step.startsWith('doubt: ')) return doubted(before, step.slice('doubt: '.length))
    return missed(before, new ProbeFailed(step as ProbeFailure, `probe failed: ${step}`), this.nowMs - 1)
  }
}
