// Ends servers and removes their folders when the process that started them is gone, however it ended: a shell reads
// from a pipe that only we hold, and the kernel closes that pipe for us.

import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { ended } from './machine.ts'

// Lines are `+PID` for a server that runs and `-PID` for one that has ended; the end of input is the end of us.
const SCRIPT = `
pids=' '
while read -r line; do
  pid=\${line#?}
  case $line in
    +*) pids="$pids$pid " ;;
    -*) case $pids in *" $pid "*) pids="\${pids%% $pid *} \${pids#* $pid }" ;; esac ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
# A server that is still dying may write once more.
rm -rf "$1" 2>/dev/null || { sleep 1; exec rm -rf "$1"; }
`

export class Watchdog {
  readonly #shell: ChildProcess

  /** Removes the folder as well, at the end. */
  constructor(folder: string) {
    // Detached: Ctrl-C reaches everybody in the terminal's process group, and this one has work to do then.
    this.#shell = spawn('sh', ['-c', SCRIPT, 'watchdog', folder], {
      stdio: ['pipe', 'ignore', 'inherit'],
      detached: true,
    })
    this.#shell.stdin!.on('error', () => {})
    this.#shell.unref()
    // The pipe is a socket as Node sees it, and would keep us from ending.
    if (this.#shell.stdin instanceof Socket) this.#shell.stdin.unref()
  }

  started(pid: number): void {
    this.#shell.stdin!.write(`+${pid}\n`)
  }

  ended(pid: number): void {
    this.#shell.stdin!.write(`-${pid}\n`)
  }

  /** Ends what still runs, and removes the folder. */
  async finish(): Promise<void> {
    this.#shell.stdin!.end()
    await ended(this.#shell)
  }
}
