// What the torture does not do yet, and why. Whoever mends one takes its line out.

import type { EngineName } from '../../../src/lab/index.ts'

export type Subject =
  | 'row-count'
  | 'get-diagnostics'
  | 'conditions-over-call'
  | 'found-rows'
  | 'diagnostics-later'
  | 'connection-id'
  | 'trackers'
  | 'processlist'
  | 'status'
  | 'sql-auto-is-null'
  | 'release'
  | 'unknown-statement'
  | 'ignore-space'

const OFF: Readonly<Partial<Record<Subject, string>>> = {
  'get-diagnostics': "it asks the connection, and a session's first may come after another session has had that",
  'conditions-over-call': 'MariaDB keeps them over a routine that reads no table, and nobody tells whether it did',
  // Hence what may fail while it is prepared is sent as text.
  'unknown-statement': 'an error of our own leaves nothing for SHOW WARNINGS',
  'ignore-space': 'what another session sets its sql_mode to loses the mode that came with the login',
  trackers: "what a session sets its trackers to is not what it reads of them: they are the connection's",
  processlist: "shows the server's connections",
  status: "counters are the connection's",
}

export function isOn(subject: Subject, _engine: EngineName): boolean {
  return OFF[subject] === undefined
}
