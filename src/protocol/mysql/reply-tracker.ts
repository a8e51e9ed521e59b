// Follows one reply of a backend while its bytes pass, and stops at the few frames that mean something. Bodies are
// skipped by their length, nothing is allocated per frame. Keeps no bytes: what it cannot read yet it must see again.

import { MalformedMessage } from './fields.ts'
import { HEADER_BYTES, PAYLOAD_BYTES_MAX } from './frames.ts'
import { LEAD, STATUS } from './numbers.ts'

/**
 * `query`: also execute, bulk execute and process info. `cursor`: the same, but rows may wait for COM_STMT_FETCH. `fetch`: rows
 * alone. `field-list`: column definitions alone. `single`: one OK, EOF or ERR. `statistics`: one text.
 */
export type ReplyKind = 'query' | 'cursor' | 'prepare' | 'fetch' | 'field-list' | 'single' | 'statistics'

/**
 * What the frame is at which `feed` stopped. `none`: it went through all it was given. `eof`: the end of column
 * definitions or of rows, laid out as an OK where `okLayout` says so.
 */
export type Stop = 'none' | 'ok' | 'error' | 'eof' | 'infile' | 'prepared' | 'text'

/** What was agreed with the backend that shapes a reply. */
export interface ReplyForm {
  readonly deprecateEof: boolean
  readonly optionalMetadata: boolean
}

// Where in the reply the next frame is. Numbers, because the loop over rows compares them.
const ANSWER = 0
const PARAMETERS = 1
const PARAMETERS_END = 2
const COLUMNS = 3
const COLUMNS_END = 4
const ROWS = 5

// What a look at a frame says.
const SKIP = 0
const WAIT = 1
const STOPPED = 2
const PASSED = 3

/** A row can begin with 0xfe too, but is longer than this (0xfe, eight bytes of length, the value). */
const EOF_BYTES_MAX = 8
/** Shortest 0xfe message that is an OK: an EOF has 5 bytes. */
const OK_BYTES_MIN = 7
const PREPARE_OK_BYTES_MIN = 9

export class ReplyTracker {
  /** Where the stopped frame is in the chunk: its header, and what comes behind it. */
  stop: Stop = 'none'
  start = 0
  end = 0
  /** How far the chunk may go to the client: up to the stopped frame, or up to what has to be shown again. */
  forwardable = 0
  /** The reply is over, with the stopped frame; or at `forwardable` where there was no stop. */
  ended = true
  /** The stopped frame is the first of the reply. */
  first = true
  /** The stopped frame is laid out as an OK: it can have session tracking in it. */
  okLayout = false
  /** As the last OK or EOF told. */
  status = 0
  warnings = 0
  /** As the last OK told; beyond 2^53 not exact. */
  affectedRows = 0
  /** Rows of the last result set. */
  rows = 0
  /** Of the ERR it stopped at. */
  errno = 0
  /** Of the last frame that was passed or stopped at: an error of our own goes on from there. */
  sequence = 0
  /** As the prepare was answered. */
  statementId = 0
  parameterCount = 0
  /** Of the last result set; 0: there has been none. */
  columnCount = 0

  // Not #private: beyond a dozen of those, V8 now and then keeps an object as a hash table, and this one is asked with every frame.
  private lastInsertId: number | bigint = 0
  private kind: Exclude<ReplyKind, 'cursor'> = 'query'
  private mayWait = false
  private deprecateEof = true
  private optionalMetadata = false
  private place = ANSWER
  /** Bytes of a frame that are still to be skipped. */
  private bodyLeft = 0
  /** The frame begun last was full: the next one continues it, whatever it begins with. */
  private continues = false
  /** Definitions still to come. */
  private definitions = 0
  /** The definitions are sent (always, but for a client that chose resultset_metadata = NONE). */
  private described = true
  /** The result under way is the row of a CALL's OUT parameters. */
  private outParameters = false
  private begun = false
  /** A reader's place inside a frame. */
  private at = 0

  /** Gets ready for a new reply. */
  begin(kind: ReplyKind, form: ReplyForm): void {
    this.kind = kind === 'cursor' ? 'query' : kind
    this.mayWait = kind === 'cursor'
    this.deprecateEof = form.deprecateEof
    this.optionalMetadata = form.optionalMetadata
    this.place = kind === 'fetch' || kind === 'field-list' ? ROWS : ANSWER
    this.bodyLeft = 0
    this.continues = false
    this.definitions = 0
    this.outParameters = false
    this.begun = false
    this.status = 0
    this.warnings = 0
    this.affectedRows = 0
    this.lastInsertId = 0
    this.rows = 0
    this.columnCount = 0
    this.stop = 'none'
    this.ended = false
    this.first = true
    this.okLayout = false
    this.sequence = 0
  }

  /** What has been passed so far ends with a whole message: an error of our own may follow. */
  get atFrameBoundary(): boolean {
    return this.bodyLeft === 0 && !this.continues
  }

  /** The server says that the session's state changed; the tracking part of the OK tells what. */
  get hasStateChanges(): boolean {
    return (this.status & STATUS.SESSION_STATE_CHANGED) !== 0
  }

  get hasInsertId(): boolean {
    return this.lastInsertId !== 0
  }

  /** As the last OK told. */
  get insertId(): bigint {
    return BigInt(this.lastInsertId)
  }

  /** Walks from `from` to the next notable frame, or as far as it can read. Throws MalformedMessage. */
  feed(chunk: Buffer, from: number): Stop {
    const limit = chunk.length
    let at = from
    this.stop = 'none'
    if (this.bodyLeft > 0) {
      const step = Math.min(this.bodyLeft, limit - at)
      at += step
      this.bodyLeft -= step
      if (this.bodyLeft === 0 && !this.continues) this.messagePassed()
    }
    while (limit - at >= HEADER_BYTES && !this.ended && this.bodyLeft === 0) {
      if (this.place === ROWS && !this.continues) at = this.passRows(chunk, at)
      if (limit - at < HEADER_BYTES) break
      const length = chunk[at]! | (chunk[at + 1]! << 8) | (chunk[at + 2]! << 16)
      if (!this.continues) {
        if (length > 0 && limit - at === HEADER_BYTES) break
        // Nearly all frames are rows, and no row begins with 0xff, none but a giant with 0xfe.
        if (this.place !== ROWS || chunk[at + HEADER_BYTES]! >= LEAD.EOF) {
          const look = this.look(chunk, at, length)
          if (look === WAIT) break
          if (look === STOPPED) return this.stopped(chunk, at, length)
          if (look === PASSED) {
            this.sequence = chunk[at + 3]!
            at += HEADER_BYTES + length
            continue
          }
        }
      }
      this.sequence = chunk[at + 3]!
      this.begun = true
      if (this.place === ROWS && !this.continues) this.rows += 1
      this.continues = length === PAYLOAD_BYTES_MAX
      at += HEADER_BYTES + length
      if (at > limit) {
        this.bodyLeft = at - limit
        at = limit
      } else if (!this.continues && this.place !== ROWS) this.messagePassed()
    }
    this.forwardable = at
    return 'none'
  }

  /** Goes by all rows that are whole, short, and rows for certain: a large result is nothing else. */
  private passRows(chunk: Buffer, from: number): number {
    const limit = chunk.length
    let at = from
    let last = from
    let rows = 0
    while (limit - at > HEADER_BYTES) {
      const length = chunk[at]! | (chunk[at + 1]! << 8) | (chunk[at + 2]! << 16)
      const end = at + HEADER_BYTES + length
      if (end > limit || length === 0 || length === PAYLOAD_BYTES_MAX || chunk[at + HEADER_BYTES]! >= LEAD.EOF) break
      last = at
      at = end
      rows += 1
    }
    if (rows === 0) return from
    this.rows += rows
    this.sequence = chunk[last + 3]!
    this.begun = true
    return at
  }

  private stopped(chunk: Buffer, at: number, length: number): Stop {
    this.start = at
    this.end = at + HEADER_BYTES + length
    this.forwardable = at
    this.sequence = chunk[at + 3]!
    this.first = !this.begun
    this.begun = true
    return this.stop
  }

  /** A definition has gone by: what may come next? */
  private messagePassed(): void {
    if (this.place !== COLUMNS && this.place !== PARAMETERS) return
    this.definitions--
    if (this.definitions === 0) this.definitionsPassed()
  }

  private definitionsPassed(): void {
    if (!this.deprecateEof) this.place = this.place === PARAMETERS ? PARAMETERS_END : COLUMNS_END
    else if (this.place === PARAMETERS) this.expectColumns()
    else if (this.kind === 'prepare') this.ended = true
    else this.place = ROWS
  }

  private expectParameters(): void {
    this.place = PARAMETERS
    this.definitions = this.described ? this.parameterCount : 0
    if (this.parameterCount === 0) this.expectColumns()
    else if (this.definitions === 0) this.definitionsPassed()
  }

  private expectColumns(): void {
    this.place = COLUMNS
    this.definitions = this.described ? this.columnCount : 0
    // Only a prepared statement can have none. Undescribed columns still have their EOF.
    if (this.columnCount === 0) this.ended = true
    else if (this.definitions === 0) this.definitionsPassed()
  }

  private look(chunk: Buffer, at: number, length: number): number {
    const lead = length === 0 ? -1 : chunk[at + HEADER_BYTES]!
    const end = at + HEADER_BYTES + length
    this.at = at + HEADER_BYTES + 1
    if (lead === LEAD.ERROR) return this.lookAtError(chunk, end)
    switch (this.place) {
      case ROWS: {
        const bytesMax = this.deprecateEof ? PAYLOAD_BYTES_MAX - 1 : EOF_BYTES_MAX
        if (lead !== LEAD.EOF || length > bytesMax) return SKIP
        if (end > chunk.length) return WAIT
        this.readEnd(chunk, end)
        if (this.kind === 'query') this.resultPassed()
        else this.ended = true
        return STOPPED
      }
      case ANSWER:
        if (end > chunk.length) return this.mustBeShort(length)
        return this.lookAtAnswer(chunk, lead, end)
      case COLUMNS_END:
      case PARAMETERS_END:
        if (lead !== LEAD.EOF || length > EOF_BYTES_MAX) throw new MalformedMessage('no EOF behind the definitions')
        if (end > chunk.length) return WAIT
        this.readEnd(chunk, end)
        this.definitionsEnded()
        return STOPPED
      default:
        return SKIP
    }
  }

  /** A message to be read whole comes in one frame; none that a server sends is as long as that. */
  private mustBeShort(length: number): number {
    if (length === PAYLOAD_BYTES_MAX) throw new MalformedMessage('an answer of more than one frame')
    return WAIT
  }

  private lookAtError(chunk: Buffer, end: number): number {
    if (end > chunk.length) return this.mustBeShort(end - this.at + 1)
    this.errno = this.u16(chunk, end)
    this.stop = 'error'
    this.okLayout = false
    this.ended = true
    return STOPPED
  }

  private definitionsEnded(): void {
    if (this.place === PARAMETERS_END) this.expectColumns()
    else if (this.kind === 'prepare') this.ended = true
    else if (this.mayWait && this.hasCursor) this.ended = true
    else this.place = ROWS
    this.outParameters = (this.status & STATUS.PS_OUT_PARAMS) !== 0
  }

  /** Servers say so too of a cursor that is open in a routine or block, but then there is more to come. */
  private get hasCursor(): boolean {
    const { CURSOR_EXISTS, MORE_RESULTS_EXISTS } = STATUS
    return (this.status & (CURSOR_EXISTS | MORE_RESULTS_EXISTS)) === CURSOR_EXISTS
  }

  private resultPassed(): void {
    // MySQL ends the row of OUT parameters with an EOF that denies it, but the OK of the CALL always follows.
    const isMore = (this.status & STATUS.MORE_RESULTS_EXISTS) !== 0 || this.outParameters
    this.outParameters = false
    if (isMore) this.place = ANSWER
    else this.ended = true
  }

  private lookAtAnswer(chunk: Buffer, lead: number, end: number): number {
    const kind = this.kind
    if (kind === 'statistics') {
      this.stop = 'text'
      this.okLayout = false
      this.ended = true
      return STOPPED
    }
    if (kind === 'prepare') return this.lookAtPrepared(chunk, lead, end)
    switch (lead) {
      case LEAD.OK:
        this.stop = 'ok'
        this.readOk(chunk, end)
        if (kind === 'query') this.resultPassed()
        else this.ended = true
        return STOPPED
      case LEAD.EOF:
        this.readEnd(chunk, end)
        this.ended = true
        return STOPPED
      case LEAD.LOCAL_INFILE:
        if (kind !== 'query') break
        // What comes next is the answer to the file.
        this.stop = 'infile'
        this.okLayout = false
        return STOPPED
      default:
        if (kind !== 'query' || lead < 0) break
        return this.lookAtColumnCount(chunk, end)
    }
    throw new MalformedMessage(`an answer cannot begin with ${lead}`)
  }

  private lookAtColumnCount(chunk: Buffer, end: number): number {
    this.at--
    this.rows = 0
    this.columnCount = this.count(chunk, end)
    this.described = !this.optionalMetadata || this.at >= end || chunk[this.at] !== 0
    this.begun = true
    this.expectColumns()
    return PASSED
  }

  private lookAtPrepared(chunk: Buffer, lead: number, end: number): number {
    if (lead !== LEAD.OK || end - this.at + 1 < PREPARE_OK_BYTES_MIN) {
      throw new MalformedMessage('not the answer to a prepare')
    }
    const at = this.at
    this.statementId = chunk.readUInt32LE(at)
    this.columnCount = chunk.readUInt16LE(at + 4)
    this.parameterCount = chunk.readUInt16LE(at + 6)
    this.warnings = end - at >= 11 ? chunk.readUInt16LE(at + 9) : 0
    this.described = !this.optionalMetadata || end - at < 12 || chunk[at + 11] !== 0
    this.stop = 'prepared'
    this.okLayout = false
    this.expectParameters()
    return STOPPED
  }

  /** A message that begins with 0xfe is an EOF or, from newer servers, an OK: only their lengths differ. */
  private readEnd(chunk: Buffer, end: number): void {
    this.stop = 'eof'
    const length = end - this.at + 1
    if (length >= OK_BYTES_MIN) {
      this.readOk(chunk, end)
      return
    }
    this.okLayout = false
    this.warnings = this.u16(chunk, end)
    this.status = this.u16(chunk, end)
  }

  private readOk(chunk: Buffer, end: number): void {
    this.okLayout = true
    this.affectedRows = Number(this.integer(chunk, end))
    this.lastInsertId = this.integer(chunk, end)
    this.status = this.u16(chunk, end)
    this.warnings = this.u16(chunk, end)
  }

  private u16(chunk: Buffer, end: number): number {
    const at = this.advance(2, end)
    return chunk[at]! | (chunk[at + 1]! << 8)
  }

  private count(chunk: Buffer, end: number): number {
    return Number(this.integer(chunk, end))
  }

  private integer(chunk: Buffer, end: number): number | bigint {
    const lead = chunk[this.advance(1, end)]!
    if (lead < 0xfb) return lead
    if (lead === 0xfc) return this.u16(chunk, end)
    if (lead === 0xfd) return chunk.readUIntLE(this.advance(3, end), 3)
    if (lead === 0xfe) return chunk.readBigUInt64LE(this.advance(8, end))
    throw new MalformedMessage(`${lead} does not begin a length-encoded integer`)
  }

  private advance(bytes: number, end: number): number {
    const at = this.at
    if (at + bytes > end) throw new MalformedMessage('an answer ends too early')
    this.at = at + bytes
    return at
  }
}
