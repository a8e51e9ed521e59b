// Where the program's own files are, whether it runs as it is written (src) or as it is built (dist), and which version it is.

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

function findHome(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(dirname(folder), 'package.json'))) {
    if (folder === dirname(folder)) throw new Error('the folder with package.json is missing: install it as a whole')
    folder = dirname(folder)
  }
  return folder
}

/** `src` or `dist`. */
export const home = findHome()
/** The folder with package.json. */
export const root = dirname(home)

export const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string }
