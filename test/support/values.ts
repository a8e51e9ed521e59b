// Values to start a test from: complete, and plain where the test says nothing else.

import type { Reply } from '../../src/protocol/protocol.ts'
import type { Classification } from '../../src/sql/classification.ts'
import type { Shape } from '../../src/sql/shape.ts'

export function shape(change: Partial<Shape> = {}): Shape {
  return {
    verb: 'select',
    executes: null,
    selects: 0,
    hidesRows: false,
    skipsRows: false,
    joins: false,
    returnsRows: false,
    leavesFoundRows: false,
    onlyDoes: false,
    keepsConditions: false,
    hasNoTable: false,
    preparesNoTable: false,
    isBlock: false,
    savepoint: null,
    saves: false,
    saysTransaction: false,
    takesSnapshot: false,
    ...change,
  }
}

export function classification(change: Partial<Classification> = {}): Classification {
  return {
    access: 'read',
    because: 'a test says so',
    statements: 1,
    shapes: (change.digestText ?? 'select ?')
      .split(';')
      .map((sql) => shapeOfVerb(/\w*/.exec(sql.trim())![0].toLowerCase())),
    digest: '00000000000000ff',
    digestText: 'select ?',
    transaction: 'none',
    release: 'no',
    releaseMidway: 'no',
    pins: [],
    facts: [],
    assigns: [],
    assigned: [],
    routines: [],
    tables: [],
    hint: null,
    freshness: null,
    kill: null,
    rights: false,
    command: null,
    plain: false,
    ...change,
  }
}

export function reply(change: Partial<Reply> = {}): Reply {
  return {
    outcome: 'ok',
    unknownSession: null,
    transaction: 'none',
    autocommit: true,
    changed: null,
    stateChanged: false,
    unmovable: false,
    warnings: 0,
    affectedRows: 0,
    rows: -1,
    insertId: 0n,
    cursorOpen: false,
    disturbed: false,
    conditions: null,
    foundRows: null,
    didNothing: false,
    unresolved: false,
    warned: false,
    keepsConditions: false,
    ...change,
  }
}

function shapeOfVerb(verb: string): Shape {
  return shape({ verb, hidesRows: verb === 'call', leavesFoundRows: !['call', 'select', 'show'].includes(verb) })
}
