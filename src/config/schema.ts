// The settings: their shape, bounds and defaults. Every key of a settings file is here, and nothing else is.
//
// What a text means beyond its shape (addresses, secrets in files) is settled here too, so that the type `Config` holds
// what the proxy needs and not what the operator wrote.

import { isAbsolute, resolve } from 'node:path'
import * as z from 'zod'
import { CONSISTENCY_LEVELS } from '../routing/consistency.ts'
import { parseAddress, parseNetwork } from './address.ts'

export type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T

/** Reads what a setting points to. Throws an Error whose message is what the operator should know. */
export interface Files {
  /** The folder that relative paths start from. */
  readonly folder: string
  /** A password, token or key: a file that others can read deserves a warning. */
  readSecret(path: string): string
  readText(path: string): string
}

/** Words that a route can be besides the name of an endpoint. */
export const ROUTE_WORDS = ['split', 'writer', 'reader'] as const
/** Names with a meaning of their own somewhere: an endpoint must not take one. */
export const RESERVED_NAMES: readonly string[] = [...ROUTE_WORDS, 'auto', 'proxy', 'pinned']

/** `auto`: the most specific that answers. */
export const TOPOLOGY_KINDS = ['auto', 'static', 'replication', 'aurora', 'rds-multi-az', 'group-replication'] as const

const FILE_PREFIX = 'file:'
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/

/** A substituted environment variable is always a text; a number written so is a number all the same. */
function whole(minimum: number, maximum = Number.MAX_SAFE_INTEGER) {
  const number = z.int().min(minimum).max(maximum)
  return z.preprocess((value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value), number)
}

/** Durations end up in timers, which cannot be longer than 24.8 days. */
function duration(minimum = 1) {
  return whole(minimum, 2_147_483_647)
}

function decimal(minimum: number, maximum: number) {
  const number = z.number().min(minimum).max(maximum)
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value),
    number,
  )
}

function flag() {
  return z.preprocess((value) => (value === 'true' ? true : value === 'false' ? false : value), z.boolean())
}

/** `key:` with nothing after it, `null` and leaving it out are the same. */
function optional<Schema extends z.ZodType>(schema: Schema) {
  return schema.nullish().transform((value) => (value ?? null) as z.output<Schema> | null)
}

/** A group of settings that may be left out when all of its members may. */
function group<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.preprocess((value) => value ?? {}, z.strictObject(shape))
}

/** How fresh reads must be, said by somebody who need not say anything. */
function freshness() {
  return { consistency: optional(z.enum(CONSISTENCY_LEVELS)), monotonic: optional(flag()) }
}

const text = () => z.string().min(1)
const name = () => z.string().regex(NAME, { error: 'a name: letters, digits, _ . and -, not beginning with a digit' })
const routeName = () => name()
const names = () => z.array(text()).default([])
/** One text or a list of them. */
const oneOrMore = () =>
  optional(z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(text()).min(1)))

function address(defaultPort: number | null) {
  return z.string().transform((value, context) => {
    const parsed = parseAddress(value, defaultPort)
    if (parsed !== null) return parsed
    const form = defaultPort === null ? 'host:port' : `host or host:port (port ${defaultPort} by default)`
    context.addIssue({ code: 'custom', message: `${JSON.stringify(value)} is no address; expected ${form}` })
    return z.NEVER
  })
}

/** A backend, as the `host:port` it is known by. */
const backend = () => address(3306).transform(({ host, port }) => backendId(host, port))

/** A member of an endpoint: an address, or what the cluster itself calls the server (an Aurora instance's id). */
const member = () =>
  text().transform((value, context) => {
    if (/^[A-Za-z0-9][A-Za-z0-9-]*$/.test(value)) return value.toLowerCase()
    const parsed = parseAddress(value, 3306)
    if (parsed !== null) return backendId(parsed.host, parsed.port)
    const expected = 'host or host:port (port 3306 by default), or the id of an instance'
    context.addIssue({ code: 'custom', message: `${JSON.stringify(value)} is no address; expected ${expected}` })
    return z.NEVER
  })

const hostPattern = () =>
  z
    .string()
    .regex(/^[^?/:\s]*\?[^?/:\s]*$/, {
      error: 'a host name with one ? for the id of an instance, as in ?.abc123.eu-central-1.rds.amazonaws.com',
    })
    .transform((value) => value.toLowerCase())

export function backendId(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

const network = () =>
  text().refine((value) => parseNetwork(value) !== null, {
    error: 'is no network; expected an address or CIDR, as in 10.1.0.0/16',
  })

/** What servers keep of a password: `*` and SHA1 of its SHA1, or SHA-crypt with 20 bytes of salt. */
const NATIVE_HASH = /^\*[0-9A-Fa-f]{40}$/
const SHA2_HASH = /^\$A\$[0-9A-Fa-f]{3}\$[\0-\x7f]{20}[./0-9A-Za-z]{43}$/
/** SHA-crypt may have unprintable salt, so servers also write it in hexadecimal. */
const HEXADECIMAL = /^0x((?:[0-9A-Fa-f]{2}){70})$/

function passwordHash(value: string, context: z.RefinementCtx): string {
  const digits = HEXADECIMAL.exec(value)?.[1]
  const text = digits === undefined ? value : Buffer.from(digits, 'hex').toString('latin1')
  if (NATIVE_HASH.test(text) || SHA2_HASH.test(text)) return text
  const form = '$A$005$… (or that in hexadecimal, 0x24…) or *…, as in authentication_string of mysql.user'
  context.addIssue({ code: 'custom', message: `is no hash of a password; expected ${form}` })
  return z.NEVER
}

/** The schema over what can read files. Made anew for each loading. */
export function settingsSchema(files: Files) {
  const inFolder = (path: string) => (isAbsolute(path) ? path : resolve(files.folder, path))

  const read = (path: string, kind: 'readSecret' | 'readText', context: z.RefinementCtx): string | null => {
    try {
      return files[kind](inFolder(path))
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message })
      return null
    }
  }

  /** A text, or `file:` and the path of a file that holds it. */
  const secret = () =>
    z.string().transform((value, context) => {
      if (!value.startsWith(FILE_PREFIX)) return value
      return read(value.slice(FILE_PREFIX.length), 'readSecret', context)?.replace(/\r?\n$/, '') ?? z.NEVER
    })

  /** PEM text: the path of a file (with or without `file:`), or the text itself. */
  const pem = (kind: 'readSecret' | 'readText') =>
    optional(
      text().transform((value, context) => {
        if (value.includes('-----BEGIN ')) return value
        const path = value.startsWith(FILE_PREFIX) ? value.slice(FILE_PREFIX.length) : value
        const content = read(path, kind, context)
        if (content === null) return z.NEVER
        if (content.includes('-----BEGIN ')) return content
        context.addIssue({
          code: 'custom',
          message: `${inFolder(path)} holds no PEM text; expected -----BEGIN … in it`,
        })
        return z.NEVER
      }),
    )

  const listener = z.strictObject({
    name: name(),
    protocol: z.enum(['mysql']).default('mysql'),
    bind: address(6033).default({ host: '127.0.0.1', port: 6033 }),
    cluster: optional(name()),
    route: routeName().default('split'),
    ...freshness(),
    tls: group({
      mode: z.enum(['off', 'preferred', 'required']).default('preferred'),
      cert: pem('readText'),
      key: pem('readSecret'),
    }),
    rsaKey: pem('readSecret'),
    compression: flag().default(true),
  })

  const cluster = z.strictObject({
    engine: z.enum(['auto', 'mysql', 'mariadb']).default('auto'),
    topology: z.strictObject({
      kind: z.enum(TOPOLOGY_KINDS).default('auto'),
      seeds: z.array(address(3306)).min(1),
      writer: optional(backend()),
      hostPattern: optional(hostPattern()),
    }),
    monitor: z.strictObject({
      user: text(),
      password: secret(),
      intervalMs: duration(10).default(1_000),
      timeoutMs: duration(10).default(800),
      failuresToDown: whole(1).default(2),
      successesToUp: whole(1).default(1),
      heartbeat: optional(
        z.strictObject({
          table: z.string().regex(/^[^.]+\.[^.]+$/, { error: 'a table with its schema, as in percona.heartbeat' }),
          column: text().default('ts'),
          utc: flag().default(false),
        }),
      ),
    }),
    tls: group({
      mode: z.enum(['disabled', 'preferred', 'required', 'verify-ca', 'verify-identity']).default('preferred'),
      ca: pem('readText'),
      cert: pem('readText'),
      key: pem('readSecret'),
    }),
    endpoints: z
      .record(
        name(),
        z.strictObject({
          type: z.enum(['reader', 'any']).default('reader'),
          members: optional(z.array(member()).min(1)),
          excluded: z.array(member()).default([]),
        }),
      )
      .default({}),
    reads: group({
      lagMsMax: duration(0).default(1_000),
      fallback: z.enum(['writer', 'wait', 'error']).default('writer'),
      waitMsMax: duration(0).default(1_000),
      consistency: z.enum(CONSISTENCY_LEVELS).default('service'),
      monotonic: flag().default(false),
      catchUpMsMax: duration(0).default(250),
      writerShareMax: decimal(0, 1).default(1),
      auroraReadConsistency: z.enum(['off', 'global']).default('off'),
      beyondShare: z.enum(['error', 'stale']).default('error'),
      tableFloorsMax: whole(0).default(10_000),
    }),
    weights: z.record(z.string(), decimal(0, 1_000_000)).default({}),
    pool: group({
      connectionsMax: whole(1).default(64),
      openingMax: whole(1).default(8),
      idleMsMax: duration().default(60_000),
      lifetimeMsMax: duration().default(1_800_000),
      waitMsMax: duration().default(10_000),
      waitersMax: whole(0).default(10_000),
      preparedMax: whole(1).default(200),
      abandonedMsMax: optional(duration(0)).prefault(250),
      killersMax: whole(1).default(4),
    }),
    hold: group({
      waitMsMax: duration(0).default(30_000),
      heldMax: whole(0).default(10_000),
      heldBytesMax: whole(0).default(64 * 1024 * 1024),
      failoverMsMax: duration(0).default(60_000),
      restMsMin: duration(0).default(5_000),
      drainPerSecond: whole(1, 1_000_000).default(5_000),
    }),
    safeFunctions: names(),
    readProcedures: names(),
    connectMsMax: duration().default(2_000),
  })

  const user = z.strictObject({
    name: z.string(),
    password: optional(secret()),
    passwordHash: optional(secret().transform(passwordHash)),
    backend: optional(z.strictObject({ user: text(), password: secret() })),
    requireTls: flag().default(false),
    route: optional(routeName()),
    ...freshness(),
    clusters: optional(z.array(name()).min(1)),
  })

  const rule = z.strictObject({
    name: optional(name()),
    match: z.strictObject({
      user: oneOrMore(),
      schema: oneOrMore(),
      clientAddress: optional(
        z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(network()).min(1)),
      ),
      digest: oneOrMore(),
      table: oneOrMore(),
    }),
    route: optional(routeName()),
    ...freshness(),
  })

  return z.strictObject({
    listeners: z.array(listener).min(1),
    clusters: z.record(name(), cluster).refine((value) => Object.keys(value).length > 0, {
      error: 'is empty; expected one cluster or more',
    }),
    users: z.array(user).min(1),
    rules: z.array(rule).default([]),
    admin: group({ bind: address(6032).default({ host: '127.0.0.1', port: 6032 }) }),
    limits: group({
      clientsMax: whole(1).default(10_000),
      loginMsMax: duration().default(10_000),
      loginBytesMax: whole(1024).default(64 * 1024),
      requestBytesMax: whole(1024, 1024 * 1024 * 1024).default(1024 * 1024 * 1024),
      digestsMax: whole(1).default(10_000),
      statementsMax: whole(0, 100_000).default(1_000),
      preparedPerSessionMax: whole(1).default(16_382),
      diagnosticsBytesMax: whole(0).default(64 * 1024),
      userVariablesMax: whole(0, 1000).default(256),
      userVariableBytesMax: whole(0, 1024 * 1024).default(64 * 1024),
      drainMsMax: duration(0).default(25_000),
      eventsMax: whole(0, 1_000_000).default(1_000),
      failoversMax: whole(0, 100_000).default(100),
    }),
    workers: z.union([z.literal('auto'), whole(1, 256)]).default(1),
    log: group({ level: z.enum(['error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info') }),
    stateDir: optional(text().transform(inFolder)),
  })
}

export type ParsedSettings = z.output<ReturnType<typeof settingsSchema>>

/** The keys that a map of settings at `path` may have; none where names are free. */
export function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): readonly string[] {
  const { def } = schema._zod as unknown as { readonly def: SchemaParts }
  if (def.innerType !== undefined) return keysAt(def.innerType, path)
  if (def.in !== undefined && def.out !== undefined) {
    return keysAt(def.in._zod.def.type === 'transform' ? def.out : def.in, path)
  }
  const [step, ...rest] = path
  if (step === undefined) return Object.keys(def.shape ?? {})
  const next = def.element ?? def.valueType ?? def.shape?.[String(step)]
  return next === undefined ? [] : keysAt(next, rest)
}

interface SchemaParts {
  readonly innerType?: z.core.$ZodType
  readonly in?: z.core.$ZodType
  readonly out?: z.core.$ZodType
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>
  readonly element?: z.core.$ZodType
  readonly valueType?: z.core.$ZodType
}
