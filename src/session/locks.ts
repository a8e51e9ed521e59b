// Named locks (GET_LOCK): whether one was taken or released is in the answer only, so the server is asked what is held.

import type { BackendConnection, ClientConnection, ClientRequest } from '../protocol/protocol.ts'
import type { Classification } from '../sql/classification.ts'
import { lockName } from '../sql/survey.ts'

export function touchesLocks({ pins }: Classification): boolean {
  return pins.some(({ reason }) => reason === 'advisory-lock')
}

/** The same with the names that come with an execution. */
export function withLockNames(
  classification: Classification,
  request: ClientRequest,
  client: ClientConnection,
): Classification {
  if (request.kind !== 'execute' || !classification.pins.some(({ parameter }) => parameter !== undefined)) {
    return classification
  }
  const pins = classification.pins.map((pin) => {
    if (pin.parameter === undefined) return pin
    return { ...pin, name: lockName(client.parameter(request, pin.parameter)) }
  })
  return { ...classification, pins }
}

/** Which of `names` the connection holds; null: the server would not say. Throws BackendLost. */
export async function heldLocks(
  connection: BackendConnection,
  names: readonly string[],
): Promise<ReadonlySet<string> | null> {
  const questions = names.map(
    (name) => `IS_USED_LOCK(_utf8mb4 x'${Buffer.from(name).toString('hex')}') <=> CONNECTION_ID()`,
  )
  const rows = await connection.query(`SELECT ${questions.join(', ')} LIMIT 1`)
  const answers: readonly (string | null)[] | undefined = Array.isArray(rows) ? rows[0] : undefined
  if (answers === undefined) return null
  return new Set(names.filter((_, at) => answers[at] === '1'))
}
