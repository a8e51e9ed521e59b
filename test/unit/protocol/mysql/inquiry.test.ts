// Questions of our own to a server: what comes back, and what becomes of them when it goes.

import net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { Inquiry, InquiryLost, resultsIn } from '../../../../src/protocol/mysql/inquiry.ts'
import { buildOk, CAPABILITY, STATUS } from '../../../../src/protocol/mysql/messages.ts'
import { payloadsOf } from '../../../../src/protocol/mysql/own-replies.ts'
import { buildTextResult } from '../../../../src/protocol/mysql/results.ts'
import { startCanned } from '../../../bench/canned-server.ts'

const MORE = STATUS.MORE_RESULTS_EXISTS

function resultOf(columns: readonly string[], rows: readonly (string | null)[][], deprecateEof: boolean): Buffer {
  const capabilities = CAPABILITY.PROTOCOL_41 | (deprecateEof ? CAPABILITY.DEPRECATE_EOF : 0)
  return buildTextResult(columns, rows, {
    capabilities,
    mariadbCapabilities: 0,
    status: MORE,
    collation: 45,
    sequence: 1,
  })
}

test.each([
  ['with', false],
  ['without', true],
])(
  'rows of several statements come by the names of their columns, %s an EOF behind the names',
  (_how, deprecateEof) => {
    const bytes = [
      resultOf(['a', 'b'], [['1', null]], deprecateEof),
      resultOf(['a'], [], deprecateEof),
      resultOf(['c'], [['x'], ['']], deprecateEof),
    ]
    const payloads = bytes.flatMap((each) => payloadsOf(each))
    expect(resultsIn(payloads, { deprecateEof, optionalMetadata: false })).toEqual([
      [{ a: '1', b: null }],
      [],
      [{ c: 'x' }, { c: '' }],
    ])
  },
)

test('a statement without rows has none', () => {
  const ok = buildOk({ affectedRows: 2n }, CAPABILITY.PROTOCOL_41)
  expect(resultsIn([ok], { deprecateEof: true, optionalMetadata: false })).toEqual([[]])
})

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

async function openTo(port: number, signal = new AbortController().signal): Promise<Inquiry> {
  const tls = { mode: 'disabled', ca: null, cert: null, key: null } as const
  const target = { host: '127.0.0.1', port, tls, connectMsMax: 5_000, collation: 0, schema: null }
  const inquiry = await Inquiry.open(target, { user: 'monitor', password: '' }, signal)
  closing.push(() => inquiry.destroy())
  return inquiry
}

test('questions under way when it is closed, and those after, are lost', async () => {
  const server = await startCanned('writer')
  closing.push(() => server.close())
  const inquiry = await openTo(server.port)
  const asked = inquiry.ask('SELECT @@global.version AS version')
  inquiry.destroy()
  await expect(asked).rejects.toBeInstanceOf(InquiryLost)
  await expect(inquiry.ask('SELECT 1')).rejects.toBeInstanceOf(InquiryLost)
})

test('to open one can be given up while the server is silent', async () => {
  const silent = net.createServer()
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  closing.push(() => silent.close())
  const giveUp = new AbortController()
  const opening = openTo((silent.address() as net.AddressInfo).port, giveUp.signal)
  silent.once('connection', (socket) => {
    socket.on('error', () => {})
    giveUp.abort(new Error('given up'))
  })
  await expect(opening).rejects.toThrow('given up')
})
