// The one place where sockets are known: bytes in, bytes out, backpressure, close. Everything above sees a Transport.

/** What is longer is not worth a copy. */
export const SHORT_BYTES_MAX = 8 * 1024

/** A two-way stream of bytes. One owner at a time sets the three callbacks. */
export interface Transport {
  /**
   * Called with bytes as they arrive, never re-entered. The view is valid during the call only: the buffer behind it is
   * used again, by others too, so copy what must outlive the call. What is longer than `SHORT_BYTES_MAX` stays for as long as
   * this transport reads no more (not a client's).
   */
  onBytes: (bytes: Buffer) => void
  /** Everything written so far has been taken by the kernel; called only after a `write` that returned false. */
  onDrain: () => void
  /** The other side is gone, or the transport broke; called once. Null after an orderly end. */
  onClosed: (error: Error | null) => void
  /** Address of the other side, for logs and rules; empty where there is none. */
  readonly peerAddress: string
  /** And its port; 0 where there is none. */
  readonly peerPort: number
  /** The TLS protocol and cipher in use, or null without TLS. */
  readonly tls: TlsState | null
  readonly closed: boolean
  /** Bytes that the kernel has not taken, those aside that go out at the end of this turn of the event loop. */
  readonly pendingBytes: number
  /**
   * True: they are on their way, or copied. False: not all taken yet; no more should be produced until `onDrain`, and
   * `bytes`, if longer than `SHORT_BYTES_MAX`, must stay untouched. `stays`: nobody will ever write there again, so that no
   * copy is needed.
   */
  write(bytes: Buffer, stays?: boolean): boolean
  /** Stops and starts reading. While paused at most what was already read is delivered, later, after `resume`. */
  pause(): void
  resume(): void
  /** Closes once what was written has gone out. */
  end(): void
  /** Closes now. */
  destroy(): void
}

export interface TlsState {
  readonly version: string
  readonly cipher: string
  /** SHA-256 of the certificate we showed; null where we showed none. */
  readonly fingerprint: Buffer | null
}
