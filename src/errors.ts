// What the proxy itself can fail with. A database's own error is a reply and never comes through here.
// Each protocol maps every code to its wire form, so a new code that one protocol forgot does not compile.

export interface ErrorTraits {
  /** How far it reaches: `request` is answered and the client goes on, `session` is answered and then over. */
  readonly ends: 'request' | 'session'
  readonly level: 'debug' | 'info' | 'warn' | 'error'
}

export const ERRORS = {
  ACCESS_DENIED: { ends: 'session', level: 'info' },
  BAD_CHARSET: { ends: 'session', level: 'info' },
  TLS_REQUIRED: { ends: 'session', level: 'info' },
  LOGIN_UNSUPPORTED: { ends: 'session', level: 'info' },
  LOGIN_TIMEOUT: { ends: 'session', level: 'info' },
  CLIENTS_MAX: { ends: 'session', level: 'warn' },
  SHUTTING_DOWN: { ends: 'session', level: 'info' },
  MALFORMED_REQUEST: { ends: 'session', level: 'warn' },
  OUT_OF_ORDER: { ends: 'session', level: 'warn' },
  REQUEST_TOO_LARGE: { ends: 'session', level: 'warn' },
  UNKNOWN_REQUEST: { ends: 'request', level: 'info' },
  UNKNOWN_STATEMENT: { ends: 'request', level: 'info' },
  PREPARED_MAX: { ends: 'request', level: 'warn' },
  NO_CURSOR: { ends: 'request', level: 'info' },
  KILL_DENIED: { ends: 'request', level: 'info' },
  KILLED: { ends: 'session', level: 'info' },
  IDLE_TOO_LONG: { ends: 'session', level: 'info' },
  QUERY_KILLED: { ends: 'request', level: 'info' },
  NO_WRITER: { ends: 'request', level: 'warn' },
  NO_READER: { ends: 'request', level: 'warn' },
  READERS_BEHIND: { ends: 'request', level: 'warn' },
  UNKNOWN_ENDPOINT: { ends: 'request', level: 'info' },
  POOL_WAIT_TIMEOUT: { ends: 'request', level: 'warn' },
  POOL_WAITERS_MAX: { ends: 'request', level: 'warn' },
  BACKEND_CONNECT_FAILED: { ends: 'request', level: 'warn' },
  BACKEND_LOGIN_FAILED: { ends: 'request', level: 'error' },
  BACKEND_REFUSED_SETTINGS: { ends: 'request', level: 'warn' },
  OUTCOME_UNKNOWN: { ends: 'request', level: 'warn' },
  COMMIT_UNKNOWN: { ends: 'request', level: 'warn' },
  TRANSACTION_LOST: { ends: 'request', level: 'warn' },
  STATE_LOST: { ends: 'request', level: 'warn' },
  REPLY_CUT: { ends: 'request', level: 'warn' },
  REPLY_BROKEN: { ends: 'session', level: 'warn' },
  INTERNAL: { ends: 'session', level: 'error' },
} as const satisfies Record<string, ErrorTraits>

export type ErrorCode = keyof typeof ERRORS

/** Something the proxy itself failed at. `message` names the cause and the setting that governs it. */
export class ProxyError extends Error {
  override readonly name = 'ProxyError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  get traits(): ErrorTraits {
    return ERRORS[this.code]
  }
}

/** Why a connection was closed, and whose doing it was. Used as a log field and as a metric label. */
export const CLOSE_REASONS = [
  'client quit',
  'client lost',
  'client timeout',
  'client malformed',
  'client killed',
  'proxy draining',
  'proxy reset failed',
  'proxy in doubt',
  'proxy idle',
  'proxy lifetime',
  'proxy retired',
  'proxy error',
  'backend lost',
  'backend refused',
] as const
export type CloseReason = (typeof CLOSE_REASONS)[number]
