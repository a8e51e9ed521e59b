// Names of hosts that only this process knows, in place of a cluster's DNS. Every other name is looked up as ever.

import dns, { type LookupAddress, type LookupOptions } from 'node:dns'

type Callback = (error: NodeJS.ErrnoException | null, found?: string | LookupAddress[], family?: number) => void

/** `addressOf` gives a name's address, null where there is no such name, or undefined where it is none of ours. */
export function answerNames(addressOf: (name: string) => string | null | undefined): () => void {
  const before = dns.lookup
  const lookup = (name: string, second: LookupOptions | number | Callback, third?: Callback) => {
    const options: LookupOptions = typeof second === 'object' ? second : {}
    const callback = typeof second === 'function' ? second : third!
    const address = addressOf(name.toLowerCase())
    if (address === undefined) return before(name, options, callback as never)
    if (address === null) {
      const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND', hostname: name })
      process.nextTick(callback, error)
    } else if (options.all === true) process.nextTick(callback, null, [{ address, family: 4 }])
    else process.nextTick(callback, null, address, 4)
  }
  dns.lookup = lookup as unknown as typeof dns.lookup
  return () => {
    // Somebody may have taken over since: theirs goes on to ask us, and we answer nothing any more.
    if (dns.lookup === (lookup as unknown as typeof dns.lookup)) dns.lookup = before
    else addressOf = () => undefined
  }
}
