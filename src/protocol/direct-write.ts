// Writes to a socket's handle, past the machinery of streams: one request object serves every write that the kernel takes
// at once, which is nearly all of them. Measured at 0.6 of 10 microseconds that a byte relay spends on a statement. It
// rests on what Node's own sockets are made of; that is not public, so it is looked at before it is relied on, and tried
// at the start (`proveSockets`).

import { getSystemErrorName } from 'node:util'

/** What Node's own sockets write with. */
export interface WritingHandle {
  /** 0, or the negative number of a system error. */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number
}

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
  readonly streamBaseState: ArrayLike<number>
}

function findInternals(): Internals | null {
  try {
    const { binding } = process as unknown as { binding(name: string): Partial<Internals> }
    const found = binding.call(process, 'stream_wrap')
    const { WriteWrap, kLastWriteWasAsync, streamBaseState } = found
    if (typeof WriteWrap !== 'function' || typeof kLastWriteWasAsync !== 'number') return null
    if (streamBaseState?.[kLastWriteWasAsync] === undefined) return null
    return { WriteWrap, kLastWriteWasAsync, streamBaseState }
  } catch {
    return null
  }
}

const internals = findInternals()
let spare: WriteRequest | null = null
let allowed = internals !== null

/** Does this version of Node write so? */
export function directWrites(): boolean {
  return allowed
}

/** False: from now on streams do all the writing. */
export function allowDirectWrites(wish: boolean): void {
  allowed = wish && internals !== null
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
