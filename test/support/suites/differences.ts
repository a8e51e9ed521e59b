// Where a script of the servers' own suites is told something else through Sluice, by nature: which, and why.

import type { EngineName } from '../../../src/lab/index.ts'

interface Kind {
  readonly because: string
  /** Every line that differs is one of these. */
  readonly lines: RegExp
}

const KINDS: readonly Kind[] = [
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
]

interface Difference {
  readonly because: string
  readonly scripts: readonly string[]
}

export const BY_NATURE: Record<EngineName, readonly Difference[]> = {
  mysql: [],
  mariadb: [],
}

/** Why the script may differ so; null if that is a fault. */
export function whyDifferent(engine: EngineName, name: string, difference: string): string | null {
  const listed = BY_NATURE[engine].find(({ scripts }) => scripts.includes(name))
  if (listed !== undefined) return listed.because
  const lines = difference
    .split('\n')
    .filter((line) => /^[-+](?!-- |\+\+ )/.test(line))
    .map((line) => line.slice(1))
  const kinds = KINDS.filter((kind) => lines.some((line) => kind.lines.test(line)))
  if (lines.length === 0 || !lines.every((line) => kinds.some((kind) => kind.lines.test(line)))) return null
  return kinds.map(({ because }) => because).join('; ')
}
