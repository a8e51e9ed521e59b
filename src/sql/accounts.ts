// Which statements change what accounts may do, or which of them a login is for.

import type { Text } from './text.ts'

const ACCOUNTS: ReadonlySet<string> = new Set(['user', 'role'])

/**
 * Not those that change a password alone: whoever is connected needs none any more, and what new connections log in with is
 * in the settings.
 */
export function changesRights(text: Text, from: number, to: number): boolean {
  const second = text.lower(from + 1)
  switch (text.lower(from)) {
    case 'grant':
    case 'revoke':
      return true
    case 'create':
      return ACCOUNTS.has(second) || (second === 'or' && ACCOUNTS.has(text.lower(from + 3)))
    case 'drop':
    case 'rename':
      return ACCOUNTS.has(second)
    case 'alter':
      return ACCOUNTS.has(second) && !hasWord(text, from, to, 'identified')
    case 'set':
      return second === 'default' && text.lower(from + 2) === 'role'
    case 'flush':
      return hasWord(text, from, to, 'privileges')
  }
  return false
}

function hasWord(text: Text, from: number, to: number, word: string): boolean {
  for (let at = from; at < to; at++) if (text.lower(at) === word) return true
  return false
}
