// Asks the writer's catalogue what kind of tables there are, when somebody must know; many at once, and not too often.

import type { Prober, TableFacts, TableName } from './claim.ts'

export interface CatalogueOptions<Table extends TableName> {
  readonly prober: () => Prober | null
  /** The tables to ask for next, and what `learn` is to be given with the answer. */
  readonly takeWanted: (countMax: number) => { readonly tables: readonly Table[]; readonly generation: number }
  readonly learn: (tables: readonly Table[], generation: number, facts: readonly TableFacts[] | null) => void
  readonly learnCase: (foldsCase: boolean) => void
}

const AT_ONCE_MAX = 50
/** Who may not tell, or does not answer, is left in peace for so long. */
const PAUSE_MS = 5_000

export class Catalogue<Table extends TableName> {
  readonly #options: CatalogueOptions<Table>
  #isAsking = false
  #pause: NodeJS.Timeout | null = null
  #stopped = false

  constructor(options: CatalogueOptions<Table>) {
    this.#options = options
  }

  /** Somebody wants to know of tables. */
  wake(): void {
    if (this.#isAsking || this.#pause !== null || this.#stopped) return
    this.#isAsking = true
    // Those that are wanted in the same breath are asked for together.
    queueMicrotask(() => void this.askAll())
  }

  stop(): void {
    this.#stopped = true
    if (this.#pause !== null) clearTimeout(this.#pause)
  }

  private async askAll(): Promise<void> {
    const { prober, takeWanted, learn, learnCase } = this.#options
    let isTold = true
    // The first question may be for nothing but how names are taken.
    for (let isFirst = true; isTold && !this.#stopped; isFirst = false) {
      const { tables, generation } = takeWanted(AT_ONCE_MAX)
      if (tables.length === 0 && !isFirst) break
      const asked = prober()
      const told = asked === null ? null : await asked.tables(tables).catch(() => null)
      if (told !== null) learnCase(told.foldsCase)
      learn(tables, generation, told?.facts ?? null)
      isTold = told !== null
    }
    this.#isAsking = false
    if (isTold || this.#stopped) return
    this.#pause = setTimeout(() => {
      this.#pause = null
      this.wake()
    }, PAUSE_MS).unref()
  }
}
