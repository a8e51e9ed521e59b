// The accounts that scripts make and log in with. Sluice lets in whom its settings name, so they must name these.

export interface Account {
  readonly name: string
  readonly password: string
}

/** `connect (name, host, user, password …)` and `change_user user, password`, with whatever quotes around them. */
const LOGIN =
  /^\s*(?:--\s*)?(?:connect\s*\(?\s*\w+\s*,\s*[^,]*,|change_user\s)\s*(['"`]?)([\w$]+)\1\s*(?:,\s*(['"`]?)([\w$@#!.-]*)\3\s*)?[,);]/gim

/** Each account once, with the password that most scripts give it. */
export function accountsIn(texts: readonly string[]): Account[] {
  const votes = new Map<string, Map<string, number>>()
  for (const text of texts) {
    for (const [, , name = '', , password = ''] of text.matchAll(LOGIN)) {
      if (name.startsWith('$') || password.startsWith('$') || ['root', 'app', 'monitor', 'repl'].includes(name))
        continue
      const passwords = votes.get(name) ?? new Map<string, number>()
      passwords.set(password, (passwords.get(password) ?? 0) + 1)
      votes.set(name, passwords)
    }
  }
  return [...votes].map(([name, passwords]) => ({
    name,
    password: [...passwords].reduce((most, one) => (one[1] > most[1] ? one : most))[0],
  }))
}
