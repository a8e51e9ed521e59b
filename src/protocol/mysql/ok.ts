// OK, EOF and ERR: parsed, built, and an OK rewritten for a client that may see less of it than we do. Pure.

import { FieldReader, FieldWriter, lengthEncoded, MalformedMessage } from './fields.ts'
import { CAPABILITY, LEAD, STATUS, TRACK } from './numbers.ts'

export interface Ok {
  /** LEAD.OK, or LEAD.EOF where it ends a result set (CLIENT_DEPRECATE_EOF). */
  readonly lead: number
  readonly affectedRows: bigint
  readonly insertId: bigint
  readonly status: number
  readonly warnings: number
  /** The text for people, as in `Rows matched: 1 …`. */
  readonly text: Buffer
  /** Session-tracking entries as they came; null when the session's state did not change. */
  readonly changes: Buffer | null
}

/** What a connection was told about the session: one entry of the tracking part of an OK. */
export interface TrackedChange {
  /** One of TRACK. */
  readonly kind: number
  /** Of a system (or MariaDB user) variable; else empty. */
  readonly name: string
  /**
   * The variable's value, the schema, the GTIDs, '1' for a changed state, the transaction's characteristics (SQL) or
   * its state (eight characters).
   */
  readonly value: Buffer
  /** The entry itself, kind and length included. */
  readonly bytes: Buffer
}

export interface ServerError {
  readonly errno: number
  /** Five characters; empty where the server sent none (before it knew what the client can do). */
  readonly sqlState: string
  readonly message: Buffer
}

/** `capabilities`: of the connection it came on. */
export function parseOk(payload: Buffer, capabilities: number): Ok {
  const reader = new FieldReader(payload)
  const lead = reader.u8()
  if (lead !== LEAD.OK && lead !== LEAD.EOF) throw new MalformedMessage(`0x${lead.toString(16)} does not begin an OK`)
  const affectedRows = reader.integer()
  const insertId = reader.integer()
  const status = reader.u16()
  const warnings = reader.u16()
  const tracking = (capabilities & CAPABILITY.SESSION_TRACK) !== 0
  // Both servers encode the text with its length, whatever the manual says, and leave it out when there is nothing.
  const text = reader.left > 0 ? reader.string() : NOTHING
  const changes =
    tracking && (status & STATUS.SESSION_STATE_CHANGED) !== 0 && reader.left > 0 ? changesOf(reader) : null
  return { lead, affectedRows, insertId, status, warnings, text, changes }
}

const NOTHING = Buffer.alloc(0)

/**
 * In a schema whose character set has no characters of one byte (ucs2, utf16, utf32), MariaDB writes zeros before their
 * length. No length is 0: an OK that has changes is flagged.
 */
function changesOf(reader: FieldReader): Buffer {
  while (reader.left > 1 && reader.bytes[reader.at] === 0) reader.skip(1)
  return reader.string()
}

export function parseChanges(changes: Buffer): TrackedChange[] {
  const reader = new FieldReader(changes)
  const entries: TrackedChange[] = []
  while (reader.left > 0) {
    const from = reader.at
    const kind = reader.u8()
    const entry = new FieldReader(reader.string())
    const bytes = changes.subarray(from, reader.at)
    let name = ''
    let value: Buffer
    switch (kind) {
      case TRACK.SYSTEM_VARIABLES:
        // To servers their case says nothing, and MariaDB reports some as 'wsrep_OSU_method'.
        name = entry.string().toString('latin1').toLowerCase()
        value = entry.string()
        break
      case TRACK.USER_VARIABLES:
        name = entry.string().toString()
        value = entry.left > 0 ? entry.string() : NOTHING
        break
      case TRACK.GTIDS:
        // The first byte names the encoding; there is only one.
        entry.skip(1)
        value = entry.string()
        break
      case TRACK.SCHEMA:
      case TRACK.TRANSACTION_CHARACTERISTICS:
      case TRACK.TRANSACTION_STATE:
        value = entry.string()
        break
      default:
        // STATE_CHANGE is a bare '1', without a length of its own.
        value = entry.rest()
    }
    entries.push({ kind, name, value, bytes })
  }
  return entries
}

/** Tells of the schema that a session is in now. */
export function schemaChange(schema: string): Buffer {
  return new FieldWriter().u8(TRACK.SCHEMA).string(new FieldWriter().string(schema).bytes()).bytes()
}

/**
 * What is left out is 0, or nothing; the status is autocommit. `changes` go only to a client with SESSION_TRACK, and
 * with the flag that announces them.
 */
export function buildOk(ok: Partial<Ok>, capabilities: number): Buffer {
  const changes = (capabilities & CAPABILITY.SESSION_TRACK) === 0 ? null : (ok.changes ?? null)
  const flag = changes === null ? 0 : STATUS.SESSION_STATE_CHANGED
  const text = ok.text ?? NOTHING
  const writer = new FieldWriter()
    .u8(ok.lead ?? LEAD.OK)
    .integer(ok.affectedRows ?? 0)
    .integer(ok.insertId ?? 0)
    .u16((ok.status ?? STATUS.AUTOCOMMIT) | flag)
    .u16(ok.warnings ?? 0)
  if (changes !== null || text.length > 0) writer.string(text)
  if (changes !== null) writer.string(changes)
  return writer.bytes()
}

/**
 * An OK as the backend would have sent it to a client with these capabilities whose own trackers report what `visible`
 * lets through; but for the order of what it tells, byte for byte. The same buffer when nothing needs to change.
 */
export function rewriteOk(
  payload: Buffer,
  backendCapabilities: number,
  clientCapabilities: number,
  visible: (change: TrackedChange) => boolean,
): Buffer {
  const reader = new FieldReader(payload, 1)
  reader.skipInteger()
  reader.skipInteger()
  const statusAt = reader.at
  const status = reader.u16()
  if ((status & STATUS.SESSION_STATE_CHANGED) === 0) return payload
  reader.skip(2)
  const textAt = reader.at
  const hasText = reader.left > 0 && reader.string().length > 0
  const textEnd = reader.at
  const tracked = (backendCapabilities & CAPABILITY.SESSION_TRACK) !== 0 && reader.left > 0
  const told = tracked && (clientCapabilities & CAPABILITY.SESSION_TRACK) !== 0
  const entries = told ? parseChanges(changesOf(reader)) : NO_CHANGES
  const shown = entries.filter(visible)
  if (shown.length > 0 && shown.length === entries.length) return payload
  const changes = shown.map((change) => change.bytes)
  const isTextSent = hasText || shown.length > 0
  const head = Buffer.from(payload.subarray(0, isTextSent ? textEnd : textAt))
  if (shown.length === 0) head.writeUInt16LE(status & ~STATUS.SESSION_STATE_CHANGED, statusAt)
  if (shown.length === 0) return head
  const changesLength = changes.reduce((sum, change) => sum + change.length, 0)
  return Buffer.concat([head, lengthEncoded(changesLength), ...changes])
}

/** The same OK, which tells of these changes too, unless it tells of the same variable itself. Both are a client's with SESSION_TRACK. */
export function withChanges(payload: Buffer, more: readonly TrackedChange[]): Buffer {
  const ok = parseOk(payload, CAPABILITY.SESSION_TRACK)
  const own = ok.changes === null ? NO_CHANGES : parseChanges(ok.changes)
  const isTold = (change: TrackedChange) => own.some(({ kind, name }) => kind === change.kind && name === change.name)
  const all = [...more.filter((change) => !isTold(change)), ...own]
  return buildOk({ ...ok, changes: Buffer.concat(all.map(({ bytes }) => bytes)) }, CAPABILITY.SESSION_TRACK)
}

const STATEMENT_ID = Buffer.from('statement_id')
/** A kind, a length, the length of the name: what stands before it while all lengths are short. */
const NAME_OFFSET = 3

/**
 * MySQL numbers the statements of a session in a variable, so with all variables tracked nearly every OK tells of a
 * change that is none. True for an OK that tells of nothing else; without an allocation, because there are so many.
 */
export function tellsStatementIdOnly(bytes: Buffer, start = 0, end = bytes.length): boolean {
  const at = changesAt(bytes, start, end)
  if (at < 0) return false
  const length = bytes[at]!
  const from = at + 1
  if (
    from + length !== end ||
    length <= NAME_OFFSET + STATEMENT_ID.length ||
    bytes[from] !== TRACK.SYSTEM_VARIABLES ||
    bytes[from + 1] !== length - 2 ||
    bytes[from + 2] !== STATEMENT_ID.length
  )
    return false
  for (let index = 0; index < STATEMENT_ID.length; index++) {
    if (bytes[from + NAME_OFFSET + index] !== STATEMENT_ID[index]) return false
  }
  return true
}

/** Where the changes of an OK without text begin (with their length, of one byte), or -1. */
function changesAt(bytes: Buffer, start: number, end: number): number {
  let at = start + 1
  for (let integers = 0; integers < 2; integers++) {
    const first = at < end ? bytes[at]! : 0
    at += first < 0xfb ? 1 : first === 0xfe ? 9 : first - 0xf9
  }
  // Behind the status come the warnings and the length of the text.
  if (at + 5 >= end || bytes[at + 4] !== 0 || bytes[at + 5]! >= 0xfb) return -1
  return (bytes[at + 1]! & (STATUS.SESSION_STATE_CHANGED >> 8)) === 0 ? -1 : at + 5
}

/** The same OK without its changes, as for a client that may see none; without an allocation but its own. */
export function withoutChanges(payload: Buffer): Buffer {
  if (changesAt(payload, 0, payload.length) < 0) return rewriteOk(payload, CAPABILITY.SESSION_TRACK, 0, nothing)
  const bytes = Buffer.from(payload)
  return bytes.subarray(0, dropChanges(bytes, 0, bytes.length))
}

/** The same where it stands, for an OK without a text; gives its new end. */
export function dropChanges(bytes: Buffer, start: number, end: number): number {
  const at = changesAt(bytes, start, end)
  const flags = at - 4
  bytes[flags] = bytes[flags]! & ~(STATUS.SESSION_STATE_CHANGED >> 8)
  return at - 1
}

function nothing(): boolean {
  return false
}

const NO_CHANGES: readonly TrackedChange[] = []

export interface Eof {
  readonly warnings: number
  readonly status: number
}

export function parseEof(payload: Buffer): Eof {
  const reader = new FieldReader(payload)
  if (reader.u8() !== LEAD.EOF) throw new MalformedMessage('not an EOF')
  return { warnings: reader.u16(), status: reader.u16() }
}

export function buildEof(status: number, warnings = 0): Buffer {
  return new FieldWriter().u8(LEAD.EOF).u16(warnings).u16(status).bytes()
}

const HASH = 0x23

export function parseError(payload: Buffer): ServerError {
  const reader = new FieldReader(payload)
  if (reader.u8() !== LEAD.ERROR) throw new MalformedMessage('not an error')
  const errno = reader.u16()
  let sqlState = ''
  if (reader.left >= 6 && payload[reader.at] === HASH) {
    reader.skip(1)
    sqlState = reader.take(5).toString('latin1')
  }
  return { errno, sqlState, message: reader.rest() }
}

/** Without `sqlState` before the client has said that it speaks protocol 4.1. */
export function buildError(errno: number, sqlState: string, message: string | Buffer): Buffer {
  const writer = new FieldWriter().u8(LEAD.ERROR).u16(errno)
  if (sqlState !== '') writer.put(Buffer.from(`#${sqlState}`, 'latin1'))
  return writer.put(typeof message === 'string' ? Buffer.from(message) : message).bytes()
}
