// The MySQL protocol; the only file of this folder that others import.

import type { Duplex } from 'node:stream'
import { ProxyError } from '../../errors.ts'
import type { SqlContext } from '../../sql/classifier.ts'
import { dialects } from '../../sql/dialects.ts'
import type { Prober } from '../../topology/monitor.ts'
import {
  type AcceptOptions,
  type Arrival,
  BackendLost,
  type ClientConnection,
  ConnectFailed,
  type ConnectOptions,
  type ProbeTarget,
  type Protocol,
  type ServerWords,
  type Settings,
} from '../protocol.ts'
import { transportOf } from '../socket-transport.ts'
import { acceptLogin, turnAway } from './accept.ts'
import { MysqlBackend } from './backend.ts'
import { refusedCharset } from './charsets.ts'
import { type ClientOptions, MysqlClient } from './client.ts'
import { serverVersion } from './messages.ts'
import { modesOf } from './modes.ts'
import { ProvenPasswords } from './password-hash.ts'
import { positionOf } from './positions.ts'
import { createProber } from './probe.ts'

/** A table named without its schema may be one of the server's own there. */
const SYSTEM_SCHEMAS: ReadonlySet<string> = new Set(['information_schema', 'mysql', 'performance_schema', 'sys'])

/** Different combinations of modes, charsets and versions that are remembered; beyond it they are made anew. */
const CONTEXTS_MAX = 256

export function createMysqlProtocol(nowMs: () => number): Protocol {
  const contexts = new Map<string, SqlContext>()
  const proven = new ProvenPasswords()
  const clientOptions = new WeakMap<AcceptOptions, ClientOptions>()

  /** Thousands of clients share one object. */
  function optionsFor(options: AcceptOptions): ClientOptions {
    const known = clientOptions.get(options) ?? { ...options, proven }
    clientOptions.set(options, known)
    return known
  }

  return {
    name: 'mysql',

    sqlContext(settings: Settings, { version, modes }: ServerWords): SqlContext {
      const sqlMode = settings.variables.get('sql_mode') ?? modes
      const charset = settings.variables.get('character_set_client') ?? ''
      const systemSchema = SYSTEM_SCHEMAS.has(settings.schema?.toLowerCase() ?? '')
      const key = `${version}\0${sqlMode}\0${charset}\0${systemSchema}`
      const known = contexts.get(key)
      if (known !== undefined) return known
      const context = { ...contextOf(version, sqlMode), charset, systemSchema }
      if (contexts.size >= CONTEXTS_MAX) contexts.clear()
      contexts.set(key, context)
      return context
    },

    async accept(stream: Duplex, options: AcceptOptions, arrival: Arrival): Promise<ClientConnection> {
      const login = await acceptLogin(transportOf(stream), { ...options, ...arrival, proven })
      const client = new MysqlClient(login, arrival.sessionId, optionsFor(options))
      const refused = refusedCharset(login.collation, options.serverVersion)
      if (refused === null) return client
      const text = `Variable 'character_set_client' can't be set to the value of '${refused}'`
      const error = new ProxyError('BAD_CHARSET', text)
      client.fail(error)
      client.end()
      throw error
    },

    turnAway(stream: Duplex, error: ProxyError): void {
      turnAway(transportOf(stream), error)
    },

    async connect(options: ConnectOptions): Promise<MysqlBackend> {
      try {
        return await MysqlBackend.open(options, nowMs())
      } catch (error) {
        if (error instanceof BackendLost) throw new ConnectFailed('network', error.message, null, { cause: error })
        throw error
      }
    },

    position: positionOf,

    prober: (target: ProbeTarget): Prober => createProber(target),
  }
}

function contextOf(version: string, sqlMode: string) {
  const { engine, number } = serverVersion(version)
  return { dialect: dialects[engine], version: number, ...modesOf(sqlMode) }
}
