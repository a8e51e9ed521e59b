// What Sluice makes for itself once and finds again at its next start: a file of its own, readable for us only.

import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface Kept<Value> {
  readonly file: string
  make(): Promise<Value>
  write(value: Value): string
  /** Null: of no use (any more). */
  read(text: string): Value | null
}

/**
 * What is kept in `file`; made and written there when there is none that is of use. Processes that start together agree
 * on the one that was written first.
 */
export async function kept<Value>({ file, make, write, read }: Kept<Value>): Promise<Value> {
  const text = await textOf(file)
  const found = text === null ? null : read(text)
  if (found !== null) return found
  const made = await make()
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, write(made), { mode: 0o600 })
  if (text !== null) await rm(file, { force: true })
  try {
    await link(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(draft, { force: true })
  }
  const first = await textOf(file)
  return (first === null ? null : read(first)) ?? made
}

async function textOf(file: string): Promise<string | null> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
}
