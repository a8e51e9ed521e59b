// KILL, as far as it is about sessions of ours: who is meant, who may, and what they are told.

import { ProxyError } from '../errors.ts'
import { BackendLost, type ClientConnection, ConnectFailed } from '../protocol/protocol.ts'
import type { KillRequest } from '../sql/classification.ts'
import { writerOf } from '../topology/topology.ts'
import type { Leases } from './leases.ts'
import { NO_RIGHTS, type Rights, rightsIn } from './rights.ts'
import type { Victim, Wanted } from './sessions.ts'
import type { Shared } from './shared.ts'

/** A session that kills. */
export interface Killer {
  readonly self: Victim
  readonly client: ClientConnection
  readonly leases: Leases
  readonly shared: Shared
}

/**
 * Kills one of our sessions, known by our number or by that of its connection to the writer. False: it is none of ours.
 * `more`: there is more of the answer.
 */
export async function killSession(
  killer: Killer,
  { id, what }: { readonly id: number; readonly what: KillRequest['what'] },
  more = false,
): Promise<boolean> {
  const { self, client, shared } = killer
  const writer = writerOf(shared.topology())
  const target = await victimOf({ cluster: shared.cluster, id, writer: writer?.id ?? null }, shared)
  if (target === null) return false
  if (target === self) {
    client.killed(what)
    if (what === 'connection') await self.kill(what)
    return true
  }
  if (target.user !== self.user && !(await rightsOf(killer)).kill) {
    throw new ProxyError('KILL_DENIED', `You are not owner of thread ${id}`)
  }
  await target.kill(what)
  client.ok(more)
  return true
}

async function victimOf(who: Wanted, { sessions }: Shared): Promise<Victim | null> {
  const [here] = sessions.wanted(who)
  if (here !== undefined || sessions.siblings === null) return here ?? null
  return (await sessions.siblings.victims(who))[0] ?? null
}

/**
 * Ends all other sessions of a user (of one's own where the name is empty), or what they are at; what of that user's is not
 * ours the writer kills then. Gives the user; null: that may not be.
 */
export async function killUser(killer: Killer, name: string, what: KillRequest['what']): Promise<string | null> {
  const { self, shared } = killer
  const { sessions, cluster } = shared
  const user = name === '' ? self.user : name
  const who = { cluster, user }
  const others = sessions.wanted(who).filter((session) => session !== self)
  const elsewhere = (await sessions.siblings?.victims(who)) ?? []
  // Who may not is told nothing: servers pass over what they may not kill.
  if (user !== self.user && !(await rightsOf(killer)).kill) return null
  await Promise.all([...others, ...elsewhere].map((session) => session.kill(what)))
  return user
}

/** What this session's account may do with others' sessions: the server is asked each time, for grants come and go. */
export async function rightsOf({ leases, shared }: Killer): Promise<Rights> {
  const writer = writerOf(shared.topology())
  const isLent = leases.current !== null
  if (!isLent && writer === null) return NO_RIGHTS
  try {
    const { connection } = leases.current ?? (await leases.acquire(writer!))
    const grants = await connection.query('SHOW GRANTS')
    return 'frame' in grants ? NO_RIGHTS : rightsIn(grants)
  } catch (error) {
    if (error instanceof BackendLost || error instanceof ConnectFailed) return NO_RIGHTS
    throw error
  } finally {
    if (!isLent) leases.giveBack()
  }
}
