// A client arrives: greeting, TLS, login. The last word of the login (OK or an error) is left to the session, which may
// still have to refuse.

import { ProxyError } from '../../errors.ts'
import type { AcceptOptions, Account } from '../protocol.ts'
import type { Transport } from '../transport.ts'
import type { MessageReader } from './frames.ts'

/** A client that has proved who it is and still waits for the answer to its login. */
export interface ClientLogin {
  /**
   * The way to the client, inside TLS where it asked for that. Paused, and without callbacks: set them, then `resume`.
   * Never compressed yet: with `compression`, everything after the answer to the login is (`startCompression`).
   */
  readonly transport: Transport
  /** Holds what the client sent beyond its login. */
  readonly reader: MessageReader
  /** Sequence number of the answer to the login. */
  readonly sequence: number
  /** What both sides can do: the client's wishes out of what was offered to it. Unsigned. */
  readonly capabilities: number
  /** MariaDB's further 32 bits; 0 with a client that does not know them. */
  readonly extendedCapabilities: number
  readonly account: Account
  /** Number of the collation the client asked for. */
  readonly collation: number
  /** Null when the client named none. */
  readonly schema: string | null
  readonly attributes: ReadonlyMap<string, string>
  readonly compression: Compression
  /** The largest packet the client said it can take; 0: it did not say. */
  readonly packetBytesMax: number
}

export type Compression = 'none' | 'zlib' | 'zstd'

/** What a client's wish to become another user came to. */
export interface ChangeUserLogin {
  /** Sequence number of the answer. */
  readonly sequence: number
  readonly account: Account
  /** Null: the message named none, the server's default applies. */
  readonly collation: number | null
  readonly schema: string | null
  readonly attributes: ReadonlyMap<string, string>
}

/**
 * Greets and authenticates. Throws ProxyError once the client was told and its transport ended, ClientLost when it went
 * away. The transport's own callbacks are replaced.
 */
export async function acceptLogin(_transport: Transport, _options: AcceptOptions): Promise<ClientLogin> {
  throw new ProxyError('INTERNAL', 'not there yet')
}

export interface ChangeUserOptions {
  readonly accounts: AcceptOptions['accounts']
  readonly loginMsMax: number
  readonly loginBytesMax: number
  /** As agreed at login. */
  readonly capabilities: number
  readonly serverVersion: string
}

/**
 * Authenticates a COM_CHANGE_USER (`payload` is the whole message, `sequence` the one of the next message to send) over
 * a connection that is between requests. Takes over the transport's callbacks while it lasts, and gives it back paused.
 * Throws ProxyError (ACCESS_DENIED; the client was told and its transport ended) and ClientLost.
 */
export async function acceptChangeUser(
  _link: { readonly transport: Transport; readonly reader: MessageReader },
  _payload: Buffer,
  _sequence: number,
  _options: ChangeUserOptions,
): Promise<ChangeUserLogin> {
  throw new ProxyError('INTERNAL', 'not there yet')
}

/** Tells a client that it cannot be served, before any login, and closes. */
export function turnAway(_transport: Transport, _error: ProxyError): void {
  throw new ProxyError('INTERNAL', 'not there yet')
}
