// Reads from and writes to a socket's handle, past the machinery of streams: one request object serves every write that the
// kernel takes at once, which is nearly all of them. Measured at 0.6 of 10 microseconds that a byte relay spends on a
// statement for writes, and half as much for reads. It rests on what Node's own sockets are made of; that is not public, so
// it is looked at before it is relied on, and tried at the start (`proveSockets`).

import { getSystemErrorName } from 'node:util'

/** What Node's own sockets write with. */
export interface WritingHandle {
  /** 0, or the negative number of a system error. */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number
}

/** What Node's own sockets read with: `onread` is called with every read, and `streamBaseState` says how much it was. */
export interface ReadingHandle {
  onread?: OnRead
  [READER]?: Reader
}
type OnRead = (this: ReadingHandle, bytes: unknown) => unknown

/** Whose socket it is. */
export interface Reader {
  /** So many bytes are in the buffer that the socket was given. */
  received(bytes: number): void
}

const READER = Symbol('reader')

/** Whoever wrote bytes that the kernel did not take at once. */
export interface Writer {
  /** Now it has taken them, or never will. */
  written(bytes: number, error: Error | null): void
}

interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void
  writer: Writer | null
  bytes: Uint8Array | null
}

interface Internals {
  readonly WriteWrap: new () => WriteRequest
  readonly kLastWriteWasAsync: number
  readonly kReadBytesOrError: number
  readonly streamBaseState: ArrayLike<number>
}

function findInternals(): Internals | null {
  try {
    const { binding } = process as unknown as { binding(name: string): Partial<Internals> }
    const found = binding.call(process, 'stream_wrap')
    const { WriteWrap, kLastWriteWasAsync, kReadBytesOrError, streamBaseState } = found
    if (typeof WriteWrap !== 'function' || streamBaseState === undefined) return null
    if (typeof kLastWriteWasAsync !== 'number' || streamBaseState[kLastWriteWasAsync] === undefined) return null
    if (typeof kReadBytesOrError !== 'number' || streamBaseState[kReadBytesOrError] === undefined) return null
    return { WriteWrap, kLastWriteWasAsync, kReadBytesOrError, streamBaseState }
  } catch {
    return null
  }
}

const internals = findInternals()
let spare: WriteRequest | null = null
let allowed = internals !== null

/** Does this version of Node read and write so? */
export function directIo(): boolean {
  return allowed
}

/** False: from now on streams do all of it. */
export function allowDirectIo(wish: boolean): void {
  allowed = wish && internals !== null
}

/** As Node reads; the same for all sockets. */
let streamRead: OnRead | null = null

/** What `handle` reads goes to `reader`, and what else there is to tell (its end, errors) to the stream, as ever. */
export function readDirectly(handle: ReadingHandle, reader: Reader): void {
  if (!allowed || typeof handle.onread !== 'function') return
  streamRead ??= handle.onread
  if (handle.onread !== streamRead) return
  handle[READER] = reader
  handle.onread = arrived
}

/** From now on the stream is told all. */
export function readByStream(handle: ReadingHandle): void {
  if (handle.onread === arrived) handle.onread = streamRead!
}

function arrived(this: ReadingHandle, bytes: unknown): unknown {
  const { streamBaseState, kReadBytesOrError } = internals!
  const count = streamBaseState[kReadBytesOrError]!
  if (count <= 0) return streamRead!.call(this, bytes)
  this[READER]!.received(count)
  return undefined
}

/** True: the kernel has taken all of it. False: not yet, and `writer` will be told. Else what went wrong. */
export function writeDirectly(handle: WritingHandle, bytes: Buffer, writer: Writer): boolean | Error {
  const { streamBaseState, kLastWriteWasAsync } = internals!
  const request = spare ?? newRequest()
  spare = request
  const status = handle.writeBuffer(request, bytes)
  if (status !== 0) return errorOf(status)
  if (streamBaseState[kLastWriteWasAsync] === 0) return true
  spare = null
  request.writer = writer
  request.bytes = bytes
  return false
}

function newRequest(): WriteRequest {
  const request = new internals!.WriteWrap()
  request.oncomplete = completed
  request.writer = null
  request.bytes = null
  return request
}

function completed(this: WriteRequest, status: number): void {
  this.writer!.written(this.bytes!.length, status < 0 ? errorOf(status) : null)
}

function errorOf(status: number): Error {
  const code = getSystemErrorName(status)
  return Object.assign(new Error(`write ${code}`), { code, errno: status, syscall: 'write' })
}
