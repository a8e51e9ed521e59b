// What V8 keeps of an object in a hash table is many times slower to find. It decides so by the number of fields, and now and
// then by chance: differently in one process than in the next.

import { setFlagsFromString } from 'node:v8'

export function hasFastProperties(object: object): boolean {
  setFlagsFromString('--allow-natives-syntax')
  // Only now can a text be read that says this.
  return new Function('object', 'return %HasFastProperties(object)')(object)
}
