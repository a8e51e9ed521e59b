// Promises of what is counted of statements: by kind, within bounds, however they end.

import { describe, expect, test } from 'vitest'
import { Statements } from '../../../src/session/statements.ts'
import type { Classification } from '../../../src/sql/classification.ts'
import { classifyForStage, Stage } from '../../support/session-stage.ts'

/** A read that came at 0 and was answered by a reader. */
const count = (statements: Statements, classification: Classification, nowMs: number) =>
  statements.count(classification, 'reader', 'a read', false, 0, nowMs)

describe('kinds of statements', () => {
  test('add up what became of them', () => {
    const statements = new Statements('main', 10)
    const select = classifyForStage('select 1')
    count(statements, select, 4)
    statements.count(select, 'writer', 'no usable reader', true, 0, 8)
    count(statements, select, 2)
    expect(statements.kinds).toMatchObject([
      {
        cluster: 'main',
        digest: select.digest,
        text: select.digestText,
        access: 'read',
        because: 'a read',
        count: 3,
        errors: 1,
        targets: [
          { target: 'reader', count: 2 },
          { target: 'writer', count: 1 },
        ],
      },
    ])
    expect(statements.kinds[0]!.durations.count).toBe(3)
    expect(statements.kinds[0]!.durations.sumSeconds).toBeCloseTo(0.014)
  })

  test('are bounded: who was met lately stays', () => {
    const statements = new Statements('main', 3)
    const met = (name: string) => count(statements, classifyForStage(`select ${name}`), 1)
    for (const name of ['a', 'b', 'c', 'd']) met(name)
    met('b')
    met('e')
    const names = statements.kinds.map(({ text }) => text)
    expect(names).toHaveLength(3)
    expect(names).toEqual(expect.arrayContaining(['select b', 'select e']))
  })

  test('are not kept where none are asked for', () => {
    const statements = new Statements('main', 0)
    count(statements, classifyForStage('select 1'), 1)
    expect(statements.kinds).toEqual([])
  })
})

test('a statement is counted where it went, and here where it came to nothing', async () => {
  const stage = new Stage({ holdMsMax: 1 })
  const { client } = stage.join()
  client.ask('select 1')
  await expect.poll(() => client.answers.length).toBe(1)
  stage.change('db1', { health: 'down' })
  client.ask('insert 1')
  await expect.poll(() => client.answers.length).toBe(2)
  expect(stage.statements.kinds).toMatchObject([
    { text: 'select 1', count: 1, errors: 0, targets: [{ target: 'reader', count: 1 }] },
    { text: 'insert 1', count: 1, errors: 1, targets: [{ target: 'proxy', count: 1 }] },
  ])
})
