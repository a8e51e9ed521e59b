// Ed25519 as MariaDB's client_ed25519 uses it: the password takes the place of the 32-byte seed, whatever its length,
// which no library offers. Some three milliseconds a signature, once per backend connection. Pure.

import { createHash } from 'node:crypto'

const P = 2n ** 255n - 19n
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n
const D = mod(-121665n * inverse(121666n))

/** A point in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z. */
type Point = readonly [X: bigint, Y: bigint, Z: bigint, T: bigint]

const NEUTRAL: Point = [0n, 1n, 1n, 0n]
const BASE = basePoint()

export function signEd25519(password: Buffer, message: Buffer): Buffer {
  const expanded = createHash('sha512').update(password).digest()
  const clamped = Buffer.from(expanded.subarray(0, 32))
  clamped[0]! &= 248
  clamped[31]! &= 63
  clamped[31]! |= 64
  const secret = fromLittleEndian(clamped)
  const publicKey = encode(multiply(secret, BASE))
  const nonce = scalarOf(expanded.subarray(32), message)
  const commitment = encode(multiply(nonce, BASE))
  const challenge = scalarOf(commitment, publicKey, message)
  return Buffer.concat([commitment, toLittleEndian((nonce + challenge * secret) % ORDER)])
}

function scalarOf(...parts: readonly Buffer[]): bigint {
  const digest = createHash('sha512')
  for (const part of parts) digest.update(part)
  return fromLittleEndian(digest.digest()) % ORDER
}

function multiply(scalar: bigint, point: Point): Point {
  let result = NEUTRAL
  let doubled = point
  for (let left = scalar; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = add(result, doubled)
    doubled = add(doubled, doubled)
  }
  return result
}

function add(one: Point, other: Point): Point {
  const a = mod((one[1] - one[0]) * (other[1] - other[0]))
  const b = mod((one[1] + one[0]) * (other[1] + other[0]))
  const c = mod(2n * D * one[3] * other[3])
  const d = mod(2n * one[2] * other[2])
  const [e, f, g, h] = [b - a, d - c, d + c, b + a]
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)]
}

/** y in 255 bits, and the lowest bit of x above them. */
function encode(point: Point): Buffer {
  const scale = inverse(point[2])
  const [x, y] = [mod(point[0] * scale), mod(point[1] * scale)]
  return toLittleEndian(y | ((x & 1n) << 255n))
}

function basePoint(): Point {
  const y = mod(4n * inverse(5n))
  // x² = (y² - 1) / (dy² + 1); P is 5 mod 8, and of the two roots the base point has the even one.
  const square = mod((y * y - 1n) * inverse(D * y * y + 1n))
  let x = power(square, (P + 3n) / 8n)
  if (mod(x * x - square) !== 0n) x = mod(x * power(2n, (P - 1n) / 4n))
  if ((x & 1n) === 1n) x = P - x
  return [x, y, 1n, mod(x * y)]
}

function mod(value: bigint): bigint {
  const rest = value % P
  return rest < 0n ? rest + P : rest
}

function inverse(value: bigint): bigint {
  return power(mod(value), P - 2n)
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  let square = base
  for (let left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = mod(result * square)
    square = mod(square * square)
  }
  return result
}

function fromLittleEndian(bytes: Buffer): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
}

function toLittleEndian(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse()
}
