// A process of its own: bytes from each client to a connection of its own and back, unread, over the same transport as
// Sluice. What Sluice costs beyond this is what Sluice does. Ends with the process that started it.

import net from 'node:net'
import { acceptSocket, connectSocket } from '../../src/protocol/socket-transport.ts'
import type { Transport } from '../../src/protocol/transport.ts'

const CONNECT_MS_MAX = 5_000
const [port, target] = process.argv.slice(2).map(Number)

/** `copies`: the buffer that bytes arrive in is not this connection's alone, and must be free when the call ends. */
function carry(from: Transport, to: Transport, copies: boolean): void {
  from.onBytes = (bytes) => {
    if (to.write(copies ? Buffer.from(bytes) : bytes)) return
    from.pause()
    to.onDrain = () => from.resume()
  }
  from.onClosed = () => to.end()
}

const server = net.createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
  const client = acceptSocket(socket)
  connectSocket('127.0.0.1', target!, AbortSignal.timeout(CONNECT_MS_MAX)).then(
    (backend) => {
      carry(client, backend, true)
      carry(backend, client, false)
      client.resume()
      backend.resume()
    },
    () => client.destroy(),
  )
})

process.once('disconnect', () => process.exit(0))
server.listen({ port, host: '127.0.0.1', backlog: 1024 })
