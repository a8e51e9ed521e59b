// Keeps what happened last, has every event judged, and tells the story of what was wrong.

import type { Event } from './history.ts'
import { Judge, type Violation } from './judge.ts'
import { ITEMS } from './kinds.ts'

const EVENTS_MAX = 20_000
const STORIES_MAX = 10
/** Of what the session did before. */
const SESSION_MAX = 6
/** How long before and after a read notes matter. */
const NOTES_MS = 1_500

export class Chronicle {
  readonly judge = new Judge(ITEMS.length)
  readonly stories: string[] = []
  /** How many reads each server answered, of those that asked which one it is. */
  readonly places = new Map<string, number>()
  #violations = 0
  #events: Event[] = []

  get violations(): number {
    return this.#violations
  }

  tell(event: Event): void {
    this.#events.push(event)
    if (this.#events.length > 2 * EVENTS_MAX) this.#events = this.#events.slice(-EVENTS_MAX)
    if (event.what === 'read' && event.where !== null) {
      this.places.set(event.where, (this.places.get(event.where) ?? 0) + 1)
    }
    for (const violation of this.judge.take(event)) {
      this.#violations += 1
      if (this.stories.length < STORIES_MAX) this.stories.push(this.story(violation))
    }
  }

  private story(violation: Violation): string {
    const { breach, session, read, item, version, due } = violation
    const asked = this.#events.find((event) => event.what === 'reads' && event.id === read)
    const kept = this.#events.filter((event) => this.matters(event, violation))
    const own = this.#events.filter((event) => 'session' in event && event.session === session).slice(-SESSION_MAX)
    const ids = new Set(own.map((event) => (event.what === 'note' ? 0 : event.id)))
    const shown = this.#events.filter((event) => kept.includes(event) || (event.what !== 'note' && ids.has(event.id)))
    const dueWords = due === null ? 'which nobody wrote' : `though ${due.version} was due, because of ${due.because}`
    return [
      `${breach} broken: ${session} read version ${version} of ${nameOf(item)}, ${dueWords}`,
      ...shown.map((event) => `  ${lineOf(event)}`),
      `  (the read was sent at ${asked?.ms.toFixed(1)} ms)`,
    ].join('\n')
  }

  /** What a reader of the story wants to know of everything else. */
  private matters(event: Event, { item, version, due, read }: Violation): boolean {
    const asked = this.#events.find((one) => one.what === 'reads' && one.id === read)
    if (event.what === 'note') return asked !== undefined && event.ms > asked.ms - NOTES_MS
    if (event.id === read || event.id === due?.because) return true
    const isOfItem = (one: Event) =>
      one.what === 'writes' && one.puts.some((put) => put.item === item && put.version >= version)
    return isOfItem(event) || this.#events.some((one) => isOfItem(one) && 'id' in one && one.id === event.id)
  }
}

function nameOf(item: number): string {
  return `${ITEMS[item]!.kind.name}#${item}`
}

function lineOf(event: Event): string {
  const at = `${event.ms.toFixed(1).padStart(10)} ms `
  const sights = (list: readonly { item: number; version: number }[]) =>
    list.map(({ item, version }) => `${nameOf(item)}@${version}`).join(' ')
  switch (event.what) {
    case 'writes':
      return `${at}${event.id} ${event.session} writes ${sights(event.puts)} by ${event.how}`
    case 'reads':
      return `${at}${event.id} ${event.session} reads ${event.items.map(nameOf).join(' ')} by ${event.how}`
    case 'read':
      return `${at}${event.id} saw ${sights(event.saw)}${event.where === null ? '' : ` on ${event.where}`}`
    case 'failed':
      return `${at}${event.id} failed: ${event.why}`
    case 'note':
      return `${at}${event.text}`
    default:
      return `${at}${event.id} ${event.what}`
  }
}
