// What an account may do with the sessions of others, read from the server's own list of its grants. Pure.

export interface Rights {
  /** KILL of other users' sessions. */
  readonly kill: boolean
  /** To see other users' sessions. */
  readonly see: boolean
}

export const NO_RIGHTS: Rights = { kill: false, see: false }

const KILL: ReadonlySet<string> = new Set(['ALL PRIVILEGES', 'SUPER', 'CONNECTION_ADMIN', 'CONNECTION ADMIN'])
const SEE: ReadonlySet<string> = new Set(['ALL PRIVILEGES', 'PROCESS'])
const GLOBAL = /^GRANT (.+?) ON \*\.\* TO /i

/** From the rows of SHOW GRANTS; only what is granted on everything counts. */
export function rightsIn(grants: readonly (readonly (string | null)[])[]): Rights {
  const granted = new Set<string>()
  for (const [text] of grants) {
    const privileges = GLOBAL.exec(text ?? '')?.[1] ?? ''
    for (const privilege of privileges.split(',')) granted.add(privilege.trim().toUpperCase())
  }
  const has = (wanted: ReadonlySet<string>) => [...granted].some((privilege) => wanted.has(privilege))
  return { kill: has(KILL), see: has(SEE) }
}
