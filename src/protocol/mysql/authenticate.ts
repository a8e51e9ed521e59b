// Who is it? A client proves itself: with the scheme it brings, or is asked to use another.

import { constants, createPublicKey, type KeyObject, privateDecrypt } from 'node:crypto'
import { ProxyError } from '../../errors.ts'
import type { AcceptOptions, Account } from '../protocol.ts'
import type { Transport } from '../transport.ts'
import {
  type ClientPlugin,
  createScramble,
  FAST_AUTH_OK,
  FULL_AUTH_NEEDED,
  isClientPlugin,
  KEY_REQUEST,
  NATIVE_PROOF_BYTES,
  SHA2_PROOF_BYTES,
  samePassword,
  unmixed,
  usesPassword,
  verify,
} from './auth.ts'
import type { Channel } from './channel.ts'
import { buildAuthMoreData, buildAuthSwitch, MalformedMessage } from './messages.ts'
import {
  fitsHash,
  fitsNativeHash,
  type PasswordHash,
  type ProvenPasswords,
  parsePasswordHash,
} from './password-hash.ts'

/** Who a client says it is, and what it proves that with. */
export interface Wish {
  readonly user: string
  readonly response: Buffer
  readonly plugin: string
}

export interface Proving extends Pick<AcceptOptions, 'accounts' | 'rsaKey'> {
  readonly proven: ProvenPasswords
}

export interface AuthenticateOptions extends Proving {
  /** What a client is asked to use whose own plugin is none of ours. */
  readonly fallback: ClientPlugin
  readonly scramble: Buffer
  /** The client expects to be asked, whatever it sent so far. */
  readonly mustSwitch: boolean
  /** Without CLIENT_PLUGIN_AUTH a client knows mysql_native_password only, and no other words of this conversation. */
  readonly canSwitch: boolean
}

/** Whatever plugin of ours the client brings will do, if what we know of the account's password is enough for it. */
export async function authenticate(channel: Channel, wish: Wish, options: AuthenticateOptions): Promise<Account> {
  const { accounts, canSwitch } = options
  const secure = channel.transport.tls !== null
  const account = accounts.find(wish.user)
  const known = new KnownPassword(account, options.proven)
  let plugin: ClientPlugin = 'mysql_native_password'
  let { response } = wish
  let { scramble } = options
  if (canSwitch) {
    const suits = isClientPlugin(wish.plugin, secure) && known.suffices(wish.plugin)
    plugin = suits ? (wish.plugin as ClientPlugin) : known.suffices(options.fallback) ? options.fallback : CACHING_SHA2
    if (!suits || options.mustSwitch) {
      scramble = createScramble()
      channel.write(buildAuthSwitch({ plugin, challenge: scramble }))
      response = await channel.read()
    }
  } else if (!known.suffices(plugin)) throw new ProxyError('LOGIN_UNSUPPORTED', UNSUPPORTED_TEXT)
  const prover = new ClientProof(channel, known, scramble, options.rsaKey)
  const proved = await prover.check(plugin, response)
  if (account === null || !proved) throw accessDenied(wish.user, channel.transport, usesPassword(response))
  if (account.requireTls && !secure) {
    throw new ProxyError('TLS_REQUIRED', `User '${wish.user}' may connect with TLS only (requireTls).`)
  }
  return { ...account, password: known.password, backendPassword: account.backendPassword ?? known.password }
}

const CACHING_SHA2 = 'caching_sha2_password'
const UNSUPPORTED_TEXT =
  'Client does not support authentication protocol requested by server; consider upgrading MySQL client'

function accessDenied(user: string, transport: Transport, withPassword: boolean): ProxyError {
  const host = transport.peerAddress === '' ? 'localhost' : transport.peerAddress
  const using = withPassword ? 'YES' : 'NO'
  return new ProxyError('ACCESS_DENIED', `Access denied for user '${user}'@'${host}' (using password: ${using})`)
}

/** An account's password itself, from the settings or from a client that proved it before; or what is kept of it. */
class KnownPassword {
  readonly hash: PasswordHash | null
  readonly #account: Account | null
  readonly #proven: ProvenPasswords

  constructor(account: Account | null, proven: ProvenPasswords) {
    this.#account = account
    this.#proven = proven
    this.hash = account?.passwordHash == null ? null : parsePasswordHash(account.passwordHash)
  }

  /** Null: not known, or nobody's. */
  get password(): string | null {
    if (this.#account === null) return null
    const { password, passwordHash } = this.#account
    return passwordHash === null ? password : this.#proven.get(passwordHash)
  }

  /**
   * Whether a client can prove itself so. mysql_native_password keeps the password from us, so it will do only where we
   * need not know it. Nobody is asked as most are, so that it does not show.
   */
  suffices(plugin: ClientPlugin): boolean {
    if (plugin !== 'mysql_native_password' || this.hash === null) return true
    return this.hash.kind === 'native' && this.#account!.backendPassword !== null
  }

  async is(password: Buffer): Promise<boolean> {
    const known = this.password
    if (known !== null) return samePassword(password, known)
    if (this.hash === null || !(await fitsHash(this.hash, password))) return false
    this.#proven.add(this.#account!.passwordHash!, password.toString())
    return true
  }
}

class ClientProof {
  readonly #channel: Channel
  readonly #known: KnownPassword
  readonly #scramble: Buffer
  readonly #rsaKey: () => Promise<KeyObject>

  constructor(channel: Channel, known: KnownPassword, scramble: Buffer, rsaKey: () => Promise<KeyObject>) {
    this.#channel = channel
    this.#known = known
    this.#scramble = scramble
    this.#rsaKey = rsaKey
  }

  /** True: the client knows the account's password. */
  check(plugin: ClientPlugin, response: Buffer): boolean | Promise<boolean> {
    const { password, hash } = this.#known
    switch (plugin) {
      case 'mysql_native_password':
        if (response.length !== 0 && response.length !== NATIVE_PROOF_BYTES) {
          throw new MalformedMessage(`a response of ${response.length} bytes`)
        }
        if (password === null && hash?.kind === 'native') return fitsNativeHash(hash.twice, response, this.#scramble)
        return password !== null && verify(plugin, response, password, this.#scramble)
      case 'mysql_clear_password':
        return this.#known.is(response.at(-1) === 0 ? response.subarray(0, -1) : response)
      case 'caching_sha2_password':
        return this.checkSha2(response)
    }
  }

  /**
   * At once if the password is known here and the response fits it, as with a server that remembers the account. Else,
   * as on a server, the password itself decides, whoever the client says it is.
   */
  private async checkSha2(response: Buffer): Promise<boolean> {
    const { password } = this.#known
    // An empty password is accepted by the final OK alone.
    if (!usesPassword(response)) return password === ''
    if (response.length !== SHA2_PROOF_BYTES) return false
    if (password !== null && verify(CACHING_SHA2, response, password, this.#scramble)) {
      this.#channel.write(buildAuthMoreData(Buffer.from([FAST_AUTH_OK])))
      return true
    }
    this.#channel.write(buildAuthMoreData(Buffer.from([FULL_AUTH_NEEDED])))
    const answer = await this.#channel.read()
    const secure = this.#channel.transport.tls !== null
    const clear = secure ? answer : await this.decrypted(answer)
    // Encrypted, a password ends at the first zero; in clear, at the end of the message, where a zero must be.
    const end = secure ? clear.length - 1 : clear.indexOf(0)
    if (end < 1 || clear[end] !== 0) return false
    return this.#known.is(clear.subarray(0, end))
  }

  /** Nothing, if it was not encrypted with our key. */
  private async decrypted(first: Buffer): Promise<Buffer> {
    const key = await this.#rsaKey()
    let answer = first
    if (answer.length === 1 && answer[0] === KEY_REQUEST.caching_sha2_password) {
      const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' })
      this.#channel.write(buildAuthMoreData(Buffer.from(pem)))
      answer = await this.#channel.read()
    }
    try {
      return unmixed(privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING }, answer), this.#scramble)
    } catch {
      return Buffer.alloc(0)
    }
  }
}
