// A port that logs clients in and then answers the least: enough to see what real clients make of our login.

import { generateKeyPairSync } from 'node:crypto'
import net from 'node:net'
import { acceptChangeUser, acceptLogin, type ClientLogin } from '../../src/protocol/mysql/accept.ts'
import { startCompression } from '../../src/protocol/mysql/compressed-transport.ts'
import { frame, type Message } from '../../src/protocol/mysql/frames.ts'
import { buildError, buildOk, buildTextResult, COMMAND, STATUS } from '../../src/protocol/mysql/messages.ts'
import { ProvenPasswords } from '../../src/protocol/mysql/password-hash.ts'
import type { AcceptOptions } from '../../src/protocol/protocol.ts'
import { acceptSocket } from '../../src/protocol/socket-transport.ts'
import type { Transport } from '../../src/protocol/transport.ts'

export interface LoginPort {
  readonly port: number
  /** Who got in, in order, and who changed into whom. */
  readonly logins: readonly ClientLogin[]
  readonly changes: readonly string[]
  /** Why others did not. */
  readonly refusals: readonly Error[]
  close(): void
}

const SOME_KEY = generateKeyPairSync('rsa', { modulusLength: 2048 })

/** Without a key of its own, a port has some key. */
export type LoginPortOptions = Omit<AcceptOptions, 'rsaKey'> & Partial<Pick<AcceptOptions, 'rsaKey'>>

type LoginOptions = AcceptOptions & { readonly proven: ProvenPasswords }

export async function openLoginPort(settings: LoginPortOptions): Promise<LoginPort> {
  const options = { rsaKey: async () => SOME_KEY.privateKey, ...settings, proven: new ProvenPasswords() }
  const logins: ClientLogin[] = []
  const changes: string[] = []
  const refusals: Error[] = []
  const transports = new Set<Transport>()
  let sessionId = 100
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    acceptLogin(acceptSocket(socket), { ...options, sessionId: sessionId++ }).then(
      (login) => {
        logins.push(login)
        transports.add(login.transport)
        serve(login, options, changes, refusals)
      },
      (error: Error) => refusals.push(error),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  const close = (): void => {
    server.close()
    for (const transport of transports) transport.destroy()
  }
  return { port, logins, changes, refusals, close }
}

function serve(login: ClientLogin, options: LoginOptions, changes: string[], refusals: Error[]): void {
  const { reader, capabilities, extendedCapabilities, compression, scramble } = login
  login.transport.write(frame(buildOk({ text: login.text }, capabilities), login.sequence))
  reader.bytesMax = 1 << 24
  const transport = compression === 'none' ? login.transport : startCompression(login.transport, compression)

  const listen = (): void => {
    transport.onBytes = (bytes) => {
      reader.push(bytes)
      for (let message = reader.shift(); message !== null; message = reader.shift()) answer(message)
    }
    transport.resume()
  }
  const answer = (message: Message): void => {
    const { payload } = message
    // Attributes, if any, stand in front of the text.
    const text = payload.toString('latin1')
    if (payload[0] === COMMAND.QUIT) transport.end()
    else if (payload[0] === COMMAND.CHANGE_USER) changeUser(payload)
    // The mysql client asks this to learn how the server reads dollars; an error is what it expects.
    else if (/select \$\$/i.test(text)) transport.write(frame(buildError(1064, '42000', 'no dollars'), 1))
    else if (payload[0] === COMMAND.QUERY && /select/i.test(text)) {
      const form = { capabilities, mariadbCapabilities: extendedCapabilities, status: STATUS.AUTOCOMMIT }
      transport.write(buildTextResult(['answer'], [['yes']], { ...form, sequence: 1, collation: 45 }))
    } else transport.write(frame(buildOk({}, capabilities), 1))
  }
  const changeUser = (payload: Buffer): void => {
    const { accounts, rsaKey, proven, loginMsMax, loginBytesMax, serverVersion } = options
    const changeOptions = { accounts, rsaKey, proven, loginMsMax, loginBytesMax, serverVersion, capabilities, scramble }
    acceptChangeUser({ transport, reader }, payload, 1, changeOptions).then(
      (outcome) => {
        if (outcome.refusal !== null) {
          refusals.push(new Error(outcome.refusal.message))
          transport.write(frame(outcome.refusal.frame, outcome.sequence))
          return transport.end()
        }
        changes.push(outcome.account.user)
        transport.write(frame(buildOk({}, capabilities), outcome.sequence))
        listen()
      },
      (error: Error) => refusals.push(error),
    )
  }
  listen()
}
