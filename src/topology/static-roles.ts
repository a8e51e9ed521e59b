// The settings say who is the writer; all that is asked is whether it is still willing.

import type { Evidence, Found } from './roles.ts'

export function staticRoles({ members, down, namedWriter }: Evidence): ReadonlyMap<string, Found> {
  const roles = new Map<string, Found>()
  for (const { id, claim } of members) {
    if (down.has(id) || claim === null) continue
    if (id !== namedWriter) roles.set(id, { role: 'reader', why: 'it is not the writer of the settings' })
    else if (claim.readOnly) {
      roles.set(id, { role: 'unknown', why: 'the settings call it the writer, but it is read-only' })
    } else roles.set(id, { role: 'writer', why: 'the settings say so, and it takes writes' })
  }
  return roles
}
