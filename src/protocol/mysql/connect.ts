// We arrive at a backend: greeting, TLS, login. What comes out is ready for its first command.

import { ProxyError } from '../../errors.ts'
import type { BackendTls, ConnectOptions } from '../protocol.ts'
import type { Transport } from '../transport.ts'
import type { MessageReader } from './frames.ts'

/** A backend that has let us in. */
export interface BackendLogin {
  /** Paused, and without callbacks: set them, then `resume`. */
  readonly transport: Transport
  readonly reader: MessageReader
  /** What both sides can do. Unsigned. */
  readonly capabilities: number
  /** MariaDB's further 32 bits; 0 elsewhere. */
  readonly extendedCapabilities: number
  /** The server's version string, without the `5.5.5-` that old MariaDB servers put before theirs. */
  readonly version: string
  readonly engine: 'mysql' | 'mariadb'
  /** The server's number for this connection, what KILL takes. */
  readonly connectionId: number
  /** Status flags of the OK that ended the login. */
  readonly status: number
  /** Number of the collation this connection was opened with. */
  readonly collation: number
}

/** Who we are to a backend. */
export interface BackendUser {
  readonly user: string
  readonly password: string
}

export interface BackendTarget {
  readonly host: string
  readonly port: number
  readonly tls: BackendTls
  readonly connectMsMax: number
  /** Collation number to ask for; 0 leaves the choice to us (utf8mb4 with the engine's default). */
  readonly collation: number
  readonly schema: string | null
}

/**
 * Connects and logs in, asking for those of `capabilities` and `extendedCapabilities` the server offers (those that a
 * login needs are added). Throws ConnectFailed.
 */
export async function openBackend(
  _target: BackendTarget,
  _user: BackendUser,
  _capabilities: number,
  _extendedCapabilities: number,
): Promise<BackendLogin> {
  throw new ProxyError('INTERNAL', 'not there yet')
}

export function targetOf(options: ConnectOptions): BackendTarget {
  const { host, port } = options.backend
  return { host, port, tls: options.tls, connectMsMax: options.connectMsMax, collation: 0, schema: null }
}

/**
 * Logs in again over an open connection that is between requests (COM_CHANGE_USER): another user, or the same with
 * everything forgotten and no schema. Takes over the transport's callbacks while it lasts, and gives it back paused.
 * Throws ConnectFailed; the connection is then of no more use.
 */
export async function changeUser(
  _login: BackendLogin,
  _user: BackendUser,
  _schema: string | null,
  _connectMsMax: number,
): Promise<number> {
  throw new ProxyError('INTERNAL', 'not there yet')
}
