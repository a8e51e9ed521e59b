// What a connection's session on the server is set to, and how it is brought to other settings: as many commands as needed,
// one round trip.

import type { Refusal, SavedVariable, Settings, SettingsChange } from '../protocol.ts'
import { NO_SETTINGS, sameSettings, settingsOf, withChange } from '../settings.ts'
import { buildCommand, buildQuery, COMMAND, parseOk } from './messages.ts'
import { type Asker, changeOf, changesIn, errorIn, type OwnCommand, refusalOf } from './own-replies.ts'
import {
  alignmentSql,
  armingSql,
  BASE_VARIABLES,
  gtidTracker,
  hasMultiStatements,
  isSameValue,
  MULTI_STATEMENTS,
  quoteName,
} from './variables.ts'

/** The connection, as far as its alignment needs it. */
export interface Aligned extends Asker {
  /** Something is left there for SHOW WARNINGS. */
  stained: boolean
  readonly inTransaction: boolean
  /** To log in again without a schema is the only way to be without one; it forgets everything else as well. */
  leaveSchema(): Promise<void>
}

/** ER_SPECIFIC_ACCESS_DENIED_ERROR. */
const ACCESS_DENIED = 1227

const NO_VARIABLES: readonly SavedVariable[] = []
const SET_OPTION_ON = Buffer.from([COMMAND.SET_OPTION, 0, 0])
const SET_OPTION_OFF = Buffer.from([COMMAND.SET_OPTION, 1, 0])

export class Alignment {
  readonly #connection: Aligned
  readonly #presets: ReadonlyMap<string, string>
  #settings: Settings = NO_SETTINGS
  /** The server's trackers tell us everything; a client that sets its own takes them from us for a moment. */
  #armed = true
  /** How it is set to tell what was committed. */
  #gtids: string | null = null

  constructor(connection: Aligned, presets: ReadonlyMap<string, string>) {
    this.#connection = connection
    this.#presets = presets
  }

  get settings(): Settings {
    return this.#settings
  }

  /** The server tells with every OK what was committed. */
  get tellsPositions(): boolean {
    return this.#armed && this.#gtids === this.gtidTrackerFor(this.#settings)
  }

  /** Nothing needs to be done for them. */
  fits(settings: Settings): boolean {
    return this.#armed && (settings === this.#settings || sameSettings(settings, this.#settings))
  }

  async align(settings: Settings, variables = NO_VARIABLES): Promise<Refusal | null> {
    const refusal = await this.alignAtOnce(settings, variables)
    const isDenied = refusal !== null && errorIn([refusal.frame])?.errno === ACCESS_DENIED
    return isDenied ? this.alignOneByOne(settings, variables, refusal) : refusal
  }

  /** Tells a server that remembers nothing of us what to report. */
  get arming(): OwnCommand {
    return [
      buildQuery(armingSql(this.gtidTrackerFor(NO_SETTINGS), this.#presets), this.#connection.attributes),
      'single',
    ]
  }

  /** That was done, after a reset or a login. Neither touches the option to run several statements in one text. */
  armed(schema: string | null): void {
    this.#armed = true
    this.#gtids = this.gtidTrackerFor(NO_SETTINGS)
    const multi = this.#settings.variables.get(MULTI_STATEMENTS)
    const left = multi === undefined ? BASE_VARIABLES : new Map([...BASE_VARIABLES, [MULTI_STATEMENTS, multi]])
    this.#settings = settingsOf(schema, left)
  }

  /** The server has told what somebody set. */
  follow(changed: SettingsChange): void {
    const schema = changed.schema === undefined ? this.#settings.schema : changed.schema
    const variables = new Map(this.#settings.variables)
    for (const [name, value] of changed.variables) {
      if (name.startsWith('session_track_') || this.#presets.has(name)) this.#armed = false
      if (name === 'session_track_gtids') this.#gtids = value
      variables.set(name, value)
    }
    this.#settings = settingsOf(schema, variables)
  }

  private async alignAtOnce(settings: Settings, variables: readonly SavedVariable[]): Promise<Refusal | null> {
    const from = this.#settings
    if (settings.schema === null && from.schema !== null) {
      await this.#connection.leaveSchema()
      return this.fits(settings) && variables.length === 0 ? null : this.align(settings, variables)
    }
    const commands: OwnCommand[] = []
    const whats: Refusal['what'][] = []
    const { attributes, capabilities, inTransaction } = this.#connection
    const gtids = this.gtidTrackerFor(settings)
    // In a transaction it cannot be set.
    const isToSet = gtids !== this.#gtids && !inTransaction
    const arming = { armed: this.#armed, presets: this.#presets, gtids: isToSet ? gtids : null }
    const sql = alignmentSql(from, settings, arming, variables)
    if (sql !== null) {
      commands.push([buildQuery(sql, attributes), 'single'])
      whats.push('variables')
    }
    if (settings.schema !== from.schema) {
      commands.push([buildCommand(COMMAND.INIT_DB, settings.schema!), 'single'])
      whats.push('schema')
    }
    const multi = hasMultiStatements(settings)
    if (multi !== hasMultiStatements(from)) {
      commands.push([multi ? SET_OPTION_ON : SET_OPTION_OFF, 'single'])
      whats.push('variables')
    }
    if (commands.length > 0) {
      const replies = await this.#connection.ask(commands)
      for (const [index, reply] of replies.entries()) {
        const error = errorIn(reply)
        if (error !== null) {
          // MariaDB keeps it over whatever SET succeeds after it.
          this.#connection.stained = true
          return refusalOf(whats[index]!, reply, error)
        }
        // A variable may be deprecated, say. Where MySQL answers other commands with a count, it is that of a statement before.
        if (index === 0 && sql !== null && parseOk(reply.at(-1)!, capabilities).warnings > 0)
          this.#connection.stained = true
      }
    }
    if (isToSet) this.#gtids = gtids
    this.#armed = gtids === this.#gtids
    this.#settings = settings
    return null
  }

  /** Some variables only the mighty may set, and everybody to their defaults: the server tells which value that was. */
  private async alignOneByOne(
    settings: Settings,
    variables: readonly SavedVariable[],
    refusal: Refusal,
  ): Promise<Refusal | null> {
    const { attributes, capabilities } = this.#connection
    for (const [name, value] of settings.variables) {
      const one = withChange(this.#settings, { schema: undefined, variables: new Map([[name, value]]) })
      if ((await this.alignAtOnce(one, NO_VARIABLES)) === null) continue
      const sql = `SET SESSION ${quoteName(name)} = DEFAULT`
      const [reply] = await this.#connection.ask([[buildQuery(sql, attributes), 'single']])
      const changed = errorIn(reply!) === null ? changeOf(changesIn(reply!, capabilities)) : null
      if (changed !== null) this.follow(changed)
      if (!isSameValue(this.#settings.variables.get(name), value)) return refusal
      this.follow({ schema: undefined, variables: new Map([[name, value]]) })
    }
    return this.alignAtOnce(settings, variables)
  }

  private gtidTrackerFor(settings: Settings): string | null {
    return gtidTracker(this.#connection.engine, settings)
  }
}
