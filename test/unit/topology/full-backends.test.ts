// A full backend is given time, more each time it is still full, and none once it lets somebody in.

import { expect, test } from 'vitest'
import { FullBackends } from '../../../src/topology/full-backends.ts'

test('a full backend is left alone for a quarter of a second, then twice as long, up to a bound', () => {
  const full = new FullBackends()
  let nowMs = 1_000
  const pauses: number[] = []
  for (let turn = 0; turn < 8; turn++) {
    full.refused('db2', nowMs)
    const beganMs = nowMs
    while (full.isPaused('db2', nowMs)) nowMs += 50
    pauses.push(nowMs - beganMs)
  }
  expect(pauses).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000])
})

test('refusals that come together count once, and others are not concerned', () => {
  const full = new FullBackends()
  for (let turn = 0; turn < 100; turn++) full.refused('db2', 1_000)
  expect(full.isPaused('db2', 1_249)).toBe(true)
  expect(full.isPaused('db2', 1_250)).toBe(false)
  expect(full.isPaused('db3', 1_000)).toBe(false)
})

test('whoever is let in ends the pause, and the next begins small', () => {
  const full = new FullBackends()
  full.refused('db2', 0)
  full.refused('db2', 250)
  full.admitted('db2')
  expect(full.isPaused('db2', 251)).toBe(false)
  full.refused('db2', 300)
  expect(full.isPaused('db2', 550)).toBe(false)
})
