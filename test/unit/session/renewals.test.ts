// Whoever comes after rights have changed is served by connections that began after that.

import { beforeEach, expect, test } from 'vitest'
import { mariadbPosition } from '../../../src/protocol/mysql/positions.ts'
import { Floors } from '../../../src/routing/floors.ts'
import { Renewals } from '../../../src/session/renewals.ts'
import type { Progress } from '../../../src/topology/staleness.ts'
import { Stage } from '../../support/session-stage.ts'

const { topology } = new Stage({ readers: 1 })
const at = (sequence: number) => mariadbPosition(`0-1-${sequence}`)
const [WRITER, READER] = topology.backends.map(({ id }) => id) as [string, string]

let renewed: (readonly [string, boolean])[]
let vacated: string[]
let progress: Map<string, Progress>
let floors: Floors
let renewals: Renewals
beforeEach(() => {
  renewed = []
  progress = new Map()
  floors = new Floors((id) => progress.get(id) ?? null)
  floors.follow(topology)
  hears(READER, 0)
  vacated = []
  const pools = {
    renew: (backend: string, byLogin: boolean) => renewed.push([backend, byLogin]),
    vacate: (backend: string) => vacated.push(backend),
  }
  renewals = new Renewals({ pools, floors, topology: () => topology })
})

const hears = (id: string, sequence: number) =>
  progress.set(id, { position: at(sequence), asOfMs: null, askedMs: sequence })

test('on the writer at once, and on a reader as soon as it has heard of them', () => {
  renewals.rightsChanged(floors.raise(at(1), 1))
  expect(renewed).toEqual([])
  renewals.comes()
  expect(renewed).toEqual([[WRITER, true]])
  hears(READER, 1)
  renewals.comes()
  expect(renewed).toEqual([
    [WRITER, true],
    [READER, true],
  ])
})

test('on a reader that hears of them only after somebody has come, and nobody goes back to what began there before', () => {
  renewals.rightsChanged(floors.raise(at(1), 1))
  hears(READER, 1)
  renewals.lends()
  expect(renewed).toEqual([])
  renewals.rightsChanged(floors.raise(at(2), 2))
  renewals.comes()
  expect(vacated).toEqual([])
  hears(READER, 2)
  for (let times = 0; times < 3; times++) renewals.lends()
  expect(renewed.map(([id]) => id)).toEqual([WRITER, READER])
  expect(vacated).toEqual([READER])
})

test('once for each change', () => {
  renewals.comes()
  renewals.rightsChanged(floors.raise(at(1), 1))
  hears(READER, 1)
  for (let visits = 0; visits < 3; visits++) renewals.comes()
  expect(renewed.map(([id]) => id)).toEqual([WRITER, READER])
  renewals.rightsChanged(floors.raise(at(2), 2))
  for (let visits = 0; visits < 3; visits++) renewals.comes()
  expect(renewed.map(([id]) => id)).toEqual([WRITER, READER, WRITER])
})

test('what is set globally is there after a reset, but for what takes a login', () => {
  renewals.globalsSet(WRITER, ['sort_buffer_size'])
  renewals.globalsSet(WRITER, ['sql_mode', 'max_allowed_packet'])
  expect(renewed).toEqual([
    [WRITER, false],
    [WRITER, true],
  ])
})
