// Idle connections, in the order in which they came. Linked to one another, because every statement takes one out and puts
// one in, and a Set is built anew on the way again and again.

/** What can be in such a list, in one at a time. */
export interface Linked<T> {
  before: T | null
  after: T | null
}

export class IdleList<T extends Linked<T>> {
  #size = 0
  #first: T | null = null
  #last: T | null = null

  get size(): number {
    return this.#size
  }

  /** The one that came first; `after` leads on to the others. */
  get first(): T | null {
    return this.#first
  }

  /** As they are now, whatever becomes of the list. */
  get all(): T[] {
    const all: T[] = []
    for (let one = this.#first; one !== null; one = one.after) all.push(one)
    return all
  }

  add(one: T): void {
    one.before = this.#last
    one.after = null
    if (this.#last === null) this.#first = one
    else this.#last.after = one
    this.#last = one
    this.#size += 1
  }

  remove(one: T): void {
    const { before, after } = one
    if (before === null) this.#first = after
    else before.after = after
    if (after === null) this.#last = before
    else after.before = before
    one.before = null
    one.after = null
    this.#size -= 1
  }
}
