// Where a script of the servers' own suites is told something else through Sluice, by nature: which, and why.

import type { EngineName } from '../../../src/lab/index.ts'

interface Kind {
  readonly because: string
  /** Every line that differs is one of these. */
  readonly lines: RegExp
}

/** What another server may tell in another way. Where a script differs on the writer too, none of these counts. */
const READERS_DIFFER: readonly Kind[] = [
  {
    because: 'a status counter: each server counts what it did itself, and reads are done by readers',
    lines:
      /^(Handler|Innodb|Com|Created|Last_query|Select|Sort|Questions|Queries|Bytes|Opened|Open|Table_open)_?\w*\t/i,
  },
  {
    because: 'an estimate in EXPLAIN: each server keeps statistics of its own',
    lines:
      /^(\d+|NULL)\t(SIMPLE|PRIMARY|SUBQUERY|DEPENDENT \w+|DERIVED|MATERIALIZED|UNION|UNION RESULT|INSERT|UPDATE|DELETE|REPLACE)\t/,
  },
  {
    because:
      'the engine of a table whose CREATE names none: replication does not carry default_storage_engine to readers',
    lines: /^\) ENGINE=/,
  },
]

interface Difference {
  readonly because: string
  readonly scripts: readonly string[]
}

export const BY_NATURE: Record<EngineName, readonly Difference[]> = {
  mysql: [],
  mariadb: [],
}

/** Why the script may differ so; null if that is a fault. `isReaders`: it does not when all of it goes to the writer. */
export function whyDifferent(engine: EngineName, name: string, difference: string, isReaders: boolean): string | null {
  const listed = BY_NATURE[engine].find(({ scripts }) => scripts.includes(name))
  if (listed !== undefined) return listed.because
  if (!isReaders) return null
  const lines = difference
    .split('\n')
    .filter((line) => /^[-+](?!-- |\+\+ )/.test(line))
    .map((line) => line.slice(1))
  const kinds = READERS_DIFFER.filter((kind) => lines.some((line) => kind.lines.test(line)))
  if (lines.length === 0 || !lines.every((line) => kinds.some((kind) => kind.lines.test(line)))) return null
  return kinds.map(({ because }) => because).join('; ')
}
