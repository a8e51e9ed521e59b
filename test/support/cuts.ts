// Bytes as a network may deliver them: cut anywhere, one by one, or as nonsense.

/** Every place inside `bytes` where a chunk may end. */
export function everyCutOf(bytes: Buffer): number[] {
  return Array.from({ length: Math.max(0, bytes.length - 1) }, (_, index) => index + 1)
}

/** `bytes` in two chunks. */
export function cutAt(bytes: Buffer, cut: number): Buffer[] {
  return [bytes.subarray(0, cut), bytes.subarray(cut)]
}

/** `bytes` in chunks of this size. */
export function inPiecesOf(size: number, bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size))
  return pieces
}

/** All ways worth trying to deliver `bytes`: whole, in two at every cut, and byte by byte. */
export function everyDeliveryOf(bytes: Buffer): Buffer[][] {
  return [[bytes], ...everyCutOf(bytes).map((cut) => cutAt(bytes, cut)), inPiecesOf(1, bytes)]
}

/** Numbers that look random and are the same in every run: xorshift32. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed === 0 ? 1 : seed | 0
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** Nonsense, the same for the same seed; every other one is rich in the bytes that mean something in a protocol. */
export function garbage(seed: number, length: number): Buffer {
  const next = randomNumbers(seed * 2654435761 + 1)
  const loaded = [0x00, 0x01, 0x02, 0x05, 0xfb, 0xfc, 0xfd, 0xfe, 0xff]
  return Buffer.from(
    Array.from({ length }, () => (seed % 2 === 0 && next(2) === 0 ? loaded[next(loaded.length)]! : next(256))),
  )
}

/** Copies of `bytes` with one byte changed, or cut short. */
export function damaged(bytes: Buffer, seed: number): Buffer {
  const next = randomNumbers(seed + 1)
  if (next(3) === 0) return Buffer.from(bytes.subarray(0, next(bytes.length + 1)))
  const copy = Buffer.from(bytes)
  if (copy.length > 0) copy[next(copy.length)] = next(256)
  return copy
}
