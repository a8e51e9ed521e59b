// Settings as values: made once, shared by everybody whose session looks the same. Pure but for the pool of shared ones.

import type { Settings, SettingsChange } from './protocol.ts'

/** How many distinct states are shared; beyond it equal states are merely equal, found by their key. */
const SHARED_MAX = 4096

const shared = new Map<string, Settings>()

/** The settings with this content; the same object for the same content while it is remembered. */
export function settingsOf(schema: string | null, variables: ReadonlyMap<string, string>): Settings {
  const names = [...variables.keys()].sort()
  let key = schema === null ? '-' : `=${schema}`
  for (const name of names) key += `\0${name}\0${variables.get(name)}`
  const known = shared.get(key)
  if (known !== undefined) return known
  const settings: Settings = { schema, variables: new Map(names.map((name) => [name, variables.get(name)!])), key }
  if (shared.size >= SHARED_MAX) shared.delete(shared.keys().next().value!)
  shared.set(key, settings)
  return settings
}

export const NO_SETTINGS = settingsOf(null, new Map())

/** `settings` after a change; the same object when nothing differs. */
export function withChange(settings: Settings, change: SettingsChange): Settings {
  const schema = change.schema === undefined ? settings.schema : change.schema
  let differs = schema !== settings.schema
  for (const [name, value] of change.variables) differs ||= settings.variables.get(name) !== value
  if (!differs) return settings
  return settingsOf(schema, new Map([...settings.variables, ...change.variables]))
}

export function sameSettings(one: Settings, other: Settings): boolean {
  return one === other || one.key === other.key
}
