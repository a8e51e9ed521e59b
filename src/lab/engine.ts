// What differs between the kinds of server that the lab can start.

import type { Connection } from 'mysql2/promise'

export type EngineName = 'mysql' | 'mariadb'

/** The logins that every lab server has, from any loopback address. `root` has no password. */
export const LAB_USERS = {
  root: { user: 'root', password: '' },
  /** An application: everything on every schema, nothing on the server. */
  app: { user: 'app', password: 'app_pw' },
  /** What a proxy's monitor needs. */
  monitor: { user: 'monitor', password: 'monitor_pw' },
  repl: { user: 'repl', password: 'repl_pw' },
  /** MariaDB only: an application that logs in with the ed25519 plugin. */
  ed25519: { user: 'app_ed25519', password: 'app_pw' },
} as const
export type LabUser = keyof typeof LAB_USERS

/** The files of a certificate authority and of the server certificate it signed for 127.0.0.1 and localhost. */
export interface Certificates {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

export interface ServerSettings {
  readonly folder: string
  readonly port: number
  readonly serverId: number
  readonly readOnly: boolean
  readonly performanceSchema: boolean
  readonly generalLog: boolean
  readonly resolvesNames: boolean
  readonly certificates: Certificates
  /** A commit is answered once a reader has received it, so that the death of the writer loses nothing answered. */
  readonly semiSync: boolean
  readonly flags: readonly string[]
}

export interface Source {
  readonly host: string
  readonly port: number
}

/** A kind of server, its programs already on this machine. */
export interface Engine {
  readonly name: EngineName
  readonly version: string
  /** The server program. */
  readonly program: string
  /** Changes whenever a template made before is no longer what would be made now. */
  readonly templateKey: string
  readonly words: ReplicationWords
  /** Makes a data directory with the lab's users in it, and with an empty replication history. */
  makeTemplate(dataFolder: string): Promise<void>
  args(settings: ServerSettings): string[]
}

/** How one tells a running server of this kind what to be. */
export interface ReplicationWords {
  setReadOnly(server: Connection, readOnly: boolean): Promise<void>
  /** Replicates from the source, from wherever the server stands. */
  follow(server: Connection, source: Source): Promise<void>
  /** Applies what it has received already, and replicates no more. False when that took too long. */
  unfollow(server: Connection, secondsMax: number): Promise<boolean>
  /** What a reader must have applied to be level with this server now. */
  position(server: Connection): Promise<string>
  /** Whether the reader got there in time. */
  reached(server: Connection, position: string, secondsMax: number): Promise<boolean>
  /** How much of the writer's history the reader has received, applied or not; comparable among its readers. */
  received(server: Connection): Promise<number>
  /** Why the server does not replicate, in its own words; '' when nothing is wrong. */
  replicationError(server: Connection): Promise<string>
}
