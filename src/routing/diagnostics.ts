// What the session's last statements left for questions about them: ROW_COUNT(), FOUND_ROWS(), and the conditions that
// SHOW WARNINGS lists. Changed by observe() and its siblings only. Pure.

import type { Conditions, Reply } from '../protocol/protocol.ts'
import type { Classification, PinChange, SessionFact } from '../sql/classification.ts'
import type { Shape } from '../sql/shape.ts'

/** What is known of a text that was prepared in SQL. */
type Prepared = Pick<PinChange, 'findsNone' | 'hasTables' | 'release'>

export class Diagnostics {
  /** On this engine a statement without tables leaves the conditions of the one before. */
  readonly #keeps: boolean
  #rowCount = 0
  /** Null: only the connection knows. */
  #foundRows: number | null = null
  #keptFoundRows = false
  /** As it was known last. What an OK calls the insert id is not it: that may be a value the client gave. */
  #insertId = 0n
  /** Statements since then may have set it: only the connection knows. */
  #mayHaveInsertId = false
  /** How many conditions there are; those of a failed statement are not counted before they are read out. */
  #count = 0
  /** At least, as far as the answer told. */
  #toldCount = 0
  /** What was prepared in SQL, by name, as far as it is known what executing it leaves; null: there is none. */
  #prepared: Map<string, Prepared> | null = null
  /** They are those of a statement that failed. */
  #hasFailed = false
  #conditions: Conditions | null = null

  constructor(keeps: boolean) {
    this.#keeps = keeps
    this.forget()
  }

  get rowCount(): number {
    return this.#rowCount
  }

  get foundRows(): number | null {
    return this.#foundRows
  }

  /** The last statement left FOUND_ROWS() as it was: the connection that ran it may have another. */
  get keptFoundRows(): boolean {
    return this.#keptFoundRows
  }

  /** What LAST_INSERT_ID() answers; null: only the connection knows. */
  get insertId(): bigint | null {
    return this.#mayHaveInsertId ? null : this.#insertId
  }

  /** The same, unless statements since it was known have set it. */
  get insertIdBefore(): bigint {
    return this.#insertId
  }

  /** There are conditions. */
  get some(): boolean {
    return this.#count > 0
  }

  /** Null while they are on the connection, or there are none. */
  get conditions(): Conditions | null {
    return this.#conditions
  }

  get count(): number {
    return this.#conditions?.count ?? this.#count
  }

  get errors(): number {
    return this.#conditions?.errors ?? 0
  }

  /** Takes in one statement's outcome. True: the conditions there are now, if any, are this statement's. */
  observe(
    classification: Classification,
    reply: Reply,
    sql: Buffer | null = null,
    namesNone = hasNoTable(classification),
  ): boolean {
    const failed = reply.outcome !== 'ok'
    this.#rowCount = failed ? -1 : reply.affectedRows
    this.observeFoundRows(classification, reply, failed, sql)
    if (!failed) this.observePrepared(classification)
    if (maySetInsertId(classification, reply)) this.#mayHaveInsertId = true
    const { shapes } = classification
    if (!failed && (reply.keepsConditions || shapes.every((shape) => shape.keepsConditions))) return false
    const hasTables = this.#keeps && this.executed(classification)?.hasTables === true
    const isKept = !failed && reply.warnings === 0 && this.#keeps && !hasTables && namesNone
    const isOne = shapes.length === 1
    if (isKept && (isOne || !reply.warned)) return false
    // Of several statements, those before the last may have left what it keeps, whatever tables they read.
    const mayKeep = (this.#keeps || shapes.at(-1)?.keepsConditions === true) && !isOne && reply.warned
    this.#count = failed || mayKeep ? Math.max(1, reply.warnings) : reply.warnings
    this.#hasFailed = failed
    this.#toldCount = failed ? 1 : reply.warnings
    this.#conditions = null
    return true
  }

  /** The same for a plain read that found so many rows and warned of nothing. */
  observePlain(rows: number): void {
    this.#rowCount = -1
    this.#foundRows = rows
    this.#keptFoundRows = false
    this.#count = 0
    this.#hasFailed = false
    this.#toldCount = 0
    this.#conditions = null
  }

  /** A statement was prepared: nothing of the last one changes but its conditions, and how many rows there were if it was refused. */
  prepared(classification: Classification, reply: Reply): boolean {
    const { rowCount, foundRows } = this
    const mayHaveInsertId = this.#mayHaveInsertId
    const namesNone = classification.shapes.every((shape) => shape.preparesNoTable)
    const replaced = this.observe(classification, reply, null, namesNone)
    if (reply.outcome === 'ok') this.#rowCount = rowCount
    this.#foundRows = foundRows
    this.#keptFoundRows = true
    this.#mayHaveInsertId = mayHaveInsertId
    return replaced
  }

  /** A command that is no statement was answered, from here. */
  answered(): void {
    this.#rowCount = 0
  }

  /** The list of conditions was given from memory. */
  listed(): void {
    this.#rowCount = -1
  }

  /** What only a connection knew has been read out of it. */
  saveConditions(conditions: Conditions | null): void {
    if (conditions === null) {
      this.#count = 0
      this.#conditions = null
      return
    }
    // There may be more than are listed, none even: `max_error_count`.
    this.#count = Math.max(conditions.count, this.#toldCount)
    const errors = Math.max(conditions.errors, this.#hasFailed ? 1 : 0)
    this.#conditions = { ...conditions, count: this.#count, errors }
  }

  saveFoundRows(rows: number): void {
    this.#foundRows = rows
  }

  saveInsertId(id: bigint, isLast = true): void {
    this.#insertId = id
    if (isLast) this.#mayHaveInsertId = false
  }

  /** As at the beginning of a session; but to servers what was found outlives one that begins anew. */
  forget(): void {
    this.#rowCount = 0
    // MariaDB begins a session as if it had answered with one row.
    this.#foundRows ??= this.#keeps ? 1 : 0
    this.saveInsertId(0n)
    this.#count = 0
    this.#conditions = null
    this.#prepared = null
  }

  private observeFoundRows(
    classification: Classification,
    { rows, didNothing, unresolved }: Reply,
    failed: boolean,
    sql: Buffer | null,
  ): void {
    if (
      didNothing ||
      (unresolved && rows < 0 && resolvesFirst(classification)) ||
      !classification.shapes.some((shape) => this.finds(shape)) ||
      this.executed(classification)?.findsNone === true
    ) {
      this.#keptFoundRows = true
      return
    }
    const counts = failed ? this.countsFailed(classification, rows) : rows < 0 || countsOtherwise(classification)
    if (counts) this.#foundRows = failed ? null : withSkipped(rows, classification, sql)
    else if (rows >= 0 && !failed) this.#foundRows = rows
    this.#keptFoundRows = !counts && (failed || rows < 0)
  }

  private observePrepared({ pins }: Classification): void {
    for (const pin of pins) {
      const { reason, change, name, findsNone, hasTables, release } = pin
      if (reason !== 'sql-prepared' || name === null) continue
      if (change === 'start' && (findsNone ?? hasTables ?? release) !== undefined) {
        this.#prepared ??= new Map()
        this.#prepared.set(name, pin)
      } else this.#prepared?.delete(name)
    }
  }

  /** What an EXECUTE executes, if that is known. */
  executed({ shapes }: Classification): Prepared | null {
    if (this.#prepared === null || shapes.length !== 1) return null
    const name = shapes[0]!.executes
    return name === null ? null : (this.#prepared.get(name) ?? null)
  }

  /** It leaves something to FOUND_ROWS(): to MySQL any UPDATE does. */
  private finds({ leavesFoundRows, onlyDoes, verb, joins, hidesRows }: Shape): boolean {
    if (!this.#keeps) return !leavesFoundRows
    return !leavesFoundRows && !onlyDoes && (verb !== 'update' || joins || hidesRows)
  }

  /**
   * What fails counts nothing, unless something before it in the same text or routine did, or to MariaDB a subquery, or the
   * rows before the failure.
   */
  private countsFailed({ shapes, routines }: Classification, rows: number): boolean {
    const isOne = shapes.length === 1
    if (rows >= 0 && (isOne ? this.#keeps : shapes.slice(0, -1).some((shape) => this.finds(shape)))) return true
    // Where nothing came before the failure, the first of several statements is the one that failed.
    const failed = rows < 0 ? shapes.slice(0, 1) : shapes.slice(-1)
    return failed.some(({ hidesRows }) => hidesRows) && !isOneSelect(failed, routines, this.#keeps)
  }
}

/** Whatever it does, its names are looked up before. */
function resolvesFirst({ routines, shapes }: Classification): boolean {
  return routines.length === 0 && RESOLVING.has(shapes[0]?.verb ?? '')
}

const RESOLVING: ReadonlySet<string> = new Set(['select', 'insert', 'replace', 'update', 'delete'])

/** May LAST_INSERT_ID() be another after this statement? A failed one may have inserted rows before the one that failed. */
export function maySetInsertId(classification: Classification, { insertId, rows, outcome }: Reply): boolean {
  if (insertId !== 0n) return true
  const { access, facts } = classification
  if (outcome !== 'ok' || rows >= 0 || facts.includes('last-insert-id')) return access === 'write'
  // LAST_INSERT_ID(…) of a value, and routines, set it without a word.
  return classification.shapes.some(({ hidesRows, isBlock }) => hidesRows || isBlock)
}

/** The same, for statements that do not tell. */
export function maySetInsertIdSilently({ access, shapes }: Classification): boolean {
  if (access !== 'write') return false
  return shapes.some(({ hidesRows, returnsRows, isBlock }) => hidesRows || returnsRows || isBlock)
}

const OF_LAST: readonly SessionFact[] = ['diagnostics', 'condition-count', 'row-count', 'found-rows']

/** Does a statement ask about the one before it? */
export function asksAboutLast(facts: readonly SessionFact[]): boolean {
  return facts.some((fact) => OF_LAST.includes(fact))
}

export function asksForConditions(facts: readonly SessionFact[]): boolean {
  return facts.includes('diagnostics') || facts.includes('condition-count')
}

/** To MariaDB it is one, or several, that leave the conditions of the one before. */
export function hasNoTable({ shapes }: Classification): boolean {
  return shapes.every((shape) => shape.hasNoTable)
}

/** SQL_CALC_FOUND_ROWS, or an offset: it is not the number of rows in the answer. */
function countsOtherwise({ pins, shapes }: Classification): boolean {
  return shapes.length > 1 || shapes[0]?.skipsRows === true || pins.some(({ reason }) => reason === 'found-rows')
}

/** Rows that were found of a SELECT whose text says how many it skips; null: that is not certain. */
function withSkipped(rows: number, classification: Classification, sql: Buffer | null): number | null {
  const { shapes, routines, pins } = classification
  if (sql === null || rows <= 0 || pins.length > 0 || !isOneSelect(shapes, routines, true)) return null
  const text = sql.toString('latin1')
  const found = /--|#/.test(text) ? null : SKIPS.exec(text)
  return found === null ? null : Number(found[1] ?? found[2]) + rows
}

const SKIPS = /\blimit\s+(?:(\d+)\s*,\s*\d+|\d+\s+offset\s+(\d+))\s*$/i

/** A routine that it calls may run others. */
function isOneSelect(shapes: readonly Shape[], routines: readonly string[], countsSubqueries: boolean): boolean {
  if (shapes.length !== 1 || routines.length > 0 || shapes[0]!.verb !== 'select') return false
  return !countsSubqueries || shapes[0]!.selects === 1
}
