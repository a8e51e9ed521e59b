// Replies of real servers, kept as text beside this file.

import { readFileSync } from 'node:fs'
import type { ReplyForm, ReplyKind } from '../../../../src/protocol/mysql/reply-tracker.ts'

export interface Transcript {
  readonly title: string
  readonly kind: ReplyKind
  readonly form: ReplyForm
  /** As `stop`, `stop(ok)` where it is laid out as an OK, with the status (hexadecimal) or error behind a colon. */
  readonly stops: string
  readonly bytes: Buffer
}

const SERVERS = ['mysql-9.7', 'mariadb-11.8', 'mariadb-10.11']

export const TRANSCRIPTS: readonly Transcript[] = SERVERS.flatMap((server) => {
  const lines = readFileSync(new URL(`./transcripts/${server}.txt`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
  return lines.filter((line) => !line.startsWith('#')).map((line) => read(server, line))
})

function read(server: string, line: string): Transcript {
  const [name, kind, options, stops, hex] = line.split(' | ') as [string, ReplyKind, string, string, string]
  const form = {
    deprecateEof: options.includes('deprecate-eof'),
    optionalMetadata: options.includes('optional-metadata'),
  }
  return { title: `${server}: ${name} (${options})`, kind, form, stops, bytes: Buffer.from(hex, 'hex') }
}

/** The transcript of that server with this name, with CLIENT_DEPRECATE_EOF. */
export function transcript(server: string, name: string): Transcript {
  const found = TRANSCRIPTS.find(({ title }) => title === `${server}: ${name} (deprecate-eof)`)
  if (found === undefined) throw new Error(`no transcript ${server}: ${name}`)
  return found
}
