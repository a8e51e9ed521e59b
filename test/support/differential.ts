// The project's main tool: the same script runs directly on the writer and through Sluice, and every frame of every
// answer is compared. A case is a list of steps; add one and it is proved for every engine and kind of client.

import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import {
  buildCommand,
  buildQuery,
  CAPABILITY,
  COLUMN_TYPE,
  COMMAND,
  FieldWriter,
  LAST_PREPARED_ID,
  lengthEncoded,
  parseChanges,
  parseError,
  parseOk,
} from '../../src/protocol/mysql/messages.ts'
import type { ReplyKind } from '../../src/protocol/mysql/reply-tracker.ts'
import { WireClient, type WireClientOptions, type WireFrame } from './wire-client.ts'

/** What a step may know of those before it: the ids of what was prepared. */
export interface Progress {
  readonly client: WireClient
  readonly prepared: number[]
}

export interface Step {
  readonly text: string
  /** Null: nothing answers it. */
  readonly kind: ReplyKind | null
  readonly payload: (progress: Progress) => Buffer
  /** The answer's first frame carries a statement's id, which is ours and not the server's: which of the prepared it is. */
  readonly prepares?: number | 'next'
  /** What is done instead of sending `payload`; gives what is compared. */
  readonly act?: (client: WireClient) => Promise<string>
  /** Which bytes of the answer's frames differ rightly: replaced before they are compared. */
  readonly mask?: (frame: WireFrame, at: number) => WireFrame
}

const attributes = (client: WireClient) => (client.login.capabilities & CAPABILITY.QUERY_ATTRIBUTES) !== 0

export function query(sql: string): Step {
  return { text: sql, kind: 'query', payload: ({ client }) => buildQuery(sql, attributes(client)) }
}

function plain(text: string, command: number, kind: ReplyKind, argument: string | Buffer = ''): Step {
  return { text, kind, payload: () => buildCommand(command, argument) }
}

export const ping = plain('COM_PING', COMMAND.PING, 'single')
export const resetConnection = plain('COM_RESET_CONNECTION', COMMAND.RESET_CONNECTION, 'single')
export const useSchema = (schema: string) => plain(`COM_INIT_DB ${schema}`, COMMAND.INIT_DB, 'single', schema)
export const multiStatements = (on: boolean) =>
  plain(`COM_SET_OPTION ${on}`, COMMAND.SET_OPTION, 'single', Buffer.from([on ? 0 : 1, 0]))
export const fieldList = (table: string) =>
  plain(`COM_FIELD_LIST ${table}`, COMMAND.FIELD_LIST, 'field-list', `${table}\0`)
export const unknownCommand = (command: number) => plain(`command ${command}`, command, 'single')

/** COM_CHANGE_USER to the same user; `collation` by number. */
export function changeUser(schema: string | null, collation: number): Step {
  return {
    text: `COM_CHANGE_USER ${schema} ${collation}`,
    kind: 'single',
    payload: () => Buffer.alloc(0),
    act: async (client) => {
      const ok = await client.changeUser(schema, collation)
      return `OK status=${ok.status} warnings=${ok.warnings}`
    },
  }
}

export function prepare(sql: string, which: number | 'next' = 'next'): Step {
  return {
    text: `PREPARE ${sql}`,
    kind: 'prepare',
    payload: () => buildCommand(COMMAND.STMT_PREPARE, sql),
    prepares: which,
  }
}

export type Value = string | number | null

type Which = number | 'last'

function idOf(which: Which, prepared: readonly number[]): number {
  return which === 'last' ? LAST_PREPARED_ID : (prepared[which] ?? 0)
}

/**
 * Executes the `which`th prepared statement (from 0), or `last`: what was prepared last, as MariaDB's clients say it. With
 * `types: false` the client relies on what it said before.
 */
export function execute(
  which: Which,
  values: readonly Value[] = [],
  options: { cursor?: boolean; types?: boolean } = {},
): Step {
  const { cursor = false, types = true } = options
  return {
    text: `EXECUTE ${which} ${JSON.stringify(values)}${cursor ? ' with a cursor' : ''}`,
    kind: cursor ? 'cursor' : 'query',
    payload: ({ client, prepared }) => {
      return executePayload(idOf(which, prepared), values, { cursor, types, client })
    },
  }
}

function executePayload(
  id: number,
  values: readonly Value[],
  { cursor, types, client }: { cursor: boolean; types: boolean; client: WireClient },
): Buffer {
  const named = attributes(client)
  const writer = new FieldWriter()
    .u8(COMMAND.STMT_EXECUTE)
    .u32(id)
    .u8(cursor ? 1 : 0)
    .u32(1)
  if (values.length === 0) return writer.bytes()
  if (named) writer.integer(values.length)
  const nulls = Buffer.alloc(Math.ceil(values.length / 8))
  for (const [at, value] of values.entries()) if (value === null) nulls[at >> 3]! |= 1 << (at & 7)
  writer.put(nulls).u8(types ? 1 : 0)
  if (types) {
    for (const value of values) {
      writer.u16(typeof value === 'number' ? COLUMN_TYPE.LONGLONG : COLUMN_TYPE.VAR_STRING)
      if (named) writer.string('')
    }
  }
  for (const value of values) {
    if (typeof value === 'number') {
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64LE(BigInt(value))
      writer.put(bytes)
    } else if (value !== null) writer.put(lengthEncoded(Buffer.byteLength(value))).put(Buffer.from(value))
  }
  return writer.bytes()
}

function aboutStatement(
  text: string,
  command: number,
  kind: ReplyKind | null,
  which: Which,
  rest: Buffer = Buffer.alloc(0),
): Step {
  return {
    text: `${text} ${which}`,
    kind,
    payload: ({ prepared }) => {
      const id = Buffer.alloc(4)
      id.writeUInt32LE(idOf(which, prepared))
      return buildCommand(command, Buffer.concat([id, rest]))
    },
  }
}

export function fetchRows(which: Which, rows: number): Step {
  const count = Buffer.alloc(4)
  count.writeUInt32LE(rows)
  return aboutStatement(`FETCH ${rows} of`, COMMAND.STMT_FETCH, 'fetch', which, count)
}
export const closeStatement = (which: Which) => aboutStatement('CLOSE', COMMAND.STMT_CLOSE, null, which)
export const resetStatement = (which: Which) => aboutStatement('RESET', COMMAND.STMT_RESET, 'single', which)
export function longData(which: Which, parameter: number, data: string): Step {
  const head = Buffer.alloc(2)
  head.writeUInt16LE(parameter)
  const rest = Buffer.concat([head, Buffer.from(data)])
  return aboutStatement(`LONG DATA for ${parameter} of`, COMMAND.STMT_SEND_LONG_DATA, null, which, rest)
}

export interface Place extends Omit<WireClientOptions, 'capabilities'> {
  readonly capabilities?: number
  /** Called after every step. */
  readonly meanwhile?: () => Promise<void>
}

export interface DifferentialOptions {
  readonly direct: Place
  readonly sluice: Place
  readonly capabilities: number
  readonly sessionTrack?: boolean
  /** Run first, and not compared. */
  readonly opening: readonly Step[]
  /** Called after every step that may have written, so that readers have what the writer has. */
  readonly settle: () => Promise<void>
}

/** Runs the script here and there, and expects the same. */
export async function expectSame(steps: readonly Step[], options: DifferentialOptions): Promise<void> {
  const direct = await run(steps, options, options.direct)
  const through = await run(steps, options, options.sluice)
  expect(through).toEqual(direct)
}

async function run(steps: readonly Step[], options: DifferentialOptions, place: Place): Promise<string[]> {
  const { capabilities, sessionTrack = true, settle } = options
  const client = await WireClient.connect({ capabilities, sessionTrack, ...place })
  const progress: Progress = { client, prepared: [] }
  const told: string[] = []
  try {
    for (const step of options.opening) await client.ask(step.payload(progress), step.kind!)
    await settle()
    for (const step of steps) {
      const answer = await take(step, progress)
      if (answer === null) continue
      told.push(answer)
      if (answer.endsWith(CLOSED)) break
      await settle()
      await place.meanwhile?.()
    }
  } finally {
    client.end()
  }
  return told
}

const CLOSED = '=> closed'

/** Takes one step, and tells it with its answer; null: nothing answers it. */
export async function take(step: Step, progress: Progress): Promise<string | null> {
  const { client } = progress
  if (step.act !== undefined) return `${step.text} => ${await step.act(client).catch((error: Error) => error.message)}`
  const payload = step.payload(progress)
  if (step.kind === null) {
    client.tell(payload)
    return null
  }
  const frames = await client.ask(payload, step.kind).catch((error: Error) => error)
  if (frames instanceof Error) return `${step.text} ${CLOSED}`
  return `${step.text} =>\n${describe(frames, step, progress).join('\n')}`
}

function describe(frames: readonly WireFrame[], step: Step, progress: Progress): string[] {
  return frames.map((found, at) => {
    let frame = step.mask?.(found, at) ?? found
    if (step.prepares !== undefined && at === 0) {
      const isPrepared = frame.payload[0] === 0
      const which = step.prepares === 'next' ? progress.prepared.length : step.prepares
      progress.prepared[which] = isPrepared ? frame.payload.readUInt32LE(1) : 0
      if (isPrepared) frame = { ...frame, payload: Buffer.from(frame.payload).fill(0, 1, 5) }
    }
    return `  ${frame.sequence}: ${tell(frame.payload, progress.client.login.capabilities)}`
  })
}

/** A frame for people, with every byte in it. */
function tell(payload: Buffer, capabilities: number): string {
  const hex = payload.toString('hex')
  const bytes = payload.length > 400 ? `${hex.slice(0, 200)}… ${payload.length} bytes, ${digestOf(payload)}` : hex
  try {
    if (payload[0] === 0xff) {
      const { errno, sqlState, message } = parseError(payload)
      // A statement's number is ours, and the server's is its own.
      return `ERR ${errno} ${sqlState} ${message.toString().replace(/(handler|statement) \(\d+\)/, '$1 (…)')}`
    }
    if (payload[0] === 0 && payload.length >= 7) {
      const ok = parseOk(payload, capabilities)
      // MariaDB tells of changes in the order of a hash table, which depends on what else is tracked.
      const changes =
        ok.changes === null ? [] : parseChanges(ok.changes).map((change) => change.bytes.toString('latin1'))
      const told = changes
        .sort()
        .join(' ')
        .replaceAll(/[^\x20-\x7e]/g, '.')
      return `OK? rows=${ok.affectedRows} id=${ok.insertId} status=${ok.status} warnings=${ok.warnings} text=${ok.text} ${told} ${changes.length > 0 ? '' : bytes}`
    }
  } catch {
    // Not what it looked like; its bytes tell.
  }
  return `${bytes} ${payload
    .toString('latin1')
    .replaceAll(/[^\x20-\x7e]/g, '.')
    .slice(0, 120)}`
}

function digestOf(payload: Buffer): string {
  return createHash('sha1').update(payload).digest('hex').slice(0, 8)
}

/** Kinds of clients there are: what they can do changes what every byte means. */
export const CLIENTS: readonly (readonly [string, { capabilities: number; sessionTrack: boolean }])[] = [
  [
    'a client of today',
    {
      capabilities:
        CAPABILITY.DEPRECATE_EOF | CAPABILITY.MULTI_RESULTS | CAPABILITY.PS_MULTI_RESULTS | CAPABILITY.QUERY_ATTRIBUTES,
      sessionTrack: true,
    },
  ],
  ['an old client', { capabilities: CAPABILITY.MULTI_RESULTS | CAPABILITY.PS_MULTI_RESULTS, sessionTrack: false }],
  [
    'a client with several statements in one text, found rows and spaces before parentheses',
    {
      capabilities:
        CAPABILITY.MULTI_STATEMENTS |
        CAPABILITY.MULTI_RESULTS |
        CAPABILITY.FOUND_ROWS |
        CAPABILITY.IGNORE_SPACE |
        CAPABILITY.DEPRECATE_EOF,
      sessionTrack: true,
    },
  ],
]
