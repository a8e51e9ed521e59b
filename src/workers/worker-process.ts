// A worker as the supervisor has it: the process, the way to it, and the clients that are on their way there.

import { type ChildProcess, fork } from 'node:child_process'
import type { Config } from '../config.ts'
import { closeHandle, type SocketHandle } from '../session/listening-socket.ts'
import type { Topology } from '../topology/topology.ts'
import { Channel } from './channel.ts'
import { clockStartMs } from './clock.ts'
import type { Question, Questions, ToSupervisor, ToWorker, WorkerMetrics } from './messages.ts'

/** A client that no worker has taken into its hands yet. */
export interface Arrival {
  readonly listener: string
  readonly id: number
  readonly handle: SocketHandle
}

export interface WorkerHearing {
  told(message: ToSupervisor): void
  asked(question: Question): Promise<unknown>
  exited(code: number | null, signal: NodeJS.Signals | null): void
}

export class WorkerProcess {
  readonly number: number
  readonly #child: ChildProcess
  readonly #channel: Channel
  readonly #unconfirmed: Arrival[] = []
  /** How many of its doubts have been heeded, by cluster. */
  readonly #doubts = new Map<string, number>()
  readonly #exited: Promise<void>
  /** It can serve. */
  ready = false
  /** Connected to it, or on their way there. */
  clients = 0
  /** As counted last. */
  metrics: WorkerMetrics | null = null

  /** `board`: its descriptor here. */
  constructor(number: number, board: number, hearing: WorkerHearing) {
    this.number = number
    this.#child = fork(process.argv[1]!, ['worker'], {
      serialization: 'advanced',
      stdio: ['inherit', 'inherit', 'inherit', board, 'ipc'],
    })
    this.#channel = new Channel(this.#child, {
      told: (message) => hearing.told(message as ToSupervisor),
      asked: (question) => hearing.asked(question as Question),
    })
    this.#exited = new Promise((resolve) => {
      // 'close' would wait for what others may have inherited.
      this.#child.once('exit', (code, signal) => {
        this.ready = false
        this.#channel.close()
        hearing.exited(code, signal)
        resolve()
      })
    })
    // A process that could not even be started ends as others do.
    this.#child.on('error', () => {})
  }

  /** Its clients that another worker may have. */
  get unconfirmed(): readonly Arrival[] {
    return this.#unconfirmed
  }

  begin(config: Config, workers: number): void {
    this.tell({ kind: 'begin', config, worker: this.number, workers, clockMs: clockStartMs() })
  }

  tell(message: ToWorker): void {
    this.#channel.tell(message)
  }

  tellTopology(topology: Topology): void {
    this.tell({ kind: 'topology', topology, doubts: this.#doubts.get(topology.cluster) ?? 0 })
  }

  heed(cluster: string): void {
    this.#doubts.set(cluster, (this.#doubts.get(cluster) ?? 0) + 1)
  }

  /** Its handle stays open here until the worker has the client. */
  receive(arrival: Arrival): void {
    this.clients += 1
    this.#unconfirmed.push(arrival)
    const { listener, id, handle } = arrival
    this.#channel.tell({ kind: 'client', listener, id } satisfies ToWorker, handle)
  }

  arrived(): void {
    const arrival = this.#unconfirmed.shift()
    if (arrival !== undefined) closeHandle(arrival.handle)
  }

  ask<Name extends keyof Questions>(name: Name, about: Questions[Name]['about']): Promise<Questions[Name]['answer']> {
    return this.#channel.ask({ name, about }) as Promise<Questions[Name]['answer']>
  }

  /** What it does not tell in time stays as it was told last. */
  async count(): Promise<void> {
    this.metrics = await this.ask('metrics', null).catch(() => this.metrics)
  }

  /** Resolves when it is over; it is ended at the deadline. */
  async end(how: 'stop' | 'retire', msMax: number): Promise<void> {
    this.tell({ kind: 'end', how })
    const deadline = setTimeout(() => this.#child.kill('SIGKILL'), msMax)
    await this.#exited
    clearTimeout(deadline)
  }
}
